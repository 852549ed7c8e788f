//! Deletes what is too old, in the background and in small slices, so that no hop waits for it.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::base::clock::{Clock, UnixSeconds};
use crate::domain::contract::COOKIE_DAYS_MAX;

use super::visitors::{SweepBefore, VisitorStore};

/// How many records one slice looks at, and the pause after it: ten thousand records a second.
const SLICE: usize = 500;
const SLICE_PAUSE: Duration = Duration::from_millis(50);

/// From one sweep to the next, and from the start to the first: a process that restarts often must get to it, too.
const SWEEP_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
const FIRST_SWEEP_AFTER: Duration = Duration::from_secs(60);

/// A revocation counts as long as a cookie could still hold the ID, and a day more.
const REVOCATION_LIFE: Duration = Duration::from_secs((COOKIE_DAYS_MAX + 1) * 24 * 60 * 60);

/// The pause after a sweep that met a store that is unavailable: the first, and the last. It doubles with each failure.
const RETRY: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(60 * 60);

/// Deletes, once a day, the records that no site saw for `retention`. It never ends.
pub async fn retain(store: Arc<dyn VisitorStore>, clock: Arc<dyn Clock>, retention: Duration) {
    sleep(FIRST_SWEEP_AFTER).await;
    loop {
        sweep(&*store, &*clock, retention, RETRY).await;
        sleep(SWEEP_INTERVAL).await;
    }
}

/// One sweep, from the first record to the last. After a failure it goes on where it was, after a pause that grows from the first of
/// `retry` to the last.
pub async fn sweep(store: &dyn VisitorStore, clock: &dyn Clock, retention: Duration, retry: RangeInclusive<Duration>) {
    let before = before(clock.now(), retention);
    let (mut from, mut deleted, mut pause) = (None, 0, *retry.start());
    loop {
        match store.sweep(from, before, SLICE).await {
            Ok(swept) => {
                deleted += swept.deleted;
                from = swept.next;
                pause = *retry.start();
                if from.is_none() {
                    break;
                }
                sleep(SLICE_PAUSE).await;
            }
            Err(fault) => {
                tracing::warn!(%fault, retry_after_s = pause.as_secs(), "old records not deleted; retrying");
                sleep(pause).await;
                pause = (pause * 2).min(*retry.end());
            }
        }
    }
    if deleted > 0 {
        tracing::info!(deleted, "old records deleted");
    }
}

/// What is too old at `now`. A clock near its beginning finds nothing too old.
#[must_use]
pub fn before(now: UnixSeconds, retention: Duration) -> SweepBefore {
    let ago = |span: Duration| UnixSeconds(now.0.saturating_sub(span.as_secs()));
    SweepBefore { seen: ago(retention), revoked: ago(REVOCATION_LIFE) }
}
