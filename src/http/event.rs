//! What happens, told once: to the log, to the demo's picture of the hop, to whoever else wants to know.

use std::time::Duration;

use crate::base::origin::Origin;
use crate::token::claims::Flow;

/// Which step of a visitor's way this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The satellite sent the visitor on a hop.
    Start,
    /// The broker answered a hop request.
    Hop,
    /// The broker answered a `whoami`.
    Whoami,
    /// The satellite took a token, or refused it.
    Arrival,
    /// A link to another site was followed through `go`.
    Link,
    /// A page was served without a hop.
    Page,
    /// A proxy asked about a page, in a way that gives no visitor.
    Forward,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Start, Self::Hop, Self::Whoami, Self::Arrival, Self::Link, Self::Page, Self::Forward];

    /// A stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Hop => "hop",
            Self::Whoami => "whoami",
            Self::Arrival => "arrival",
            Self::Link => "link",
            Self::Page => "page",
            Self::Forward => "forward",
        }
    }

    /// Whether the broker takes it, asked by a site.
    #[must_use]
    pub const fn is_of_the_broker(self) -> bool {
        matches!(self, Self::Hop | Self::Whoami)
    }
}

/// What stands in the place of the asking site where no registered site asked the broker (rule B11).
pub const UNKNOWN_SITE: &str = "unknown";

/// One thing that happened. It holds no visitor ID, no token and nothing that a client wrote (rules R8, A7).
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// On which site; on the primary, where none can be named.
    pub site: &'a Origin,
    /// The registered site that asked the broker (rule B11). `None` for any other client, and in the steps of a satellite.
    pub asking: Option<&'a Origin>,
    /// Which step.
    pub step: Step,
    /// How it went, or why not: a stable code.
    pub code: &'static str,
    /// Which hop it belongs to, where that is known.
    pub flow: Option<Flow>,
}

impl<'a> Event<'a> {
    /// The asking site as a word for logs and metrics. `None` in the steps of a satellite.
    #[must_use]
    pub fn asking_label(&self) -> Option<&'a str> {
        self.step.is_of_the_broker().then(|| self.asking.map_or(UNKNOWN_SITE, Origin::as_str))
    }
}

/// Work whose time is worth knowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The broker answered a hop, with the wait for its write.
    Hop,
    /// The satellite took a token or refused it, with the wait for the replay memory.
    Exchange,
    /// The broker answered its API.
    Api,
    /// The store committed a batch, or failed to.
    Commit,
}

impl Work {
    /// All of it.
    pub const ALL: [Self; 4] = [Self::Hop, Self::Exchange, Self::Api, Self::Commit];

    /// A stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hop => "hop",
            Self::Exchange => "exchange",
            Self::Api => "api",
            Self::Commit => "commit",
        }
    }
}

/// Work that was done. Like an event, it names no visitor.
#[derive(Debug, Clone, Copy)]
pub struct Timing<'a> {
    /// What.
    pub work: Work,
    /// For which site; the primary's, where it is for all.
    pub site: &'a Origin,
    /// The registered site that asked the broker, as in [`Event::asking`].
    pub asking: Option<&'a Origin>,
    /// How it went: a stable code.
    pub code: &'static str,
    /// Which hop it belongs to, where that is known.
    pub flow: Option<Flow>,
    /// How long it took.
    pub took: Duration,
}

/// Wants to know what happens. It is called on the request's own thread and must be quick.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn saw(&self, event: &Event<'_>);

    /// Work was done, and took so long.
    fn timed(&self, _timing: &Timing<'_>) {}
}

/// Tells the log: one line at info for each step of a hop or link, since that is what an operator looks for; the many pages
/// that are served without one only at debug.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log;

impl Observer for Log {
    fn saw(&self, event: &Event<'_>) {
        let (site, step, code) = (event.site.as_str(), event.step.as_str(), event.code);
        // One line's flow is the other's, whichever process wrote it; it leads to no visitor.
        let asking = event.asking_label();
        let flow = event.flow.as_ref().map(Flow::fragment).map(tracing::field::display);
        match event.step {
            Step::Page | Step::Forward => tracing::debug!(site, step, code),
            Step::Start | Step::Hop | Step::Whoami | Step::Arrival | Step::Link => {
                tracing::info!(site, asking, step, code, flow);
            }
        }
    }
}
