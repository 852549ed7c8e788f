//! `POST /_throughline/consent` and `POST /_throughline/forget`: the visitor's choice (rules C1, C9).
//!
//! A yes counts on this site. A no ends the ID: here with this answer, and on all the company's sites once the broker knows.
//! The answer waits a moment for that and says whether it does; if not, the satellite goes on trying.
//!
//! Both take a form or JSON. A form may name a `return` path on the same site and is answered by a redirect to it, so that
//! they work without script. `forget` needs no body, and a refusal counts from any part of a body that arrived.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::RequestHead;
use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, StatusCode};
use actix_web::rt::spawn;
use actix_web::rt::time::timeout;
use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::base::origin::Origin;
use crate::domain::choice_body::{ChoiceBody, NoChoice};
use crate::domain::consent::{Choice, Standing};
use crate::domain::contract::{RETURN_LENGTH_MAX, path};
use crate::domain::reports::{Report, Reported};
use crate::domain::site::Site;
use crate::domain::site_cookie::SiteState;
use crate::domain::url::PageUrl;
use crate::http::answer::{OnlyHere, Redirect, Refusal, json, redirect};
use crate::http::body::{Body, body_kind};
use crate::http::facts::{SEC_FETCH_SITE, facts, is_own_page, referrer_origin, text};
use crate::http::remote_records::ASK_TIME_MAX;
use crate::http::{Env, ServedSite};

use super::Satellite;
use super::me::NOT_SAME_ORIGIN;

const NO_CHOICE: Refusal =
    Refusal { status: 422, code: "no_choice", advice: "Send choice=granted or choice=denied, as a form or as JSON." };

const DOUBLED_CHOICE: Refusal = Refusal {
    status: 422,
    code: "doubled_choice",
    advice: "Send choice once, in the body; it was there more than once, or in the query.",
};

/// How long the answer to a refusal waits for the disk, and for the broker.
const DISK_TIME_MAX: Duration = Duration::from_millis(500);
const BROKER_TIME_MAX: Duration = Duration::from_secs(1);

/// A proxy waits for longer than [`ASK_TIME_MAX`].
const _: () = assert!(DISK_TIME_MAX.as_millis() + BROKER_TIME_MAX.as_millis() < ASK_TIME_MAX.as_millis());

