//! `me`, with the record behind it: first touch and properties, on one site and on the next, and without the broker.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use throughline::base::clock::{Clock as _, SystemClock};

use crate::steps::{company, known_on, link, until};
use crate::support::browser::Browser;
use crate::support::process::Process;
use crate::support::wire::Answer;

fn remember(browser: &mut Browser, site: &str, change: &Value) -> Answer {
    browser.post(&format!("{site}/_throughline/me"), &change.to_string())
}

#[test]
fn c4_me_shows_where_the_visitor_came_from() {
    let company = company();
    let mut browser = Browser::new();
    let visit =
        browser.follow_from("http://news.localhost:1/a?q=secret", &format!("{}/p.html?utm_source=news&x=1", company.shop));
    assert_eq!(visit.statuses(), [302, 302, 303, 200]);
    assert_eq!(visit.steps[1].answer.header("server-timing"), Some("store;desc=written"));
    let me = browser.me(&company.shop);
    assert_eq!(me["record"], "present");
    assert_eq!(me["first_touch"]["referrer"], "http://news.localhost:1/");
    assert_eq!(me["first_touch"]["landing"], format!("{}/p.html", company.shop));
    assert_eq!(me["first_touch"]["campaign"], json!({"utm_source": "news"}));
    // It stays the first, on the other sites too.
    browser.follow_from("http://other.localhost:1/", &format!("{}/p.html", company.learn));
    assert_eq!(browser.me(&company.learn)["first_touch"], me["first_touch"]);
    let own = known_on(&company.shop).0.me(&company.shop);
    assert!(own["first_touch"]["referrer"].is_null() && own["first_touch"]["at"].is_u64(), "{own}");
    let nobody = Browser::new().me(&company.shop);
    assert_eq!((&nobody["first_touch"], &nobody["properties"], &nobody["record"]), (&Value::Null, &json!({}), &json!("none")));
}

#[test]
fn what_a_page_has_remembered_goes_along_by_links_and_by_hops() {
    let company = company();
    let (mut browser, visitor) = known_on(&company.shop);
    let set = remember(&mut browser, &company.shop, &json!({"set": {"plan": "pro"}, "set_once": {"from": "shop"}}));
    assert_eq!((set.status, set.json()), (200, json!({"properties": {"plan": "pro", "from": "shop"}})));
    let mut other = browser.clone();
    link(&mut browser, &company.shop, &company.learn);
    until("the link is known", || browser.me(&company.learn)["record"] == "present");
    assert_eq!(browser.me(&company.learn)["properties"], json!({"plan": "pro", "from": "shop"}));
    other.navigate(&format!("{}/p.html", company.learn));
    assert_eq!(other.me(&company.learn)["source"], "broker");
    let changed = remember(&mut other, &company.learn, &json!({"set_once": {"from": "learn"}, "remove": ["plan"]}));
    assert_eq!(changed.json(), json!({"properties": {"from": "shop"}}));
    assert_eq!(browser.me(&company.shop)["properties"], json!({"from": "shop"}));
    // The page of the primary that asks has brought the master cookie back: the broker notes the visitor there.
    until("the visit is noted", || browser.me(&company.brand)["properties"] == json!({"from": "shop"}));
    assert_eq!(company.record("shop", &visitor).unwrap()["version"], 2);

    // Only the site's own pages, and only what is no fault.
    let url = format!("{}/_throughline/me", company.shop);
    let body = json!({"set": {"evil": 1}}).to_string();
    for relation in ["cross-site", "same-site", "none", ""] {
        let answer = browser.clone().set("Sec-Fetch-Site", relation).post(&url, &body);
        assert_eq!((answer.status, &answer.json()["error"]), (403, &json!("not_same_origin")), "{relation}");
    }
    for origin in [company.learn.as_str(), "null", ""] {
        let mut elsewhere = browser.clone();
        assert_eq!(elsewhere.omit("Sec-Fetch-Site").set("Origin", origin).post(&url, &body).status, 403, "{origin}");
    }
    assert_eq!(browser.clone().omit("Sec-Fetch-Site").omit("Origin").post(&url, &body).status, 403);
    let refused = remember(&mut browser, &company.shop, &json!({"set": {"token": 1}}));
    assert_eq!(
        (refused.status, &refused.json()["error"], &refused.json()["key"]),
        (422, &json!("reserved_key"), &json!("token"))
    );
    let many: serde_json::Map<_, _> = (0..100).map(|number| (format!("k{number}"), json!(1))).collect();
    let refused = remember(&mut browser, &company.shop, &json!({ "set": many }));
    assert_eq!((refused.status, &refused.json()["error"]), (422, &json!("too_many_keys")), "the broker's word comes through");
    let large = browser.post(&url, &" ".repeat(32_769));
    assert_eq!((large.status, &large.json()["error"]), (413, &json!("too_large")));
    assert_eq!(browser.me(&company.shop)["properties"], json!({"from": "shop"}));
    let nobody = remember(&mut Browser::new(), &company.shop, &json!({"set": {"a": 1}}));
    assert_eq!((nobody.status, &nobody.json()["error"]), (409, &json!("no_visitor")));
}

