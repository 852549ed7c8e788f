//! Which host a request asks (rules F7, F8), and whether the visitor's own connection was plain http.
//!
//! 1. The authority of the request target decides over `Host`: RFC 9112 section 3.2.2 for the absolute form, RFC 9113 section
//!    8.3.1 for `:authority`.
//! 2. Of two `Host` headers neither counts. RFC 9112 section 3.2 asks for a 400 then.
//! 3. From a trusted proxy, `X-Forwarded-Host` decides over both. Some proxies append to what is there (Apache httpd does), so it
//!    may be a list. The last entry that names a site counts: a client can only add entries before those of the proxies.
//! 4. A host in another case, with the root's dot or with its scheme's own port is the same host. Any other port is another.

use std::borrow::Cow;

use actix_web::dev::RequestHead;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::answer::Refusal;

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The code of a request that the visitor sent over plain http to a site of https (rule F7).
pub const PLAIN_HTTP: &str = "plain_http";

/// The answer of the endpoints that would read or write the visitor: RFC 9110 section 15.5.20.
pub const OVER_PLAIN_HTTP: Refusal = Refusal {
    status: 421,
    code: PLAIN_HTTP,
    advice: "The proxy says X-Forwarded-Proto: http, and this site is https. If the visitor did use https, correct the proxy.",
};

/// A header is there twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Twice;

/// The one header of that name, if it is there.
///
/// # Errors
/// When it is there twice.
pub fn once<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Twice> {
    let mut all = headers.get_all(name);
    match (all.next(), all.next()) {
        (_, Some(_)) => Err(Twice),
        (first, None) => Ok(first),
    }
}

/// The host that the request itself names: the authority of its target, else its `Host`. `None` when it names none, or two.
#[must_use]
pub fn asked(head: &RequestHead) -> Option<&str> {
    let host = once(&head.headers, &header::HOST).ok()?;
    match head.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => host?.to_str().ok(),
    }
}

/// What the proxy says of the host that the visitor asked. Ask only for a trusted proxy.
///
/// # Errors
/// When the header is there twice.
pub fn forwarded(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Twice> {
    once(headers, &X_FORWARDED_HOST)
}

/// Whether the proxy says that the visitor's own connection was plain http. Ask only for a trusted proxy. A list, or two headers,
/// say nothing certain and do not count.
#[must_use]
pub fn came_by_http(headers: &HeaderMap) -> bool {
    let proto = once(headers, &X_FORWARDED_PROTO).ok().flatten();
    proto.is_some_and(|proto| proto.as_bytes().trim_ascii().eq_ignore_ascii_case(b"http"))
}

/// A host in the spelling of [`crate::base::origin::Origin::authority`], but for a default port.
#[derive(Debug, PartialEq, Eq)]
pub struct Spelled<'a> {
    /// Lower case, without the root's dot, with its port.
    pub authority: Cow<'a, str>,
    /// The same without its port, where that is a default one; and whether it is the one of https.
    pub portless: Option<(Cow<'a, str>, bool)>,
}

/// Reads a host that is not spelled as the browser spells it. `None` for one that cannot be a site's.
#[must_use]
pub fn spelled(host: &str) -> Option<Spelled<'_>> {
    // No host name is longer (RFC 1035 section 3.1): a dot and a port come on top.
    if host.is_empty() || host.len() > 253 + ".:65535".len() || host.contains('@') {
        return None;
    }
    let port_at = host.rfind(':').filter(|&at| !host[at..].contains(']'));
    let (name, port) = port_at.map_or((host, ""), |at| (&host[..at], &host[at + 1..]));
    let bare = name.strip_suffix('.').unwrap_or(name);
    let lower = || {
        if bare.bytes().any(|byte| byte.is_ascii_uppercase()) { bare.to_ascii_lowercase().into() } else { Cow::Borrowed(bare) }
    };
    let authority = match port {
        "" => lower(),
        port => Cow::Owned(format!("{}:{port}", lower())),
    };
    let portless = matches!(port, "80" | "443").then(|| (lower(), port == "443"));
    Some(Spelled { authority, portless })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(uri: &str, headers: &[(&'static str, &str)]) -> RequestHead {
        let mut head = RequestHead::default();
        head.uri = uri.parse().unwrap();
        for (name, value) in headers {
            head.headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        head
    }

    #[test]
    fn f8_the_request_target_decides_over_host() {
        for (uri, hosts, expected) in [
            ("/p", &["shop.example"][..], Some("shop.example")),
            ("http://shop.example/p", &["evil.example"], Some("shop.example")),
            ("https://shop.example:443/p", &[], Some("shop.example:443")),
            ("https://shop.example/p", &["shop.example", "shop.example"], None),
            ("/p", &["shop.example", "shop.example"], None),
            ("/p", &["shop.example", "evil.example"], None),
            ("/p", &[], None),
            ("/p", &["shop.ex\u{e4}mple"], None),
        ] {
            let hosts: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            assert_eq!(asked(&head(uri, &hosts)), expected, "{uri} {hosts:?}");
        }
    }

    #[test]
    fn f7_only_one_plain_http_counts_as_such() {
        for (values, expected) in [
            (&["http"][..], true),
            (&["HTTP "], true),
            (&["https"], false),
            (&["https, http"], false),
            (&["http, https"], false),
            (&["http", "http"], false),
            (&[""], false),
            (&[], false),
        ] {
            let headers: Vec<_> = values.iter().map(|value| ("x-forwarded-proto", *value)).collect();
            assert_eq!(came_by_http(&head("/", &headers).headers), expected, "{values:?}");
        }
        assert!(!came_by_http(&head("/", &[("x_forwarded_proto", "http"), ("forwarded", "proto=http")]).headers));
    }

    #[test]
    fn f8_other_spellings_of_a_host() {
        for (host, authority, portless) in [
            ("shop.example.", "shop.example", None),
            ("SHOP.Example", "shop.example", None),
            ("shop.example:", "shop.example", None),
            ("Shop.example.:443", "shop.example:443", Some(("shop.example", true))),
            ("shop.example:80", "shop.example:80", Some(("shop.example", false))),
            ("shop.example:8443", "shop.example:8443", None),
            ("shop.example:0443", "shop.example:0443", None),
            ("[2001:DB8::1]", "[2001:db8::1]", None),
            ("[::1]:443", "[::1]:443", Some(("[::1]", true))),
            ("shop.example..", "shop.example.", None),
        ] {
            let portless = portless.map(|(host, is_https): (&str, bool)| (Cow::from(host), is_https));
            assert_eq!(spelled(host), Some(Spelled { authority: authority.into(), portless }), "{host}");
        }
        for host in ["", "user@shop.example", &"a".repeat(300)] {
            assert_eq!(spelled(host), None, "{host}");
        }
    }
}
