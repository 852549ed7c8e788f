//! The last day, minute by minute: what the totals rose by. Nobody counts twice for it: once a minute the totals are looked
//! at, and what is in the minute under way is their rise since then.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::clock::UnixSeconds;
use crate::http::event::{Step, Work};

use super::histogram::Times;
use super::metrics::{ACCEPTED, Metrics, outcome};

/// From one look at the totals to the next.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How many minutes are kept.
pub const MINUTES: usize = 24 * 60;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// Visitors sent on a hop by this process's sites.
    Sent,
    /// Hops answered with an ID that was there.
    Known,
    /// Hops answered with a new ID.
    Minted,
    /// Hops answered without an ID.
    Refused,
    /// Tokens that counted.
    Accepted,
    /// Tokens that did not.
    Unaccepted,
}

impl Series {
    const COUNT: usize = 6;

    /// Which one an event belongs to.
    fn of(step: Step, code: &'static str) -> Option<Self> {
        match (step, outcome(step, code)) {
            (Step::Start, _) => Some(Self::Sent),
            (Step::Hop, "known") => Some(Self::Known),
            (Step::Hop, "minted") => Some(Self::Minted),
            (Step::Hop, _) => Some(Self::Refused),
            (Step::Arrival, ACCEPTED) => Some(Self::Accepted),
            (Step::Arrival, _) => Some(Self::Unaccepted),
            (Step::Whoami | Step::Link | Step::Page | Step::Forward, _) => None,
        }
    }
}

/// Counts and times of some span.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    counts: [u64; Series::COUNT],
    times: [Times; Work::ALL.len()],
}

impl Totals {
    /// Since the start of the process.
    #[must_use]
    pub fn of(metrics: &Metrics) -> Self {
        let mut counts = [0; Series::COUNT];
        let satellites = metrics.sites().into_iter().map(|(_, counts)| counts);
        for counted in satellites.chain(metrics.asking().into_iter().map(|(_, counts)| counts)) {
            for step in [Step::Start, Step::Hop, Step::Arrival] {
                for (code, count) in counted.of(step) {
                    if let Some(series) = Series::of(step, code) {
                        counts[series as usize] += count;
                    }
                }
            }
        }
        Self { counts, times: Work::ALL.map(|work| metrics.times(work)) }
    }

    /// One count.
    #[must_use]
    pub const fn count(&self, series: Series) -> u64 {
        self.counts[series as usize]
    }

    /// The times of one kind of work.
    #[must_use]
    pub const fn times(&self, work: Work) -> &Times {
        &self.times[work as usize]
    }

    fn since(&self, earlier: &Self) -> Self {
        let mut rise = *self;
        for (count, before) in rise.counts.iter_mut().zip(earlier.counts) {
            *count = count.saturating_sub(before);
        }
        for (times, before) in rise.times.iter_mut().zip(&earlier.times) {
            *times = times.since(before);
        }
        rise
    }
}

/// One minute.
#[derive(Debug, Clone, Copy)]
pub struct Minute {
    /// When it began.
    pub at: UnixSeconds,
    /// What happened in it.
    pub totals: Totals,
}

/// Remembers the last day.
#[derive(Debug)]
pub struct History(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    minutes: VecDeque<Minute>,
    /// The totals at the beginning of the minute under way.
    begun_with: Totals,
    begun: UnixSeconds,
}

impl History {
    /// Begins at `now`.
    #[must_use]
    pub const fn new(now: UnixSeconds) -> Self {
        let zero = Totals { counts: [0; Series::COUNT], times: [Times::NONE; Work::ALL.len()] };
        Self(Mutex::new(Inner { minutes: VecDeque::new(), begun_with: zero, begun: minute(now) }))
    }

    /// Looks at the totals. A minute ends with the first look after it.
    pub fn look(&self, metrics: &Metrics, now: UnixSeconds) {
        let mut inner = self.lock();
        if inner.begun == minute(now) {
            return;
        }
        let totals = Totals::of(metrics);
        let last = Minute { at: inner.begun, totals: totals.since(&inner.begun_with) };
        if inner.minutes.len() >= MINUTES {
            inner.minutes.pop_front();
        }
        inner.minutes.push_back(last);
        (inner.begun_with, inner.begun) = (totals, minute(now));
    }

