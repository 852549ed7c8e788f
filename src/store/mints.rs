//! Master IDs that the broker minted a moment ago, by what clients that look alike share (rules B6, S16).
//!
//! A first tab on the primary and a first hop of the same browser send no cookie by which the broker could tell that they are one
//! browser's. Each looks here for the other, so that one browser gets one ID. Look-alikes that are two browsers are only delayed:
//! neither ever gets the other's ID.

use std::time::Duration;

use super::recent_set::{Claim, RecentSet};

/// An answer reaches the browser within this time.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// A page of the primary may take this long to be answered.
const SLOW_PAGE: Duration = Duration::from_secs(30);

const CLIENTS_MAX: usize = 65_536;

/// The memory, in this process only. Where it is full, clients count as seen for the first time.
#[derive(Debug)]
pub struct Mints {
    on_pages: RecentSet,
    by_hops: RecentSet,
    by_hops_lately: RecentSet,
}

/// A page of the primary whose answer will bring a new master cookie.
#[derive(Debug, Clone, Copy)]
pub struct PendingMint {
    client: u128,
    /// A look-alike's hop had minted before already, so a mint that is found later says nothing.
    is_unclear: bool,
}

impl Default for Mints {
    fn default() -> Self {
        let memory = |span| RecentSet::new(span, CLIENTS_MAX);
        Self { on_pages: memory(ON_ITS_WAY), by_hops: memory(ON_ITS_WAY), by_hops_lately: memory(SLOW_PAGE) }
    }
}

impl Mints {
    /// A page of the primary is about to mint for `client`. `None` when a look-alike's hop minted a moment ago: the cookie of
    /// that hop may be on its way to the same browser.
    pub fn begin_on_page(&self, client: u128, uptime: Duration) -> Option<PendingMint> {
        if self.by_hops.contains(client, uptime) {
            return None;
        }
        self.on_pages.claim(client, uptime);
        Some(PendingMint { client, is_unclear: self.by_hops_lately.contains(client, uptime) })
    }

    /// Whether the page may still set its cookie: no look-alike's hop has minted since.
    #[must_use]
    pub fn may_finish(&self, pending: PendingMint, uptime: Duration) -> bool {
        pending.is_unclear || !self.by_hops_lately.contains(pending.client, uptime)
    }

    /// Whether a page of the primary minted for a look-alike a moment ago.
    #[must_use]
    pub fn is_on_page(&self, client: u128, uptime: Duration) -> bool {
        self.on_pages.contains(client, uptime)
    }

    /// A hop mints for `client`.
    pub fn by_hop(&self, client: u128, uptime: Duration) {
        for memory in [&self.by_hops, &self.by_hops_lately] {
            let _: Claim = memory.claim(client, uptime);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const CLIENT: u128 = 7 << 64 | 7;

    fn later(seconds: u64) -> Duration {
        NOW + Duration::from_secs(seconds)
    }

    #[test]
    fn b6_a_page_sets_no_cookie_once_a_look_alikes_hop_has_minted() {
        let mints = Mints::default();
        let pending = mints.begin_on_page(CLIENT, NOW).unwrap();
        assert!(mints.may_finish(pending, later(1)));
        assert!(mints.is_on_page(CLIENT, NOW) && !mints.is_on_page(CLIENT + 1, NOW));
        mints.by_hop(CLIENT, later(1));
        assert!(!mints.may_finish(pending, later(2)), "the hop's ID is in the browser");
        assert!(mints.begin_on_page(CLIENT, later(1)).is_none(), "it may be on its way");
    }

    #[test]
    fn s16_an_earlier_visitor_behind_the_same_address_takes_nothing_away() {
        let mints = Mints::default();
        mints.by_hop(CLIENT, NOW);
        let pending = mints.begin_on_page(CLIENT, later(5)).unwrap();
        mints.by_hop(CLIENT, later(6));
        assert!(mints.may_finish(pending, later(7)));
    }

    #[test]
    fn a8_a_full_memory_keeps_nobody_from_an_id() {
        let mints = Mints::default();
        for client in 0..3 * CLIENTS_MAX as u128 {
            let client = client << 64 | client;
            let pending = mints.begin_on_page(client, NOW).unwrap();
            assert!(mints.may_finish(pending, NOW));
        }
    }
}
