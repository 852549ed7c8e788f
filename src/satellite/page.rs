//! A request for a page: pass it on, start a hop, or use up a token. Whatever goes wrong here, the page is served.

use std::net::IpAddr;

use actix_web::HttpResponse;
use actix_web::dev::RequestHead;
use actix_web::http::header::{self, HeaderValue};

use crate::base::clock::UnixSeconds;
use crate::base::origin::Origin;
use crate::base::random::{NoRandomness, random_bytes};
use crate::domain::arrival::{Refusal as ArrivalRefusal, TOO_MANY};
use crate::domain::breaker::Circuit;
use crate::domain::consent::{Basis, Standing};
use crate::domain::contract::STOP;
use crate::domain::decision::{Decision, Facts, Reason, decide, known};
use crate::domain::hop_request::HopRequest;
use crate::domain::parameter::{Parameter, parameter, without_parameter};
use crate::domain::referrer::Referrer;
use crate::domain::site::Role;
use crate::domain::site_cookie::{Identity, SiteState, Source};
use crate::domain::url::{Location, PageUrl};
use crate::http::answer::{Redirect, Refusal, redirect};
use crate::http::client_address::ClientKey;
use crate::http::event::{Event, Step};
use crate::http::facts::{facts_beside, gpc, is_early_data, referrer_origin, text};
use crate::http::host::PLAIN_HTTP;
use crate::http::visitor::Visitor;
use crate::http::{Env, ServedSite};
use crate::store::mints::PendingMint;
use crate::store::record_keeper::Sighting;
use crate::store::replay::Claiming;
use crate::token::claims::{Flow, FlowSecret};

use super::Satellite;
use super::arrive::{Brought, check};
use super::landing::{Landing, Onward, Waiting};

/// What becomes of the request.
pub enum Page {
    /// The application serves it.
    Serve(Served),
    /// This is the answer.
    Answer(HttpResponse),
}

/// What is known of a request at once.
pub enum Decided {
    /// Everything.
    Now(Page),
    /// Everything but whether its token was used before: the memory that knows is on another machine. Boxed, so that the
    /// many that do not wait are small.
    AfterClaim(Box<Waiting>),
}

/// How the application serves it.
pub struct Served {
    /// The visitor that the application sees.
    pub visitor: Visitor,
    /// A cookie to add to its answer, which no shared cache may keep then.
    pub cookie: Option<HeaderValue>,
    /// The cookie is a new master cookie: it goes only if this still allows it when the application has answered (rule B6).
    pub pending: Option<PendingMint>,
    /// The path and query without our parameter, if it was there.
    pub clean: Option<String>,
}

impl Served {
    pub(super) const fn plain(visitor: Visitor) -> Self {
        Self { visitor, cookie: None, pending: None, clean: None }
    }
}

/// RFC 8470: the client or its proxy sends it again once the handshake is over (rule R7).
const TOO_EARLY: Refusal = Refusal {
    status: 425,
    code: "too_early",
    advice: "The browser sent this before its connection was safe from replay; it will send it again by itself.",
};

/// Decides on a request for a page of `served`.
#[must_use]
pub fn page(satellite: &Satellite, env: &Env, served: &ServedSite, head: &RequestHead, peer: Option<IpAddr>) -> Decided {
    let now = env.clock.now();
    let site = &served.site;
    let path_and_query = head.uri.path_and_query().map_or("/", |both| both.as_str());
    if env.came_by_http(site, head) {
        env.observer.saw(&Event { site: &site.origin, asking: None, step: Step::Page, code: PLAIN_HTTP, flow: None });
        let clean = without_parameter(path_and_query);
        let clean = (clean != path_and_query).then(|| clean.into_owned());
        return Decided::Now(Page::Serve(Served { clean, ..Served::plain(Visitor::default()) }));
    }
    // Most requests come from a visitor who is known, and must cost next to nothing: the other headers are not looked at.
    let (cookies, is_revoked) = env.read_id(&head.headers, site, now);
    let standing = Standing::new(site.consent, cookies.state.choice, site.honour_gpc && gpc(&head.headers));
    if let Some(identity) = known(standing, &cookies.state, head.uri.query()) {
        note_known(satellite, served, &identity, standing);
        let mut page = Served::plain(visitor(Some(identity), standing));
        if cookies.by_other_secret {
            page.cookie = env.cookies.set_id(site, served.same_site, &cookies.state, now);
        }
        return Decided::Now(Page::Serve(page));
    }
    let mut facts = facts_beside(cookies, &head.method, path_and_query, &head.headers, &env.cookies);
    let client = || env.proxies.client_key(peer, &head.headers);
    if !facts.keeps_cookies() && facts.page_navigation(site.legacy_browsers).is_ok() {
        facts.is_bare_client = client().known().is_some_and(|key| satellite.bare_clients.contains(key, env.clock.uptime()));
    }
    let request = Request { satellite, env, served, head, facts: &facts, standing, is_revoked, now };
    let decision = decide(&facts, site, circuit(satellite, env, &site.origin), now);
    request.follow(decision, None, &client).map_or_else(|| request.consume(client), Decided::Now)
}

