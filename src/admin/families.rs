//! Every metric there is. `docs/metrics.md` has the same list for people, and a test holds one against the other.

use crate::domain::breaker::Circuit;
use crate::domain::site::Role;
use crate::http::event::{Step, Work};
use crate::store::record_writer::StoreStatus;
use crate::store::replay::Replay;
use crate::store::revoked_ids::Knowledge;

use super::exposition::{Exposition, Family, Kind};
use super::metrics::{Metrics, outcome};
use super::{ConnectionCounts, Reloads, Watched};

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, help }
}

/// The events of each step.
const EVENTS: [(Step, Family); 7] = [
    (Step::Start, counter("throughline_hop_starts_total", "Visitors that a satellite sent on a hop.")),
    (Step::Hop, counter("throughline_hops_total", "Hop requests that the broker answered.")),
    (Step::Whoami, counter("throughline_whoami_total", "Requests of the CORS route that the broker answered.")),
    (Step::Arrival, counter("throughline_exchanges_total", "Tokens that a satellite took or refused.")),
    (Step::Link, counter("throughline_links_total", "Links to other sites that were followed.")),
    (Step::Page, counter("throughline_pages_total", "Pages served without a hop, but for those of known visitors.")),
    (Step::Forward, counter("throughline_forwards_total", "Questions of proxies that could not be decided on.")),
];

const API: Family = counter("throughline_api_total", "Requests of the server-to-server API that the broker answered.");

const DURATION: Family = Family {
    name: "throughline_duration_seconds",
    kind: Kind::Histogram,
    help: "How long it took, in seconds: hop and api with their wait for the store, exchange with that for the replay memory, commit in the store.",
};

const CIRCUIT: Family = gauge("throughline_circuit_state", "1 for the state of the circuit to the broker, 0 for the others.");
const OUTBOX_WAITING: Family = gauge("throughline_outbox_waiting", "Reports that wait for the broker.");
const OUTBOX_LOST: Family = counter("throughline_outbox_lost_total", "Reports that were given up.");
const STORE_UP: Family = gauge("throughline_store_up", "Whether the store takes writes. On a broker node only.");
const STORE_WAITING: Family = gauge("throughline_store_waiting", "Writes that wait for the store.");
const STORE_WRITTEN: Family = counter("throughline_store_written_total", "Writes that were committed.");
const STORE_LOST: Family = counter("throughline_store_lost_total", "Writes that were given up.");
const STORE_DAMAGED: Family = gauge("throughline_store_damaged", "Whether the store was found damaged. On a broker node only.");
const STORE_SET_ASIDE: Family =
    gauge("throughline_store_set_aside", "Writes that failed by themselves and were set aside, of all nodes.");
const STORE_FAILURES: Family = counter("throughline_store_failures_total", "Commits that the store did not take.");
const REPLAY_UP: Family = gauge("throughline_replay_up", "Whether the replay memory can be asked.");
const REPLAY_ENTRIES: Family = gauge("throughline_replay_entries", "Used tokens that are remembered in this process.");
const REPLAY_CAPACITY: Family = gauge("throughline_replay_capacity", "Used tokens that can be remembered in this process.");
const REVOCATIONS_UP: Family =
    gauge("throughline_revocations_up", "Whether the last look for IDs that have ended found the list.");
const REVOCATIONS_KNOWN: Family =
    gauge("throughline_revocations_known", "0 while the node has no list of ended IDs at all and hands out no ID but new ones.");
const REVOCATIONS_AGE: Family = gauge(
    "throughline_revocations_age_seconds",
    "For how long the list of ended IDs has not been known to be complete, where there is one.",
);
const REVOKED: Family = gauge("throughline_revoked_ids", "IDs that have ended and are held in memory.");
const KEY_AGE: Family = gauge("throughline_signing_key_age_seconds", "For how long the site's key has been signing.");
const NEXT_KEY: Family =
    gauge("throughline_signing_key_next_timestamp_seconds", "When the site's next key begins to sign, where one is waiting.");
