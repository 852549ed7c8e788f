//! The demo's pages and its collector, as somebody who means harm would use them.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

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

    /// Asks for a page by the whole `Host`.
    fn at(&self, host: &str, path: &str) -> Answer {
        send(self.port, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).expect("an answer")
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

#[test]
fn this_machines_own_names_lead_on_to_the_demos_hosts() {
    let demo = Demo::start();
    let port = demo.port;
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}"), "localhost".into()] {
        let answer = demo.at(&host, "/");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")), "{host}");
        for name in ["news", "shop", "learn", "brand"] {
            assert!(answer.text().contains(&format!("href=\"http://{name}.localhost:{port}/\"")), "{host}: {}", answer.text());
        }
    }
    for (host, path) in [("localhost", "/products"), ("localhost.evil", "/"), ("evil.localhost", "/")] {
        let answer = demo.at(&format!("{host}:{port}"), path);
        assert_eq!(answer.status, 421, "{host}{path}");
        assert!(answer.text().contains(&format!("Begin at http://news.localhost:{port}/")), "{}", answer.text());
    }
}

#[test]
fn a_demo_on_port_0_prints_where_it_really_is() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_throughline"));
    let mut child = command.args(["demo", "--port", "0"]).stdout(Stdio::piped()).spawn().expect("the program starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let printed: Vec<_> = lines.take_while(|line| !line.starts_with("Stop it")).collect();
    let news = printed.iter().find_map(|line| line.trim().strip_prefix("http://news.localhost:")?.split('/').next());
    let port = news.and_then(|port| port.parse::<u16>().ok()).filter(|port| *port != 0);
    let answers = port.and_then(|port| {
        let request = format!("GET / HTTP/1.1\r\nHost: shop.localhost:{port}\r\n\r\n");
        send(port, request.as_bytes()).ok()
    });
    let _ = child.kill();
    let _ = child.wait();
    assert!(port.is_some(), "{printed:?}");
    assert_eq!(printed.iter().filter(|line| line.contains(&format!(".localhost:{}/", port.unwrap_or(0)))).count(), 4);
    assert_eq!(answers.map(|answer| answer.status), Some(200));
}

#[test]
fn a_demo_in_two_processes_needs_its_ports_named() {
    for (arguments, hint) in
        [(&["--port", "0", "--broker-port", "8500"][..], "same --port"), (&["--broker-port", "0"], "1..=65535")]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_throughline")).arg("demo").args(arguments).output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains(hint), "{arguments:?}: {stderr}");
    }
}
