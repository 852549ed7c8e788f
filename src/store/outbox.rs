//! Reports on their way to the broker: kept until it has them, in their order (rules L3, C1).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::base::id::VisitorId;
use crate::base::origin::Origin;
use crate::domain::reports::{REPORTS_MAX, Report, Reported};

use super::refusal_file::RefusalFile;

/// Holds reports until they are delivered. Bounded: when it is full, the oldest gives way, refusals last of all, and is
/// counted.
#[derive(Debug)]
pub struct Outbox {
    capacity: usize,
    waiting: Mutex<VecDeque<Waiting>>,
    lost: AtomicU64,
    changed: Notify,
    file: Option<RefusalFile>,
}

#[derive(Debug)]
struct Waiting {
    site: Origin,
    report: Report,
    delivered: Option<oneshot::Sender<Reported>>,
}

impl Outbox {
    /// Holds `capacity` reports at most, and refusals in `file` as well; those that an earlier process left there wait again.
    #[must_use]
    pub fn new(capacity: usize, file: Option<RefusalFile>) -> Self {
        let left = file.as_ref().map_or_else(|| Ok(Vec::new()), RefusalFile::read).unwrap_or_else(|error| {
            tracing::error!(%error, "the file of refusals cannot be read: what an earlier process left there is not delivered");
            Vec::new()
        });
        let waiting = left.into_iter().map(|(site, report)| Waiting { site, report, delivered: None }).collect();
        Self { capacity, waiting: Mutex::new(waiting), lost: AtomicU64::new(0), changed: Notify::new(), file }
    }

    /// The IDs that were refused and that the broker has not heard of.
    #[must_use]
    pub fn refused(&self) -> Vec<VisitorId> {
        let refused = |waiting: &Waiting| if let Report::Refusal { visitor, .. } = waiting.report { Some(visitor) } else { None };
        self.lock().iter().filter_map(refused).collect()
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
            let refusal = |waiting: &Waiting| matches!(waiting.report, Report::Refusal { .. });
            let oldest = waiting.iter().position(|waiting| !refusal(waiting)).unwrap_or_default();
            waiting.remove(oldest);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        if let (Some(file), Report::Refusal { .. }) = (&self.file, &report)
            && let Err(error) = file.add(site, &report)
        {
            tracing::error!(%error, "a refusal cannot be kept on disk: it is lost if this process ends before the broker has it");
        }
        waiting.push_back(Waiting { site: site.clone(), report, delivered });
        drop(waiting);
        self.changed.notify_one();
    }

    /// The oldest reports, all of one site. They stay until [`delivered`](Self::delivered).
    #[must_use]
    pub fn first(&self) -> Option<(Origin, Vec<Report>)> {
        let waiting = self.lock();
        let site = waiting.front()?.site.clone();
        let reports = waiting.iter().take_while(|waiting| waiting.site == site).take(REPORTS_MAX);
        let reports = reports.map(|waiting| waiting.report.clone()).collect();
        Some((site, reports))
    }

    /// The broker has these, the oldest, and said this of each: they may go.
    pub fn delivered(&self, reports: &[Report], outcomes: &[Reported]) {
        let mut waiting = self.lock();
        if let (Some(file), true) = (&self.file, reports.iter().any(|report| matches!(report, Report::Refusal { .. })))
            && let Err(error) = file.remove(reports)
        {
            tracing::warn!(%error, "refusals that were delivered stay on disk, and are delivered again after a restart");
        }
        for (report, outcome) in reports.iter().zip(outcomes) {
            // One may have given way meanwhile.
            if waiting.front().is_some_and(|first| first.report == *report)
                && let Some(delivered) = waiting.pop_front().and_then(|first| first.delivered)
            {
                let _ = delivered.send(*outcome);
            }
        }
        if waiting.is_empty() {
            self.changed.notify_one();
        }
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

    /// How many gave way.
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
    use crate::base::random::CountingRandom;

    const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

    fn site(name: &str) -> Origin {
        Origin::parse(&format!("https://{name}.example")).unwrap()
    }

    #[test]
    fn l3_reports_stay_until_they_are_delivered_and_in_order() {
        let random = CountingRandom::default();
        let alias =
            || Report::Alias { visitor: VisitorId::mint(&random).unwrap(), other: VisitorId::mint(&random).unwrap(), at: NOW };
        let outbox = Outbox::new(10, None);
        let (one, two, three) = (alias(), alias(), alias());
        for (name, report) in [("shop", &one), ("shop", &one), ("shop", &two), ("learn", &three)] {
            outbox.put(&site(name), report.clone());
        }
        assert_eq!(outbox.first(), Some((site("shop"), vec![one.clone(), two.clone()])));
        assert_eq!(outbox.len(), 3, "they are still there");
        outbox.delivered(&[one, two], &[Reported::Recorded; 2]);
        assert_eq!(outbox.first(), Some((site("learn"), vec![three.clone()])));
        outbox.delivered(&[three], &[Reported::NotSeen]);
        assert!(outbox.is_empty() && outbox.first().is_none());
    }

    #[test]
    fn c1_a_refusal_is_the_last_to_give_way() {
        let random = CountingRandom::default();
        let id = || VisitorId::mint(&random).unwrap();
        let outbox = Outbox::new(2, None);
        let refusal = Report::Refusal { visitor: id(), at: NOW };
        outbox.put(&site("shop"), refusal.clone());
        let mut last = None;
        for _ in 0..3 {
            let alias = Report::Alias { visitor: id(), other: id(), at: NOW };
            outbox.put(&site("shop"), alias.clone());
            last = Some(alias);
        }
        assert_eq!(outbox.first(), Some((site("shop"), vec![refusal, last.unwrap()])));
        assert_eq!(outbox.lost(), 2);
    }
}
