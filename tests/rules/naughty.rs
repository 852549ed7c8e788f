//! A7: naughty strings, wherever a client can write something.

use crate::lists::unescape;
use crate::sign::{hop_pairs, signed};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::wire;

fn strings() -> Vec<Vec<u8>> {
    let list = include_str!("../data/naughty.txt");
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    let mut strings: Vec<_> = lines.map(|line| unescape(line).into_bytes()).collect();
    assert!(strings.len() > 60, "{}", strings.len());
    // What no text file holds.
    strings.extend([
        vec![0xff, 0xfe],
        vec![0xc0, 0xaf],
        vec![0xed, 0xa0, 0x80],
        vec![0x80; 40],
        b"a".repeat(5000),
        b"%".repeat(3000),
        b"&".repeat(3000),
    ]);
    strings
}

fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}

/// Sends it as it is. A server may refuse bytes that are not HTTP, and hang up; it may not fail.
fn assert_no_failure(company: &Company, head: &[u8], body: &[u8]) {
    let mut request = head.to_vec();
    request.extend_from_slice(format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()).as_bytes());
    request.extend_from_slice(body);
    let Ok(answer) = wire::send(company.port(), &request) else { return };
    let shown = String::from_utf8_lossy(&request[..request.len().min(600)]).into_owned();
    assert!(answer.status < 500, "{shown}: {answer:?}");
    for name in ["x-injected", "refresh"] {
        assert_eq!(answer.header(name), None, "{shown}");
    }
    assert!(answer.all("set-cookie").all(|line| line.starts_with("throughline")), "{shown}: {answer:?}");
}

fn head(company: &Company, site: &str, method: &str, target: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} ").into_bytes();
    head.extend_from_slice(target);
    head.extend_from_slice(format!(" HTTP/1.1\r\nHost: {site}.localhost:{}\r\n", company.port()).as_bytes());
    head
}

const NAVIGATION: &str = "User-Agent: Firefox\r\nAccept: text/html\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n";

#[test]
fn a7_no_naughty_string_makes_us_fail() {
    let mut company = Company::start(Setup { log: "debug", ..Setup::with_whoami() });
    let good_hop = signed(&company, &hop_pairs(&company, &format!("{}/p", company.shop)));
    let strings = strings();
    for string in &strings {
        let encoded = encode(string);
        let raw: Vec<u8> = string.clone();
        let with = |before: &str, value: &[u8], after: &str| [before.as_bytes(), value, after.as_bytes()].concat();

        // In paths and parameters, encoded and as it is.
        for value in [encoded.as_bytes(), raw.as_slice()] {
            for (site, target) in [
                ("shop", with("/", value, "")),
                ("shop", with("/p?x=", value, "")),
                ("shop", with("/p?_tl=", value, "&x=1")),
                ("shop", with("/p?", value, "&_tl=")),
                ("shop", with("/_throughline/go?to=", value, "")),
                ("shop", with("/_throughline/", value, "")),
                ("brand", with("/_throughline/hop?site=", value, "")),
                ("brand", with(&format!("/_throughline/hop?{good_hop}"), value, "")),
                ("brand", with("/_throughline/whoami?", value, "")),
                ("brand", with("/", value, "?_tl=x")),
            ] {
                let mut request = head(&company, site, "GET", &target);
                request.extend_from_slice(NAVIGATION.as_bytes());
                assert_no_failure(&company, &request, b"");
            }
        }
        for name in ["v", "site", "flow", "iat", "consent", "return", "sig"] {
            let pairs: Vec<_> = good_hop
                .split('&')
                .map(|pair| if pair.starts_with(&format!("{name}=")) { format!("{name}={encoded}") } else { pair.to_owned() })
                .collect();
            let resigned = signed(&company, &pairs[..pairs.len() - 1].join("&"));
            for query in [pairs.join("&"), resigned] {
                let mut request = head(&company, "brand", "GET", format!("/_throughline/hop?{query}").as_bytes());
                request.extend_from_slice(NAVIGATION.as_bytes());
                assert_no_failure(&company, &request, b"");
            }
        }
        // In headers and cookies.
        for name in [
            "Referer",
            "Origin",
            "User-Agent",
            "Accept",
            "Accept-Language",
            "Sec-Fetch-Site",
            "Sec-GPC",
            "Sec-Purpose",
            "Early-Data",
            "X-Forwarded-For",
            "X-Throughline-Visitor",
            "Content-Type",
            "Range",
        ] {
            for (site, target) in [("shop", "/p?_tl=x"), ("shop", "/_throughline/me"), ("brand", "/_throughline/whoami")] {
                let mut request = head(&company, site, "GET", target.as_bytes());
                request.extend(with(&format!("{NAVIGATION}{name}: "), string, "\r\n"));
                assert_no_failure(&company, &request, b"");
            }
        }
        for cookie in ["throughline=", "throughline-hop=", "a=b; throughline=1.b.", "", "throughline=probe; "] {
            for (site, target) in [
                ("shop", "/p".to_owned()),
                ("shop", "/p?_tl=x".into()),
                ("brand", "/".into()),
                ("brand", format!("/_throughline/hop?{good_hop}")),
            ] {
                let mut request = head(&company, site, "GET", target.as_bytes());
                request.extend(with(&format!("{NAVIGATION}Cookie: {cookie}"), string, "\r\n"));
                assert_no_failure(&company, &request, b"");
            }
        }
        // In bodies.
        let json = serde_json::to_string(&String::from_utf8_lossy(string)).unwrap();
        for (kind, body) in [
            ("application/json", raw.clone()),
            ("application/json", format!(r#"{{"choice":{json},"token":{json}}}"#).into_bytes()),
            ("application/json", format!(r#"{{"token":{json}}}"#).into_bytes()),
            ("application/x-www-form-urlencoded", format!("choice=denied&return={encoded}").into_bytes()),
            ("application/x-www-form-urlencoded", with("choice=granted&return=", string, "")),
        ] {
            for path in ["consent", "forget", "exchange"] {
                let mut request = head(&company, "shop", "POST", format!("/_throughline/{path}").as_bytes());
                request.extend_from_slice(format!("Sec-Fetch-Site: same-origin\r\nContent-Type: {kind}\r\n").as_bytes());
                assert_no_failure(&company, &request, &body);
            }
        }
    }
    assert_eq!(
        wire::send(company.port(), &[head(&company, "shop", "GET", b"/p.html").as_slice(), b"\r\n"].concat()).unwrap().status,
        200
    );

    company.processes[0].kill();
    let said = company.stderr();
    assert!(said.lines().count() > 1000, "the log is at debug level: {said}");
    for line in said.lines() {
        // A time, a level, a target: what a client wrote began no line of its own.
        let begins_well = line.len() > 30 && line.starts_with("20") && line.as_bytes()[4] == b'-' && line.as_bytes()[19] == b'.';
        assert!(begins_well, "{line:?}");
        assert!(line.bytes().all(|byte| byte >= 0x20 && byte != 0x7f), "{line:?}");
    }
    assert!(!said.contains("X-Injected") && !said.contains("panicked"), "{said}");
}
