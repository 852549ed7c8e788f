//! First touches of visitors whose first page was on the primary and who have not come back with their cookie yet (rule A8).
//!
//! The primary mints an ID for every first page, and most clients that throw cookies away never show it again. A record is
//! written only when the cookie comes back; until then the first touch waits here, in bounded memory. An evicted one costs the
//! record its first touch, never its visitor.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::id::VisitorId;
use crate::domain::first_touch::FirstTouch;

/// The most that waits, in bytes: of usual first touches, some ten thousand.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// What an entry takes beside its text, in bytes: two IDs, the structure, and the room of the maps.
const ENTRY_BYTES: usize = 400;

/// The first touches that wait.
#[derive(Debug, Default)]
pub struct FirstPages(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    touches: HashMap<VisitorId, FirstTouch>,
    /// The oldest first. An ID whose touch was taken stays until its turn.
    order: VecDeque<(VisitorId, usize)>,
    bytes: usize,
}

impl FirstPages {
    /// Keeps the first touch of `visitor`, and evicts the oldest where there is no room.
    pub fn put(&self, visitor: VisitorId, touch: FirstTouch) {
        let bytes = ENTRY_BYTES + touch.text_bytes();
        let mut waiting = self.lock();
        waiting.touches.insert(visitor, touch);
        waiting.order.push_back((visitor, bytes));
        waiting.bytes += bytes;
        while waiting.bytes > BYTES_MAX
            && let Some((oldest, bytes)) = waiting.order.pop_front()
        {
            waiting.touches.remove(&oldest);
            waiting.bytes -= bytes;
        }
    }

    /// Takes the first touch of `visitor`, if it still waits.
    #[must_use]
    pub fn take(&self, visitor: VisitorId) -> Option<FirstTouch> {
        self.lock().touches.remove(&visitor)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::UnixSeconds;
    use crate::base::origin::Origin;
    use crate::base::random::SystemRandom;
    use crate::domain::own_hosts::OwnHosts;
    use crate::domain::url::PageUrl;

    fn touch(referrer: &str) -> FirstTouch {
        let site = Origin::parse("https://www.brand.example").unwrap();
        let own = OwnHosts::new(std::iter::once(&site));
        FirstTouch::of(&PageUrl::front(&site), Some(referrer), &own, UnixSeconds(1_790_000_000))
    }

    #[test]
    fn a8_first_touches_wait_in_bounded_memory_and_the_oldest_go_first() {
        let (pages, random) = (FirstPages::default(), SystemRandom::new());
        let long = format!("https://news.example/{}", "a".repeat(2_000));
        let visitors: Vec<_> = (0..20_000).map(|_| VisitorId::mint(&random).unwrap()).collect();
        for visitor in &visitors {
            pages.put(*visitor, touch(&long));
        }
        let waiting = pages.lock();
        assert!(waiting.bytes <= BYTES_MAX && waiting.touches.len() == waiting.order.len());
        assert!(waiting.touches.len() > 1_000, "{}", waiting.touches.len());
        drop(waiting);
        assert_eq!(pages.take(visitors[0]), None);
        let newest = visitors[visitors.len() - 1];
        assert!(pages.take(newest).is_some());
        assert_eq!(pages.take(newest), None, "once");
    }
}
