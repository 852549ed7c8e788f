//! The deployment: the company of docker-compose.yml, started natively by scripts/topology with the real Caddy, PostgreSQL and
//! Redis, while its nodes die, hang, leave and rotate their keys; and what can be known of containers and systemd without them.
//!
//! The fleet is shared, and one test at a time has it: every test leaves it as whole as it found it.

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod compose;
mod fleet;
mod hanging;
mod health;
mod image;
mod killed;
mod notify;
mod rolling;
mod rotation;
mod unit;
mod visit;
mod visitors;
