//! What operators see, from the outside: the listener, its metrics, the log, and the page.

mod drawn;
mod listener;
mod logs;
mod metrics;
mod page;
#[path = "../support/mod.rs"]
mod support;
mod traces;
mod watched;
