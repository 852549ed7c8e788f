//! Each proxy is told in its own words what the middleware would have done itself (F1, F3).

use std::sync::{Arc, Mutex};

use throughline::http::event::{Event, Observer};

use crate::asking::{NAVIGATION, PROXIES, Proxy};
use crate::support::browser::{Browser, Cookie};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::wire;
use crate::world::authority;

const TRUSTING: &str = "trusted_proxies = [\"127.0.0.1\"]";

fn trusting() -> Setup {
    Setup { listen_lines: TRUSTING, ..Setup::default() }
}

/// Headers of a person of their own, with these cookies.
fn person(number: usize, cookies: &[Cookie]) -> String {
    let pairs: Vec<_> = cookies.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
    let cookies = if pairs.is_empty() { String::new() } else { format!("Cookie: {}\r\n", pairs.join("; ")) };
    format!("{NAVIGATION}Accept-Language: en,x-{number};q=0.5\r\n{cookies}")
}

fn parsed(cookies: &[String]) -> Vec<Cookie> {
    cookies.iter().map(|line| Cookie::parse(line)).filter(|cookie| cookie.max_age() != Some(0)).collect()
}

/// The whole hop: start, broker, exchange, page; then the token once more.
#[test]
fn f3_a_hop_in_each_dialect() {
    let company = Company::start(trusting());
    let (port, host) = (company.port(), authority(&company.shop));
    for (number, proxy) in PROXIES.into_iter().enumerate() {
        let start = proxy.ask(port, &host, "GET", "/p?x=1", &person(number, &[]));
        let (status, location, cookies) = proxy.outcome(&start);
        assert_eq!((status, cookies.len()), (302, 2), "{proxy:?}: {start:?}");
        assert_eq!((start.header("cache-control"), start.header("referrer-policy")), (Some("no-store"), None));
        assert!(start.header("vary").is_some_and(|vary| vary.contains("Sec-Fetch-Dest")), "{start:?}");
        let location = location.expect("a location");
        assert!(location.starts_with(&format!("{}/_throughline/hop?", company.brand)), "absolute: {location}");

        let back = Browser::new().step(&location, None);
        let back = back.header("location").and_then(|back| back.strip_prefix(company.shop.as_str())).expect("back to the shop");
        let travelling = person(number, &parsed(&cookies));
        let arrival = proxy.ask(port, &host, "GET", back, &travelling);
        let (status, location, cookies) = proxy.outcome(&arrival);
        assert_eq!((status, location), (303, Some(format!("{}/p?x=1", company.shop))), "{proxy:?}: {arrival:?}");
        assert_eq!(cookies.len(), 2, "the ID, and the end of the hop: {cookies:?}");

        let known = parsed(&cookies);
        let page = proxy.ask(port, &host, "GET", "/p?x=1", &person(number, &known));
        assert_eq!(page.status, proxy.yes(), "{proxy:?}: {page:?}");
        let visitor = page.header("x-throughline-visitor").expect("a visitor");
        assert!(known[0].value.contains(visitor) && visitor.len() == 36, "{visitor}");
        assert_eq!((page.header("x-throughline-source"), page.header("set-cookie")), (Some("broker"), None));
        assert!(page.body.is_empty() && page.header("x-throughline-cookie-1").is_none());

        let again = proxy.ask(port, &host, "GET", back, &travelling);
        let (status, _, cookies) = proxy.outcome(&again);
        assert_eq!((status, cookies.len()), (303, 0), "a token counts once: {again:?}");
    }
}

/// Both headers are always there: an empty one replaces what a client sent.
#[test]
fn f3_whoever_is_not_to_hop_gets_the_page() {
    let company = Company::start(trusting());
    let (port, host) = (company.port(), authority(&company.shop));
    for proxy in PROXIES {
        for (method, target, lines) in [
            ("POST", "/p", NAVIGATION),
            ("GET", "/assets/x.css", "Sec-Fetch-Dest: style\r\nSec-Fetch-Mode: no-cors\r\n"),
            ("GET", "/p", ""),
            ("HEAD", "/p", NAVIGATION),
            ("DELETE", "/api/x", "Authorization: Basic eA==\r\nX-Throughline-Visitor: forged\r\n"),
        ] {
            let answer = proxy.ask(port, &host, method, target, lines);
            assert_eq!(answer.status, proxy.yes(), "{proxy:?} {method} {target}: {answer:?}");
            assert_eq!((answer.header("x-throughline-visitor"), answer.header("x-throughline-source")), (Some(""), Some("")));
            assert_eq!((answer.header("set-cookie"), answer.header("cache-control")), (None, Some("no-store")));
        }
        // A browser that brings no cookie from one of the site's own pages is given one to try (S16), beside the page.
        let probed = NAVIGATION.replace("Site: none", "Site: same-origin");
        let answer = proxy.ask(port, &host, "GET", "/p", &format!("{probed}Accept-Language: {proxy:?}\r\n"));
        let cookie = if proxy == Proxy::Nginx { "x-throughline-cookie-1" } else { "set-cookie" };
        assert_eq!(answer.status, proxy.yes());
        assert!(answer.header(cookie).is_some_and(|cookie| cookie.starts_with("throughline=probe;")), "{answer:?}");
    }
}

