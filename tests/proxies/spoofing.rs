//! What reaches the application is what the satellite said, whatever a client sends (F1, F2, F5).

use crate::running::App;
use crate::support::address::port;
use crate::support::browser::Browser;
use crate::support::wire;
use crate::world::{Behind, OTHER, USUAL, World, ask, authority, shown};

/// Names that some server, gateway or framework takes for ours.
pub(crate) const SPELLINGS: [&str; 16] = [
    "X-Throughline-Visitor",
    "x-throughline-visitor",
    "X-THROUGHLINE-VISITOR",
    "x-ThroughLine-viSitor",
    "X_Throughline_Visitor",
    "x_throughline_visitor",
    "X-Throughline_Visitor",
    "X_Throughline-Visitor",
    "X_THROUGHLINE_VISITOR",
    "X.Throughline.Visitor",
    "X-Throughline-Source",
    "x-throughline-source",
    "X-THROUGHLINE-SOURCE",
    "X_Throughline_Source",
    "X-Throughline_Source",
    "X_Throughline-Source",
];

fn forged() -> String {
    SPELLINGS.map(|name| format!("{name}: forged\r\n{name}: forged-twice\r\n")).concat()
}

/// Every spelling at once, each alone, on every method, and before `Host` too: nothing of it is in what the application saw.
fn nothing_forged_arrives(site: &str, cookie: &str) {
    let mut sets: Vec<_> = SPELLINGS.map(|name| format!("{name}: forged\r\n")).into();
    sets.push(forged());
    for lines in sets {
        for method in ["GET", "POST"] {
            let answer = ask(site, method, "/seen?x=1", &format!("{lines}{cookie}Content-Length: 0\r\n"), b"");
            assert_eq!(answer.status, 200, "{method} {site}: {answer:?}");
            assert!(!answer.text().contains("forged"), "{method} {site} {lines}: {}", answer.text());
        }
        let host = authority(site);
        let request = format!("GET /seen HTTP/1.1\r\n{lines}Host: {host}\r\n{cookie}Connection: close\r\n\r\n");
        let answer = wire::send(port(site), request.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 200, "{site}: {answer:?}");
        assert!(!answer.text().contains("forged"), "{site} {lines} before Host: {}", answer.text());
    }
}

/// The application behind each site is told the visitor, and nothing that a client says; nor without a satellite.
fn the_application_is_told_the_visitor_and_no_client_lies(behind: Behind) {
    let mut world = World::start(behind);
    for site in world.sites() {
        let mut browser = Browser::new();
        let page = browser.navigate(&format!("{site}/p"));
        let visitor = browser.visitor(site).expect("a visitor");
        assert_eq!((shown(page.page(), "visitor"), shown(page.page(), "source")), (visitor.clone(), "broker".to_owned()));
        let cookie = format!("Cookie: throughline={}\r\n", browser.cookie(site, "throughline").expect("a local cookie"));
        nothing_forged_arrives(site, &cookie);
        let seen = ask(site, "GET", "/seen", &format!("{}{cookie}", forged()), b"").text();
        assert!(seen.contains(&visitor), "{seen}");
        nothing_forged_arrives(site, "");
        assert_eq!(shown(&ask(site, "GET", "/", &forged(), b""), "visitor"), "none");
    }
    world.kill_satellite();
    for site in world.sites() {
        nothing_forged_arrives(site, "");
        assert_eq!(shown(&ask(site, "GET", "/", &forged(), b""), "visitor"), "none");
    }
}

#[test]
fn f2_no_client_tells_the_application_who_it_is() {
    for behind in [USUAL, OTHER] {
        the_application_is_told_the_visitor_and_no_client_lies(behind);
    }
}

#[test]
fn f5_f2_fastcgi_pass_and_php_fastcgi_tell_the_visitor_and_no_client_lies() {
    the_application_is_told_the_visitor_and_no_client_lies((App::Php, App::Php));
}

#[test]
fn f5_f2_uwsgi_pass_tells_the_visitor_and_no_client_lies() {
    the_application_is_told_the_visitor_and_no_client_lies((App::Uwsgi, App::Node));
}

#[test]
fn f5_f2_scgi_pass_tells_the_visitor_and_no_client_lies() {
    the_application_is_told_the_visitor_and_no_client_lies((App::Scgi, App::Python));
}

#[test]
fn f1_no_client_tells_the_satellite_what_it_asked_for() {
    let world = World::start(USUAL);
    for (site, other) in [(&world.shop, &world.learn), (&world.learn, &world.shop)] {
        let evil = other.strip_prefix("http://").expect("an origin");
        for forged in [
            format!("X-Forwarded-Host: {evil}\r\n"),
            format!("x-forwarded-host: {evil}\r\nX-FORWARDED-HOST: {evil}\r\n"),
            format!("X_Forwarded_Host: {evil}\r\nX_Forwarded_Uri: /evil\r\n"),
            format!("Forwarded: host={evil};proto=https\r\n"),
            "X-Forwarded-Uri: /evil\r\nX-Forwarded-Uri: /evil\r\n".to_owned(),
            "X-Forwarded-Method: POST\r\nX-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\n".to_owned(),
        ] {
            let mut browser = Browser::new();
            for line in forged.lines() {
                let (name, value) = line.split_once(": ").expect("a header");
                browser.set(name, value);
            }
            let start = browser.step(&format!("{site}/p?x=1"), None);
            assert_eq!(start.status, 302, "{forged}: {start:?}");
            let location = start.header("location").expect("a location");
            let page = format!("&return={}%2Fp%3Fx%3D1&", site.replace(':', "%3A").replace('/', "%2F"));
            assert!(location.contains(&page) && !location.contains("evil"), "{forged}: {location}");
        }
    }
}

#[test]
fn f1_a_browser_cannot_ask_as_a_proxy_does() {
    let world = World::start(USUAL);
    for site in world.sites() {
        for path in ["nginx", "forward", "envoy/p", "", "../auth/nginx", "x/../nginx", "%6eginx", "/nginx", "NGINX"] {
            let headers = "X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /p\r\n";
            let answer = ask(site, "GET", &format!("/_throughline/auth/{path}"), headers, b"");
            assert_eq!(answer.status, 404, "{site} {path}: {answer:?}");
            assert_eq!(answer.header("x-throughline-visitor"), None);
        }
        for path in [
            "/_throughline/%61uth/nginx",
            "/_throughline//auth/nginx",
            "//_throughline/auth/nginx",
            "/_throughline-decision",
            "/_throughline/auth/envoy/..%2f..%2fme",
            "/_throughline/auth/envoy/%2e%2e/%2e%2e/me",
        ] {
            let answer = ask(site, "GET", path, "X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /p\r\n", b"");
            assert_eq!(answer.header("x-throughline-visitor"), None, "{site} {path}: {answer:?}");
            assert_eq!(answer.header("x-throughline-status"), None, "{site} {path}");
        }
    }
}
