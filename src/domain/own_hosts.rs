//! The company's own hosts: a page of theirs is no outside page (rule X4).

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;

use crate::base::origin::Origin;

/// The company's own hosts: never an outside referrer (rule X4).
///
/// Own is a registered host, the same without a leading `www.`, and every name below either. An IP address and `localhost`
/// have no names below them.
#[derive(Debug, Clone, Default)]
pub struct OwnHosts {
    hosts: HashSet<String>,
    /// Those with everything below them.
    domains: HashSet<String>,
    /// The length of the longest domain, so that a long name costs no more look-ups than a short one.
    longest: usize,
}

impl OwnHosts {
    /// The hosts of these origins.
    #[must_use]
    pub fn new<'a>(origins: impl Iterator<Item = &'a Origin>) -> Self {
        let mut own = Self::default();
        for host in origins.map(Origin::host) {
            if host == "localhost" || is_address(host) {
                own.hosts.insert(host.to_owned());
                continue;
            }
            // What is left of `www.example` is a whole top-level domain, which is no company's own.
            let bare = host.strip_prefix("www.").filter(|bare| bare.contains('.'));
            own.domains.extend([Some(host), bare].into_iter().flatten().map(String::from));
            own.longest = own.longest.max(host.len());
        }
        own
    }

    /// Whether this host is one of the company's: in any case, and perhaps with the root's dot. It is a host alone, without
    /// a port, an IPv6 address in its brackets.
    #[must_use]
    pub fn is_own(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let host = match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(host.to_ascii_lowercase()),
            false => Cow::Borrowed(host),
        };
        if self.hosts.contains(&*host) {
            return true;
        }
        // `10.127.0.0.1` is below nothing, and neither is an address.
        if is_address(&host) {
            return false;
        }
        let mut name = Some(&*host);
        while let Some(this) = name {
            if this.len() <= self.longest && self.domains.contains(this) {
                return true;
            }
            name = this.split_once('.').map(|(_, parent)| parent);
        }
        false
    }
}

fn is_address(host: &str) -> bool {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(texts: &[&str]) -> OwnHosts {
        let origins: Vec<_> = texts.iter().map(|text| Origin::parse(text).unwrap()).collect();
        OwnHosts::new(origins.iter())
    }

    #[test]
    fn own_are_registered_hosts_and_what_is_below_them() {
        let own = own(&["https://www.brand.example", "https://shop.example:8443", "https://www.example", "https://intranet"]);
        for host in [
            "www.brand.example",
            "brand.example",
            "blog.brand.example",
            "a.b.c.brand.example",
            "x.www.brand.example",
            "BRAND.Example",
            "brand.example.",
            "shop.example",
            "www.shop.example",
            "www.example",
            "a.intranet",
        ] {
            assert!(own.is_own(host), "{host}");
        }
        for host in [
            "notbrand.example",
            "brand.example.evil.example",
            "example",
            "other.example",
            "",
            ".",
            "..",
            "brand.example..",
            "brand",
        ] {
            assert!(!own.is_own(host), "{host}");
        }
    }

    #[test]
    fn addresses_and_localhost_have_nothing_below_them() {
        let own = own(&["http://localhost:8400", "http://127.0.0.1:8400", "http://[::1]:8400", "http://shop.localhost:8400"]);
        for host in ["localhost", "127.0.0.1", "[::1]", "shop.localhost", "a.shop.localhost", "LOCALHOST."] {
            assert!(own.is_own(host), "{host}");
        }
        for host in ["news.localhost", "www.localhost", "10.127.0.0.1", "127.0.0.2", "0.0.1", "[::2]", "x.127.0.0.1"] {
            assert!(!own.is_own(host), "{host}");
        }
        assert!(!self::own(&["http://www.localhost"]).is_own("news.localhost"));
        assert!(!OwnHosts::default().is_own("localhost"));
    }
}
