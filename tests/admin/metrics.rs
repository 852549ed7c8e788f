//! The metrics, read by another's parser, against what was visited and against what is documented.

use std::collections::BTreeSet;

use prometheus_parse::{Scrape, Value};
use throughline::base::clock::{Clock as _, SystemClock};

use crate::support::files::Setup;
use crate::support::process::wait_until;
use crate::watched::{Watched, visit};

fn scrape(watched: &Watched) -> Scrape {
    let answer = watched.get("/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    Scrape::parse(answer.text().lines().map(|line| Ok(line.to_owned()))).expect("Prometheus' text format")
}

/// The value of the one sample with these labels.
fn value(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> f64 {
    let mut found = scrape
        .samples
        .iter()
        .filter(|sample| sample.metric == name && labels.iter().all(|(label, value)| sample.labels.get(label) == Some(value)));
    match (found.next().map(|sample| &sample.value), found.next()) {
        (Some(Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value)), None) => *value,
        (None, None) => 0.0,
        other => panic!("{name} {labels:?}: {other:?}"),
    }
}

#[test]
fn what_happened_is_counted_by_site_outcome_and_reason() {
    let watched = Watched::start(Setup::default());
    let before = scrape(&watched);
    visit(&watched.company);
    let after = scrape(&watched);
    let rise = |name: &str, labels: &[(&str, &str)]| value(&after, name, labels) - value(&before, name, labels);
    let [brand, shop, learn] = [&watched.company.brand, &watched.company.shop, &watched.company.learn].map(String::as_str);
    assert_eq!(rise("throughline_hop_starts_total", &[("site", shop)]), 2.0);
    assert_eq!(rise("throughline_hop_starts_total", &[("site", learn)]), 1.0);
    let hops = |outcome, reason| rise("throughline_hops_total", &[("site", brand), ("outcome", outcome), ("reason", reason)]);
    assert_eq!((hops("minted", "hop_minted"), hops("known", "hop_known")), (2.0, 1.0));
    let exchanges =
        |site, outcome, reason| rise("throughline_exchanges_total", &[("site", site), ("outcome", outcome), ("reason", reason)]);
    assert_eq!((exchanges(shop, "accepted", "bounce"), exchanges(learn, "accepted", "bounce")), (2.0, 1.0));
    assert_eq!(exchanges(learn, "accepted", "link"), 1.0);
    let refused: f64 = after
        .samples
        .iter()
        .filter(|sample| sample.metric == "throughline_exchanges_total" && sample.labels.get("outcome") == Some("refused"))
        .map(|sample| match sample.value {
            Value::Counter(count) => count,
            _ => 0.0,
        })
        .sum();
    assert_eq!(refused, 1.0, "the token that came twice");
    assert_eq!(rise("throughline_links_total", &[("site", shop), ("outcome", "decorated")]), 1.0);
    assert_eq!(rise("throughline_pages_total", &[("site", brand), ("reason", "minted")]), 1.0);

    let count = |scrape: &Scrape, work: &str| {
        let of_work = |sample: &&prometheus_parse::Sample| sample.labels.get("work") == Some(work);
        let count = scrape.samples.iter().filter(|sample| sample.metric == "throughline_duration_seconds_count").find(of_work);
        count.map(|sample| match sample.value {
            Value::Untyped(count) | Value::Counter(count) | Value::Gauge(count) => count,
            _ => 0.0,
        })
    };
    assert_eq!(count(&after, "hop").unwrap() - count(&before, "hop").unwrap(), 3.0);
    assert_eq!(count(&after, "exchange").unwrap() - count(&before, "exchange").unwrap(), 5.0);
    // A hop does not wait long for its write (rule A2).
    let is_committed = || count(&scrape(&watched), "commit").is_some_and(|count| count > 0.0);
    wait_until("a commit", || false, is_committed).unwrap_or_else(|problem| panic!("{problem}"));

    assert_eq!(value(&after, "throughline_circuit_state", &[("state", "closed")]), 1.0);
    assert_eq!(value(&after, "throughline_circuit_state", &[("state", "open")]), 0.0);
    assert_eq!((value(&after, "throughline_store_up", &[]), value(&after, "throughline_replay_up", &[])), (1.0, 1.0));
    assert_eq!(value(&after, "throughline_replay_entries", &[]), 4.0, "each token that counted");
    assert!(value(&after, "throughline_store_written_total", &[]) >= 4.0);
    let now = SystemClock::new().now().0 as f64;
    for site in [brand, shop, learn] {
        assert!(value(&after, "throughline_signing_key_age_seconds", &[("site", site)]) < 600.0);
    }
    assert!(now - value(&after, "throughline_last_exchange_timestamp_seconds", &[("site", shop)]) < 60.0);
    let started = value(&after, "process_start_time_seconds", &[]);
    assert!(started <= now && now - started < 600.0);
}

/// Every sample has labels from a closed list, so that no visitor can make the series many.
#[test]
fn a5_labels_are_sites_and_words_of_ours() {
    let watched = Watched::start(Setup::default());
    visit(&watched.company);
    for path in ["/_throughline/go?to=%22%7D%0Ax", "/?_tl=%22%7Dx", "/p.html?site=x"] {
        crate::support::browser::Browser::new().navigate(&format!("{}{path}", watched.company.shop));
    }
    let sites = [&watched.company.brand, &watched.company.shop, &watched.company.learn];
    for sample in scrape(&watched).samples {
        for (label, value) in sample.labels.iter() {
            let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let is_good = match label.as_str() {
                "site" => sites.contains(&value),
                "asking" => sites.contains(&value) || value == "unknown",
                "outcome" | "reason" | "work" | "state" => is_word(value),
                "version" => value == env!("CARGO_PKG_VERSION"),
                _ => false,
            };
            assert!(is_good, "{label}={value} of {}", sample.metric);
        }
    }
}

#[test]
fn what_is_exported_is_documented_and_what_is_documented_is_exported() {
    let watched = Watched::start(Setup::default());
    let text = watched.get("/metrics").text();
    let exported: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(exported.len() > 20, "{exported:?}");
    let document = include_str!("../../docs/metrics.md");
    let is_name = |word: &&str| {
        (word.starts_with("throughline_") || word.starts_with("process_"))
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let words = || document.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).filter(is_name);
    // A histogram's series have names of their own.
    let family = |word: &'static str| {
        let bare = ["_bucket", "_sum", "_count"].into_iter().find_map(|ending| word.strip_suffix(ending));
        bare.filter(|bare| exported.contains(bare)).unwrap_or(word)
    };
    let documented: BTreeSet<_> = words().map(family).collect();
    assert_eq!(documented, exported);
    // Each metric has a row of its own, and not only a place in an alert.
    for name in &exported {
        assert!(document.contains(&format!("| `{name}`")), "{name} has no row");
    }
    // Every reason that an alert names is one of ours.
    for line in text.lines().filter(|line| line.starts_with("# HELP ")) {
        assert!(line.ends_with('.'), "{line}");
    }
}
