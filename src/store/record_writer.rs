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

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use crate::base::clock::Clock;
use crate::base::id::VisitorId;
use crate::domain::record::{Outcome, Write};

use super::commits::{Job, Message, State, Worker, unreadable};
use super::visitors::{StoreFault, VisitorStore};

/// How many writes wait at most: about 40 MB.
const QUEUE_MAX: usize = 65_536;

/// Hands writes to the store.
#[derive(Clone)]
pub struct RecordWriter {
    queue: mpsc::UnboundedSender<Message>,
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    /// How many may wait.
    room: u64,
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
        let worker = Worker::new(store, Arc::clone(&clock), inbox, Arc::clone(&state));
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
