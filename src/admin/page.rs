//! The operator's page: the numbers as pictures. Drawn here, so that the page needs no script and asks nobody else.

use std::sync::LazyLock;

use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;

use crate::base::encoding::base64;
use crate::domain::breaker::Circuit;
use crate::domain::site::Role;
use crate::http::event::{Step, Work};
use crate::store::record_writer::StoreStatus;

use super::Admin;
use super::data::{Asked, PARTS, asked, most};
use super::history::{Minute, Series, spans};
use super::metrics::{ACCEPTED, outcome};
use super::pictures::{Picture, hops, latency};
use super::sample::Sample;
use super::text::{brief, count, moment, span};
use super::views::{Matrix, SourceRow, source_rows};

#[derive(Template)]
#[template(path = "admin/operator.css", escape = "none")]
struct Style;

/// The style, and the policy that lets the browser use it and nothing else.
static STYLE: LazyLock<(String, String)> = LazyLock::new(|| {
    let style = Style.render().unwrap_or_default();
    let digest = base64(ring::digest::digest(&ring::digest::SHA256, style.as_bytes()).as_ref());
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    (style, policy)
});

#[derive(Template)]
#[template(path = "admin/operator.html")]
struct Page<'a> {
    style: &'static str,
    primary: &'a str,
    roles: &'static str,
    version: &'static str,
    started: String,
    now: String,
    tiles: Vec<Tile>,
    matrix: Option<Matrix>,
    no_sample: String,
    pictures: Vec<Picture>,
    sources: Option<[(&'static str, Vec<SourceRow>); 2]>,
    sites: Vec<SiteRow>,
    asking: Option<Vec<AskingRow>>,
    store: Vec<(&'static str, String)>,
}

struct Tile {
    figure: String,
    what: &'static str,
    class: &'static str,
}

struct SiteRow {
    site: String,
    circuit: &'static str,
    class: &'static str,
    sent: String,
    accepted: String,
    refused: String,
    reason: &'static str,
    last: String,
    key: String,
    next_key: String,
}

struct AskingRow {
    site: String,
    known: String,
    minted: String,
    refused: String,
    reason: &'static str,
    api: String,
}

/// The answer to `/`.
#[must_use]
pub fn page(admin: &Admin) -> HttpResponse {
    let (style, policy) = &*STYLE;
    let process = &*admin.process;
    let now = process.clock().now();
    let minutes = admin.history.minutes(&admin.metrics, now);
    let day = spans(&minutes, now, PARTS);
    let (is_broker, is_satellite) = roles(admin);
    let sample = admin.sample.load_full();
    let primary = process.satellite().primary.as_str();
    let page = Page {
        style,
        primary,
        roles: match (is_broker, is_satellite) {
            (true, true) => "Broker and satellites",
            (true, false) => "Broker",
            (false, _) => "Satellites",
        },
        version: env!("CARGO_PKG_VERSION"),
        started: moment(admin.metrics.started()),
        now: moment(now),
        tiles: tiles(admin, &day),
        no_sample: no_matrix(is_broker, primary, sample.as_deref()),
        matrix: sample.as_deref().filter(|sample| is_broker && sample.sites.len() > 1).map(Matrix::of),
        pictures: pictures(&day, is_broker, is_satellite),
        sources: sample.as_deref().filter(|_| is_broker).map(sources),
        sites: sites(admin),
        asking: asked(admin).map(|rows| rows.into_iter().map(asking_row).collect()),
        store: store(admin, sample.as_deref()),
    };
    HttpResponse::build(StatusCode::OK)
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy.as_str()))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((HeaderName::from_static("cross-origin-resource-policy"), "same-origin"))
        .body(page.render().unwrap_or_default())
}

/// What stands in the place of a matrix.
fn no_matrix(is_broker: bool, primary: &str, sample: Option<&Sample>) -> String {
    match sample {
        _ if !is_broker => format!("The broker keeps the records: see its own page. It is the process that serves {primary}."),
        Some(sample) => format!(
            "There is one site so far, with {} visitors. With a second one, here is who visits both.",
            count(sample.records)
        ),
        None => "No sample of the records has been read yet. Come again in a moment; if it stays so, look at the records below."
            .into(),
    }
}

/// Whether this process is a broker node, and whether it serves a secondary.
fn roles(admin: &Admin) -> (bool, bool) {
    let is_satellite = admin.process.sites().iter().any(|served| served.site.role == Role::Secondary);
    (admin.process.keeper().is_some(), is_satellite)
}

