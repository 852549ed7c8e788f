//! The background task that knows how the broker is, and which sites and keys there are (rules S13, A1, K2).
//!
//! Requests only ever read what it found. It runs until the process ends.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::time::{sleep, timeout};
use actix_web::web::{Bytes, block};

use crate::base::clock::Clock;
use crate::base::json;
use crate::base::origin::Origin;
use crate::domain::breaker::Circuit;
use crate::domain::contract::path;
use crate::domain::documents::{Health, Metadata};
use crate::http::client::{Client, FetchFailure, Outbound};
use crate::token::jwks::read_jwks;
use crate::token::key::PublicKey;
use crate::token::keyset::JWKS_MAX_AGE;

use super::Satellite;
use crate::domain::siblings::Siblings;

/// A key that nobody knows leads to one fetch in this time at most, however many tokens name it (rule K2).
pub const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(30);

/// How often a broker that says 503 is asked again at once, and after which pause. A node leaves for two seconds; a balancer
/// that notices within half a second is what this waits for.
const LEAVING_TRIES: u32 = 4;
const LEAVING_PAUSE: Duration = Duration::from_millis(150);

/// How often the broker is asked, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two probes of a broker that answers.
    pub interval: Duration,
    /// A broker that takes longer is one that does not answer.
    pub timeout: Duration,
    /// Between two looks for revoked IDs.
    pub revocations: Duration,
}

/// Watches the broker's health. It never ends.
pub async fn watch_health(satellite: Arc<Satellite>, outbound: Outbound, pace: Pace) {
    let mut failures = 0_u32;
    loop {
        let probed = probe(&outbound, pace.timeout, &satellite.primary).await;
        let (before, after) = satellite.breaker.record(probed.is_ok());
        failures = if probed.is_ok() { 0 } else { failures.saturating_add(1) };
        match probed {
            Ok(health) => {
                if before != after {
                    tracing::info!(broker = satellite.primary.as_str(), circuit = after.as_str(), "the broker answers");
                }
                compare_registry(&satellite, health.sites);
            }
            Err(problem) => {
                satellite.looked.notify_one();
                if before != after {
                    tracing::warn!(broker = satellite.primary.as_str(), circuit = after.as_str(), %problem, "the broker does not answer; pages go on without hops");
                }
            }
        }
        sleep(after.next_probe(failures, pace.interval)).await;
    }
}

/// Wakes the watch over the siblings when the broker names another set of sites than before and than the one known here (rule
/// A12). A broker that goes on naming the same set wakes it once: the metadata may be what is wrong.
fn compare_registry(satellite: &Satellite, named: Option<String>) {
    let Some(named) = named else { return };
    let siblings = satellite.siblings.load();
    let before = satellite.registry_named.swap(Some(Arc::new(named.clone())));
    let is_news = before.is_none_or(|before| *before != named);
    if is_news && siblings.is_fetched() && siblings.digest() != named {
        satellite.registry_changed.notify_one();
    }
}

/// Asks for the broker's health. Of many nodes behind one name, one that leaves says 503 until the balancer has noticed:
/// others are well, and answer the next question.
async fn probe(outbound: &Outbound, timeout: Duration, broker: &Origin) -> Result<Health, String> {
    let mut answered = ask_health(outbound, timeout, broker).await;
    for _ in 0..LEAVING_TRIES {
        let Err(FetchFailure::Status(503)) = answered else { break };
        sleep(LEAVING_PAUSE).await;
        answered = ask_health(outbound, timeout, broker).await;
    }
    let body = answered.map_err(|failure| failure.to_string())?;
    // A maintenance page says 200 as well; only the broker says this.
    match json::read::<Health>(&body) {
        Ok(health) if health.status == Health::OK => Ok(health),
        Ok(_) => Err("it says that it is unable".into()),
        Err(_) => Err("something else answers in its place".into()),
    }
}

/// A client of its own each time: a kept connection may live while the broker takes no new ones.
async fn ask_health(outbound: &Outbound, timeout: Duration, broker: &Origin) -> Result<Bytes, FetchFailure> {
    outbound.client(timeout).get(broker, path::HEALTH).await
}

/// What a look at the broker fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// The metadata and every key set.
    All,
    /// The metadata, and the key sets of sites whose keys are not known.
    Registry,
}

