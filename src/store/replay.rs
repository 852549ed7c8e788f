//! The replay memory: which tokens were used (rule T7). In this process, or in a Redis that many nodes share.
//!
//! # The contract
//!
//! 1. Of many claims of one key, however many at once, over all threads and nodes that share the memory, at most one gets
//!    [`Claim::First`]; exactly one, unless the memory fails in that moment.
//! 2. A key is remembered for at least the span ([`REPLAY_SPAN`]).
//! 3. The memory is bounded. Full or unreachable, it never says [`Claim::First`].
//! 4. It never keeps a page waiting for longer than it was told, and one in this process never keeps it waiting at all.
//!
//! `tests/stores` holds every kind of memory to this.

use std::time::Duration;

use crate::token::claims::REPLAY_SPAN;

use super::recent_set::{Claim, RecentSet};
use super::redis_replay::{ClaimSoon, RedisReplay};

/// A replay memory. An enum and not a trait object: the one in this process answers at once, without a future on the heap.
#[derive(Debug)]
pub enum Replay {
    /// In this process: other nodes have their own.
    Here(RecentSet),
    /// In a Redis.
    Shared(RedisReplay),
}

/// What became of a claim, or will.
#[derive(Debug)]
pub enum Claiming {
    /// It is decided.
    Now(Claim),
    /// The memory has been asked.
    Soon(ClaimSoon),
}

impl Replay {
    /// A memory in this process for `capacity` keys at most.
    #[must_use]
    pub fn here(capacity: usize) -> Self {
        Self::Here(RecentSet::new(REPLAY_SPAN, capacity))
    }

    /// Whether it can be asked just now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match self {
            Self::Here(_) => true,
            Self::Shared(redis) => redis.is_connected(),
        }
    }

    /// Whether the shared memory can be asked just now; `None` for one in this process.
    #[must_use]
    pub fn is_shared_one_ready(&self) -> Option<bool> {
        matches!(self, Self::Shared(_)).then(|| self.is_ready())
    }

    /// Claims `key`. `uptime` is that of this process: it decides how long a memory in this process remembers.
    #[must_use]
    pub fn claim(&self, key: u128, uptime: Duration) -> Claiming {
        match self {
            Self::Here(set) => Claiming::Now(set.claim(key, uptime)),
            Self::Shared(redis) => redis.claim(key),
        }
    }
}

impl Claiming {
    /// What became of it, waiting if need be.
    pub async fn claimed(self) -> Claim {
        match self {
            Self::Now(claim) => claim,
            Self::Soon(soon) => soon.claimed().await,
        }
    }
}
