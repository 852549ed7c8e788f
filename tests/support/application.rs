//! An application behind the middleware that answers every request with what it was told.

use std::time::Duration;

use actix_web::rt::time::sleep;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use throughline::http::visitor::Visitor;

/// A page that takes long.
const SLOW: &str = "/slow";
const SLOW_TIME: Duration = Duration::from_millis(1500);

/// Answers 200 with JSON: `target`, `visitor`, `source`, `consent`, and `headers` as a list of pairs.
pub(crate) fn echo(app: &mut ServiceConfig) {
    app.default_service(web::to(answer));
}

async fn answer(request: HttpRequest, visitor: Visitor) -> HttpResponse {
    if request.path() == SLOW {
        sleep(SLOW_TIME).await;
    }
    let headers = request.headers().iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())));
    HttpResponse::Ok().json(json!({
        "target": request.uri().path_and_query().map(|both| both.as_str()),
        "visitor": visitor.id().map(|id| id.to_string()),
        "source": visitor.source().map(|source| source.as_str()),
        "consent": visitor.consent(),
        "headers": headers.collect::<Vec<_>>(),
    }))
}
