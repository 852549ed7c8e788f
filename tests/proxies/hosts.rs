//! A host that is none of the sites: passed on or refused, as configured, and never taken for one of them.

use crate::asking::{NAVIGATION, PROXIES};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::wire;

fn page(port: u16, host: &str) -> wire::Answer {
    wire::send(port, format!("GET /p HTTP/1.1\r\nHost: {host}\r\n{NAVIGATION}\r\n").as_bytes()).unwrap()
}

#[test]
fn f1_an_unknown_host_is_passed_on_without_a_visitor() {
    let company = Company::echoing(Setup { listen_lines: "trusted_proxies = [\"127.0.0.1\"]", ..Setup::default() });
    let port = company.port();
    for host in ["evil.example", "shop.localhost", "shop.localhost:1", "127.0.0.1", ""] {
        assert_eq!(page(port, host).status, 200, "{host}");
        for proxy in PROXIES {
            let answer = proxy.ask(port, host, "GET", "/p", NAVIGATION);
            assert_eq!(answer.status, proxy.yes(), "{proxy:?} {host}: {answer:?}");
            assert_eq!(answer.header("x-throughline-visitor"), Some(""));
        }
    }
}

#[test]
fn f1_an_unknown_host_is_refused_where_that_is_configured() {
    let lines = "trusted_proxies = [\"127.0.0.1\"]\nunknown_host = \"refuse\"";
    let company = Company::echoing(Setup { listen_lines: lines, ..Setup::default() });
    let port = company.port();
    for host in ["evil.example", "shop.localhost", "127.0.0.1"] {
        let answer = page(port, host);
        assert_eq!((answer.status, answer.header("location")), (421, None), "{host}");
        assert!(answer.text().contains("unknown_host") && !answer.text().contains(host));
        for proxy in PROXIES {
            assert_eq!(proxy.ask(port, host, "GET", "/p", NAVIGATION).status, 421, "{proxy:?} {host}");
        }
    }
    assert_eq!(page(port, &crate::world::authority(&company.shop)).status, 302, "a known host is served as ever");
}

/// Without an application there is nothing to pass it on to.
#[test]
fn f1_a_server_of_static_pages_refuses_an_unknown_host() {
    let company = Company::start(Setup::default());
    assert_eq!(page(company.port(), "evil.example").status, 421);
}
