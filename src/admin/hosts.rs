//! Whom the listener for operators answers to. A page on the web can make a browser ask any address under a name of its own
//! (DNS rebinding), and would then read the answer as its own. It cannot choose the `Host`: so that must be no name that
//! the web could have.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The names that count besides `localhost` and IP addresses.
#[derive(Debug, Clone, Default)]
pub struct Hosts(pub Vec<String>);

impl Hosts {
    /// Whether a `Host` header names this listener.
    #[must_use]
    pub fn admit(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(']') => {
                name
            }
            _ => host,
        };
        let six = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        six.is_some_and(|six| six.parse::<Ipv6Addr>().is_ok())
            || name.parse::<Ipv4Addr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.0.iter().any(|known| name.eq_ignore_ascii_case(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_localhost_and_configured_names_are_admitted() {
        let hosts = Hosts(vec!["ops.internal".into()]);
        for good in ["127.0.0.1", "127.0.0.1:8401", "[::1]", "[::1]:8401", "localhost", "LOCALHOST:8401", "Ops.Internal:1"] {
            assert!(hosts.admit(good), "{good}");
        }
        for bad in [
            "",
            ":8401",
            "evil.example",
            "evil.example:8401",
            "127.0.0.1.evil.example",
            "127.0.0.1:x",
            "127.0.0.1:",
            "::1",
            "[::1",
            "[::1]x",
            "[127.0.0.1]",
            "localhost.",
            "localhost.evil.example",
            "x.localhost",
            "ops.internal.evil.example",
            "user@localhost",
            "localhost:8401:8401",
        ] {
            assert!(!hosts.admit(bad), "{bad}");
        }
    }
}
