//! The background task that brings reports to the broker, and tries again while it does not answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::block;
use tokio::time::{Instant, sleep, timeout_at};

use crate::base::origin::Origin;
use crate::domain::breaker::Circuit;
use crate::domain::reports::{Report, Reported};

use super::Satellite;
use super::access::look;
use super::retries::{Retries, Waiting, is_for_later};

const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(10);

/// Delivers what is put into the outbox. It never ends.
pub async fn deliver(satellite: Arc<Satellite>) {
    let mut pauses = Pauses::default();
    let mut retries = Retries::default();
    loop {
        send_again(&satellite, &mut retries).await;
        let sites = satellite.outbox.sites();
        pauses.forget_all_but(&sites);
        let now = Instant::now();
        let due: Vec<_> = sites.into_iter().filter(|site| pauses.is_due(site, now)).collect();
        if due.is_empty() {
            match pauses.next_end().into_iter().chain(retries.next_due()).min() {
                // Something that is new may be of another site.
                Some(end) => drop(timeout_at(end, satellite.outbox.changed()).await),
                None => satellite.outbox.changed().await,
            }
            continue;
        }
        for site in due {
            let problem = match deliver_for(&satellite, &site).await {
                Ok(again) => {
                    pauses.end(&site);
                    let now = Instant::now();
                    keep(&satellite, &mut retries, again.into_iter().map(|report| Some(Waiting::new(&site, report, now))));
                    continue;
                }
                Err(problem) => problem,
            };
            if satellite.breaker.circuit() == Circuit::Closed {
                look(&satellite, &site).await;
            }
            let pause = pauses.begin(&site, Instant::now());
            if pause == RETRY_FIRST {
                let waiting = satellite.outbox.len();
                tracing::warn!(site = site.as_str(), problem, waiting, "reports wait for the broker");
            }
            if satellite.breaker.circuit() != Circuit::Closed {
                // It is the broker, then, and not the site.
                sleep(pause).await;
                break;
            }
        }
    }
}

/// The sites whose reports the broker did not take: each is tried again after a pause of its own, so that none holds up another.
#[derive(Default)]
struct Pauses(HashMap<Origin, Pause>);

struct Pause {
    length: Duration,
    end: Instant,
}

impl Pauses {
    fn forget_all_but(&mut self, sites: &[Origin]) {
        self.0.retain(|site, _| sites.contains(site));
    }

    fn is_due(&self, site: &Origin, now: Instant) -> bool {
        self.0.get(site).is_none_or(|pause| pause.end <= now)
    }

    fn next_end(&self) -> Option<Instant> {
        self.0.values().map(|pause| pause.end).min()
    }

    fn end(&mut self, site: &Origin) {
        self.0.remove(site);
    }

    /// Says how long it is: twice the last one.
    fn begin(&mut self, site: &Origin, now: Instant) -> Duration {
        let length = self.0.get(site).map_or(RETRY_FIRST, |pause| (pause.length * 2).min(RETRY_LAST));
        self.0.insert(site.clone(), Pause { length, end: now + length });
        length
    }
}

/// Sends the reports of one site that wait in the outbox. Returns those that are to be sent again.
async fn deliver_for(satellite: &Satellite, site: &Origin) -> Result<Vec<Report>, String> {
    let reports = satellite.outbox.first_of(site);
    let outcomes = report(satellite, site, &reports).await?;
    satellite.outbox.delivered(site, &reports, &outcomes);
    Ok(reports.into_iter().zip(outcomes).filter(|(report, outcome)| is_for_later(report, *outcome)).map(|both| both.0).collect())
}

/// Sends once more what is due of the reports that the broker could not judge or write.
async fn send_again(satellite: &Satellite, retries: &mut Retries) {
    let Some((site, due)) = retries.take_due(Instant::now()) else { return };
    let reports: Vec<_> = due.iter().map(|waiting| waiting.report().clone()).collect();
    let outcomes = report(satellite, &site, &reports).await;
    let now = Instant::now();
    let not_yet = due.into_iter().enumerate().filter_map(|(index, waiting)| {
        let is_over = outcomes.as_ref().is_ok_and(|outcomes| !is_for_later(waiting.report(), outcomes[index]));
        (!is_over).then(|| waiting.put_off(now))
    });
    keep(satellite, retries, not_yet);
}

/// Keeps reports for later. Those that have waited long enough, or for which another gives way, are given up and counted.
fn keep(satellite: &Satellite, retries: &mut Retries, reports: impl Iterator<Item = Option<Waiting>>) {
    let given_up = reports.filter_map(|waiting| waiting.is_none_or(|waiting| retries.keep(waiting)).then_some(())).count();
    if given_up > 0 {
        satellite.outbox.give_up(given_up as u64);
        tracing::warn!(given_up, "reports given up: the broker has not seen their visitors on the sites that they name");
    }
}

/// Sends reports; one outcome for each. Refusals that the broker has are taken off the disk.
async fn report(satellite: &Satellite, site: &Origin, reports: &[Report]) -> Result<Vec<Reported>, String> {
    let outcomes = satellite.records.report(site, reports.to_vec()).await.map_err(|unavailable| unavailable.0)?;
    if outcomes.len() != reports.len() {
        return Err("not one outcome for each report".to_owned());
    }
    let is_refused = |(report, outcome): &(&Report, &Reported)| {
        !matches!(outcome, Reported::Recorded | Reported::Revoked) && !is_for_later(report, **outcome)
    };
    let refused = reports.iter().zip(&outcomes).filter(is_refused).count();
    if refused > 0 {
        tracing::warn!(site = site.as_str(), refused, ?outcomes, "the broker does not take these reports");
    }
    let delivered = |(report, outcome): &(&Report, &Reported)| report.is_refusal() && !is_for_later(report, **outcome);
    let refusals: Vec<_> = reports.iter().zip(&outcomes).filter(delivered).map(|(report, _)| report.clone()).collect();
    if let Some(file) = satellite.refusals.clone().filter(|_| !refusals.is_empty()) {
        let removed = block(move || file.remove(&refusals)).await;
        if !matches!(removed, Ok(Ok(()))) {
            tracing::warn!("refusals that were delivered stay on disk, and are delivered again after a restart");
        }
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str) -> Origin {
        Origin::parse(&format!("https://{name}.example")).unwrap()
    }

    #[test]
    fn a_site_whose_reports_are_not_taken_holds_up_no_other() {
        let (shop, learn, now) = (site("shop"), site("learn"), Instant::now());
        let mut pauses = Pauses::default();
        assert!(pauses.is_due(&shop, now) && pauses.next_end().is_none());
        let lengths: Vec<_> = (0..8).map(|_| pauses.begin(&shop, now).as_millis()).collect();
        assert_eq!(lengths, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert!(!pauses.is_due(&shop, now) && pauses.is_due(&learn, now));
        assert_eq!(pauses.next_end(), Some(now + RETRY_LAST));
        assert!(pauses.is_due(&shop, now + RETRY_LAST));
        assert_eq!(pauses.begin(&learn, now), RETRY_FIRST, "each has its own");
        pauses.end(&learn);
        assert_eq!(pauses.begin(&learn, now), RETRY_FIRST, "what was taken begins anew");
        pauses.forget_all_but(&[learn]);
        assert_eq!(pauses.begin(&shop, now), RETRY_FIRST);
    }
}
