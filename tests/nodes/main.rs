//! Nodes that die, stores that go away, and many nodes beside each other: the real program, PostgreSQL and Redis.
//!
//! Nothing here measures speed: the bounds are those after which somebody would be waiting for something that does not come.

#[path = "../support/mod.rs"]
mod support;

mod ask;
mod away;
mod balancer;
mod beside;
mod cascade;
mod checked;
mod circles;
mod ended;
mod ending;
mod fleet;
mod frozen;
mod killed;
mod load;
mod model;
mod queue;
mod replay_health;
mod restored;
mod retention;
