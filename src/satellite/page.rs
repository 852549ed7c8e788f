//! A request for a page: pass it on, start a hop, or use up a token. Whatever goes wrong here, the page is served.

use std::net::IpAddr;

use actix_web::HttpResponse;
use actix_web::dev::RequestHead;
use actix_web::http::header::{self, HeaderValue};

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::base::origin::Origin;
use crate::base::random::{NoRandomness, random_bytes};
use crate::domain::arrival::Refusal as ArrivalRefusal;
use crate::domain::breaker::Circuit;
use crate::domain::consent::Standing;
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
use crate::store::record_keeper::Sighting;
use crate::store::replay::Claiming;
use crate::token::claims::{Flow, FlowSecret};

use super::Satellite;
use super::arrive::{Brought, check};
use super::landing::{Landing, Waiting};

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
    /// Whom it is told of.
    pub visitor: Visitor,
    /// A cookie to add to its answer, which no shared cache may keep then.
    pub cookie: Option<HeaderValue>,
    /// The path and query without our parameter, if it was there.
    pub clean: Option<String>,
}

impl Served {
    pub(super) const fn plain(visitor: Visitor) -> Self {
        Self { visitor, cookie: None, clean: None }
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
        env.observer.saw(&Event { site: &site.origin, step: Step::Page, code: PLAIN_HTTP, flow: None });
        let clean = without_parameter(path_and_query);
        let clean = (clean != path_and_query).then(|| clean.into_owned());
        return Decided::Now(Page::Serve(Served { clean, ..Served::plain(Visitor::default()) }));
    }
    // Most requests come from a visitor who is known, and must cost next to nothing: the other headers are not looked at.
    let (cookies, is_revoked) = env.read_id(&head.headers, site, now);
    let standing = Standing::new(site.consent, cookies.state.choice, site.honour_gpc && gpc(&head.headers));
    if let Some(identity) = known(standing, &cookies.state, head.uri.query()) {
        note_known(satellite, served, &identity, standing);
        return Decided::Now(Page::Serve(Served::plain(visitor(Some(identity), standing))));
    }
    let mut facts = facts_beside(cookies, &head.method, path_and_query, &head.headers, &env.cookies);
    let client = || env.proxies.client_key(peer, &head.headers);
    if !facts.keeps_cookies() && facts.page_navigation(site.legacy_browsers).is_ok() {
        facts.is_bare_client = client().known().is_some_and(|key| satellite.bare_clients.contains(key, env.clock.uptime()));
    }
    let request = Request { satellite, env, served, head, facts: &facts, standing, is_revoked, now };
    let decision = decide(&facts, site, circuit(satellite, &site.origin), now);
    request.follow(decision, None, &client).map_or_else(|| request.consume(client), Decided::Now)
}

