//! Which client a request comes from, as far as that can be known (rules F1 and F6 for the address).
//!
//! 1. `X-Forwarded-For` counts from trusted proxies only, and `Forwarded` (RFC 7239) only where there is no `X-Forwarded-For`.
//! 2. Both are read from their end, where the nearest proxy wrote: the client is the last address that no trusted proxy has.
//! 3. An entry may have a port (Azure), brackets or quotes (RFC 7239 section 6) and a zone (RFC 4007 section 11).
//! 4. An entry that is no address makes the client unknown. The proxy's address does not stand in: all visitors would be one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use ring::digest;

use crate::base::network::{Network, is_public};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose forwarded headers count. A peer outside these networks is a client, and its headers are ignored.
#[derive(Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unreadable: AtomicU64,
}

/// Tells clients apart for some minutes (rule S16): a digest that never leaves the memory of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKey {
    /// Of a client whose address is known.
    Known(u128),
    /// Of a client without a known address. Other clients may have the same key.
    Unknown(u128),
}

impl ClientKey {
    /// The key, even if other clients may have the same.
    #[must_use]
    pub const fn any(self) -> u128 {
        match self {
            Self::Known(key) | Self::Unknown(key) => key,
        }
    }

    /// The key, where it is one client's.
    #[must_use]
    pub const fn known(self) -> Option<u128> {
        match self {
            Self::Known(key) => Some(key),
            Self::Unknown(_) => None,
        }
    }
}

impl TrustedProxies {
    /// Trusts these networks.
    #[must_use]
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self { networks, unreadable: AtomicU64::new(0) }
    }

    /// Whether a peer is one of them.
    #[must_use]
    pub fn contains(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.networks.iter().any(|net| net.contains(&peer.to_canonical())))
    }

    /// How many entries of trusted proxies were no address.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// The client's address: the peer, or, behind trusted proxies, the last address that none of them has. `None` when the
    /// proxies do not say it.
    #[must_use]
    pub fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer?.to_canonical();
        if !self.contains(Some(peer)) {
            return Some(peer);
        }
        let mut client = None;
        for entry in entries(headers) {
            let Some(address) = entry else {
                self.count_unreadable(peer);
                return None;
            };
            client = Some(address);
            if !self.contains(client) {
                break;
            }
        }
        client
    }

    /// The client's network (rule L2). `None` where the address is not one client's own: a private one, or that of a trusted
    /// proxy that did not say for which client it asks. In the localhost profile all addresses are loopback, and those count.
    #[must_use]
    pub fn network(&self, peer: Option<IpAddr>, headers: &HeaderMap, is_for_localhost: bool) -> Option<Network> {
        let own_machine = peer.filter(|peer| is_for_localhost && peer.to_canonical().is_loopback());
        let client = self.client(peer, headers).or(own_machine)?;
        let is_clients_own = is_public(client) && !self.contains(Some(client));
        (is_clients_own || (is_for_localhost && client.is_loopback())).then(|| Network::of(client))
    }

    /// A digest that tells clients apart. It stays in memory, and leads to fewer hops or a delay, never to an ID.
    #[must_use]
    pub fn client_key(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> ClientKey {
        let mut context = digest::Context::new(&digest::SHA256);
        let client = self.client(peer, headers);
        match client {
            Some(IpAddr::V4(four)) => context.update(&four.to_ipv6_mapped().octets()),
            Some(IpAddr::V6(six)) => context.update(&six.octets()),
            None => {}
        }
        let more: &[HeaderName] = if client.is_some() { &[] } else { &[X_FORWARDED_FOR, header::FORWARDED, header::COOKIE] };
        for name in [header::USER_AGENT, header::ACCEPT_LANGUAGE].iter().chain(more) {
            context.update(b"\n");
            context.update(headers.get(name).map_or(b"".as_slice(), HeaderValue::as_bytes));
        }
        let mut key = [0; 16];
        key.copy_from_slice(&context.finish().as_ref()[..16]);
        let key = u128::from_be_bytes(key);
        if client.is_some() { ClientKey::Known(key) } else { ClientKey::Unknown(key) }
    }

    fn count_unreadable(&self, peer: IpAddr) {
        if self.unreadable.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                proxy = %peer,
                "a trusted proxy sent an X-Forwarded-For or Forwarded without a readable address; such clients count as unknown"
            );
        }
    }
}