/// Keeps the sites and keys up to date: when the broker first answers, every [`JWKS_MAX_AGE`], when a token names an unknown
/// key, and when the broker's health names other sites. A fetch that fails changes nothing. `configured` tells the sites that
/// this process's configuration names. It never ends.
pub async fn watch_siblings(
    satellite: Arc<Satellite>,
    configured: impl Fn() -> Vec<Origin>,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
    pace: Pace,
) {
    // Others' key sets may be far away; a second more than a probe harms nobody, since no request waits for this.
    let client = outbound.client(pace.timeout + Duration::from_secs(1));
    let mut keeping = Keeping::default();
    let mut scope = Scope::All;
    // Uptimes: when everything is to be fetched next, and from when on an unknown key may bring that forward.
    let (mut next, mut keys_from) = (Duration::ZERO, Duration::ZERO);
    loop {
        let begun = clock.uptime();
        let may_ask = match satellite.breaker.circuit() {
            Circuit::Closed => true,
            // A broker that comes back may know other sites, and that must be known before hops go again (rule A12).
            Circuit::HalfOpen => satellite.siblings.load().is_fetched(),
            Circuit::Unprobed | Circuit::Open => false,
        };
        if may_ask {
            let complete = refresh(&satellite, &client, scope, &configured).await;
            let now = clock.uptime();
            if scope == Scope::All || !complete {
                next = now + if complete { JWKS_MAX_AGE } else { UNKNOWN_KEY_PAUSE };
                keys_from = now + UNKNOWN_KEY_PAUSE;
            }
            warn_of_unregistered(&satellite, &configured());
            keeping.keep(&satellite, &*clock).await;
            satellite.looked.notify_one();
            tracing::debug!(complete, ?scope, took = ?now.saturating_sub(begun), "fetched the sites and their keys");
        } else if satellite.siblings.load().is_fetched() {
            next = begun + UNKNOWN_KEY_PAUSE;
            keys_from = next;
        } else {
            // At the start nothing is known yet, so look at once when the first probe has been answered.
            next = begun + pace.interval / 20;
            keys_from = next;
        }
        scope = rest(&satellite, &*clock, next, keys_from).await;
    }
}

/// Waits until `next`, or for a reason to look earlier. Says what to fetch then.
async fn rest(satellite: &Satellite, clock: &dyn Clock, next: Duration, keys_from: Duration) -> Scope {
    let until = |at: Duration| at.saturating_sub(clock.uptime());
    let unknown_key = async {
        sleep(until(keys_from)).await;
        satellite.unknown_key.notified().await;
    };
    let woken = async {
        tokio::select! {
            () = satellite.sites_changed.notified() => Scope::All,
            () = satellite.registry_changed.notified() => Scope::Registry,
            () = unknown_key => Scope::All,
        }
    };
    timeout(until(next), woken).await.unwrap_or(Scope::All)
}

fn warn_of_unregistered(satellite: &Satellite, configured: &[Origin]) {
    let siblings = satellite.siblings.load();
    for site in configured.iter().filter(|site| !siblings.can_hop(site)) {
        let advice =
            "the broker does not know this site, or its keys are not known: nobody is sent on a hop; register it at the broker";
        tracing::warn!(site = site.as_str(), advice);
    }
}

/// Writes the siblings down for the next start (rule L7).
#[derive(Default)]
struct Keeping {
    /// What was written last, and when, as uptime.
    written: Option<(Arc<Siblings>, Duration)>,
    is_failing: bool,
}

