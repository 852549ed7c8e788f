//! What operators see, from the outside: the listener, its metrics, the log, and the page.

mod asking;
mod drawn;
mod listener;
mod logs;
mod metrics;
mod page;
mod states;
#[path = "../support/mod.rs"]
mod support;
mod traces;
mod watched;
