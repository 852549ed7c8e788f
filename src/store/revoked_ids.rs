//! The revoked IDs, in memory, so that each request can be held against them (rules C1, C2).
//!
//! A process begins without the list. Until it has one, only the IDs that it minted itself count (rule A14).
//!
//! Of each ID 70 of its random bits count, 62 as the key and 8 as the shard: 10 million take 151 MB. That another ID shares
//! them with one of those happens to one visitor in 118 million million, who then counts as having refused.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::domain::documents::RevocationsHealth;

use super::ended_journal::EndedJournal;
use super::recent_set::DigestHasher;
use super::visitors::Cursor;

/// Many small sets: each grows by itself, so that no moment needs twice the memory of all, and readers seldom meet.
const SHARDS: usize = 256;

type Shard = RwLock<HashSet<u64, BuildHasherDefault<DigestHasher>>>;

/// Set in [`RevokedIds::state`] while there is no list at all.
const UNKNOWN: u64 = 1 << 63;

/// How many IDs that were minted here are remembered while there is no list: about 10 MB.
const MINTED_MAX: usize = 262_144;

/// How many IDs of one shard a [`Loader`] adds together: 1 MB for all shards.
const LOADED_AT_ONCE: usize = 512;

/// What is known of an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Living,
    /// It was revoked.
    Revoked,
    /// There is no list, and this process did not mint the ID, so it cannot tell whether it was revoked (rule A14).
    Unknown,
}

/// What is known of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Knowledge {
    /// There is no list: the node could not read it since its start, and has none on disk.
    Unknown,
    /// An earlier process left it on disk, and it could not be read since.
    FromDisk,
    /// This process has read it, but the last look failed.
    Stale,
    /// The last look could read it.
    Current,
}

impl Knowledge {
    /// A stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::FromDisk => "from_disk",
            Self::Stale => "stale",
            Self::Current => "current",
        }
    }
}

/// A set of IDs. It only grows, until the process ends.
#[derive(Debug)]
pub struct RevokedIds {
    /// How many there are, and [`UNKNOWN`]: 0, as it mostly is, says that every ID counts.
    state: AtomicU64,
    knowledge: AtomicU8,
    /// When the list was last known to be complete, in Unix seconds.
    complete_at: AtomicU64,
    /// IDs that this process minted while it has no list.
    minted: Mutex<HashSet<u128, BuildHasherDefault<DigestHasher>>>,
    /// IDs that wait to be written to disk.
    pub journal: EndedJournal,
    /// The number of the last revocation that was read from the store.
    read_until: AtomicU64,
    shards: Box<[Shard]>,
}

impl Default for RevokedIds {
    fn default() -> Self {
        Self {
            state: AtomicU64::new(UNKNOWN),
            knowledge: AtomicU8::new(Knowledge::Unknown as u8),
            complete_at: AtomicU64::new(0),
            read_until: AtomicU64::new(0),
            minted: Mutex::default(),
            journal: EndedJournal::default(),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }
}

impl RevokedIds {
    /// Judges an ID. Most companies have few that are revoked, and most IDs are not: it takes a few nanoseconds.
    #[must_use]
    pub fn judge(&self, visitor: VisitorId) -> Verdict {
        let state = self.state.load(Ordering::Acquire);
        if state == 0 {
            return Verdict::Living;
        }
        let (shard, key) = self.place(visitor);
        if shard.read().unwrap_or_else(PoisonError::into_inner).contains(&key) {
            return Verdict::Revoked;
        }
        if state & UNKNOWN == 0 || self.minted().contains(&u128::from_be_bytes(*visitor.as_bytes())) {
            Verdict::Living
        } else {
            Verdict::Unknown
        }
    }

    /// Adds an ID that this process was told, and has it written to disk. [`EndedJournal::settled`] waits for that.
    pub fn insert(&self, visitor: VisitorId) {
        if self.learn(visitor) {
            self.journal.put(visitor);
        }
    }

    /// Adds an ID that is on disk, or that the caller writes there. Whether it is new.
    pub fn learn(&self, visitor: VisitorId) -> bool {
        let (shard, key) = self.place(visitor);
        let is_new = shard.write().unwrap_or_else(PoisonError::into_inner).insert(key);
        if is_new {
            self.state.fetch_add(1, Ordering::Relaxed);
        }
        is_new
    }

