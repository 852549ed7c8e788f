//! Writes beside the hot path: many requests' writes are committed together, and none of them waits longer than it wants.
//!
//! 1. The queue is bounded. What finds no room is lost, and counted.
//! 2. While one batch commits, the next gathers: the busier, the larger the batches. Refusals have batches of their own, which
//!    go first (rule A10).
//! 3. An unavailable store is tried again until it is back: writes that [must not be lost](RecordWriter::put) wait, those
//!    whose [sender waits](RecordWriter::ask) fail with the next try at the latest, however many wait before them, since the
//!    sender will try again. An idle writer asks once a second, so that a store that goes away is reported without traffic.
//! 4. When a batch fails although the store is available, the writer splits it until it has found the write that fails by
//!    itself. That one holds up no other: its sender is told, or it is tried again later and in the end set aside.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::base::clock::Clock;
use crate::base::id::VisitorId;
use crate::domain::record::{Change, Outcome, Write};

use super::visitors::{SetAside, StoreFault, VisitorStore};

/// How many writes wait at most: about 40 MB.
const QUEUE_MAX: usize = 65_536;

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

/// Hands writes to the store.
#[derive(Clone)]
pub struct RecordWriter {
    queue: mpsc::UnboundedSender<Message>,
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    /// How many may wait.
    room: u64,
}

/// How it goes, for health and metrics.
#[derive(Debug, Default)]
struct State {
    is_down: AtomicBool,
    is_damaged: AtomicBool,
    waiting: AtomicU64,
    lost: AtomicU64,
    written: AtomicU64,
    set_aside: AtomicU64,
}

/// Whether the store does what it is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreStatus {
    /// It takes writes.
    Ok,
    /// It takes none; they are tried again.
    Down,
    /// Part of what it holds cannot be read.
    Damaged,
}

impl StoreStatus {
    /// Its name in health, metrics and the operator's page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Down => "down",
            Self::Damaged => "damaged",
        }
    }
}

/// How it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterState {
    /// The last commit failed and is tried again, or the store is damaged.
    pub status: StoreStatus,
    /// Writes that are not committed yet.
    pub waiting: u64,
    /// Writes that were given up since the start.
    pub lost: u64,
    /// Writes that were committed since the start.
    pub written: u64,
    /// Writes that the store notes as set aside, of all nodes.
    pub set_aside: u64,
}

/// Why a write was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotWritten {
    /// The store is unavailable, or there was no room.
    Unavailable,
    /// The store is available, and this write failed. It may be tried again later.
    Failed,
    /// The store will never take this write. It was set aside.
    SetAside,
}

/// Tells when a write is committed.
pub type Receipt = oneshot::Receiver<Result<Outcome, NotWritten>>;

enum Message {
    Job(Job),
    Aside(SetAside),
}

struct Job {
    write: Arc<Write>,
    done: oneshot::Sender<Result<Outcome, NotWritten>>,
    waits_for_store: bool,
}

/// A write that failed by itself, and is tried again by itself.
struct Deferred {
    job: Job,
    tries: u32,
    due: Instant,
}

impl RecordWriter {
    /// A writer, and the work that it needs done: spawn it on a runtime that lives as long as the process.
    pub fn new(store: Arc<dyn VisitorStore>, clock: Arc<dyn Clock>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        Self::with_room(store, clock, QUEUE_MAX)
    }

