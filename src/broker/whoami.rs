//! `GET /_throughline/whoami`: the 2014 way, for browsers that still let a page ask another site with its cookies.
//!
//! Off unless configured. It reads and never writes (rule B9). The query is signed by the satellite like a hop request, so
//! that it stands on consent and the token is bound to the browser that asked.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::domain::consent::Choice;
use crate::domain::decision::UNJUDGED;
use crate::domain::hop_request::{self, Endpoint, HopRequest};
use crate::domain::site_cookie::Identity;
use crate::http::Env;
use crate::http::answer::{Refusal, cors_json};
use crate::http::event::{Event, Step};
use crate::http::facts::facts;
use crate::store::record_keeper::Sighting;

use super::Broker;

const CLOSED: Refusal = Refusal {
    status: 404,
    code: "whoami_closed",
    advice: "The CORS route is not open. The operator can open it: whoami = true in [primary].",
};

const WRONG_ORIGIN: Refusal = Refusal {
    status: 403,
    code: "whoami_wrong_origin",
    advice: "Only a page of a registered site may ask, with the request that its own satellite signed.",
};

#[derive(Serialize)]
struct Body<'a> {
    token: Option<&'a str>,
}

/// Answers with a bounce token for the asking page's site, or with none.
#[must_use]
pub fn whoami(broker: &Broker, env: &Env, request: &HttpRequest) -> HttpResponse {
    if !broker.whoami {
        return CLOSED.json();
    }
    let query = request.query_string();
    let asking = request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let named = hop_request::site_named(query);
    let Some(site) = asking.filter(|asking| named.as_deref() == Some(*asking)).and_then(|asking| broker.site(asking)) else {
        let (site, code) = (&broker.primary.site.origin, WRONG_ORIGIN.code);
        env.observer.saw(&Event { site, asking: None, step: Step::Whoami, code, flow: None });
        let mut refusal = WRONG_ORIGIN.json();
        refusal.headers_mut().insert(header::VARY, header::HeaderValue::from_static("Origin"));
        return refusal;
    };
    let now = env.clock.now();
    let primary = &broker.primary.site;
    let facts = facts(request.method(), "/", request.headers(), env, primary, now);
    let master = facts.cookies.state;
    let refused = (facts.gpc && primary.honour_gpc) || master.choice == Choice::Denied || facts.is_speculative || !facts.is_get;
    let asked = hop_request::verify(query, Endpoint::Whoami, &primary.origin, &site.origin, site.hop_keys(), now);
    let (token, code, flow) = match (asked, master.identity) {
        (Err(refusal), _) => (None, refusal.code(), None),
        (Ok(_), _) if refused => (None, "refused", None),
        (Ok(_), None) if facts.cookies.is_withheld => (None, UNJUDGED, None),
        (Ok(_), None) => (None, "whoami_unknown", None),
        (Ok(asked), Some(identity)) => {
            // It sets no cookie, but the site knows the visitor from now on, and on what consent (rule C4).
            let HopRequest { basis, flow, .. } = asked;
            let Identity { visitor, created, .. } = identity;
            broker.keeper.note(&Sighting { visitor, created, site: &site.origin, basis, first: None });
            (broker.answer(env, site, &asked, &identity, now).ok(), "whoami_known", Some(flow))
        }
    };
    env.observer.saw(&Event { site: &primary.origin, asking: Some(&site.origin), step: Step::Whoami, code, flow });
    cors_json(&site.origin, &Body { token: token.as_ref().map(crate::token::mint::Token::as_str) })
}
