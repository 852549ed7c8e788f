//! Layer 6: the satellite, one file an endpoint. It decides on each page, sends visitors on a hop, takes their tokens, and
//! keeps the local cookie. The primary's own pages go through it too: there the cookie is the master cookie.

pub mod arrive;
pub mod choice;
pub mod departures;
pub mod exchange;
pub mod go;
pub mod landing;
pub mod me;
pub mod page;
pub mod siblings;
pub mod watch;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::base::origin::Origin;
use crate::domain::breaker::Breaker;
use crate::domain::contract::BARE_CLIENT_SPAN;
use crate::store::alias_outbox::AliasOutbox;
use crate::store::recent_set::RecentSet;
use crate::store::replay::Replay;

use departures::Departures;
use siblings::Siblings;

/// How many clients that drop cookies are remembered, and how many aliases wait to be taken.
const BARE_CLIENTS_MAX: usize = 65_536;
const ALIASES_MAX: usize = 10_000;

/// What all sites of this process share as satellites of one broker.
pub struct Satellite {
    /// The primary's origin, where the broker is.
    pub primary: Origin,
    /// Whether the broker answers.
    pub breaker: Breaker,
    /// The other sites and everybody's keys, as the broker's metadata told last.
    pub siblings: ArcSwap<Siblings>,
    /// Tokens that were used.
    pub replay: Replay,
    /// Clients that came back from a hop without cookies.
    pub bare_clients: RecentSet,
    /// Clients that have not come back yet.
    pub departures: Departures,
    /// Aliases on their way out.
    pub aliases: AliasOutbox,
    /// Wakes the watch when a token names a key that nobody knows (rule K2).
    pub unknown_key: Notify,
}

impl Satellite {
    /// A satellite of the broker on `primary`, which remembers used tokens in `replay`.
    #[must_use]
    pub fn new(primary: Origin, replay: Replay) -> Self {
        Self {
            siblings: ArcSwap::from_pointee(Siblings::none(&primary)),
            primary,
            breaker: Breaker::new(),
            replay,
            bare_clients: RecentSet::new(BARE_CLIENT_SPAN, BARE_CLIENTS_MAX),
            departures: Departures::new(),
            aliases: AliasOutbox::new(ALIASES_MAX),
            unknown_key: Notify::new(),
        }
    }
}
