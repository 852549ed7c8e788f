//! `/_throughline/api/`: the visitor records, for the company's own servers.
//!
//! 1. Each site, the primary too, authenticates with its API key, as a bearer token (RFC 6750), and acts for itself.
//! 2. It may touch only visitors that it has seen; of others it learns nothing, not even whether they are there: 404.
//! 3. Properties have a version, sent as `ETag` and asked for with `If-Match` (RFC 9110 section 13.1.1).
//! 4. What cannot be now is 503, and may be asked again. An answer waits for the store for `STORE_TIME_MAX` at most.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, web};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::base::id::VisitorId;
use crate::base::origin::Origin;
use crate::base::secret::ApiKey;
use crate::domain::contract::path;
use crate::domain::properties::PropertyChange;
use crate::domain::record::{Outcome, Versioned};
use crate::domain::reports::{REPORTS_MAX, Reports, ReportsAnswer, VisitorDocument};
use crate::http::answer::{Refusal, json, property_refused, public_json};
use crate::store::records::{Records as _, in_time};
use crate::token::keyset::JWKS_MAX_AGE;

use super::Broker;

const NO_KEY: Refusal = Refusal {
    status: 401,
    code: "no_api_key",
    advice: "Send Authorization: Bearer with the API key of a registered site; print it with: throughline keys api.",
};

const NO_VISITOR: Refusal = Refusal {
    status: 404,
    code: "no_visitor",
    advice: "This site has not seen such a visitor, or the visitor asked to be forgotten.",
};

const NOTHING_THERE: Refusal =
    Refusal { status: 404, code: "not_found", advice: "The API has nothing at this address; see its openapi.json." };

const WRONG_METHOD: Refusal =
    Refusal { status: 405, code: "wrong_method", advice: "This address is asked with another method; see Allow." };

const BAD_CURSOR: Refusal =
    Refusal { status: 422, code: "bad_cursor", advice: "after is the cursor of an earlier answer, or 0; send it once." };

const BAD_VERSION: Refusal = Refusal {
    status: 422,
    code: "bad_version",
    advice: "If-Match is the ETag of an earlier answer, such as \"7\", or *; send it once.",
};

const BAD_REPORTS: Refusal = Refusal {
    status: 422,
    code: "bad_reports",
    advice: "Send {\"reports\": [...]} with at most 200 reports, as the API's openapi.json describes them.",
};

const UNREADABLE: Refusal = Refusal {
    status: 503,
    code: "record_unreadable",
    advice: "What the store holds of this visitor is no record; the operator finds more in the broker's log.",
};

const UNAVAILABLE: Refusal =
    Refusal { status: 503, code: "store_unavailable", advice: "The store cannot be had just now; ask again later." };

/// A request, taken apart.
pub struct Asked {
    /// How.
    pub method: Method,
    /// For what; without the query.
    pub path: String,
    /// Behind the `?`.
    pub query: String,
    /// Names the site that asks.
    pub authorization: Authorization,
    /// The version that properties must have.
    pub if_match: Vec<HeaderValue>,
}

impl Asked {
    /// Takes a request apart.
    #[must_use]
    pub fn new(method: &Method, path: &str, query: &str, headers: &HeaderMap) -> Self {
        Self {
            method: method.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            authorization: Authorization::of(headers),
            if_match: headers.get_all(header::IF_MATCH).cloned().collect(),
        }
    }
}

/// What the `Authorization` header says.
pub enum Authorization {
    /// Nothing, or something for another scheme: the client may not know that it must.
    None,
    /// A key.
    Bearer(Zeroizing<String>),
    /// It is there twice, or is no text.
    Unusable,
}

impl Authorization {
    fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::AUTHORIZATION);
        let value = match (values.next(), values.next()) {
            (None, _) => return Self::None,
            (Some(value), None) => value,
            // It may be there once (RFC 9110 section 5.3): who of the two asks?
            (Some(_), Some(_)) => return Self::Unusable,
        };
        match value.to_str().map(|value| value.split_once(' ')) {
            Ok(Some((scheme, key))) if scheme.eq_ignore_ascii_case("bearer") => {
                Self::Bearer(Zeroizing::new(key.trim().to_owned()))
            }
            Ok(_) => Self::None,
            Err(_) => Self::Unusable,
        }
    }

    /// 401, with what RFC 6750 section 3 asks for.
    fn refused(&self) -> HttpResponse {
        let challenge = match self {
            Self::None => "Bearer realm=\"throughline\"",
            Self::Bearer(_) | Self::Unusable => "Bearer realm=\"throughline\", error=\"invalid_token\"",
        };
        let mut answer = NO_KEY.json();
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        answer
    }
}

