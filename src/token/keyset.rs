//! A site's keys over time: a plan that needs no one to act at the right moment.
//!
//! Each key has two times: from `publish_at` it stands in the JWKS, from `activate_at` it signs until a later key does.
//! It stays published until the last token it signed has died. What a key is at a moment follows from the times alone, so
//! every process that reads the same file agrees, and a rotation is nothing but adding a key (rule K1).

use std::time::Duration;

use crate::base::clock::UnixSeconds;

use super::claims::{CLOCK_SKEW, TOKEN_LIFE_MAX};
use super::jwks::write_jwks;
use super::key::{KeyId, PublicKey, Seed, SigningKey};

/// For how long others may keep a copy of a JWKS: the `max-age` it is served with, and the interval at which satellites
/// fetch it again.
pub const JWKS_MAX_AGE: Duration = Duration::from_secs(300);

/// From publishing a key to signing with it: two fetches may fail, and every copy is still newer than the key.
pub const PUBLISH_AHEAD: Duration = Duration::from_secs(3 * JWKS_MAX_AGE.as_secs());

/// How long a key stays published after the last token it signed.
pub const KEEP_AFTER: Duration = Duration::from_secs(TOKEN_LIFE_MAX.as_secs() + 2 * CLOCK_SKEW.as_secs());

/// What a key is at some moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyState {
    /// Not yet in the JWKS.
    Planned,
    /// In the JWKS, so that others know it before it signs.
    Published,
    /// Signs.
    Active,
    /// Signs no more; in the JWKS until its last token died.
    Retired,
    /// Of no more use.
    Gone,
}

/// One key and its times.
#[derive(Debug)]
pub struct TimedKey {
    /// The key.
    pub key: SigningKey,
    /// What it grew from, to be written back to its file.
    pub seed: Seed,
    /// From when it stands in the JWKS.
    pub publish_at: UnixSeconds,
    /// From when it signs.
    pub activate_at: UnixSeconds,
}

/// The times of a key that is to be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyPlan {
    /// From when it stands in the JWKS.
    pub publish_at: UnixSeconds,
    /// From when it signs.
    pub activate_at: UnixSeconds,
}

/// The keys of one site, in the order in which they sign.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<TimedKey>,
}

impl KeySet {
    /// Puts keys in order.
    #[must_use]
    pub fn new(mut keys: Vec<TimedKey>) -> Self {
        keys.sort_by_key(|timed| timed.activate_at);
        Self { keys }
    }

    /// The keys, in the order in which they sign.
    #[must_use]
    pub fn keys(&self) -> &[TimedKey] {
        &self.keys
    }

    /// The key that signs at `now`. With a clock before all of them, the first: a wrong clock must not cost more than it
    /// does anyhow (rule A6). `None` only when there is no key at all.
    #[must_use]
    pub fn signing_key(&self, now: UnixSeconds) -> Option<&SigningKey> {
        let active = self.keys.iter().rev().find(|timed| timed.activate_at <= now);
        active.or(self.keys.first()).map(|timed| &timed.key)
    }

    /// Since when the key signs that signs at `now`.
    #[must_use]
    pub fn signing_since(&self, now: UnixSeconds) -> Option<UnixSeconds> {
        let active = self.keys.iter().rev().find(|timed| timed.activate_at <= now);
        active.or(self.keys.first()).map(|timed| timed.activate_at)
    }

    /// When the next key begins to sign, if one is waiting for that.
    #[must_use]
    pub fn next_rotation(&self, now: UnixSeconds) -> Option<UnixSeconds> {
        self.keys.iter().skip(1).map(|timed| timed.activate_at).find(|at| *at > now)
    }

    /// What the key at `index` is at `now`; one that is not there is gone.
    #[must_use]
    pub fn state(&self, index: usize, now: UnixSeconds) -> KeyState {
        let Some(timed) = self.keys.get(index) else { return KeyState::Gone };
        match self.keys.get(index + 1) {
            Some(next) if next.activate_at.plus(KEEP_AFTER) <= now => KeyState::Gone,
            Some(next) if next.activate_at <= now => KeyState::Retired,
            _ if timed.activate_at <= now => KeyState::Active,
            _ if timed.publish_at <= now => KeyState::Published,
            _ => KeyState::Planned,
        }
    }

    /// The keys that stand in the JWKS at `now`.
    pub fn published(&self, now: UnixSeconds) -> impl Iterator<Item = &PublicKey> {
        let shown = [KeyState::Published, KeyState::Active, KeyState::Retired];
        let keys = self.keys.iter().enumerate();
        // With a clock before every key, the first is what `signing_key` uses: it must be seen.
        let early = self.keys.first().is_some_and(|first| first.publish_at > now);
        keys.filter(move |(index, _)| shown.contains(&self.state(*index, now)) || (early && *index == 0))
            .map(|(_, timed)| timed.key.public())
    }

