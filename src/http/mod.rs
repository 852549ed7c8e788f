//! Layer 5: HTTP. Reads requests into facts and writes answers; decides nothing.

pub mod answer;
pub mod client;
pub mod client_address;
pub mod cookies;
pub mod event;
pub mod facts;
pub mod visitor;

use std::sync::Arc;

use crate::base::clock::Clock;
use crate::base::random::Random;
use crate::domain::site::Site;
use crate::store::live_keys::LiveKeys;

/// What every endpoint is given.
pub struct Env {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// How cookies are named and marked.
    pub cookies: cookies::CookieJar,
    /// Who is told of what happens.
    pub observer: Arc<dyn event::Observer>,
    /// Whose word on a client's address counts.
    pub proxies: client_address::TrustedProxies,
}

/// A site that this process serves.
#[derive(Debug)]
pub struct ServedSite {
    /// Its rules.
    pub site: Site,
    /// Its signing keys.
    pub keys: LiveKeys,
    /// How its ID cookie is marked.
    pub same_site: cookies::SameSite,
}
