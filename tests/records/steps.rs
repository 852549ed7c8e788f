//! What these tests do again and again.

use std::process::{Command, Output, Stdio};

use throughline::base::clock::{Clock as _, SystemClock};
use throughline::base::id::VisitorId;
use throughline::base::random::SystemRandom;

use crate::described::assert_described;
use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::wait_until;
use crate::support::wire::Answer;

/// Revocations are looked for often, and a hop waits for its write also on a busy machine.
pub(crate) fn setup() -> Setup {
    Setup { revocation_interval_ms: 100, broker_tables: "[store]\nhop_wait_ms = 1000\n".into(), ..Setup::default() }
}

/// A company in two processes. The satellites are there first, so that the broker finds their keys at once.
pub(crate) fn company() -> Company {
    company_with(setup())
}

/// The same, set up otherwise.
pub(crate) fn company_with(setup: Setup) -> Company {
    let mut company = Company::start_without_broker(setup);
    company.start_broker();
    company
}

/// A new browser that a site knows, by a hop, and its visitor ID. A site that has just heard of the broker may not have its
/// keys yet, and sends nobody there until it has.
pub(crate) fn known_on(site: &str) -> (Browser, String) {
    let mut known = None;
    until("the site sends visitors on a hop", || {
        let mut browser = Browser::new();
        browser.navigate(&format!("{site}/p.html"));
        known = browser.visitor(site).map(|visitor| (browser, visitor));
        known.is_some()
    });
    known.expect("it was waited for")
}

/// Follows a link on one site to another.
pub(crate) fn link(browser: &mut Browser, from: &str, to: &str) {
    let target = format!("{to}/p.html").replace(':', "%3A").replace('/', "%2F");
    let visit = browser.follow_from(&format!("{from}/p.html"), &format!("{from}/_throughline/go?to={target}"));
    assert_eq!(visit.page().status, 200, "{visit:#?}");
}

/// Asks the API for a site, and holds the answer against its description.
pub(crate) fn ask(company: &Company, site: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let answer = company.api(site, method, path, headers, body);
    assert_described(method, path, &answer);
    answer
}

/// Changes properties.
pub(crate) fn patch(company: &Company, site: &str, visitor: &str, body: &str) -> Answer {
    ask(company, site, "PATCH", &format!("visitors/{visitor}/properties"), &[], body)
}

/// Reports one thing, and says what became of it.
pub(crate) fn report(company: &Company, site: &str, report: &serde_json::Value) -> String {
    let body = serde_json::json!({ "reports": [report] }).to_string();
    let answer = ask(company, site, "POST", "reports", &[], &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["outcomes"][0].as_str().expect("an outcome").to_owned()
}

/// Waits, or fails.
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    wait_until(what, || false, is_so).unwrap_or_else(|problem| panic!("{problem}"));
}

/// The machine's time.
pub(crate) fn now() -> u64 {
    SystemClock::new().now().0
}

/// An ID that nobody has.
pub(crate) fn new_id() -> String {
    VisitorId::mint(&SystemRandom::new()).expect("randomness").to_string()
}

/// Runs a command beside the running processes, with the broker's configuration.
pub(crate) fn throughline(company: &Company, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_throughline"))
        .args(words)
        .arg("--config")
        .arg(company.folder.path().join("broker.toml"))
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// What a command wrote, when it succeeded.
pub(crate) fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}
