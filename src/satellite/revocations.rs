//! How a process learns which IDs have ended (rules C1, C2, A14): it reads the whole list from the records once, then what is new.
//!
//! The list is kept on disk as well, for a start while it is out of reach. The first whole read replaces that file; what is
//! learned later is appended. Requests wait for none of this, but for the answer to a refusal, which waits for the disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::rt::time::sleep;
use actix_web::web::block;

use crate::base::clock::{Clock, UnixSeconds};
use crate::base::id::VisitorId;
use crate::domain::breaker::Circuit;
use crate::store::ended_file::{EndedFile, WholeList};
use crate::store::records::{Records, Unavailable};
use crate::store::revoked_ids::RevokedIds;
use crate::store::visitors::Cursor;

use super::Satellite;
use super::watch::Pace;

/// How often the file is told at most that the list is complete.
const CONFIRM_PAUSE: Duration = Duration::from_secs(60);

/// After this long, a list that could not be written is tried again as a whole.
const REWRITE_PAUSE: Duration = Duration::from_secs(60);

/// How many IDs wait at most for a whole list to be written. More cost memory during a long outage, and the list has them when
/// it is back.
const LATE_MAX: usize = 65_536;

/// While there is no list: how often to see whether the broker has begun to answer. This asks nothing over the network.
const CIRCUIT_PAUSE: Duration = Duration::from_millis(20);

/// The list of ended IDs of one process.
pub struct EndedList {
    records: Arc<dyn Records>,
    revoked: Arc<RevokedIds>,
    clock: Arc<dyn Clock>,
    disk: Option<Arc<Disk>>,
    progress: tokio::sync::Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    cursor: Cursor,
    keeping: Keeping,
    /// When the file was last told that the list is complete, as uptime.
    confirmed: Duration,
}

/// What is done with IDs that are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// The file is to be written as a whole, from this uptime on.
    From(Duration),
    /// All that is read goes to the file that is being written.
    Whole,
    /// New ones are appended.
    Appending,
}

impl Default for Keeping {
    fn default() -> Self {
        Self::From(Duration::ZERO)
    }
}

/// The file, and the one that is being written in its place.
struct Disk {
    file: EndedFile,
    whole: Mutex<Option<WholeList>>,
    /// IDs for the file that is written in this one's place.
    late: Mutex<Vec<VisitorId>>,
    /// There is a file with a whole list.
    is_placed: AtomicBool,
    /// The file lacks IDs that this process knows.
    has_gaps: AtomicBool,
    is_failing: AtomicBool,
}

impl EndedList {
    /// The list as `records` have it. It goes to `revoked` and, with [`keep_news`](Self::keep_news), to `file`.
    #[must_use]
    pub fn new(records: Arc<dyn Records>, revoked: Arc<RevokedIds>, clock: Arc<dyn Clock>, file: Option<EndedFile>) -> Self {
        let disk = file.map(|file| {
            revoked.journal.open();
            let no = || AtomicBool::new(false);
            let (whole, late) = (Mutex::default(), Mutex::default());
            Arc::new(Disk { file, whole, late, is_placed: no(), has_gaps: no(), is_failing: no() })
        });
        Self { records, revoked, clock, disk, progress: tokio::sync::Mutex::default() }
    }

    /// Takes the list that an earlier process left on disk.
    pub fn restore(&self) {
        let Some(disk) = &self.disk else { return };
        let mut loader = self.revoked.loader();
        match disk.file.load(|visitor| loader.add(visitor)) {
            Ok(Some(at)) => {
                loader.finish();
                disk.is_placed.store(true, Ordering::Relaxed);
                self.revoked.restored(at);
            }
            Ok(None) => {}
            Err(mistake) => {
                tracing::warn!(%mistake, "ended_ids_file ignored; until the list of ended IDs can be read, known visitors get no ID");
            }
        }
    }