const LAST_EXCHANGE: Family =
    gauge("throughline_last_exchange_timestamp_seconds", "When a token last counted on the site, where one has.");
const LOG_LOST: Family = counter("throughline_log_lines_lost_total", "Lines of the log that were not written.");
const RELOADS: Family = counter("throughline_reloads_total", "How often the configuration was read again.");
const LAST_RELOAD: Family = gauge("throughline_last_reload_ok", "0 while the last SIGHUP was refused, else 1.");
const CERTIFICATE: Family = gauge(
    "throughline_tls_certificate_not_after_timestamp_seconds",
    "When the first certificate of the served chain expires. Only where the process ends TLS itself.",
);
const SPANS_LOST: Family =
    counter("throughline_trace_spans_lost_total", "Spans of traces that the collector did not take in time.");
const CONNECTIONS: Family = gauge("throughline_connections", "Connections that are open.");
const CONNECTIONS_ENDED: Family = counter(
    "throughline_connections_ended_total",
    "Connections that the server ended: idle, slow_reader, client_limit and total_limit to make room, refused, unreadable.",
);
const FORWARDED_UNREADABLE: Family = counter(
    "throughline_forwarded_unreadable_total",
    "Entries of X-Forwarded-For or Forwarded from trusted proxies that were no addresses.",
);
const LEAVING: Family = gauge("throughline_leaving", "Whether the process is about to end.");
const BUILD: Family = gauge("throughline_build_info", "1; the label says which version runs.");
const STARTED: Family = gauge("process_start_time_seconds", "When the process began.");

