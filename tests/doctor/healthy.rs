//! Deployments in which all is well pass.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::deployment::{Deployment, HOSTS};
use crate::proxy::Mistake;
use crate::report::Report;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::{free_port, is_healthy, knows, wait_until};

#[test]
fn r8_a_company_over_https_passes() {
    let company = Deployment::shared();
    let report = company.with(Mistake::none());
    assert_eq!((report.code, report.json["outcome"].as_str()), (0, Some("ok")), "{}", report.text);
    // The pages do not show the ID, so nobody can see what the application is told.
    assert_eq!(report.named("skipped").into_iter().collect::<Vec<_>>(), ["spoofed-headers"], "{}", report.text);
    report.keeps_secrets();
}

#[test]
fn c2_the_doctor_leaves_no_visitor_behind() {
    let company = Deployment::shared();
    let given: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&given);
    let watching = Mistake::after(move |request, answer| {
        let is_primary = request.header("host").is_some_and(|host| host.starts_with("www."));
        let cookies = answer.headers.iter().filter(|(name, _)| is_primary && name.eq_ignore_ascii_case("set-cookie"));
        let pairs = cookies.filter_map(|(_, value)| value.split(';').next()).map(str::to_owned);
        seen.lock().unwrap_or_else(PoisonError::into_inner).extend(pairs);
    });
    let proxy = company.proxy(Arc::clone(&company.tls), watching);
    for site in [HOSTS[1], HOSTS[0]] {
        let url = format!("https://{site}:{}/p.html", company.port);
        let report = company.examine(&url, [proxy.ip(), proxy.ip()], true);
        assert!(report.named("ok").contains("revocation"), "{}", report.text);
    }
    let given = given.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(given.len() >= 6, "two runs for each site gave too few cookies to prove anything: {}", given.len());
    for cookie in given.iter() {
        assert_eq!(company.me(HOSTS[0], cookie)["visitor"], serde_json::Value::Null, "an ID was left behind");
    }
}

#[test]
fn a_configuration_tells_the_sites_and_how_to_reach_them() {
    let company = Deployment::shared();
    let report = Report::of(&["--config".to_owned(), company.path("all.toml").display().to_string()], &[]);
    for host in HOSTS {
        let is_there = report.findings().any(|found| found["subject"] == format!("https://{host}:{}", company.port));
        assert!(is_there, "{host}: {}", report.text);
    }
    // There is no front page, and the doctor is the one who says so.
    assert_eq!((report.code, report.named("failed").into_iter().collect::<Vec<_>>()), (1, vec!["page"]), "{}", report.text);
}

#[test]
fn s8_a_site_that_asks_first_passes() {
    let company = Deployment::start("required");
    let report = company.with(Mistake::none());
    assert_eq!((report.code, report.json["outcome"].as_str()), (0, Some("ok")), "{}", report.text);
    assert!(report.text.contains("once the visitor has agreed"), "{}", report.text);
}

#[test]
fn a_company_on_this_machine_passes() {
    for setup in [Setup::default(), Setup::required(), Setup::with_whoami()] {
        let company = Company::start(setup);
        for page in [format!("{}/p.html?x=1", company.shop), format!("{}/", company.learn), format!("{}/p.html", company.brand)] {
            let report = Report::of(&[], &[&page]);
            assert_eq!((report.code, report.named("warning").len()), (0, 0), "{page}\n{}", report.text);
        }
    }
}

/// Ends with the test.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_demo_passes() {
    for consent in ["implied", "required"] {
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_throughline"));
        command.args(["demo", "--consent", consent, "--port", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut demo = Demo(command.spawn().expect("the program runs"));
        let is_ready = || {
            is_healthy(port, "shop.localhost", false) && knows(port, "shop.localhost", &format!("http://learn.localhost:{port}"))
        };
        wait_until("the demo is ready", || demo.0.try_wait().is_ok_and(|ended| ended.is_some()), is_ready)
            .unwrap_or_else(|problem| panic!("{problem}"));
        let report = Report::of(&[], &[&format!("http://shop.localhost:{port}/")]);
        assert_eq!(report.code, 0, "{}", report.text);
        assert!(report.named("warning").is_empty() && report.named("ok").contains("spoofed-headers"), "{}", report.text);
    }
}

#[test]
fn f2_a_page_that_shows_the_id_lets_spoofed_headers_be_looked_at() {
    let company = Company::echoing(Setup::default());
    let report = Report::of(&[], &[&format!("{}/p", company.shop)]);
    assert_eq!(report.code, 0, "{}", report.text);
    assert!(report.named("ok").contains("spoofed-headers"), "{}", report.text);
}