    /// Reads what is new. A caller that stops waiting loses nothing of what was read.
    ///
    /// # Errors
    /// When the records are unavailable. What was read until then counts.
    pub async fn catch_up(&self) -> Result<(), Unavailable> {
        let mut progress = self.progress.lock().await;
        let outcome = self.read(&mut progress).await;
        match &outcome {
            Ok(()) => {
                self.revoked.completed(self.clock.now());
                self.confirm(&mut progress).await;
            }
            Err(_) => self.revoked.missed(),
        }
        outcome
    }

    async fn read(&self, progress: &mut Progress) -> Result<(), Unavailable> {
        self.begin(progress).await;
        loop {
            let found = self.records.revocations(progress.cursor).await?;
            let new: Vec<_> = found.revoked.iter().copied().filter(|visitor| self.revoked.learn(*visitor)).collect();
            match (progress.keeping, &self.disk) {
                (Keeping::Whole, Some(disk)) => disk.add(found.revoked).await,
                (Keeping::Appending, Some(disk)) if !new.is_empty() => disk.append(new).await,
                _ => {}
            }
            progress.cursor = found.cursor;
            self.revoked.set_read_until(found.cursor);
            if !found.more {
                return Ok(());
            }
        }
    }

    /// Begins to write the file as a whole, if it has to be. The list is then read from its beginning.
    async fn begin(&self, progress: &mut Progress) {
        let Some(disk) = &self.disk else { return };
        let uptime = self.clock.uptime();
        if disk.has_gaps.swap(false, Ordering::Relaxed) && matches!(progress.keeping, Keeping::Whole | Keeping::Appending) {
            progress.keeping = Keeping::From(uptime + REWRITE_PAUSE);
        }
        let Keeping::From(at) = progress.keeping else { return };
        if uptime < at {
            return;
        }
        match disk.begin().await {
            Some(true) => (progress.keeping, progress.cursor) = (Keeping::Whole, 0),
            // Another process writes one just now. The next look tries again.
            Some(false) => {}
            None => progress.keeping = Keeping::From(uptime + REWRITE_PAUSE),
        }
    }

    /// Writes to the file that the list is complete.
    async fn confirm(&self, progress: &mut Progress) {
        let Some(disk) = &self.disk else { return };
        let (now, uptime) = (self.clock.now(), self.clock.uptime());
        if disk.has_gaps.load(Ordering::Relaxed) {
            return;
        }
        let is_kept = match progress.keeping {
            Keeping::Whole => disk.place(now).await,
            Keeping::Appending if uptime.saturating_sub(progress.confirmed) >= CONFIRM_PAUSE => disk.confirm(now).await,
            Keeping::Appending | Keeping::From(_) => return,
        };
        progress.keeping = if is_kept == Some(true) { Keeping::Appending } else { Keeping::From(uptime + REWRITE_PAUSE) };
        progress.confirmed = uptime;
    }

    /// Writes to disk the ended IDs that this process learns from requests, before the list has them. It never ends.
    pub async fn keep_news(&self) {
        let Some(disk) = &self.disk else { return std::future::pending().await };
        let journal = &self.revoked.journal;
        loop {
            let batch = journal.next().await;
            if batch.has_overflowed {
                disk.has_gaps.store(true, Ordering::Relaxed);
            }
            disk.append_news(batch.ids.clone()).await;
            journal.settle(&batch);
        }
    }
}

impl Disk {
    /// Begins a file in the old one's place. `false` while another process does, `None` when it cannot be written.
    async fn begin(self: &Arc<Self>) -> Option<bool> {
        self.run("not begun", |disk| {
            // One that was left unfinished gives its lock back first.
            *lock(&disk.whole) = None;
            let begun = disk.file.begin()?;
            let is_begun = begun.is_some();
            *lock(&disk.whole) = begun;
            Ok(is_begun)
        })
        .await
    }

    async fn add(self: &Arc<Self>, ids: Vec<VisitorId>) {
        self.run("not written", move |disk| {
            let mut whole = lock(&disk.whole);
            let added = whole.as_mut().map_or(Ok(()), |whole| whole.add(&ids));
            if added.is_err() {
                // What was written takes up the room of a disk that may be full.
                *whole = None;
            }
            added.map(|()| true)
        })
        .await;
    }