#[test]
fn f3_r7_early_data_is_asked_for_again() {
    let company = Company::start(trusting());
    let host = authority(&company.shop);
    for proxy in PROXIES {
        let answer = proxy.ask(company.port(), &host, "GET", "/p?_tl=x", &format!("{NAVIGATION}Early-Data: 1\r\n"));
        assert_eq!(proxy.outcome(&answer), (425, None, Vec::new()), "{answer:?}");
    }
}

/// Pages fail open: where it is not clear what was asked for, there is no ID, and no guess.
#[test]
fn f1_what_is_unclear_is_served_without_an_id() {
    let company = Company::start(trusting());
    let (port, host) = (company.port(), authority(&company.shop));
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/p", company.shop));
    let cookie = format!("Cookie: throughline={}\r\n", browser.cookie(&company.shop, "throughline").expect("a local cookie"));
    for proxy in [Proxy::Nginx, Proxy::Caddy, Proxy::Traefik] {
        let good = proxy.request(port, &host, "GET", "/p", &cookie);
        let asked = |request: &str| wire::send(port, request.as_bytes()).expect("an answer");
        assert_eq!(asked(&good).header("x-throughline-visitor").map(str::len), Some(36), "{proxy:?}");
        for (from, to) in [
            ("X-Forwarded-Host: ", "X-Forwarded-Host: evil.example\r\nX-Forwarded-Host: "),
            ("X-Forwarded-Uri: ", "X-Forwarded-Uri: /evil\r\nx-forwarded-uri: "),
            ("X-Forwarded-Method: ", "X-Forwarded-Method: POST\r\nX-FORWARDED-METHOD: "),
            ("X-Forwarded-Uri: ", "X_Forwarded_Uri: "),
            ("X-Forwarded-Method: ", "X_Forwarded_Method: "),
            ("X-Forwarded-Uri: /p", "X-Forwarded-Uri: http://evil.example/p"),
            ("X-Forwarded-Uri: /p", "X-Forwarded-Uri: "),
            ("X-Forwarded-Method: GET", "X-Forwarded-Method: G E T"),
        ] {
            assert!(good.contains(from));
            let answer = asked(&good.replacen(from, to, 1));
            assert_eq!(answer.status, proxy.yes(), "{proxy:?} {to}: {answer:?}");
            assert_eq!(answer.header("x-throughline-visitor"), Some(""), "{proxy:?} {to}: {answer:?}");
        }
    }
}

/// What happened, as pairs of step and code.
#[derive(Default)]
struct Seen(Mutex<Vec<(&'static str, &'static str)>>);

impl Observer for Seen {
    fn saw(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push((event.step.as_str(), event.code));
    }
}

#[test]
fn f1_only_a_configured_proxy_is_answered() {
    for listen_lines in ["", "trusted_proxies = [\"192.0.2.0/24\", \"::1\"]"] {
        let seen = Arc::new(Seen::default());
        let observer = Arc::clone(&seen);
        let company = Company::echoing_with(Setup { listen_lines, ..Setup::default() }, |node| node.env.observer = observer);
        let (port, host) = (company.port(), authority(&company.shop));
        let nothing = wire::send(port, format!("GET /_throughline/nothing HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
        seen.0.lock().unwrap().clear();
        for proxy in [Proxy::Nginx, Proxy::Caddy, Proxy::Envoy] {
            let lines = format!("{NAVIGATION}X-Forwarded-For: 192.0.2.1\r\n");
            let answer = proxy.ask(port, &host, "GET", "/p", &lines);
            assert_eq!((answer.status, answer.text()), (404, nothing.text()), "{proxy:?}");
            assert_eq!(std::mem::take(&mut *seen.0.lock().unwrap()), [("forward", "wrong_peer")]);
        }
        // Under a host that is none of the sites, it is a page of the application like any other, and counted all the same.
        let answer = Proxy::Traefik.ask(port, &host, "GET", "/p", "");
        assert_eq!((answer.status, answer.header("x-throughline-visitor")), (200, None));
        assert_eq!(*seen.0.lock().unwrap(), [("forward", "wrong_peer")]);
    }
}
