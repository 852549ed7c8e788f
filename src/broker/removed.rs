//! Sites that a reload took out: for some minutes the broker still sends their visitors back (rule A12).

use std::collections::HashMap;
use std::time::Duration;

use crate::base::clock::UnixSeconds;
use crate::base::origin::Origin;
use crate::domain::hop_request::{self, Endpoint};
use crate::domain::site::RegisteredSite;
use crate::domain::url::Location;
use crate::token::keyset::JWKS_MAX_AGE;

/// How long a site is remembered: satellites fetch the metadata more often, and a hop takes a minute at most.
const REMEMBERED: Duration = Duration::from_secs(2 * JWKS_MAX_AGE.as_secs());

/// The most sites that are remembered. Those beyond it are forgotten at once.
const SITES_MAX: usize = 10_000;

/// The sites, and the uptimes until which each counts.
#[derive(Debug, Default)]
pub(super) struct RemovedSites(HashMap<String, (RegisteredSite, Duration)>);

impl RemovedSites {
    /// What a new configuration with `sites` leaves of `before`: the sites that are no longer there, those of `self` among them.
    pub(super) fn after_reload(
        &self,
        before: &HashMap<String, RegisteredSite>,
        sites: &HashMap<String, RegisteredSite>,
        uptime: Duration,
    ) -> Self {
        let known = self.0.iter().map(|(origin, (site, until))| (origin, site, *until)).filter(|(_, _, until)| *until > uptime);
        let removed = before.iter().map(|(origin, site)| (origin, site, uptime + REMEMBERED));
        let gone = known.chain(removed).filter(|(origin, _, _)| !sites.contains_key(*origin)).take(SITES_MAX);
        Self(gone.map(|(origin, site, until)| (origin.clone(), (site.clone(), until))).collect())
    }

    /// Where a hop request that a removed site signed sends the visitor back to: the page, with an empty parameter. `None` for
    /// any other request.
    pub(super) fn way_back(
        &self,
        named: &str,
        query: &str,
        broker: &Origin,
        now: UnixSeconds,
        uptime: Duration,
    ) -> Option<Location> {
        let (site, _) = self.0.get(named).filter(|(_, until)| *until > uptime)?;
        let asked = hop_request::verify(query, Endpoint::Hop, broker, &site.origin, site.hop_keys(), now).ok()?;
        asked.page.map(|page| page.with_empty_parameter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::CountingRandom;
    use crate::base::secret::SiteSecret;
    use crate::domain::consent::Basis;
    use crate::domain::hop_request::HopRequest;
    use crate::domain::url::PageUrl;
    use crate::token::claims::FlowSecret;

    const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

    fn site(host: &str) -> RegisteredSite {
        let secret = SiteSecret::generate(&CountingRandom::default()).unwrap();
        RegisteredSite::new(Origin::parse(&format!("https://{host}.example")).unwrap(), &secret, false)
    }

    fn by_origin(sites: &[RegisteredSite]) -> HashMap<String, RegisteredSite> {
        sites.iter().map(|site| (site.origin.to_string(), site.clone())).collect()
    }

    #[test]
    fn a12_a_removed_site_is_remembered_for_some_minutes_and_over_reloads() {
        let (shop, learn, broker) = (site("shop"), site("learn"), Origin::parse("https://www.brand.example").unwrap());
        let (both, one, none) =
            (by_origin(&[shop.clone(), learn.clone()]), by_origin(std::slice::from_ref(&shop)), by_origin(&[]));
        let page = PageUrl::on(&learn.origin, "/p?x=1").unwrap();
        let flow = FlowSecret::new([9; 16]).flow();
        let request =
            HopRequest { flow, issued_at: NOW, basis: Basis::Implied, look_alike: false, page: Some(page), referrer: None };
        let query = request.sign(&broker, &learn.origin, &learn.hop_key);
        let back = |removed: &RemovedSites, seconds| {
            let location = removed.way_back(learn.origin.as_str(), &query, &broker, NOW, Duration::from_secs(seconds));
            location.map(Location::into_string)
        };
        let at = Duration::from_secs;
        let there = Some("https://learn.example/p?x=1&_tl=".to_owned());

        let removed = RemovedSites::default().after_reload(&both, &one, at(100));
        assert_eq!(back(&removed, 100), there);
        assert_eq!(back(&removed, 699), there);
        assert_eq!(back(&removed, 700), None);
        assert_eq!(removed.way_back(shop.origin.as_str(), &query, &broker, NOW, at(100)), None, "shop is still there");
        // Another reload neither forgets it nor remembers it for longer.
        let again = removed.after_reload(&one, &none, at(400));
        assert_eq!((back(&again, 699), back(&again, 700)), (there, None));
        assert_eq!(again.after_reload(&none, &none, at(1001)).0.len(), 0);
        // A site that is registered again is no longer removed.
        assert_eq!(removed.after_reload(&one, &both, at(200)).0.len(), 0);
        // Only its own signature leads back.
        let forged = request.sign(
            &broker,
            &learn.origin,
            &SiteSecret::parse("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA")
                .unwrap()
                .derive(crate::base::secret::Purpose::HopRequest),
        );
        assert_eq!(removed.way_back(learn.origin.as_str(), &forged, &broker, NOW, at(100)), None);
    }
}