#[test]
fn a1_me_and_pages_go_on_without_the_broker() {
    let mut company = company();
    let (mut browser, visitor) = known_on(&company.shop);
    let clock = SystemClock::new();
    let url = format!("{}/_throughline/me", company.shop);
    let mut assert_goes_on = || {
        let mut fastest = Duration::MAX;
        for _ in 0..5 {
            let begun = clock.uptime();
            let me = browser.fetch(&url);
            fastest = fastest.min(clock.uptime().saturating_sub(begun));
            let me = me.json();
            assert_eq!((me["visitor"].as_str(), &me["record"]), (Some(visitor.as_str()), &json!("unavailable")));
            assert_eq!((&me["first_touch"], &me["properties"]), (&Value::Null, &json!({})));
            let page = browser.navigate(&format!("{}/p.html", company.shop));
            assert_eq!((page.statuses(), page.cookies()), (vec![200], vec![]));
        }
        assert!(fastest < Duration::from_millis(600), "{fastest:?}");
        assert_eq!(remember(&mut browser, &company.shop, &json!({"set": {"a": 1}})).status, 503);
    };
    // First it hangs, then it is gone.
    let stop = |signal: &str, broker: &Process| {
        assert!(Command::new("kill").args([signal, &broker.id().to_string()]).status().unwrap().success());
    };
    stop("-STOP", &company.processes[1]);
    assert_goes_on();
    stop("-CONT", &company.processes[1]);
    company.processes[1].kill();
    assert_goes_on();

    // Whoever is new meanwhile has an ID that the broker will never know.
    let mut new = Browser::new();
    until("the satellite sees it", || {
        new = Browser::new();
        new.step(&format!("{}/p.html", company.shop), None).status == 200
    });
    assert_eq!(new.me(&company.shop)["source"], "provisional");
    let provisional = new.visitor(&company.shop).unwrap();
    let refused = remember(&mut new, &company.shop, &json!({"set": {"a": 1}}));
    assert_eq!((refused.status, &refused.json()["error"]), (503, &json!("unavailable")));

    company.start_broker();
    assert_eq!(browser.me(&company.shop)["record"], "present");
    assert_eq!(remember(&mut browser, &company.shop, &json!({"set": {"a": 1}})).status, 200);
    // And once it has one, the two are aliases.
    new.navigate(&format!("{}/p.html", company.shop));
    let visitor = new.visitor(&company.shop).unwrap();
    assert_ne!(visitor, provisional);
    let aliases = || company.record("shop", &visitor).and_then(|record| record.get("aliases").cloned()).unwrap_or_default();
    until("the alias is known", || aliases()[&provisional]["site"] == company.shop.as_str());
    assert_eq!(aliases()[&provisional]["kind"], "provisional");
}
