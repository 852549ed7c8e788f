//! Reports on their way to the broker: kept until it has them, in their order (rules L3, C1).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::base::origin::Origin;
use crate::domain::reports::{REPORTS_MAX, Report, Reported};

/// Holds reports until they are delivered. Bounded: when it is full, the oldest gives way, refusals last of all, and is
/// counted.
#[derive(Debug)]
pub struct Outbox {
    capacity: usize,
    waiting: Mutex<VecDeque<Waiting>>,
    lost: AtomicU64,
    changed: Notify,
}

#[derive(Debug)]
struct Waiting {
    site: Origin,
    report: Report,
    delivered: Option<oneshot::Sender<Reported>>,
}

impl Outbox {
    /// Holds `capacity` reports at most.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, waiting: Mutex::default(), lost: AtomicU64::new(0), changed: Notify::new() }
    }

    /// Puts in a report of `site`. One that waits already is not put in again.
    pub fn put(&self, site: &Origin, report: Report) {
        self.push(site, report, None);
    }

    /// Puts in a report, and tells what became of it.
    #[must_use]
    pub fn put_and_tell(&self, site: &Origin, report: Report) -> oneshot::Receiver<Reported> {
        let (delivered, told) = oneshot::channel();
        self.push(site, report, Some(delivered));
        told
    }

    fn push(&self, site: &Origin, report: Report, delivered: Option<oneshot::Sender<Reported>>) {
        let mut waiting = self.lock();
        if delivered.is_none() && waiting.iter().rev().take(REPORTS_MAX).any(|other| other.report == report) {
            return;
        }
        if waiting.len() >= self.capacity {
            let oldest = waiting.iter().position(|waiting| !waiting.report.is_refusal()).unwrap_or_default();
            waiting.remove(oldest);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        waiting.push_back(Waiting { site: site.clone(), report, delivered });
        drop(waiting);
        self.changed.notify_one();
    }

    /// The sites that have something to report, each once.
    #[must_use]
    pub fn sites(&self) -> Vec<Origin> {
        let mut sites: Vec<Origin> = Vec::new();
        for Waiting { site, .. } in &*self.lock() {
            if !sites.contains(site) {
                sites.push(site.clone());
            }
        }
        sites
    }

    /// The oldest reports of one site, refusals first (rule A10). They stay until [`delivered`](Self::delivered).
    #[must_use]
    pub fn first_of(&self, site: &Origin) -> Vec<Report> {
        let waiting = self.lock();
        let of_site = || waiting.iter().filter(|waiting| waiting.site == *site).map(|waiting| &waiting.report);
        let refusals = of_site().filter(|report| report.is_refusal());
        refusals.chain(of_site().filter(|report| !report.is_refusal())).take(REPORTS_MAX).cloned().collect()
    }

    /// The broker has these of one site, and said this of each: they may go.
    pub fn delivered(&self, site: &Origin, reports: &[Report], outcomes: &[Reported]) {
        let mut waiting = self.lock();
        for (report, outcome) in reports.iter().zip(outcomes) {
            // One may have given way meanwhile.
            let place = waiting.iter().position(|waiting| waiting.site == *site && waiting.report == *report);
            if let Some(delivered) = place.and_then(|place| waiting.remove(place)).and_then(|waiting| waiting.delivered) {
                let _ = delivered.send(*outcome);
            }
        }
        if waiting.is_empty() {
            self.changed.notify_one();
        }
    }

    /// Counts reports as lost that were taken out and given up.
    pub fn give_up(&self, count: u64) {
        self.lost.fetch_add(count, Ordering::Relaxed);
    }

    /// Waits until something is put in, or the last is delivered.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many gave way, or were given up.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::UnixSeconds;
    use crate::base::id::VisitorId;
    use crate::base::random::CountingRandom;

    const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

    fn site(name: &str) -> Origin {
        Origin::parse(&format!("https://{name}.example")).unwrap()
    }

    #[test]
    fn l3_reports_stay_until_they_are_delivered_and_in_order() {
        let random = CountingRandom::default();
        let alias = || Report::Alias {
            visitor: VisitorId::mint(&random).unwrap(),
            other: VisitorId::mint(&random).unwrap(),
            at: NOW,
            provisional: true,
        };
        let outbox = Outbox::new(10);
        let (one, two, three) = (alias(), alias(), alias());
        for (name, report) in [("shop", &one), ("shop", &one), ("shop", &two), ("learn", &three)] {
            outbox.put(&site(name), report.clone());
        }
        assert_eq!(outbox.sites(), [site("shop"), site("learn")]);
        assert_eq!(outbox.first_of(&site("shop")), [one.clone(), two.clone()]);
        assert_eq!(outbox.len(), 3, "they are still there");
        outbox.delivered(&site("learn"), std::slice::from_ref(&three), &[Reported::NotSeen]);
        assert_eq!(outbox.sites(), [site("shop")], "one site does not wait for another");
        outbox.delivered(&site("shop"), &[one, two], &[Reported::Recorded; 2]);
        assert!(outbox.is_empty() && outbox.sites().is_empty());
    }

    #[test]
    fn c1_a_refusal_is_the_last_to_give_way() {
        let random = CountingRandom::default();
        let id = || VisitorId::mint(&random).unwrap();
        let outbox = Outbox::new(2);
        let refusal = Report::Refusal { visitor: id(), at: NOW };
        outbox.put(&site("shop"), refusal.clone());
        let mut last = None;
        for _ in 0..3 {
            let alias = Report::Alias { visitor: id(), other: id(), at: NOW, provisional: true };
            outbox.put(&site("shop"), alias.clone());
            last = Some(alias);
        }
        assert_eq!(outbox.first_of(&site("shop")), [refusal, last.unwrap()]);
        assert_eq!(outbox.lost(), 2);
    }
}
