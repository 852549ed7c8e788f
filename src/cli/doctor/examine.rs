//! The order of the checks on one site, and which make no sense once another has failed.

use crate::base::clock::Clock;
use crate::base::origin::Origin;
use crate::base::random::Random;
use crate::cli::checkup::{Checkup, Outcome};

use super::names::{
    ALL, BROKER_HOP, CDN_CACHE, CONSENT, DNS, ENDPOINTS, FETCH_METADATA, HEALTH, HOST_KEPT, JWKS, METADATA, NO_STORE,
    OPENER_KEPT, PAGE, REFERRER_KEPT, SET_COOKIE, TLS,
};
use super::party::Party;
use super::reach::Means;
use super::setting::{Setting, Unable};
use super::start::Started;
use super::visitor::Visitor;
use super::{basics, broker, endpoints, finish, page, policies, primary, refusals, start};

/// What all sites of one run share.
pub(super) struct Surroundings<'a> {
    pub(super) means: &'a Means,
    pub(super) clock: &'a dyn Clock,
    pub(super) random: &'a dyn Random,
    /// The primary, if a configuration names it.
    pub(super) primary: Option<&'a Origin>,
}

/// Looks at one site, and at its broker.
pub(super) async fn examine(around: &Surroundings<'_>, origin: &Origin, page: String) -> Checkup {
    let mut checkup = Checkup::default();
    let rest = match look(around, origin, page, &mut checkup).await {
        Ok(rest) => rest,
        Err(unable) => {
            let advice = "See that the server runs, and what its log says; then run the doctor again.";
            checkup.fail(PAGE, origin, format!("the visit broke off: {unable}"), advice);
            WHOLE
        }
    };
    let why = checkup.first(Outcome::Failed).map_or_else(|| rest.to_owned(), |check| format!("{check} has failed"));
    checkup.skip_rest(&ALL, origin.as_str(), &why);
    checkup
}

/// Why checks may be left out, where none has failed.
const WHOLE: &str = "there is nothing to look at";
const PRIMARY: &str = "the primary's own pages need no hop";

/// What explains that a satellite starts no hop.
const CAUSES: [&str; 6] = [DNS, TLS, HEALTH, METADATA, JWKS, CONSENT];

