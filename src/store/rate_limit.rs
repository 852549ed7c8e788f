//! How often one client may do what costs something: a bucket for each, in memory of a fixed size and without locks.
//!
//! The generic cell rate algorithm: a cell holds the time at which its bucket is full again. Clients share the cells by a hash
//! with a key of this process, so that nobody can choose whom to share with; two that do share have one bucket together.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::base::network::is_public;
use crate::domain::rate::Rate;

/// How many cells there are: half a MiB. Of ten thousand clients that are busy at once, one in seven shares a bucket.
const CELLS: usize = 65_536;

/// The buckets of all clients.
#[derive(Debug)]
pub struct RateLimit {
    cells: Box<[AtomicU64]>,
    hash: RandomState,
    /// What one request takes, and how much a bucket holds, in nanoseconds of filling.
    cost: u64,
    depth: u64,
}

impl RateLimit {
    /// Full buckets.
    #[must_use]
    pub fn new(Rate { per_second, burst }: Rate) -> Self {
        let cost = 1_000_000_000_u64.checked_div(u64::from(per_second)).unwrap_or(0);
        let cells = if cost == 0 { 0 } else { CELLS };
        Self {
            cells: std::iter::repeat_with(AtomicU64::default).take(cells).collect(),
            hash: RandomState::new(),
            cost,
            depth: cost * u64::from(burst),
        }
    }

    /// Takes one from the bucket of `client`; whether there was one. Who cannot be told apart is not limited: an address that
    /// is not a public one is most likely a proxy's, and all of a site's visitors are behind it.
    pub fn allows(&self, client: Option<IpAddr>, uptime: Duration) -> bool {
        let Some(client) = client.filter(|client| self.cost > 0 && is_public(*client)) else { return true };
        let index = self.hash.hash_one(household(client)) % CELLS as u64;
        let Some(cell) = usize::try_from(index).ok().and_then(|index| self.cells.get(index)) else { return true };
        let now = u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX);
        let taken = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let full_at = full_at.max(now).saturating_add(self.cost);
            (full_at - now <= self.depth).then_some(full_at)
        });
        taken.is_ok()
    }
}

/// What tells clients apart by their address: one with an IPv6 address has a whole /64 of them.
#[must_use]
pub fn household(client: IpAddr) -> [u8; 8] {
    let bytes = match client.to_canonical() {
        IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
        IpAddr::V6(six) => return first_half(six.octets()),
    };
    // The mapped prefix is zeros: the address itself is in the other half.
    let mut half = [0; 8];
    half.copy_from_slice(&bytes[8..]);
    half
}

fn first_half(bytes: [u8; 16]) -> [u8; 8] {
    let mut half = [0; 8];
    half.copy_from_slice(&bytes[..8]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_burst_at_once_and_then_the_rate() {
        let limit = RateLimit::new(Rate { per_second: 10, burst: 3 });
        let start = Duration::from_secs(100);
        let taken = (0..5).filter(|_| limit.allows(client("192.0.2.1"), start)).count();
        assert_eq!(taken, 3);
        assert!(limit.allows(client("192.0.2.2"), start), "another client");
        assert!(!limit.allows(client("192.0.2.1"), start + Duration::from_millis(99)));
        assert!(limit.allows(client("192.0.2.1"), start + Duration::from_millis(100)));
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..5).filter(|_| limit.allows(client("192.0.2.1"), later)).count(), 3, "no more than a burst is saved up");
    }

    #[test]
    fn a_household_is_one_client() {
        let limit = RateLimit::new(Rate { per_second: 1, burst: 1 });
        let at = Duration::from_secs(1);
        assert!(limit.allows(client("2001:db8:1:2::1"), at));
        assert!(!limit.allows(client("2001:db8:1:2:ffff::9"), at));
        assert!(limit.allows(client("2001:db8:1:3::1"), at));
        assert!(limit.allows(client("192.0.2.1"), at));
        assert!(!limit.allows(client("::ffff:192.0.2.1"), at), "the same by another name");
    }

    #[test]
    fn an_address_that_may_be_a_proxys_is_not_limited() {
        let limit = RateLimit::new(Rate { per_second: 1, burst: 1 });
        for proxy in
            ["127.0.0.1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"]
        {
            assert!((0..3).all(|_| limit.allows(client(proxy), Duration::ZERO)), "{proxy}");
        }
        assert!(limit.allows(client("100.128.0.1"), Duration::ZERO) && !limit.allows(client("100.128.0.1"), Duration::ZERO));
    }

    #[test]
    fn no_rate_is_no_limit_and_takes_no_memory() {
        let limit = RateLimit::new(Rate { per_second: 0, burst: 0 });
        assert!((0..1000).all(|_| limit.allows(client("192.0.2.1"), Duration::ZERO)));
        assert!(limit.cells.is_empty());
        assert!(RateLimit::new(Rate { per_second: 1, burst: 1 }).allows(None, Duration::ZERO));
    }

    #[test]
    fn of_many_threads_together_no_more_than_a_burst_is_let_through() {
        let limit = RateLimit::new(Rate { per_second: 1, burst: 100 });
        let taken: usize = std::thread::scope(|scope| {
            let tries = || (0..100).filter(|_| limit.allows(client("192.0.2.1"), Duration::from_secs(9))).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(tries)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 100);
    }
}