#[derive(Serialize)]
struct Answered {
    consent: &'static str,
    /// After a refusal: whether the broker has taken it. While it has not, other sites may still know the ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    everywhere: Option<bool>,
    /// Why it is not everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// How far a no about an ID has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// The broker has it.
    Everywhere,
    /// This site alone, for this reason.
    OnlyHere(&'static str),
}

/// The choice in a request.
///
/// # Errors
/// When there is none, or it is not clear (rule C9).
pub fn choice(head: &RequestHead, body: &Body) -> Result<Choice, NoChoice> {
    said(head, body).choice()
}

fn said<'a>(head: &'a RequestHead, body: &'a Body) -> ChoiceBody<'a> {
    let query = head.uri.query().unwrap_or_default();
    ChoiceBody { query, bytes: &body.bytes, kind: body_kind(&head.headers), is_whole: body.fault.is_none() }
}

/// Takes the visitor's choice.
pub async fn consent(
    satellite: &Arc<Satellite>,
    env: &Env,
    served: &ServedSite,
    head: &RequestHead,
    body: &Body,
) -> HttpResponse {
    let choice = choice(head, body);
    if !may_choose(&head.headers, &served.site, choice == Ok(Choice::Denied)) {
        return NOT_SAME_ORIGIN.json();
    }
    match (choice, body.fault) {
        (Ok(choice), _) => answer(satellite, env, served, head, body, choice).await,
        (Err(_), Some(fault)) => fault.json(),
        (Err(NoChoice::Missing), None) => NO_CHOICE.json(),
        (Err(NoChoice::Doubled), None) => DOUBLED_CHOICE.json(),
    }
}

/// Forgets the visitor: the ID is gone, and the visitor counts as having refused.
pub async fn forget(satellite: &Arc<Satellite>, env: &Env, served: &ServedSite, head: &RequestHead, body: &Body) -> HttpResponse {
    if !may_choose(&head.headers, &served.site, true) {
        return NOT_SAME_ORIGIN.json();
    }
    answer(satellite, env, served, head, body, Choice::Denied).await
}

/// Whether the site's own page sends the choice.
///
/// A page that tells no referrer makes an older browser send `Origin: null`, or nothing. For a no, the `Referer` or the word
/// `same-site` of a satellite's own pages is then enough: no other site can make the browser send those.
fn may_choose(headers: &HeaderMap, site: &Site, is_no: bool) -> bool {
    if is_own_page(headers, site, false) {
        return true;
    }
    let is_anonymous = headers.get(header::ORIGIN).is_none_or(|origin| origin.as_bytes() == b"null");
    let is_ours = match text(headers, &SEC_FETCH_SITE) {
        Some(from) => site.satellite.is_some() && from == "same-site",
        None => !headers.contains_key(SEC_FETCH_SITE) && referrer_origin(headers) == Some(site.origin.as_str()),
    };
    is_no && is_anonymous && is_ours
}

async fn answer(
    satellite: &Arc<Satellite>,
    env: &Env,
    served: &ServedSite,
    head: &RequestHead,
    body: &Body,
    choice: Choice,
) -> HttpResponse {
    let site = &served.site;
    let now = env.clock.now();
    let facts = facts(&Method::POST, path::CONSENT, &head.headers, env, site, now);
    let signal = facts.gpc && site.honour_gpc;
    // A choice keeps, or ends, an ID that cannot be judged now as well (rule A14).
    let held = if facts.cookies.is_withheld { env.cookies.read_id(&head.headers, site, now).state } else { facts.cookies.state };
    // With a refusal by the browser standing, a yes would be kept for nothing: nothing is set (rule S9).
    let (state, keep) = match choice {
        Choice::Granted => (SiteState { choice, ..held }, !signal),
        _ => (SiteState::DENIED, true),
    };
    let ended = held.identity.filter(|_| choice == Choice::Denied);
    let reached = match ended {
        Some(identity) => Some(end(satellite, env, site, identity.visitor, now).await),
        None => None,
    };
    let set = keep.then(|| env.cookies.set_id(site, served.same_site, &state, now)).flatten();
    let over = (facts.has_hop_cookie && choice == Choice::Denied).then(|| env.cookies.clear_hop()).flatten();
    let cookies = [set, over].into_iter().flatten();
    let page = said(head, body).return_page().map(|page| return_page(&site.origin, &page));
    match (page, reached) {
        (Some(page), Some(Reached::OnlyHere(reason))) => OnlyHere { page: page.as_str(), reason }.page(cookies),
        (Some(page), _) => redirect(Redirect::Clean, page.into_location(), cookies),
        (None, reached) => {
            let reason = reached.and_then(|reached| match reached {
                Reached::Everywhere => None,
                Reached::OnlyHere(reason) => Some(reason),
            });
            let everywhere = reached.map(|reached| reached == Reached::Everywhere);
            let consent = Standing::new(site.consent, choice, signal).as_str();
            json(StatusCode::OK, &Answered { consent, everywhere, reason }, cookies)
        }
    }
}

/// The page that a form wants to go back to, or the front page. A longer address would not fit into the head that a proxy takes
/// from a server behind it, and the cookie would be lost with the redirect.
fn return_page(origin: &Origin, page: &str) -> PageUrl {
    let page = (page.len() <= RETURN_LENGTH_MAX).then(|| PageUrl::on(origin, page).ok()).flatten();
    page.map_or_else(|| PageUrl::front(origin), |page| page.clean())
}

/// Ends an ID on all sites: on those of this process at once, elsewhere when the broker knows. A browser that goes away does
/// not stop it.
async fn end(satellite: &Arc<Satellite>, env: &Env, site: &Site, visitor: VisitorId, at: UnixSeconds) -> Reached {
    env.revoked.insert(visitor);
    let ending = spawn(pass_on(Arc::clone(satellite), site.origin.clone(), Report::Refusal { visitor, at }));
    let (ending, ()) = tokio::join!(ending, env.revoked.journal.settled());
    match ending {
        Ok(Some(Reported::Recorded | Reported::Revoked)) => Reached::Everywhere,
        Ok(Some(Reported::Failed)) => Reached::OnlyHere("not_yet"),
        Ok(Some(_)) => Reached::OnlyHere("not_taken"),
        _ if satellite.access.is_refused(&site.origin) => Reached::OnlyHere("site_refused"),
        _ => Reached::OnlyHere("not_yet"),
    }
}

/// Keeps a refusal on disk and reports it. `None` when the broker has not answered in time; it is then tried again.
async fn pass_on(satellite: Arc<Satellite>, site: Origin, report: Report) -> Option<Reported> {
    if let Some(file) = satellite.refusals.clone() {
        let (site, report) = (site.clone(), report.clone());
        let kept = timeout(DISK_TIME_MAX, web::block(move || file.add(&site, &report))).await;
        if !matches!(kept, Ok(Ok(Ok(())))) {
            tracing::error!("refusal not kept on disk: it is lost if this process ends before the broker has it");
        }
    }
    let told = satellite.outbox.put_and_tell(&site, report);
    timeout(BROKER_TIME_MAX, told).await.ok()?.ok()
}
