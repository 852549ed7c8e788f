//! The endpoints of the listener for operators. Nothing of it is on the addresses that visitors reach.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::answer::Refusal;

use super::Admin;
use super::data::table;
use super::exposition::CONTENT_TYPE;
use super::families::exposition;
use super::health::health;
use super::page::page;

const WRONG_HOST: Refusal = Refusal {
    status: 421,
    code: "wrong_host",
    advice: "This listener answers to IP addresses, to localhost and to the names in hosts of [admin]; add this name there.",
};

const WRONG_METHOD: Refusal = Refusal { status: 405, code: "wrong_method", advice: "Everything here is only read: GET or HEAD." };

const NOTHING_THERE: Refusal =
    Refusal { status: 404, code: "not_found", advice: "There is nothing at this address; there are /, /metrics and /health." };

/// Two sites and the line between them.
const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\"><path d=\"M4 8h8\" stroke=\"#3b6fd4\" stroke-width=\"2\"/><circle cx=\"4\" cy=\"8\" r=\"3\" fill=\"#3b6fd4\"/><circle cx=\"12\" cy=\"8\" r=\"3\" fill=\"#1b9a68\"/></svg>";

/// Adds the endpoints.
pub fn endpoints(app: &mut web::ServiceConfig) {
    app.default_service(web::to(|admin: web::Data<Admin>, request: HttpRequest| {
        let answer = answer(&admin, &request);
        async move { answer }
    }));
}

fn answer(admin: &Admin, request: &HttpRequest) -> HttpResponse {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(|host| admin.hosts.admit(host)) {
        return WRONG_HOST.json();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return WRONG_METHOD.json();
    }
    match request.path() {
        "/metrics" => text(CONTENT_TYPE, exposition(&admin.metrics, &*admin.process)),
        "/health" => health(&*admin.process),
        "/" => page(admin),
        "/icon.svg" => text("image/svg+xml", ICON.to_owned()),
        path => data(admin, path.trim_start_matches('/')).unwrap_or_else(|| NOTHING_THERE.json()),
    }
}

/// The numbers behind a picture.
fn data(admin: &Admin, name: &str) -> Option<HttpResponse> {
    let (name, form) = name.split_once('.')?;
    match form {
        "json" => Some(text("application/json", table(admin, name)?.to_json())),
        "csv" => {
            let mut answer = text("text/csv; charset=utf-8", table(admin, name)?.to_csv());
            let attachment = HeaderValue::from_str(&format!("attachment; filename=\"throughline-{name}.csv\"")).ok()?;
            answer.headers_mut().insert(header::CONTENT_DISPOSITION, attachment);
            Some(answer)
        }
        _ => None,
    }
}

/// An answer that nobody keeps, and no other site's page may read.
fn text(content_type: &'static str, body: String) -> HttpResponse {
    HttpResponse::build(StatusCode::OK)
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((HeaderName::from_static("cross-origin-resource-policy"), "same-origin"))
        .body(body)
}
