//! The health of the whole process, for supervisors and load balancers: 200 while it should be given visitors, else 503.
//!
//! A broker that cannot be reached, or a store that takes no writes, changes nothing here: pages are served all the same, and
//! taking the process out of service would not (the first law).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;

use crate::domain::documents::{Health, RevocationsHealth};
use crate::domain::site::Role;
use crate::http::answer::json;

use super::Watched;

#[derive(Serialize)]
struct Process<'a> {
    /// `ok`, `unable` or `leaving`.
    status: &'a str,
    /// It answers, so it is alive.
    live: bool,
    ready: bool,
    /// Sites without a key to sign with.
    unable: Vec<String>,
    /// The circuit to the broker; not told where no satellite is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    broker: Option<&'static str>,
    /// Whether the replay memory that this process shares with others answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<&'static str>,
    /// Whether the store takes writes; only on a broker node.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<&'static str>,
    revocations: RevocationsHealth,
}

/// The answer to `/health`.
#[must_use]
pub fn health(process: &dyn Watched) -> HttpResponse {
    let (now, sites) = (process.clock().now(), process.sites());
    let unable = sites.iter().filter(|served| served.keys.load().signing_key(now).is_none());
    let unable: Vec<_> = unable.map(|served| served.site.origin.to_string()).collect();
    let status = match (process.is_leaving(), unable.is_empty()) {
        (true, _) => "leaving",
        (false, false) => Health::UNABLE,
        (false, true) => Health::OK,
    };
    let ready = status == Health::OK;
    let is_satellite = sites.iter().any(|served| served.site.role == Role::Secondary);
    let body = Process {
        status,
        live: true,
        ready,
        unable,
        broker: is_satellite.then(|| process.satellite().breaker.circuit().as_str()),
        replay: process.satellite().replay.is_shared_one_ready().map(|is_ready| if is_ready { Health::OK } else { Health::DOWN }),
        store: process.keeper().map(|keeper| keeper.writer().state().status.as_str()),
        revocations: process.revoked().health(now),
    };
    json(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body, None)
}
