//! Ended IDs that this process was told and that wait to be written to its list on disk (rule A14).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::base::id::VisitorId;

/// How long an answer waits for the disk at most.
const DISK_TIME_MAX: Duration = Duration::from_millis(500);

/// How many IDs wait at most while the disk hangs. The list is written anew after more.
const WAITING_MAX: usize = 65_536;

/// The IDs that wait. Off until something reads them.
#[derive(Debug)]
pub struct EndedJournal {
    is_open: AtomicBool,
    waiting: Mutex<Waiting>,
    news: Notify,
    /// How many of all that were put in are on disk, or were given up.
    settled: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Waiting {
    ids: Vec<VisitorId>,
    /// How many were put in so far.
    put: u64,
    has_overflowed: bool,
}

/// What there is to write.
#[derive(Debug)]
pub struct Batch {
    /// The IDs.
    pub ids: Vec<VisitorId>,
    /// More came than could wait: the list on disk must be written anew.
    pub has_overflowed: bool,
    put: u64,
}

impl Default for EndedJournal {
    fn default() -> Self {
        let (settled, _) = watch::channel(0);
        Self { is_open: AtomicBool::new(false), waiting: Mutex::default(), news: Notify::new(), settled }
    }
}

impl EndedJournal {
    /// Collects IDs from now on.
    pub fn open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }

    pub(super) fn put(&self, visitor: VisitorId) {
        if !self.is_open.load(Ordering::Relaxed) {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.put += 1;
        if waiting.ids.len() < WAITING_MAX {
            waiting.ids.push(visitor);
        } else {
            waiting.has_overflowed = true;
        }
        self.news.notify_one();
    }

    /// Waits until there is something to write.
    pub async fn next(&self) -> Batch {
        loop {
            let Waiting { ids, put, has_overflowed } = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let put = waiting.put;
                std::mem::replace(&mut *waiting, Waiting { put, ..Waiting::default() })
            };
            if !ids.is_empty() {
                return Batch { ids, has_overflowed, put };
            }
            self.news.notified().await;
        }
    }

    /// The batch has been written, or cannot be.
    pub fn settle(&self, batch: &Batch) {
        self.settled.send_replace(batch.put);
    }

    /// Waits, but not long, until all that was put in so far is on disk or was given up.
    pub async fn settled(&self) {
        let put = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).put;
        let mut settled = self.settled.subscribe();
        let _ = timeout(DISK_TIME_MAX, settled.wait_for(|settled| *settled >= put)).await;
    }
}
