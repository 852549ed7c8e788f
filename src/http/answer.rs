//! Answers of our own. This is the one place that writes a `Location`, and it takes only the type that can be one.

use std::pin::Pin;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use askama::Template;
use serde::Serialize;

use crate::domain::contract;
use crate::domain::properties::PropertyRefusal;
use crate::domain::url::{Location, PageUrl};

const VISITOR: HeaderName = HeaderName::from_static(contract::header::VISITOR);
const SOURCE: HeaderName = HeaderName::from_static(contract::header::SOURCE);
const STATUS: HeaderName = HeaderName::from_static(contract::header::STATUS);
const GO_TO: HeaderName = HeaderName::from_static(contract::header::GO_TO);
const COOKIES: [HeaderName; 2] =
    [HeaderName::from_static(contract::header::COOKIES[0]), HeaderName::from_static(contract::header::COOKIES[1])];
const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOINDEX: HeaderValue = HeaderValue::from_static("noindex");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const UNSAFE_NONE: HeaderValue = HeaderValue::from_static("unsafe-none");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");

/// How long a redirect of ours may be kept, and by what a cache must tell requests apart if it keeps it all the same.
const VARY_START: HeaderValue =
    HeaderValue::from_static("Cookie, Sec-Fetch-Dest, Sec-Fetch-Mode, Sec-Fetch-Site, Sec-GPC, Sec-Purpose, Accept, User-Agent");

/// The redirects of this protocol. None of them may be kept by a browser, none repeats a POST, and none says anything on
/// the referrer, so that the first page keeps the outside one (rule S15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirect {
    /// 302: on to the broker.
    Start,
    /// 302: on, or back, with or without a token.
    Onward,
    /// 303: to the clean page.
    Clean,
}

/// A redirect, with cookies.
#[must_use]
pub fn redirect(kind: Redirect, location: Location, cookies: impl IntoIterator<Item = HeaderValue>) -> HttpResponse {
    let status = match kind {
        Redirect::Start | Redirect::Onward => StatusCode::FOUND,
        Redirect::Clean => StatusCode::SEE_OTHER,
    };
    // A `Location` is printable ASCII by construction; were it not, there would be no redirect but an empty answer.
    let Ok(location) = HeaderValue::from_maybe_shared(actix_web::web::Bytes::from(location.into_string())) else {
        return HttpResponse::InternalServerError().finish();
    };
    let mut answer = unstored(status);
    answer.insert_header((header::LOCATION, location));
    // Browsers heed this header on redirects too. Ours neutralises one that a proxy adds beside it, which would take
    // window.opener from a popup on its first visit.
    answer.insert_header((CROSS_ORIGIN_OPENER_POLICY, UNSAFE_NONE));
    if kind == Redirect::Start {
        answer.insert_header((header::VARY, VARY_START));
    }
    with_cookies(&mut answer, cookies);
    answer.finish()
}

/// An answer that nobody keeps or indexes (rule B7).
pub(super) fn unstored(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = HttpResponseBuilder::new(status);
    answer.insert_header((header::CACHE_CONTROL, NO_STORE));
    answer.insert_header((X_ROBOTS_TAG, NOINDEX));
    answer
}

fn with_cookies(answer: &mut HttpResponseBuilder, cookies: impl IntoIterator<Item = HeaderValue>) {
    for cookie in cookies {
        answer.append_header((header::SET_COOKIE, cookie));
    }
}

/// The answer to a proxy that asks whether to serve a page: yes, and what to tell the application. Both headers are always
/// there: an empty one replaces whatever a client had sent, and some proxies put their own placeholder's name where one is
/// missing. A cookie goes under its own name, or under one that is read alone.
#[must_use]
pub fn told(status: StatusCode, visitor: &str, source: &'static str, cookie: Option<HeaderValue>, alone: bool) -> HttpResponse {
    let mut answer = HttpResponseBuilder::new(status);
    answer.insert_header((header::CACHE_CONTROL, NO_STORE));
    answer.insert_header((VISITOR, visitor));
    answer.insert_header((SOURCE, HeaderValue::from_static(source)));
    if let Some(cookie) = cookie {
        answer.insert_header((if alone { COOKIES[0].clone() } else { header::SET_COOKIE }, cookie));
    }
    answer.finish()
}

/// An answer in place of the page, as nginx can be told of one: its `auth_request` knows 401 only, and takes it apart again.
#[must_use]
pub fn for_auth_request(answer: &HttpResponse) -> HttpResponse {
    let mut told = unstored(StatusCode::UNAUTHORIZED);
    told.insert_header((STATUS, answer.status().as_str()));
    for (from, to) in [(header::LOCATION, GO_TO), (header::VARY, header::VARY)] {
        if let Some(value) = answer.headers().get(from) {
            told.insert_header((to, value.clone()));
        }
    }
    for (name, cookie) in COOKIES.into_iter().zip(answer.headers().get_all(header::SET_COOKIE)) {
        told.insert_header((name, cookie.clone()));
    }
    told.finish()
}

