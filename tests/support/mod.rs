//! What the tests over HTTP share: a wire, a browser, and a company of three sites to visit.
//!
//! Not a test target: each target takes it in with `#[path = "../support/mod.rs"] mod support;`.
#![allow(dead_code, reason = "each target that takes this in uses another part of it")]

pub(crate) mod address;
pub(crate) mod api;
pub(crate) mod application;
pub(crate) mod browser;
pub(crate) mod company;
pub(crate) mod files;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod redis;
pub(crate) mod wire;
