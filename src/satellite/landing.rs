//! The end of an arrival: what a browser gets once it is known what became of the token in its URL (rules R1, R3, R10, S18).

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
use super::page::{Page, Served, Start, visitor};

/// A request whose token is being claimed. It holds what is needed of the request itself, which may go on meanwhile.
pub struct Waiting {
    pub(super) claim: ClaimSoon,
    pub(super) arriving: Arriving,
    pub(super) landing: Landing,
    pub(super) onward: Onward,
}

impl Waiting {
    /// Waits for the claim, for the replay memory's own time at most, and says what becomes of the request.
    pub async fn page(self, satellite: &Satellite, env: &Env, served: &ServedSite) -> Page {
        let outcome = self.arriving.finish(satellite, served, self.claim.claimed().await);
        let onward = self.onward;
        self.landing.land(satellite, env, served, outcome, |_| onward)
    }
}

/// Where a browser goes whose token did not count.
pub(super) enum Onward {
    /// To the clean URL, where no hop starts.
    Clean,
    /// Nowhere: the page itself is the answer.
    Page,
    /// On a hop, if a link brought it: a link that does not count is no worse than a plain one (rule R10).
    Hop(Start),
}

/// What there is to know of the request.
pub(super) struct Landing {
    /// The path and query without our parameter.
    pub(super) clean: String,
    pub(super) state: SiteState,
    pub(super) standing: Standing,
    pub(super) is_link: bool,
    pub(super) keeps_cookies: bool,
    /// What clients that look alike share (rule S16).
    pub(super) client: ClientKey,
    /// What tells arrivals apart (rule S18).
    pub(super) arrival: u128,
    pub(super) now: UnixSeconds,
    /// When the request came, by the uptime.
    pub(super) begun: Duration,
}

impl Landing {
    /// `onward` says where a browser goes from the clean path and query if its token does not count. Most do, and then nothing
    /// asks.
    pub(super) fn land(
        self,
        satellite: &Satellite,
        env: &Env,
        served: &ServedSite,
        outcome: Result<Arrived, Refusal>,
        onward: impl FnOnce(&str) -> Onward,
    ) -> Page {
        let (code, flow) = outcome.map_or_else(|refusal| (refusal.code(), None), |arrived| (arrived.code, arrived.flow));
        env.observer.saw(&Event { site: &served.site.origin, asking: None, step: Step::Arrival, code, flow });
        let uptime = env.clock.uptime();
        let took = uptime.saturating_sub(self.begun);
        env.observer.timed(&Timing { work: Work::Exchange, site: &served.site.origin, asking: None, code, flow, took });
        satellite.departures.returned(self.client, &self.clean, uptime);
        if let (true, Some(client)) = (self.state.hop_begun.is_some(), self.client.known()) {
            satellite.bare_clients.remove(client, uptime);
        }
        let may_be_a_round = !self.is_link && outcome.err().is_none_or(Refusal::may_be_a_round);
        let is_in_loop = may_be_a_round && satellite.arrivals.has_come(self.arrival, uptime);
        let refusal = match outcome {
            Ok(arrived) => return self.adopted(env, served, arrived, is_in_loop),
            Err(refusal) => refusal,
        };
        let ends_a_hop = !self.is_link && refusal.ends_a_hop();
        // Another node of the site may take tokens, and start hops: a redirect could lead there and back.
        let onward = if is_in_loop || refusal == Refusal::SiteRefused {
            Onward::Page
        } else {
            match onward(&self.clean) {
                Onward::Page if !ends_a_hop && self.keeps_cookies => Onward::Clean,
                onward => onward,
            }
        };
        self.refused(satellite, env, served, refusal, onward)
    }

    /// The ID cookie, and the clean URL (rule R1). The hop cookie goes too, if the browser has brought the note of its hop: where
    /// the ID cookie is lost on the way, the hop cookie is what starts no second hop.
    fn adopted(self, env: &Env, served: &ServedSite, arrived: Arrived, is_in_loop: bool) -> Page {
        let cookie = env.cookies.set_id(&served.site, served.same_site, &arrived.state, self.now);
        match PageUrl::on(&served.site.origin, &self.clean) {
            Ok(page) if !is_in_loop => {
                let is_over = arrived.flow.is_some() && self.state.hop_begun.is_some();
                let over = is_over.then(|| env.cookies.clear_hop()).flatten();
                Page::Answer(redirect(Redirect::Clean, page.into_location(), [cookie, over].into_iter().flatten()))
            }
            // The browser is in a loop, or no redirect can lead to this URL: the ID goes with the page.
            _ => {
                let served = Served::plain(visitor(arrived.state.identity, self.standing));
                Page::Serve(Served { cookie, clean: Some(self.clean), ..served })
            }
        }
    }

    fn refused(self, satellite: &Satellite, env: &Env, served: &ServedSite, refusal: Refusal, onward: Onward) -> Page {
        let Self { clean, state, standing, keeps_cookies, client, now, .. } = self;
        match (onward, PageUrl::on(&served.site.origin, &clean)) {
            (Onward::Clean, Ok(page)) => return Page::Answer(redirect(Redirect::Clean, page.into_location(), None)),
            (Onward::Hop(start), _) if refusal.leads_to_a_hop() => {
                if let Ok(page) = start.answer(satellite, env, served) {
                    return page;
                }
            }
            (Onward::Hop(_), Ok(page)) if keeps_cookies => {
                return Page::Answer(redirect(Redirect::Clean, page.into_location(), None));
            }
            _ => {}
        }
        // The page itself. A browser that loses our cookies would loop: start no hop for it for a while, and
        // find out whether it keeps any (rules R3, S16).
        if let (false, Some(client)) = (keeps_cookies, client.known()) {
            satellite.bare_clients.claim(client, env.clock.uptime());
        }
        let probe = (!keeps_cookies && standing.basis().is_some())
            .then(|| env.cookies.set_id(&served.site, served.same_site, &SiteState::default(), now))
            .flatten();
        let known = state.identity.filter(|_| standing.basis().is_some());
        Page::Serve(Served { cookie: probe, clean: Some(clean), ..Served::plain(visitor(known, standing)) })
    }
}
