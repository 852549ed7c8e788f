//! The background task that brings reports to the broker, and tries again while it does not answer.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::time::sleep;
use actix_web::web::block;

use crate::base::origin::Origin;
use crate::domain::breaker::Circuit;
use crate::domain::reports::{Report, Reported};

use super::Satellite;

const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(10);

/// Delivers what is put into the outbox. It never ends.
pub async fn deliver(satellite: Arc<Satellite>) {
    let mut pause = RETRY_FIRST;
    loop {
        let sites = satellite.outbox.sites();
        if sites.is_empty() {
            satellite.outbox.changed().await;
            continue;
        }
        let mut has_failed = false;
        for site in sites {
            // A site that the broker does not know, or whose report it does not understand, must not hold up the others.
            if let Err(problem) = deliver_for(&satellite, &site).await {
                if pause == RETRY_FIRST {
                    let waiting = satellite.outbox.len();
                    tracing::warn!(site = site.as_str(), problem, waiting, "reports wait for the broker");
                }
                has_failed = true;
                if satellite.breaker.circuit() != Circuit::Closed {
                    break;
                }
            }
        }
        if has_failed {
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_LAST);
        } else {
            pause = RETRY_FIRST;
        }
    }
}

async fn deliver_for(satellite: &Satellite, site: &Origin) -> Result<(), String> {
    let reports = satellite.outbox.first_of(site);
    let outcomes = satellite.records.report(site, reports.clone()).await.map_err(|unavailable| unavailable.0)?;
    if outcomes.len() != reports.len() {
        return Err("not one outcome for each report".to_owned());
    }
    let refused = outcomes.iter().filter(|outcome| !matches!(outcome, Reported::Recorded | Reported::Revoked)).count();
    if refused > 0 {
        tracing::warn!(site = site.as_str(), refused, ?outcomes, "the broker does not take these reports");
    }
    satellite.outbox.delivered(site, &reports, &outcomes);
    if let (Some(file), true) = (satellite.refusals.clone(), reports.iter().any(Report::is_refusal)) {
        let removed = block(move || file.remove(&reports)).await;
        if !matches!(removed, Ok(Ok(()))) {
            tracing::warn!("refusals that were delivered stay on disk, and are delivered again after a restart");
        }
    }
    Ok(())
}
