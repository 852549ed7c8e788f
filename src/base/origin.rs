//! A site's origin: scheme, host and port, in one spelling.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// An exact origin (RFC 6454) in its canonical ASCII spelling, such as `https://shop.example` or
/// `http://shop.localhost:8400`. Two origins are the same site only when their spellings are the same bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    text: String,
    authority_at: usize,
    host_end: usize,
}

/// Why a text is no origin of a site (rule U4). The message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginMistake(String);

impl fmt::Display for OriginMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OriginMistake {}

impl Origin {
    /// Reads an origin as an operator writes it.
    ///
    /// # Errors
    /// When it is not exactly an origin, is spelled otherwise than browsers spell it, or is plain http outside loopback.
    pub fn parse(text: &str) -> Result<Self, OriginMistake> {
        let mistake = |what: String| Err(OriginMistake(what));
        // First, since every later message repeats the text, which may now hold a password.
        if text.contains('@') {
            return mistake("an origin has no user name or password; leave out everything up to and with the \"@\"".into());
        }
        if text.contains('*') {
            return mistake(format!("{text:?} has a wildcard; write each origin out, such as \"https://shop.example\""));
        }
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => {
                return mistake(format!("{text:?} is not an origin ({error}); write one such as \"https://shop.example\""));
            }
        };
        let Some(host) = url.host() else {
            return mistake(format!("{text:?} has no host; write an origin such as \"https://shop.example\""));
        };
        let canonical = url.origin().ascii_serialization();
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&host) => {}
            "http" => {
                return mistake(format!("{text:?} is plain http; only localhost may be, so write \"https://{host}\""));
            }
            scheme => return mistake(format!("{text:?} has the scheme {scheme:?}; a site's is \"https\"")),
        }
        if let Host::Domain(domain) = &host {
            if domain.ends_with('.') {
                let undotted = canonical.replacen(domain, domain.trim_end_matches('.'), 1);
                return mistake(format!("{text:?} ends its host with a dot; write {undotted:?}"));
            }
            if !is_dns_name(domain) {
                return mistake(format!(
                    "{text:?} has a host that no DNS name can be; one is of letters, digits, hyphens and dots"
                ));
            }
        }
        if text != canonical {
            return mistake(format!(
                "{text:?} is more than an origin, or is spelled otherwise than browsers spell it; write {canonical:?}"
            ));
        }
        let authority_at = url.scheme().len() + "://".len();
        let host_end = authority_at + host.to_string().len();
        Ok(Self { text: canonical, authority_at, host_end })
    }

    /// The whole origin, as in an `Origin` header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Host and, unless it is the scheme's own, port: what a browser sends as `Host`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.text[self.authority_at..]
    }

    /// The host alone.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.text[self.authority_at..self.host_end]
    }

    /// Whether the scheme is https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// Whether the host is `localhost`, a name under it (RFC 6761 section 6.3), or a loopback address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        Host::parse(self.host()).is_ok_and(|host| is_loopback(&host))
    }

    /// The port in use.
    #[must_use]
    pub fn port(&self) -> u16 {
        let fallback = if self.is_https() { 443 } else { 80 };
        self.text[self.host_end..].strip_prefix(':').and_then(|port| port.parse().ok()).unwrap_or(fallback)
    }
}

/// Whether a host is what DNS carries (RFC 1123 section 2.1, and `_`, which is in use). The URL Standard lets `"`, `;` and
/// `,` stand in a host; an origin is written as it is into JSON, into policies and into pages, so they must not.
fn is_dns_name(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    domain.len() <= 253 && domain.split('.').all(is_label)
}

fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => is_localhost_name(name.as_ref()),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Whether a host name means this machine without asking DNS (RFC 6761 section 6.3).
#[must_use]
pub fn is_localhost_name(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_origin() {
        let plain = Origin::parse("https://shop.example").unwrap();
        assert_eq!((plain.authority(), plain.host(), plain.port()), ("shop.example", "shop.example", 443));
        let local = Origin::parse("http://shop.localhost:8400").unwrap();
        assert_eq!((local.authority(), local.host(), local.port()), ("shop.localhost:8400", "shop.localhost", 8400));
        let six = Origin::parse("http://[::1]:8400").unwrap();
        assert_eq!((six.host(), six.port(), six.is_loopback()), ("[::1]", 8400, true));
        assert!(Origin::parse("https://xn--bcher-kva.example").is_ok());
        assert!(Origin::parse("https://my_shop.example").is_ok());
    }

    #[test]
    fn u4_anything_but_an_origin_is_refused_with_what_to_write() {
        for (text, hint) in [
            ("https://*.shop.example", "wildcard"),
            ("https://shop.example/", "write \"https://shop.example\""),
            ("https://shop.example/path", "write \"https://shop.example\""),
            ("https://shop.example?x", "write \"https://shop.example\""),
            ("https://shop.example#x", "write \"https://shop.example\""),
            ("https://shop.example:443", "write \"https://shop.example\""),
            ("https://Shop.example", "write \"https://shop.example\""),
            ("https://bücher.example", "write \"https://xn--bcher-kva.example\""),
            ("https://user@shop.example", "user name"),
            ("https://user:pw@shop.example", "user name"),
            ("https://user:pw@*.shop.example", "user name"),
            ("https://user:pw@shop.example:port", "user name"),
            ("http://shop.example", "plain http"),
            ("http://localhost.shop.example", "plain http"),
            ("http://notlocalhost", "plain http"),
            ("https://shop.example.", "write \"https://shop.example\""),
            ("https://shop.example.:8443", "write \"https://shop.example:8443\""),
            ("https://a\"b.example", "no DNS name"),
            ("https://a;b.example", "no DNS name"),
            ("https://a,b.example", "no DNS name"),
            ("https://a'b.example", "no DNS name"),
            ("http://.localhost:8400", "no DNS name"),
            ("ftp://shop.example", "scheme"),
            ("javascript:alert(1)", "no host"),
            ("shop.example", "not an origin"),
            ("", "not an origin"),
            (" https://shop.example", "write \"https://shop.example\""),
            ("https://shop..example", "no DNS name"),
            ("https://.example", "no DNS name"),
        ] {
            let message = Origin::parse(text).expect_err(text).to_string();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }
}
