//! What an application behind the middleware may ask: who is this?

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest};

use crate::base::id::VisitorId;
use crate::domain::site_cookie::Source;

/// The visitor of this request, as an extractor. It is always there: without the middleware, or without an ID, it is
/// empty, since no fault of ours may cost a page (the first law).
///
/// ```
/// use actix_web::{HttpResponse, Responder};
/// use throughline::http::visitor::Visitor;
///
/// async fn page(visitor: Visitor) -> impl Responder {
///     match visitor.id() {
///         Some(id) => HttpResponse::Ok().body(format!("You are {id}.")),
///         None => HttpResponse::Ok().body("We do not know you, and that is fine."),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Visitor {
    identity: Option<(VisitorId, Source)>,
    consent: Option<&'static str>,
}

impl Visitor {
    pub(crate) const fn new(identity: Option<(VisitorId, Source)>, consent: &'static str) -> Self {
        Self { identity, consent: Some(consent) }
    }

    /// The visitor ID.
    #[must_use]
    pub fn id(&self) -> Option<VisitorId> {
        self.identity.map(|(id, _)| id)
    }

    /// Where the ID came from.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        self.identity.map(|(_, source)| source)
    }

    /// Where consent stands: `granted`, `denied` or `unknown`.
    #[must_use]
    pub fn consent(&self) -> &'static str {
        self.consent.unwrap_or("unknown")
    }
}

impl FromRequest for Visitor {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(request.extensions().get::<Self>().copied().unwrap_or_default()))
    }
}
