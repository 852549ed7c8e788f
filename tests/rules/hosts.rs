//! F6, F7, F8: hosts, schemes and clients, as proxies spell them.

use crate::support::browser::FIREFOX;
use crate::support::company::Company;
use crate::support::files::{Part, Setup};
use crate::support::process::{Process, wait_until};
use crate::support::wire::{self, Answer};

const TRUSTING: &str = "trusted_proxies = [\"127.0.0.1\"]";

/// The three sites on https, behind a proxy that ends TLS.
struct Behind {
    company: Company,
    _process: Process,
}

impl Behind {
    fn start(listen_lines: &'static str) -> Self {
        let company = Company::unstarted(Setup { listen_lines, ..Setup::default() });
        let origins = ["brand", "shop", "learn"].map(|site| format!("https://{site}.localhost"));
        let mut process = Process::serve(&company.folder.configure(Part::All, company.port(), &origins));
        let port = company.port();
        let knows = || {
            let to = "GET /_throughline/go?to=https%3A%2F%2Flearn.localhost%2F HTTP/1.1\r\nHost: shop.localhost\r\n\r\n";
            wire::connect(port).is_ok() && wire::send(port, to.as_bytes()).is_ok_and(|answer| answer.status < 500)
        };
        wait_until("it listens", || process.has_ended(), knows)
            .unwrap_or_else(|problem| panic!("{problem}: {}", process.stderr()));
        Self { company, _process: process }
    }

    fn ask(&self, target: &str, lines: &str) -> Answer {
        wire::send(self.company.port(), format!("GET {target} HTTP/1.1\r\n{lines}\r\n").as_bytes()).expect("an answer")
    }

    /// Which site's page comes, or the status.
    fn page(&self, target: &str, lines: &str) -> String {
        let answer = self.ask(target, lines);
        let title = answer.text().split("<title>").nth(1).and_then(|rest| rest.split('<').next()).map(String::from);
        title.filter(|_| answer.status == 200).unwrap_or_else(|| answer.status.to_string())
    }
}

