//! A visitor store whose commits are timed and whose failures are counted.

use std::sync::Arc;

use async_trait::async_trait;

use crate::base::clock::Clock;
use crate::base::id::VisitorId;
use crate::base::origin::Origin;
use crate::domain::record::{Held, Outcome, Write};
use crate::http::event::{Observer, Timing, Work};
use crate::store::visitors::{Cursor, Sampled, SetAside, StoreFault, StoreSize, SweepBefore, Swept, VisitorStore};

use super::metrics::FAILED;

/// Passes every call on to a store.
pub struct TimedStore {
    /// Does the work.
    pub store: Arc<dyn VisitorStore>,
    /// Is told of it.
    pub observer: Arc<dyn Observer>,
    /// The site that the records belong to.
    pub primary: Origin,
    /// Says how long it took.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl VisitorStore for TimedStore {
    async fn prepare(&self) -> Result<(), StoreFault> {
        self.store.prepare().await
    }

    async fn commit(&self, writes: Vec<Arc<Write>>) -> Result<Vec<Outcome>, StoreFault> {
        let (begun, is_question) = (self.clock.uptime(), writes.is_empty());
        let outcomes = self.store.commit(writes).await;
        if is_question && outcomes.is_ok() {
            // An idle writer asks each second. Its empty batches would hide how long writes take.
            return outcomes;
        }
        let took = self.clock.uptime().saturating_sub(begun);
        let code = if outcomes.is_ok() { "committed" } else { FAILED };
        self.observer.timed(&Timing { work: Work::Commit, site: &self.primary, asking: None, code, flow: None, took });
        outcomes
    }

    async fn read(&self, visitor: VisitorId) -> Result<Held, StoreFault> {
        self.store.read(visitor).await
    }

    async fn revocations(&self, cursor: Cursor, limit: usize) -> Result<Vec<(Cursor, VisitorId)>, StoreFault> {
        self.store.revocations(cursor, limit).await
    }

    async fn sweep(&self, from: Option<VisitorId>, before: SweepBefore, slice: usize) -> Result<Swept, StoreFault> {
        self.store.sweep(from, before, slice).await
    }

    async fn sample(&self, from: Option<VisitorId>, limit: usize) -> Result<Sampled, StoreFault> {
        self.store.sample(from, limit).await
    }

    async fn examine(&self) -> Result<(), StoreFault> {
        self.store.examine().await
    }

    async fn set_aside(&self, writes: Vec<SetAside>) -> Result<(), StoreFault> {
        self.store.set_aside(writes).await
    }

    async fn count_set_aside(&self) -> Result<u64, StoreFault> {
        self.store.count_set_aside().await
    }

    async fn size(&self) -> Result<StoreSize, StoreFault> {
        self.store.size().await
    }
}