impl Keeping {
    /// Writes them if a site or a key has changed, and otherwise every [`JWKS_MAX_AGE`]: the file says how old they are.
    async fn keep(&mut self, satellite: &Satellite, clock: &dyn Clock) {
        let (Some(file), siblings) = (satellite.siblings_file.clone(), satellite.siblings.load_full()) else { return };
        let (now, uptime) = (clock.now(), clock.uptime());
        let is_fresh =
            |(last, at): &(Arc<Siblings>, Duration)| siblings.says_the_same_as(last) && uptime.saturating_sub(*at) < JWKS_MAX_AGE;
        if !siblings.is_fetched() || self.written.as_ref().is_some_and(is_fresh) {
            return;
        }
        let (primary, to_write) = (satellite.primary.clone(), Arc::clone(&siblings));
        match block(move || file.write(&primary, &to_write, now)).await {
            Ok(Ok(())) => {
                self.written = Some((siblings, uptime));
                self.is_failing = false;
            }
            Ok(Err(mistake)) if !self.is_failing => {
                self.is_failing = true;
                tracing::error!(%mistake, "siblings_file not written; a start while the broker is down will not know the other sites");
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

/// Fetches the metadata and key sets. Whether all of it came.
async fn refresh(satellite: &Satellite, client: &Client, scope: Scope, configured: &impl Fn() -> Vec<Origin>) -> bool {
    let primary = &satellite.primary;
    let named = satellite.registry_named.load_full();
    let metadata = match fetch_metadata(client, primary, named.as_deref().map(String::as_str)).await {
        Ok(metadata) => metadata,
        Err(problem) => {
            tracing::warn!(broker = primary.as_str(), problem, "its metadata cannot be used; the old stays");
            return false;
        }
    };
    let old = satellite.siblings.load_full();
    let (mut sites, satellites): (Vec<_>, Vec<_>) = metadata
        .into_iter()
        .map(|(origin, satellite)| {
            let keys = old.keys_of(&origin);
            ((origin, keys), satellite)
        })
        .unzip();
    let mut primary_keys = old.keys_of(primary);
    let publish = |primary_keys: &[PublicKey], sites: &[(Origin, Vec<PublicKey>)]| {
        let siblings = Siblings::new(primary, primary_keys.to_vec(), sites.to_vec()).configured(configured());
        satellite.siblings.store(Arc::new(siblings));
    };
    let mut complete = true;
    let mut renew = async |origin: &Origin, keys: &mut Vec<PublicKey>| {
        if scope == Scope::Registry && !keys.is_empty() {
            return;
        }
        match fetch_keys(client, origin).await {
            Ok(fetched) => *keys = fetched,
            Err(problem) => {
                complete = false;
                tracing::warn!(site = origin.as_str(), problem, "its key set cannot be used; the old one stays");
            }
        }
    };
    renew(primary, &mut primary_keys).await;
    // Who is registered and the broker's keys count before the other sites' have come: neither hops nor links must wait for a
    // site that hangs.
    publish(&primary_keys, &sites);
    for ((origin, keys), satellite) in sites.iter_mut().zip(&satellites) {
        renew(satellite.as_ref().unwrap_or(origin), keys).await;
    }
    publish(&primary_keys, &sites);
    // A cache in between may have answered with an old copy.
    complete && named.is_none_or(|named| *named == satellite.siblings.load().digest())
}

/// Each site, and where its satellite is, if not on its own origin.
/// Waits until tokens can be taken: the first look at the broker has brought the keys, or nothing, and used tokens can be
/// remembered. A node that served visitors before that would refuse the tokens that others of its kind sent them for.
pub async fn wait_until_ready(satellite: &Satellite) {
    satellite.looked.notified().await;
    let knows_access = || satellite.breaker.circuit() != Circuit::Closed || satellite.access.has_looked();
    while !satellite.replay.is_ready() || !knows_access() {
        sleep(Duration::from_millis(10)).await;
    }
}

/// `named` is the set of sites that the broker's health named: in the query it makes caches ask the broker.
async fn fetch_metadata(client: &Client, primary: &Origin, named: Option<&str>) -> Result<Vec<(Origin, Option<Origin>)>, String> {
    let query = named.filter(|named| named.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
    let path = query.map_or_else(|| path::METADATA.to_owned(), |sites| format!("{}?sites={sites}", path::METADATA));
    let body = client.get(primary, &path).await.map_err(|failure| failure.to_string())?;
    let metadata: Metadata = json::read(&body).map_err(|error| error.to_string())?;
    if metadata.protocol != 1 || metadata.issuer != primary.as_str() {
        return Err("it is another broker's, or of another version of the protocol".into());
    }
    // Where a site's keys are follows from an origin; an address in a document is not gone to.
    let origin = |text: &str| Origin::parse(text).map_err(|mistake| mistake.to_string());
    let sites = metadata.sites.iter();
    sites.map(|site| Ok((origin(&site.origin)?, site.satellite.as_deref().map(origin).transpose()?))).collect()
}

async fn fetch_keys(client: &Client, origin: &Origin) -> Result<Vec<PublicKey>, String> {
    let body = client.get(origin, path::JWKS).await.map_err(|failure| failure.to_string())?;
    read_jwks(&body).map_err(|mistake| mistake.to_string())
}
