//! The promise itself: one visitor, one ID, on all hosts, and nothing to be seen of how.

use super::steps::{first_visit, known_visitor};
use crate::support::capabilities::Options;
use crate::support::driver::Engine;
use crate::support::server::Demo;
use crate::support::visit::visit;

async fn s15_r1_r2_one_id_on_all_hosts(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let hosts = demo.hosts;
        browser.open(&hosts.news("/")).await;
        let before = browser.history_length().await;

        // `follow` arrives only at exactly the link's address: query, fragment, and no `_tl`.
        let shop = browser.follow("#to-shop").await;
        assert_eq!(shop, hosts.shop("/products?x=1&y=a%20b#reviews"), "the demo's link");
        let visitor = known_visitor(browser).await;
        let referrer = browser.text("document.referrer").await;
        assert!(referrer.starts_with(&hosts.news("")), "the outside referrer became {referrer}");
        assert_eq!(browser.history_length().await, before + 1, "one click, one history entry");

        let learn = browser.follow("#to-learn").await;
        assert_eq!(learn, hosts.learn("/lessons?from=shop#intro"), "the demo's link");
        assert_eq!(known_visitor(browser).await, visitor);
        assert_eq!(browser.history_length().await, before + 2, "one click, one history entry");

        browser.follow("#to-brand").await;
        assert_eq!(known_visitor(browser).await, visitor);
        assert_eq!(browser.history_length().await, before + 3, "one click, one history entry");
    })
    .await;
}
in_engines!(s15_r1_r2_one_id_on_all_hosts: chromium, firefox, webkit);

async fn r5_back_and_reload_keep_the_id(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let visitor = first_visit(browser, &demo.hosts).await;
        let shop = browser.url().await;
        browser.follow("#to-learn").await;

        browser.back().await;
        browser.arrive(&shop).await;
        assert_eq!(known_visitor(browser).await, visitor);

        browser.reload().await;
        browser.arrive(&shop).await;
        assert_eq!(known_visitor(browser).await, visitor);

        browser.back().await;
        browser.arrive(&demo.hosts.news("/")).await;
    })
    .await;
}
in_engines!(r5_back_and_reload_keep_the_id: chromium, firefox, webkit);

async fn r5_s12_two_tabs_at_once_share_the_id(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let hosts = demo.hosts;
        browser.open(&hosts.news("/")).await;
        let tabs = browser.open_tabs(&[&hosts.shop("/products"), &hosts.shop("/about")]).await;
        let mut visitors = Vec::new();
        for tab in &tabs {
            browser.turn_to(tab).await;
            if browser.shown_visitor().await == "none" {
                // The other tab's hop was under way, so this page was served as it was (S12).
                browser.reload().await;
            }
            visitors.push(known_visitor(browser).await);
        }
        assert_eq!(visitors[0], visitors[1]);
    })
    .await;
}
in_engines!(r5_s12_two_tabs_at_once_share_the_id: chromium, firefox, webkit);

/// Two first hops that would begin before either has come back: neither request carries a cookie by which the broker could
/// tell that they are one browser's, so it would mint twice. The satellite lets only one of them go.
async fn b6_s16_two_first_pages_at_once_leave_one_id(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let hosts = demo.hosts;
        browser.open(&hosts.news("/")).await;
        let tabs = browser.open_tabs(&[&hosts.shop("/products"), &hosts.learn("/lessons")]).await;
        let mut visitors = Vec::new();
        for tab in &tabs {
            browser.turn_to(tab).await;
            if browser.shown_visitor().await == "none" {
                // The other tab was on its hop, so this page was served as it was (S16).
                browser.reload().await;
            }
            visitors.push(known_visitor(browser).await);
        }
        browser.open(&hosts.brand("/")).await;
        visitors.push(known_visitor(browser).await);
        assert!(visitors.iter().all(|visitor| *visitor == visitors[0]), "{visitors:?}");
    })
    .await;
}
in_engines!(b6_s16_two_first_pages_at_once_leave_one_id: chromium, firefox, webkit);
