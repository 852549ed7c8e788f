//! Layer 6: the broker, one file an endpoint. It reads or mints the master cookie, and sends visitors back with a token.

pub mod api;
pub mod hop;
pub mod metadata;
mod removed;
pub mod whoami;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderValue;

use crate::base::clock::UnixSeconds;
use crate::base::origin::Origin;
use crate::base::random::{NoRandomness, random_bytes};
use crate::base::secret::ApiKey;
use crate::domain::hop_request::HopRequest;
use crate::domain::siblings::registry_digest;
use crate::domain::site::RegisteredSite;
use crate::domain::site_cookie::{Identity, SiteState};
use crate::http::{Env, ServedSite};
use crate::store::recent_set::{Claim, RecentSet};
use crate::store::record_keeper::Keeper;
use crate::token::claims::{TOKEN_LIFE_MAX, TokenId};
use crate::token::mint::{Statement, Token, bounce_token};

/// How long refused hop requests are remembered, and how many.
const REFUSED_SPAN: Duration = Duration::from_secs(60);
const REFUSED_MAX: usize = 65_536;
use removed::RemovedSites;

/// The broker.
pub struct Broker {
    /// The primary, whose cookie is the master cookie.
    pub primary: Arc<ServedSite>,
    /// Whether the CORS route is open.
    pub whoami: bool,
    /// The visitor records.
    pub keeper: Arc<Keeper>,
    /// How long a hop waits for its write.
    pub hop_wait: Duration,
    sites: HashMap<String, RegisteredSite>,
    removed: RemovedSites,
    registry_digest: String,
    api_keys: HashMap<[u8; 32], Origin>,
    metadata: String,
    refused: RecentSet,
}

impl Broker {
    /// A broker for these sites.
    #[must_use]
    pub fn new(
        primary: Arc<ServedSite>,
        whoami: bool,
        sites: Vec<RegisteredSite>,
        keeper: Arc<Keeper>,
        hop_wait: Duration,
    ) -> Self {
        let own = (&primary.site.api_key, primary.site.other.as_ref(), &primary.site.origin);
        let keys = sites.iter().map(|site| (&site.api_key, site.other.as_ref(), &site.origin)).chain([own]);
        let api_keys = keys
            .flat_map(|(key, other, origin)| {
                [Some(key), other.map(|other| &other.api_key)].into_iter().flatten().map(move |key| (key, origin))
            })
            .map(|(key, origin)| (ApiKey::digest(key.as_str()), origin.clone()))
            .collect();
        let metadata = metadata::write(&primary.site.origin, whoami, &sites);
        let registry_digest = registry_digest(sites.iter().map(|site| site.origin.as_str()));
        let sites = sites.into_iter().map(|site| (site.origin.as_str().to_owned(), site)).collect();
        let removed = RemovedSites::default();
        let refused = RecentSet::new(REFUSED_SPAN, REFUSED_MAX);
        Self { primary, whoami, keeper, hop_wait, sites, removed, registry_digest, api_keys, metadata, refused }
    }

    /// Notes that a hop request is refused; whether the same one was refused twice within the last minute. A browser sends no
    /// request three times: a cache keeps the redirect that leads here, and perhaps the one that would end it (rule S18).
    fn refused_again(&self, query: &str, uptime: Duration) -> bool {
        let mut digest = [0; 16];
        digest.copy_from_slice(&ring::digest::digest(&ring::digest::SHA256, query.as_bytes()).as_ref()[..16]);
        let request = u128::from_be_bytes(digest);
        [request, request ^ 1].into_iter().all(|time| self.refused.claim(time, uptime) == Claim::Again)
    }

    /// Remembers for some minutes the sites that `before` knew and this one does not (rule A12).
    pub fn remember_removed(&mut self, before: &Self, uptime: Duration) {
        self.removed = before.removed.after_reload(&before.sites, &self.sites, uptime);
    }

    /// The origins of the registered sites.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.sites.values().map(|site| &site.origin)
    }

    /// Names the set of registered sites, for [`crate::domain::documents::Health`].
    #[must_use]
    pub fn registry_digest(&self) -> &str {
        &self.registry_digest
    }

    /// The origins of all the company's sites, the primary first and the others in the order of their names.
    #[must_use]
    pub fn company(&self) -> Vec<String> {
        let mut others: Vec<_> = self.sites.keys().cloned().collect();
        others.sort_unstable();
        std::iter::once(self.primary.site.origin.to_string()).chain(others).collect()
    }

    fn site(&self, origin: &str) -> Option<&RegisteredSite> {
        self.sites.get(origin)
    }

    /// Sets the master cookie.
    fn set_master(&self, env: &Env, state: &SiteState, now: UnixSeconds) -> Option<HeaderValue> {
        env.cookies.set_id(&self.primary.site, self.primary.same_site, state, now)
    }

    /// The token that answers `request`.
    fn answer(
        &self,
        env: &Env,
        site: &RegisteredSite,
        request: &HopRequest,
        identity: &Identity,
        now: UnixSeconds,
    ) -> Result<Token, NoAnswer> {
        let id = TokenId(random_bytes(&*env.random)?);
        let keys = self.primary.keys.load();
        let key = keys.signing_key(now).ok_or(NoAnswer)?;
        let statement = Statement {
            issuer: &self.primary.site.origin,
            audience: &site.origin,
            visitor: identity.visitor,
            now,
            life: TOKEN_LIFE_MAX,
            id,
        };
        Ok(bounce_token(key, &statement, request.flow))
    }
}

/// The broker cannot mint just now: no randomness, or no key.
#[derive(Debug, Clone, Copy)]
pub struct NoAnswer;

impl From<NoRandomness> for NoAnswer {
    fn from(_: NoRandomness) -> Self {
        Self
    }
}