/// JSON for the site's own script.
#[must_use]
pub fn json(status: StatusCode, body: &impl Serialize, cookies: impl IntoIterator<Item = HeaderValue>) -> HttpResponse {
    let mut answer = unstored(status);
    answer.insert_header((header::CONTENT_TYPE, JSON));
    answer.insert_header((header::X_CONTENT_TYPE_OPTIONS, NOSNIFF));
    answer.insert_header((HeaderName::from_static("cross-origin-resource-policy"), SAME_ORIGIN));
    with_cookies(&mut answer, cookies);
    answer.body(serde_json::to_string(body).unwrap_or_default())
}

/// JSON that a page of the one registered origin may read with its cookies (rule B9).
#[must_use]
pub fn cors_json(origin: &crate::base::origin::Origin, body: &impl Serialize) -> HttpResponse {
    let mut answer = unstored(StatusCode::OK);
    answer.insert_header((header::CONTENT_TYPE, JSON));
    answer.insert_header((header::X_CONTENT_TYPE_OPTIONS, NOSNIFF));
    answer.insert_header((header::VARY, HeaderValue::from_static("Origin")));
    answer.insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.as_str()));
    answer.insert_header((header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")));
    answer.body(serde_json::to_string(body).unwrap_or_default())
}

/// Public JSON that others keep for a while: metadata and key sets.
#[must_use]
pub fn public_json(content_type: &'static str, max_age: std::time::Duration, body: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, format!("public, max-age={}", max_age.as_secs())))
        .insert_header((X_ROBOTS_TAG, NOINDEX))
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(content_type)))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, NOSNIFF))
        .body(body)
}

/// A change of properties that is beyond a limit: nothing was changed.
#[must_use]
pub fn property_refused(refusal: &PropertyRefusal) -> HttpResponse {
    #[derive(Serialize)]
    struct Body<'a> {
        error: &'static str,
        key: Option<&'a str>,
        advice: String,
    }
    let body = Body { error: refusal.limit.code(), key: refusal.key.as_deref(), advice: refusal.to_string() };
    json(StatusCode::UNPROCESSABLE_ENTITY, &body, None)
}

/// An answer, or one that waits for the visitor record.
pub enum Answer {
    /// It is there.
    Now(HttpResponse),
    /// It comes.
    Later(LaterAnswer),
}

impl Answer {
    /// The same, changed when it is there.
    #[must_use]
    pub fn map(self, change: impl FnOnce(HttpResponse) -> HttpResponse + 'static) -> Self {
        match self {
            Self::Now(answer) => Self::Now(change(answer)),
            Self::Later(answer) => Self::Later(Box::pin(async move { change(answer.await) })),
        }
    }
}

/// An answer that comes.
pub type LaterAnswer = Pin<Box<dyn Future<Output = HttpResponse>>>;

impl From<HttpResponse> for Answer {
    fn from(answer: HttpResponse) -> Self {
        Self::Now(answer)
    }
}

/// A refusal, with its stable code. What the client sent is never in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// A stable name.
    pub code: &'static str,
    /// One sentence for people: what is wrong, and what to do.
    pub advice: &'static str,
}

#[derive(Serialize)]
struct RefusalBody {
    error: &'static str,
    advice: &'static str,
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage<'a> {
    code: &'static str,
    advice: &'static str,
    /// Where the page leads back to: URLs with their words.
    ways: &'a [(&'a str, &'static str)],
}

/// The page after a no that is known on this site alone. Nothing on it is secret.
#[derive(Template)]
#[template(path = "only_here.html")]
pub struct OnlyHere<'a> {
    /// The page to go back to.
    pub page: &'a str,
    /// Why the other sites do not know: a stable name.
    pub reason: &'static str,
}

impl OnlyHere<'_> {
    /// The page.
    #[must_use]
    pub fn page(&self, cookies: impl IntoIterator<Item = HeaderValue>) -> HttpResponse {
        let mut answer = own_page(StatusCode::OK);
        with_cookies(&mut answer, cookies);
        answer.body(self.render().unwrap_or_default())
    }
}

/// A page of our own. It is not cached, framed or indexed, and it loads nothing (rule B7).
fn own_page(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = unstored(status);
    answer.insert_header((header::CONTENT_TYPE, HTML));
    answer.insert_header((header::CONTENT_SECURITY_POLICY, PAGE_POLICY));
    answer.insert_header((header::X_CONTENT_TYPE_OPTIONS, NOSNIFF));
    answer
}

impl Refusal {
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST)
    }

    /// The refusal as JSON, for scripts.
    #[must_use]
    pub fn json(&self) -> HttpResponse {
        json(self.status(), &RefusalBody { error: self.code, advice: self.advice }, None)
    }

    /// The refusal as a page of our own, for people.
    #[must_use]
    pub fn page(&self) -> HttpResponse {
        self.page_with(&[])
    }

    /// The same with the way back: to the page that led here, if it is one of the site's own, and to the front page.
    #[must_use]
    pub fn page_with_way_back(&self, last: Option<&PageUrl>, front: &PageUrl) -> HttpResponse {
        let last = last.map(|page| (page.as_str(), "Back to the page you came from"));
        let ways: Vec<_> = last.into_iter().chain([(front.as_str(), "To the front page")]).collect();
        self.page_with(&ways)
    }

    fn page_with(&self, ways: &[(&str, &'static str)]) -> HttpResponse {
        let page = RefusedPage { code: self.code, advice: self.advice, ways }.render().unwrap_or_default();
        own_page(self.status()).body(page)
    }
}
