//! Layer 6: the satellite, one file an endpoint. It decides on each page, sends visitors on a hop, takes their tokens, and
//! keeps the local cookie. The primary's own pages go through it too: there the cookie is the master cookie.

pub mod access;
pub mod arrivals;
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
mod retries;
pub mod revocations;
pub mod script_hop;
pub mod sdk;

pub mod watch;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
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
use crate::store::siblings_file::SiblingsFile;

use access::Access;
use arrivals::Arrivals;
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
    /// Clients that left on a hop a moment ago.
    pub departures: Departures,
    /// Arrivals of the last minute.
    pub arrivals: Arrivals,
    /// Whether the broker accepts the sites' API keys.
    pub access: Access,
    /// Reports on their way to the broker.
    pub outbox: Outbox,
    /// Refusals that the broker has not heard of, on disk.
    pub refusals: Option<Arc<RefusalFile>>,
    /// Where the siblings are kept for the next start, if anywhere.
    pub siblings_file: Option<SiblingsFile>,
    /// The digest of the registered sites that the broker's health named last.
    pub registry_named: ArcSwapOption<String>,
    /// Wakes the watch when a token names a key that nobody knows (rule K2).
    pub unknown_key: Notify,
    /// Wakes the watch when this process serves other sites than before.
    pub sites_changed: Notify,
    /// Wakes the watch when the broker names other sites than before (rule A12).
    pub registry_changed: Notify,
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
            departures: Departures::default(),
            arrivals: Arrivals::default(),
            access: Access::default(),
            outbox: Outbox::new(REPORTS_WAITING_MAX),
            refusals: refusals.map(Arc::new),
            siblings_file: None,
            registry_named: ArcSwapOption::empty(),
            unknown_key: Notify::new(),
            sites_changed: Notify::new(),
            registry_changed: Notify::new(),
            looked: Notify::new(),
        }
    }
}
