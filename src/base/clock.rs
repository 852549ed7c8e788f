//! Time, passed in.
//!
//! Two kinds, because they fail differently (rule A6): the wall clock says whether a token has expired and may jump; the
//! uptime never goes back and says what may be forgotten.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds (POSIX time; JWT's `NumericDate`, RFC 7519 section 2). In JSON
/// it is the number alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// This time plus `span`, stopping at the end of time instead of wrapping. Parts of a second are dropped.
    #[must_use]
    pub const fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The wall clock. It may be wrong and may jump either way.
    fn now(&self) -> UnixSeconds;
    /// Time since some fixed moment of this process. It never goes back.
    fn uptime(&self) -> Duration;
    /// The wall clock with all that it knows of a second, as time since 1970. For what is shown beside other machines' times;
    /// decisions go by whole seconds.
    fn since_1970(&self) -> Duration {
        Duration::from_secs(self.now().0)
    }
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose uptime begins now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clocks")]
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clocks")]
    fn now(&self) -> UnixSeconds {
        // A clock before 1970 is a broken clock: every token is then refused as issued in the future, pages go on.
        UnixSeconds(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clocks")]
    fn since_1970(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

/// A clock that moves only when told to, for tests.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicU64,
    uptime: AtomicU64,
}

impl ManualClock {
    /// Stands at `now`, with an uptime of zero.
    #[must_use]
    pub const fn at(now: UnixSeconds) -> Self {
        Self { now: AtomicU64::new(now.0), uptime: AtomicU64::new(0) }
    }

    /// Lets `span` go by on both clocks.
    pub fn advance(&self, span: Duration) {
        self.now.fetch_add(span.as_secs(), Ordering::SeqCst);
        self.uptime.fetch_add(span.as_secs(), Ordering::SeqCst);
    }

    /// Sets the wall clock alone, as an administrator or NTP does.
    pub fn set(&self, now: UnixSeconds) {
        self.now.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixSeconds {
        UnixSeconds(self.now.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(self.uptime.load(Ordering::SeqCst))
    }
}
