//! The end of an arrival: what a browser gets once it is known what became of the token in its URL (rules R1, R3).

use std::time::Duration;

use crate::base::clock::UnixSeconds;
use crate::domain::arrival::Refusal;
use crate::domain::consent::Standing;
use crate::domain::site_cookie::SiteState;
use crate::domain::url::PageUrl;
use crate::http::answer::{Redirect, redirect};
use crate::http::client_address::ClientKey;
use crate::http::event::{Event, Step, Timing, Work};
use crate::http::{Env, ServedSite};
use crate::store::redis_replay::ClaimSoon;

use super::Satellite;
use super::arrive::{Arrived, Arriving};
use super::page::{Page, Served, visitor};

/// A request whose token is being claimed. It holds what is needed of the request itself, which may go on meanwhile.
pub struct Waiting {
    pub(super) claim: ClaimSoon,
    pub(super) arriving: Arriving,
    pub(super) landing: Landing,
}

impl Waiting {
    /// Waits for the claim, for the replay memory's own time at most, and says what becomes of the request.
    pub async fn page(self, satellite: &Satellite, env: &Env, served: &ServedSite) -> Page {
        let outcome = self.arriving.finish(satellite, served, self.claim.claimed().await);
        self.landing.land(satellite, env, served, outcome)
    }
}

/// What there is to know of the request.
pub(super) struct Landing {
    /// The path and query without our parameter.
    pub(super) clean: String,
    pub(super) state: SiteState,
    pub(super) standing: Standing,
    pub(super) keeps_cookies: bool,
    /// What clients that look alike share (rule S16).
    pub(super) client: ClientKey,
    pub(super) now: UnixSeconds,
    /// When the request came, by the uptime.
    pub(super) begun: Duration,
}

impl Landing {
    pub(super) fn land(self, satellite: &Satellite, env: &Env, served: &ServedSite, outcome: Result<Arrived, Refusal>) -> Page {
        let Self { clean, state, standing, keeps_cookies, client, now, begun } = self;
        let set_id = |state: &SiteState| env.cookies.set_id(&served.site, served.same_site, state, now);
        let page = PageUrl::on(&served.site.origin, &clean);
        let (code, flow) = outcome.map_or_else(|refusal| (refusal.code(), None), |arrived| (arrived.code, arrived.flow));
        env.observer.saw(&Event { site: &served.site.origin, step: Step::Arrival, code, flow });
        let took = env.clock.uptime().saturating_sub(begun);
        env.observer.timed(&Timing { work: Work::Exchange, site: &served.site.origin, code, flow, took });
        if state.hop_begun.is_some() {
            satellite.departures.returned(client, env.clock.uptime());
            if let Some(client) = client.known() {
                satellite.bare_clients.remove(client, env.clock.uptime());
            }
        }
        match (outcome, page) {
            (Ok(arrived), Ok(page)) => {
                let over = arrived.flow.and_then(|_| env.cookies.clear_hop());
                let cookies = [set_id(&arrived.state), over].into_iter().flatten();
                Page::Answer(redirect(Redirect::Clean, page.into_location(), cookies))
            }
            (Err(_), Ok(page)) if keeps_cookies => Page::Answer(redirect(Redirect::Clean, page.into_location(), None)),
            // The page itself. A browser without cookies would come round again and again (rule R3): leave it alone for a
            // while, and find out whether it keeps any (rule S16).
            (Err(_), _) => {
                if let Some(client) = client.known() {
                    satellite.bare_clients.claim(client, env.clock.uptime());
                }
                let probe = standing.basis().and_then(|_| set_id(&SiteState::default())).filter(|_| !keeps_cookies);
                let known = state.identity.filter(|_| standing.basis().is_some());
                Page::Serve(Served { cookie: probe, clean: Some(clean), ..Served::plain(visitor(known, standing)) })
            }
            // No redirect can lead to this URL, but the token has been used up: the ID goes with the page.
            (Ok(arrived), Err(_)) => {
                let served = Served::plain(visitor(arrived.state.identity, standing));
                Page::Serve(Served { cookie: set_id(&arrived.state), clean: Some(clean), ..served })
            }
        }
    }
}
