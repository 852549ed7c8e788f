//! Which client a request comes from, as far as that can be known (rule F1 for the address).

use std::net::IpAddr;

use actix_web::http::header::{self, HeaderMap, HeaderName};
use ipnet::IpNet;
use ring::digest;

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
}
