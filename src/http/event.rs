//! What happens, told once: to the log, to the demo's picture of the hop, to whoever else wants to know.

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
}

/// One thing that happened. It holds no visitor ID, no token and nothing that a client wrote (rules R8, A7).
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// On which site; on the primary, where none can be named.
    pub site: &'a Origin,
    /// Which step.
    pub step: Step,
    /// How it went, or why not: a stable code.
    pub code: &'static str,
    /// Which hop it belongs to, where that is known.
    pub flow: Option<Flow>,
}

/// Wants to know what happens. It is called on the request's own thread and must be quick.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn saw(&self, event: &Event<'_>);
}

/// Tells the log, at debug level: at night one wants the exceptions, and those are logged where they arise.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log;

impl Observer for Log {
    fn saw(&self, event: &Event<'_>) {
        tracing::debug!(site = event.site.as_str(), step = event.step.as_str(), code = event.code);
    }
}
