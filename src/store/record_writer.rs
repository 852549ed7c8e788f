//! Writes beside the hot path: many requests' writes are committed together, and none of them waits longer than it wants.
//!
//! 1. The queue is bounded. What finds no room is lost, and counted.
//! 2. While one batch commits, the next gathers: the busier, the larger the batches.
//! 3. A store that cannot be had is tried again until it can: writes that [must not be lost](RecordWriter::put) wait, those
//!    whose [sender waits](RecordWriter::ask) fail with the next try at the latest, however many wait before them, since the
//!    sender will try again.
//! 4. A batch that the store refuses is tried write by write, so that one bad write costs no other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::domain::record::{Outcome, Write};

use super::visitors::{StoreFault, VisitorStore};

/// How many writes wait at most: about 40 MB.
const QUEUE_MAX: usize = 65_536;

/// How many writes one commit takes at most.
const BATCH_MAX: usize = 512;

/// From one try on a store that cannot be had to the next.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// Hands writes to the store.
#[derive(Clone)]
pub struct RecordWriter {
    queue: mpsc::UnboundedSender<Job>,
    state: Arc<State>,
    /// How many may wait.
    room: u64,
}

/// How it goes, for health and metrics.
#[derive(Debug, Default)]
struct State {
    is_down: AtomicBool,
    waiting: AtomicU64,
    lost: AtomicU64,
    written: AtomicU64,
}

/// How it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterState {
    /// The last commit failed, and is tried again.
    pub is_down: bool,
    /// Writes that are not committed yet.
    pub waiting: u64,
    /// Writes that were given up since the start.
    pub lost: u64,
    /// Writes that were committed since the start.
    pub written: u64,
}

/// The store did not take the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotWritten;

/// Tells when a write is committed.
pub type Receipt = oneshot::Receiver<Result<Outcome, NotWritten>>;

struct Job {
    write: Arc<Write>,
    done: oneshot::Sender<Result<Outcome, NotWritten>>,
    waits_for_store: bool,
}

impl RecordWriter {
    /// A writer, and the work that it needs done: spawn it on a runtime that lives as long as the process.
    pub fn new(store: Arc<dyn VisitorStore>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        Self::with_room(store, QUEUE_MAX)
    }

    /// The same, with room for that many writes.
    pub fn with_room(store: Arc<dyn VisitorStore>, room: usize) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, waiting) = mpsc::unbounded_channel();
        let state = Arc::new(State::default());
        let work = work(store, waiting, Arc::clone(&state));
        (Self { queue, state, room: room as u64 }, work)
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
    /// When the store cannot be had. It is not tried again, but may have been done.
    pub async fn ask(&self, write: Write) -> Result<Outcome, NotWritten> {
        self.begin(write).ok_or(NotWritten)?.await.unwrap_or(Err(NotWritten))
    }

    /// The first half of [`ask`](Self::ask): puts the write in the queue. `None` when there is no room.
    #[must_use]
    pub fn begin(&self, write: Write) -> Option<Receipt> {
        self.enqueue(write, false)
    }

    /// How it goes.
    #[must_use]
    pub fn state(&self) -> WriterState {
        WriterState {
            is_down: self.state.is_down.load(Ordering::Relaxed),
            waiting: self.state.waiting.load(Ordering::Relaxed),
            lost: self.state.lost.load(Ordering::Relaxed),
            written: self.state.written.load(Ordering::Relaxed),
        }
    }

    fn enqueue(&self, write: Write, waits_for_store: bool) -> Option<Receipt> {
        let (done, receipt) = oneshot::channel();
        // Counted before it is there, so that the count never goes below zero. It is also what bounds the queue.
        let has_room = self.state.waiting.fetch_add(1, Ordering::Relaxed) < self.room;
        let sent = has_room && self.queue.send(Job { write: Arc::new(write), done, waits_for_store }).is_ok();
        if !sent {
            self.state.waiting.fetch_sub(1, Ordering::Relaxed);
            // Who waits for the answer is told instead.
            self.state.lost.fetch_add(u64::from(waits_for_store), Ordering::Relaxed);
        }
        sent.then_some(receipt)
    }
}

