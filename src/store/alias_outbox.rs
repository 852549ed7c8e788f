//! Aliases on their way out: two IDs that turned out to be one visitor (rule L3).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::domain::arrival::Alias;

/// Holds aliases until somebody takes them. Bounded: the oldest gives way, and is counted.
#[derive(Debug)]
pub struct AliasOutbox {
    capacity: usize,
    waiting: Mutex<VecDeque<Alias>>,
    lost: AtomicU64,
}

impl AliasOutbox {
    /// Holds `capacity` aliases at most.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self { capacity, waiting: Mutex::new(VecDeque::new()), lost: AtomicU64::new(0) }
    }

    /// Puts an alias in. One that waits already is not put in again.
    pub fn put(&self, alias: Alias) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.contains(&alias) {
            return;
        }
        if waiting.len() >= self.capacity {
            waiting.pop_front();
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        waiting.push_back(alias);
    }

    /// Takes all that wait, oldest first.
    pub fn take(&self) -> Vec<Alias> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    /// How many gave way before anybody took them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::VisitorId;
    use crate::base::random::CountingRandom;

    #[test]
    fn l3_each_alias_waits_once_and_the_oldest_gives_way() {
        let random = CountingRandom::default();
        let alias = || Alias { from: VisitorId::mint(&random).unwrap(), to: VisitorId::mint(&random).unwrap() };
        let outbox = AliasOutbox::new(2);
        let (one, two, three) = (alias(), alias(), alias());
        for alias in [one, one, two, three] {
            outbox.put(alias);
        }
        assert_eq!((outbox.take(), outbox.lost()), (vec![two, three], 1));
        assert!(outbox.take().is_empty());
    }
}
