//! `GET /_throughline/hop`: the visitor comes from a secondary and goes straight back (rules B1 to B10).

use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse};

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::domain::consent::Choice;
use crate::domain::decision::Reason;
use crate::domain::hop_request::{self, Endpoint, HopRequest, way_back};
use crate::domain::site::RegisteredSite;
use crate::domain::site_cookie::{Identity, SiteState, Source};
use crate::http::Env;
use crate::http::answer::{Redirect, Refusal, redirect};
use crate::http::event::{Event, Step};
use crate::http::facts::facts;
use crate::token::claims::Flow;
use crate::token::mint::Token;

use super::Broker;

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

/// Answers a hop.
#[must_use]
pub fn hop(broker: &Broker, env: &Env, request: &HttpRequest) -> HttpResponse {
    let query = request.query_string();
    let named = hop_request::site_named(query);
    let Some(site) = named.and_then(|origin| broker.site(&origin)) else {
        tell(broker, env, UNKNOWN_SITE.code, None);
        return UNKNOWN_SITE.page();
    };
    let now = env.clock.now();
    let primary = &broker.primary.site;
    let path_and_query = request.uri().path_and_query().map_or("/", |both| both.as_str());
    let facts = facts(request.method(), path_and_query, request.headers(), &env.cookies, primary, now);
    match facts.page_navigation(site.legacy_browsers) {
        Ok(()) => {}
        // A crawler that was led here goes back to the page that it wanted (rule S5), and so does a browser that cannot say
        // what it is doing, or whose word on it was taken out on the way: it may be a person's.
        Err(reason @ (Reason::Crawler | Reason::NoFetchMetadata)) => {
            tell(broker, env, reason.code(), None);
            return redirect(Redirect::Onward, way_back(query, &site.origin).with_empty_parameter(), None);
        }
        Err(reason) => {
            tell(broker, env, reason.code(), None);
            return NOT_A_NAVIGATION.page();
        }
    }
    let refused_by_browser = facts.gpc && primary.honour_gpc;
    match take(broker, env, site, query, facts.cookies.state, refused_by_browser, now) {
        Ok(Answered { request, token, cookie, code }) => {
            tell(broker, env, code, Some(request.flow));
            let page = request.page.unwrap_or_else(|| way_back(query, &site.origin));
            redirect(Redirect::Onward, page.with_token(&token), cookie)
        }
        Err(nothing) => {
            let code = match nothing {
                Nothing::Request(refusal) => refusal.code(),
                Nothing::Visitor(code) => code,
                Nothing::Unable => "hop_unable",
            };
            tell(broker, env, code, None);
            redirect(Redirect::Onward, way_back(query, &site.origin).with_empty_parameter(), None)
        }
    }
}

struct Answered {
    request: HopRequest,
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
    let request = hop_request::verify(query, Endpoint::Hop, &broker.primary.site.origin, &site.origin, &site.hop_key, now)
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
    let token = broker.answer(env, site, &request, &identity, now).map_err(|_| Nothing::Unable)?;
    let cookie = match master.identity {
        Some(_) => None,
        None => broker.set_master(env, &SiteState { identity: Some(identity), ..master }, now),
    };
    Ok(Answered { request, token, cookie, code })
}

fn tell(broker: &Broker, env: &Env, code: &'static str, flow: Option<Flow>) {
    env.observer.saw(&Event { site: &broker.primary.site.origin, step: Step::Hop, code, flow });
}
