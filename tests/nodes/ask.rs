//! Asks one node of a company: hops that the test signs itself, the API, health. The node may be dead: errors come back.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use throughline::base::clock::{Clock as _, SystemClock};
use throughline::domain::consent::Basis;
use throughline::domain::hop_request::HopRequest;
use throughline::domain::url::PageUrl;
use throughline::token::claims::FlowSecret;

use crate::support::address;
use crate::support::browser::FIREFOX;
use crate::support::company::Company;
use crate::support::files::Part;
use crate::support::process::wait_until;
use crate::support::wire::{Answer, send};

/// Writes the configuration of one node, with tables of its own: the company's setup has none.
pub(crate) fn configuration(company: &Company, part: Part, name: &str, port: u16, tables: &str) -> PathBuf {
    let origins = [company.brand.clone(), company.shop.clone(), company.learn.clone()];
    let text = std::fs::read_to_string(company.folder.configure(part, port, &origins)).expect("a configuration");
    let file = company.folder.path().join(format!("{name}.toml"));
    std::fs::write(&file, text + tables).expect("a configuration");
    file
}

/// What came of a hop.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    /// The ID that the token is about; none where the visitor is sent back without one.
    pub(crate) visitor: Option<String>,
    /// The master cookie that was set: the whole value.
    pub(crate) master: Option<String>,
    /// What became of the write: `written`, `waiting`, `lost`.
    pub(crate) store: Option<String>,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Goes on shop's hop at the node on `port`, with a master cookie or without.
pub(crate) fn hop(company: &Company, port: u16, master: Option<&str>) -> io::Result<Hop> {
    let clock = SystemClock::new();
    let (brand, shop) = (company.origin("brand"), company.origin("shop"));
    let page = PageUrl::parse(&shop, &format!("{shop}/p.html")).expect("a page");
    let flow = FlowSecret::new([9; 16]).flow();
    let request =
        HopRequest { flow, issued_at: clock.now(), basis: Basis::Implied, look_alike: false, page: Some(page), referrer: None };
    let query = request.sign(&brand, &shop, &company.hop_key("shop"));
    let cookie = master.map(|value| format!("Cookie: throughline={value}\r\n")).unwrap_or_default();
    let text = format!(
        "GET /_throughline/hop?{query} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {FIREFOX}\r\nAccept: text/html\r\n\
         Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: cross-site\r\n{cookie}Connection: close\r\n\r\n",
        address::authority(&company.brand),
    );
    let answer = send(port, text.as_bytes())?;
    let took = clock.uptime();
    assert_eq!(answer.status, 302, "a hop is answered, whatever else goes wrong: {answer:?}");
    let location = answer.header("location").expect("the way back");
    let (page, token) = location.split_once("_tl=").expect("our parameter");
    assert!(page.starts_with(&company.shop), "{location}");
    let visitor = (!token.is_empty()).then(|| subject(token));
    let set = answer.all("set-cookie").find_map(|line| line.strip_prefix("throughline="));
    let master = set.and_then(|line| line.split(';').next()).map(String::from);
    let store = answer.header("server-timing").and_then(|text| text.strip_prefix("store;desc=")).map(String::from);
    let hop = Hop { visitor, master, store, took };
    if let (Some(visitor), Some(set)) = (&hop.visitor, &hop.master) {
        assert_eq!(set.split('.').nth(2), Some(visitor.as_str()), "the token is about the master cookie's ID");
    }
    Ok(hop)
}

/// Whom a token is about.
fn subject(token: &str) -> String {
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).expect("a token");
    let claims: Value = serde_json::from_slice(&payload).expect("claims");
    claims["sub"].as_str().expect("a subject").to_owned()
}

/// Asks the API of the node on `port`, as shop.
pub(crate) fn api(company: &Company, port: u16, method: &str, path: &str, body: &str) -> io::Result<Answer> {
    let key = company.folder.secret("shop").api_key();
    let text = format!(
        "{method} /_throughline/api/{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        address::authority(&company.brand),
        key.as_str(),
        body.len(),
    );
    send(port, text.as_bytes())
}

/// Sets `n` of a visitor.
pub(crate) fn set(company: &Company, port: u16, visitor: &str, n: u64) -> io::Result<Answer> {
    api(company, port, "PATCH", &format!("visitors/{visitor}/properties"), &format!(r#"{{"set":{{"n":{n}}}}}"#))
}

/// Reports that a visitor refused.
pub(crate) fn refuse(company: &Company, port: u16, visitor: &str) -> io::Result<Answer> {
    let at = SystemClock::new().now();
    let report = format!(r#"{{"reports":[{{"kind":"refusal","visitor":"{visitor}","at":{at}}}]}}"#);
    api(company, port, "POST", "reports", &report)
}

/// Whether a refusal was taken.
pub(crate) fn is_recorded(answer: &Answer) -> bool {
    answer.status == 200 && answer.json()["outcomes"][0] == "recorded"
}

/// The record of a visitor; `None` when shop is told that there is none.
pub(crate) fn record(company: &Company, port: u16, visitor: &str) -> Option<Value> {
    let answer = api(company, port, "GET", &format!("visitors/{visitor}"), "").expect("an answer");
    assert!(matches!(answer.status, 200 | 404), "{answer:?}");
    (answer.status == 200).then(|| answer.json())
}

/// All revoked IDs, as the API tells them.
pub(crate) fn revocations(company: &Company, port: u16) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), 0);
    loop {
        let answer = api(company, port, "GET", &format!("revocations?after={cursor}"), "").expect("an answer").json();
        let ids = answer["revoked"].as_array().expect("a list");
        all.extend(ids.iter().filter_map(|id| id.as_str().map(String::from)));
        cursor = answer["cursor"].as_u64().expect("a number");
        if answer["more"] == false {
            return all;
        }
    }
}

/// How the store does, by the broker's health: `status`, `waiting`, `lost`.
pub(crate) fn store(company: &Company, port: u16) -> Value {
    let request = format!("GET /_throughline/health HTTP/1.1\r\nHost: {}\r\n\r\n", address::authority(&company.brand));
    let answer = send(port, request.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 200, "hops go on, so the node is well: {answer:?}");
    answer.json()["store"].clone()
}

/// Waits until `is_so`.
pub(crate) fn wait_for(what: &str, is_so: impl FnMut() -> bool) {
    wait_until(what, || false, is_so).unwrap_or_else(|problem| panic!("{problem}"));
}

/// Waits until nothing waits to be written, and the store is well.
pub(crate) fn wait_until_written(company: &Company, port: u16) {
    wait_for("all is written", || {
        let store = store(company, port);
        store["status"] == "ok" && store["waiting"] == 0
    });
}
