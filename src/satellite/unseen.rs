//! Link reports that the broker answered with `not_seen`: it has not seen the link's own site in the visitor's record (rule
//! L10).
//!
//! The record may still be on its way to the broker, in a queue or through another node. So the satellite sends such a report
//! again, after growing pauses, for [`WAIT_MAX`]. Then it gives the report up.

use std::time::Duration;

use tokio::time::Instant;

use crate::base::origin::Origin;
use crate::domain::reports::{REPORTS_MAX, Report};

/// How long a report is sent again. A broker that restarts, or a store that is down for some minutes, takes less.
const WAIT_MAX: Duration = Duration::from_secs(10 * 60);

/// The pause after the first answer; each further one is twice as long, up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How many reports wait at most: about 5 MB. A site with a flood of links that the broker will never confirm must not push
/// other reports out of the outbox, so these wait in a place of their own.
const WAITING_MAX: usize = 4096;

/// The reports that wait for the broker to see their visitors.
#[derive(Default)]
pub(super) struct Unseen(Vec<Waiting>);

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
        Self { site: site.clone(), report, pause: PAUSE_FIRST, due: now + PAUSE_FIRST, until: now + WAIT_MAX }
    }

    pub(super) const fn report(&self) -> &Report {
        &self.report
    }

    /// Puts it off by twice the last pause; `None` when it has waited long enough.
    pub(super) fn put_off(self, now: Instant) -> Option<Self> {
        let pause = (self.pause * 2).min(PAUSE_MAX);
        (now < self.until).then_some(Self { pause, due: now + pause, ..self })
    }
}

impl Unseen {
    /// Keeps a report. Returns whether there was room.
    #[must_use]
    pub(super) fn keep(&mut self, waiting: Waiting) -> bool {
        let has_room = self.0.len() < WAITING_MAX;
        if has_room {
            self.0.push(waiting);
        }
        has_room
    }

    /// Takes out the reports of one site that are to be sent again now, as many as one request takes.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Origin, Vec<Waiting>)> {
        let site = self.0.iter().find(|waiting| waiting.due <= now)?.site.clone();
        let mut room = REPORTS_MAX;
        let due = self.0.extract_if(.., |waiting| {
            let is_taken = room > 0 && waiting.due <= now && waiting.site == site;
            room -= usize::from(is_taken);
            is_taken
        });
        let due = due.collect();
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
    use crate::domain::consent::Basis;

    fn site(name: &str) -> Origin {
        Origin::parse(&format!("https://{name}.example")).unwrap()
    }

    fn link(token: &str) -> Report {
        let (from, token) = ("https://brand.example".to_owned(), token.to_owned());
        Report::Link { from, token, at: UnixSeconds(1_790_000_000), basis: Basis::Implied, held: None }
    }

    #[test]
    fn l10_a_link_that_the_broker_does_not_know_yet_is_sent_again_for_ten_minutes() {
        let (mut unseen, start) = (Unseen::default(), Instant::now());
        assert!(unseen.keep(Waiting::new(&site("shop"), link("x"), start)));
        assert!(unseen.take_due(start).is_none());
        let (mut sent, mut now) = (Vec::new(), start);
        while let Some(due) = unseen.next_due() {
            now = due;
            let (of, mut batch) = unseen.take_due(now).unwrap();
            sent.push(now.duration_since(start).as_millis());
            let waiting = batch.pop().unwrap();
            assert!(of == site("shop") && *waiting.report() == link("x") && batch.is_empty());
            if let Some(waiting) = waiting.put_off(now) {
                assert!(unseen.keep(waiting));
            }
        }
        assert_eq!(sent[..5], [250, 750, 1750, 3750, 7750]);
        let waited = now.duration_since(start);
        assert!(waited >= WAIT_MAX && waited <= WAIT_MAX + PAUSE_MAX && sent.len() < 40, "{waited:?}, {} times", sent.len());
    }

    #[test]
    fn l10_unconfirmed_links_take_bounded_memory_and_go_out_by_site() {
        let (mut unseen, now) = (Unseen::default(), Instant::now());
        let kept = (0..WAITING_MAX + 5).filter(|n| {
            let name = if n % 2 == 0 { "shop" } else { "learn" };
            unseen.keep(Waiting::new(&site(name), link(&n.to_string()), now))
        });
        assert_eq!(kept.count(), WAITING_MAX);
        let later = now + PAUSE_FIRST;
        let mut taken = 0;
        while let Some((of, batch)) = unseen.take_due(later) {
            assert!(batch.len() <= REPORTS_MAX && batch.iter().all(|waiting| waiting.site == of));
            taken += batch.len();
        }
        assert_eq!((taken, unseen.next_due()), (WAITING_MAX, None));
    }
}