fn tiles(admin: &Admin, day: &[Minute]) -> Vec<Tile> {
    let (is_broker, is_satellite) = roles(admin);
    let sum = |series| day.iter().map(|part| part.totals.count(series)).sum::<u64>();
    let tile = |figure, what, class| Tile { figure, what, class };
    let mut tiles = Vec::new();
    if is_satellite {
        let circuit = admin.process.satellite().breaker.circuit();
        tiles.push(tile(circuit.as_str().to_owned(), "circuit to the broker", circuit_class(circuit)));
        let (taken, refused) = (sum(Series::Accepted), sum(Series::Unaccepted));
        tiles.push(tile(count(taken), "tokens taken in 24\u{a0}h", ""));
        tiles.push(tile(percent(refused, taken + refused), "of all tokens refused", ""));
    }
    if is_broker {
        let (known, minted, refused) = (sum(Series::Known), sum(Series::Minted), sum(Series::Refused));
        tiles.push(tile(count(known + minted + refused), "hops answered in 24\u{a0}h", ""));
        tiles.push(tile(count(minted), "new visitors in 24\u{a0}h", ""));
        let times = day.iter().fold(super::histogram::Times::NONE, |all, part| all.and(part.totals.times(Work::Hop)));
        tiles.push(tile(times.quantile(0.95).map_or("–".into(), brief), "for 95 of 100 hops", ""));
        if let Some(keeper) = admin.process.keeper() {
            let state = keeper.writer().state();
            let class = if state.status == StoreStatus::Ok { "good" } else { "bad" };
            tiles.push(tile(state.status.as_str().to_owned(), "store", class));
        }
    }
    tiles
}

const fn circuit_class(circuit: Circuit) -> &'static str {
    match circuit {
        Circuit::Closed => "good",
        Circuit::Open | Circuit::HalfOpen => "bad",
        Circuit::Unprobed => "",
    }
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "–".into() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
}

fn pictures(day: &[Minute], is_broker: bool, is_satellite: bool) -> Vec<Picture> {
    let mut pictures = Vec::new();
    if is_broker {
        let series = [(Series::Known, (0, "known")), (Series::Minted, (1, "new")), (Series::Refused, (2, "without an ID"))];
        pictures.push(hops("Hops that the broker answered", day, &series));
        pictures.push(latency("How long the broker took over a hop", day, Work::Hop));
    }
    if is_satellite {
        let series = [(Series::Accepted, (0, "taken")), (Series::Unaccepted, (2, "refused"))];
        pictures.push(hops("Tokens that came to the sites", day, &series));
        pictures.push(latency("How long a site took over a token", day, Work::Exchange));
    }
    pictures
}

fn sources(sample: &Sample) -> [(&'static str, Vec<SourceRow>); 2] {
    [("outside page", source_rows(&sample.referrers)), ("campaign", source_rows(&sample.campaigns))]
}

fn sites(admin: &Admin) -> Vec<SiteRow> {
    let now = admin.process.clock().now();
    let circuit = admin.process.satellite().breaker.circuit();
    let row = |served: &std::sync::Arc<crate::http::ServedSite>| {
        let site = &served.site.origin;
        let counts = admin.metrics.site(site).unwrap_or_default();
        let arrivals =
            |is: bool| counts.of(Step::Arrival).filter(move |(code, _)| (outcome(Step::Arrival, code) == ACCEPTED) == is);
        let (refused, reason) = most(arrivals(false));
        let keys = served.keys.load();
        let is_secondary = served.site.role == Role::Secondary;
        let ago = |at| format!("{} ago", span(now.since(at)));
        SiteRow {
            site: site.to_string(),
            circuit: if is_secondary { circuit.as_str() } else { "primary" },
            class: if is_secondary { circuit_class(circuit) } else { "" },
            sent: count(counts.of(Step::Start).map(|(_, count)| count).sum()),
            accepted: count(arrivals(true).map(|(_, count)| count).sum()),
            refused: count(refused),
            reason: reason.unwrap_or_default(),
            last: counts.last_exchange().map_or_else(String::new, ago),
            key: keys.signing_since(now).map_or_else(|| "none".into(), |since| span(now.since(since))),
            next_key: keys.next_rotation(now).map_or_else(String::new, |at| format!("in {}", span(at.since(now)))),
        }
    };
    admin.process.sites().iter().map(row).collect()
}

fn asking_row(asked: Asked) -> AskingRow {
    AskingRow {
        site: asked.site,
        known: count(asked.known),
        minted: count(asked.minted),
        refused: count(asked.refused),
        reason: asked.reason.unwrap_or_default(),
        api: count(asked.api),
    }
}

fn store(admin: &Admin, sample: Option<&Sample>) -> Vec<(&'static str, String)> {
    let Some(keeper) = admin.process.keeper() else { return Vec::new() };
    let state = keeper.writer().state();
    let commit = admin.metrics.times(Work::Commit);
    let at = |quantile| commit.quantile(quantile).map_or_else(|| "–".into(), brief);
    vec![
        ("state", state.status.as_str().into()),
        (
            "records",
            sample.map_or_else(
                || "–".into(),
                |sample| format!("{}{}", if sample.is_whole { "" } else { "about " }, count(sample.total)),
            ),
        ),
        ("waiting", count(state.waiting)),
        ("set aside", count(state.set_aside)),
        ("written", count(state.written)),
        ("lost", count(state.lost)),
        ("failed commits", count(admin.metrics.store_failures())),
        ("commit, median", at(0.5)),
        ("commit, 99 of 100", at(0.99)),
        ("ended IDs", count(admin.process.revoked().len())),
    ]
}
