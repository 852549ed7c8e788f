//! The requests of the four proxies, as each sends them, without the proxy.
//!
//! nginx and Caddy run for real elsewhere here. Traefik's are those of its `pkg/middlewares/auth/forward.go`: GET to the
//! configured address, whose host is in `Host`, the visitor's headers without those of one connection, and what it was asked
//! in `X-Forwarded-*`. Envoy's are those of its `ext_authz` filter over HTTP: the visitor's method, host and path behind
//! `path_prefix`, only the headers of `allowed_headers`, and no body.

use crate::support::wire::{self, Answer};

/// A proxy's way to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proxy {
    Nginx,
    Caddy,
    Traefik,
    Envoy,
}

/// All of them.
pub(crate) const PROXIES: [Proxy; 4] = [Proxy::Nginx, Proxy::Caddy, Proxy::Traefik, Proxy::Envoy];

/// What a browser sends when a person opens a page.
pub(crate) const NAVIGATION: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0\r\n\
     Accept: text/html,application/xhtml+xml\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n";

impl Proxy {
    /// The status that lets the page through.
    pub(crate) const fn yes(self) -> u16 {
        if matches!(self, Self::Nginx) { 204 } else { 200 }
    }

    /// The request about `method target` on `host`, with the visitor's own `lines`.
    pub(crate) fn request(self, port: u16, host: &str, method: &str, target: &str, lines: &str) -> String {
        let told = format!(
            "X-Forwarded-Method: {method}\r\nX-Forwarded-Uri: {target}\r\nX-Forwarded-Host: {host}\r\n\
             X-Forwarded-Proto: http\r\nX-Forwarded-For: 198.51.100.7\r\n"
        );
        match self {
            Self::Nginx => format!("GET /_throughline/auth/nginx HTTP/1.1\r\nHost: {host}\r\n{told}{lines}\r\n"),
            Self::Caddy => format!("GET /_throughline/auth/forward HTTP/1.1\r\nHost: {host}\r\n{lines}{told}\r\n"),
            Self::Traefik => format!(
                "GET /_throughline/auth/forward HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}{told}\
                 X-Forwarded-Port: 80\r\nX-Forwarded-Server: edge\r\nX-Real-Ip: 198.51.100.7\r\n\r\n"
            ),
            Self::Envoy => format!(
                "{method} /_throughline/auth/envoy{target} HTTP/1.1\r\nHost: {host}\r\n{lines}content-length: 0\r\n\
                 x-envoy-expected-rq-timeout-ms: 1000\r\nx-forwarded-for: 198.51.100.7\r\n\r\n"
            ),
        }
    }

    /// Asks.
    pub(crate) fn ask(self, port: u16, host: &str, method: &str, target: &str, lines: &str) -> Answer {
        let request = self.request(port, host, method, target, lines);
        wire::send(port, request.as_bytes()).unwrap_or_else(|error| panic!("{self:?} {method} {target}: {error}"))
    }

    /// What a browser gets of an answer in place of the page: status, location, cookies.
    pub(crate) fn outcome(self, answer: &Answer) -> (u16, Option<String>, Vec<String>) {
        if self != Self::Nginx {
            let cookies = answer.all("set-cookie").map(String::from).collect();
            return (answer.status, answer.header("location").map(String::from), cookies);
        }
        assert!(answer.status == 401 && answer.header("location").is_none() && answer.header("set-cookie").is_none());
        let status = answer.header("x-throughline-status").and_then(|status| status.parse().ok()).expect("a status");
        let cookies = ["x-throughline-cookie-1", "x-throughline-cookie-2"].into_iter().filter_map(|name| answer.header(name));
        (status, answer.header("x-throughline-location").map(String::from), cookies.map(String::from).collect())
    }
}
