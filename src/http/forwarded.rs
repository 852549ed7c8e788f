//! What a proxy tells of the visitor's own request when it asks about it (rules F1, F3).
//!
//! Only from proxies that are configured as trusted; who that is, the caller knows. Each thing counts from one header of one
//! name. Look-alikes (`X_Forwarded_Host`, `Forwarded`) are not read, and of two neither counts.

use actix_web::dev::RequestHead;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::uri::PathAndQuery;
use actix_web::http::{Method, Uri};

use crate::domain::contract::path;

use super::host::{self, Twice, once};

const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// How a proxy asks, and what it understands as an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `auth_request`: the request is in headers, the answer 2xx or 401.
    Nginx,
    /// Caddy's `forward_auth` and Traefik's ForwardAuth: the request is in headers, the answer goes to the browser as it is.
    Forward,
    /// `ext_authz` over HTTP: the request comes as it is, but for a prefix before its path; the answer goes as it is too.
    Envoy,
}

impl Dialect {
    /// The dialect that is spoken at a path; `None` for every other path.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        match path.strip_prefix(path::AUTH)? {
            path::AUTH_NGINX => Some(Self::Nginx),
            path::AUTH_FORWARD => Some(Self::Forward),
            rest => rest.starts_with(path::AUTH_ENVOY).then_some(Self::Envoy),
        }
    }
}

/// Why nobody can say what the visitor asked for. The page is served, without an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclear {
    /// A header that the proxy must send is not there.
    Missing,
    /// A header is there twice.
    Twice,
    /// A header holds no method, or no path of a site.
    Unreadable,
}

impl Unclear {
    /// A stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "forwarded_missing",
            Self::Twice => "forwarded_twice",
            Self::Unreadable => "forwarded_unreadable",
        }
    }
}

impl From<Twice> for Unclear {
    fn from(Twice: Twice) -> Self {
        Self::Twice
    }
}

/// The host that the visitor asked: `X-Forwarded-Host` where the dialect has it, else what the proxy's own request names.
///
/// # Errors
/// When a header is there twice.
pub fn asked_host(dialect: Dialect, head: &RequestHead) -> Result<Option<HeaderValue>, Unclear> {
    let named = once(&head.headers, &header::HOST)?;
    let forwarded = match dialect {
        Dialect::Nginx | Dialect::Forward => host::forwarded(&head.headers)?,
        Dialect::Envoy => None,
    };
    if let Some(host) = forwarded {
        return Ok(Some(host.clone()));
    }
    Ok(match head.uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => named.cloned(),
    })
}

