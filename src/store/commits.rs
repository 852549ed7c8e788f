//! The worker of the [record writer](super::record_writer): it commits what is queued, in batches, and finds the writes that fail
//! by themselves.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::base::clock::Clock;
use crate::base::id::VisitorId;
use crate::domain::record::{Change, Outcome, Write};

use super::record_writer::NotWritten;
use super::visitors::{SetAside, StoreFault, VisitorStore};

/// How many writes one commit takes at most, and how many refusals: each of them may revoke 65 IDs.
const BATCH_MAX: usize = 512;
const REFUSALS_MAX: usize = 64;

/// Into how many pieces the writer splits a batch that failed.
const PIECES: usize = 16;

/// From one try on an unavailable store to the next.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_millis(500);

/// How often an idle writer asks whether the store is available.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// How often the writer counts what is set aside.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// How often a write that fails by itself is tried, and the pause after the first try. Each further pause is twice as long.
const TRIES_MAX: u32 = 5;
const DEFERRED_FIRST: Duration = Duration::from_secs(1);

/// How many writes that were set aside wait to be noted in the store, and how many are remembered as noted.
const ASIDE_MAX: usize = 1024;

/// How it goes, for health and metrics.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) is_down: AtomicBool,
    pub(super) is_damaged: AtomicBool,
    pub(super) waiting: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) set_aside: AtomicU64,
}

/// What the writer sends to its worker.
pub(super) enum Message {
    Job(Job),
    Aside(SetAside),
}

/// A write that waits.
pub(super) struct Job {
    pub(super) write: Arc<Write>,
    pub(super) done: oneshot::Sender<Result<Outcome, NotWritten>>,
    pub(super) waits_for_store: bool,
}

/// A write that failed by itself, and is tried again by itself.
struct Deferred {
    job: Job,
    tries: u32,
    due: Instant,
}

/// Commits what is queued.
pub(super) struct Worker {
    store: Arc<dyn VisitorStore>,
    clock: Arc<dyn Clock>,
    inbox: mpsc::UnboundedReceiver<Message>,
    state: Arc<State>,
    refusals: VecDeque<Job>,
    waiting: VecDeque<Job>,
    deferred: Vec<Deferred>,
    asides: Vec<SetAside>,
    /// What was noted lately, so that a record that is read often is not noted each time.
    noted: HashSet<(VisitorId, String)>,
    /// The last batch was one of refusals; the next is not, if anything else waits.
    was_refusals: bool,
    /// When the writes that are set aside were counted last.
    counted: Option<Instant>,
}

impl Worker {
    pub(super) fn new(
        store: Arc<dyn VisitorStore>,
        clock: Arc<dyn Clock>,
        inbox: mpsc::UnboundedReceiver<Message>,
        state: Arc<State>,
    ) -> Self {
        Self {
            store,
            clock,
            inbox,
            state,
            refusals: VecDeque::new(),
            waiting: VecDeque::new(),
            deferred: Vec::new(),
            asides: Vec::new(),
            noted: HashSet::new(),
            was_refusals: false,
            counted: None,
        }
    }

