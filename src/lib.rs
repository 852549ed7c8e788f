//! Throughline: one visitor, one ID, on all your domains.
//!
//! A first-time visitor of a secondary domain is sent through the primary by a transparent redirect; the broker there reads
//! or makes the master cookie and sends the visitor back with a short-lived signed token; the satellite on the secondary
//! exchanges it for a first-party cookie. `docs/protocol.md` describes it from the outside, `README.md` how to adopt it.
//!
//! # The house
//!
//! Each layer may use those above it in this list and none below; peers in a layer do not use each other. A test keeps it
//! so (`tests/structure`).
//!
//! 1. [`base`]: clock, randomness, secrets, the visitor ID, origins
//! 2. [`token`]: keys, key sets and their rotation, minting and verifying
//! 3. [`domain`]: the decisions, pure
//! 4. [`store`]: what is remembered between requests
//! 5. [`http`]: headers, cookies, answers, the client
//! 6. [`broker`] and [`satellite`]: one file an endpoint
//! 7. [`admin`]: what operators see: metrics, health, a page
//! 8. [`config`]: the configuration file, every mistake at once; [`app`]: the composition root, with the middleware
//! 9. [`cli`]: one file a command
//!
//! # In a Rust application
//!
//! [`app::middleware::Throughline`] goes around an actix-web `App`; handlers take a [`http::visitor::Visitor`].

pub mod admin;
pub mod app;
pub mod base;
pub mod broker;
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod satellite;
pub mod store;
pub mod token;
