//! The revoked IDs, in memory, so that each request can be held against them (rules C1, C2).
//!
//! Of each ID 70 of its random bits count, 62 as the key and 8 as the shard: 10 million take 151 MB. That another ID shares
//! them with one of those happens to one visitor in 118 million million, who then counts as having refused.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::base::id::VisitorId;

use super::recent_set::DigestHasher;
use super::visitors::Cursor;

/// Many small sets: each grows by itself, so that no moment needs twice the memory of all, and readers seldom meet.
const SHARDS: usize = 256;

type Shard = RwLock<HashSet<u64, BuildHasherDefault<DigestHasher>>>;

/// A set of IDs. It only grows, until the process ends.
#[derive(Debug)]
pub struct RevokedIds {
    count: AtomicU64,
    is_current: AtomicBool,
    read_until: AtomicU64,
    shards: Box<[Shard]>,
}

impl Default for RevokedIds {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { count: AtomicU64::new(0), is_current: AtomicBool::new(false), read_until: AtomicU64::new(0), shards }
    }
}

impl RevokedIds {
    /// Whether an ID is revoked. Most companies have few that are, and most IDs are not: it takes a few nanoseconds.
    #[must_use]
    pub fn contains(&self, visitor: VisitorId) -> bool {
        if self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let (shard, key) = self.place(visitor);
        shard.read().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }

    /// Adds an ID.
    pub fn insert(&self, visitor: VisitorId) {
        let (shard, key) = self.place(visitor);
        if shard.write().unwrap_or_else(PoisonError::into_inner).insert(key) {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes whether the last look for new ones could read the list.
    pub fn set_current(&self, is_current: bool) {
        self.is_current.store(is_current, Ordering::Relaxed);
    }

    /// Whether it could. Before the first look, it has not.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.is_current.load(Ordering::Relaxed)
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
        self.count.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An ID's first octet chooses the shard; its last eight, all random but for the two bits of the variant, are the key.
    fn place(&self, visitor: VisitorId) -> (&Shard, u64) {
        let bytes = visitor.as_bytes();
        let (_, key) = bytes.split_at(8);
        let key = u64::from_be_bytes(key.try_into().unwrap_or_default());
        (&self.shards[usize::from(bytes[0])], key)
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

    #[test]
    fn c2_what_was_put_in_is_found_and_nothing_else() {
        let ids: Vec<_> = (0..10_000).map(id).collect();
        let revoked = RevokedIds::default();
        assert!(revoked.is_empty() && !revoked.contains(ids[0]));
        for id in ids.iter().step_by(2).chain(ids.iter().step_by(2)) {
            revoked.insert(*id);
        }
        assert_eq!(revoked.len(), 5_000);
        for (index, id) in ids.iter().enumerate() {
            assert_eq!(revoked.contains(*id), index % 2 == 0);
        }
    }
}
