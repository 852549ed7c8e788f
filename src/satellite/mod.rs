//! Layer 6: the satellite, one file an endpoint. It decides on each page, sends visitors on a hop, takes their tokens, and
//! keeps the local cookie. The primary's own pages go through it too: there the cookie is the master cookie.

pub mod arrive;
pub mod choice;
pub mod deliver;
pub mod departures;
pub mod exchange;
pub mod forward;
pub mod go;
pub mod landing;
pub mod me;
pub mod page;
pub mod script_hop;
pub mod sdk;
mod unseen;
pub mod watch;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::base::origin::Origin;
use crate::domain::breaker::Breaker;
use crate::domain::contract::BARE_CLIENT_SPAN;
use crate::domain::siblings::Siblings;
use crate::store::outbox::Outbox;
use crate::store::recent_set::RecentSet;
use crate::store::record_keeper::Keeper;
use crate::store::records::Records;
use crate::store::refusal_file::RefusalFile;
use crate::store::replay::Replay;

use departures::Departures;

/// How many clients that drop cookies are remembered, and how many reports wait for the broker: about 40 MB.
const BARE_CLIENTS_MAX: usize = 65_536;
const REPORTS_WAITING_MAX: usize = 65_536;

/// What all sites of this process share as satellites of one broker.
pub struct Satellite {
    /// The primary's origin, where the broker is.
    pub primary: Origin,
    /// Whether the broker answers.
    pub breaker: Breaker,
    /// The other sites and everybody's keys, as the broker's metadata told last.
    pub siblings: Arc<ArcSwap<Siblings>>,
    /// The visitor records.
    pub records: Arc<dyn Records>,
    /// The records themselves, on a broker node: there the primary's own pages are noted.
    pub keeper: Option<Arc<Keeper>>,
    /// Tokens that were used.
    pub replay: Replay,
    /// Clients that came back from a hop without cookies.
    pub bare_clients: RecentSet,
    /// Clients that have not come back yet.
    pub departures: Departures,
    /// Reports on their way to the broker.
    pub outbox: Outbox,
    /// Refusals that the broker has not heard of, on disk.
    pub refusals: Option<Arc<RefusalFile>>,
    /// Wakes the watch when a token names a key that nobody knows (rule K2).
    pub unknown_key: Notify,
    /// Wakes the watch when this process serves other sites than before.
    pub sites_changed: Notify,
    /// Told when a look at the broker has brought the keys, or nothing.
    pub looked: Notify,
}

impl Satellite {
    /// A satellite of the broker on `primary`, which remembers used tokens in `replay`.
    #[must_use]
    pub fn new(
        primary: Origin,
        replay: Replay,
        siblings: Arc<ArcSwap<Siblings>>,
        records: Arc<dyn Records>,
        keeper: Option<Arc<Keeper>>,
        refusals: Option<RefusalFile>,
    ) -> Self {
        Self {
            siblings,
            records,
            keeper,
            primary,
            breaker: Breaker::new(),
            replay,
            bare_clients: RecentSet::new(BARE_CLIENT_SPAN, BARE_CLIENTS_MAX),
            departures: Departures::new(),
            outbox: Outbox::new(REPORTS_WAITING_MAX),
            refusals: refusals.map(Arc::new),
            unknown_key: Notify::new(),
            sites_changed: Notify::new(),
            looked: Notify::new(),
        }
    }
}