/// What the proxies say of each hop, the nearest first. `None` is an entry that is no address.
fn entries(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let is_de_facto = headers.contains_key(&X_FORWARDED_FOR);
    let name = if is_de_facto { X_FORWARDED_FOR } else { header::FORWARDED };
    let lines: Vec<_> = headers.get_all(name).collect();
    // A line that is not ASCII has entries that are no addresses.
    let entries = lines.into_iter().rev().flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
    entries.map(move |entry| if is_de_facto { address(entry) } else { address(for_parameter(entry)?) })
}

/// The `for` of an element of `Forwarded`. A comma or semicolon inside quotes would split it, but no address has one.
fn for_parameter(element: &str) -> Option<&str> {
    let mut values = element.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim_ascii().eq_ignore_ascii_case("for").then_some(value)
    });
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// An address as proxies spell it.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_ascii();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let six = |text: &str| text.split('%').next()?.parse::<Ipv6Addr>().ok();
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, port) = rest.split_once(']')?;
            let is_port = |port: &str| port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
            (port.is_empty() || is_port(port)).then(|| six(inside)).flatten()?.into()
        }
        None => match text.parse::<Ipv4Addr>().or_else(|_| text.parse::<SocketAddrV4>().map(|with_port| *with_port.ip())) {
            Ok(four) => four.into(),
            Err(_) => six(text)?.into(),
        },
    };
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name.clone(), HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        headers
    }

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()])
    }

    #[test]
    fn f1_f6_only_trusted_proxies_may_speak_for_a_client() {
        let proxies = proxies();
        let client = |peer: &str, lines: &[&str]| {
            proxies.client(peer.parse().ok(), &headers(&X_FORWARDED_FOR, lines)).map(|client| client.to_string())
        };
        for (peer, lines, expected) in [
            ("192.0.2.1", &["198.51.100.7"][..], Some("192.0.2.1")),
            ("192.0.2.1", &["junk"], Some("192.0.2.1")),
            ("10.0.0.1", &["198.51.100.7"], Some("198.51.100.7")),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7, 10.0.0.2"], Some("198.51.100.7")),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.7"], Some("198.51.100.7")),
            ("10.0.0.1", &["junk, 198.51.100.7"], Some("198.51.100.7")),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], Some("10.0.0.3")),
            ("10.0.0.1", &["198.51.100.7, 10.0.0.2:80"], Some("198.51.100.7")),
            ("::ffff:10.0.0.1", &["198.51.100.7"], Some("198.51.100.7")),
            ("::1", &["nonsense"], None),
            ("10.0.0.1", &["198.51.100.7, nonsense, 10.0.0.2"], None),
            ("10.0.0.1", &["198.51.100.7", "\u{e4}"], None),
            ("10.0.0.1", &[""], None),
            ("10.0.0.1", &[], None),
        ] {
            assert_eq!(client(peer, lines).as_deref(), expected, "{peer} {lines:?}");
        }
        assert_eq!(proxies.unreadable(), 4, "a header that is not there is not unreadable");
    }

    #[test]
    fn f6_addresses_as_proxies_spell_them() {
        for (text, expected) in [
            ("203.0.113.7", Some("203.0.113.7")),
            ("203.0.113.7:4711", Some("203.0.113.7")),
            (" \t203.0.113.7:4711 ", Some("203.0.113.7")),
            ("\"203.0.113.7:4711\"", Some("203.0.113.7")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("\"[2001:db8::1]\"", Some("2001:db8::1")),
            ("\"[2001:DB8::1]:443\"", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("[fe80::1%25eth0]:80", Some("fe80::1")),
            ("::ffff:203.0.113.7", Some("203.0.113.7")),
            ("[::ffff:203.0.113.7]:1", Some("203.0.113.7")),
            ("", None),
            ("unknown", None),
            ("_hidden", None),
            ("203.0.113", None),
            ("203.0.113.07", None),
            ("203.0.113.7:", None),
            ("203.0.113.7:99999", None),
            ("[2001:db8::1", None),
            ("[2001:db8::1]443", None),
            ("[203.0.113.7]", None),
            ("[]", None),
            ("\"203.0.113.7", None),
            ("203.0.113.7 198.51.100.7", None),
            ("localhost", None),
        ] {
            assert_eq!(address(text).map(|address| address.to_string()).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn f6_forwarded_counts_where_there_is_no_x_forwarded_for() {
        let proxies = proxies();
        let peer = "10.0.0.1".parse().ok();
        for (lines, expected) in [
            (&["for=203.0.113.7"][..], Some("203.0.113.7")),
            (&["For=\"203.0.113.7:4711\";proto=https;by=10.0.0.1"], Some("203.0.113.7")),
            (&["proto=http; host=shop.example ;for=\"[2001:db8::1]:443\""], Some("2001:db8::1")),
            (&["for=192.0.2.9, for=203.0.113.7;proto=https, for=10.0.0.2"], Some("203.0.113.7")),
            (&["for=192.0.2.9", "for=203.0.113.7"], Some("203.0.113.7")),
            (&["for=\"evil, for=203.0.113.7"], Some("203.0.113.7")),
            (&["for=unknown"], None),
            (&["for=_hidden"], None),
            (&["proto=https"], None),
            (&["for=203.0.113.7;for=192.0.2.9"], None),
            (&[], None),
        ] {
            let client = proxies.client(peer, &headers(&header::FORWARDED, lines));
            assert_eq!(client.map(|client| client.to_string()).as_deref(), expected, "{lines:?}");
        }
        let mut both = headers(&header::FORWARDED, &["for=192.0.2.9"]);
        both.append(X_FORWARDED_FOR, HeaderValue::from_static("203.0.113.7"));
        assert_eq!(proxies.client(peer, &both), "203.0.113.7".parse().ok());
        both.insert(X_FORWARDED_FOR, HeaderValue::from_static("junk"));
        assert_eq!(proxies.client(peer, &both), None);
        assert_eq!(proxies.client("192.0.2.1".parse().ok(), &both), "192.0.2.1".parse().ok());
    }

    #[test]
    fn f6_an_unknown_client_has_a_key_of_another_kind() {
        let proxies = proxies();
        let key = |peer: &str, line| proxies.client_key(peer.parse().ok(), &headers(&X_FORWARDED_FOR, &[line]));
        assert_eq!(key("10.0.0.1", "203.0.113.7:1"), key("10.0.0.2", "203.0.113.7:2"));
        assert_ne!(key("10.0.0.1", "203.0.113.7"), key("10.0.0.1", "203.0.113.8"));
        assert!(key("10.0.0.1", "203.0.113.7").known().is_some());
        assert!(key("10.0.0.1", "unknown").known().is_none());
        assert_ne!(key("10.0.0.1", "_a"), key("10.0.0.1", "_b"));
    }

    #[test]
    fn l2_a_network_is_known_only_by_a_clients_own_address() {
        let proxies =
            TrustedProxies::new(["10.0.0.0/8", "192.0.2.0/24", "127.0.0.1/32"].map(|net| net.parse().unwrap()).to_vec());
        for (peer, forwarded, production, localhost) in [
            // No proxy, or one that says where the client is.
            ("198.51.100.7", "", Some("198.51.100.7"), Some("198.51.100.7")),
            ("2001:db8:1:2::3", "", Some("2001:db8:1::"), Some("2001:db8:1::")),
            ("::ffff:198.51.100.7", "", Some("198.51.100.7"), Some("198.51.100.7")),
            ("10.0.0.1", "198.51.100.7", Some("198.51.100.7"), Some("198.51.100.7")),
            ("192.0.2.1", "203.0.113.9, 198.51.100.7, 192.0.2.9", Some("198.51.100.7"), Some("198.51.100.7")),
            // A client that is no proxy may say what it likes.
            ("198.51.100.7", "203.0.113.9", Some("198.51.100.7"), Some("198.51.100.7")),
            // A proxy that does not send the address, with a public or a private address, and one that is not trusted.
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
