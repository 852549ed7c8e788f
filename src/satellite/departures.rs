//! Clients that left on a hop and have not come back yet (rules S16, S18, B6).
//!
//! Two first tabs of one browser in the same instant send no cookie by which the broker could tell that they are one browser's: it
//! would mint two IDs. The satellite cannot tell such tabs from two visitors behind one address either. So it delays
//! neither: it lets both go, and says in the second hop request that a look-alike is on its way. The broker lets the first
//! answer arrive before it looks for the master cookie of the second.
//!
//! A browser that keeps no cookie and loses our parameter as well would leave again from the same page with each return. After
//! a few rounds it gets the page.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::Duration;

use crate::http::client_address::ClientKey;
use crate::store::recent_set::{Claim, RecentSet};

/// A hop takes less than this. A longer memory would only send more visitors on the extra redirect.
const ONE_HOP: Duration = Duration::from_secs(1);

/// The most hops that look-alikes without cookies begin from one page within [`ROUNDS_SPAN`] while none of them comes back
/// there. A round is at most three redirects, and no chain may be longer than 12. Behind several satellites a return may
/// reach another than the departure: a smaller number would delay visitors whose hops went well.
const ROUNDS_MAX: u128 = 4;
/// The same for clients whose address is unknown. They are never settled, so a round is two redirects.
const ROUNDS_OF_UNKNOWN_MAX: u128 = 6;
const ROUNDS_SPAN: Duration = Duration::from_secs(60);

const CLIENTS_MAX: usize = 65_536;

/// The memory of departures, in this process only. Where it is full, a client counts as the first of its kind.
#[derive(Debug)]
pub struct Departures {
    now: RecentSet,
    rounds: RecentSet,
    hash: RandomState,
}

impl Default for Departures {
    fn default() -> Self {
        let (now, rounds) = (RecentSet::new(ONE_HOP, CLIENTS_MAX), RecentSet::new(ROUNDS_SPAN, CLIENTS_MAX));
        Self { now, rounds, hash: RandomState::new() }
    }
}

impl Departures {
    /// Whether a client without cookies may leave from `page`: it is not in a loop.
    #[must_use]
    pub fn may_leave(&self, client: ClientKey, page: &str, uptime: Duration) -> bool {
        self.rounds_of(client, page).any(|round| self.rounds.claim(round, uptime) != Claim::Again)
    }

    /// Notes that a client without cookies leaves; whether one that looks like it is on its way already. Unknown clients may be
    /// many with one key, so none of them is taken for another.
    #[must_use]
    pub fn leave(&self, client: ClientKey, uptime: Duration) -> bool {
        client.known().is_some_and(|client| self.now.claim(client, uptime) == Claim::Again)
    }

    /// A client like that has come back to `page`.
    pub fn returned(&self, client: ClientKey, page: &str, uptime: Duration) {
        self.now.remove(client.any(), uptime);
        self.rounds_of(client, page).for_each(|round| self.rounds.remove(round, uptime));
    }

    fn rounds_of(&self, client: ClientKey, page: &str) -> impl Iterator<Item = u128> {
        let from_here = client.any() ^ u128::from(self.hash.hash_one(page));
        let most = if client.known().is_some() { ROUNDS_MAX } else { ROUNDS_OF_UNKNOWN_MAX };
        (1..=most).map(move |round| from_here ^ round << 64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const CLIENT: ClientKey = ClientKey::Known(1 << 64);

    #[test]
    fn s16_the_second_of_two_at_once_is_a_look_alike_until_the_first_is_back() {
        let departures = Departures::default();
        assert!(!departures.leave(CLIENT, NOW));
        assert!(departures.leave(CLIENT, NOW));
        assert!(!departures.leave(ClientKey::Known(2 << 64), NOW), "another client");
        departures.returned(CLIENT, "/p", NOW);
        assert!(!departures.leave(CLIENT, NOW));
    }

    #[test]
    fn s18_a_client_that_never_comes_back_gets_the_page_after_a_few_rounds() {
        let departures = Departures::default();
        let left = (0..20).filter(|_| departures.may_leave(CLIENT, "/p", NOW)).count();
        assert_eq!(left, 4);
        assert!(departures.may_leave(CLIENT, "/other", NOW), "another page");
        assert!(departures.may_leave(CLIENT, "/p", NOW + ROUNDS_SPAN * 2), "and may try again later");
        departures.returned(CLIENT, "/p", NOW);
        assert!(departures.may_leave(CLIENT, "/p", NOW));
    }

    #[test]
    fn a8_a_full_memory_keeps_no_client_back() {
        let departures = Departures::default();
        for client in 0..2 * CLIENTS_MAX as u128 {
            let client = ClientKey::Known(client << 64 | client);
            assert!(departures.may_leave(client, "/p", NOW) && !departures.leave(client, NOW), "{client:?}");
        }
    }

    #[test]
    fn f6_unknown_clients_do_not_wait_for_each_other_and_yet_cannot_loop() {
        let (departures, unknown) = (Departures::default(), ClientKey::Unknown(1 << 64));
        assert_eq!((0..20).filter(|_| departures.may_leave(unknown, "/p", NOW)).count(), 6);
        assert!(!departures.leave(unknown, NOW) && !departures.leave(unknown, NOW));
        departures.returned(unknown, "/p", NOW);
        assert!(departures.may_leave(unknown, "/p", NOW));
    }
}
