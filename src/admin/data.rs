//! What the page shows, as tables: each has an address of its own, as JSON and as CSV.

use serde_json::{Value, json};

use crate::domain::site::Role;
use crate::http::event::{Step, Work};

use super::Admin;
use super::history::{Series, spans};
use super::metrics::{ACCEPTED, SiteCounts, outcome};
use super::tables::Table;
use super::text::moment;

/// How many parts a day has in the pictures: quarters of an hour.
pub const PARTS: u64 = 96;

/// The table of that name; `None` if there is none, or nothing to put into it on this node.
#[must_use]
pub fn table(admin: &Admin, name: &str) -> Option<Table> {
    match name {
        "matrix" => matrix(admin),
        "hops" => Some(hops(admin)),
        "latency" => Some(latency(admin)),
        "sources" => sources(admin),
        "sites" => Some(sites(admin)),
        "asking" => asking(admin),
        "store" => store(admin),
        _ => None,
    }
}

fn matrix(admin: &Admin) -> Option<Table> {
    let sample = admin.sample.load_full()?;
    let pairs = (0..sample.sites.len()).flat_map(|one| (0..sample.sites.len()).map(move |other| (one, other)));
    let rows = pairs.filter(|(one, other)| one != other).map(|(one, other)| {
        vec![
            json!(sample.sites[one]),
            json!(sample.sites[other]),
            json!(sample.both(one, other)),
            json!(sample.both(one, one)),
            json!(sample.records),
            json!(sample.total),
        ]
    });
    let columns = &["site", "also_seen_on", "visitors_of_both", "visitors_of_site", "records_in_sample", "records"];
    Some(Table { columns, rows: rows.collect() })
}

fn hops(admin: &Admin) -> Table {
    const SERIES: [Series; 6] =
        [Series::Sent, Series::Known, Series::Minted, Series::Refused, Series::Accepted, Series::Unaccepted];
    let now = admin.process.clock().now();
    let minutes = admin.history.minutes(&admin.metrics, now);
    let rows = spans(&minutes, now, PARTS).into_iter().map(|part| {
        let counts = SERIES.map(|series| json!(part.totals.count(series)));
        [json!(moment(part.at)), json!(part.at.0)].into_iter().chain(counts).collect()
    });
    let columns = &[
        "from_utc",
        "from",
        "sent_on_a_hop",
        "answered_known",
        "answered_new",
        "answered_without_id",
        "tokens_taken",
        "tokens_refused",
    ];
    Table { columns, rows: rows.collect() }
}

fn latency(admin: &Admin) -> Table {
    let now = admin.process.clock().now();
    let minutes = admin.history.minutes(&admin.metrics, now);
    let mut rows = Vec::new();
    for part in spans(&minutes, now, PARTS) {
        for work in Work::ALL {
            let times = part.totals.times(work);
            let at = |quantile| times.quantile(quantile).map_or(Value::Null, |time| json!(time.as_secs_f64()));
            rows.push(vec![
                json!(moment(part.at)),
                json!(part.at.0),
                json!(work.as_str()),
                json!(times.count()),
                at(0.5),
                at(0.95),
                at(0.99),
            ]);
        }
    }
    Table { columns: &["from_utc", "from", "work", "count", "p50_seconds", "p95_seconds", "p99_seconds"], rows }
}

fn sources(admin: &Admin) -> Option<Table> {
    let sample = admin.sample.load_full()?;
    let kinds = [("referrer", &sample.referrers), ("campaign", &sample.campaigns)];
    let rows = kinds
        .into_iter()
        .flat_map(|(kind, sources)| sources.iter().map(move |(name, count)| vec![json!(kind), json!(name), json!(count)]));
    Some(Table { columns: &["kind", "source", "visitors"], rows: rows.collect() })
}

