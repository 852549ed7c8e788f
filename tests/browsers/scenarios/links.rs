//! Links between the company's sites carry the ID themselves, once, and from nowhere else.

use super::steps::{first_visit, known_visitor, served};
use crate::support::browser::Browser;
use crate::support::capabilities::Options;
use crate::support::driver::Engine;
use crate::support::http::{self, NAVIGATION};
use crate::support::relay::Relay;
use crate::support::server::{Demo, Split};
use crate::support::visit::visit;

/// The `go` link's tokenised target, fresh and unused: what the click would have led to.
async fn captured_link(browser: &Browser) -> String {
    let go = browser.text("document.querySelector('#to-learn-go').href").await;
    let (page, cookies) = (browser.url().await, browser.cookie_header().await);
    let mut headers: Vec<(&str, &str)> = NAVIGATION.to_vec();
    headers.retain(|(name, _)| *name != "Sec-Fetch-Site");
    headers.extend([("Sec-Fetch-Site", "same-origin"), ("Referer", &page), ("Cookie", &cookies)]);
    let response = http::get(&go, &headers).expect("the shop answers");
    let target = response.header("location").expect("a redirect").to_owned();
    assert!(target.contains("_tl="), "{target} carries no token");
    target
}

/// Asserts that the page was served and that `visitor` is not who it takes this one for.
async fn served_to_a_stranger(browser: &Browser, visitor: &str) {
    served(browser).await;
    assert_ne!(browser.shown_visitor().await, visitor);
    assert_ne!(browser.me().await.visitor.as_deref(), Some(visitor));
}

async fn l2_a_link_carries_the_id_past_a_dead_broker(engine: Engine) {
    let split = Split::start().await;
    visit(engine, Options::default(), &split, async |browser| {
        let visitor = first_visit(browser, &split.hosts).await;
        let before = browser.history_length().await;
        split.kill_broker();

        browser.leave_by("#to-learn-go").await;
        browser.arrive(&split.hosts.learn("/lessons?from=shop#intro")).await;
        let me = browser.me().await;
        assert_eq!(me.visitor, Some(visitor.clone()));
        assert_eq!(me.source.as_deref(), Some("link"));
        assert_eq!(browser.shown_visitor().await, visitor);
        assert_eq!(browser.history_length().await, before + 1, "one click, one history entry");
    })
    .await;
}
in_engines!(l2_a_link_carries_the_id_past_a_dead_broker: chromium, firefox, webkit);

async fn l2_a_link_opened_from_elsewhere_gives_nothing(engine: Engine) {
    let split = Split::start().await;
    visit(engine, Options::default(), &split, async |browser| {
        let visitor = first_visit(browser, &split.hosts).await;
        let link = captured_link(browser).await;
        // Without its broker the other site has no second way to learn the ID.
        split.kill_broker();
        split.hosts.eventually_hops(false).await;

        browser.open(&split.hosts.news("/")).await;
        browser.leave_for(&link).await;
        served_to_a_stranger(browser, &visitor).await;
        // Typed in, from anywhere.
        browser.open(&split.hosts.news("/")).await;
        browser.open(&link).await;
        served_to_a_stranger(browser, &visitor).await;
    })
    .await;
}
in_engines!(l2_a_link_opened_from_elsewhere_gives_nothing: chromium, firefox, webkit);

async fn l2_t7_a_link_counts_once(engine: Engine) {
    let split = Split::start().await;
    visit(engine, Options::default(), &split, async |browser| {
        let hosts = split.hosts;
        let visitor = first_visit(browser, &hosts).await;
        let link = captured_link(browser).await;
        split.kill_broker();
        split.hosts.eventually_hops(false).await;

        browser.leave_for(&link).await;
        assert_eq!(browser.me().await.visitor, Some(visitor.clone()), "the first time it counts");

        // Another person, to whom it was mailed, and who even comes from the right page.
        let other = Browser::start(engine, Options::default()).await;
        other.open(&hosts.shop("/products")).await;
        other.leave_for(&link).await;
        served_to_a_stranger(&other, &visitor).await;
        other.close().await;

        browser.open(&link).await;
        assert_eq!(browser.me().await.visitor, Some(visitor), "and it takes nothing away");
    })
    .await;
}
in_engines!(l2_t7_a_link_counts_once: chromium, firefox, webkit);

async fn a_popup_keeps_its_opener_over_a_first_hop(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        browser.open(&demo.hosts.news("/")).await;
        let tabs = browser.open_tabs(&[&demo.hosts.shop("/products")]).await;
        browser.turn_to(&tabs[0]).await;
        known_visitor(browser).await;
        browser.until("the popup to keep its opener", "!!window.opener").await;
    })
    .await;
}
in_engines!(a_popup_keeps_its_opener_over_a_first_hop: chromium, firefox, webkit);
/// Case I1: the `Referer` is right, the token is fresh, and neither is the visitor's own.
async fn l2_a_relayed_link_gives_a_new_visitor_no_strangers_id(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let relay = Relay::start(demo.hosts).await;
        let stranger = relay.visitor().await;
        let visitor = first_visit(browser, &demo.hosts).await;
        assert_ne!(visitor, stranger);

        browser.leave_for(&relay.url()).await;
        served_to_a_stranger(browser, &stranger).await;
        assert_eq!(relay.sent().len(), 1, "the visitor came by the relay");
        assert!(browser.url().await.starts_with(&demo.hosts.learn("/lessons")), "and arrived");

        // By and by learn knows the visitor, as who they are.
        browser.open(&demo.hosts.shop("/products")).await;
        browser.follow("#to-learn").await;
        assert_eq!(browser.me().await.visitor, Some(visitor.clone()));
        assert!(relay.forget().await);
        for page in [demo.hosts.learn("/lessons"), demo.hosts.shop("/products")] {
            browser.open(&page).await;
            assert_eq!(browser.me().await.visitor, Some(visitor.clone()), "{page}");
        }
    })
    .await;
}
in_engines!(l2_a_relayed_link_gives_a_new_visitor_no_strangers_id: chromium, firefox);

async fn l9_a_relayed_link_ties_a_known_visitor_to_nobody(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let relay = Relay::start(demo.hosts).await;
        let visitor = first_visit(browser, &demo.hosts).await;
        browser.follow("#to-learn").await;
        assert_eq!(browser.me().await.visitor, Some(visitor.clone()));

        for _ in 0..3 {
            browser.open(&demo.hosts.shop("/products")).await;
            browser.leave_for(&relay.url()).await;
            browser.arrive(&demo.hosts.learn("/lessons")).await;
            assert_eq!(browser.me().await.visitor, Some(visitor.clone()));
        }
        assert_eq!(relay.sent().len(), 3);
        assert!(relay.forget().await);
        for page in [demo.hosts.learn("/lessons"), demo.hosts.shop("/products"), demo.hosts.brand("/")] {
            browser.open(&page).await;
            let me = browser.me().await;
            assert_eq!((me.visitor, me.consent.as_str()), (Some(visitor.clone()), "granted"), "{page}");
        }
    })
    .await;
}
in_engines!(l9_a_relayed_link_ties_a_known_visitor_to_nobody: chromium, firefox);
