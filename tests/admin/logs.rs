//! The log: one line for each step of a hop, as JSON where that is asked for, and never in a visitor's way.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use throughline::base::clock::{Clock as _, SystemClock};

use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::{Part, Setup};
use crate::support::process::{is_healthy, wait_until};
use crate::watched::visit;

/// Waits until the log has so many lines of a step, and returns all of its lines.
fn lines(company: &Company, step: &str, count: usize) -> Vec<String> {
    let of_step = |text: &str| text.lines().filter(|line| line.contains(&format!("\"step\":\"{step}\""))).count();
    wait_until(step, || false, || of_step(&company.stderr()) >= count)
        .unwrap_or_else(|problem| panic!("{problem} in\n{}", company.stderr()));
    company.stderr().lines().map(String::from).collect()
}

#[test]
fn a7_each_step_of_a_hop_is_one_line_of_json_with_site_step_code_and_flow() {
    let company = Company::start(Setup { log_format: "json", ..Setup::default() });
    visit(&company);
    let lines = lines(&company, "arrival", 5);
    let events: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    let of = |step: &str| events.iter().filter(|event| event["step"] == step).collect::<Vec<_>>();
    assert_eq!((of("start").len(), of("hop").len(), of("arrival").len(), of("page").len()), (3, 3, 5, 0));
    assert_eq!(of("link").iter().filter(|event| event["code"] == "decorated").count(), 1);
    let hop = of("hop")[0];
    assert_eq!((hop["level"].as_str(), hop["site"].as_str()), (Some("INFO"), Some(company.brand.as_str())));
    assert_eq!(hop["code"], "hop_minted");
    assert!(hop["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')));
    // The three lines of one hop have one flow, and another hop's have another.
    let flows = |step: &str| of(step).iter().filter_map(|event| event["flow"].as_str().map(String::from)).collect::<Vec<_>>();
    let starts = flows("start");
    assert!(starts.iter().all(|flow| flow.len() == 8) && starts[0] != starts[1]);
    assert_eq!(starts, flows("hop"));
    assert_eq!(starts, flows("arrival"));
}

#[test]
fn a7_r8_whatever_a_client_writes_stays_out_of_the_log() {
    let mut company = Company::start(Setup { log_format: "json", log: "debug", ..Setup::default() });
    for naughty in include_str!("../data/naughty.txt").lines().filter(|line| !line.is_empty()) {
        let coded: String = naughty.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut browser = Browser::new();
        browser.set("User-Agent", &format!("Mozilla/5.0 {coded}\u{1b}[31m"));
        for path in [format!("/p.html?x={coded}&_tl={coded}"), format!("/_throughline/go?to={coded}"), format!("/{coded}")] {
            browser.step(&format!("{}{path}", company.shop), None);
            browser.step(&format!("{}{path}", company.brand), None);
        }
        browser.step(&format!("{}/_throughline/hop?site={coded}&return={coded}", company.brand), None);
    }
    visit(&company);
    lines(&company, "start", 3);
    company.processes[0].terminate();
    wait_until("it ends", || false, || company.processes[0].has_ended()).unwrap_or_else(|problem| panic!("{problem}"));
    for line in company.stderr().lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for (name, value) in event.as_object().expect("an object") {
            let text = value.to_string();
            assert!(!text.contains('%') && !text.contains("\\u") && !text.contains("Mozilla"), "{name}: {text}");
        }
    }
}

/// Standard error is a pipe, and nobody reads it.
#[test]
fn a1_a_log_that_nobody_reads_costs_no_page() {
    let (setup, admin) = crate::watched::with_admin(Setup { log_format: "json", ..Setup::default() });
    let company = Company::unstarted(setup);
    let config = company.folder.configure(
        Part::All,
        company.port(),
        &[&company.brand, &company.shop, &company.learn]
            .map(|origin| origin.replace(&company.broker_port().to_string(), &company.port().to_string())),
    );
    let mut child = Command::new(env!("CARGO_BIN_EXE_throughline"))
        .args(["serve", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let port = company.port();
    wait_until(
        "the sites are well",
        || false,
        || is_healthy(port, "brand.localhost", true) && is_healthy(port, "shop.localhost", false),
    )
    .unwrap_or_else(|problem| panic!("{problem}"));
    let lost = || {
        let text = crate::watched::get(admin, "localhost", "/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix("throughline_log_lines_lost_total ").map(String::from));
        line.and_then(|count| count.parse::<u64>().ok()).expect("the metric")
    };
    assert_eq!(lost(), 0);
    // Each is a line of about 200 octets: a pipe holds 64 KiB, and the queue 8,192 lines.
    let request = format!("GET /_throughline/go?to=x HTTP/1.1\r\nHost: shop.localhost:{port}\r\n\r\n");
    let mut stream = crate::support::wire::connect(port).expect("a connection");
    let clock = SystemClock::new();
    let mut slowest = Duration::ZERO;
    while lost() == 0 {
        for _ in 0..2000 {
            let asked = clock.uptime();
            std::io::Write::write_all(&mut stream, request.as_bytes()).expect("it reads");
            let answer = crate::support::wire::receive(&mut stream, false).expect("it answers");
            assert_eq!(answer.status, 400);
            slowest = slowest.max(clock.uptime() - asked);
        }
        assert!(clock.uptime() < Duration::from_secs(60), "no line is lost");
    }
    let mut browser = Browser::new();
    let visit = browser.navigate(&format!("http://shop.localhost:{port}/"));
    assert_eq!(visit.statuses().last(), Some(&200));
    println!("the slowest of them took {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    // It ends in time as well.
    let ended = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(ended.is_ok_and(|status| status.success()));
    wait_until("it ends", || false, || child.try_wait().is_ok_and(|status| status.is_some()))
        .unwrap_or_else(|problem| panic!("{problem}"));
    let mut said = Vec::new();
    let _ = child.stderr.take().expect("a pipe").read_to_end(&mut said);
    assert!(said.starts_with(b"{"), "what was written until then is whole");
}