/// Makes all checks that make sense; why not the others.
async fn look(around: &Surroundings<'_>, origin: &Origin, page: String, checkup: &mut Checkup) -> Result<&'static str, Unable> {
    let Surroundings { means, clock, random, .. } = *around;
    let Some(site) = means.reach(origin, clock, checkup) else { return Ok(WHOLE) };
    let is_primary = broker::read_metadata(&site).await.is_some_and(|metadata| metadata.issuer == origin.as_str());
    let mut setting = Setting { site, page, is_primary, shown: None, needs_consent: false, clock, random };
    let is_well = basics(&mut setting, checkup).await?;
    if setting.is_primary {
        basics_of_broker(&setting.site.clone(), origin, checkup).await;
        if checkup.has_failed(PAGE) {
            return Ok(PRIMARY);
        }
        return primary::look_at_pages(around, &mut setting, checkup).await.map(|()| PRIMARY);
    }
    if !is_well {
        return find_broker(around, &setting, checkup).await.map(|()| WHOLE);
    }
    let begun = match start::start(&mut setting, checkup).await? {
        Started::Hop(begun) => *begun,
        Started::Told => return Ok(WHOLE),
        Started::NoHop => {
            find_broker(around, &setting, checkup).await?;
            if !CAUSES.into_iter().any(|cause| checkup.has_failed(cause)) {
                start::no_hop(origin, checkup);
            }
            return Ok(WHOLE);
        }
    };
    if !start::not_cached(&setting, &begun, checkup).await? {
        return Ok(WHOLE);
    }
    let Some(broker) = means.reach(&begun.hop.broker, clock, checkup) else { return Ok(WHOLE) };
    basics::health(&broker, checkup).await;
    let keys = basics_of_broker(&broker, origin, checkup).await;
    hop(around, &setting, &broker, begun, &keys, checkup).await.map(|()| WHOLE)
}

/// What concerns the site alone. `false`: no hop can start.
async fn basics(setting: &mut Setting<'_>, checkup: &mut Checkup) -> Result<bool, Unable> {
    let mut visitor = Visitor::new(setting.random)?;
    let Some(is_healthy) = basics::health(&setting.site, checkup).await else { return Ok(false) };
    basics::https_only(setting, checkup).await;
    basics::host_kept(setting, checkup).await;
    if [HOST_KEPT, ENDPOINTS].into_iter().any(|check| checkup.has_failed(check)) {
        return Ok(false);
    }
    endpoints::endpoints(setting, &mut visitor, checkup).await;
    basics::page(setting, &mut visitor, checkup).await;
    policies::of_page(setting, &mut visitor, checkup).await;
    basics::fetch_metadata(setting, &mut visitor, checkup).await;
    if !setting.is_primary {
        endpoints::jwks(&setting.site, checkup).await;
    }
    endpoints::sdk(setting, checkup).await;
    endpoints::me_private(setting, &mut visitor, checkup).await;
    endpoints::go_closed(setting, &mut visitor, checkup).await;
    endpoints::auth_closed(setting, checkup).await;
    endpoints::error_pages(&setting.site, checkup).await;
    refusals::consent(setting, checkup).await?;
    Ok(is_healthy && ![FETCH_METADATA, PAGE].into_iter().any(|check| checkup.has_failed(check)))
}

async fn basics_of_broker(broker: &Party, site: &Origin, checkup: &mut Checkup) -> Vec<crate::token::key::PublicKey> {
    broker::metadata(broker, site, checkup).await;
    let keys = endpoints::jwks(broker, checkup).await;
    broker::closed(broker, checkup).await;
    keys
}

/// Where no hop led to the broker, it may be the cause.
async fn find_broker(around: &Surroundings<'_>, setting: &Setting<'_>, checkup: &mut Checkup) -> Result<(), Unable> {
    let site = &setting.site.origin;
    let candidates = match around.primary {
        Some(primary) => vec![primary.clone()],
        None => broker::siblings(setting).await,
    };
    for candidate in candidates {
        // Its siblings' faults are their own: only of the broker is told.
        let mut aside = Checkup::default();
        let Some(party) = around.means.reach(&candidate, around.clock, &mut aside) else {
            if around.primary.is_some() {
                checkup.append(aside);
            }
            continue;
        };
        if broker::read_metadata(&party).await.is_some_and(|metadata| metadata.issuer == candidate.as_str()) {
            checkup.append(aside);
            basics::health(&party, checkup).await;
            basics_of_broker(&party, site, checkup).await;
            break;
        }
    }
    Ok(())
}

async fn hop(
    around: &Surroundings<'_>,
    setting: &Setting<'_>,
    broker: &Party,
    mut begun: start::Begun,
    keys: &[crate::token::key::PublicKey],
    checkup: &mut Checkup,
) -> Result<(), Unable> {
    let origin = &setting.site.origin;
    let cookies_came = start::look_at_start(setting, &begun, checkup);
    let back = finish::to_broker(setting, broker, &mut begun, keys, checkup).await;
    let mut known = match back.filter(|_| cookies_came) {
        Some(back) => finish::arrive(setting, begun.visitor.clone(), &back, checkup).await,
        None => None,
    };
    for (check, seen) in [
        (NO_STORE, "no redirect of ours may be kept"),
        (REFERRER_KEPT, "no redirect of ours says anything on the referrer"),
        (OPENER_KEPT, "redirects of ours keep window.opener"),
        (SET_COOKIE, "all cookies of the hop came"),
    ] {
        if !checkup.has_found(check) {
            checkup.ok(check, origin, seen);
        }
    }
    let id = match &mut known {
        Some(visitor) => finish::known(setting, visitor, checkup).await?,
        None => None,
    };
    start::urls(setting, checkup).await?;
    // Where the broker does not send visitors back, no chain ends at the page.
    if !checkup.has_failed(BROKER_HOP) {
        page::no_loop(setting, broker, checkup).await?;
    }
    // Pages have been served meanwhile, which a cache may have kept.
    if !start::not_cached(setting, &begun, checkup).await? {
        return Ok(());
    }
    checkup.ok(CDN_CACHE, origin, "each first-time visitor gets a hop of their own");
    page::left_alone(setting, checkup).await?;
    page::forwarded_host(setting, checkup).await?;
    page::spoofed_headers(setting, known.as_mut().zip(id.as_deref()), checkup).await?;
    policies::of_hops(setting, broker, known.as_ref(), checkup).await?;
    match (known, id) {
        (Some(visitor), Some(_)) => refusals::forget(around, setting, broker, visitor, checkup).await,
        _ => Ok(()),
    }
}
