//! Clients that left on a hop and have not come back with the cookie that says so (rules S16, B6).
//!
//! Two things go wrong when nobody keeps count of them. Two first tabs in the same instant would both find no master cookie,
//! and the broker would mint two IDs for one browser. And a browser that does not keep that cookie (it keeps none, something
//! takes it out, another key protects it) would leave again with every return, where the return itself does not tell.

use std::time::Duration;

use crate::http::client_address::ClientKey;
use crate::store::recent_set::{Claim, RecentSet};

/// A hop takes less than this; while one client is on its way, another like it stays here.
const ONE_HOP: Duration = Duration::from_secs(1);

/// So often may clients that look alike leave within [`OFTEN_SPAN`] without one coming back with cookies. Browsers give up
/// after 20 redirects, and each hop is two.
const OFTEN: u128 = 8;
const OFTEN_SPAN: Duration = Duration::from_secs(60);

const CLIENTS_MAX: usize = 65_536;

/// The memory of departures, in this process only.
#[derive(Debug)]
pub struct Departures {
    now: RecentSet,
    often: RecentSet,
}

impl Departures {
    /// Nobody has left.
    #[must_use]
    pub fn new() -> Self {
        Self { now: RecentSet::new(ONE_HOP, CLIENTS_MAX), often: RecentSet::new(OFTEN_SPAN, CLIENTS_MAX) }
    }

    /// Notes that a client without a trace of an earlier hop wants to leave; whether it may. Of two at once, one.
    ///
    /// Unknown clients may be many with one key, so they need not wait for each other (rule F6). Only the limit that ends a
    /// loop holds for them.
    #[must_use]
    pub fn may_leave(&self, client: ClientKey, uptime: Duration) -> bool {
        // A full memory lets nobody leave: their pages are served, and nothing can go round.
        let is_alone = |client| self.now.claim(client, uptime) == Claim::First;
        client.known().is_none_or(is_alone) && times(client).any(|time| self.often.claim(time, uptime) == Claim::First)
    }

    /// A client like that has come back with the trace of its hop.
    pub fn returned(&self, client: ClientKey, uptime: Duration) {
        if let Some(client) = client.known() {
            self.now.remove(client, uptime);
        }
        times(client).for_each(|time| self.often.remove(time, uptime));
    }
}

impl Default for Departures {
    fn default() -> Self {
        Self::new()
    }
}

fn times(client: ClientKey) -> impl Iterator<Item = u128> {
    let (ClientKey::Known(client) | ClientKey::Unknown(client)) = client;
    (1..=OFTEN).map(move |time| client ^ time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: ClientKey = ClientKey::Known(1 << 64);

    #[test]
    fn s16_of_two_at_once_one_leaves_and_the_next_when_it_is_back() {
        let (departures, now) = (Departures::new(), Duration::from_secs(100));
        assert!(departures.may_leave(KNOWN, now));
        assert!(!departures.may_leave(KNOWN, now));
        assert!(departures.may_leave(ClientKey::Known(2 << 64), now), "another client");
        departures.returned(KNOWN, now);
        assert!(departures.may_leave(KNOWN, now));
    }

    #[test]
    fn s16_who_never_comes_back_with_cookies_stays_in_the_end() {
        let departures = Departures::new();
        let left = (0..20).filter(|round| departures.may_leave(KNOWN, Duration::from_secs(2 * round))).count();
        assert_eq!(left, 8);
        assert!(departures.may_leave(KNOWN, Duration::from_secs(200)), "and may try again later");
    }

    #[test]
    fn f6_unknown_clients_do_not_wait_for_each_other_and_yet_cannot_loop() {
        let (departures, now) = (Departures::new(), Duration::from_secs(100));
        let unknown = ClientKey::Unknown(1 << 64);
        assert_eq!((0..20).filter(|_| departures.may_leave(unknown, now)).count(), 8);
        departures.returned(unknown, now);
        assert!(departures.may_leave(unknown, now));
    }
}
