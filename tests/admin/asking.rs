//! Which site asked the broker: in the log, the metrics, and on the page (B11).

use prometheus_parse::{Sample, Scrape, Value};

use crate::support::browser::Browser;
use crate::support::files::Setup;
use crate::support::process::wait_until;
use crate::support::wire;
use crate::watched::{Watched, visit};

fn samples(watched: &Watched, name: &str) -> Vec<Sample> {
    let text = watched.get("/metrics").text();
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).expect("Prometheus' text format");
    scrape.samples.into_iter().filter(|sample| sample.metric == name).collect()
}

/// How often a site asked, with that outcome or reason.
fn count(samples: &[Sample], asking: &str, word: &str) -> f64 {
    let of_site = samples.iter().filter(|sample| sample.labels.get("asking") == Some(asking));
    let of_word = of_site.filter(|sample| {
        [sample.labels.get("reason"), sample.labels.get("outcome")].into_iter().flatten().any(|found| found == word)
    });
    of_word
        .map(|sample| match sample.value {
            Value::Counter(count) => count,
            _ => 0.0,
        })
        .sum()
}

/// A hop of learn with another signature, one of a site that is not registered, and a request of the API with and without a key.
fn ask_wrongly(watched: &Watched) {
    let company = &watched.company;
    let start = Browser::new().step(&format!("{}/p.html", company.learn), None);
    let hop = start.header("location").expect("a hop").to_owned();
    let (signed, signature) = hop.rsplit_once("sig=").expect("a signature");
    let other: String = signature.chars().rev().collect();
    assert_ne!(signature, other);
    assert_eq!(Browser::new().step(&format!("{signed}sig={other}"), None).status, 302);
    let evil = format!("{}/_throughline/hop?site=https%3A%2F%2Fevil.example&return=https%3A%2F%2Fevil.example%2F", company.brand);
    assert_eq!(Browser::new().step(&evil, None).status, 400);
    let host = crate::support::address::authority(&company.brand);
    let whoami = format!("GET /_throughline/whoami?site=x HTTP/1.1\r\nHost: {host}\r\nOrigin: https://evil.example\r\n\r\n");
    assert_eq!(wire::send(company.broker_port(), whoami.as_bytes()).expect("an answer").status, 403);
    assert_eq!(company.api("shop", "GET", "revocations", &[], "").status, 200);
    assert_eq!(company.api("shop", "GET", "nothing", &[], "").status, 404);
    assert_eq!(company.api_without_key("GET", "revocations", &[("Authorization", "Bearer x")], "").status, 401);
}

#[test]
fn b11_the_metrics_name_the_site_that_asked() {
    let watched = Watched::start(Setup::with_whoami());
    visit(&watched.company);
    ask_wrongly(&watched);
    let [brand, shop, learn] = [&watched.company.brand, &watched.company.shop, &watched.company.learn].map(String::as_str);
    let hops = samples(&watched, "throughline_hops_total");
    assert!(hops.iter().all(|sample| sample.labels.get("site") == Some(brand)), "{hops:?}");
    assert_eq!((count(&hops, shop, "hop_minted"), count(&hops, learn, "hop_known")), (2.0, 1.0));
    assert_eq!((count(&hops, learn, "hop_bad_signature"), count(&hops, shop, "refused")), (1.0, 0.0));
    assert_eq!((count(&hops, "unknown", "unknown_site"), count(&hops, brand, "refused")), (1.0, 0.0));
    let whoami = samples(&watched, "throughline_whoami_total");
    assert_eq!(count(&whoami, "unknown", "whoami_wrong_origin"), 1.0, "{whoami:?}");
    let api = samples(&watched, "throughline_api_total");
    assert!(count(&api, shop, "answered") >= 1.0, "{api:?}");
    assert_eq!((count(&api, shop, "refused"), count(&api, "unknown", "refused")), (1.0, 1.0), "{api:?}");
}

#[test]
fn b11_the_page_and_its_numbers_name_the_site_that_asked() {
    let watched = Watched::start(Setup::with_whoami());
    visit(&watched.company);
    ask_wrongly(&watched);
    let rows = watched.get("/asking.json").json()["rows"].as_array().expect("rows").clone();
    let row = |site: &str| rows.iter().find(|row| row["asking"] == site).unwrap_or_else(|| panic!("no {site} in {rows:?}"));
    let learn = row(&watched.company.learn);
    assert_eq!((&learn["known"], &learn["minted"], &learn["refused"]), (&1.into(), &0.into(), &1.into()));
    assert_eq!(learn["refused_mostly_because"], "hop_bad_signature");
    assert_eq!((&row("unknown")["refused"], &row(&watched.company.shop)["minted"]), (&1.into(), &2.into()));
    assert!(rows.iter().all(|row| row["asking"] != watched.company.brand.as_str()), "{rows:?}");
    let page = watched.get("/").text();
    let section = page.split("The sites that asked this broker").nth(1).expect("a section");
    for shown in [watched.company.learn.as_str(), "hop_bad_signature", "unknown"] {
        assert!(section.contains(shown), "{shown} in {section}");
    }
}

#[test]
fn b11_the_log_names_the_site_that_asked() {
    let watched = Watched::start(Setup { log_format: "json", ..Setup::with_whoami() });
    visit(&watched.company);
    ask_wrongly(&watched);
    let lines = || watched.company.stderr().lines().map(String::from).collect::<Vec<_>>();
    wait_until("the lines", || false, || lines().iter().any(|line| line.contains("whoami_wrong_origin")))
        .unwrap_or_else(|problem| panic!("{problem}"));
    let events: Vec<serde_json::Value> = lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let asking = |code: &str| {
        let event = events.iter().find(|event| event["code"] == code).unwrap_or_else(|| panic!("no {code}"));
        (event["site"].as_str().map(String::from), event["asking"].as_str().map(String::from))
    };
    let brand = Some(watched.company.brand.clone());
    assert_eq!(asking("hop_bad_signature"), (brand.clone(), Some(watched.company.learn.clone())));
    assert_eq!(asking("hop_minted"), (brand.clone(), Some(watched.company.shop.clone())));
    assert_eq!(asking("unknown_site"), (brand.clone(), Some("unknown".to_owned())));
    assert_eq!(asking("whoami_wrong_origin"), (brand, Some("unknown".to_owned())));
    assert_eq!(asking("bounce").1, None, "a satellite's own step has no asking site");
}