/// A hop for another site may have made the master cookie: the record learns here that the primary has seen the visitor, too.
/// On a secondary, the hop or the link has told.
pub(super) fn note_known(satellite: &Satellite, served: &ServedSite, identity: &Identity, standing: Standing) {
    let (Role::Primary, Some(keeper), Some(basis)) = (served.site.role, &satellite.keeper, standing.basis()) else { return };
    let Identity { visitor, created, .. } = *identity;
    keeper.note(&Sighting { visitor, created, site: &served.site.origin, basis, first: None });
}

/// What the application is told of a visitor.
pub(super) fn visitor(identity: Option<Identity>, standing: Standing) -> Visitor {
    Visitor::new(identity.map(|identity| (identity.visitor, identity.source)), standing.as_str())
}

pub(super) struct Request<'a> {
    pub(super) satellite: &'a Satellite,
    pub(super) env: &'a Env,
    pub(super) served: &'a ServedSite,
    pub(super) head: &'a RequestHead,
    pub(super) facts: &'a Facts<'a>,
    pub(super) standing: Standing,
    /// It brought an ID that counts no more.
    pub(super) is_revoked: bool,
    pub(super) now: UnixSeconds,
}

impl Request<'_> {
    /// Does as was decided; `None` where a token is to be used up. `referrer` is what a page's script says led to the page.
    pub(super) fn follow(&self, decision: Decision, referrer: Option<Referrer>, client: &dyn Fn() -> ClientKey) -> Option<Page> {
        let mut page = match decision {
            Decision::Consume => return None,
            Decision::Pass(reason, identity) => {
                if reason != Reason::Known {
                    self.tell(Step::Page, reason.code(), None);
                }
                Page::Serve(Served::plain(visitor(identity, self.standing)))
            }
            Decision::Start(page) => {
                self.start(page, referrer, client).unwrap_or_else(|NoRandomness| self.serve_without("no_randomness"))
            }
            Decision::Probe => self.probe(),
            Decision::MintProvisional => self.mint_provisional(),
            Decision::MintMaster => self.mint_master(client),
        };
        if let (true, Page::Serve(served)) = (self.is_revoked, &mut page) {
            served.cookie = self.set_id(&SiteState::DENIED);
        }
        Some(page)
    }

    fn tell(&self, step: Step, code: &'static str, flow: Option<Flow>) {
        self.env.observer.saw(&Event { site: &self.served.site.origin, asking: None, step, code, flow });
    }

    pub(super) fn set_id(&self, state: &SiteState) -> Option<HeaderValue> {
        self.env.cookies.set_id(&self.served.site, self.served.same_site, state, self.now)
    }

    fn serve_without(&self, code: &'static str) -> Page {
        self.tell(Step::Page, code, None);
        Page::Serve(Served::plain(visitor(None, self.standing)))
    }

    /// The page, and a cookie that shows with the next one whether the browser keeps any (rule S16).
    fn probe(&self) -> Page {
        self.tell(Step::Page, "probe", None);
        Page::Serve(Served { cookie: self.set_id(&SiteState::default()), ..Served::plain(visitor(None, self.standing)) })
    }

    /// Sends the visitor on a hop.
    fn start(&self, page: PageUrl, referrer: Option<Referrer>, client: &dyn Fn() -> ClientKey) -> Result<Page, NoRandomness> {
        let Some(basis) = self.standing.basis() else { return Ok(self.serve_without(Reason::NoConsent.code())) };
        if !self.env.may(self.head) {
            return Ok(self.serve_without(TOO_MANY));
        }
        let (client, uptime) = (client(), self.env.clock.uptime());
        let keeps_cookies = self.facts.keeps_cookies();
        if !keeps_cookies && !self.satellite.departures.may_leave(client, page.path_and_query(), uptime) {
            return Ok(self.probe());
        }
        let (state, now) = (self.facts.cookies.state, self.now);
        let start = Start { page, referrer, basis, state, client: (!keeps_cookies).then_some(client), now };
        start.answer(self.satellite, self.env, self.served)
    }

    /// Uses up a token, or whatever else stands in our parameter.
    fn consume(&self, client: impl Fn() -> ClientKey) -> Decided {
        let begun = self.env.clock.uptime();
        let state = &self.facts.cookies.state;
        let (mut is_link, mut is_stop) = (false, false);
        let checked = match parameter(self.facts.query()) {
            Parameter::Once(token) if !token.is_empty() && is_early_data(&self.head.headers) => {
                return Decided::Now(Page::Answer(TOO_EARLY.page()));
            }
            Parameter::Once(STOP) => {
                is_stop = true;
                Err(ArrivalRefusal::Stopped)
            }
            Parameter::Once(token) if !token.is_empty() && !self.env.may(self.head) => Err(ArrivalRefusal::TooMany),
            Parameter::Once(token) => {
                let brought = Brought::new(token, self.head, referrer_origin(&self.head.headers));
                is_link = brought.is_link();
                check(self.satellite, self.env, self.served, &brought, &self.facts.cookies, self.standing)
            }
            Parameter::Absent | Parameter::Repeated => Err(ArrivalRefusal::Repeated),
        };
        let clean = without_parameter(self.facts.path_and_query).into_owned();
        let client = client();
        let arrival = self.satellite.arrivals.key(client.any(), &self.head.headers, &self.env.cookies, &self.served.site, &clean);
        let onward = |clean: &str| if is_stop { Onward::Page } else { self.onward(clean, is_link) };
        let landing = Landing {
            clean,
            state: *state,
            standing: self.standing,
            is_link,
            keeps_cookies: self.facts.keeps_cookies(),
            client,
            arrival,
            now: self.now,
            begun,
        };
        let land = |landing: Landing, outcome| Decided::Now(landing.land(self.satellite, self.env, self.served, outcome, onward));
        let arriving = match checked {
            Ok(arriving) => arriving,
            Err(refusal) => return land(landing, Err(refusal)),
        };
        match arriving.claim(self.satellite, self.env) {
            Claiming::Now(claim) => land(landing, arriving.finish(self.satellite, self.served, claim)),
            Claiming::Soon(claim) => {
                let onward = onward(&landing.clean);
                Decided::AfterClaim(Box::new(Waiting { claim, arriving, landing, onward }))
            }
        }
    }

    /// Where this browser goes whose token does not count. A redirect to the clean URL must not be the next round of a loop
    /// (rule S18): it is the answer where the same request without the parameter starts no hop.
    fn onward(&self, clean: &str, is_link: bool) -> Onward {
        let (facts, site) = (Facts { path_and_query: clean, ..*self.facts }, &self.served.site);
        match (decide(&facts, site, circuit(self.satellite, self.env, &site.origin), self.now), self.standing.basis()) {
            // The broker may be back by the next request.
            (Decision::Pass(Reason::BrokerUnprobed | Reason::BrokerDown, _), _) if !facts.keeps_cookies() => Onward::Page,
            (Decision::Pass(..), _) => Onward::Clean,
            (Decision::Start(page), Some(basis)) if is_link => {
                let (state, now) = (self.facts.cookies.state, self.now);
                Onward::Hop(Start { page, referrer: None, basis, state, client: None, now })
            }
            _ => Onward::Page,
        }
    }

    /// A provisional ID, while the broker cannot be asked.
    fn mint_provisional(&self) -> Page {
        let Ok(minted) = self.env.mint() else { return self.serve_without("no_randomness") };
        self.tell(Step::Page, "provisional", None);
        self.serve_minted(Identity { visitor: minted, source: Source::Provisional, created: self.now }, None)
    }

    /// The primary's own pages need no hop.
    fn mint_master(&self, client: &dyn Fn() -> ClientKey) -> Page {
        if !self.env.may(self.head) {
            return self.serve_without(TOO_MANY);
        }
        let client = (!self.facts.keeps_cookies()).then(client).and_then(ClientKey::known);
        let pending = match client {
            None => None,
            // The cookie of a look-alike's hop may be on its way to this browser; the next page brings it.
            Some(client) => match self.env.mints.begin_on_page(client, self.env.clock.uptime()) {
                None => return self.serve_without("look_alike"),
                pending => pending,
            },
        };
        let Ok(minted) = self.env.mint() else { return self.serve_without("no_randomness") };
        self.tell(Step::Page, "minted", None);
        if let Some(keeper) = &self.satellite.keeper {
            let site = &self.served.site.origin;
            let page = PageUrl::on(site, self.facts.path_and_query).unwrap_or_else(|_| PageUrl::front(site));
            keeper.expect(minted, &page, text(&self.head.headers, &header::REFERER));
        }
        self.serve_minted(Identity { visitor: minted, source: Source::Broker, created: self.now }, pending)
    }

    fn serve_minted(&self, identity: Identity, pending: Option<PendingMint>) -> Page {
        let cookie = self.set_id(&SiteState { identity: Some(identity), ..self.facts.cookies.state });
        Page::Serve(Served { cookie, pending, ..Served::plain(visitor(Some(identity), self.standing)) })
    }
}