/// All of them, as they are now.
#[must_use]
pub fn exposition(metrics: &Metrics, process: &dyn Watched) -> String {
    let mut text = Exposition::default();
    events(&mut text, metrics, process.satellite().primary.as_str());
    text.family(&DURATION);
    for work in Work::ALL {
        text.histogram(DURATION.name, ("work", work.as_str()), &metrics.times(work));
    }
    broker(&mut text, process);
    store(&mut text, metrics, process);
    replay(&mut text, process);
    revocations(&mut text, process);
    sites(&mut text, metrics, process);
    one(&mut text, &LOG_LOST, process.log_lines_lost());
    let Reloads { done, refused, is_last_refused } = process.reloads();
    text.family(&RELOADS);
    text.sample(RELOADS.name, &[("outcome", "done")], done);
    text.sample(RELOADS.name, &[("outcome", "refused")], refused);
    one(&mut text, &LAST_RELOAD, u64::from(!is_last_refused));
    text.family(&CERTIFICATE);
    if let Some(at) = process.certificate_not_after() {
        text.sample(CERTIFICATE.name, &[], at);
    }
    one(&mut text, &SPANS_LOST, process.trace_spans_lost());
    let ConnectionCounts { open, ended } = process.connections();
    one(&mut text, &CONNECTIONS, open);
    text.family(&CONNECTIONS_ENDED);
    for (reason, count) in ended {
        text.sample(CONNECTIONS_ENDED.name, &[("reason", reason)], count);
    }
    one(&mut text, &FORWARDED_UNREADABLE, process.forwarded_unreadable());
    one(&mut text, &LEAVING, u64::from(process.is_leaving()));
    text.family(&BUILD);
    text.sample(BUILD.name, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    one(&mut text, &STARTED, metrics.started().0);
    text.into_text()
}

fn revocations(text: &mut Exposition, process: &dyn Watched) {
    let revoked = process.revoked();
    one(text, &REVOCATIONS_UP, u64::from(revoked.knowledge() == Knowledge::Current));
    one(text, &REVOCATIONS_KNOWN, u64::from(revoked.is_known()));
    text.family(&REVOCATIONS_AGE);
    if let Some(at) = revoked.complete_at() {
        text.sample(REVOCATIONS_AGE.name, &[], process.clock().now().since(at).as_secs());
    }
    one(text, &REVOKED, revoked.len());
}

fn one(text: &mut Exposition, family: &Family, value: u64) {
    text.family(family);
    text.sample(family.name, &[], value);
}

fn events(text: &mut Exposition, metrics: &Metrics, primary: &str) {
    let (sites, asking) = (metrics.sites(), metrics.asking());
    for (step, family) in EVENTS {
        text.family(&family);
        for (asking, counts) in asking.iter().filter(|_| step.is_of_the_broker()) {
            for (reason, count) in counts.of(step) {
                let labels = [("site", primary), ("asking", asking), ("outcome", outcome(step, reason)), ("reason", reason)];
                text.sample(family.name, &labels, count);
            }
        }
        for (site, counts) in &sites {
            for (reason, count) in counts.of(step) {
                let labels = [("site", site.as_str()), ("outcome", outcome(step, reason)), ("reason", reason)];
                text.sample(family.name, &labels, count);
            }
        }
    }
    text.family(&API);
    for (asking, counts) in &asking {
        for (outcome, count) in counts.of_api() {
            text.sample(API.name, &[("site", primary), ("asking", asking), ("outcome", outcome)], count);
        }
    }
}

fn broker(text: &mut Exposition, process: &dyn Watched) {
    let satellite = process.satellite();
    text.family(&CIRCUIT);
    let now = satellite.breaker.circuit();
    for state in Circuit::ALL {
        text.sample(CIRCUIT.name, &[("state", state.as_str())], u8::from(state == now));
    }
    one(text, &OUTBOX_WAITING, satellite.outbox.len() as u64);
    one(text, &OUTBOX_LOST, satellite.outbox.lost());
}

/// Without a sample on a node that has no store.
fn store(text: &mut Exposition, metrics: &Metrics, process: &dyn Watched) {
    let state = process.keeper().map(|keeper| keeper.writer().state());
    let figures = [
        (&STORE_UP, state.map(|state| u64::from(state.status == StoreStatus::Ok))),
        (&STORE_WAITING, state.map(|state| state.waiting)),
        (&STORE_WRITTEN, state.map(|state| state.written)),
        (&STORE_LOST, state.map(|state| state.lost)),
        (&STORE_DAMAGED, state.map(|state| u64::from(state.status == StoreStatus::Damaged))),
        (&STORE_SET_ASIDE, state.map(|state| state.set_aside)),
        (&STORE_FAILURES, state.map(|_| metrics.store_failures())),
    ];
    for (family, figure) in figures {
        text.family(family);
        if let Some(figure) = figure {
            text.sample(family.name, &[], figure);
        }
    }
}

fn replay(text: &mut Exposition, process: &dyn Watched) {
    let replay = &process.satellite().replay;
    one(text, &REPLAY_UP, u64::from(replay.is_ready()));
    let here = match replay {
        Replay::Here(set) => Some((set.len(), set.capacity())),
        Replay::Shared(_) => None,
    };
    for (family, figure) in [(&REPLAY_ENTRIES, here.map(|(held, _)| held)), (&REPLAY_CAPACITY, here.map(|(_, room)| room))] {
        text.family(family);
        if let Some(figure) = figure {
            text.sample(family.name, &[], figure);
        }
    }
}

fn sites(text: &mut Exposition, metrics: &Metrics, process: &dyn Watched) {
    let now = process.clock().now();
    let sites = process.sites();
    text.family(&KEY_AGE);
    for served in &sites {
        if let Some(since) = served.keys.load().signing_since(now) {
            text.sample(KEY_AGE.name, &[("site", served.site.origin.as_str())], now.since(since).as_secs());
        }
    }
    text.family(&NEXT_KEY);
    for served in &sites {
        if let Some(next) = served.keys.load().next_rotation(now) {
            text.sample(NEXT_KEY.name, &[("site", served.site.origin.as_str())], next);
        }
    }
    text.family(&LAST_EXCHANGE);
    for served in sites.iter().filter(|served| served.site.role == Role::Secondary) {
        if let Some(at) = metrics.site(&served.site.origin).and_then(|counts| counts.last_exchange()) {
            text.sample(LAST_EXCHANGE.name, &[("site", served.site.origin.as_str())], at);
        }
    }
}
