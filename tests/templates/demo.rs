//! The demo's pages and its collector, as somebody who means harm would use them.

use crate::support::process::{Process, free_port, wait_until};
use crate::support::wire::{Answer, connect, send};

/// As a client says it: in a path, a header, a query, an event.
const HOSTILE: &str = "\"'><script>alert(1)</script>{{7777*7777}}";

struct Demo {
    port: u16,
    process: Process,
}

impl Demo {
    fn start() -> Self {
        let port = free_port();
        let mut demo = Self { port, process: Process::demo(port) };
        wait_until("the demo listens", || demo.process.has_ended(), || connect(port).is_ok())
            .unwrap_or_else(|problem| panic!("{problem}"));
        demo
    }

    fn ask(&self, method: &str, host: &str, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}.localhost:{}\r\nContent-Length: {length}\r\n", self.port);
        send(self.port, format!("{head}{headers}\r\n{body}").as_bytes()).expect("an answer")
    }

    fn send(&self, path: &str, headers: &str, body: &str) -> u16 {
        self.ask("POST", "shop", path, headers, body).status
    }

    fn received(&self, query: &str) -> serde_json::Value {
        let answer = self.ask("GET", "learn", &format!("/demo/received{query}"), "", "");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
        answer.json()
    }
}

#[test]
fn a7_the_demos_pages_escape_what_a_client_says() {
    let demo = Demo::start();
    // A path with angle brackets does not come this far.
    for path in ["/'{{7777*7777}}&lt;", "/p?x='{{7777*7777}}", "/p?control&x='{{7777*7777}}&lt;", "//'{{7777*7777}}"] {
        let answer = demo.ask("GET", "shop", path, &format!("Referer: http://x/{HOSTILE}\r\n"), "");
        let text = answer.text();
        assert_eq!(answer.status, 200, "{path}: {text}");
        assert!(text.contains("alert(1)"), "nothing is shown that could be escaped: {text}");
        for raw in ["<script>alert", "'>", "='{{", "60481729"] {
            assert!(!text.contains(raw), "{raw} in {text}");
        }
        // What is not escaped by mistake is not run either.
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'sha256-"), "{policy}");
    }
}

#[test]
fn a5_a7_the_demos_collector_takes_what_is_small_and_its_own() {
    let demo = Demo::start();
    let event =
        serde_json::json!({ "event": HOSTILE, "anonymousId": HOSTILE, "properties": { "plan": "x".repeat(5000) } }).to_string();
    assert_eq!(demo.send("/demo/collect/with/segment/t", "Sec-Fetch-Site: same-origin\r\n", &event), 200);
    let received = demo.received("");
    let row = &received["rows"][0];
    assert_eq!((row["site"].as_str(), row["event"].as_str(), row["id"].as_str()), (Some("shop"), Some(HOSTILE), Some(HOSTILE)));
    assert_eq!(row["plan"].as_str().map(str::len), Some(200));

    for (path, headers, status) in [
        ("/demo/collect/with/segment", "Sec-Fetch-Site: cross-site\r\n", 403),
        ("/demo/collect/with/segment", "Sec-Fetch-Site: same-site\r\n", 403),
        ("/demo/collect/with/nobody", "", 404),
        ("/demo/collect/perhaps/segment", "", 404),
        ("/demo/collect/with/segment?%00=%ff", "", 200),
    ] {
        assert_eq!(demo.send(path, headers, &event), status, "{path} {headers}");
    }
    assert_eq!(demo.send("/demo/collect/with/segment", "", &"x".repeat(65 * 1024)), 413);
    for nonsense in ["", "{", "[[]]", "data=%%%", "\0\u{1}", "[null,1,\"x\",{}]"] {
        assert_eq!(demo.send("/demo/collect/without/mixpanel", "", nonsense), 200, "{nonsense:?}");
    }
    assert_eq!(demo.received("")["total"], 2, "what was refused, and what is no event, is not in the table");
    assert_eq!(demo.received("?after=2")["rows"], serde_json::json!([]));
    for host in ["news", "evil"] {
        assert_eq!(demo.ask("GET", host, "/demo/received", "", "").status, 421);
        assert_eq!(demo.ask("POST", host, "/demo/collect/with/segment", "", &event).status, 421);
        assert_eq!(demo.ask("GET", host, "/demo/libraries/segment.js", "", "").status, 421);
    }
}

#[test]
fn the_demos_libraries_come_with_their_licences() {
    let demo = Demo::start();
    let notice = demo.ask("GET", "shop", "/demo/libraries/NOTICE", "", "").text();
    for (file, package) in [
        ("analytics", "analytics"),
        ("jitsu", "@jitsu/js"),
        ("mixpanel", "mixpanel-browser"),
        ("plausible", "@plausible-analytics/tracker"),
        ("segment", "@segment/analytics-next"),
        ("snowplow", "@snowplow/browser-tracker"),
    ] {
        let script = demo.ask("GET", "shop", &format!("/demo/libraries/{file}.js"), "", "");
        assert_eq!((script.status, script.header("content-type")), (200, Some("text/javascript; charset=utf-8")), "{file}");
        assert!(notice.contains(&format!("\n== {package} ")), "{package}");
    }
    for nothing in ["/demo/libraries/nobody.js", "/demo/libraries/", "/demo/", "/demo/libraries/../page.js"] {
        assert_eq!(demo.ask("GET", "shop", nothing, "", "").status, 404, "{nothing}");
    }
}
