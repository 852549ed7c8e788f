//! The background task that brings reports to the broker, and tries again while it does not answer.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::time::sleep;

use crate::domain::reports::Reported;

use super::Satellite;

const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(10);

/// Delivers what is put into the outbox. It never ends.
pub async fn deliver(satellite: Arc<Satellite>) {
    let mut pause = RETRY_FIRST;
    loop {
        let Some((site, reports)) = satellite.outbox.first() else {
            satellite.outbox.changed().await;
            continue;
        };
        match satellite.records.report(&site, reports.clone()).await {
            Ok(outcomes) if outcomes.len() == reports.len() => {
                let refused =
                    outcomes.iter().filter(|outcome| !matches!(outcome, Reported::Recorded | Reported::Revoked)).count();
                if refused > 0 {
                    tracing::warn!(site = site.as_str(), refused, ?outcomes, "the broker does not take these reports");
                }
                satellite.outbox.delivered(&reports, &outcomes);
                pause = RETRY_FIRST;
            }
            answer => {
                let problem =
                    answer.err().map_or_else(|| "not one outcome for each report".to_owned(), |unavailable| unavailable.0);
                if pause == RETRY_FIRST {
                    tracing::warn!(
                        site = site.as_str(),
                        problem,
                        waiting = satellite.outbox.len(),
                        "reports wait for the broker"
                    );
                }
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_LAST);
            }
        }
    }
}
