//! Layer 4: what is remembered between requests. Bounded, and shared by all threads of a process; some of it by
//! many nodes.

pub mod alias_outbox;
pub mod live_keys;
pub mod recent_set;
mod redis_link;
pub mod redis_replay;
pub mod replay;
