//! A bounded set that forgets by time: the replay memory (rule T7), and the clients that drop cookies (rule S16).

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It was not there; now it is.
    First,
    /// It was there already.
    Again,
    /// There is no room; it was not noted. Whoever needs to know that it is the first must take this for a no.
    Full,
    /// The memory that knows cannot be asked, or did not answer in time: a no as well. It may have been noted.
    Unreachable,
}

/// A set of 128-bit digests, each kept for at least `span` and at most twice as long.
///
/// Two generations: a key goes into the young one; when that has lasted a span, it becomes the old one, and what was old is
/// dropped as a whole. So forgetting costs nothing per key. The time is the process's uptime, which no administrator can
/// set back: a token cannot be used twice by moving the clock (rule A6).
#[derive(Debug)]
pub struct RecentSet {
    span: Duration,
    shard_capacity: usize,
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug, Default)]
struct Shard {
    begun: Duration,
    young: Keys,
    old: Keys,
}

type Keys = HashSet<u128, BuildHasherDefault<DigestHasher>>;

const SHARDS: usize = 64;

impl RecentSet {
    /// A set that keeps keys for `span` and holds `capacity` of them at most (a little more, by rounding up).
    #[must_use]
    pub fn new(span: Duration, capacity: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { span, shard_capacity: capacity.div_ceil(SHARDS), shards }
    }

    /// Notes `key`, if it is not there and there is room. Of many at once with the same key, exactly one gets
    /// [`Claim::First`].
    pub fn claim(&self, key: u128, uptime: Duration) -> Claim {
        let mut shard = self.shard(key, uptime);
        if shard.old.contains(&key) || shard.young.contains(&key) {
            return Claim::Again;
        }
        if shard.young.len() + shard.old.len() >= self.shard_capacity {
            return Claim::Full;
        }
        shard.young.insert(key);
        Claim::First
    }

    /// Forgets `key`.
    pub fn remove(&self, key: u128, uptime: Duration) {
        let mut shard = self.shard(key, uptime);
        shard.young.remove(&key);
        shard.old.remove(&key);
    }

    /// Whether `key` was noted within the span, or a little longer ago.
    #[must_use]
    pub fn contains(&self, key: u128, uptime: Duration) -> bool {
        let shard = self.shard(key, uptime);
        shard.old.contains(&key) || shard.young.contains(&key)
    }

    /// How many keys it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shard_capacity * SHARDS
    }

    /// How many keys are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(lock).map(|shard| shard.young.len() + shard.old.len()).sum()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: u128, uptime: Duration) -> MutexGuard<'_, Shard> {
        // The hasher takes the low half, so the shard comes from the high one.
        let index = usize::try_from((key >> 64) % (SHARDS as u128)).unwrap_or_default();
        let mut shard = lock(&self.shards[index]);
        let age = uptime.saturating_sub(shard.begun);
        if age >= self.span {
            shard.old = if age >= self.span * 2 { Keys::default() } else { std::mem::take(&mut shard.young) };
            shard.young = Keys::default();
            shard.begun = uptime;
        }
        shard
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing panics while it holds the lock; if something did, the sets are still sets.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The keys are digests already; half of one is as good a hash as any.
#[derive(Debug, Default)]
pub(super) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn write_u128(&mut self, key: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "the low half is wanted")]
        {
            self.0 = key as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(70);

    fn digest(number: u64) -> u128 {
        let digest = ring::digest::digest(&ring::digest::SHA256, &number.to_be_bytes());
        u128::from_be_bytes(digest.as_ref()[..16].try_into().unwrap())
    }

    #[test]
    fn t7_of_many_threads_exactly_one_is_first() {
        let set = RecentSet::new(SPAN, 100_000);
        let firsts: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..5000).filter(|&number| set.claim(digest(number), SPAN) == Claim::First).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(firsts, 5000);
        assert_eq!(set.len(), 5000);
    }

    #[test]
    fn t7_a_key_is_kept_for_its_span_and_then_forgotten() {
        for begun in [0_u64, 1, 69, 70, 71, 1000] {
            let set = RecentSet::new(SPAN, 1000);
            let begun = Duration::from_secs(begun);
            assert_eq!(set.claim(1, begun), Claim::First);
            for after in 0..SPAN.as_secs() {
                assert_eq!(set.claim(1, begun + Duration::from_secs(after)), Claim::Again, "{after} s after {begun:?}");
            }
            assert_eq!(set.claim(1, begun + SPAN * 2), Claim::First);
        }
    }

    #[test]
    fn t7_a_full_set_takes_no_more_and_recovers() {
        let set = RecentSet::new(SPAN, 64 * 10);
        let claims: Vec<_> = (0..2000).map(|number| set.claim(digest(number), SPAN)).collect();
        assert!(claims.contains(&Claim::Full));
        assert!(set.len() <= 640);
        for number in 0..2000 {
            assert_ne!(set.claim(digest(number), SPAN), Claim::First, "{number} was noted or refused before");
        }
        assert_eq!(set.claim(digest(1), SPAN * 4), Claim::First);
        set.remove(digest(1), SPAN * 4);
        assert_eq!(set.claim(digest(1), SPAN * 4), Claim::First);
    }

    #[test]
    fn a5_a_million_keys_stay_within_their_memory() {
        let set = RecentSet::new(SPAN, 1_000_000);
        for number in 0..1_500_000_u128 {
            set.claim(number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835), SPAN);
        }
        assert!(set.len() <= 1_000_064, "{}", set.len());
    }
}
