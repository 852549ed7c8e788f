//! The network of a client, as far as a link token names it (rule L2): an IPv4 /24 or an IPv6 /48.

use std::net::{IpAddr, Ipv4Addr};

/// The first 3 octets of an IPv4 address, or the first 6 of an IPv6 address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    octets: [u8; 6],
    length: usize,
}

impl Network {
    /// The network of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let mut octets = [0; 6];
        let length = match canonical(address) {
            IpAddr::V4(four) => {
                octets[..3].copy_from_slice(&four.octets()[..3]);
                3
            }
            IpAddr::V6(six) => {
                octets.copy_from_slice(&six.octets()[..6]);
                6
            }
        };
        Self { octets, length }
    }

    /// 3 octets for IPv4, 6 for IPv6.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

/// Whether an address can be that of one client on the Internet. A private address is most likely that of a proxy, with all
/// visitors behind it. Documentation ranges count as public.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match canonical(address) {
        IpAddr::V4(four) => {
            let [first, second, ..] = four.octets();
            let is_carriers = first == 100 && second & 0b1100_0000 == 64; // RFC 6598
            let is_this_network = first == 0; // RFC 1122 section 3.2.1.3
            let is_multicast_or_reserved = first >= 224; // RFC 5771, RFC 1112 section 4
            let is_local = four.is_private() || four.is_loopback() || four.is_link_local();
            !(is_local || is_carriers || is_this_network || is_multicast_or_reserved)
        }
        // All that is assigned to the Internet is in 2000::/3 (RFC 4291 section 2.4, IANA's registry).
        IpAddr::V6(six) => six.octets()[0] & 0b1110_0000 == 0b0010_0000,
    }
}

/// An IPv4 client may have an IPv6 address by which a server or translator names it: mapped (RFC 4291 section 2.5.5.2), or
/// below the well-known prefix 64:ff9b::/96 (RFC 6052). All of those would be in one /48. And a browser on this machine uses
/// ::1 and 127.0.0.1 in turn.
fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => match six.octets() {
            [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            _ if six.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => six.to_canonical(),
        },
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> Network {
        Network::of(address.parse().unwrap())
    }

    #[test]
    fn l2_a_network_is_an_ipv4_24_or_an_ipv6_48() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.254", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("192.0.2.1", "::ffff:192.0.2.9", true),
            ("192.0.2.1", "64:ff9b::192.0.2.9", true),
            ("::ffff:192.0.2.1", "::ffff:198.51.100.1", false),
            ("64:ff9b::192.0.2.1", "64:ff9b::198.51.100.1", false),
            ("2001:db8:1::1", "2001:db8:1:ffff::9", true),
            ("2001:db8:1::1", "2001:db8:2::1", false),
            ("127.0.0.1", "127.0.0.254", true),
            ("127.0.0.1", "127.0.1.1", false),
            ("127.0.0.1", "::1", true),
            ("127.0.1.1", "::1", false),
        ] {
            assert_eq!(network(one) == network(other), same, "{one} and {other}");
        }
        assert_eq!(network("192.0.2.7").as_bytes(), [192, 0, 2]);
        assert_eq!(network("2001:db8:1:2::7").as_bytes(), [0x20, 0x01, 0x0d, 0xb8, 0, 1]);
    }

    #[test]
    fn l2_which_addresses_are_public() {
        for public in [
            "192.0.2.1",
            "198.51.100.7",
            "203.0.113.9",
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "223.255.255.255",
            "2001:db8::1",
            "2606:4700::1111",
            "3fff::1",
            "::ffff:192.0.2.1",
            "64:ff9b::192.0.2.1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for local in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.1.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::192.0.2.1",
            "fc00::1",
            "fd00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "64:ff9b:1::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::10.0.0.1",
        ] {
            assert!(!is_public(local.parse().unwrap()), "{local}");
        }
    }
}
