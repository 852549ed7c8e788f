//! Nodes that die, stores that go away, and many nodes beside each other: the real program, PostgreSQL and Redis.
//!
//! Nothing here measures speed: the bounds are those after which somebody would be waiting for something that does not come.

#[path = "../support/mod.rs"]
mod support;

mod ask;
mod away;
mod balancer;
mod checked;
mod circles;
mod ending;
mod fleet;
mod killed;
mod load;
mod queue;
mod replay_health;
mod restored;
mod retention;
