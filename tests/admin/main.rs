//! What operators see, from the outside: the listener, its metrics, the log, and the page.

mod listener;
mod logs;
mod metrics;
#[path = "../support/mod.rs"]
mod support;
mod watched;
