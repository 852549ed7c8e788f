//! `GET /_throughline/hop`: the visitor comes from a secondary and goes straight back (rules B1 to B10).

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::rt::time::{sleep, timeout};
use actix_web::{HttpRequest, HttpResponse};

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::base::origin::Origin;
use crate::domain::arrival::TOO_MANY;
use crate::domain::consent::Choice;
use crate::domain::decision::{Reason, UNJUDGED};
use crate::domain::hop_request::{self, Endpoint, HopRequest, way_back};
use crate::domain::record::Outcome;
use crate::domain::referrer::Referrer;
use crate::domain::site::RegisteredSite;
use crate::domain::site_cookie::{Identity, Reading, SiteState, Source};
use crate::domain::url::Location;
use crate::http::Env;
use crate::http::answer::{Answer, Redirect, Refusal, redirect};
use crate::http::client_address::ClientKey;
use crate::http::event::{Event, Step, Timing, Work};
use crate::http::facts::{facts_beside, text};
use crate::http::host::PLAIN_HTTP;
use crate::store::record_keeper::{Noted, Sighting};
use crate::store::record_writer::NotWritten;
use crate::store::revoked_ids::RevokedIds;
use crate::token::claims::Flow;
use crate::token::mint::Token;

use super::Broker;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Rule B1: never a redirect, since there is nowhere to go back to.
const UNKNOWN_SITE: Refusal = Refusal {
    status: 400,
    code: "unknown_site",
    advice: "This address is part of how a company's websites recognise a visitor, and the website that sent you is not one of them. Its operator can add it to the broker's configuration.",
};

/// Marks a hop that the broker has redirected to itself once: by now, the look-alike's answer has reached its browser.
const SETTLED: &str = "&settled=1";

/// How long the first answer of two look-alikes may take to reach the browser, before the broker asks the second for the
/// master cookie once more (rules B6, S16).
const SETTLING_TIME: Duration = Duration::from_millis(100);

/// Rule B3: no page of ours belongs there, so nothing is set.
const NOT_A_NAVIGATION: Refusal = Refusal {
    status: 403,
    code: "not_a_navigation",
    advice: "This address only answers a browser that is on its way from one page to another.",
};

/// Why a known site's visitor is sent back without an ID (rule B2).
enum Nothing {
    Request(hop_request::HopRefusal),
    /// A look-alike's master cookie may be on its way to this browser.
    Unsettled,
    Visitor(&'static str),
    Unable,
}

/// Answers a hop. Who is seen for the first time is written down: the answer waits for that, but not long (rule A2).
#[must_use]
pub fn hop(broker: &Broker, env: &Env, request: &HttpRequest) -> Answer {
    let begun = env.clock.uptime();
    let Told { answer, code, flow, asking } = answer(broker, env, request);
    env.observer.saw(&Event { site: &broker.primary.site.origin, asking, step: Step::Hop, code, flow });
    match answer {
        Answer::Now(answer) => {
            let took = env.clock.uptime().saturating_sub(begun);
            env.observer.timed(&Timing { work: Work::Hop, site: &broker.primary.site.origin, asking, code, flow, took });
            Answer::Now(answer)
        }
        Answer::Later(answer) => {
            let (clock, observer, primary) = (Arc::clone(&env.clock), Arc::clone(&env.observer), Arc::clone(&broker.primary));
            let asking = asking.cloned();
            Answer::Later(Box::pin(async move {
                let answer = answer.await;
                let took = clock.uptime().saturating_sub(begun);
                let (site, asking) = (&primary.site.origin, asking.as_ref());
                observer.timed(&Timing { work: Work::Hop, site, asking, code, flow, took });
                answer
            }))
        }
    }
}

/// An answer, and what to tell of it.
struct Told<'a> {
    answer: Answer,
    code: &'static str,
    flow: Option<Flow>,
    /// The registered site that asked.
    asking: Option<&'a Origin>,
}

