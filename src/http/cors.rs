//! What a satellite on a sub-domain says so that the pages of its one site can ask it. Every other site is on its satellite's own
//! origin, and gets none of this.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};

use crate::domain::contract::PREFLIGHT_MAX_AGE;
use crate::domain::site::Site;

use super::answer::unstored;

const ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("Content-Type");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// What an answer to one request says of who may read it.
#[derive(Debug, Clone)]
pub enum Readers {
    /// Nothing: the browser lets the same origin alone.
    SameOrigin,
    /// The site's pages might, and this is none of them.
    Nobody,
    /// The page that asked, which is the site's.
    Page(HeaderValue),
}

impl Readers {
    /// Who may read the answer to a request with these headers.
    #[must_use]
    pub fn of(site: &Site, headers: &HeaderMap) -> Self {
        match headers.get(header::ORIGIN) {
            _ if site.satellite.is_none() => Self::SameOrigin,
            Some(from) if from.as_bytes() == site.origin.as_str().as_bytes() => Self::Page(from.clone()),
            Some(_) | None => Self::Nobody,
        }
    }

    /// Says so.
    #[must_use]
    pub fn mark(self, mut answer: HttpResponse) -> HttpResponse {
        let headers = answer.headers_mut();
        if !matches!(self, Self::SameOrigin) {
            headers.insert(header::VARY, ORIGIN);
        }
        if let Self::Page(origin) = self {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        answer
    }
}

/// Answers a browser that asks whether it may ask. To others than the site's pages it names nothing.
#[must_use]
pub fn preflight(site: &Site, headers: &HeaderMap) -> HttpResponse {
    let readers = Readers::of(site, headers);
    let mut answer = unstored(if matches!(readers, Readers::Page(_)) { StatusCode::NO_CONTENT } else { StatusCode::FORBIDDEN });
    if matches!(readers, Readers::Page(_)) {
        answer
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, METHODS))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, CONTENT_TYPE))
            .insert_header((header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE.as_secs().to_string()));
    }
    readers.mark(answer.finish())
}
