//! Reports that the broker could not judge or write when it was asked (rules L10, A10, A13).
//!
//! `not_seen`: the broker has not seen the visitor, or not on that site. The write of the hop may still wait, in the queue of
//! another broker node. `failed`: the write of this report failed by itself. The satellite sends such a report again, after
//! growing pauses, for as long as the broker takes reports of that age. Then it gives the report up. A refusal is never given up.

use std::time::Duration;

use tokio::time::Instant;

use crate::base::origin::Origin;
use crate::domain::reports::{REPORT_AGE_MAX, REPORTS_MAX, Report, Reported};

/// The pause after the first answer; each further one is twice as long, up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How many reports wait at most: about 5 MB. A site with a flood of links that the broker will never confirm must not push
/// other reports out of the outbox, so these wait in a place of their own.
const WAITING_MAX: usize = 4096;

/// Whether a report with this outcome is to be sent again.
#[must_use]
pub(super) const fn is_for_later(report: &Report, outcome: Reported) -> bool {
    match outcome {
        Reported::Failed => true,
        Reported::NotSeen => !report.is_refusal(),
        _ => false,
    }
}

/// The reports that are sent again.
#[derive(Default)]
pub(super) struct Retries(Vec<Waiting>);

/// One of them.
pub(super) struct Waiting {
    site: Origin,
    report: Report,
    pause: Duration,
    due: Instant,
    until: Instant,
}

impl Waiting {
    pub(super) fn new(site: &Origin, report: Report, now: Instant) -> Self {
        Self { site: site.clone(), report, pause: PAUSE_FIRST, due: now + PAUSE_FIRST, until: now + REPORT_AGE_MAX }
    }

    pub(super) const fn report(&self) -> &Report {
        &self.report
    }

    /// Puts it off by twice the last pause; `None` when it has waited long enough.
    pub(super) fn put_off(self, now: Instant) -> Option<Self> {
        let pause = (self.pause * 2).min(PAUSE_MAX);
        (now < self.until || self.report.is_refusal()).then_some(Self { pause, due: now + pause, ..self })
    }
}

impl Retries {
    /// Keeps a report. Where there is no room, the oldest gives way, a refusal last of all. Returns whether one did.
    #[must_use]
    pub(super) fn keep(&mut self, waiting: Waiting) -> bool {
        let is_full = self.0.len() >= WAITING_MAX;
        if is_full {
            let reports = self.0.iter().enumerate().filter(|(_, waiting)| !waiting.report.is_refusal());
            let oldest = reports.min_by_key(|(_, waiting)| waiting.until).map_or(0, |(place, _)| place);
            self.0.swap_remove(oldest);
        }
        self.0.push(waiting);
        is_full
    }

    /// Takes out the reports of one site that are to be sent again now, as many as one request takes; refusals first.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Origin, Vec<Waiting>)> {
        let is_due = |waiting: &Waiting| waiting.due <= now;
        let refusal = self.0.iter().find(|waiting| is_due(waiting) && waiting.report.is_refusal());
        let site = refusal.or_else(|| self.0.iter().find(|waiting| is_due(waiting)))?.site.clone();
        let mut due = Vec::new();
        for refusals in [true, false] {
            let mut room = REPORTS_MAX - due.len();
            due.extend(self.0.extract_if(.., |waiting| {
                let is_taken = room > 0 && waiting.due <= now && waiting.site == site && waiting.report.is_refusal() == refusals;
                room -= usize::from(is_taken);
                is_taken
            }));
        }
        Some((site, due))
    }

    /// When the next one is to be sent again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.iter().map(|waiting| waiting.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::UnixSeconds;
    use crate::base::id::VisitorId;
    use crate::base::random::CountingRandom;
    use crate::domain::consent::Basis;

    fn site(name: &str) -> Origin {
        Origin::parse(&format!("https://{name}.example")).unwrap()
    }

    fn link(token: &str) -> Report {
        let (from, token) = ("https://brand.example".to_owned(), token.to_owned());
        Report::Link { from, token, at: UnixSeconds(1_790_000_000), basis: Basis::Implied, held: None }
    }

    #[test]
    fn l10_a13_a_report_that_the_broker_cannot_judge_yet_is_sent_again_for_as_long_as_it_may_come() {
        let (mut retries, start) = (Retries::default(), Instant::now());
        assert!(!retries.keep(Waiting::new(&site("shop"), link("x"), start)));
        assert!(retries.take_due(start).is_none());
        let (mut sent, mut now) = (Vec::new(), start);
        while let Some(due) = retries.next_due() {
            now = due;
            let (of, mut batch) = retries.take_due(now).unwrap();
            sent.push(now.duration_since(start).as_millis());
            let waiting = batch.pop().unwrap();
            assert!(of == site("shop") && *waiting.report() == link("x") && batch.is_empty());
            if let Some(waiting) = waiting.put_off(now) {
                assert!(!retries.keep(waiting));
            }
        }
        assert_eq!(sent[..5], [250, 750, 1750, 3750, 7750]);
        let waited = now.duration_since(start);
        let bounds = REPORT_AGE_MAX..=REPORT_AGE_MAX + PAUSE_MAX;
        assert!(bounds.contains(&waited) && sent.len() < 1500, "{waited:?}, {} times", sent.len());
    }

    #[test]
    fn l10_a13_reports_that_are_sent_again_take_bounded_memory_and_go_out_by_site() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        let evicted = (0..WAITING_MAX + 5).filter(|n| {
            let name = if n % 2 == 0 { "shop" } else { "learn" };
            retries.keep(Waiting::new(&site(name), link(&n.to_string()), now))
        });
        assert_eq!(evicted.count(), 5);
        let later = now + PAUSE_FIRST;
        let mut taken = 0;
        while let Some((of, batch)) = retries.take_due(later) {
            assert!(batch.len() <= REPORTS_MAX && batch.iter().all(|waiting| waiting.site == of));
            taken += batch.len();
        }
        assert_eq!((taken, retries.next_due()), (WAITING_MAX, None));
    }

    #[test]
    fn a10_a_refusal_goes_first_and_is_never_given_up() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        let visitor = VisitorId::mint(&CountingRandom::default()).unwrap();
        let refusal = Report::Refusal { visitor, at: UnixSeconds(1_790_000_000) };
        let _ = retries.keep(Waiting::new(&site("shop"), link("first"), now));
        let _ = retries.keep(Waiting::new(&site("learn"), refusal.clone(), now));
        for n in 0..2 * WAITING_MAX {
            let _ = retries.keep(Waiting::new(&site("shop"), link(&n.to_string()), now + Duration::from_secs(1)));
        }
        let (of, mut due) = retries.take_due(now + PAUSE_FIRST).unwrap();
        let waiting = due.remove(0);
        assert!(of == site("learn") && *waiting.report() == refusal && due.is_empty());
        assert!(waiting.put_off(now + 100 * REPORT_AGE_MAX).is_some());
        assert!(is_for_later(&refusal, Reported::Failed) && !is_for_later(&refusal, Reported::NotSeen));
    }
}