fn answer<'a>(broker: &'a Broker, env: &Env, request: &HttpRequest) -> Told<'a> {
    let query = request.query_string();
    let (query, is_settled) = query.strip_suffix(SETTLED).map_or((query, false), |query| (query, true));
    let named = hop_request::site_named(query);
    let now = env.clock.now();
    let Some(site) = named.as_deref().and_then(|origin| broker.site(origin)) else {
        let (broker_origin, uptime) = (&broker.primary.site.origin, env.clock.uptime());
        let back = named.and_then(|named| broker.removed.way_back(&named, query, broker_origin, now, uptime));
        let (code, answer) = match back {
            Some(page) => ("site_removed", redirect(Redirect::Onward, page, None)),
            None => (UNKNOWN_SITE.code, UNKNOWN_SITE.page()),
        };
        return Told { answer: answer.into(), code, flow: None, asking: None };
    };
    let asking = Some(&site.origin);
    let without = |code, answer: HttpResponse| Told { answer: answer.into(), code, flow: None, asking };
    let primary = &broker.primary.site;
    if env.came_by_http(primary, request.head()) {
        // Without the master cookie, the broker would mint one ID after another.
        let back = way_back(query, &site.origin).with_empty_parameter();
        return without(PLAIN_HTTP, redirect(Redirect::Onward, back, None));
    }
    let path_and_query = request.uri().path_and_query().map_or("/", |both| both.as_str());
    let (cookies, is_revoked) = env.read_id(request.headers(), primary, now);
    let facts = facts_beside(cookies, request.method(), path_and_query, request.headers(), &env.cookies);
    if let Err(reason) = facts.page_navigation(site.legacy_browsers) {
        // A frame or a prefetch shows no page that the visitor would miss. Any other such request may have been altered on the
        // way, so the visitor goes back to the page (rule B3).
        if facts.is_speculative || facts.is_framed() {
            return without(reason.code(), NOT_A_NAVIGATION.page());
        }
        let back = way_back(query, &site.origin).with_empty_parameter();
        return without(reason.code(), redirect(Redirect::Onward, back, None));
    }
    let refused_by_browser = facts.gpc && primary.honour_gpc;
    if !env.may(request.head()) {
        let back = way_back(query, &site.origin).with_empty_parameter();
        return without(TOO_MANY, redirect(Redirect::Onward, back, None));
    }
    let client = || env.proxies.client_key(request.peer_addr().map(|address| address.ip()), request.headers());
    let keeps_cookies = facts.cookies.seen;
    let question = Asking { site, query, is_settled, keeps_cookies, client: &client, refused_by_browser, now };
    match take(broker, env, &question, &facts.cookies) {
        Ok(Answered { asked, identity, token, cookie, code }) => {
            let flow = Some(asked.flow);
            let page = asked.page.unwrap_or_else(|| way_back(query, &site.origin));
            let is_new = cookie.is_some();
            let noted = broker.keeper.note(&Sighting {
                visitor: identity.visitor,
                created: identity.created,
                site: &site.origin,
                basis: asked.basis,
                first: is_new.then(|| {
                    let told = asked.referrer.as_ref().map(Referrer::as_str);
                    (&page, told.or_else(|| text(request.headers(), &header::REFERER)))
                }),
            });
            // Another node may have ended this ID a moment ago; the store knows. Without a write there is no question.
            let ended = (!is_new && matches!(noted, Noted::Waiting(_))).then(|| {
                let denied = broker.set_master(env, &SiteState::DENIED, now);
                let answer = redirect(Redirect::Onward, page.clone().with_empty_parameter(), denied);
                Ended { visitor: identity.visitor, revoked: Arc::clone(&env.revoked), answer }
            });
            let answer = redirect(Redirect::Onward, page.with_token(&token), cookie);
            Told { answer: written(noted, broker.hop_wait, answer, ended), code, flow, asking }
        }
        Err(Nothing::Unsettled) => {
            let again = Location::hop(&primary.origin, &format!("{query}{SETTLED}"));
            let answer = async move {
                sleep(SETTLING_TIME).await;
                redirect(Redirect::Onward, again, None)
            };
            Told { answer: Answer::Later(Box::pin(answer)), code: "hop_settling", flow: None, asking }
        }
        Err(nothing) => {
            let (code, is_repeated) = match nothing {
                Nothing::Request(refusal) => (refusal.code(), broker.refused_again(query, env.clock.uptime())),
                Nothing::Visitor(code) => (code, false),
                Nothing::Unable | Nothing::Unsettled => ("hop_unable", false),
            };
            // A revoked ID goes from here as from any other site.
            let denied = is_revoked.then(|| broker.set_master(env, &SiteState::DENIED, now)).flatten();
            let back = way_back(query, &site.origin);
            let back = if is_repeated { back.with_stop() } else { back.with_empty_parameter() };
            without(code, redirect(Redirect::Onward, back, denied))
        }
    }
}