    /// Adds many IDs, which the caller hands to the loader one by one.
    #[must_use]
    pub fn loader(&self) -> Loader<'_> {
        Loader { ids: self, waiting: (0..SHARDS).map(|_| Vec::with_capacity(LOADED_AT_ONCE)).collect() }
    }

    /// Notes an ID that this process has minted. Where the memory is full, the ID rests until there is a list.
    pub fn note_minted(&self, visitor: VisitorId) {
        if self.is_known() {
            return;
        }
        let mut minted = self.minted();
        if minted.len() < MINTED_MAX {
            minted.insert(u128::from_be_bytes(*visitor.as_bytes()));
        }
    }

    /// All of the list that an earlier process knew has been [added](Self::learn): it was complete at `at`.
    pub fn restored(&self, at: UnixSeconds) {
        self.know(Knowledge::FromDisk, at);
    }

    /// The whole list has been read: it is complete as of `now`.
    pub fn completed(&self, now: UnixSeconds) {
        self.know(Knowledge::Current, now);
    }

    fn know(&self, knowledge: Knowledge, at: UnixSeconds) {
        self.complete_at.store(at.0, Ordering::Relaxed);
        self.knowledge.store(knowledge as u8, Ordering::Relaxed);
        if self.state.fetch_and(!UNKNOWN, Ordering::Release) & UNKNOWN != 0 {
            *self.minted() = HashSet::default();
        }
    }

    /// The last look for new ones failed.
    pub fn missed(&self) {
        if self.knowledge() == Knowledge::Current {
            self.knowledge.store(Knowledge::Stale as u8, Ordering::Relaxed);
        }
    }

    /// What is known of the list.
    #[must_use]
    pub fn knowledge(&self) -> Knowledge {
        let byte = self.knowledge.load(Ordering::Relaxed);
        let known = [Knowledge::Current, Knowledge::Stale, Knowledge::FromDisk];
        known.into_iter().find(|knowledge| *knowledge as u8 == byte).unwrap_or(Knowledge::Unknown)
    }

    /// Whether there is a list.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.state.load(Ordering::Acquire) & UNKNOWN == 0
    }

    /// When the list was last known to be complete; `None` where there is none.
    #[must_use]
    pub fn complete_at(&self) -> Option<UnixSeconds> {
        self.is_known().then(|| UnixSeconds(self.complete_at.load(Ordering::Relaxed)))
    }

    /// The same, for the health documents.
    #[must_use]
    pub fn health(&self, now: UnixSeconds) -> RevocationsHealth {
        let age_seconds = self.complete_at().map(|at| now.since(at).as_secs());
        RevocationsHealth { status: self.knowledge().as_str().into(), age_seconds }
    }

    /// Notes up to which number the revocations of the store are in it.
    pub fn set_read_until(&self, cursor: Cursor) {
        self.read_until.store(cursor, Ordering::Release);
    }

    /// That number; 0 before the first look.
    #[must_use]
    pub fn read_until(&self) -> Cursor {
        self.read_until.load(Ordering::Acquire)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.state.load(Ordering::Relaxed) & !UNKNOWN
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn minted(&self) -> MutexGuard<'_, HashSet<u128, BuildHasherDefault<DigestHasher>>> {
        self.minted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An ID's first octet chooses the shard; its last eight, all random but for the two bits of the variant, are the key.
    fn place(&self, visitor: VisitorId) -> (&Shard, u64) {
        let (shard, key) = place(visitor);
        (&self.shards[shard], key)
    }
}

fn place(visitor: VisitorId) -> (usize, u64) {
    let bytes = visitor.as_bytes();
    let (_, key) = bytes.split_at(8);
    (usize::from(bytes[0]), u64::from_be_bytes(key.try_into().unwrap_or_default()))
}

/// Adds many IDs, those of one shard together: while a shard is in the processor's cache, an ID takes a quarter of the time.
#[derive(Debug)]
pub struct Loader<'a> {
    ids: &'a RevokedIds,
    waiting: Vec<Vec<u64>>,
}