/// A hop for another site may have made the master cookie: the record learns here that the primary has seen the visitor, too.
/// On a secondary, the hop or the link has told.
fn note_known(satellite: &Satellite, served: &ServedSite, identity: &Identity, standing: Standing) {
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
            Decision::MintProvisional => self.mint(Source::Provisional),
            Decision::MintMaster => self.mint(Source::Broker),
        };
        if let (true, Page::Serve(served)) = (self.is_revoked, &mut page) {
            served.cookie = self.set_id(&SiteState::DENIED);
        }
        Some(page)
    }

    fn tell(&self, step: Step, code: &'static str, flow: Option<Flow>) {
        self.env.observer.saw(&Event { site: &self.served.site.origin, step, code, flow });
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

    /// Sends the visitor on a hop. The ID cookie notes the attempt for a day (rule S12), the hop cookie binds it to this
    /// browser for two minutes. Of clients that look alike and bring no such note, one leaves at a time (rule S16).
    fn start(&self, page: PageUrl, referrer: Option<Referrer>, client: &dyn Fn() -> ClientKey) -> Result<Page, NoRandomness> {
        let Some(basis) = self.standing.basis() else { return Ok(self.serve_without(Reason::NoConsent.code())) };
        let has_trace = self.facts.cookies.state.hop_begun.is_some();
        if !has_trace && !self.satellite.departures.may_leave(client(), self.env.clock.uptime()) {
            // A probe in place of a cookie that is there could undo a choice.
            return Ok(if self.facts.cookies.seen { self.serve_without(Reason::HopPaused.code()) } else { self.probe() });
        }
        let secret = FlowSecret::new(random_bytes(&*self.env.random)?);
        let request = HopRequest { flow: secret.flow(), issued_at: self.now, basis, page: Some(page), referrer };
        let query = request.sign(&self.satellite.primary, &self.served.site.origin, &self.served.site.hop_key);
        let state = SiteState { hop_begun: Some(self.now), ..self.facts.cookies.state };
        let cookies = [self.env.cookies.set_hop(&secret), self.set_id(&state)].into_iter().flatten();
        self.tell(Step::Start, "start", Some(request.flow));
        Ok(Page::Answer(redirect(Redirect::Start, Location::hop(&self.satellite.primary, &query), cookies)))
    }

    /// Uses up a token, or whatever else stands in our parameter.
    fn consume(&self, client: impl Fn() -> ClientKey) -> Decided {
        let begun = self.env.clock.uptime();
        let state = &self.facts.cookies.state;
        let checked = match parameter(self.facts.query()) {
            Parameter::Once(token) if !token.is_empty() && is_early_data(&self.head.headers) => {
                return Decided::Now(Page::Answer(TOO_EARLY.page()));
            }
            Parameter::Once(token) if !token.is_empty() && !self.env.may(self.head) => Err(ArrivalRefusal::TooMany),
            Parameter::Once(token) => {
                let headers = &self.head.headers;
                let brought = Brought { token, headers, referrer: referrer_origin(headers) };
                check(self.satellite, self.env, self.served, &brought, state, self.standing)
            }
            Parameter::Absent | Parameter::Repeated => Err(ArrivalRefusal::Repeated),
        };
        let landing = Landing {
            clean: without_parameter(self.facts.path_and_query).into_owned(),
            state: *state,
            standing: self.standing,
            keeps_cookies: self.facts.keeps_cookies(),
            client: client(),
            now: self.now,
            begun,
        };
        let land = |landing: Landing, outcome| Decided::Now(landing.land(self.satellite, self.env, self.served, outcome));
        let arriving = match checked {
            Ok(arriving) => arriving,
            Err(refusal) => return land(landing, Err(refusal)),
        };
        match arriving.claim(self.satellite, self.env) {
            Claiming::Now(claim) => land(landing, arriving.finish(self.satellite, self.served, claim)),
            Claiming::Soon(claim) => Decided::AfterClaim(Box::new(Waiting { claim, arriving, landing })),
        }
    }

    fn mint(&self, source: Source) -> Page {
        let Ok(minted) = VisitorId::mint(&*self.env.random) else { return self.serve_without("no_randomness") };
        let identity = Identity { visitor: minted, source, created: self.now };
        let cookie = self.set_id(&SiteState { identity: Some(identity), ..self.facts.cookies.state });
        self.tell(Step::Page, if source == Source::Broker { "minted" } else { "provisional" }, None);
        if source == Source::Broker {
            self.note(&identity);
        }
        Page::Serve(Served { cookie, ..Served::plain(visitor(Some(identity), self.standing)) })
    }
}

impl Request<'_> {
    /// The primary's own pages need no hop, so the record begins here. The page does not wait for it.
    fn note(&self, identity: &Identity) {
        let (Some(keeper), Some(basis)) = (&self.satellite.keeper, self.standing.basis()) else { return };
        let site = &self.served.site.origin;
        let page = PageUrl::on(site, self.facts.path_and_query).unwrap_or_else(|_| PageUrl::front(site));
        let referrer = text(&self.head.headers, &header::REFERER);
        let Identity { visitor, created, .. } = *identity;
        keeper.note(&Sighting { visitor, created, site, basis, first: Some((&page, referrer)) });
    }
}

/// Whether hops may go, as far as the broker goes. While its keys are not known, its tokens could not be believed: every
/// visitor would come back with nothing and be left alone for a day (rules S12, S13). And while it does not know this site,
/// it would show every visitor its own 400 page (rule B1). Nor could its tokens be taken while nobody can tell whether they were used
/// before (rule T7).
pub(super) fn circuit(satellite: &Satellite, site: &Origin) -> Circuit {
    match satellite.breaker.circuit() {
        Circuit::Closed if !satellite.siblings.load().can_hop(site) || !satellite.replay.is_ready() => Circuit::Unprobed,
        circuit => circuit,
    }
}