    async fn append(self: &Arc<Self>, ids: Vec<VisitorId>) {
        self.run("not written", move |disk| disk.file.append(&ids).map(|()| true)).await;
    }

    /// Appends IDs that the list may not have yet: a file that is being written gets them, too.
    async fn append_news(self: &Arc<Self>, ids: Vec<VisitorId>) {
        self.run("not written", move |disk| {
            {
                let mut late = lock(&disk.late);
                if late.len() >= LATE_MAX {
                    late.clear();
                }
                late.extend_from_slice(&ids);
            }
            let appended = disk.file.append(&ids);
            let whole = lock(&disk.whole);
            match appended {
                Ok(()) if whole.is_none() => lock(&disk.late).clear(),
                Ok(()) => {}
                // The next whole list gets them.
                Err(_) if whole.is_some() || !disk.is_placed.load(Ordering::Relaxed) => return Ok(false),
                Err(error) => return Err(error),
            }
            Ok(true)
        })
        .await;
    }

    async fn place(self: &Arc<Self>, now: UnixSeconds) -> Option<bool> {
        self.run("not put in place", move |disk| {
            // Held until the file is in its place: late IDs are given up only after that.
            let mut whole = lock(&disk.whole);
            let Some(whole) = whole.take() else { return Ok(false) };
            whole.place(now, || std::mem::take(&mut *lock(&disk.late)))?;
            disk.is_placed.store(true, Ordering::Relaxed);
            Ok(true)
        })
        .await
    }

    async fn confirm(self: &Arc<Self>, now: UnixSeconds) -> Option<bool> {
        self.run("not confirmed", move |disk| disk.file.confirm(now).map(|()| true)).await
    }

    /// Does it on a thread that may wait for the disk. What fails leaves a gap, and is logged once until something succeeds.
    /// `None` then.
    async fn run(
        self: &Arc<Self>,
        what: &'static str,
        work: impl FnOnce(&Self) -> std::io::Result<bool> + Send + 'static,
    ) -> Option<bool> {
        let disk = Arc::clone(self);
        match block(move || work(&disk)).await {
            Ok(Ok(outcome)) => {
                if outcome {
                    self.is_failing.store(false, Ordering::Relaxed);
                }
                Some(outcome)
            }
            Ok(Err(error)) => {
                self.has_gaps.store(true, Ordering::Relaxed);
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    let advice = "a start while the list of ended IDs is out of reach will not know all of them; the file is written anew within a minute";
                    tracing::error!(%error, what, advice, "ended_ids_file cannot be written");
                }
                None
            }
            Err(_) => None,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the list up to date: all of it at the start, then what is new with each `pace.revocations`. While there is no list, it
/// looks more often, and as soon as the broker answers. It never ends.
pub async fn watch_revocations(list: Arc<EndedList>, satellite: Arc<Satellite>, pace: Pace) {
    let mut is_failing = false;
    loop {
        match list.catch_up().await {
            Ok(()) if std::mem::take(&mut is_failing) => tracing::info!("revocations are known again"),
            Err(unavailable) if !is_failing => {
                is_failing = true;
                let knowledge = list.revoked.knowledge().as_str();
                tracing::warn!(problem = unavailable.0, knowledge, "revocations cannot be read; those that are known count");
            }
            Ok(()) | Err(_) => {}
        }
        if list.revoked.is_known() {
            sleep(pace.revocations).await;
        } else if satellite.keeper.is_some() || answers(&satellite) {
            sleep(pace.revocations.min(pace.interval)).await;
        } else {
            // A request that a hanging broker holds would still be under way when the broker is back.
            while !answers(&satellite) {
                sleep(CIRCUIT_PAUSE).await;
            }
        }
    }
}

/// Whether the broker has answered the last probe. After failures that is one probe before hops go again: the list is there then.
fn answers(satellite: &Satellite) -> bool {
    matches!(satellite.breaker.circuit(), Circuit::Closed | Circuit::HalfOpen)
}
