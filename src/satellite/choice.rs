//! `POST /_throughline/consent` and `POST /_throughline/forget`: the visitor's word (rule C1).
//!
//! A yes counts on this site. A no ends the ID: here with this answer, and on all the company's sites once the broker knows.
//! The answer waits a moment for that and says whether it does; if not, the report goes on being tried.
//!
//! Both take a form or JSON. A form may name a `return` path on the same site and is answered by a redirect to it, so that
//! they work without script.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::rt::time::timeout;
use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::domain::consent::{Choice, Standing};
use crate::domain::contract::path;
use crate::domain::reports::{Report, Reported};
use crate::domain::site::Site;
use crate::domain::site_cookie::SiteState;
use crate::domain::url::PageUrl;
use crate::http::answer::{Redirect, Refusal, json, redirect};
use crate::http::facts::{facts, is_own_page};
use crate::http::{Env, ServedSite};

use super::Satellite;
use super::me::NOT_SAME_ORIGIN;

const NO_CHOICE: Refusal =
    Refusal { status: 422, code: "no_choice", advice: "Send choice=granted or choice=denied, as a form or as JSON." };

/// How long the answer to a refusal waits for the disk, and for the broker.
const DISK_TIME_MAX: Duration = Duration::from_millis(500);
const BROKER_TIME_MAX: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Body {
    consent: &'static str,
    /// After a refusal: whether the broker has taken it. While it has not, other sites may still know the ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    everywhere: Option<bool>,
}

/// Takes the visitor's choice; `body` has been read already.
pub async fn consent(
    satellite: &Satellite,
    env: &Env,
    served: &ServedSite,
    headers: &HeaderMap,
    body: &web::Bytes,
) -> HttpResponse {
    if !is_own_page(headers, &served.site, false) {
        return NOT_SAME_ORIGIN.json();
    }
    let choice = match field(headers, body, "choice").as_deref() {
        Some("granted") => Choice::Granted,
        Some("denied") => Choice::Denied,
        _ => return NO_CHOICE.json(),
    };
    answer(satellite, env, served, headers, body, choice).await
}

/// Forgets the visitor: the ID is gone, and the visitor counts as having refused.
pub async fn forget(
    satellite: &Satellite,
    env: &Env,
    served: &ServedSite,
    headers: &HeaderMap,
    body: &web::Bytes,
) -> HttpResponse {
    if !is_own_page(headers, &served.site, false) {
        return NOT_SAME_ORIGIN.json();
    }
    answer(satellite, env, served, headers, body, Choice::Denied).await
}

async fn answer(
    satellite: &Satellite,
    env: &Env,
    served: &ServedSite,
    headers: &HeaderMap,
    body: &web::Bytes,
    choice: Choice,
) -> HttpResponse {
    let site = &served.site;
    let now = env.clock.now();
    let facts = facts(&actix_web::http::Method::POST, path::CONSENT, headers, env, site, now);
    let signal = facts.gpc && site.honour_gpc;
    // With a refusal by the browser standing, a yes would be kept for nothing: nothing is set (rule S9).
    let (state, keep) = match choice {
        Choice::Granted => (SiteState { choice, ..facts.cookies.state }, !signal),
        _ => (SiteState::DENIED, true),
    };
    let ended = facts.cookies.state.identity.filter(|_| choice == Choice::Denied);
    let everywhere = match ended {
        Some(identity) => Some(end(satellite, env, site, identity.visitor, now).await),
        None => None,
    };
    let set = keep.then(|| env.cookies.set_id(site, served.same_site, &state, now)).flatten();
    let over = (facts.has_hop_cookie && choice == Choice::Denied).then(|| env.cookies.clear_hop()).flatten();
    let cookies = [set, over].into_iter().flatten();
    match field(headers, body, "return").filter(|_| is_form(headers)) {
        Some(page) => {
            let page = PageUrl::on(&site.origin, &page).unwrap_or_else(|_| PageUrl::front(&site.origin));
            redirect(Redirect::Clean, page.clean().into_location(), cookies)
        }
        None => {
            json(StatusCode::OK, &Body { consent: Standing::new(site.consent, choice, signal).as_str(), everywhere }, cookies)
        }
    }
}

/// Ends an ID on all sites. On those of this process at once, and whether the broker knows.
async fn end(satellite: &Satellite, env: &Env, site: &Site, visitor: VisitorId, at: UnixSeconds) -> bool {
    env.revoked.insert(visitor);
    let report = Report::Refusal { visitor, at };
    if let Some(file) = satellite.refusals.clone() {
        let (origin, report) = (site.origin.clone(), report.clone());
        let kept = timeout(DISK_TIME_MAX, web::block(move || file.add(&origin, &report))).await;
        if !matches!(kept, Ok(Ok(Ok(())))) {
            tracing::error!("a refusal cannot be kept on disk: it is lost if this process ends before the broker has it");
        }
    }
    let told = satellite.outbox.put_and_tell(&site.origin, report);
    matches!(timeout(BROKER_TIME_MAX, told).await, Ok(Ok(Reported::Recorded | Reported::Revoked)))
}

fn is_form(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"))
}

fn field(headers: &HeaderMap, body: &web::Bytes, name: &str) -> Option<String> {
    if is_form(headers) {
        return url::form_urlencoded::parse(body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    }
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
    object.get(name)?.as_str().map(String::from)
}