/// Answers `site`, which is what [`Broker::who_asks`] says.
pub async fn api(broker: &Broker, site: Option<&Origin>, asked: Asked, body: web::Bytes) -> HttpResponse {
    let get = matches!(asked.method, Method::GET | Method::HEAD);
    if asked.path == path::API_DOCUMENT {
        let document = include_str!("../../docs/openapi.json").to_owned();
        return if get { public_json("application/json", JWKS_MAX_AGE, document) } else { only("GET, HEAD") };
    }
    let Some(site) = site else { return asked.authorization.refused() };
    if asked.path == path::API_REVOCATIONS {
        return if get { revocations(broker, &asked.query).await } else { only("GET, HEAD") };
    }
    if asked.path == path::API_REPORTS {
        return if asked.method == Method::POST { reports(broker, site, &body).await } else { only("POST") };
    }
    let Some(rest) = asked.path.strip_prefix(path::API_VISITORS) else { return NOTHING_THERE.json() };
    let (id, below) = rest.split_once('/').unwrap_or((rest, ""));
    let Some(visitor) = VisitorId::parse(id) else { return NO_VISITOR.json() };
    match below {
        "" if get => read(broker, site, visitor).await,
        "" => only("GET, HEAD"),
        "properties" if asked.method == Method::PATCH => change(broker, site, visitor, &asked.if_match, &body).await,
        "properties" => only("PATCH"),
        _ => NOTHING_THERE.json(),
    }
}

impl Broker {
    /// Whether a request comes from a site that the broker knows.
    #[must_use]
    pub fn may_ask(&self, asked: &Asked) -> bool {
        self.who_asks(asked).is_some()
    }

    /// The registered site whose API key a request has.
    #[must_use]
    pub fn who_asks(&self, asked: &Asked) -> Option<&Origin> {
        let Authorization::Bearer(key) = &asked.authorization else { return None };
        self.api_keys.get(&ApiKey::digest(key))
    }
}

async fn read(broker: &Broker, site: &Origin, visitor: VisitorId) -> HttpResponse {
    match in_time(broker.keeper.read(site, visitor)).await {
        Ok(Some(record)) => {
            let tag = etag(record.version);
            with_etag(json(StatusCode::OK, &VisitorDocument { visitor, record: *record }, None), tag)
        }
        Ok(None) => NO_VISITOR.json(),
        Err(_) => UNAVAILABLE.json(),
    }
}

async fn change(broker: &Broker, site: &Origin, visitor: VisitorId, if_match: &[HeaderValue], body: &web::Bytes) -> HttpResponse {
    let expected = match if_match {
        [] => None,
        [any] if any == "*" => None,
        [one] => match version(one) {
            Some(version) => Some(version),
            None => return BAD_VERSION.json(),
        },
        _ => return BAD_VERSION.json(),
    };
    let change = match PropertyChange::parse(body) {
        Ok(change) => change,
        Err(refusal) => return property_refused(&refusal),
    };
    match in_time(broker.keeper.change_properties(site, visitor, change, expected)).await {
        Ok(outcome) => changed(&outcome),
        Err(_) => UNAVAILABLE.json(),
    }
}

fn changed(outcome: &Outcome) -> HttpResponse {
    match outcome {
        Outcome::Properties(versioned) => with_etag(json(StatusCode::OK, versioned, None), etag(versioned.version)),
        Outcome::Conflict(versioned) => {
            let body = Conflict {
                error: "wrong_version",
                advice: "They were changed meanwhile; see what they are now.",
                now: versioned,
            };
            with_etag(json(StatusCode::PRECONDITION_FAILED, &body, None), etag(versioned.version))
        }
        Outcome::Refused(refusal) => property_refused(refusal),
        Outcome::NotSeen | Outcome::Revoked => NO_VISITOR.json(),
        Outcome::Unreadable | Outcome::TooManyAliases | Outcome::Done => UNREADABLE.json(),
    }
}

#[derive(Serialize)]
struct Conflict<'a> {
    error: &'static str,
    advice: &'static str,
    #[serde(flatten)]
    now: &'a Versioned,
}

async fn reports(broker: &Broker, site: &Origin, body: &web::Bytes) -> HttpResponse {
    let Ok(Reports { reports }) = crate::base::json::read(body) else { return BAD_REPORTS.json() };
    if reports.len() > REPORTS_MAX {
        return BAD_REPORTS.json();
    }
    match in_time(broker.keeper.report(site, reports)).await {
        Ok(outcomes) => json(StatusCode::OK, &ReportsAnswer { outcomes }, None),
        Err(_) => UNAVAILABLE.json(),
    }
}

async fn revocations(broker: &Broker, query: &str) -> HttpResponse {
    let after = match query.strip_prefix("after=") {
        None if query.is_empty() => Some(0),
        None => None,
        Some(cursor) => cursor.parse().ok(),
    };
    let Some(after) = after else { return BAD_CURSOR.json() };
    match in_time(broker.keeper.revocations(after)).await {
        Ok(revocations) => json(StatusCode::OK, &revocations, None),
        Err(_) => UNAVAILABLE.json(),
    }
}

fn only(methods: &'static str) -> HttpResponse {
    let mut answer = WRONG_METHOD.json();
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    answer
}

fn etag(version: u64) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("\"{version}\"")).ok()
}

fn version(tag: &HeaderValue) -> Option<u64> {
    tag.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

fn with_etag(mut answer: HttpResponse, tag: Option<HeaderValue>) -> HttpResponse {
    if let Some(tag) = tag {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer
}
