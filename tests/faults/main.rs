//! What goes wrong in the world, done on purpose: brokers that are down, processes that end, floods, clocks, keys.
//!
//! Real processes wherever a fault is one of processes; inside the test where it takes a clock that the test moves. Nothing
//! here measures speed: a loaded machine makes these tests slow, not red.

#[path = "../support/mod.rs"]
mod support;

mod broker_down;
mod clocks;
mod connections;
mod fake_broker;
mod floods;
mod key_files;
mod key_rotation;
mod reload;
mod siblings;
mod stop;
mod tls_client;
mod unknown_keys;
