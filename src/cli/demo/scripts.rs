//! The scripts of the demo's pages. They are in the binary: the demo asks nobody outside for anything, and a policy sees to it.

use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse, web};
use ring::digest::{SHA256, digest};

use crate::base::encoding::base64;
use crate::base::origin::Origin;

use super::collector::answer;
use super::pages::Stage;
use super::wire::Library;

/// The folder of the libraries, each with its licence in [`NOTICE`].
pub(super) const LIBRARIES: &str = "/demo/libraries/";
/// What a page does that uses them.
pub(super) const ANALYTICS: &str = "/demo/analytics.js";
/// What fills the page.
pub(super) const PAGE: &str = "/demo/page.js";

/// The SDK's stub, inline and first in the page.
pub(super) const SNIPPET: &str = include_str!("../../../sdk/dist/snippet.js");

const NOTICE: &str = include_str!("../../../sdk/demo/NOTICE");

static SNIPPET_DIGEST: LazyLock<String> = LazyLock::new(|| base64(digest(&SHA256, SNIPPET.as_bytes()).as_ref()));

/// The policy of a company's page: nothing from elsewhere, but the CORS route of the broker.
pub(super) fn policy(broker: &Origin) -> String {
    format!(
        "default-src 'none'; script-src 'self' 'sha256-{}'; connect-src 'self' {broker}; style-src 'unsafe-inline'; img-src data:; \
         base-uri 'none'; frame-ancestors 'none'",
        *SNIPPET_DIGEST
    )
}

/// Serves one, by its name.
pub(super) async fn script(request: HttpRequest, stage: web::Data<Stage>) -> HttpResponse {
    if stage.site_name(&request).is_none() {
        return HttpResponse::MisdirectedRequest().finish();
    }
    let javascript = "text/javascript; charset=utf-8";
    match request.path() {
        ANALYTICS => answer(javascript).body(include_str!("analytics.js")),
        PAGE => answer(javascript).body(include_str!("page.js")),
        path => match path.strip_prefix(LIBRARIES) {
            Some("NOTICE") => answer("text/plain; charset=utf-8").body(NOTICE),
            Some(file) => match file.strip_suffix(".js").and_then(Library::named) {
                Some(library) => answer(javascript).body(library.script),
                None => HttpResponse::NotFound().finish(),
            },
            None => HttpResponse::NotFound().finish(),
        },
    }
}
