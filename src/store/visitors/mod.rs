//! The visitor store: keeps records and revocations. One file a backend; `tests/stores` holds the suite that each passes.

pub mod migrations;
pub mod postgres;
pub mod schema;
pub mod sqlite;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::domain::record::{Held, Outcome, Record, Write};

/// Where revocations are counted from: each has a number above those that were committed before it.
pub type Cursor = u64;

/// Keeps visitor records.
///
/// # The contract
///
/// 1. [`commit`](Self::commit) applies the first of the writes, in their order, as `domain::record_batch` plans them: at least
///    one, usually all. It returns an outcome for each of those; with a fault, it may have applied none. When it says `Ok`,
///    they outlive `kill -9` of this process, and of the machine where the medium does.
/// 2. Batches of different nodes count as if they came one after the other.
/// 3. A fault says nothing on whether the batch was applied. To apply it again does no harm.
/// 4. An ID that was revoked is [`Held::Revoked`] from then on, until [`sweep`](Self::sweep) drops the revocation.
/// 5. Revocations have rising numbers: who has seen number n and asks for those after n misses none.
/// 6. Every call ends, with a fault if need be, within a few seconds: a store that hangs must not hold its callers.
#[async_trait]
pub trait VisitorStore: Send + Sync {
    /// Makes ready: connects, and brings the schema to this version, under a lock that other nodes respect. It may be called
    /// again after a fault.
    async fn prepare(&self) -> Result<(), StoreFault>;

    /// Applies a batch. An empty one asks whether the store can be had.
    async fn commit(&self, writes: Vec<Arc<Write>>) -> Result<Vec<Outcome>, StoreFault>;

    /// What is held of an ID.
    async fn read(&self, visitor: VisitorId) -> Result<Held, StoreFault>;

    /// The revocations after `cursor`, oldest first, at most `limit`, each with its number.
    async fn revocations(&self, cursor: Cursor, limit: usize) -> Result<Vec<(Cursor, VisitorId)>, StoreFault>;

    /// Looks at `slice` records after `from`, in the order of their IDs, and deletes those that nobody saw since
    /// `unseen_since` or that are revoked. With the last slice, revocations from before `revoked_before` go as well.
    async fn sweep(&self, from: Option<VisitorId>, before: SweepBefore, slice: usize) -> Result<Swept, StoreFault>;

    /// Reads the first `limit` records after `from`, in the order of their IDs; those that are revoked or that this version
    /// cannot read are passed over. IDs are random, so as many as one likes from the beginning are a fair sample of all.
    async fn sample(&self, from: Option<VisitorId>, limit: usize) -> Result<Sampled, StoreFault>;

    /// Looks through the whole store for damage. It may take minutes on a large store; writes go on meanwhile.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`] when there is any.
    async fn examine(&self) -> Result<(), StoreFault>;

    /// Notes writes that were set aside; a visitor's earlier note of the same change is replaced.
    async fn set_aside(&self, writes: Vec<SetAside>) -> Result<(), StoreFault>;

    /// How many writes are set aside.
    async fn count_set_aside(&self) -> Result<u64, StoreFault>;

    /// How many records there are, and how many octets the store takes. For operators: a large store may estimate.
    async fn size(&self) -> Result<StoreSize, StoreFault>;
}

/// What a sweep deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepBefore {
    /// Records that were last seen before this.
    pub seen: UnixSeconds,
    /// Revocations from before this.
    pub revoked: UnixSeconds,
}

/// What one slice of a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// How many records were deleted.
    pub deleted: u64,
    /// Where the next slice begins; `None` after the last.
    pub next: Option<VisitorId>,
}

/// A slice of all records.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    /// The records.
    pub records: Vec<Record>,
    /// Where the next slice begins; `None` after the last.
    pub next: Option<VisitorId>,
}

/// Gathers a slice, row by row.
struct Slice {
    limit: usize,
    rows: usize,
    last: Option<VisitorId>,
    records: Vec<Record>,
}

impl Slice {
    const fn of(limit: usize) -> Self {
        Self { limit, rows: 0, last: None, records: Vec::new() }
    }

    fn take(&mut self, visitor: VisitorId, record: &str, is_revoked: bool) {
        self.rows += 1;
        self.last = Some(visitor);
        if !is_revoked && let Held::Record(record) = Held::read(record) {
            self.records.push(*record);
        }
    }

    /// Fewer rows than asked for are the last.
    fn sampled(self) -> Sampled {
        Sampled { records: self.records, next: self.last.filter(|_| self.rows >= self.limit) }
    }
}

/// A write that failed by itself, or whose record cannot be read. It holds up no other write (rule A10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Whose record.
    pub visitor: VisitorId,
    /// What it would have changed; one of [`Change::kind`](crate::domain::record::Change::kind).
    pub change: String,
    /// When it was set aside.
    pub at: UnixSeconds,
    /// Why, without anything secret.
    pub problem: String,
}

/// What a look at a store finds that changes nothing in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peek {
    /// The version of its schema.
    pub version: u32,
    /// How many records were looked at.
    pub records: u64,
    /// Those of them that this version cannot read.
    pub unreadable: Vec<VisitorId>,
    /// The writes that were set aside, at most [`SET_ASIDE_SHOWN`] of them.
    pub set_aside: Vec<SetAside>,
}

/// How many records a [`Peek`] looks at, at most.
pub const PEEK_RECORDS_MAX: usize = 100_000;

/// How many writes that were set aside a [`Peek`] names.
pub const SET_ASIDE_SHOWN: usize = 100;

/// How much a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSize {
    /// Records.
    pub records: u64,
    /// Octets on disk, with indexes.
    pub octets: u64,
}

/// Why a store did not do as asked. Nothing secret is in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreFault {
    /// It cannot be had just now: down, full, locked, too slow. Trying again may help.
    Unavailable(String),
    /// It is available, and did not do this now: the records are locked, or it took too long. Other writes may be taken.
    Busy(String),
    /// What it holds is damaged. Trying again may help once an operator has restored it.
    Damaged(String),
    /// Its schema is of a newer version of Throughline. Trying again does not help.
    Newer {
        /// The version that is there.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// It refuses what it was given. Trying the same again does not help.
    Refused(String),
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(what) => write!(f, "the store cannot be had: {what}"),
            Self::Busy(what) => write!(f, "the store is busy: {what}"),
            Self::Damaged(what) => {
                write!(f, "the store is damaged: {what}; stop the broker and restore the last backup (docs/operating.md)")
            }
            Self::Newer { found, known } => write!(
                f,
                "the store's schema is version {found}, and this program knows {known}: a newer Throughline has been at work on it; run that one, or restore the backup from before the upgrade"
            ),
            Self::Refused(what) => write!(f, "the store refuses: {what}"),
        }
    }
}

impl std::error::Error for StoreFault {}

/// Both databases' integers are signed; times and counts stay far below where that matters.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
