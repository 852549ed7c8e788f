//! `GET /_throughline/sdk.js` and `hop.js`: the scripts for browsers, as `sdk/` built them.
//!
//! They are in the binary, so that a page and the satellite behind it never disagree. They say nothing about the visitor, and every
//! cache may keep them.

use std::sync::LazyLock;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use ring::digest::{SHA256, SHA384, digest};

use crate::base::encoding::{base64, base64url};
use crate::domain::contract::path;
use crate::domain::site::Site;

/// A page that does not say which version it wants has a new one within the hour.
const CHANGING: HeaderValue = HeaderValue::from_static("public, max-age=3600");
const UNCHANGING: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// A script that satellites serve.
pub struct Script {
    path: &'static str,
    text: &'static str,
    version: LazyLock<String>,
}

/// The browser SDK.
pub static SDK: Script = Script {
    path: path::SDK,
    text: include_str!("../../sdk/dist/sdk.js"),
    version: LazyLock::new(|| version(SDK.text.as_bytes())),
};

/// What does the hop by script.
pub static HOP: Script = Script {
    path: path::HOP_SCRIPT,
    text: include_str!("../../sdk/dist/hop.js"),
    version: LazyLock::new(|| version(HOP.text.as_bytes())),
};

/// 96 bits of the script's SHA-256: enough to tell versions apart. Nothing depends on it being hard to forge.
#[must_use]
pub fn version(script: &[u8]) -> String {
    base64url(&digest(&SHA256, script).as_ref()[..12])
}

impl Script {
    /// The value of a script tag's `integrity` (Subresource Integrity).
    #[must_use]
    pub fn integrity(&self) -> String {
        format!("sha384-{}", base64(digest(&SHA384, self.text.as_bytes()).as_ref()))
    }

    /// The path with this script's version, which a cache may keep for a year.
    #[must_use]
    pub fn versioned_path(&self) -> String {
        format!("{}?v={}", self.path, *self.version)
    }

    /// Answers with the script. Pages on another origin than their satellite can check its integrity, for which browsers want to
    /// be told that they may read it.
    #[must_use]
    pub fn answer(&self, site: &Site, request: &HttpRequest) -> HttpResponse {
        let tag = format!("\"{}\"", *self.version);
        let is_versioned = request.query_string().strip_prefix("v=") == Some(self.version.as_str());
        let known = request.headers().get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
        let is_known = known.flat_map(|value| value.split(',')).any(|one| one.trim().trim_start_matches("W/") == tag);
        let mut answer = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        answer
            .insert_header((header::CACHE_CONTROL, if is_versioned { UNCHANGING } else { CHANGING }))
            .insert_header((header::ETAG, tag))
            .insert_header((header::CONTENT_TYPE, "text/javascript; charset=utf-8"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        if site.satellite.is_some() {
            answer.insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"));
        }
        if is_known { answer.finish() } else { answer.body(self.text) }
    }
}
