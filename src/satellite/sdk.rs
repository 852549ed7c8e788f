//! `GET /_throughline/sdk.js`: the browser SDK, as `sdk/` built it.
//!
//! It is in the binary, so that a page and the satellite behind it never disagree. It says nothing about the visitor, and every
//! cache may keep it.

use std::sync::LazyLock;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use ring::digest::{SHA256, SHA384, digest};

use crate::base::encoding::{base64, base64url};
use crate::domain::contract::path;

const SCRIPT: &str = include_str!("../../sdk/dist/sdk.js");

/// A page that does not say which version it wants has a new one within the hour.
const CHANGING: HeaderValue = HeaderValue::from_static("public, max-age=3600");
const UNCHANGING: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// 96 bits of the script's SHA-256: enough to tell versions apart. Nothing depends on it being hard to forge.
static VERSION: LazyLock<String> = LazyLock::new(|| base64url(&digest(&SHA256, SCRIPT.as_bytes()).as_ref()[..12]));

/// The value of a script tag's `integrity` (Subresource Integrity).
#[must_use]
pub fn integrity() -> String {
    format!("sha384-{}", base64(digest(&SHA384, SCRIPT.as_bytes()).as_ref()))
}

/// The path with this script's version, which a cache may keep for a year.
#[must_use]
pub fn versioned_path() -> String {
    format!("{}?v={}", path::SDK, *VERSION)
}

/// Answers with the script.
#[must_use]
pub fn sdk(request: &HttpRequest) -> HttpResponse {
    let tag = format!("\"{}\"", *VERSION);
    let is_versioned = request.query_string().strip_prefix("v=") == Some(VERSION.as_str());
    let known = request.headers().get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|value| value.split(',')).any(|one| one.trim().trim_start_matches("W/") == tag);
    let mut answer = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((header::CACHE_CONTROL, if is_versioned { UNCHANGING } else { CHANGING }))
        .insert_header((header::ETAG, tag))
        .insert_header((header::CONTENT_TYPE, "text/javascript; charset=utf-8"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    if is_known { answer.finish() } else { answer.body(SCRIPT) }
}
