//! What is remembered between requests: one acceptance suite for each kind of memory, passed by every backend.

#[path = "../support/mod.rs"]
mod support;

mod ended_file;
mod replay;
mod replay_faults;
mod replay_nodes;
mod visitors;
