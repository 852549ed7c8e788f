//! Remembers the last steps of hops, so that the demo's pages can show them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::base::clock::{Clock as _, SystemClock};
use crate::http::event::{Event, Log, Observer, Step};

/// Steps that are further apart belong to different ways to a page.
const ONE_WAY: Duration = Duration::from_secs(2);
const KEPT: usize = 64;

/// One step on the way to a page.
#[derive(Debug, Clone)]
pub(super) struct Footprint {
    /// Since the first step of this way, in milliseconds.
    pub(super) after: String,
    /// On which host.
    pub(super) host: String,
    /// What happened there.
    pub(super) what: &'static str,
    /// How it went.
    pub(super) code: &'static str,
}

/// The last steps that anybody took. The demo has one visitor.
pub(super) struct Trail {
    clock: SystemClock,
    steps: Mutex<VecDeque<(Duration, Footprint)>>,
}

impl Trail {
    pub(super) fn new() -> Self {
        Self { clock: SystemClock::new(), steps: Mutex::new(VecDeque::new()) }
    }

    /// The steps of the way that ends now.
    pub(super) fn way(&self) -> Vec<Footprint> {
        let now = self.clock.uptime();
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let recent: Vec<_> = steps.iter().filter(|(at, _)| now.saturating_sub(*at) < ONE_WAY).cloned().collect();
        // A new way begins with a start or with a link that is followed.
        let first =
            recent.iter().rposition(|(_, step)| step.what == what(Step::Start) || step.what == what(Step::Link)).unwrap_or(0);
        let begun = recent.get(first).map_or(now, |(at, _)| *at);
        let way = recent.into_iter().skip(first);
        way.map(|(at, step)| Footprint { after: format!("{:.1}", (at.saturating_sub(begun)).as_secs_f64() * 1000.0), ..step })
            .collect()
    }
}

const fn what(step: Step) -> &'static str {
    match step {
        Step::Start => "no ID yet: 302 to the broker",
        Step::Hop => "the broker reads the master cookie: 302 back, with a token",
        Step::Whoami => "the broker answers a script",
        Step::Arrival => "the token is verified and used up: 303 to the clean URL",
        Step::Link => "a link is followed: 302 with a token",
        Step::Page => "the page",
        Step::Forward => "a proxy asks about a page, and is told of no visitor",
    }
}

impl Observer for Trail {
    fn saw(&self, event: &Event<'_>) {
        Log.saw(event);
        if event.step == Step::Page {
            return;
        }
        let footprint =
            Footprint { after: String::new(), host: event.site.host().to_owned(), what: what(event.step), code: event.code };
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        if steps.len() >= KEPT {
            steps.pop_front();
        }
        steps.push_back((self.clock.uptime(), footprint));
    }
}
