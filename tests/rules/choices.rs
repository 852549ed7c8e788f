//! C9: a choice that is doubled counts for nothing. C1: a no is taken whatever its body is.

use std::io::Write as _;
use std::net::Shutdown;

use crate::support::browser::{Browser, Cookie};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::wire::{self, Answer};

const FORM: &str = "application/x-www-form-urlencoded";

/// Posts a body of that type from the site's own page.
fn send(browser: &mut Browser, url: &str, content_type: Option<&str>, body: &[u8]) -> Answer {
    let origin = crate::support::address::origin(url).to_owned();
    let mut headers = vec![("Origin", origin), ("Sec-Fetch-Site", "same-origin".to_owned())];
    headers.extend(content_type.map(|kind| ("Content-Type", kind.to_owned())));
    browser.request("POST", url, &headers, body)
}

fn known(company: &Company) -> Browser {
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/p", company.shop));
    assert!(browser.visitor(&company.shop).is_some());
    browser
}

fn is_denied(answer: &Answer) -> bool {
    answer.all("set-cookie").map(Cookie::parse).any(|cookie| cookie.name == "throughline" && cookie.value == "denied")
}

#[test]
fn c9_a_doubled_choice_is_refused_and_sets_nothing() {
    let company = Company::echoing(Setup::required());
    let consent = format!("{}/_throughline/consent", company.shop);
    for (query, kind, body) in [
        ("", FORM, "choice=granted&choice=denied"),
        ("", FORM, "choice=denied&choice=granted"),
        ("", FORM, "choice=granted&choice=granted"),
        ("", FORM, "choice=granted&ch%6fice=denied"),
        ("", FORM, "choice=granted&choice%5B%5D=denied"),
        ("", FORM, "choice=granted&choice[]=denied"),
        ("", FORM, "choice=granted&CHOICE=denied"),
        ("", "Application/X-WWW-Form-Urlencoded; charset=utf-8", "choice=granted&choice=denied"),
        ("?choice=denied", FORM, "choice=granted"),
        ("?choice=granted", FORM, "choice=granted"),
        ("?choice=granted", FORM, ""),
        ("?c%68oice=denied", "application/json", r#"{"choice":"granted"}"#),
        ("", "application/json", r#"{"choice":"granted","choice":"denied"}"#),
        ("", "application/json", r#"{"choice":"denied","choice":"granted"}"#),
        ("", "application/json", r#"{"choice":"granted","choice":"granted"}"#),
        ("", "application/json", r#"{"choice":"granted","\u0063hoice":"denied"}"#),
        ("", "application/json", r#"{"choice":["granted"]}"#),
        ("", "application/json", r#"[["choice","granted"]]"#),
        ("", "application/json", r#"["granted"]"#),
        ("", "application/json", "\u{feff}{\"choice\":\"granted\"}"),
        ("", "application/json", r#"{"choice":"granted"} x"#),
        ("", "application/json", "choice=granted"),
        ("", FORM, r#"{"choice":"granted"}"#),
        ("", "text/plain", "choice=granted"),
        (
            "",
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"choice\"\r\n\r\ngranted\r\n--x--\r\n",
        ),
    ] {
        let mut browser = Browser::new();
        let answer = send(&mut browser, &format!("{consent}{query}"), Some(kind), body.as_bytes());
        assert_eq!((answer.status, answer.header("set-cookie")), (422, None), "{query} {kind} {body}: {answer:?}");
        assert_eq!(browser.me(&company.shop)["consent"], "unknown", "{query} {kind} {body}");
    }
    // Two types: neither can be chosen.
    let headers = [
        ("Origin", company.shop.clone()),
        ("Sec-Fetch-Site", "same-origin".to_owned()),
        ("Content-Type", FORM.to_owned()),
        ("Content-Type", "application/json".to_owned()),
    ];
    for (body, status) in [("choice=granted", 422), (r#"{"choice":"granted"}"#, 422), ("choice=denied", 200)] {
        assert_eq!(Browser::new().request("POST", &consent, &headers, body.as_bytes()).status, status, "{body}");
    }
}

#[test]
fn c1_a_no_by_form_is_taken_whatever_page_it_wants_to_go_back_to() {
    let company = Company::echoing(Setup::default());
    for (endpoint, choice) in [("consent", "choice=denied&"), ("forget", "")] {
        for (length, is_front) in
            [(100, false), (2_000, false), (2_450, false), (3_000, true), (8_000, true), (60_000, true), (200_000, true)]
        {
            let mut browser = known(&company);
            let page = format!("/p?x={}", "%C3%A9".repeat(length / 6));
            let encoded: String = url::form_urlencoded::byte_serialize(page.as_bytes()).collect();
            let body = format!("{choice}return={encoded}");
            let answer = send(&mut browser, &format!("{}/_throughline/{endpoint}", company.shop), Some(FORM), body.as_bytes());
            let expected = if is_front { format!("{}/", company.shop) } else { format!("{}{page}", company.shop) };
            assert_eq!((answer.status, answer.header("location")), (303, Some(expected.as_str())), "{endpoint}, {length}");
            assert!(is_denied(&answer), "{endpoint}, {length}");
            assert_eq!(browser.visitor(&company.shop), None, "{endpoint}, {length}");
        }
    }
    // A yes of that length can be asked for again.
    let body = format!("choice=granted&return=%2F{}", "a".repeat(70_000));
    let answer = send(&mut Browser::new(), &format!("{}/_throughline/consent", company.shop), Some(FORM), body.as_bytes());
    assert_eq!((answer.status, answer.header("set-cookie")), (413, None));
}

#[test]
fn c1_forgetting_needs_no_body() {
    let company = Company::echoing(Setup::default());
    let forget = format!("{}/_throughline/forget", company.shop);
    let large = vec![b'x'; 150_000];
    for (kind, body) in [
        (None, &b""[..]),
        (None, b"{}"),
        (Some("application/json"), b"[[["),
        (Some("application/json"), b"\xff\xfe"),
        (Some("application/json"), &large),
        (Some(FORM), &large),
        (Some(FORM), b"choice=granted"),
        (Some("text/plain"), b"hello"),
        (Some("multipart/form-data; boundary=x"), b"--x--"),
        (Some(""), b"{}"),
    ] {
        let mut browser = known(&company);
        let answer = send(&mut browser, &forget, kind, body);
        assert!([200, 303].contains(&answer.status) && is_denied(&answer), "{kind:?}: {answer:?}");
        assert_eq!(browser.visitor(&company.shop), None, "{kind:?}");
    }
    for (kind, body) in [(None, "choice=denied"), (Some("text/plain"), "choice=denied"), (None, r#"{"choice":"denied"}"#)] {
        let mut browser = known(&company);
        let answer = send(&mut browser, &format!("{}/_throughline/consent", company.shop), kind, body.as_bytes());
        assert!(answer.status == 200 && is_denied(&answer), "{kind:?} {body}: {answer:?}");
    }
}

/// The browser is gone before its body was whole. What it said still counts.
#[test]
fn c1_a_no_that_was_cut_off_ends_the_id() {
    let company = Company::echoing(Setup::default());
    let port = company.port();
    for (endpoint, sent) in [("forget", ""), ("consent", "choice=denied&return=%2F")] {
        let mut browser = known(&company);
        let cookie = browser.cookie(&company.shop, "throughline").unwrap().to_owned();
        let head = format!(
            "POST /_throughline/{endpoint} HTTP/1.1\r\nHost: shop.localhost:{port}\r\nOrigin: {}\r\nSec-Fetch-Site: same-origin\r\n\
             Content-Type: {FORM}\r\nContent-Length: 4000\r\nCookie: throughline={cookie}\r\n\r\n{sent}",
            company.shop
        );
        let mut stream = wire::connect(port).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // Whether there is still an answer does not matter.
        drop(wire::receive(&mut stream, false));
        let is_gone = || browser.visitor(&company.shop).is_none();
        crate::support::process::wait_until("the ID is gone", || false, is_gone)
            .unwrap_or_else(|problem| panic!("{endpoint}: {problem}"));
    }
}

/// What a browser sends of itself from the site's own page, and from others.
#[test]
fn c1_a_no_is_taken_from_the_sites_own_pages_alone() {
    let company = Company::echoing(Setup::default());
    let url = |endpoint: &str| format!("{}/_throughline/{endpoint}", company.shop);
    let own = format!("{}/p", company.shop);
    for (site, origin, referrer, is_taken) in [
        (Some("same-origin"), Some(company.shop.as_str()), None, true),
        (Some("same-origin"), Some("null"), None, true),
        (None, Some(company.shop.as_str()), None, true),
        (None, Some("null"), Some(own.as_str()), true),
        (None, None, Some(&own), true),
        (None, Some("null"), None, false),
        (None, None, None, false),
        (None, Some("null"), Some("http://evil.localhost/"), false),
        (None, Some("http://evil.localhost"), Some(&own), false),
        (Some("cross-site"), Some("null"), Some(&own), false),
        (Some("cross-site"), Some(company.shop.as_str()), Some(&own), false),
        (Some("same-site"), Some("null"), Some(&own), false),
        (Some("none"), None, Some(&own), false),
        (Some(""), Some("null"), Some(&own), false),
    ] {
        let mut headers = vec![("Content-Type", FORM.to_owned())];
        headers.extend(site.map(|value| ("Sec-Fetch-Site", value.to_owned())));
        headers.extend(origin.map(|value| ("Origin", value.to_owned())));
        headers.extend(referrer.map(|value| ("Referer", value.to_owned())));
        for (endpoint, body) in [("consent", "choice=denied"), ("forget", "")] {
            let answer = Browser::new().request("POST", &url(endpoint), &headers, body.as_bytes());
            let expected = if is_taken { 200 } else { 403 };
            assert_eq!((answer.status, is_denied(&answer)), (expected, is_taken), "{endpoint} {headers:?}");
        }
    }
}
