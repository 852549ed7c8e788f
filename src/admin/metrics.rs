//! Counts what happens, as it happens: by site, step and code. It is told on the request's own thread, and does no more there
//! than find a number and add one to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::base::clock::{Clock, UnixSeconds};
use crate::base::origin::Origin;
use crate::http::event::{Event, Observer, Step, Timing, UNKNOWN_SITE, Work};

use super::counts::Counts;
use super::histogram::{Histogram, Times};

/// Counts, and tells another observer as well.
pub struct Metrics {
    clock: Arc<dyn Clock>,
    started: UnixSeconds,
    sites: BySite,
    asking: BySite,
    asking_unknown: Arc<SiteCounts>,
    times: [Histogram; Work::ALL.len()],
    store_failures: AtomicU64,
    next: Arc<dyn Observer>,
}

/// What happened on one site, or what one site asked the broker for.
#[derive(Debug, Default)]
pub struct SiteCounts {
    steps: [Counts; Step::ALL.len()],
    api: Counts,
    last_exchange: AtomicU64,
}

impl SiteCounts {
    /// How often each code came up in `step`.
    pub fn of(&self, step: Step) -> impl Iterator<Item = (&'static str, u64)> {
        self.steps[step as usize].iter()
    }

    /// How often each code came up in answers of the API.
    pub fn of_api(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.api.iter()
    }

    /// When a token last counted here; `None` if none has since the start.
    #[must_use]
    pub fn last_exchange(&self) -> Option<UnixSeconds> {
        Some(UnixSeconds(self.last_exchange.load(Ordering::Relaxed))).filter(|at| at.0 > 0)
    }
}

/// Counts for each site. They are read on every event, and replaced only by the first event of a site. Sites come from the
/// configuration, so there are never more than it names. A site that a reload takes out keeps its counts until the process ends.
#[derive(Debug, Default)]
struct BySite(ArcSwap<HashMap<Origin, Arc<SiteCounts>>>);

impl BySite {
    fn with(&self, site: &Origin, count: impl Fn(&SiteCounts)) {
        if let Some(counts) = self.0.load().get(site) {
            return count(counts);
        }
        self.0.rcu(|sites| {
            let mut sites = HashMap::clone(sites);
            sites.entry(site.clone()).or_default();
            sites
        });
        if let Some(counts) = self.0.load().get(site) {
            count(counts);
        }
    }

    /// In the order of the sites' names.
    fn all(&self) -> Vec<(Origin, Arc<SiteCounts>)> {
        let sites = self.0.load();
        let mut sites: Vec<_> = sites.iter().map(|(site, counts)| (site.clone(), Arc::clone(counts))).collect();
        sites.sort_by(|one, other| one.0.cmp(&other.0));
        sites
    }
}

impl Metrics {
    /// Counts from now on, and tells `next` of all that it is told.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, next: Arc<dyn Observer>) -> Self {
        Self {
            started: clock.now(),
            clock,
            sites: BySite::default(),
            asking: BySite::default(),
            asking_unknown: Arc::default(),
            times: Default::default(),
            store_failures: AtomicU64::new(0),
            next,
        }
    }

    /// When the process began.
    #[must_use]
    pub const fn started(&self) -> UnixSeconds {
        self.started
    }

    /// Each site that anything happened on, in the order of their names. What the broker answered is in [`Self::asking`].
    #[must_use]
    pub fn sites(&self) -> Vec<(Origin, Arc<SiteCounts>)> {
        self.sites.all()
    }

    /// What the broker answered, by the site that asked: the sites in the order of their names, then [`UNKNOWN_SITE`] (rule B11).
    #[must_use]
    pub fn asking(&self) -> Vec<(String, Arc<SiteCounts>)> {
        let known = self.asking.all().into_iter().map(|(site, counts)| (site.to_string(), counts));
        known.chain([(UNKNOWN_SITE.to_owned(), Arc::clone(&self.asking_unknown))]).collect()
    }

    /// One site.
    #[must_use]
    pub fn site(&self, site: &Origin) -> Option<Arc<SiteCounts>> {
        self.sites.0.load().get(site).cloned()
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

    fn with_asking(&self, asking: Option<&Origin>, count: impl Fn(&SiteCounts)) {
        match asking {
            Some(site) => self.asking.with(site, count),
            None => count(&self.asking_unknown),
        }
    }
}

impl Observer for Metrics {
    fn saw(&self, event: &Event<'_>) {
        let count = |counts: &SiteCounts| {
            counts.steps[event.step as usize].count(event.code);
            if outcome(event.step, event.code) == ACCEPTED {
                counts.last_exchange.store(self.clock.now().0, Ordering::Relaxed);
            }
        };
        if event.step.is_of_the_broker() {
            self.with_asking(event.asking, count);
        } else {
            self.sites.with(event.site, count);
        }
        self.next.saw(event);
    }

    fn timed(&self, timing: &Timing<'_>) {
        self.times[timing.work as usize].record(timing.took);
        if timing.work == Work::Commit && timing.code == FAILED {
            self.store_failures.fetch_add(1, Ordering::Relaxed);
        }
        if timing.work == Work::Api {
            self.with_asking(timing.asking, |counts| counts.api.count(timing.code));
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
    use std::time::Duration;

    use super::*;
    use crate::base::clock::ManualClock;
    use crate::http::event::Log;

    #[test]
    fn events_are_counted_by_site_step_and_code() {
        let clock = Arc::new(ManualClock::at(UnixSeconds(1_790_000_000)));
        let metrics = Metrics::new(clock, Arc::new(Log));
        let [shop, learn] = ["https://shop.example", "https://learn.example"].map(|site| Origin::parse(site).unwrap());
        let tell = |site, step, code| metrics.saw(&Event { site, asking: None, step, code, flow: None });
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

    #[test]
    fn b11_what_the_broker_answers_is_counted_by_the_site_that_asked() {
        let metrics = Metrics::new(Arc::new(ManualClock::at(UnixSeconds(1_790_000_000))), Arc::new(Log));
        let [brand, shop] = ["https://www.brand.example", "https://shop.example"].map(|site| Origin::parse(site).unwrap());
        for (asking, step, code) in [
            (Some(&shop), Step::Hop, "hop_bad_signature"),
            (Some(&shop), Step::Whoami, "whoami_known"),
            (None, Step::Hop, "unknown_site"),
        ] {
            metrics.saw(&Event { site: &brand, asking, step, code, flow: None });
        }
        let took = Duration::from_millis(1);
        for (asking, code) in [(Some(&shop), "answered"), (None, "refused")] {
            metrics.timed(&Timing { work: Work::Api, site: &brand, asking, code, flow: None, took });
        }
        let asking = metrics.asking();
        assert_eq!(asking.iter().map(|(site, _)| site.as_str()).collect::<Vec<_>>(), ["https://shop.example", "unknown"]);
        let of = |index: usize, step| asking[index].1.of(step).collect::<Vec<_>>();
        assert_eq!((of(0, Step::Hop), of(0, Step::Whoami)), (vec![("hop_bad_signature", 1)], vec![("whoami_known", 1)]));
        assert_eq!((of(1, Step::Hop), of(1, Step::Whoami)), (vec![("unknown_site", 1)], vec![]));
        let api = |index: usize| asking[index].1.of_api().collect::<Vec<_>>();
        assert_eq!((api(0), api(1)), (vec![("answered", 1)], vec![("refused", 1)]));
        assert!(metrics.sites().is_empty(), "the primary itself did nothing");
    }
}