#[test]
fn f8_every_spelling_of_a_host_is_the_same_site() {
    let sites = Behind::start("");
    for (lines, page) in [
        ("Host: shop.localhost\r\n", "shop"),
        ("Host: shop.localhost:443\r\n", "shop"),
        ("Host: shop.localhost.\r\n", "shop"),
        ("Host: SHOP.LocalHost\r\n", "shop"),
        ("Host: Shop.localhost.:443\r\n", "shop"),
        ("Host: shop.localhost:80\r\n", "421"),
        ("Host: shop.localhost:8443\r\n", "421"),
        ("Host: shop.localhost..\r\n", "421"),
        ("Host: evil.localhost\r\n", "421"),
        ("Host: shop.localhost@evil.localhost\r\n", "421"),
        ("Host: shop.localhost\r\nHost: learn.localhost\r\n", "400"),
        ("Host: shop.localhost\r\nHost: shop.localhost\r\n", "400"),
        ("", "400"),
    ] {
        assert_eq!(sites.page("/p.html", lines), page, "{lines:?}");
    }
    for (target, host, page) in [
        ("http://shop.localhost/p.html", "learn.localhost", "shop"),
        ("https://shop.localhost:443/p.html", "learn.localhost", "shop"),
        ("http://evil.localhost/p.html", "shop.localhost", "421"),
    ] {
        assert_eq!(sites.page(target, &format!("Host: {host}\r\n")), page, "{target}");
    }
    for path in ["health", "me", "jwks.json", "sdk.js"] {
        let answer = sites.ask(&format!("/_throughline/{path}"), "Host: shop.localhost.:443\r\nSec-Fetch-Site: same-origin\r\n");
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[test]
fn f7_the_host_that_a_trusted_proxy_names_counts_everywhere() {
    let sites = Behind::start(TRUSTING);
    let platform = "Host: platform.internal:8080\r\n";
    for (lines, page) in [
        ("X-Forwarded-Host: shop.localhost\r\n", "shop"),
        ("X-Forwarded-Host: SHOP.localhost.:443\r\n", "shop"),
        ("X-Forwarded-Host: learn.localhost, shop.localhost\r\n", "shop"),
        ("X-Forwarded-Host: shop.localhost, inner.internal\r\n", "shop"),
        ("X-Forwarded-Host: evil.localhost\r\n", "421"),
        ("X-Forwarded-Host: shop.localhost\r\nX-Forwarded-Host: shop.localhost\r\n", "421"),
        ("X_Forwarded_Host: shop.localhost\r\n", "421"),
        ("Forwarded: host=shop.localhost\r\n", "421"),
        ("X-Original-Host: shop.localhost\r\n", "421"),
    ] {
        assert_eq!(sites.page("/p.html", &format!("{platform}{lines}")), page, "{lines:?}");
    }
    assert_eq!(sites.page("/p.html", "Host: learn.localhost\r\nX-Forwarded-Host: shop.localhost\r\n"), "shop");
    let twice = "Host: learn.localhost\r\nX-Forwarded-Host: shop.localhost\r\nX-Forwarded-Host: shop.localhost\r\n";
    assert_eq!(sites.page("/p.html", twice), "learn");
    let own = format!("{platform}X-Forwarded-Host: shop.localhost\r\nSec-Fetch-Site: same-origin\r\n");
    for path in ["health", "me", "jwks.json", "sdk.js"] {
        assert_eq!(sites.ask(&format!("/_throughline/{path}"), &own).status, 200, "{path}");
    }
    let brand = format!("{platform}X-Forwarded-Host: brand.localhost\r\n");
    assert_eq!(sites.ask("/.well-known/throughline", &brand).status, 200);
    assert_eq!(sites.ask("/_throughline/hop", &brand).status, 400, "a hop that names no site, at the broker");
}

#[test]
fn f7_f1_the_host_that_anybody_else_names_does_not_count() {
    let sites = Behind::start("trusted_proxies = [\"192.0.2.1\"]");
    assert_eq!(sites.page("/p.html", "Host: learn.localhost\r\nX-Forwarded-Host: shop.localhost\r\n"), "learn");
    assert_eq!(sites.page("/p.html", "Host: platform.internal\r\nX-Forwarded-Host: shop.localhost\r\n"), "421");
    let plain = "Host: shop.localhost\r\nX-Forwarded-Proto: http\r\nSec-Fetch-Site: same-origin\r\n";
    assert_eq!(sites.ask("/_throughline/me", plain).status, 200);
}

#[test]
fn f7_over_plain_http_pages_are_served_and_nobody_is_known() {
    let sites = Behind::start(TRUSTING);
    let navigation = format!(
        "Host: shop.localhost\r\nUser-Agent: {FIREFOX}\r\nAccept: text/html\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n"
    );
    let cookie_of = |answer: &Answer| answer.header("set-cookie").map(String::from);
    for _ in 0..3 {
        let page = sites.ask("/p.html?_tl=x", &format!("{navigation}X-Forwarded-Proto: http\r\n"));
        assert_eq!((page.status, cookie_of(&page)), (200, None), "{page:?}");
    }
    let me = sites.ask("/_throughline/me", "Host: shop.localhost\r\nX-Forwarded-Proto: http\r\n");
    assert_eq!((me.status, me.json()["error"].as_str().is_some()), (421, true), "{me:?}");
    let health = sites.ask("/_throughline/health", "Host: shop.localhost\r\nX-Forwarded-Proto: http\r\n");
    assert_eq!(health.status, 200);
    let hop = "/_throughline/hop?site=https%3A%2F%2Fshop.localhost&return=https%3A%2F%2Fshop.localhost%2Fp.html";
    let hop = sites.ask(hop, &format!("{}X-Forwarded-Proto: http\r\n", navigation.replace("shop.", "brand.")));
    assert_eq!((hop.status, cookie_of(&hop)), (302, None), "{hop:?}");
    assert_eq!(hop.header("location"), Some("https://shop.localhost/p.html?_tl="));
}

#[test]
fn f6_visitors_behind_a_proxy_are_told_apart_however_it_writes_them_down() {
    for line in [
        "X-Forwarded-For: 203.0.113.{}:4711",
        "X-Forwarded-For: \"[2001:db8::{}]:443\"",
        "X-Forwarded-For: [2001:db8::{}]",
        "Forwarded: for=203.0.113.{};proto=https;by=10.0.0.1",
        // Nothing tells these apart, and none of them waits for another.
        "X-Forwarded-For: unknown",
        "X-Forwarded-For: 203.0.113.7.{}",
        "X-Other: {}",
    ] {
        let company = Company::echoing(Setup { listen_lines: TRUSTING, ..Setup::default() });
        for visitor in 1..=5 {
            let request = format!(
                "GET /p HTTP/1.1\r\nHost: shop.localhost:{}\r\nUser-Agent: {FIREFOX}\r\nAccept: text/html\r\n\
                 Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n{}\r\n\r\n",
                company.port(),
                line.replace("{}", &visitor.to_string())
            );
            let answer = wire::send(company.port(), request.as_bytes()).expect("an answer");
            assert_eq!(answer.status, 302, "{line}, visitor {visitor}: {answer:?}");
        }
    }
}
