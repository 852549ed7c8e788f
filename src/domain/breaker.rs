//! The circuit breaker over the broker's health (rule S13): nobody is sent to a broker that may not answer.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// What the last probes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Circuit {
    /// No probe has ended yet. No hops; it is too early for a provisional ID.
    Unprobed = 0,
    /// The last probe failed. No hops.
    Open = 1,
    /// A probe was answered after failures; one more answer closes the circuit. No hops yet.
    HalfOpen = 2,
    /// The broker answers. Hops may go.
    Closed = 3,
}

impl Circuit {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Unprobed, Self::Open, Self::HalfOpen, Self::Closed];

    /// The state after one more probe.
    #[must_use]
    pub const fn after(self, answered: bool) -> Self {
        match (self, answered) {
            (_, false) => Self::Open,
            (Self::Open, true) => Self::HalfOpen,
            (Self::Unprobed | Self::HalfOpen | Self::Closed, true) => Self::Closed,
        }
    }

    /// How long to wait before the next probe, `failures` probes after the last good one.
    #[must_use]
    pub fn next_probe(self, failures: u32, interval: Duration) -> Duration {
        match self {
            Self::Closed => interval,
            Self::Unprobed | Self::HalfOpen => interval / 4,
            Self::Open => (interval / 4 * 2_u32.saturating_pow(failures.saturating_sub(1).min(16))).min(PROBE_INTERVAL_MAX),
        }
    }

    /// A stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unprobed => "unprobed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Closed => "closed",
        }
    }
}

/// The longest pause between two probes of a broker that does not answer.
pub const PROBE_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// The state, where every request can read it and one probe task writes it.
#[derive(Debug)]
pub struct Breaker(AtomicU8);

impl Breaker {
    /// Not probed yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU8::new(Circuit::Unprobed as u8))
    }

    /// The state.
    #[must_use]
    pub fn circuit(&self) -> Circuit {
        let byte = self.0.load(Ordering::Relaxed);
        let known = [Circuit::Open, Circuit::HalfOpen, Circuit::Closed].into_iter().find(|circuit| *circuit as u8 == byte);
        known.unwrap_or(Circuit::Unprobed)
    }

    /// Takes in a probe's result and returns the state before and after.
    pub fn record(&self, answered: bool) -> (Circuit, Circuit) {
        let before = self.circuit();
        let after = before.after(answered);
        self.0.store(after as u8, Ordering::Relaxed);
        (before, after)
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s13_only_an_answered_probe_lets_hops_go_and_recovery_takes_two() {
        let breaker = Breaker::new();
        assert_eq!(breaker.circuit(), Circuit::Unprobed);
        breaker.record(true);
        assert_eq!(breaker.circuit(), Circuit::Closed);
        breaker.record(false);
        assert_eq!(breaker.circuit(), Circuit::Open);
        breaker.record(true);
        assert_eq!(breaker.circuit(), Circuit::HalfOpen);
        breaker.record(false);
        assert_eq!(breaker.circuit(), Circuit::Open);
        breaker.record(true);
        breaker.record(true);
        assert_eq!(breaker.circuit(), Circuit::Closed);
    }

    #[test]
    fn a1_a_dead_broker_is_probed_ever_less_but_never_forgotten() {
        let interval = Duration::from_secs(1);
        let pauses: Vec<_> = (1..40).map(|failures| Circuit::Open.next_probe(failures, interval)).collect();
        assert!(pauses.is_sorted());
        assert_eq!(pauses[0], Duration::from_millis(250));
        assert_eq!(*pauses.last().unwrap(), PROBE_INTERVAL_MAX);
    }
}
