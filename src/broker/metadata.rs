//! `GET /.well-known/throughline`: what satellites must know of the broker and of each other.

use actix_web::HttpResponse;

use crate::base::origin::Origin;
use crate::domain::contract::path;
use crate::domain::documents::{Metadata, SiteEntry};
use crate::domain::site::RegisteredSite;
use crate::http::answer::public_json;
use crate::token::keyset::JWKS_MAX_AGE;

use super::Broker;

pub(super) fn write(primary: &Origin, whoami: bool, sites: &[RegisteredSite]) -> String {
    let on = |origin: &Origin, path: &str| format!("{origin}{path}");
    let entry = |site: &RegisteredSite| SiteEntry {
        origin: site.origin.to_string(),
        jwks_uri: on(site.satellite.as_ref().unwrap_or(&site.origin), path::JWKS),
        satellite: site.satellite.as_ref().map(Origin::to_string),
    };
    let mut sites: Vec<_> = sites.iter().map(entry).collect();
    sites.sort_by(|one, other| one.origin.cmp(&other.origin));
    let metadata = Metadata {
        protocol: 1,
        issuer: primary.to_string(),
        hop_endpoint: on(primary, path::HOP),
        whoami_endpoint: whoami.then(|| on(primary, path::WHOAMI)),
        jwks_uri: on(primary, path::JWKS),
        sites,
    };
    serde_json::to_string(&metadata).unwrap_or_default()
}

/// Answers with the document.
#[must_use]
pub fn metadata(broker: &Broker) -> HttpResponse {
    public_json("application/json", JWKS_MAX_AGE, broker.metadata.clone())
}
