//! The background task that knows how the broker is, and which sites and keys there are (rules S13, A1, K2).
//!
//! Requests only ever read what it found. It runs until the process ends.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::time::{sleep, timeout};
use actix_web::web::Bytes;

use crate::base::clock::Clock;
use crate::base::origin::Origin;
use crate::domain::breaker::Circuit;
use crate::domain::contract::path;
use crate::domain::documents::{Health, Metadata};
use crate::http::client::{Client, FetchFailure, Outbound};
use crate::token::jwks::read_jwks;
use crate::token::key::PublicKey;
use crate::token::keyset::JWKS_MAX_AGE;

use crate::store::records::{Records, Unavailable};
use crate::store::revoked_ids::RevokedIds;
use crate::store::visitors::Cursor;

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
        let problem = probe(&outbound, pace.timeout, &satellite.primary).await.err();
        let (before, after) = satellite.breaker.record(problem.is_none());
        failures = if problem.is_none() { 0 } else { failures.saturating_add(1) };
        if problem.is_some() {
            satellite.looked.notify_one();
        }
        if before != after {
            match &problem {
                Some(problem) => {
                    tracing::warn!(broker = satellite.primary.as_str(), circuit = after.as_str(), %problem, "the broker does not answer; pages go on without hops")
                }
                None => tracing::info!(broker = satellite.primary.as_str(), circuit = after.as_str(), "the broker answers"),
            }
        }
        sleep(after.next_probe(failures, pace.interval)).await;
    }
}

/// Asks for the broker's health. Of many nodes behind one name, one that leaves says 503 until the balancer has noticed:
/// others are well, and answer the next question.
async fn probe(outbound: &Outbound, timeout: Duration, broker: &Origin) -> Result<(), String> {
    let mut answered = ask_health(outbound, timeout, broker).await;
    for _ in 0..LEAVING_TRIES {
        let Err(FetchFailure::Status(503)) = answered else { break };
        sleep(LEAVING_PAUSE).await;
        answered = ask_health(outbound, timeout, broker).await;
    }
    let body = answered.map_err(|failure| failure.to_string())?;
    // A maintenance page says 200 as well; only the broker says this.
    match serde_json::from_slice::<Health>(&body) {
        Ok(health) if health.status == Health::OK => Ok(()),
        Ok(_) => Err("it says that it is unable".into()),
        Err(_) => Err("something else answers in its place".into()),
    }
}

/// A client of its own each time: a kept connection may live while the broker takes no new ones.
async fn ask_health(outbound: &Outbound, timeout: Duration, broker: &Origin) -> Result<Bytes, FetchFailure> {
    outbound.client(timeout).get(broker, path::HEALTH).await
}

/// Keeps the sites and keys up to date: when the broker first answers, every [`JWKS_MAX_AGE`], and when a token names an
/// unknown key. A fetch that fails changes nothing. `served` tells the sites of this process. It never ends.
pub async fn watch_siblings(
    satellite: Arc<Satellite>,
    served: impl Fn() -> Vec<Origin>,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
    pace: Pace,
) {
    // Others' key sets may be far away; a second more than a probe harms nobody, since no request waits for this.
    let client = outbound.client(pace.timeout + Duration::from_secs(1));
    loop {
        let wait = if satellite.breaker.circuit() == Circuit::Closed {
            let begun = clock.uptime();
            let complete = refresh(&satellite, &client).await;
            for site in served().iter().filter(|site| !satellite.siblings.load().can_hop(site)) {
                let advice = "the broker does not know this site, or its keys are not known: nobody is sent on a hop; register it at the broker";
                tracing::warn!(site = site.as_str(), advice);
            }
            satellite.looked.notify_one();
            tracing::debug!(complete, took = ?clock.uptime().saturating_sub(begun), "fetched the sites and their keys");
            if complete { JWKS_MAX_AGE } else { UNKNOWN_KEY_PAUSE }
        } else if satellite.siblings.load().knows_broker() {
            UNKNOWN_KEY_PAUSE
        } else {
            // At the start nothing is known yet, so look at once when the first probe has been answered.
            pace.interval / 20
        };
        let pause = wait.min(UNKNOWN_KEY_PAUSE);
        // Other sites than before want to be known at once.
        if timeout(pause, satellite.sites_changed.notified()).await.is_ok() {
            continue;
        }
        if wait > pause {
            let _ = timeout(wait - pause, satellite.unknown_key.notified()).await;
        }
    }
}

/// Fetches the metadata, the broker's keys and every site's. Whether all of it came.
async fn refresh(satellite: &Satellite, client: &Client) -> bool {
    let primary = &satellite.primary;
    let metadata = match fetch_metadata(client, primary).await {
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
        satellite.siblings.store(Arc::new(Siblings::new(primary, primary_keys.to_vec(), sites.to_vec())));
    };
    let mut complete = true;
    let mut renew = async |origin: &Origin, keys: &mut Vec<PublicKey>| match fetch_keys(client, origin).await {
        Ok(fetched) => *keys = fetched,
        Err(problem) => {
            complete = false;
            tracing::warn!(site = origin.as_str(), problem, "its key set cannot be used; the old one stays");
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
    complete
}

/// Keeps `revoked` up to date from the records: all there are at the start, then every `interval` what is new (rules C1, C2).
/// It never ends.
pub async fn watch_revocations(records: Arc<dyn Records>, revoked: Arc<RevokedIds>, interval: Duration) {
    let mut cursor = 0;
    let mut is_failing = false;
    loop {
        match catch_up(&*records, &revoked, &mut cursor).await {
            Ok(()) if std::mem::take(&mut is_failing) => tracing::info!("revocations are known again"),
            Err(unavailable) if !is_failing => {
                is_failing = true;
                tracing::warn!(problem = unavailable.0, "revocations cannot be read; those that are known count");
            }
            Ok(()) | Err(_) => {}
        }
        sleep(interval).await;
    }
}

/// Reads the revocations after `cursor`, and moves it.
///
/// # Errors
/// When the records cannot be had. What was read until then counts.
pub async fn catch_up(records: &dyn Records, revoked: &RevokedIds, cursor: &mut Cursor) -> Result<(), Unavailable> {
    let outcome = read_revocations(records, revoked, cursor).await;
    revoked.set_current(outcome.is_ok());
    outcome
}

async fn read_revocations(records: &dyn Records, revoked: &RevokedIds, cursor: &mut Cursor) -> Result<(), Unavailable> {
    loop {
        let found = records.revocations(*cursor).await?;
        found.revoked.iter().for_each(|visitor| revoked.insert(*visitor));
        *cursor = found.cursor;
        if !found.more {
            return Ok(());
        }
    }
}

/// Each site, and where its satellite is, if not on its own origin.
/// Waits until tokens can be taken: the first look at the broker has brought the keys, or nothing, and used tokens can be
/// remembered. A node that served visitors before that would refuse the tokens that others of its kind sent them for.
pub async fn wait_until_ready(satellite: &Satellite) {
    satellite.looked.notified().await;
    while !satellite.replay.is_ready() {
        sleep(Duration::from_millis(10)).await;
    }
}

async fn fetch_metadata(client: &Client, primary: &Origin) -> Result<Vec<(Origin, Option<Origin>)>, String> {
    let body = client.get(primary, path::METADATA).await.map_err(|failure| failure.to_string())?;
    let metadata: Metadata = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
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
