//! U: where a redirect may lead. Whatever is asked, and whoever signed it: to a registered origin.

use crate::lists::return_urls_refused;
use crate::sign::{encode, hop_pairs, hop_url, signed};
use crate::support::address::origin;
use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::wire::{self, Answer};

/// All headers that a redirect of ours may have.
const KNOWN_HEADERS: [&str; 10] = [
    "cross-origin-opener-policy",
    "location",
    "cache-control",
    "x-robots-tag",
    "vary",
    "set-cookie",
    "content-length",
    "date",
    "content-type",
    "connection",
];

fn assert_harmless(answer: &Answer, company: &Company, what: &str) {
    assert!(answer.status < 500, "{what}: {answer:?}");
    assert!(answer.all("location").count() <= 1, "{what}");
    if let Some(location) = answer.header("location") {
        assert!(
            [&company.brand, &company.shop, &company.learn].iter().any(|known| origin(location) == *known),
            "{what}: {location}"
        );
        for (name, _) in &answer.headers {
            assert!(KNOWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()), "{what} added {name}");
        }
    }
}

#[test]
fn u1_u2_no_return_url_leads_elsewhere_even_when_signed() {
    let company = Company::echoing(Setup::default());
    let front = format!("{}/?_tl=", company.shop);
    let control = signed(&company, &hop_pairs(&company, &format!("{}/p?q=//x@y", company.shop)));
    let control = Browser::new().step(&hop_url(&company, &control), None);
    assert!(control.header("location").unwrap().starts_with(&format!("{}/p?q=//x@y&_tl=ey", company.shop)), "{control:?}");
    for url in return_urls_refused(&company) {
        let pairs = hop_pairs(&company, &url);
        for query in [signed(&company, &pairs), pairs] {
            let answer = Browser::new().step(&hop_url(&company, &query), None);
            assert_harmless(&answer, &company, &url);
            assert_eq!(
                (answer.status, answer.header("location"), answer.header("set-cookie")),
                (302, Some(front.as_str()), None),
                "{url:?}"
            );
        }
    }
}

/// Not encoded once but not at all, or twice: whatever can travel in a request line.
#[test]
fn u1_u2_other_layers_of_encoding_lead_nowhere_either() {
    let company = Company::echoing(Setup::default());
    for url in return_urls_refused(&company) {
        let (head, _) =
            hop_pairs(&company, "x").split_once("return=").map(|(head, page)| (head.to_owned(), page.to_owned())).unwrap();
        let mut layers = vec![format!("{head}return={}", encode(&encode(&url)))];
        if url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            layers.push(format!("{head}return={url}"));
        }
        for pairs in layers {
            for query in [signed(&company, &pairs), pairs] {
                let answer = Browser::new().step(&hop_url(&company, &query), None);
                assert_harmless(&answer, &company, &query);
                if let Some(location) = answer.header("location") {
                    assert!(location.ends_with("_tl="), "{url:?}: {location}");
                    assert_eq!(answer.header("set-cookie"), None, "{url:?}");
                }
            }
        }
    }
}

/// On the satellite it is the request line itself that an attacker writes.
#[test]
fn u1_u2_no_request_line_makes_the_satellite_lead_elsewhere() {
    let company = Company::echoing(Setup::default());
    let host = company.shop.strip_prefix("http://").unwrap();
    let mut redirected = 0;
    let mut targets: Vec<_> = return_urls_refused(&company).into_iter().map(|url| url.replacen(&company.shop, "", 1)).collect();
    targets.extend(
        [
            "//evil.localhost/p",
            "/\\evil.localhost",
            "/p\rSet-Cookie: x",
            "/p?_tl=\r\nX: y",
            "*",
            "http://evil.localhost/p",
            "//evil.localhost/?_tl=",
        ]
        .map(String::from),
    );
    for target in targets {
        for parameter in ["", "?_tl=", "?_tl=x&y"] {
            for cookie in ["", "Cookie: throughline=probe\r\n"] {
                let request = format!(
                    "GET {target}{parameter} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Firefox\r\nAccept: text/html\r\n\
                     Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n{cookie}Connection: close\r\n\r\n"
                );
                let Ok(answer) = wire::send(company.port(), request.as_bytes()) else { continue };
                assert_harmless(&answer, &company, &request);
                if let Some(location) = answer.header("location") {
                    redirected += 1;
                    assert!(
                        !location.contains("return=http%3A%2F%2Fevil") && !location[8..].contains("//"),
                        "{request}: {location}"
                    );
                }
            }
        }
    }
    assert!(redirected > 10, "{redirected}: some are plain pages");
}

#[test]
fn u3_the_registered_origins_bytes_are_used_not_the_requests() {
    let company = Company::echoing(Setup::default());
    let host = company.shop.strip_prefix("http://").unwrap();
    for host in [host.to_uppercase(), host.replace("shop", "sHoP")] {
        let request = format!(
            "GET /p?_tl=x&y=%c3%A4 HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Firefox\r\nAccept: text/html\r\nSec-Fetch-Dest: document\r\n\
             Sec-Fetch-Mode: navigate\r\nCookie: throughline=probe\r\n\r\n"
        );
        let answer = wire::send(company.port(), request.as_bytes()).unwrap();
        assert_eq!(answer.header("location"), Some(format!("{}/p?y=%c3%A4", company.shop).as_str()), "{host}");
    }
}