/// What is answered instead when the store says that the ID counts no more.
struct Ended {
    visitor: VisitorId,
    revoked: Arc<RevokedIds>,
    answer: HttpResponse,
}

/// Sends the answer when the write is committed, or after `wait` without that. `Server-Timing` says what became of it.
fn written(noted: Noted, wait: Duration, answer: HttpResponse, ended: Option<Ended>) -> Answer {
    let saying = |mut answer: HttpResponse, what| {
        answer.headers_mut().insert(SERVER_TIMING, HeaderValue::from_static(what));
        answer
    };
    match noted {
        Noted::Already => Answer::Now(answer),
        Noted::Lost => Answer::Now(saying(answer, "store;desc=lost")),
        Noted::Waiting(receipt) => Answer::Later(Box::pin(async move {
            match (timeout(wait, receipt).await, ended) {
                (Ok(Ok(Ok(Outcome::Revoked))), Some(ended)) => {
                    ended.revoked.insert(ended.visitor);
                    ended.answer
                }
                (Ok(Ok(Ok(Outcome::Done))), _) => saying(answer, "store;desc=written"),
                (Ok(Ok(Ok(Outcome::Unreadable) | Err(NotWritten::SetAside))), _) => saying(answer, "store;desc=set_aside"),
                _ => saying(answer, "store;desc=waiting"),
            }
        })),
    }
}

struct Answered {
    asked: HopRequest,
    identity: Identity,
    token: Token,
    cookie: Option<HeaderValue>,
    code: &'static str,
}

/// A hop request that is about to be verified.
struct Asking<'a> {
    site: &'a RegisteredSite,
    query: &'a str,
    is_settled: bool,
    /// The browser sent a cookie of the primary's: an answer of the primary has reached it.
    keeps_cookies: bool,
    client: &'a dyn Fn() -> ClientKey,
    refused_by_browser: bool,
    now: UnixSeconds,
}

fn take(broker: &Broker, env: &Env, asking: &Asking<'_>, cookies: &Reading) -> Result<Answered, Nothing> {
    let master = cookies.state;
    let Asking { site, query, is_settled, keeps_cookies, client, refused_by_browser, now } = *asking;
    let asked = hop_request::verify(query, Endpoint::Hop, &broker.primary.site.origin, &site.origin, site.hop_keys(), now)
        .map_err(Nothing::Request)?;
    if refused_by_browser || master.choice == Choice::Denied {
        return Err(Nothing::Visitor(Reason::Refused.code()));
    }
    if cookies.is_withheld {
        // The browser holds an ID, so none is minted over it (rule A14).
        return Err(Nothing::Visitor(UNJUDGED));
    }
    let (identity, code) = match master.identity {
        Some(identity) => (identity, "hop_known"),
        None => {
            let (client, uptime) = (client(), env.clock.uptime());
            let is_on_page = || client.known().is_some_and(|client| env.mints.is_on_page(client, uptime));
            if !is_settled && !keeps_cookies && (asked.look_alike || is_on_page()) {
                return Err(Nothing::Unsettled);
            }
            if let Some(client) = client.known() {
                env.mints.by_hop(client, uptime);
            }
            // A missing master is minted new, whatever the site may know (rule B6).
            let visitor = env.mint().map_err(|_| Nothing::Unable)?;
            (Identity { visitor, source: Source::Broker, created: now }, "hop_minted")
        }
    };
    let token = broker.answer(env, site, &asked, &identity, now).map_err(|_| Nothing::Unable)?;
    let cookie = match master.identity {
        Some(_) => None,
        None => broker.set_master(env, &SiteState { identity: Some(identity), ..master }, now),
    };
    Ok(Answered { asked, identity, token, cookie, code })
}
