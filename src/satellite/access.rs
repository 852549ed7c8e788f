//! Whether the broker accepts the API key of each served site.
//!
//! A site takes an ID only where it could pass on a no about it (rule C1). With a wrong secret, the broker answers each of
//! its reports with 401: the visitor's no would stay on this site. So the satellite asks at the start, regularly, and
//! whenever reports fail. While the key is known to be refused, the site takes no tokens; its pages are served as ever. A broker
//! that does not answer has refused nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::rt::time::{sleep, timeout};
use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::base::origin::Origin;
use crate::domain::breaker::Circuit;
use crate::http::ServedSite;

use super::Satellite;
use super::watch::Pace;

/// How often the sites with a refused key are asked about again.
const REFUSED_INTERVAL: Duration = Duration::from_secs(30);

/// How often all of them are, counted in [`REFUSED_INTERVAL`].
const ROUNDS_PER_LOOK: u32 = 10;

/// The sites whose key the broker refuses.
#[derive(Debug, Default)]
pub struct Access {
    refused: ArcSwap<HashSet<Origin>>,
    has_looked: AtomicBool,
    /// Wakes the watch when sites or keys have changed.
    pub changed: Notify,
}

impl Access {
    /// Whether the broker is known to refuse this site's key.
    #[must_use]
    pub fn is_refused(&self, site: &Origin) -> bool {
        self.refused.load().contains(site)
    }

    /// Whether the broker has been asked about every site once, with or without an answer.
    #[must_use]
    pub fn has_looked(&self) -> bool {
        self.has_looked.load(Ordering::Relaxed)
    }

    /// Notes what the broker answers for a site. Returns whether that is a change.
    pub fn note(&self, site: &Origin, is_refused: bool) -> bool {
        if self.is_refused(site) == is_refused {
            return false;
        }
        self.refused.rcu(|refused| {
            let mut refused = HashSet::clone(refused);
            if is_refused {
                refused.insert(site.clone());
            } else {
                refused.remove(site);
            }
            refused
        });
        true
    }
}

/// Asks the broker about one site.
pub async fn look(satellite: &Satellite, site: &Origin) {
    let Ok(is_accepted) = satellite.records.accepts(site).await else { return };
    if !satellite.access.note(site, !is_accepted) {
        return;
    }
    if is_accepted {
        tracing::info!(site = site.as_str(), "API key accepted: the site takes IDs again");
    } else {
        let advice = "the secret_file or secret_env of this site, here and at the broker, must hold the same secret, and the \
                      broker must have the site registered; correct one of the two and reload";
        tracing::error!(site = site.as_str(), advice, "API key refused by the broker (401): the site takes no IDs");
    }
}

/// Keeps [`Satellite::access`] up to date. It never ends.
pub async fn watch_access(satellite: Arc<Satellite>, served: impl Fn() -> Vec<Arc<ServedSite>>, pace: Pace) {
    let access = &satellite.access;
    for round in 0_u32.. {
        while satellite.breaker.circuit() != Circuit::Closed {
            sleep(pace.interval / 20).await;
        }
        for site in served().iter().map(|served| &served.site.origin) {
            if round.is_multiple_of(ROUNDS_PER_LOOK) || access.is_refused(site) {
                look(&satellite, site).await;
            }
        }
        access.has_looked.store(true, Ordering::Relaxed);
        if timeout(REFUSED_INTERVAL, access.changed.notified()).await.is_ok() {
            for site in served().iter().map(|served| &served.site.origin) {
                look(&satellite, site).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c1_what_is_said_of_one_site_counts_for_that_site() {
        let site = |name: &str| Origin::parse(&format!("https://{name}.example")).unwrap();
        let (shop, learn, access) = (site("shop"), site("learn"), Access::default());
        assert!(!access.is_refused(&shop) && !access.note(&shop, false), "unknown is not refused");
        assert!(access.note(&shop, true) && !access.note(&shop, true), "news once");
        assert!(access.is_refused(&shop) && !access.is_refused(&learn));
        assert!(access.note(&shop, false) && !access.is_refused(&shop));
    }
}
