//! Layer 7: what operators see, on a listener of its own: metrics, the health of the whole process, and a page with pictures.
//!
//! 1. It only looks. Nothing here changes what a visitor is answered, and no request of a visitor waits for it.
//! 2. It shows numbers, sites and codes. No visitor ID, no token, and of what clients wrote only where visitors came from,
//!    counted.
//! 3. What is counted as it happens is in [`metrics`]; everything else is looked up when somebody asks.

pub mod chart;
pub mod counts;
pub mod data;
pub mod exposition;
pub mod families;
pub mod health;
pub mod histogram;
pub mod history;
pub mod hosts;
pub mod metrics;
pub mod page;
pub mod pictures;
pub mod sample;
pub mod server;
pub mod tables;
pub mod text;
pub mod timed_store;
pub mod traces;
pub mod views;

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::base::clock::{Clock, UnixSeconds};
use crate::http::ServedSite;
use crate::satellite::Satellite;
use crate::store::record_keeper::Keeper;
use crate::store::revoked_ids::RevokedIds;

/// The process that is looked at.
pub trait Watched: Send + Sync {
    /// The time.
    fn clock(&self) -> &dyn Clock;
    /// The sites that it serves.
    fn sites(&self) -> Vec<Arc<ServedSite>>;
    /// All sites of the company, on a broker node.
    fn company(&self) -> Vec<String>;
    /// Its satellite.
    fn satellite(&self) -> &Satellite;
    /// The visitor records, on a broker node.
    fn keeper(&self) -> Option<&Keeper>;
    /// The revoked IDs that it holds.
    fn revoked(&self) -> &RevokedIds;
    /// How often its configuration was read again.
    fn reloads(&self) -> Reloads;
    /// When the first certificate of the chain that it serves expires. `None` without TLS of its own.
    fn certificate_not_after(&self) -> Option<UnixSeconds>;
    /// Whether it is about to end.
    fn is_leaving(&self) -> bool;
    /// How many lines of its log were lost.
    fn log_lines_lost(&self) -> u64;
    /// The connections of its server.
    fn connections(&self) -> ConnectionCounts;
    /// How many addresses of trusted proxies were no addresses.
    fn forwarded_unreadable(&self) -> u64;
    /// How many spans of its traces were lost.
    fn trace_spans_lost(&self) -> u64;
}

/// The connections of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectionCounts {
    /// How many are open.
    pub open: u64,
    /// How many were ended, for each reason.
    pub ended: Vec<(&'static str, u64)>,
}

/// How often the configuration was read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloads {
    /// And counts now.
    pub done: u64,
    /// And was refused.
    pub refused: u64,
    /// Whether the last one was refused.
    pub is_last_refused: bool,
}

/// What the listener shows.
pub struct Admin {
    /// What was counted.
    pub metrics: Arc<metrics::Metrics>,
    /// The process.
    pub process: Arc<dyn Watched>,
    /// The names that it answers to.
    pub hosts: hosts::Hosts,
    /// The last day.
    pub history: history::History,
    /// The latest sample of the visitor records, on a broker node.
    pub sample: Arc<ArcSwapOption<sample::Sample>>,
}
