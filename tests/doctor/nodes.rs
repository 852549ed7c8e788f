//! What is wrong behind the proxy: brokers that are away, sites that nobody registered, clocks.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use throughline::base::clock::{Clock as _, ManualClock, SystemClock, UnixSeconds};

use crate::deployment::{Deployment, HOSTS};
use crate::proxy::Mistake;
use crate::report::Report;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::{Process, free_port, wait_until};
use crate::support::wire;

#[test]
fn a1_the_broker_is_down() {
    let company = Company::start_without_broker(Setup::default());
    wait_until("the satellite has noticed", || false, || health(company.port(), "shop.localhost").contains("\"open\""))
        .unwrap_or_else(|problem| panic!("{problem}"));
    let report = Report::of(&[], &[&format!("{}/p.html", company.shop)]);
    report.fails(&[("health", "Start the broker")]);
}

#[test]
fn the_site_is_not_registered_at_the_broker() {
    let company = Deployment::shared();
    // Another satellite serves the shop; its broker, behind the same proxy, knows of learn.test only.
    let (broker, satellite) = (free_port(), free_port());
    let broker_file = company.configure("poor-broker.toml", broker, "implied", |host| host == HOSTS[0], &[HOSTS[0], HOSTS[2]]);
    let to_broker = company.proxy_to(broker, Arc::clone(&company.tls), Mistake::none());
    let satellite_file = company.configure("lone-shop.toml", satellite, "implied", |host| host == HOSTS[1], &HOSTS[..2]);
    let text = std::fs::read_to_string(&satellite_file).expect("a file");
    let from = format!("\"{}\" = \"127.0.0.1:{}\"", HOSTS[0], company.port);
    let to = format!("\"{}\" = \"{}:{}\"", HOSTS[0], to_broker.ip(), company.port);
    assert!(text.contains(&from));
    std::fs::write(&satellite_file, text.replace(&from, &to)).expect("a file");
    let processes = [Process::serve(&broker_file), Process::serve(&satellite_file)];
    let host = format!("shop.test:{}", company.port);
    wait_until("the satellite sees the broker", || false, || asked(satellite, &host).contains("\"closed\""))
        .unwrap_or_else(|problem| panic!("{problem}: {} {}", processes[0].stderr(), processes[1].stderr()));
    let to_shop = company.proxy_to(satellite, Arc::clone(&company.tls), Mistake::none());
    let report = company.examine(&format!("https://{host}/p.html"), [to_shop.ip(), to_broker.ip()], true);
    report.fails(&[("metadata", "Add a [[site]] with this exact origin")]);
}

#[test]
fn a6_the_clock_of_the_nodes_is_an_hour_behind() {
    let clock = Arc::new(ManualClock::at(UnixSeconds(SystemClock::new().now().0 - 3600)));
    let company = Company::echoing_at(Setup::default(), &clock);
    let report = Report::of(&[], &[&format!("{}/p", company.shop)]);
    report.fails(&[("clock-skew", "by NTP")]);
}

#[test]
fn a5_a_site_that_says_nothing_holds_the_doctor_for_a_bounded_time() {
    let silent = std::net::TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let begun = SystemClock::new();
    let report = Report::of(&["--timeout".into(), "1".into()], &[&format!("http://shop.localhost:{port}/")]);
    assert!(report.named("failed").contains("health") && report.code == 1, "{}", report.text);
    assert!(begun.uptime() < Duration::from_secs(60), "{:?}", begun.uptime());
}

fn health(port: u16, host: &str) -> String {
    asked(port, &format!("{host}:{port}"))
}

fn asked(port: u16, host: &str) -> String {
    let request = format!("GET /_throughline/health HTTP/1.1\r\nHost: {host}\r\n\r\n");
    wire::send(port, request.as_bytes()).map(|answer| answer.text()).unwrap_or_default()
}