    /// The minutes of the last day that there is anything of, oldest first, with the one under way.
    #[must_use]
    pub fn minutes(&self, metrics: &Metrics, now: UnixSeconds) -> Vec<Minute> {
        self.look(metrics, now);
        let inner = self.lock();
        let current = Minute { at: inner.begun, totals: Totals::of(metrics).since(&inner.begun_with) };
        let oldest = UnixSeconds(current.at.0.saturating_sub((MINUTES as u64 - 1) * 60));
        // A clock that was set may have left minutes from the future.
        let is_recent = |minute: &&Minute| minute.at >= oldest && minute.at < current.at;
        inner.minutes.iter().filter(is_recent).copied().chain([current]).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn minute(now: UnixSeconds) -> UnixSeconds {
    UnixSeconds(now.0 / 60 * 60)
}

/// Minutes put together into `parts` spans of the same length, which end with the one that holds `now`. Each has its beginning.
#[must_use]
pub fn spans(minutes: &[Minute], now: UnixSeconds, parts: u64) -> Vec<Minute> {
    let length = (MINUTES as u64 * 60) / parts;
    let last = now.0 / length;
    (0..parts)
        .map(|part| {
            let number = (last + part + 1).saturating_sub(parts);
            let within = minutes.iter().filter(|minute| minute.at.0 / length == number);
            let totals = within.fold(Totals::default(), |mut sum, minute| {
                for (count, more) in sum.counts.iter_mut().zip(minute.totals.counts) {
                    *count += more;
                }
                for (times, more) in sum.times.iter_mut().zip(&minute.totals.times) {
                    *times = times.and(more);
                }
                sum
            });
            Minute { at: UnixSeconds(number * length), totals }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::clock::{Clock as _, ManualClock};
    use crate::base::origin::Origin;
    use crate::http::event::{Event, Log, Observer as _, Timing};

    #[test]
    fn minutes_hold_what_happened_in_them_and_a_day_at_most() {
        let clock = Arc::new(ManualClock::at(UnixSeconds(1_790_000_000)));
        let metrics = Metrics::new(Arc::<ManualClock>::clone(&clock), Arc::new(Log));
        let history = History::new(clock.now());
        let site = Origin::parse("https://www.brand.example").unwrap();
        let tell = |code| metrics.saw(&Event { site: &site, asking: Some(&site), step: Step::Hop, code, flow: None });
        tell("hop_minted");
        let took = Duration::from_micros(80);
        metrics.timed(&Timing { work: Work::Hop, site: &site, asking: Some(&site), code: "hop_minted", flow: None, took });
        clock.advance(Duration::from_secs(60));
        history.look(&metrics, clock.now());
        tell("hop_known");
        tell("hop_known");
        let minutes = history.minutes(&metrics, clock.now());
        let counts: Vec<_> =
            minutes.iter().map(|minute| (minute.totals.count(Series::Known), minute.totals.count(Series::Minted))).collect();
        assert_eq!(counts, [(0, 1), (2, 0)]);
        assert_eq!(minutes.iter().map(|minute| minute.totals.times(Work::Hop).count()).collect::<Vec<_>>(), [1, 0]);
        let day = spans(&minutes, clock.now(), 96);
        assert_eq!(day.len(), 96);
        assert_eq!(day.iter().map(|span| span.totals.count(Series::Known)).sum::<u64>(), 2);
        assert!(day.is_sorted_by(|one, next| one.at.0 + 900 == next.at.0));
        assert!(day[95].at <= clock.now() && clock.now().0 < day[95].at.0 + 900);
        for _ in 0..2000 {
            clock.advance(Duration::from_secs(60));
            history.look(&metrics, clock.now());
        }
        assert_eq!(history.minutes(&metrics, clock.now()).len(), MINUTES);
        // A clock that jumps back a day shows nothing wrong, and nothing from the future.
        clock.set(UnixSeconds(1_789_000_000));
        let minutes = history.minutes(&metrics, clock.now());
        assert_eq!((minutes.len(), minutes[0].at), (1, UnixSeconds(1_788_999_960)));
    }
}
