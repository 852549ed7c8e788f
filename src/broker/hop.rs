//! `GET /_throughline/hop`: the visitor comes from a secondary and goes straight back (rules B1 to B10).

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::rt::time::timeout;
use actix_web::{HttpRequest, HttpResponse};

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::domain::arrival::TOO_MANY;
use crate::domain::consent::Choice;
use crate::domain::decision::Reason;
use crate::domain::hop_request::{self, Endpoint, HopRequest, way_back};
use crate::domain::record::Outcome;
use crate::domain::referrer::Referrer;
use crate::domain::site::RegisteredSite;
use crate::domain::site_cookie::{Identity, SiteState, Source};
use crate::http::Env;
use crate::http::answer::{Answer, Redirect, Refusal, redirect};
use crate::http::event::{Event, Step, Timing, Work};
use crate::http::facts::{facts_beside, text};
use crate::http::host::PLAIN_HTTP;
use crate::store::record_keeper::{Noted, Sighting};
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

/// Rule B3: nobody is looking at this, so nothing may be set.
const NOT_A_NAVIGATION: Refusal = Refusal {
    status: 403,
    code: "not_a_navigation",
    advice: "This address only answers a browser that is on its way from one page to another.",
};

/// Why a known site's visitor is sent back without an ID (rule B2).
enum Nothing {
    Request(hop_request::HopRefusal),
    Visitor(&'static str),
    Unable,
}

/// Answers a hop. Who is seen for the first time is written down: the answer waits for that, but not long (rule A2).
#[must_use]
pub fn hop(broker: &Broker, env: &Env, request: &HttpRequest) -> Answer {
    let begun = env.clock.uptime();
    let Told { answer, code, flow } = answer(broker, env, request);
    env.observer.saw(&Event { site: &broker.primary.site.origin, step: Step::Hop, code, flow });
    match answer {
        Answer::Now(answer) => {
            let took = env.clock.uptime().saturating_sub(begun);
            env.observer.timed(&Timing { work: Work::Hop, site: &broker.primary.site.origin, code, flow, took });
            Answer::Now(answer)
        }
        Answer::Later(answer) => {
            let (clock, observer, primary) = (Arc::clone(&env.clock), Arc::clone(&env.observer), Arc::clone(&broker.primary));
            Answer::Later(Box::pin(async move {
                let answer = answer.await;
                let took = clock.uptime().saturating_sub(begun);
                observer.timed(&Timing { work: Work::Hop, site: &primary.site.origin, code, flow, took });
                answer
            }))
        }
    }
}

/// An answer, and what to tell of it.
struct Told {
    answer: Answer,
    code: &'static str,
    flow: Option<Flow>,
}

fn answer(broker: &Broker, env: &Env, request: &HttpRequest) -> Told {
    let without = |code, answer: HttpResponse| Told { answer: answer.into(), code, flow: None };
    let query = request.query_string();
    let named = hop_request::site_named(query);
    let Some(site) = named.and_then(|origin| broker.site(&origin)) else {
        return without(UNKNOWN_SITE.code, UNKNOWN_SITE.page());
    };
    let now = env.clock.now();
    let primary = &broker.primary.site;
    if env.came_by_http(primary, request.head()) {
        // Without the master cookie, the broker would mint one ID after another.
        let back = way_back(query, &site.origin).with_empty_parameter();
        return without(PLAIN_HTTP, redirect(Redirect::Onward, back, None));
    }
    let path_and_query = request.uri().path_and_query().map_or("/", |both| both.as_str());
    let (cookies, is_revoked) = env.read_id(request.headers(), primary, now);
    let facts = facts_beside(cookies, request.method(), path_and_query, request.headers(), &env.cookies);
    match facts.page_navigation(site.legacy_browsers) {
        Ok(()) => {}
        // A crawler that was led here goes back to the page that it wanted (rule S5), and so does a browser that cannot say
        // what it is doing, or whose word on it was taken out on the way: it may be a person's.
        Err(reason @ (Reason::Crawler | Reason::NoFetchMetadata)) => {
            let back = way_back(query, &site.origin).with_empty_parameter();
            return without(reason.code(), redirect(Redirect::Onward, back, None));
        }
        Err(reason) => {
            return without(reason.code(), NOT_A_NAVIGATION.page());
        }
    }
    let refused_by_browser = facts.gpc && primary.honour_gpc;
    if !env.may(request.head()) {
        let back = way_back(query, &site.origin).with_empty_parameter();
        return without(TOO_MANY, redirect(Redirect::Onward, back, None));
    }
    match take(broker, env, site, query, facts.cookies.state, refused_by_browser, now) {
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
            // Another node may have ended this ID a moment ago; the store knows.
            let ended = (!is_new).then(|| {
                let denied = broker.set_master(env, &SiteState::DENIED, now);
                let answer = redirect(Redirect::Onward, page.clone().with_empty_parameter(), denied);
                Ended { visitor: identity.visitor, revoked: Arc::clone(&env.revoked), answer }
            });
            let answer = redirect(Redirect::Onward, page.with_token(&token), cookie);
            Told { answer: written(noted, broker.hop_wait, answer, ended), code, flow }
        }
        Err(nothing) => {
            let code = match nothing {
                Nothing::Request(refusal) => refusal.code(),
                Nothing::Visitor(code) => code,
                Nothing::Unable => "hop_unable",
            };
            // A revoked ID goes from here as from any other site.
            let denied = is_revoked.then(|| broker.set_master(env, &SiteState::DENIED, now)).flatten();
            without(code, redirect(Redirect::Onward, way_back(query, &site.origin).with_empty_parameter(), denied))
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

fn take(
    broker: &Broker,
    env: &Env,
    site: &RegisteredSite,
    query: &str,
    master: SiteState,
    refused_by_browser: bool,
    now: UnixSeconds,
) -> Result<Answered, Nothing> {
    let asked = hop_request::verify(query, Endpoint::Hop, &broker.primary.site.origin, &site.origin, &site.hop_key, now)
        .map_err(Nothing::Request)?;
    if refused_by_browser || master.choice == Choice::Denied {
        return Err(Nothing::Visitor(Reason::Refused.code()));
    }
    let (identity, code) = match master.identity {
        Some(identity) => (identity, "hop_known"),
        None => {
            // A missing master is minted new, whatever the site may know (rule B6).
            let visitor = VisitorId::mint(&*env.random).map_err(|_| Nothing::Unable)?;
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