    pub(super) async fn work(mut self) {
        let mut pause = RETRY_FIRST;
        loop {
            while let Ok(message) = self.inbox.try_recv() {
                self.take(message);
            }
            let is_down = self.state.is_down.load(Ordering::Relaxed);
            if self.refusals.is_empty() && self.waiting.is_empty() && !is_down {
                match timeout(self.idle_time(), self.inbox.recv()).await {
                    Ok(Some(message)) => {
                        self.take(message);
                        continue;
                    }
                    Ok(None) => return,
                    // Nothing came: an empty batch asks how the store is.
                    Err(_) => {}
                }
            }
            let batch = self.next_batch();
            let outcome = match self.commit(batch).await {
                Ok(()) => self.try_deferred().await,
                down => down,
            };
            match outcome {
                Ok(()) => {
                    pause = RETRY_FIRST;
                    self.note_asides().await;
                }
                Err(fault) => {
                    self.state.went_down(&fault);
                    if self.put_off(pause).await.is_none() {
                        return;
                    }
                    pause = (pause * 2).min(RETRY_LAST);
                }
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Job(job) if job.write.change == Change::Revoke => self.refusals.push_back(job),
            Message::Job(job) => self.waiting.push_back(job),
            Message::Aside(aside) => self.set_aside(aside),
        }
    }

    fn idle_time(&self) -> Duration {
        let due = self.deferred.iter().map(|deferred| deferred.due).min();
        due.map_or(PROBE_INTERVAL, |due| due.saturating_duration_since(Instant::now()).min(PROBE_INTERVAL))
    }

    fn next_batch(&mut self) -> Vec<Job> {
        self.was_refusals = !self.refusals.is_empty() && (!self.was_refusals || self.waiting.is_empty());
        let (queue, most) = if self.was_refusals { (&mut self.refusals, REFUSALS_MAX) } else { (&mut self.waiting, BATCH_MAX) };
        let count = queue.len().min(most);
        queue.drain(..count).collect()
    }

    /// Puts back what was not done, before what came later.
    fn put_back(&mut self, jobs: impl DoubleEndedIterator<Item = Job>) {
        for job in jobs.rev() {
            let is_refusal = job.write.change == Change::Revoke;
            if is_refusal { &mut self.refusals } else { &mut self.waiting }.push_front(job);
        }
    }

    /// Commits a batch, and finds the writes in it that fail by themselves.
    ///
    /// # Errors
    /// When the store is unavailable. What was not done waits again.
    async fn commit(&mut self, batch: Vec<Job>) -> Result<(), StoreFault> {
        let mut pieces = VecDeque::from([batch]);
        while let Some(piece) = pieces.pop_front() {
            let fault = match self.store.commit(writes(&piece)).await {
                Ok(outcomes) => {
                    self.state.came_back();
                    let rest = self.finish(piece, outcomes);
                    if !rest.is_empty() {
                        pieces.push_front(rest);
                    }
                    continue;
                }
                Err(fault) => fault,
            };
            if piece.is_empty() {
                return Err(fault);
            }
            if let Err(fault) = self.about_the_store(&fault).await {
                self.put_back([piece].into_iter().chain(pieces).flatten().collect::<Vec<_>>().into_iter());
                return Err(fault);
            }
            match <[Job; 1]>::try_from(piece) {
                Ok([job]) => self.failed(job, &fault, 1),
                Err(piece) => split(piece).into_iter().rev().for_each(|part| pieces.push_front(part)),
            }
        }
        Ok(())
    }

    /// Whether a commit failed because of the store, which is then unavailable for all writes.
    async fn about_the_store(&self, fault: &StoreFault) -> Result<(), StoreFault> {
        match fault {
            // A store that refuses may be another application's, or may have given no rights.
            StoreFault::Refused(_) => self.store.prepare().await,
            StoreFault::Busy(_) => self.store.commit(Vec::new()).await.map(drop),
            StoreFault::Unavailable(_) | StoreFault::Damaged(_) | StoreFault::Newer { .. } => Err(fault.clone()),
        }
    }

    /// Tries the writes again that failed by themselves and whose pause is over.
    async fn try_deferred(&mut self) -> Result<(), StoreFault> {
        let now = Instant::now();
        let due: Vec<_> = self.deferred.extract_if(.., |deferred| deferred.due <= now).collect();
        let mut due = due.into_iter();
        while let Some(Deferred { job, tries, .. }) = due.next() {
            match self.store.commit(writes(std::slice::from_ref(&job))).await {
                Ok(outcomes) => drop(self.finish(vec![job], outcomes)),
                Err(fault) => {
                    if let Err(fault) = self.about_the_store(&fault).await {
                        self.deferred.push(Deferred { job, tries, due: now });
                        self.deferred.extend(due);
                        return Err(fault);
                    }
                    self.failed(job, &fault, tries + 1);
                }
            }
        }
        Ok(())
    }

    /// A write failed by itself.
    fn failed(&mut self, job: Job, fault: &StoreFault, tries: u32) {
        // A satellite sends a refusal again and again, whatever the store says.
        let is_refusal = job.write.change == Change::Revoke && !job.waits_for_store;
        let is_final = matches!(fault, StoreFault::Refused(_)) && !is_refusal;
        if job.waits_for_store && !is_final && tries < TRIES_MAX {
            let due = Instant::now() + DEFERRED_FIRST * 2_u32.pow(tries - 1);
            return self.deferred.push(Deferred { job, tries, due });
        }
        let change = job.write.change.kind();
        if is_final || job.waits_for_store {
            tracing::error!(%fault, change, "a write was set aside; throughline check names its visitor");
            let (visitor, change) = (job.write.visitor, change.to_owned());
            self.set_aside(SetAside { visitor, change, at: self.clock.now(), problem: fault.to_string() });
        } else {
            tracing::warn!(%fault, change, "a report failed by itself; its satellite sends it again");
        }
        let why = if is_final { NotWritten::SetAside } else { NotWritten::Failed };
        let is_loss = is_final || job.waits_for_store;
        self.state.give_up([job], is_loss, why);
    }

    /// Sends the outcomes. Returns the writes that the store has left for the next batch.
    #[must_use]
    fn finish(&mut self, batch: Vec<Job>, outcomes: Vec<Outcome>) -> Vec<Job> {
        let mut jobs = batch.into_iter();
        for (outcome, job) in outcomes.into_iter().zip(&mut jobs) {
            if outcome == Outcome::Unreadable {
                self.set_aside(unreadable(job.write.visitor, job.write.change.kind(), &*self.clock));
                self.state.lost.fetch_add(u64::from(job.waits_for_store), Ordering::Relaxed);
            }
            self.state.waiting.fetch_sub(1, Ordering::Relaxed);
            self.state.written.fetch_add(u64::from(outcome != Outcome::Unreadable), Ordering::Relaxed);
            let _ = job.done.send(Ok(outcome));
        }
        jobs.collect()
    }

    fn set_aside(&mut self, aside: SetAside) {
        if self.asides.len() >= ASIDE_MAX {
            // It is noted when it fails again.
            return;
        }
        if self.noted.len() >= ASIDE_MAX {
            // To note one a second time replaces the first note.
            self.noted.clear();
        }
        let is_new = self.noted.insert((aside.visitor, aside.change.clone()));
        self.asides.extend(is_new.then_some(aside));
    }

    /// Notes in the store what was set aside, and counts.
    async fn note_asides(&mut self) {
        if !self.asides.is_empty() {
            match self.store.set_aside(self.asides.clone()).await {
                Ok(()) => {
                    self.asides.clear();
                    self.counted = None;
                }
                // It is tried again with the next batch.
                Err(fault) => return tracing::warn!(%fault, "writes that were set aside cannot be noted in the store"),
            }
        }
        // Erasures and other nodes change the count.
        if self.counted.is_none_or(|counted| counted.elapsed() >= COUNT_INTERVAL) {
            self.counted = Some(Instant::now());
            if let Ok(count) = self.store.count_set_aside().await {
                self.state.set_aside.store(count, Ordering::Relaxed);
            }
        }
    }

    /// Waits until the store may be tried again. A sender that waits for an answer is told that there is none, and not behind
    /// those that do not; the other writes go on waiting for the store. `None` when no write can come any more.
    async fn put_off(&mut self, pause: Duration) -> Option<()> {
        let asking = |queue: &mut VecDeque<Job>| -> Vec<Job> {
            let (waiting, asking) = queue.drain(..).partition(|job| job.waits_for_store);
            *queue = waiting;
            asking.into()
        };
        let mut told = asking(&mut self.refusals);
        told.extend(asking(&mut self.waiting));
        self.state.give_up(told, false, NotWritten::Unavailable);
        let until = Instant::now() + pause;
        while let Ok(next) = timeout_at(until, self.inbox.recv()).await {
            match next {
                Some(Message::Job(job)) if !job.waits_for_store => self.state.give_up([job], false, NotWritten::Unavailable),
                Some(message) => self.take(message),
                None if self.refusals.is_empty() && self.waiting.is_empty() => return None,
                None => {
                    sleep_until(until).await;
                    break;
                }
            }
        }
        Some(())
    }
}

fn split(mut jobs: Vec<Job>) -> Vec<Vec<Job>> {
    let size = jobs.len().div_ceil(PIECES);
    let mut pieces = Vec::with_capacity(PIECES);
    while !jobs.is_empty() {
        let rest = jobs.split_off(size.min(jobs.len()));
        pieces.push(std::mem::replace(&mut jobs, rest));
    }
    pieces
}

fn writes(batch: &[Job]) -> Vec<Arc<Write>> {
    batch.iter().map(|job| Arc::clone(&job.write)).collect()
}

pub(super) fn unreadable(visitor: VisitorId, change: &str, clock: &dyn Clock) -> SetAside {
    let problem = "the record cannot be read; it is no record of this version".to_owned();
    SetAside { visitor, change: change.to_owned(), at: clock.now(), problem }
}

impl State {
    fn give_up(&self, jobs: impl IntoIterator<Item = Job>, is_loss: bool, why: NotWritten) {
        for job in jobs {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.lost.fetch_add(u64::from(is_loss), Ordering::Relaxed);
            let _ = job.done.send(Err(why));
        }
    }

    fn came_back(&self) {
        if self.is_down.swap(false, Ordering::Relaxed) {
            tracing::info!(
                waiting = self.waiting.load(Ordering::Relaxed),
                lost = self.lost.load(Ordering::Relaxed),
                "the store takes writes again"
            );
        }
    }

    pub(super) fn went_down(&self, fault: &StoreFault) {
        if matches!(fault, StoreFault::Damaged(_)) {
            self.is_seen_damaged(fault);
        }
        if !self.is_down.swap(true, Ordering::Relaxed) {
            tracing::error!(%fault, "the store takes no writes; hops go on, and what they would write waits in memory");
        }
    }

    pub(super) fn is_seen_damaged(&self, fault: &StoreFault) {
        if !self.is_damaged.swap(true, Ordering::Relaxed) {
            tracing::error!(%fault, "the store is damaged");
        }
    }
}
