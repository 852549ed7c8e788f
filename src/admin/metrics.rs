//! Counts what happens, as it happens: by site, step and code. It is told on the request's own thread, and does no more there
//! than find a number and add one to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::base::clock::{Clock, UnixSeconds};
use crate::base::origin::Origin;
use crate::http::event::{Event, Observer, Step, Timing, Work};

use super::counts::Counts;
use super::histogram::{Histogram, Times};

/// Counts, and tells another observer as well.
pub struct Metrics {
    clock: Arc<dyn Clock>,
    started: UnixSeconds,
    // Read on every event, and replaced only when a site is heard of for the first time. Sites come from the configuration,
    // so there are never more than it names.
    sites: ArcSwap<HashMap<Origin, Arc<SiteCounts>>>,
    times: [Histogram; Work::ALL.len()],
    store_failures: AtomicU64,
    next: Arc<dyn Observer>,
}

/// What happened on one site.
#[derive(Debug, Default)]
pub struct SiteCounts {
    steps: [Counts; Step::ALL.len()],
    last_exchange: AtomicU64,
}

impl SiteCounts {
    /// How often each code came up in `step`.
    pub fn of(&self, step: Step) -> impl Iterator<Item = (&'static str, u64)> {
        self.steps[step as usize].iter()
    }

    /// When a token last counted here; `None` if none has since the start.
    #[must_use]
    pub fn last_exchange(&self) -> Option<UnixSeconds> {
        Some(UnixSeconds(self.last_exchange.load(Ordering::Relaxed))).filter(|at| at.0 > 0)
    }
}

impl Metrics {
    /// Counts from now on, and tells `next` of all that it is told.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, next: Arc<dyn Observer>) -> Self {
        let started = clock.now();
        Self { clock, started, sites: ArcSwap::default(), times: Default::default(), store_failures: AtomicU64::new(0), next }
    }

    /// When the process began.
    #[must_use]
    pub const fn started(&self) -> UnixSeconds {
        self.started
    }

    /// Each site that anything happened on, in the order of their names.
    #[must_use]
    pub fn sites(&self) -> Vec<(Origin, Arc<SiteCounts>)> {
        let sites = self.sites.load();
        let mut sites: Vec<_> = sites.iter().map(|(site, counts)| (site.clone(), Arc::clone(counts))).collect();
        sites.sort_by(|one, other| one.0.cmp(&other.0));
        sites
    }

    /// One site.
    #[must_use]
    pub fn site(&self, site: &Origin) -> Option<Arc<SiteCounts>> {
        self.sites.load().get(site).cloned()
    }

    /// How long work took so far.
    #[must_use]
    pub fn times(&self, work: Work) -> Times {
        self.times[work as usize].times()
    }

    /// How many commits the store has failed.
    #[must_use]
    pub fn store_failures(&self) -> u64 {
        self.store_failures.load(Ordering::Relaxed)
    }

    fn count(&self, counts: &SiteCounts, event: &Event<'_>) {
        counts.steps[event.step as usize].count(event.code);
        if outcome(event.step, event.code) == ACCEPTED {
            counts.last_exchange.store(self.clock.now().0, Ordering::Relaxed);
        }
    }
}

impl Observer for Metrics {
    fn saw(&self, event: &Event<'_>) {
        if let Some(counts) = self.sites.load().get(event.site) {
            self.count(counts, event);
        } else {
            self.sites.rcu(|sites| {
                let mut sites = HashMap::clone(sites);
                sites.entry(event.site.clone()).or_default();
                sites
            });
            if let Some(counts) = self.sites.load().get(event.site) {
                self.count(counts, event);
            }
        }
        self.next.saw(event);
    }

    fn timed(&self, timing: &Timing<'_>) {
        self.times[timing.work as usize].record(timing.took);
        if timing.work == Work::Commit && timing.code == FAILED {
            self.store_failures.fetch_add(1, Ordering::Relaxed);
        }
        self.next.timed(timing);
    }
}

/// The code of a commit that the store did not take.
pub const FAILED: &str = "failed";

/// A token that counted.
pub const ACCEPTED: &str = "accepted";

/// How an event ended, in a word or two for each step: its code says exactly why.
#[must_use]
pub fn outcome(step: Step, code: &'static str) -> &'static str {
    match (step, code) {
        (Step::Start, _) => "sent",
        (Step::Hop, "hop_known") | (Step::Whoami, "whoami_known") => "known",
        (Step::Hop, "hop_minted") => "minted",
        (Step::Whoami, "whoami_unknown") => "unknown",
        (Step::Arrival, "bounce" | "link" | "alias") => ACCEPTED,
        (Step::Link, "decorated") => "decorated",
        (Step::Hop | Step::Whoami | Step::Arrival | Step::Forward, _) | (Step::Link, "not_a_sibling") => "refused",
        (Step::Link, _) => "plain",
        (Step::Page, _) => "served",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::ManualClock;
    use crate::http::event::Log;

    #[test]
    fn events_are_counted_by_site_step_and_code() {
        let clock = Arc::new(ManualClock::at(UnixSeconds(1_790_000_000)));
        let metrics = Metrics::new(clock, Arc::new(Log));
        let [shop, learn] = ["https://shop.example", "https://learn.example"].map(|site| Origin::parse(site).unwrap());
        let tell = |site, step, code| metrics.saw(&Event { site, step, code, flow: None });
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| tell(&shop, Step::Arrival, "bounce")));
                scope.spawn(|| (0..1000).for_each(|_| tell(&learn, Step::Arrival, "expired")));
            }
        });
        tell(&shop, Step::Page, "bounce");
        let sites = metrics.sites();
        assert_eq!(sites.iter().map(|(site, _)| site).collect::<Vec<_>>(), [&learn, &shop]);
        assert_eq!(sites[1].1.of(Step::Arrival).collect::<Vec<_>>(), [("bounce", 4000)]);
        assert_eq!(sites[1].1.of(Step::Page).collect::<Vec<_>>(), [("bounce", 1)]);
        assert_eq!(sites[1].1.last_exchange(), Some(UnixSeconds(1_790_000_000)));
        assert_eq!((sites[0].1.of(Step::Arrival).next(), sites[0].1.last_exchange()), (Some(("expired", 4000)), None));
    }
}
