//! The broker, looked at from outside.

use crate::base::origin::Origin;
use crate::cli::checkup::Checkup;
use crate::domain::contract::path;
use crate::domain::documents::Metadata;

use super::basics::{answered, plain};
use super::blocked::{PASS_ON, blocked};
use super::names::{API_CLOSED, BROKER_HOP, METADATA};
use super::party::{Party, shown};
use super::setting::Setting;

/// How many of the sites that a satellite knows are asked whether they are the primary.
const ASKED_MAX: usize = 32;

/// The metadata that `party` publishes, if it does.
pub(super) async fn read_metadata(party: &Party) -> Option<Metadata> {
    let answer = plain(party, path::METADATA, &[]).await.ok().filter(|answer| answer.status == 200)?;
    serde_json::from_slice(&answer.body).ok()
}

/// The origins of the company's sites, as the satellite tells its own pages.
pub(super) async fn siblings(setting: &Setting<'_>) -> Vec<Origin> {
    let headers = [("Sec-Fetch-Site", "same-origin")];
    let Ok(answer) = plain(&setting.site, path::ME, &headers).await else { return Vec::new() };
    let me: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let sites = me["sites"].as_array().into_iter().flatten().filter_map(|site| site.as_str());
    sites.filter_map(|site| Origin::parse(site).ok()).filter(|site| *site != setting.site.origin).take(ASKED_MAX).collect()
}

/// Whether the broker says who it is, and knows the site.
pub(super) async fn metadata(broker: &Party, site: &Origin, checkup: &mut Checkup) {
    let origin = &broker.origin;
    let Some(answer) = answered(checkup, METADATA, origin, plain(broker, path::METADATA, &[]).await) else { return };
    let Ok(metadata) = serde_json::from_slice::<Metadata>(&answer.body) else {
        let (seen, advice) = blocked(path::METADATA, &answer);
        let advice = if advice == PASS_ON { "Pass /.well-known/throughline on the primary on to the broker." } else { advice };
        checkup.fail(METADATA, origin, seen, advice);
        return;
    };
    if metadata.protocol != 1 || metadata.issuer != origin.as_str() {
        let seen = format!("it says to be {}, protocol {}", shown(&metadata.issuer), metadata.protocol);
        checkup.fail(
            METADATA,
            origin,
            seen,
            "Let the primary's origin be the same in every configuration, and in the proxy in front.",
        );
    } else if site != origin && !metadata.sites.iter().any(|entry| entry.origin == site.as_str()) {
        let advice = "Add a [[site]] with this exact origin and the site's secret to the broker's configuration, and restart it.";
        checkup.fail(METADATA, origin, format!("the broker does not know {site}"), advice);
    } else {
        checkup.ok(METADATA, origin, format!("protocol 1, {} sites", metadata.sites.len()));
    }
}

/// The API wants a key, and the hop knows whom it sends back.
pub(super) async fn closed(broker: &Party, checkup: &mut Checkup) {
    let origin = &broker.origin;
    let path = format!("{}00000000-0000-4000-8000-000000000000", path::API_VISITORS);
    if let Some(answer) = answered(checkup, API_CLOSED, origin, plain(broker, &path, &[]).await) {
        match (answer.status, answer.refusal().as_deref()) {
            (401, Some("no_api_key")) => {
                checkup.ok(API_CLOSED, origin, "it wants a key");
            }
            (404, None) => {
                checkup.ok(API_CLOSED, origin, "not reachable from outside");
            }
            (200..=299, _) | (_, Some(_)) => {
                let advice = "Let no proxy add an Authorization header to what comes from outside.";
                checkup.fail(API_CLOSED, origin, format!("without a key it answers {}", answer.summary()), advice);
            }
            _ => {
                let (seen, advice) = blocked("the server-to-server API", &answer);
                let seen = format!("{seen}: satellites on other machines report refusals and visits there");
                checkup.fail(API_CLOSED, origin, seen, advice);
            }
        }
    }
    let stranger = "https%3A%2F%2Fthroughline-doctor.invalid";
    let path = format!("{}?v=1&site={stranger}&return={stranger}%2F", path::HOP);
    if let Some(answer) = answered(checkup, BROKER_HOP, origin, plain(broker, &path, &[]).await)
        && (answer.status != 400 || answer.leads_on())
    {
        let (seen, advice) = match answer.status {
            300..400 if answer.target().is_some_and(|target| target.contains("throughline-doctor.invalid")) => {
                let advice = "Let the broker's own 400 page through: nobody who is not registered may be sent anywhere.";
                (format!("a hop for an unknown site is answered with {}", answer.summary()), advice)
            }
            _ => blocked(path::HOP, &answer),
        };
        checkup.fail(BROKER_HOP, origin, seen, advice);
    }
}
