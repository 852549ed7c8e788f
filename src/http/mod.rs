//! Layer 5: HTTP. Reads requests into facts and writes answers; decides nothing.

pub mod answer;
pub mod body;
pub mod client;
pub mod client_address;
pub mod cookies;
pub mod cors;
pub mod event;
pub mod facts;
pub mod forwarded;
pub mod host;
pub mod remote_records;
pub mod visitor;

use std::sync::Arc;

use actix_web::dev::RequestHead;
use actix_web::http::header::HeaderMap;

use crate::base::clock::{Clock, UnixSeconds};
use crate::base::id::VisitorId;
use crate::base::network::Network;
use crate::base::random::{NoRandomness, Random};
use crate::domain::site::Site;
use crate::domain::site_cookie::{Reading, SiteState};
use crate::store::live_keys::LiveKeys;
use crate::store::mints::Mints;
use crate::store::rate_limit::RateLimit;
use crate::store::revoked_ids::{RevokedIds, Verdict};

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
    /// How often one client may do what costs something.
    pub rates: RateLimit,
    /// IDs that count no more.
    pub revoked: Arc<RevokedIds>,
    /// Master IDs that were minted a moment ago.
    pub mints: Arc<Mints>,
}

impl Env {
    /// What the ID cookies of a request to `site` say, and whether they hold a revoked ID: a browser with one counts as having
    /// refused (rule C1). An ID that cannot be judged is withheld, and its cookie stays as it is (rule A14).
    #[must_use]
    pub fn read_id(&self, headers: &HeaderMap, site: &Site, now: UnixSeconds) -> (Reading, bool) {
        let reading = self.cookies.read_id(headers, site, now);
        match reading.state.identity.map(|identity| self.revoked.judge(identity.visitor)) {
            None | Some(Verdict::Living) => (reading, false),
            Some(Verdict::Revoked) => (Reading { state: SiteState::DENIED, ..reading }, true),
            Some(Verdict::Unknown) => {
                (Reading { state: SiteState { identity: None, ..reading.state }, is_withheld: true, ..reading }, false)
            }
        }
    }

    /// A new visitor ID, which counts here even while the list of revoked IDs is out of reach (rule A14).
    ///
    /// # Errors
    /// When there is no randomness; there is then no ID.
    pub fn mint(&self) -> Result<VisitorId, NoRandomness> {
        let visitor = VisitorId::mint(&*self.random)?;
        self.revoked.note_minted(visitor);
        Ok(visitor)
    }

    /// The network of the client that sent a request, as far as the satellite can tell (rule L2).
    #[must_use]
    pub fn network(&self, head: &RequestHead) -> Option<Network> {
        let peer = head.peer_addr.map(|address| address.ip());
        self.proxies.network(peer, &head.headers, self.cookies.is_for_localhost())
    }

    /// Whether a trusted proxy says that the visitor's connection was plain http, although `site` is https (rule F7). Browsers
    /// neither send nor store the cookies of the site there.
    #[must_use]
    pub fn came_by_http(&self, site: &Site, head: &RequestHead) -> bool {
        let is_asked = site.served_at().is_https() && self.proxies.contains(head.peer_addr.map(|peer| peer.ip()));
        is_asked && host::came_by_http(&head.headers)
    }

    /// Whether the client that sent a request may do, just now, what costs something.
    #[must_use]
    pub fn may(&self, head: &RequestHead) -> bool {
        let client = self.proxies.client(head.peer_addr.map(|address| address.ip()), &head.headers);
        self.rates.allows(client, self.clock.uptime())
    }
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