/// A hop that begins.
pub(super) struct Start {
    page: PageUrl,
    /// What a page's script says led to the page.
    referrer: Option<Referrer>,
    basis: Basis,
    state: SiteState,
    /// What clients that look alike share, where the browser brings none of our cookies.
    client: Option<ClientKey>,
    now: UnixSeconds,
}

impl Start {
    /// The first leg. The ID cookie notes the attempt for a day (rule S12), the hop cookie binds it to this browser for two
    /// minutes.
    pub(super) fn answer(self, satellite: &Satellite, env: &Env, served: &ServedSite) -> Result<Page, NoRandomness> {
        let Self { page, referrer, basis, state, client, now } = self;
        let secret = FlowSecret::new(random_bytes(&*env.random)?);
        let look_alike = client.is_some_and(|client| satellite.departures.leave(client, env.clock.uptime()));
        let request = HopRequest { flow: secret.flow(), issued_at: now, basis, look_alike, page: Some(page), referrer };
        let site = &served.site;
        let query = request.sign(&satellite.primary, &site.origin, &site.hop_key);
        let state = SiteState { hop_begun: Some(now), ..state };
        let cookies = [env.cookies.set_hop(&secret), env.cookies.set_id(site, served.same_site, &state, now)];
        env.observer.saw(&Event { site: &site.origin, asking: None, step: Step::Start, code: "start", flow: Some(request.flow) });
        Ok(Page::Answer(redirect(Redirect::Start, Location::hop(&satellite.primary, &query), cookies.into_iter().flatten())))
    }
}

/// Whether hops may go, as far as the broker goes. While its keys are not known, its tokens could not be believed: every
/// visitor would come back with nothing and be left alone for a day (rules S12, S13). And while it does not know this site,
/// it would show every visitor its own 400 page (rule B1). Nor could its tokens be taken while nobody can tell whether they were used
/// before (rule T7), or whether their IDs were revoked (rule A14).
pub(super) fn circuit(satellite: &Satellite, env: &Env, site: &Origin) -> Circuit {
    let may_hop = || {
        satellite.siblings.load().can_hop(site)
            && satellite.replay.is_ready()
            && !satellite.access.is_refused(site)
            && judges_tokens(satellite, env)
    };
    match satellite.breaker.circuit() {
        Circuit::Closed if !may_hop() => Circuit::Unprobed,
        circuit => circuit,
    }
}

/// Whether the ID that a hop brings could be taken. Without the list of revoked IDs, only a broker node takes new ones: it has
/// minted them itself (rule A14).
pub(super) fn judges_tokens(satellite: &Satellite, env: &Env) -> bool {
    env.revoked.is_known() || satellite.keeper.is_some()
}
