//! The visitor records: the server-to-server API, `me`, and the visitor's rights (C), over real HTTP, with the broker and the
//! satellites in two processes.

#[path = "../support/mod.rs"]
mod support;

mod authentication;
mod bodies;
mod command;
mod described;
mod foreign;
mod links;
mod me;
mod properties;
mod reports;
mod rights;
mod statuses;
mod steps;