impl Loader<'_> {
    /// Adds one.
    pub fn add(&mut self, visitor: VisitorId) {
        let (shard, key) = place(visitor);
        self.waiting[shard].push(key);
        if self.waiting[shard].len() == LOADED_AT_ONCE {
            self.flush(shard);
        }
    }

    /// Adds those that still wait.
    pub fn finish(mut self) {
        (0..SHARDS).for_each(|shard| self.flush(shard));
    }

    fn flush(&mut self, shard: usize) {
        let mut keys = self.ids.shards[shard].write().unwrap_or_else(PoisonError::into_inner);
        let new = self.waiting[shard].drain(..).filter(|key| keys.insert(*key)).count();
        self.ids.state.fetch_add(new as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> VisitorId {
        let digest = ring::digest::digest(&ring::digest::SHA256, &number.to_be_bytes());
        let bytes = digest.as_ref()[..16].try_into().unwrap();
        VisitorId::from_bytes(uuid::Builder::from_random_bytes(bytes).as_uuid().as_bytes()).unwrap()
    }

    const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

    #[test]
    fn c2_what_was_put_in_is_found_and_nothing_else() {
        let ids: Vec<_> = (0..10_000).map(id).collect();
        let revoked = RevokedIds::default();
        revoked.completed(NOW);
        assert!(revoked.is_empty() && revoked.judge(ids[0]) == Verdict::Living);
        for id in ids.iter().step_by(2).chain(ids.iter().step_by(2)) {
            revoked.insert(*id);
        }
        assert_eq!(revoked.len(), 5_000);
        // Those that are there already are counted once.
        let mut loader = revoked.loader();
        ids.iter().step_by(4).for_each(|id| loader.add(*id));
        loader.finish();
        assert_eq!(revoked.len(), 5_000);
        for (index, id) in ids.iter().enumerate() {
            assert_eq!(revoked.judge(*id), if index % 2 == 0 { Verdict::Revoked } else { Verdict::Living });
        }
    }

    #[test]
    fn a14_without_a_list_only_ids_that_were_minted_here_count() {
        let revoked = RevokedIds::default();
        let [ours, others, ended] = [id(1), id(2), id(3)];
        revoked.note_minted(ours);
        revoked.note_minted(ended);
        let mut loader = revoked.loader();
        loader.add(ended);
        loader.finish();
        let judged = || [ours, others, ended].map(|id| revoked.judge(id));
        assert_eq!(judged(), [Verdict::Living, Verdict::Unknown, Verdict::Revoked]);
        assert_eq!((revoked.knowledge(), revoked.complete_at(), revoked.len()), (Knowledge::Unknown, None, 1));
        revoked.missed();
        assert_eq!(revoked.knowledge(), Knowledge::Unknown, "a look that fails brings no list");
        revoked.restored(NOW);
        assert_eq!(judged(), [Verdict::Living, Verdict::Living, Verdict::Revoked]);
        assert_eq!((revoked.knowledge(), revoked.complete_at()), (Knowledge::FromDisk, Some(NOW)));
        revoked.missed();
        assert_eq!(revoked.knowledge(), Knowledge::FromDisk);
        revoked.completed(UnixSeconds(NOW.0 + 9));
        assert_eq!((revoked.knowledge(), revoked.complete_at()), (Knowledge::Current, Some(UnixSeconds(NOW.0 + 9))));
        revoked.missed();
        assert_eq!((revoked.knowledge(), revoked.is_known()), (Knowledge::Stale, true));
    }

    #[test]
    fn a14_a_full_memory_of_minted_ids_lets_no_other_id_count() {
        let revoked = RevokedIds::default();
        let count = u32::try_from(MINTED_MAX).unwrap();
        (0..=count).for_each(|number| revoked.note_minted(id(number)));
        assert_eq!(revoked.judge(id(count - 1)), Verdict::Living);
        assert_eq!(revoked.judge(id(count)), Verdict::Unknown);
        revoked.completed(NOW);
        assert_eq!(revoked.judge(id(count)), Verdict::Living);
        assert!(revoked.minted().is_empty(), "the memory is not needed any more");
    }
}
