//! `/_throughline/me`: what the page's own script may know, and what it may have remembered.
//!
//! The ID and the consent come from the cookie. First touch and properties come from the visitor record, which may be
//! somewhere else: `record` says whether it was there to be asked.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderValue};
use actix_web::rt::time::{sleep, timeout};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Serialize, Serializer};

use crate::base::clock::UnixSeconds;
use crate::domain::consent::Standing;
use crate::domain::first_touch::FirstTouch;
use crate::domain::properties::{Properties, PropertyChange};
use crate::domain::record::{Outcome, Record};
use crate::domain::reports::{Report, Reported};
use crate::domain::siblings::Siblings;
use crate::domain::site_cookie::{Identity, SiteState, Source};
use crate::http::answer::{Answer, Refusal, json, property_refused};
use crate::http::facts::{gpc, is_own_page};
use crate::http::remote_records::ASK_TIME_MAX;
use crate::http::{Env, ServedSite};
use crate::store::records::{Records, Unavailable};

use super::page::note_known;
use super::{Satellite, script_hop};

/// For every endpoint that only the site's own pages may use.
pub(super) const NOT_SAME_ORIGIN: Refusal = Refusal {
    status: 403,
    code: "not_same_origin",
    advice: "Only the site's own pages may ask this; call it from a script or form of the same origin.",
};

const NO_VISITOR: Refusal = Refusal {
    status: 409,
    code: "no_visitor",
    advice: "This browser has no visitor ID that could be remembered anything of; ask again once `me` names one.",
};

const UNAVAILABLE: Refusal =
    Refusal { status: 503, code: "unavailable", advice: "The visitor record cannot be had just now; ask again later." };

/// How long the page's script waits for the record: less than it would wait for the ID itself.
const RECORD_TIME_MAX: Duration = Duration::from_millis(500);

/// For so long after an ID came to a site, the broker may not have heard of it yet.
const JUST_CAME_SPAN: Duration = Duration::from_secs(5);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

#[derive(Serialize)]
struct Me {
    visitor: Option<String>,
    source: Option<&'static str>,
    consent: &'static str,
    first_touch: Option<FirstTouch>,
    properties: Properties,
    record: &'static str,
    /// The script must know which pages are the company's own: which referrers to hide, and which links to carry the ID over.
    #[serde(serialize_with = "names")]
    sites: Arc<Siblings>,
    /// Where the page's script does the hop: whether it may begin one now.
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<bool>,
}

fn names<S: Serializer>(siblings: &Arc<Siblings>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(siblings.names())
}

struct Known {
    identity: Option<Identity>,
    standing: Standing,
    /// There is an ID, and the node cannot tell whether it counts (rule A14).
    is_withheld: bool,
    /// The cookie that replaces one with a revoked ID.
    cookie: Option<HeaderValue>,
}

fn known(env: &Env, served: &ServedSite, headers: &HeaderMap) -> Known {
    let (site, now) = (&served.site, env.clock.now());
    let (reading, is_revoked) = env.read_id(headers, site, now);
    let standing = Standing::new(site.consent, reading.state.choice, site.honour_gpc && gpc(headers));
    let cookie = is_revoked.then(|| env.cookies.set_id(site, served.same_site, &SiteState::DENIED, now)).flatten();
    Known {
        identity: reading.state.identity.filter(|_| standing.basis().is_some()),
        standing,
        is_withheld: reading.is_withheld,
        cookie,
    }
}