async fn work(store: Arc<dyn VisitorStore>, mut queue: mpsc::UnboundedReceiver<Job>, state: Arc<State>) {
    let mut waiting = VecDeque::with_capacity(BATCH_MAX);
    let mut pause = RETRY_FIRST;
    loop {
        // While the store is down, a batch of nothing asks whether it is back: nobody may come for a long time.
        if waiting.is_empty() && !state.is_down.load(Ordering::Relaxed) {
            match queue.recv().await {
                Some(job) => waiting.push_back(job),
                None => return,
            }
        }
        while waiting.len() < BATCH_MAX
            && let Ok(job) = queue.try_recv()
        {
            waiting.push_back(job);
        }
        let mut batch: Vec<_> = waiting.drain(..waiting.len().min(BATCH_MAX)).collect();
        let fault = match store.commit(writes(&batch)).await {
            Ok(outcomes) => {
                state.came_back();
                pause = RETRY_FIRST;
                state.finish(batch.into_iter().zip(outcomes));
                continue;
            }
            Err(fault) => fault,
        };
        let fault = match is_about_the_store(&*store, fault, &batch).await {
            Ok(fault) => Some(fault),
            Err(what) => {
                tracing::error!(what, writes = batch.len(), "the store refuses a batch; its writes are tried one by one");
                one_by_one(&*store, &mut batch, &state).await
            }
        };
        if let Some(fault) = fault {
            state.went_down(&fault);
            put_off(&mut queue, &mut batch, &mut waiting, pause, &state).await;
            pause = (pause * 2).min(RETRY_LAST);
        }
        // What is left was there first.
        batch.into_iter().rev().for_each(|job| waiting.push_front(job));
    }
}

/// A store that refuses what it is given may be one that cannot be used at all: of another application, or without rights. No
/// write is given up for that. `Err` when it is about the writes.
async fn is_about_the_store(store: &dyn VisitorStore, fault: StoreFault, batch: &[Job]) -> Result<StoreFault, String> {
    match fault {
        StoreFault::Refused(what) if !batch.is_empty() => store.prepare().await.err().ok_or(what),
        fault => Ok(fault),
    }
}

/// Waits until the store may be tried again. Who waits for an answer is told that there is none, and not behind those who do
/// not; the others go on waiting for the store.
async fn put_off(
    queue: &mut mpsc::UnboundedReceiver<Job>,
    batch: &mut Vec<Job>,
    waiting: &mut VecDeque<Job>,
    pause: Duration,
    state: &State,
) {
    state.give_up(batch.extract_if(.., |job| !job.waits_for_store), false);
    let until = Instant::now() + pause;
    while let Ok(next) = timeout_at(until, queue.recv()).await {
        match next {
            Some(job) if job.waits_for_store => waiting.push_back(job),
            Some(job) => state.give_up([job], false),
            None => return sleep_until(until).await,
        }
    }
}

/// Leaves in the batch what could not be tried, with the fault that ended it: a store that cannot be had is not asked for each.
async fn one_by_one(store: &dyn VisitorStore, batch: &mut Vec<Job>, state: &State) -> Option<StoreFault> {
    let mut jobs = std::mem::take(batch).into_iter();
    while let Some(job) = jobs.next() {
        match store.commit(vec![Arc::clone(&job.write)]).await {
            Ok(mut outcomes) => {
                state.came_back();
                state.finish([job].into_iter().zip(outcomes.pop()));
            }
            Err(StoreFault::Refused(_)) => state.give_up([job], true),
            Err(fault) => {
                batch.extend([job].into_iter().chain(jobs));
                return Some(fault);
            }
        }
    }
    None
}

fn writes(batch: &[Job]) -> Vec<Arc<Write>> {
    batch.iter().map(|job| Arc::clone(&job.write)).collect()
}

impl State {
    fn finish(&self, done: impl IntoIterator<Item = (Job, Outcome)>) {
        for (job, outcome) in done {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.written.fetch_add(1, Ordering::Relaxed);
            let _ = job.done.send(Ok(outcome));
        }
    }

    fn give_up(&self, jobs: impl IntoIterator<Item = Job>, is_loss: bool) {
        for job in jobs {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.lost.fetch_add(u64::from(is_loss), Ordering::Relaxed);
            let _ = job.done.send(Err(NotWritten));
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
        if !self.is_down.swap(true, Ordering::Relaxed) {
            tracing::error!(%fault, "the store takes no writes; hops go on, and what they would write waits in memory");
        }
    }
}
