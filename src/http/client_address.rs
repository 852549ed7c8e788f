//! Which client a request comes from, as far as that can be known (rule F1 for the address).

use std::net::IpAddr;

use actix_web::http::header::{self, HeaderMap, HeaderName};
use ipnet::IpNet;
use ring::digest;

use crate::base::network::{Network, is_public};

use super::facts::text;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose `X-Forwarded-For` counts. Of anybody else it is ignored.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl TrustedProxies {
    /// Whether a peer is one of them.
    #[must_use]
    pub fn contains(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.0.iter().any(|net| net.contains(&peer.to_canonical())))
    }

    /// The client's address: the peer, or, behind trusted proxies, the last address that none of them has.
    #[must_use]
    pub fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let mut client = peer?.to_canonical();
        let forwarded: Vec<_> = headers.get_all(&X_FORWARDED_FOR).filter_map(|line| line.to_str().ok()).collect();
        let mut hops = forwarded.iter().rev().flat_map(|line| line.rsplit(','));
        while self.0.iter().any(|net| net.contains(&client)) {
            match hops.next().and_then(|hop| hop.trim().parse::<IpAddr>().ok()) {
                Some(before) => client = before.to_canonical(),
                None => break,
            }
        }
        Some(client)
    }

    /// The client's network (rule L2). `None` where the address is not one client's own: a private one, or that of a trusted
    /// proxy that did not say for which client it asks. In the localhost profile all addresses are loopback, and those count.
    #[must_use]
    pub fn network(&self, peer: Option<IpAddr>, headers: &HeaderMap, is_for_localhost: bool) -> Option<Network> {
        let client = self.client(peer, headers)?;
        let is_clients_own = is_public(client) && !self.contains(Some(client));
        (is_clients_own || (is_for_localhost && client.is_loopback())).then(|| Network::of(client))
    }

    /// A digest that tells clients apart for some minutes (rule S16). It never leaves the process's memory, is never
    /// written down, and only ever serves to leave a browser alone.
    #[must_use]
    pub fn client_key(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> u128 {
        let mut context = digest::Context::new(&digest::SHA256);
        if let Some(address) = self.client(peer, headers) {
            context.update(address.to_string().as_bytes());
        }
        for name in [header::USER_AGENT, header::ACCEPT_LANGUAGE] {
            context.update(b"\n");
            context.update(text(headers, &name).unwrap_or_default().as_bytes());
        }
        let mut key = [0; 16];
        key.copy_from_slice(&context.finish().as_ref()[..16]);
        u128::from_be_bytes(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn f1_only_trusted_proxies_may_speak_for_a_client() {
        let proxies = TrustedProxies(vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        let client = |peer: &str, forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
            }
            proxies.client(peer.parse().ok(), &headers).unwrap().to_string()
        };
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["203.0.113.9, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["203.0.113.9", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("::1", &["nonsense"]), "::1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn l2_a_network_is_known_only_by_a_clients_own_address() {
        let proxies = TrustedProxies(["10.0.0.0/8", "192.0.2.0/24", "127.0.0.1/32"].map(|net| net.parse().unwrap()).to_vec());
        for (peer, forwarded, production, localhost) in [
            // No proxy, or one that says where the client is.
            ("198.51.100.7", "", Some("198.51.100.7"), Some("198.51.100.7")),
            ("2001:db8:1:2::3", "", Some("2001:db8:1::"), Some("2001:db8:1::")),
            ("::ffff:198.51.100.7", "", Some("198.51.100.7"), Some("198.51.100.7")),
            ("10.0.0.1", "198.51.100.7", Some("198.51.100.7"), Some("198.51.100.7")),
            ("192.0.2.1", "203.0.113.9, 198.51.100.7, 192.0.2.9", Some("198.51.100.7"), Some("198.51.100.7")),
            // A client that is no proxy may say what it likes.
            ("198.51.100.7", "203.0.113.9", Some("198.51.100.7"), Some("198.51.100.7")),
            // A proxy that does not say it, be its own address public or private, and one that nobody named.
            ("192.0.2.1", "", None, None),
            ("192.0.2.1", "nonsense", None, None),
            ("10.0.0.1", "", None, None),
            ("172.16.0.1", "198.51.100.7", None, None),
            ("10.0.0.1", "192.168.0.4", None, None),
            ("10.0.0.1", "fd00::1", None, None),
            // The developer's own machine.
            ("127.0.0.1", "", None, Some("127.0.0.1")),
            ("127.0.1.1", "", None, Some("127.0.1.0")),
            ("::1", "", None, Some("::1")),
        ] {
            let mut headers = HeaderMap::new();
            if !forwarded.is_empty() {
                headers.insert(X_FORWARDED_FOR, HeaderValue::from_str(forwarded).unwrap());
            }
            for (is_for_localhost, expected) in [(false, production), (true, localhost)] {
                let network = proxies.network(peer.parse().ok(), &headers, is_for_localhost);
                let expected = expected.map(|address| Network::of(address.parse().unwrap()));
                assert_eq!(network, expected, "{peer}, {forwarded:?}, {is_for_localhost}");
            }
        }
        assert_eq!(proxies.network(None, &HeaderMap::new(), true), None);
    }
}