/// Answers with what is known of the visitor.
#[must_use]
pub fn me(satellite: &Satellite, env: &Env, served: &ServedSite, request: &HttpRequest) -> Answer {
    if !is_own_page(request.headers(), &served.site, true) {
        return NOT_SAME_ORIGIN.json().into();
    }
    let Known { mut identity, standing, mut cookie, .. } = known(env, served, request.headers());
    let mut start = None;
    if let Some(offer) = script_hop::offer(satellite, env, served, request) {
        (identity, start) = (offer.identity, Some(offer.may_start));
        cookie = offer.cookie;
    }
    let mut me = Me {
        visitor: identity.map(|identity| identity.visitor.to_string()),
        source: identity.map(|identity| identity.source.as_str()),
        consent: standing.as_str(),
        first_touch: None,
        properties: Properties::default(),
        record: "none",
        sites: satellite.siblings.load_full(),
        start,
    };
    // A provisional ID has no record.
    let Some(identity) = identity.filter(|identity| identity.source != Source::Provisional) else {
        return json(StatusCode::OK, &me, cookie).into();
    };
    note_known(satellite, served, &identity, standing);
    let (records, origin) = (Arc::clone(&satellite.records), served.site.origin.clone());
    let just_came = env.clock.now().since(identity.created) <= JUST_CAME_SPAN;
    Answer::Later(Box::pin(async move {
        let mut was_asked = false;
        let read = async {
            loop {
                match records.read(&origin, identity.visitor).await {
                    // A link brought the visitor a moment ago, perhaps to another node, and the broker is being told.
                    Ok(None) if just_came => was_asked = true,
                    read => break read,
                }
                sleep(LOOK_AGAIN_AFTER).await;
            }
        };
        match timeout(RECORD_TIME_MAX, read).await {
            Ok(Ok(Some(record))) => {
                let Record { first_touch, properties, .. } = *record;
                me = Me { first_touch, properties, record: "present", ..me };
            }
            Ok(Ok(None)) => {}
            Err(_) if was_asked => {}
            Ok(Err(_)) | Err(_) => me.record = "unavailable",
        }
        json(StatusCode::OK, &me, None)
    }))
}

#[derive(Serialize)]
struct Remembered {
    properties: Properties,
}

/// Changes the visitor's properties; `body` has been read already. Registering needs no version: the last word counts, and
/// `set_once` never replaces one.
pub async fn remember(
    satellite: &Satellite,
    env: &Env,
    served: &ServedSite,
    headers: &HeaderMap,
    body: &web::Bytes,
) -> HttpResponse {
    if !is_own_page(headers, &served.site, false) {
        return NOT_SAME_ORIGIN.json();
    }
    let change = match PropertyChange::parse(body) {
        Ok(change) => change,
        Err(refusal) => return property_refused(&refusal),
    };
    let Known { identity, standing, is_withheld, .. } = known(env, served, headers);
    let Some(identity) = identity else { return if is_withheld { UNAVAILABLE } else { NO_VISITOR }.json() };
    if identity.source == Source::Provisional {
        // The broker does not know this ID and never will: what were remembered of it would be forgotten with it.
        return UNAVAILABLE.json();
    }
    let now = env.clock.now();
    let records = &*satellite.records;
    // One bound over all that follows: a proxy in front must not wait for longer (rule A2).
    let outcome = timeout(ASK_TIME_MAX, remembered(records, served, &identity, standing, change, now)).await;
    match outcome {
        Ok(Ok(Outcome::Properties(now))) => json(StatusCode::OK, &Remembered { properties: now.properties }, None),
        Ok(Ok(Outcome::Refused(refusal))) => property_refused(&refusal),
        Ok(Ok(Outcome::NotSeen | Outcome::Revoked)) => NO_VISITOR.json(),
        Ok(Ok(_) | Err(_)) | Err(_) => UNAVAILABLE.json(),
    }
}

async fn remembered(
    records: &dyn Records,
    served: &ServedSite,
    identity: &Identity,
    standing: Standing,
    change: PropertyChange,
    now: UnixSeconds,
) -> Result<Outcome, Unavailable> {
    let site = &served.site.origin;
    // An ID that came by a link is another site's word: it gives nothing that the broker did not confirm (rule L10).
    let is_brokers = identity.source == Source::Broker;
    match records.change_properties(site, identity.visitor, change.clone(), None).await {
        Ok(Outcome::NotSeen) if is_brokers && claim(records, served, identity, standing, now).await == Ok(Reported::Recorded) => {
            records.change_properties(site, identity.visitor, change, None).await
        }
        outcome => outcome,
    }
}

/// Reports an ID that a hop brought and that the broker has no record of, since what the hop would have written was lost (rule
/// A2). The broker takes this site's word where there is no record.
async fn claim(
    records: &dyn Records,
    served: &ServedSite,
    identity: &Identity,
    standing: Standing,
    at: UnixSeconds,
) -> Result<Reported, Unavailable> {
    let basis = standing.basis().ok_or_else(|| Unavailable("no consent".into()))?;
    let seen = Report::Seen { visitor: identity.visitor, at, basis };
    let outcomes = records.report(&served.site.origin, vec![seen]).await?;
    outcomes.first().copied().ok_or_else(|| Unavailable("no outcome".into()))
}
