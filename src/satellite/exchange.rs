//! `/_throughline/exchange`: the page's own script brings a token: one that it got by the CORS route, or, where the satellite is on a
//! sub-domain, one that stood in the page's URL.
//!
//! A `GET` begins a flow: it sets the hop cookie and answers with the signed `whoami` URL to ask. The `POST` brings the
//! token. The rules of a token that comes in a URL hold for one that comes so.

use actix_web::dev::RequestHead;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use crate::base::json::{self, json_object, present};
use crate::base::random::random_bytes;
use crate::domain::breaker::Circuit;
use crate::domain::contract::path;
use crate::domain::hop_request::HopRequest;
use crate::http::answer::{self, Refusal};
use crate::http::event::{Event, Step, Timing, Work};
use crate::http::facts::{facts, is_early_data, is_own_page, origin_of, referrer_origin};
use crate::http::{Env, ServedSite};
use crate::token::claims::FlowSecret;

use super::Satellite;
use super::arrive::{self, check};
use super::me::NOT_SAME_ORIGIN;
use super::page::judges_tokens;

const NO_CONSENT: Refusal =
    Refusal { status: 409, code: "no_consent", advice: "The visitor has not agreed on this site; ask for consent first." };

const UNAVAILABLE: Refusal =
    Refusal { status: 503, code: "unavailable", advice: "An ID cannot be had just now; the page goes on without one." };

const NO_TOKEN: Refusal = Refusal { status: 422, code: "no_token", advice: "Send {\"token\": \"...\"} as JSON." };

const TOO_EARLY: Refusal =
    Refusal { status: 425, code: "too_early", advice: "Send it again once the connection's handshake is over." };

#[derive(Serialize)]
struct Begun {
    whoami: String,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
struct Brought {
    token: String,
    /// What `document.referrer` was when the token stood in the page's URL. The `Referer` of this request is the page itself.
    #[serde(default, deserialize_with = "present")]
    referrer: Option<String>,
}

json_object!(Brought);

#[derive(Serialize)]
struct Exchanged {
    exchanged: bool,
    reason: &'static str,
}

/// Begins a flow for the CORS route.
#[must_use]
pub fn begin(satellite: &Satellite, env: &Env, served: &ServedSite, request: &HttpRequest) -> HttpResponse {
    let site = &served.site;
    if !is_own_page(request.headers(), site, true) {
        return NOT_SAME_ORIGIN.json();
    }
    let now = env.clock.now();
    let facts = facts(request.method(), path::EXCHANGE, request.headers(), env, site, now);
    let Some(basis) = facts.standing(site).basis() else { return NO_CONSENT.json() };
    if satellite.breaker.circuit() != Circuit::Closed || facts.cookies.is_withheld || !judges_tokens(satellite, env) {
        return UNAVAILABLE.json();
    }
    // A hop that is under way in another tab keeps its secret.
    let secret = env.cookies.hop_secret(request.headers()).map_or_else(|| random_bytes(&*env.random).map(FlowSecret::new), Ok);
    let Ok(secret) = secret else { return UNAVAILABLE.json() };
    let query = HopRequest { flow: secret.flow(), issued_at: now, basis, look_alike: false, page: None, referrer: None }.sign(
        &satellite.primary,
        &site.origin,
        &site.hop_key,
    );
    let whoami = format!("{}{}?{query}", satellite.primary, path::WHOAMI);
    answer::json(StatusCode::OK, &Begun { whoami }, env.cookies.set_hop(&secret))
}

/// Takes the token; `body` has been read already.
pub async fn exchange(
    satellite: &Satellite,
    env: &Env,
    served: &ServedSite,
    head: &RequestHead,
    body: &web::Bytes,
) -> HttpResponse {
    let site = &served.site;
    let headers = &head.headers;
    if !is_own_page(headers, site, false) {
        return NOT_SAME_ORIGIN.json();
    }
    if is_early_data(headers) {
        return TOO_EARLY.json();
    }
    let Ok(Brought { token, referrer: told }) = json::read::<Brought>(body) else { return NO_TOKEN.json() };
    let referrer = match (&site.satellite, &told) {
        (Some(_), told) => told.as_deref().and_then(origin_of),
        (None, None) => referrer_origin(headers),
        (None, Some(_)) => return NO_TOKEN.json(),
    };
    let (now, begun) = (env.clock.now(), env.clock.uptime());
    let facts = facts(&actix_web::http::Method::POST, path::EXCHANGE, headers, env, site, now);
    // The flow is over, and its cookie would keep hops back (rule S12). Where the note of a hop by script is lost on the way, the
    // cookie stays: it is what starts no second hop (rule S18).
    let is_lost = site.satellite.is_some() && facts.cookies.state.hop_begun.is_none();
    let over = || if is_lost { None } else { env.cookies.clear_hop() };
    let brought = arrive::Brought::new(&token, head, referrer);
    let outcome = match check(satellite, env, served, &brought, &facts.cookies, facts.standing(site)) {
        Ok(arriving) => {
            let claim = arriving.claim(satellite, env).claimed().await;
            arriving.finish(satellite, served, claim)
        }
        Err(refusal) => Err(refusal),
    };
    let tell = |code, flow| {
        env.observer.saw(&Event { site: &site.origin, asking: None, step: Step::Arrival, code, flow });
        let took = env.clock.uptime().saturating_sub(begun);
        env.observer.timed(&Timing { work: Work::Exchange, site: &site.origin, asking: None, code, flow, took });
    };
    match outcome {
        Ok(arrived) => {
            tell(arrived.code, arrived.flow);
            let cookies = [env.cookies.set_id(site, served.same_site, &arrived.state, now), over()];
            answer::json(StatusCode::OK, &Exchanged { exchanged: true, reason: arrived.code }, cookies.into_iter().flatten())
        }
        Err(refusal) => {
            tell(refusal.code(), None);
            answer::json(StatusCode::OK, &Exchanged { exchanged: false, reason: refusal.code() }, over())
        }
    }
}
