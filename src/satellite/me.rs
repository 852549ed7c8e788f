//! `GET /_throughline/me`: what the page's own script may know.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::http::answer::{Refusal, json};
use crate::http::facts::{facts, is_same_origin};
use crate::http::{Env, ServedSite};

/// For every endpoint that only the site's own pages may use.
pub(super) const NOT_SAME_ORIGIN: Refusal = Refusal {
    status: 403,
    code: "not_same_origin",
    advice: "Only the site's own pages may ask this; call it from a script or form of the same origin.",
};

/// The answer. `first_touch` and `properties` belong to the visitor record, which this version does not keep: they are
/// always empty.
#[derive(Serialize)]
struct Me {
    visitor: Option<String>,
    source: Option<&'static str>,
    consent: &'static str,
    first_touch: Option<()>,
    properties: serde_json::Map<String, serde_json::Value>,
}

/// Answers with what this site knows of the visitor.
#[must_use]
pub fn me(env: &Env, served: &ServedSite, request: &HttpRequest) -> HttpResponse {
    if !is_same_origin(request.headers(), &served.site.origin, true) {
        return NOT_SAME_ORIGIN.json();
    }
    let facts = facts(request.method(), "/", request.headers(), &env.cookies, &served.site, env.clock.now());
    let standing = facts.standing(&served.site);
    let identity = facts.cookies.state.identity.filter(|_| standing.basis().is_some());
    let me = Me {
        visitor: identity.map(|identity| identity.visitor.to_string()),
        source: identity.map(|identity| identity.source.as_str()),
        consent: standing.as_str(),
        first_touch: None,
        properties: serde_json::Map::new(),
    };
    json(StatusCode::OK, &me, None)
}
