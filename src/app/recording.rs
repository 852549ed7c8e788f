//! The visitor records, joined: on a broker node from the store up, elsewhere through the broker's API.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::admin::timed_store::TimedStore;
use crate::base::clock::Clock;
use crate::base::origin::Origin;
use crate::config::{RegisteredSite, StoreConfig, StorePlace};
use crate::domain::siblings::Siblings;
use crate::http::client::Outbound;
use crate::http::event::Observer;
use crate::http::remote_records::{ApiKeys, RemoteRecords};
use crate::store::examination::examine;
use crate::store::record_keeper::Keeper;
use crate::store::record_writer::RecordWriter;
use crate::store::records::Records;
use crate::store::retention::retain;
use crate::store::revoked_ids::RevokedIds;
use crate::store::visitors::postgres::PostgresStore;
use crate::store::visitors::sqlite::SqliteStore;
use crate::store::visitors::{StoreFault, VisitorStore};

use super::launch::LaunchFailure;

/// How long a start waits for the store: a server that is just being started too may take a moment.
const PREPARE_TIME_MAX: Duration = Duration::from_secs(5);

/// Work to spawn on the runtime of the process, once that runs.
pub(super) type Task = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The records, as this process has them.
pub(super) struct Recording {
    pub(super) records: Arc<dyn Records>,
    pub(super) keeper: Option<Arc<Keeper>>,
    pub(super) store: Option<Arc<dyn VisitorStore>>,
    pub(super) tasks: Vec<Task>,
}

/// What the keeper needs besides the store.
pub(super) struct Surroundings<'a> {
    pub(super) siblings: &'a Arc<ArcSwap<Siblings>>,
    pub(super) revoked: &'a Arc<RevokedIds>,
    pub(super) clock: &'a Arc<dyn Clock>,
    /// Is told how long the store takes, if anybody wants to know.
    pub(super) observer: Option<&'a Arc<dyn Observer>>,
    pub(super) primary: &'a Origin,
    pub(super) registered: &'a [RegisteredSite],
}

impl Recording {
    /// Keeps the records here.
    pub(super) fn here(config: &StoreConfig, around: &Surroundings<'_>, outbound: &Outbound) -> Result<Self, LaunchFailure> {
        let mut store = open(&config.place, outbound)?;
        if let Some(observer) = around.observer {
            let (observer, clock, primary) = (Arc::clone(observer), Arc::clone(around.clock), around.primary.clone());
            store = Arc::new(TimedStore { store, observer, clock, primary });
        }
        let (writer, work) = RecordWriter::new(Arc::clone(&store), Arc::clone(around.clock));
        let sites = around.registered.iter().map(|site| &site.origin).chain([around.primary]);
        let (siblings, revoked, clock) = (Arc::clone(around.siblings), Arc::clone(around.revoked), Arc::clone(around.clock));
        let sweep = retain(Arc::clone(&store), Arc::clone(&clock), config.retention);
        let examination = examine(Arc::clone(&store), writer.clone());
        let keeper = Arc::new(Keeper::new(Arc::clone(&store), writer, siblings, revoked, clock, sites));
        let records: Arc<dyn Records> = Arc::<Keeper>::clone(&keeper);
        Ok(Self {
            records,
            keeper: Some(keeper),
            store: Some(store),
            tasks: vec![Box::new(|| Box::pin(work)), Box::new(|| Box::pin(sweep)), Box::new(|| Box::pin(examination))],
        })
    }

    /// Asks the broker at `primary`.
    pub(super) fn there(primary: &Origin, outbound: &Outbound, keys: &Arc<ApiKeys>) -> Self {
        let (records, errands) = RemoteRecords::new(primary.clone(), outbound.clone(), Arc::clone(keys));
        Self { records: Arc::new(records), keeper: None, store: None, tasks: vec![Box::new(|| Box::pin(errands.run()))] }
    }
}

/// A store of the configured kind. Nothing has been connected yet. A server is trusted as every other one of `outbound`, unless
/// its URL names authorities of its own.
///
/// # Errors
/// When a certificate or key of the URL cannot be used, or the system gives no thread.
pub fn open(place: &StorePlace, outbound: &Outbound) -> Result<Arc<dyn VisitorStore>, LaunchFailure> {
    Ok(match place {
        StorePlace::Memory => Arc::new(SqliteStore::memory()),
        StorePlace::Sqlite(file) => Arc::new(SqliteStore::file(file)),
        StorePlace::Postgres(url) => {
            let store = PostgresStore::new(url, Arc::clone(&outbound.roots));
            Arc::new(store.map_err(|error| LaunchFailure::new(format!("[store] url: {error}")))?)
        }
    })
}

/// Makes the store ready. An unavailable store is tried again later, since pages do not need it, and its fault is returned; a
/// store that must not be used stops the start.
pub(super) async fn prepare(store: &dyn VisitorStore) -> Result<Option<StoreFault>, LaunchFailure> {
    let prepared = tokio::time::timeout(PREPARE_TIME_MAX, store.prepare()).await;
    match prepared.unwrap_or_else(|_| Err(StoreFault::Unavailable("no answer in time".into()))) {
        Ok(()) => Ok(None),
        Err(fault @ (StoreFault::Unavailable(_) | StoreFault::Busy(_) | StoreFault::Damaged(_))) => Ok(Some(fault)),
        Err(fault) => Err(LaunchFailure::new(format!("[store] {fault}"))),
    }
}
