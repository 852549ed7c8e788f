//! Someone else's finished return URL, put before a victim.

use serde_json::Value;

use super::steps::{first_visit, known_visitor, served};
use crate::support::capabilities::Options;
use crate::support::driver::Engine;
use crate::support::http::{self, NAVIGATION};
use crate::support::server::{Demo, Hosts};
use crate::support::visit::visit;

/// What an attacker has after a hop of his own that he stopped before its last step.
struct Bait {
    /// The return URL, its token fresh and unused.
    url: String,
    /// The ID that the victim is meant to get.
    visitor: String,
}

fn bait(hosts: &Hosts) -> Bait {
    let follow = |url: &str| {
        let response = http::get(url, NAVIGATION).expect("the demo answers");
        let next = response.header("location").expect("a redirect").to_owned();
        (next, response.cookies())
    };
    let (hop, _) = follow(&hosts.shop("/products?x=1"));
    let (url, master) = follow(&hop);
    assert!(url.contains("_tl="), "{url} carries no token");

    let own_page: [(&str, &str); 2] = [("Cookie", &master), ("Sec-Fetch-Site", "same-origin")];
    let me = http::get(&hosts.brand("/_throughline/me"), &own_page).expect("the broker answers");
    let me: Value = serde_json::from_str(me.body.trim()).expect("JSON");
    let visitor = me["visitor"]
        .as_str()
        .expect("the attacker's own ID")
        .to_owned();
    Bait { url, visitor }
}

async fn r4_a_visitor_without_an_id_does_not_take_anothers(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let bait = bait(&demo.hosts);
        browser.open(&bait.url).await;
        served(browser).await;
        assert_ne!(browser.me().await.visitor, Some(bait.visitor.clone()));

        assert_ne!(first_visit(browser, &demo.hosts).await, bait.visitor);
    })
    .await;
}
in_engines!(r4_a_visitor_without_an_id_does_not_take_anothers: chromium, firefox, webkit);

async fn r4_a_visitor_with_an_id_keeps_it(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let visitor = first_visit(browser, &demo.hosts).await;
        let bait = bait(&demo.hosts);
        assert_ne!(visitor, bait.visitor);
        browser.open(&bait.url).await;
        assert_eq!(known_visitor(browser).await, visitor);
        browser.follow("#to-brand").await;
        assert_eq!(known_visitor(browser).await, visitor);
    })
    .await;
}
in_engines!(r4_a_visitor_with_an_id_keeps_it: chromium, firefox, webkit);