/// How many there are of all codes, and which comes up most.
pub(super) fn most(counts: impl Iterator<Item = (&'static str, u64)>) -> (u64, Option<&'static str>) {
    let counts: Vec<_> = counts.collect();
    let all = counts.iter().map(|(_, count)| count).sum();
    (all, counts.into_iter().max_by_key(|(_, count)| *count).map(|(code, _)| code))
}

fn sites(admin: &Admin) -> Table {
    let now = admin.process.clock().now();
    let circuit = admin.process.satellite().breaker.circuit().as_str();
    let rows = admin.process.sites().into_iter().map(|served| {
        let site = &served.site.origin;
        let counts = admin.metrics.site(site).unwrap_or_default();
        let accepted = |step, is: bool| counts.of(step).filter(move |(code, _)| (outcome(step, code) == ACCEPTED) == is);
        let total = |step| counts.of(step).map(|(_, count)| count).sum::<u64>();
        let (refused, reason) = most(accepted(Step::Arrival, false));
        let keys = served.keys.load();
        let is_secondary = served.site.role == Role::Secondary;
        vec![
            json!(site.as_str()),
            json!(if is_secondary { "secondary" } else { "primary" }),
            if is_secondary { json!(circuit) } else { Value::Null },
            json!(total(Step::Start)),
            json!(accepted(Step::Arrival, true).map(|(_, count)| count).sum::<u64>()),
            json!(refused),
            json!(reason),
            counts.last_exchange().map_or(Value::Null, |at| json!(at.0)),
            keys.signing_since(now).map_or(Value::Null, |since| json!(now.since(since).as_secs())),
            keys.next_rotation(now).map_or(Value::Null, |at| json!(at.0)),
        ]
    });
    let columns = &[
        "site",
        "role",
        "circuit",
        "sent_on_a_hop",
        "tokens_taken",
        "tokens_refused",
        "refused_mostly_because",
        "last_taken",
        "key_age_seconds",
        "next_key",
    ];
    Table { columns, rows: rows.collect() }
}

/// What the broker answered one site, since the start.
pub(super) struct Asked {
    /// The site, or the word for none.
    pub(super) site: String,
    pub(super) known: u64,
    pub(super) minted: u64,
    pub(super) refused: u64,
    /// The most frequent code of those.
    pub(super) reason: Option<&'static str>,
    pub(super) api: u64,
    pub(super) api_unanswered: u64,
}

/// Each site that asked the broker, the one with the most refused hops first; `None` on a node without a broker.
pub(super) fn asked(admin: &Admin) -> Option<Vec<Asked>> {
    admin.process.keeper()?;
    let mut rows: Vec<_> = admin.metrics.asking().into_iter().map(|(site, counts)| of_site(site, &counts)).collect();
    rows.retain(|row| row.known + row.minted + row.refused + row.api > 0);
    rows.sort_by_key(|row| std::cmp::Reverse(row.refused));
    Some(rows)
}

fn of_site(site: String, counts: &SiteCounts) -> Asked {
    let hops = |wanted| counts.of(Step::Hop).filter(move |(code, _)| outcome(Step::Hop, code) == wanted);
    let total = |wanted| hops(wanted).map(|(_, count)| count).sum();
    let (refused, reason) = most(hops("refused"));
    let (api, _) = most(counts.of_api());
    let (api_unanswered, _) = most(counts.of_api().filter(|(code, _)| *code != "answered"));
    Asked { site, known: total("known"), minted: total("minted"), refused, reason, api, api_unanswered }
}

fn asking(admin: &Admin) -> Option<Table> {
    let rows = asked(admin)?.into_iter().map(|row| {
        let Asked { site, known, minted, refused, reason, api, api_unanswered } = row;
        vec![json!(site), json!(known), json!(minted), json!(refused), json!(reason), json!(api), json!(api_unanswered)]
    });
    let columns = &["asking", "known", "minted", "refused", "refused_mostly_because", "api_requests", "api_unanswered"];
    Some(Table { columns, rows: rows.collect() })
}

fn store(admin: &Admin) -> Option<Table> {
    let state = admin.process.keeper()?.writer().state();
    let sample = admin.sample.load_full();
    let commit = admin.metrics.times(Work::Commit);
    let at = |quantile| commit.quantile(quantile).map_or(Value::Null, |time| json!(time.as_secs_f64()));
    let row = vec![
        json!(state.status.as_str()),
        sample.map_or(Value::Null, |sample| json!(sample.total)),
        json!(state.waiting),
        json!(state.written),
        json!(state.lost),
        json!(state.set_aside),
        json!(admin.metrics.store_failures()),
        at(0.5),
        at(0.99),
    ];
    let columns =
        &["state", "records", "waiting", "written", "lost", "set_aside", "failures", "commit_p50_seconds", "commit_p99_seconds"];
    Some(Table { columns, rows: vec![row] })
}