    /// The JWKS at `now`.
    #[must_use]
    pub fn jwks(&self, now: UnixSeconds) -> String {
        write_jwks(self.published(now))
    }

    /// The times of a first key: at once.
    #[must_use]
    pub const fn first_key_plan(now: UnixSeconds) -> KeyPlan {
        KeyPlan { publish_at: now, activate_at: now }
    }

    /// The times of the next key: signing when every copy of the JWKS is newer than its publication. Behind a key that is
    /// already waiting it queues, at such a distance that however often someone rotates, no JWKS ever holds more than
    /// [`super::jwks::KEYS_MAX`] keys: readers would refuse it whole.
    #[must_use]
    pub fn rotation_plan(&self, now: UnixSeconds) -> KeyPlan {
        let Some(last) = self.keys.last() else { return Self::first_key_plan(now) };
        let activate_at = now.plus(PUBLISH_AHEAD).max(last.activate_at.plus(KEEP_AFTER));
        KeyPlan { publish_at: UnixSeconds(activate_at.0 - PUBLISH_AHEAD.as_secs()), activate_at }
    }

    /// Adds a key; takes out those of no more use and returns their names.
    pub fn rotate(&mut self, key: TimedKey, now: UnixSeconds) -> Vec<KeyId> {
        let gone = (0..self.keys.len()).filter(|&index| self.state(index, now) == KeyState::Gone);
        let gone: Vec<_> = gone.map(|index| self.keys[index].key.public().id()).collect();
        self.keys.retain(|timed| !gone.contains(&timed.key.public().id()));
        self.keys.push(key);
        self.keys.sort_by_key(|timed| timed.activate_at);
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(seed: u8, plan: KeyPlan) -> TimedKey {
        let seed = Seed::new([seed; 32]);
        TimedKey { key: SigningKey::from_seed(&seed).unwrap(), seed, publish_at: plan.publish_at, activate_at: plan.activate_at }
    }

    #[test]
    fn k1_a_rotation_goes_through_its_states_by_time_alone() {
        let start = UnixSeconds(1_000_000);
        let mut set = KeySet::new(vec![timed(1, KeySet::first_key_plan(start))]);
        let rotated_at = start.plus(Duration::from_secs(1000));
        let plan = set.rotation_plan(rotated_at);
        assert!(set.rotate(timed(2, plan), rotated_at).is_empty());
        let states = |after: u64| {
            let now = rotated_at.plus(Duration::from_secs(after));
            (set.state(0, now), set.state(1, now), set.published(now).count())
        };
        let ahead = PUBLISH_AHEAD.as_secs();
        assert_eq!(states(0), (KeyState::Active, KeyState::Published, 2));
        assert_eq!(states(ahead - 1), (KeyState::Active, KeyState::Published, 2));
        assert_eq!(states(ahead), (KeyState::Retired, KeyState::Active, 2));
        assert_eq!(states(ahead + KEEP_AFTER.as_secs() - 1), (KeyState::Retired, KeyState::Active, 2));
        assert_eq!(states(ahead + KEEP_AFTER.as_secs()), (KeyState::Gone, KeyState::Active, 1));
    }

    #[test]
    fn k1_whoever_holds_a_jwks_within_its_max_age_knows_the_signing_key() {
        let start = UnixSeconds(1_000_000);
        let mut set = KeySet::new(vec![timed(1, KeySet::first_key_plan(start))]);
        for round in 2..6 {
            let now = start.plus(Duration::from_secs(u64::from(round) * 500));
            let plan = set.rotation_plan(now);
            set.rotate(timed(round, plan), now);
        }
        for second in 0..10_000 {
            let now = start.plus(Duration::from_secs(second));
            let signer = set.signing_key(now).unwrap().public().id();
            let fetched = UnixSeconds(now.0.saturating_sub(JWKS_MAX_AGE.as_secs()).max(start.0));
            assert!(set.published(fetched).any(|key| key.id() == signer), "a copy of {fetched} at {now}");
            // And a token of `now` is still verified when it dies.
            let dies = now.plus(TOKEN_LIFE_MAX + CLOCK_SKEW);
            assert!(set.published(dies).any(|key| key.id() == signer), "a token of {now} at {dies}");
        }
    }

    #[test]
    fn a6_a_clock_before_every_key_still_signs_and_publishes_the_first() {
        let set = KeySet::new(vec![timed(1, KeySet::first_key_plan(UnixSeconds(1_000_000)))]);
        let early = UnixSeconds(1_000_000 - 3600);
        assert!(set.signing_key(early).is_some());
        assert_eq!(set.published(early).count(), 1);
    }
}
