//! A visitor who is asked first: nothing before the choice, and the choice holds.

use super::steps::{first_visit, known_visitor, never_hopped, served_without_id};
use crate::support::browser::Browser;
use crate::support::capabilities::Options;
use crate::support::driver::Engine;
use crate::support::server::{Demo, Hosts};
use crate::support::visit::visit;

const ASK_FIRST: &[&str] = &["--consent", "required"];

/// From the outside site to a shop that must ask, and has not yet.
async fn arrive_unasked(browser: &Browser, hosts: &Hosts) {
    browser.open(&hosts.news("/")).await;
    browser.follow("#to-shop").await;
    assert_eq!(
        browser.our_cookies().await,
        [""; 0],
        "set before the visitor agreed"
    );
    assert_eq!(browser.me().await.consent, "unknown");
    served_without_id(browser).await;
}

async fn s8_a_grant_and_nothing_before_it_starts_the_hop(engine: Engine) {
    let demo = Demo::start(ASK_FIRST).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let hosts = demo.hosts;
        arrive_unasked(browser, &hosts).await;

        browser.leave_by("#consent-grant").await;
        browser.arrive(&hosts.shop("/products?x=1&y=a%20b")).await;
        let visitor = known_visitor(browser).await;
        assert_eq!(browser.me().await.consent, "granted");

        // A site of its own asks for itself (C6).
        browser.follow("#to-learn").await;
        assert_eq!(browser.me().await.consent, "unknown");
        served_without_id(browser).await;
        browser.leave_by("#consent-grant").await;
        assert_eq!(known_visitor(browser).await, visitor);
        assert_eq!(browser.me().await.consent, "granted");
    })
    .await;
}
in_engines!(s8_a_grant_and_nothing_before_it_starts_the_hop: chromium, firefox, webkit);

async fn c1_a_refusal_leaves_nothing_but_itself(engine: Engine) {
    let demo = Demo::start(ASK_FIRST).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let hosts = demo.hosts;
        arrive_unasked(browser, &hosts).await;

        browser.leave_by("#consent-deny").await;
        let page = hosts.shop("/products?x=1&y=a%20b");
        browser.arrive(&page).await;
        browser.reload().await;
        browser.arrive(&page).await;
        assert_eq!(browser.me().await.consent, "denied");
        served_without_id(browser).await;
        let kept = browser.our_cookies().await;
        assert_eq!(
            kept,
            ["throughline=denied"],
            "more than the refusal is kept"
        );

        never_hopped(browser).await;
        // Had there been a hop, the primary would have a master cookie now.
        browser.open(&hosts.brand("/")).await;
        assert_eq!(browser.our_cookies().await, [""; 0], "left by a hop");
    })
    .await;
}
in_engines!(c1_a_refusal_leaves_nothing_but_itself: chromium, firefox, webkit);

async fn c1_forget_ends_the_id_and_counts_as_a_refusal(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        first_visit(browser, &demo.hosts).await;

        browser.leave_by("#forget").await;
        for _ in ["at once", "and still after a reload"] {
            assert_eq!(browser.me().await.consent, "denied");
            served_without_id(browser).await;
            assert_eq!(browser.our_cookies().await, ["throughline=denied"]);
            browser.reload().await;
        }
    })
    .await;
}
in_engines!(c1_forget_ends_the_id_and_counts_as_a_refusal: chromium, firefox, webkit);