    /// The same, with room for that many writes.
    pub fn with_room(
        store: Arc<dyn VisitorStore>,
        clock: Arc<dyn Clock>,
        room: usize,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, inbox) = mpsc::unbounded_channel();
        let state = Arc::new(State::default());
        let worker = Worker {
            store,
            clock: Arc::clone(&clock),
            inbox,
            state: Arc::clone(&state),
            refusals: VecDeque::new(),
            waiting: VecDeque::new(),
            deferred: Vec::new(),
            asides: Vec::new(),
            noted: HashSet::new(),
            was_refusals: false,
            counted: None,
        };
        (Self { queue, state, clock, room: room as u64 }, worker.work())
    }

    /// Puts a write in the queue. It stays there until the store has it; the receipt need not be kept. `None` when there is no
    /// room: the write is lost, and counted.
    #[must_use]
    pub fn put(&self, write: Write) -> Option<Receipt> {
        self.enqueue(write, true)
    }

    /// Puts a write in the queue and waits for what becomes of it.
    ///
    /// # Errors
    /// When the store did not take it. It may have been done all the same.
    pub async fn ask(&self, write: Write) -> Result<Outcome, NotWritten> {
        self.begin(write).ok_or(NotWritten::Unavailable)?.await.unwrap_or(Err(NotWritten::Unavailable))
    }

    /// The first half of [`ask`](Self::ask): puts the write in the queue. `None` when there is no room.
    #[must_use]
    pub fn begin(&self, write: Write) -> Option<Receipt> {
        self.enqueue(write, false)
    }

    /// Notes that the record of a visitor cannot be read, so that an operator finds its ID.
    pub fn note_unreadable(&self, visitor: VisitorId) {
        let _ = self.queue.send(Message::Aside(unreadable(visitor, "read", &*self.clock)));
    }

    /// Notes a fault of the store that was met beside the writing.
    pub fn note_fault(&self, fault: &StoreFault) {
        match fault {
            StoreFault::Damaged(_) => self.state.is_seen_damaged(fault),
            _ => self.state.went_down(fault),
        }
    }

    /// The whole store was examined, and is not damaged.
    pub fn note_whole(&self) {
        if self.state.is_damaged.swap(false, Ordering::Relaxed) {
            tracing::info!("the store is no longer damaged");
        }
    }

    /// How it goes.
    #[must_use]
    pub fn state(&self) -> WriterState {
        let State { is_down, is_damaged, waiting, lost, written, set_aside } = &*self.state;
        let status = match (is_damaged.load(Ordering::Relaxed), is_down.load(Ordering::Relaxed)) {
            (true, _) => StoreStatus::Damaged,
            (false, true) => StoreStatus::Down,
            (false, false) => StoreStatus::Ok,
        };
        let [waiting, lost, written, set_aside] = [waiting, lost, written, set_aside].map(|count| count.load(Ordering::Relaxed));
        WriterState { status, waiting, lost, written, set_aside }
    }

    fn enqueue(&self, write: Write, waits_for_store: bool) -> Option<Receipt> {
        let (done, receipt) = oneshot::channel();
        // Counted before it is there, so that the count never goes below zero. It is also what bounds the queue.
        let has_room = self.state.waiting.fetch_add(1, Ordering::Relaxed) < self.room;
        let job = Job { write: Arc::new(write), done, waits_for_store };
        let sent = has_room && self.queue.send(Message::Job(job)).is_ok();
        if !sent {
            self.state.waiting.fetch_sub(1, Ordering::Relaxed);
            // A sender that waits for the answer is told instead.
            self.state.lost.fetch_add(u64::from(waits_for_store), Ordering::Relaxed);
        }
        sent.then_some(receipt)
    }
}

struct Worker {
    store: Arc<dyn VisitorStore>,
    clock: Arc<dyn Clock>,
    inbox: mpsc::UnboundedReceiver<Message>,
    state: Arc<State>,
    refusals: VecDeque<Job>,
    waiting: VecDeque<Job>,
    deferred: Vec<Deferred>,
    asides: Vec<SetAside>,
    /// What was noted since the start, so that a record that is read often is noted once.
    noted: HashSet<(VisitorId, String)>,
    /// The last batch was one of refusals; the next is not, if anything else waits.
    was_refusals: bool,
    /// When the writes that are set aside were counted last.
    counted: Option<Instant>,
}

impl Worker {
    async fn work(mut self) {
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
            StoreFault::Unavailable(_) => self.store.commit(Vec::new()).await.map(drop),
            StoreFault::Damaged(_) | StoreFault::Newer { .. } => Err(fault.clone()),
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
            let (visitor, change) = (job.write.visitor, job.write.change.kind().to_owned());
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
        if self.noted.len() < ASIDE_MAX && self.asides.len() < ASIDE_MAX {
            let is_new = self.noted.insert((aside.visitor, aside.change.clone()));
            self.asides.extend(is_new.then_some(aside));
        }
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

fn unreadable(visitor: VisitorId, change: &str, clock: &dyn Clock) -> SetAside {
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

    fn went_down(&self, fault: &StoreFault) {
        if matches!(fault, StoreFault::Damaged(_)) {
            self.is_seen_damaged(fault);
        }
        if !self.is_down.swap(true, Ordering::Relaxed) {
            tracing::error!(%fault, "the store takes no writes; hops go on, and what they would write waits in memory");
        }
    }

    fn is_seen_damaged(&self, fault: &StoreFault) {
        if !self.is_damaged.swap(true, Ordering::Relaxed) {
            tracing::error!(%fault, "the store is damaged");
        }
    }
}
