//! The decision on a page, put so that the proxy which asked understands it (rule F3).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use crate::domain::site_cookie::Source;
use crate::http::answer::{for_auth_request, told};
use crate::http::forwarded::Dialect;
use crate::http::visitor::Visitor;

use super::page::{Page, Served};

/// The answer to a proxy that asked about a page. That our parameter is still in the URL when the application serves it, no
/// proxy could be told in a way that all understand; it means nothing by then.
#[must_use]
pub fn answer(dialect: Dialect, page: Page) -> HttpResponse {
    match (page, dialect) {
        (Page::Serve(Served { visitor, cookie, pending: _, clean: _ }), _) => {
            let id = visitor.id().map(|id| id.to_string()).unwrap_or_default();
            let source = visitor.source().map_or("", Source::as_str);
            match dialect {
                Dialect::Nginx => told(StatusCode::NO_CONTENT, &id, source, cookie, true),
                Dialect::Forward | Dialect::Envoy => told(StatusCode::OK, &id, source, cookie, false),
            }
        }
        (Page::Answer(answer), Dialect::Nginx) => for_auth_request(&answer),
        (Page::Answer(answer), Dialect::Forward | Dialect::Envoy) => answer,
    }
}

/// The answer where nobody can say which page was meant: it is served without an ID.
#[must_use]
pub fn unclear(dialect: Dialect) -> HttpResponse {
    answer(dialect, Page::Serve(Served::plain(Visitor::default())))
}