/// Puts the visitor's method, path and query in place of the proxy's own.
///
/// # Errors
/// When one of them is not there, there twice, or nothing that a browser asks for.
pub fn restore(dialect: Dialect, head: &mut RequestHead) -> Result<(), Unclear> {
    let page = match dialect {
        Dialect::Nginx | Dialect::Forward => {
            let method = once(&head.headers, &X_FORWARDED_METHOD)?.ok_or(Unclear::Missing)?;
            head.method = Method::from_bytes(method.as_bytes()).map_err(|_| Unclear::Unreadable)?;
            once(&head.headers, &X_FORWARDED_URI)?.ok_or(Unclear::Missing)?.as_bytes()
        }
        Dialect::Envoy => {
            let asked = head.uri.path_and_query().map_or("", PathAndQuery::as_str);
            let rest = asked.strip_prefix(path::AUTH).and_then(|rest| rest.strip_prefix(path::AUTH_ENVOY));
            rest.ok_or(Unclear::Missing)?.as_bytes()
        }
    };
    // A proxy that resolves such a path and one that does not would mean two different pages.
    let path = page.split(|byte| *byte == b'?').next().unwrap_or(page);
    let climbs = |step: &[u8]| path.windows(step.len()).any(|part| part.eq_ignore_ascii_case(step));
    let climbs = [b"/..".as_slice(), b"/%2e", b"/.%2e"].into_iter().any(climbs);
    if page.first() != Some(&b'/') || climbs {
        return Err(Unclear::Unreadable);
    }
    head.uri = PathAndQuery::try_from(page).map(Uri::from).map_err(|_| Unclear::Unreadable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Method, host and URL as the decision will see them.
    type Seen = (String, String, String);

    fn seen(path: &str, headers: &[(&'static str, &'static str)]) -> Result<Seen, Unclear> {
        let mut head = RequestHead::default();
        head.uri = path.parse().unwrap();
        for (name, value) in headers {
            head.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let dialect = Dialect::of(head.uri.path()).unwrap();
        let host = asked_host(dialect, &head)?;
        restore(dialect, &mut head)?;
        let host = host.as_ref().map_or("", |host| host.to_str().unwrap());
        Ok((head.method.to_string(), host.to_owned(), head.uri.to_string()))
    }

    const NGINX: &str = "/_throughline/auth/nginx";
    const FORWARD: &str = "/_throughline/auth/forward";

    #[test]
    fn f1_each_thing_counts_from_one_header_of_one_name() {
        let whole = [
            ("host", "shop.example"),
            ("x-forwarded-host", "learn.example"),
            ("x-forwarded-method", "POST"),
            ("x-forwarded-uri", "/p?x=1&y=%20"),
        ];
        for path in [NGINX, FORWARD] {
            let expected: Seen = ("POST".into(), "learn.example".into(), "/p?x=1&y=%20".into());
            assert_eq!(seen(path, &whole), Ok(expected.clone()));
            let others = [
                ("x_forwarded_host", "evil.example"),
                ("x_forwarded_uri", "/evil"),
                ("forwarded", "host=evil.example"),
                ("x-original-uri", "/evil"),
                ("x-http-method-override", "DELETE"),
            ];
            assert_eq!(seen(path, &[&others[..], &whole].concat()), Ok(expected));
            for (name, value) in whole {
                let twice = [&whole[..], &[(name, value)]].concat();
                assert_eq!(seen(path, &twice), Err(Unclear::Twice), "{name}");
            }
            for missing in ["x-forwarded-method", "x-forwarded-uri"] {
                let rest: Vec<_> = whole.into_iter().filter(|(name, _)| *name != missing).collect();
                assert_eq!(seen(path, &rest), Err(Unclear::Missing), "{missing}");
            }
            for bad in ["", "p", "http://evil.example/", "*", "?x=1", "/ x", "/..%2f..%2fme", "/%2E%2e/me", "/a/../me"] {
                assert_eq!(seen(path, &[whole[2], ("x-forwarded-uri", bad)]), Err(Unclear::Unreadable), "{bad:?}");
            }
            assert_eq!(seen(path, &[("x-forwarded-method", "G T"), whole[3]]), Err(Unclear::Unreadable));
        }
    }

    #[test]
    fn f3_envoy_asks_with_the_request_itself_behind_a_prefix() {
        let others = [("host", "shop.example"), ("x-forwarded-host", "evil.example"), ("x-forwarded-uri", "/evil")];
        let page = seen("/_throughline/auth/envoy/p?x=1", &others);
        assert_eq!(page, Ok(("GET".into(), "shop.example".into(), "/p?x=1".into())));
        assert_eq!(seen("/_throughline/auth/envoy", &others), Err(Unclear::Unreadable));
        let over_h2 = seen("https://shop.example/_throughline/auth/envoy/", &[]);
        assert_eq!(over_h2, Ok(("GET".into(), "shop.example".into(), "/".into())));
    }

    #[test]
    fn f3_there_are_three_dialects() {
        for (path, dialect) in [
            (NGINX, Some(Dialect::Nginx)),
            (FORWARD, Some(Dialect::Forward)),
            ("/_throughline/auth/envoy/", Some(Dialect::Envoy)),
            ("/_throughline/auth/", None),
            ("/_throughline/auth/nginx/", None),
            ("/_throughline/auth/other", None),
            ("/_throughline/auth", None),
            ("/p", None),
        ] {
            assert_eq!(Dialect::of(path), dialect, "{path}");
        }
    }
}
