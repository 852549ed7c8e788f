//! Reading a record, and changing properties with versions and limits.

use serde_json::json;

use crate::steps::{ask, company, known_on, patch};
use crate::support::wire;

#[test]
fn properties_change_with_the_version_that_was_read() {
    let company = company();
    let (_, visitor) = known_on(&company.shop);
    let (record, properties) = (format!("visitors/{visitor}"), format!("visitors/{visitor}/properties"));
    let read = || ask(&company, "shop", "GET", &record, &[], "");
    let first = read();
    assert_eq!((first.status, first.header("etag")), (200, Some("\"0\"")));
    assert_eq!(first.header("cache-control"), Some("no-store"));

    let change = |tags: &[&str], body: &str| {
        let headers: Vec<_> = tags.iter().map(|tag| ("If-Match", *tag)).collect();
        ask(&company, "shop", "PATCH", &properties, &headers, body)
    };
    let one = change(&["\"0\""], r#"{"set":{"plan":"pro","n":9007199254740993,"x":null}}"#);
    assert_eq!((one.status, one.header("etag")), (200, Some("\"1\"")));
    let now = json!({"plan": "pro", "n": 9_007_199_254_740_993_u64, "x": null});
    assert_eq!(one.json(), json!({"version": 1, "properties": now}));

    let stale = change(&["\"0\""], r#"{"set":{"plan":"free"}}"#);
    assert_eq!((stale.status, stale.header("etag")), (412, Some("\"1\"")));
    assert_eq!((&stale.json()["error"], &stale.json()["properties"]), (&json!("wrong_version"), &now));
    for garbage in [&["1"][..], &["\"x\""], &["W/\"1\""], &["\"1\", \"2\""], &["\"-1\""], &[""], &["\"1\"", "\"1\""], &["*", "*"]]
    {
        let answer = change(garbage, r#"{"set":{"plan":"free"}}"#);
        assert_eq!((answer.status, &answer.json()["error"]), (422, &json!("bad_version")), "{garbage:?}");
    }
    assert_eq!(read().json()["properties"], now, "nothing was changed");
    for tags in [&["\"1\""][..], &["*"], &[]] {
        assert_eq!(change(tags, r#"{"set_once":{"plan":"free"},"remove":["x"]}"#).status, 200, "{tags:?}");
    }
    let last = read().json();
    assert_eq!(last["properties"], json!({"plan": "pro", "n": 9_007_199_254_740_993_u64}));
    assert_eq!(last["version"], 4);
    assert_eq!(ask(&company, "shop", "HEAD", &record, &[], "").header("etag"), Some("\"4\""));
}

#[test]
fn a_change_beyond_a_limit_changes_nothing_and_says_which() {
    let company = company();
    let (_, visitor) = known_on(&company.shop);
    assert_eq!(patch(&company, "shop", &visitor, r#"{"set":{"kept":1}}"#).status, 200);
    let long_key = "k".repeat(129);
    let many: serde_json::Map<_, _> = (0..100).map(|number| (format!("k{number}"), json!(1))).collect();
    let large: serde_json::Map<_, _> = (0..20).map(|number| (format!("k{number}"), json!("x".repeat(1000)))).collect();
    for (body, code, key) in [
        (json!({"set": {"a": 1, "v": "x".repeat(1023)}}), "value_too_large", Some("v")),
        (json!({"set_once": {"d": [[[["deep"]]]]}}), "too_deep", Some("d")),
        (json!({"set": {long_key.clone(): 1}}), "key_too_long", Some(&long_key[..128])),
        (json!({"set": {"token": 1}}), "reserved_key", Some("token")),
        (json!({"set": {"$x": 1}}), "reserved_key", Some("$x")),
        (json!({"remove": ["__proto__"]}), "reserved_key", Some("__proto__")),
        (json!({"set": {"": 1}}), "empty_key", Some("")),
        (json!({"set": {"a\nb": 1}}), "bad_character", Some("a\nb")),
        (json!({"set": {"a": "\u{0}"}}), "bad_character", Some("a")),
        (json!({"set": {"a": 1}, "remove": ["a"]}), "same_key_twice", Some("a")),
        (json!({"set": many}), "too_many_keys", None),
        (json!({"set": large}), "too_large", None),
        (json!({"sett": {}}), "bad_shape", None),
        (json!([]), "bad_shape", None),
        (json!({"remove": [1]}), "bad_shape", None),
    ] {
        let answer = patch(&company, "shop", &visitor, &body.to_string());
        let said = answer.json();
        assert_eq!((answer.status, &said["error"], said["key"].as_str()), (422, &json!(code), key), "{code}: {said}");
        assert!(!said["advice"].as_str().unwrap().contains('\n'), "{said}");
    }
    for body in ["", "{", "nul", "{\"set\":{\"a\":1e999}}", "{\"set\":{}} x", "\u{feff}{}"] {
        let answer = patch(&company, "shop", &visitor, body);
        assert_eq!((answer.status, &answer.json()["error"]), (422, &json!("not_json")), "{body}");
    }
    let record = company.record("shop", &visitor).unwrap();
    assert_eq!((&record["properties"], &record["version"]), (&json!({"kept": 1}), &json!(1)));
}

/// `\\t`, `\\n`, `\\r` and `\\0` in the list stand for the characters themselves.
fn unescape(line: &str) -> String {
    line.replace("\\t", "\t").replace("\\n", "\n").replace("\\r", "\r").replace("\\0", "\0")
}

#[test]
fn a7_no_naughty_string_makes_the_api_fail() {
    let mut company = company();
    let (_, visitor) = known_on(&company.shop);
    let list = include_str!("../data/naughty.txt");
    let key = company.folder.secret("shop").api_key().as_str().to_owned();
    for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
        let string = unescape(line);
        // As a value and, where it may be one, as a key, it comes back as it was.
        let answer = patch(&company, "shop", &visitor, &json!({"set": {"value": string, string.clone(): 1}}).to_string());
        match answer.status {
            200 => assert_eq!(answer.json()["properties"]["value"], json!(string)),
            422 => {}
            other => panic!("{other} for {string:?}"),
        }
        if answer.status == 200 {
            patch(&company, "shop", &visitor, &json!({"remove": [string]}).to_string());
        }
        let raw: String = string.chars().filter(|letter| !letter.is_whitespace() && *letter != '\0').collect();
        let encoded: String = string.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for text in [&raw, &encoded] {
            for (method, target) in [
                ("GET", format!("visitors/{text}")),
                ("PATCH", format!("visitors/{visitor}/{text}")),
                ("PATCH", format!("visitors/{text}/properties")),
                ("GET", format!("revocations?after={text}")),
                ("GET", format!("revocations?{text}")),
                ("POST", text.clone()),
            ] {
                let request = format!(
                    "{method} /_throughline/api/{target} HTTP/1.1\r\nHost: brand.localhost:{}\r\nAuthorization: Bearer {key}\r\n\
                     If-Match: {text}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                    company.broker_port()
                );
                // What is no HTTP may be hung up on.
                let Ok(answer) = wire::send(company.broker_port(), request.as_bytes()) else { continue };
                assert!(answer.status < 500, "{target}: {answer:?}");
            }
            let bearer = format!("Bearer {text}");
            let request = format!(
                "GET /_throughline/api/revocations HTTP/1.1\r\nHost: brand.localhost:{}\r\nAuthorization: {bearer}\r\nConnection: close\r\n\r\n",
                company.broker_port()
            );
            if let Ok(answer) = wire::send(company.broker_port(), request.as_bytes()) {
                assert!([400, 401].contains(&answer.status), "{bearer}: {answer:?}");
            }
        }
        let odd = json!({"reports": [{"kind": "link", "from": string, "token": string, "at": crate::steps::now(), "basis": "implied"}]});
        let answer = ask(&company, "shop", "POST", "reports", &[], &odd.to_string());
        assert_eq!((answer.status, &answer.json()["outcomes"][0]), (200, &json!("unproved")), "{string:?}");
    }
    let said = company.stderr();
    assert!(!said.contains("panicked") && !company.processes.iter_mut().any(|process| process.has_ended()), "{said}");
}
