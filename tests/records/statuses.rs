//! Every path and status of docs/openapi.json is answered by the real server.

use std::collections::BTreeSet;
use std::io::Write as _;

use serde_json::json;

use crate::described::{DOCUMENT, assert_described, template};
use crate::steps::{company, company_with, known_on, new_id, setup, until};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::wire::{self, Answer};

type Seen = BTreeSet<(String, String, u16)>;

fn note(seen: &mut Seen, method: &str, path: &str, answer: &Answer) -> u16 {
    assert_described(method, path, answer);
    if let Some(template) = template(path) {
        seen.insert((method.to_lowercase(), template.to_owned(), answer.status));
    }
    answer.status
}

/// Each operation, with an address and a body that are good.
fn operations(visitor: &str) -> [(&'static str, String, &'static str); 5] {
    [
        ("GET", "openapi.json".into(), ""),
        ("GET", format!("visitors/{visitor}"), ""),
        ("PATCH", format!("visitors/{visitor}/properties"), r#"{"set":{"a":1}}"#),
        ("POST", "reports".into(), r#"{"reports":[]}"#),
        ("GET", "revocations".into(), ""),
    ]
}

/// A body of which half never comes, for each operation at once: each has 10 s.
fn cut_off(company: &Company, visitor: &str, seen: &mut Seen) {
    let key = company.folder.secret("shop").api_key().as_str().to_owned();
    let waiting = operations(visitor).map(|(method, path, _)| {
        let mut stream = wire::connect(company.broker_port()).unwrap();
        let host = format!("brand.localhost:{}", company.broker_port());
        let request = format!(
            "{method} /_throughline/api/{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Length: 9\r\n\r\nhalf"
        );
        stream.write_all(request.as_bytes()).unwrap();
        (method, path, stream)
    });
    for (method, path, mut stream) in waiting {
        assert_eq!(note(seen, method, &path, &wire::receive(&mut stream, false).unwrap()), 400, "{method} {path}");
    }
}

#[test]
fn every_described_status_is_answered() {
    let mut seen = Seen::new();
    let company = company();
    let (_, visitor) = known_on(&company.shop);
    let large = " ".repeat(1024 * 1024 + 1);
    for (method, path, body) in operations(&visitor) {
        assert_eq!(note(&mut seen, method, &path, &company.api("shop", method, &path, &[], body)), 200, "{method} {path}");
        let without = company.api_without_key(method, &path, &[], body);
        assert_eq!(note(&mut seen, method, &path, &without), if path == "openapi.json" { 200 } else { 401 });
        assert_eq!(note(&mut seen, method, &path, &company.api("shop", method, &path, &[], &large)), 413, "{method} {path}");
        assert_eq!(note(&mut seen, "DELETE", &path, &company.api("shop", "DELETE", &path, &[], "")), 405, "{path}");
    }
    let properties = format!("visitors/{visitor}/properties");
    for (method, path, headers, body, status) in [
        ("GET", format!("visitors/{}", new_id()), &[][..], "", 404),
        ("PATCH", format!("visitors/{}/properties", new_id()), &[], "{}", 404),
        ("PATCH", properties.clone(), &[("If-Match", "\"99\"")], "{}", 412),
        ("PATCH", properties.clone(), &[("If-Match", "99")], "{}", 422),
        ("PATCH", properties.clone(), &[], "x", 422),
        ("POST", "reports".into(), &[], "x", 422),
        ("GET", "revocations?after=x".into(), &[], "", 422),
        ("GET", "nothing".into(), &[], "", 404),
        ("GET", format!("visitors/{visitor}/nothing"), &[], "", 404),
        ("GET", String::new(), &[], "", 404),
    ] {
        assert_eq!(note(&mut seen, method, &path, &company.api("shop", method, &path, headers, body)), status, "{path}");
    }
    cut_off(&company, &visitor, &mut seen);

    // What the store holds is no record.
    let (_, broken) = known_on(&company.shop);
    let bytes: Vec<_> = (0..32).map(|at| broken.replace('-', "")[at..=at].to_owned()).collect();
    let store = rusqlite::Connection::open(company.folder.path().join("throughline.sqlite")).unwrap();
    store.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    let changed = store.execute(&format!("UPDATE visitor SET record = '{{}}' WHERE id = x'{}'", bytes.concat()), []).unwrap();
    assert_eq!(changed, 1);
    let path = format!("visitors/{broken}/properties");
    let answer = company.api("shop", "PATCH", &path, &[], "{}");
    assert_eq!((note(&mut seen, "PATCH", &path, &answer), &answer.json()["error"]), (503, &json!("record_unreadable")));

    without_a_store(&mut seen);

    let mut missing = Vec::new();
    for (path, operations) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters") {
            for status in operation["responses"].as_object().unwrap().keys() {
                if !seen.contains(&(method.clone(), path.clone(), status.parse().unwrap())) {
                    missing.push(format!("{method} {path} {status}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "described and never answered: {missing:?}");
}

/// The store's file is taken away: hops go on (rule A2), the API answers 503, and all is well once it is back.
fn without_a_store(seen: &mut Seen) {
    let elsewhere = tempfile::tempdir().unwrap();
    let (there, away) = (elsewhere.path().join("there"), elsewhere.path().join("away"));
    std::fs::create_dir(&there).unwrap();
    let url = format!("sqlite:{}", there.join("store.sqlite").display());
    let company = company_with(Setup { broker_tables: format!("[store]\nurl = \"{url}\"\n"), ..setup() });
    let (_, known) = known_on(&company.shop);
    until("it is written", || company.api("shop", "GET", &format!("visitors/{known}"), &[], "").status == 200);
    std::fs::rename(&there, &away).unwrap();
    let (_, visitor) = known_on(&company.shop);
    for (method, path, body) in operations(&visitor).into_iter().skip(1) {
        let body = if path == "reports" {
            json!({"reports": [{"kind": "refusal", "visitor": new_id(), "at": crate::steps::now()}]}).to_string()
        } else {
            body.to_owned()
        };
        let answer = company.api("shop", method, &path, &[], &body);
        assert_eq!(note(seen, method, &path, &answer), 503, "{method} {path}: {answer:?}");
    }
    std::fs::rename(&away, &there).unwrap();
    until("the store is there", || company.api("shop", "GET", &format!("visitors/{visitor}"), &[], "").status == 200);
}
