//! Layer 4: what is remembered between requests. Bounded, and shared by all threads of a process.

pub mod alias_outbox;
pub mod live_keys;
pub mod recent_set;
