//! How long things take, counted in buckets: a few atomics, and no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets. A hop takes tens of microseconds where nothing is written, some milliseconds where the
/// store is waited for; what takes a second is a fault.
pub const BOUNDS: [Duration; 16] = [
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

const BUCKETS: usize = BOUNDS.len() + 1;

/// Counts times.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Histogram {
    /// Counts one.
    pub fn record(&self, took: Duration) {
        let bucket = BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn times(&self) -> Times {
        let buckets = self.buckets.each_ref().map(|count| count.load(Ordering::Relaxed));
        Times { buckets, nanos: self.nanos.load(Ordering::Relaxed) }
    }
}

/// What a histogram counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    buckets: [u64; BUCKETS],
    nanos: u64,
}

impl Times {
    /// None at all.
    pub const NONE: Self = Self { buckets: [0; BUCKETS], nanos: 0 };

    /// These and others.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        let mut buckets = self.buckets;
        for (count, more) in buckets.iter_mut().zip(others.buckets) {
            *count += more;
        }
        Self { buckets, nanos: self.nanos.saturating_add(others.nanos) }
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// Each bound, and how many took no longer than that.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut below = 0;
        BOUNDS.into_iter().zip(self.buckets).map(move |(bound, count)| {
            below += count;
            (bound, below)
        })
    }

    /// What came since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut buckets = self.buckets;
        for (count, before) in buckets.iter_mut().zip(earlier.buckets) {
            *count = count.saturating_sub(before);
        }
        Self { buckets, nanos: self.nanos.saturating_sub(earlier.nanos) }
    }

    /// The time that the share `quantile` of all stayed within, as far as the buckets tell: within one, times are taken to be
    /// spread evenly. What is beyond the last bound counts as that. `None` where nothing was counted.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let rank = quantile * self.count() as f64;
        let mut below = 0;
        let mut lower = Duration::ZERO;
        for (bound, count) in BOUNDS.into_iter().zip(self.buckets) {
            if count > 0 && (below + count) as f64 >= rank {
                let share = (rank - below as f64).max(0.0) / count as f64;
                return Some(lower + (bound - lower).mul_f64(share));
            }
            below += count;
            lower = bound;
        }
        (self.count() > 0).then_some(lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_in_the_first_bucket_that_holds_them() {
        let histogram = Histogram::default();
        for micros in [0, 25, 26, 1000, 1001, 6_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let times = histogram.times();
        let at = |bound| times.cumulative().find(|(found, _)| *found == bound).map(|(_, count)| count);
        assert_eq!(at(Duration::from_micros(25)), Some(2));
        assert_eq!(at(Duration::from_micros(50)), Some(3));
        assert_eq!(at(Duration::from_millis(1)), Some(4));
        assert_eq!(at(Duration::from_micros(2500)), Some(5));
        assert_eq!(at(Duration::from_secs(5)), Some(5), "the last is beyond every bound");
        assert_eq!((times.count(), times.sum()), (6, Duration::from_micros(6_002_052)));
    }

    #[test]
    fn quantiles_lie_in_the_bucket_that_holds_them() {
        let histogram = Histogram::default();
        assert_eq!(histogram.times().quantile(0.5), None);
        for _ in 0..100 {
            histogram.record(Duration::from_micros(80));
        }
        let before = histogram.times();
        assert_eq!(before.quantile(0.5), Some(Duration::from_micros(75)), "half-way between 50 and 100");
        histogram.record(Duration::from_secs(60));
        let last = histogram.times().since(&before);
        assert_eq!((last.count(), last.quantile(0.99)), (1, Some(Duration::from_secs(5))));
        assert!(histogram.times().quantile(0.99).unwrap() <= Duration::from_micros(100));
    }
}
