//! Browsers that refuse by themselves: by a signal, or by keeping no cookies.

use super::steps::{never_hopped, served_without_id};
use crate::support::capabilities::Options;
use crate::support::driver::Engine;
use crate::support::server::Demo;
use crate::support::visit::visit;

/// WebKitGTK has no such setting, and its driver no way to add a header.
async fn s9_gpc_counts_as_a_refusal(engine: Engine) {
    let demo = Demo::start(&[]).await;
    let options = Options {
        gpc: true,
        ..Options::default()
    };
    visit(engine, options, &demo, async |browser| {
        let hosts = demo.hosts;
        browser.open(&hosts.news("/")).await;
        for link in ["#to-shop", "#to-learn", "#to-brand"] {
            browser.follow(link).await;
            served_without_id(browser).await;
            assert_eq!(browser.me().await.consent, "denied", "after {link}");
            assert_eq!(browser.our_cookies().await, [""; 0], "after {link}");
        }
        never_hopped(browser).await;
    })
    .await;
}
in_engines!(s9_gpc_counts_as_a_refusal: chromium, firefox);

/// The first page costs one hop that nobody could foresee; `_tl` may stay in its address, since a
/// redirect to the clean one would look like another first visit (R3).
async fn s16_r3_a_browser_without_cookies_never_loops(engine: Engine) {
    let demo = Demo::start(&[]).await;
    let options = Options {
        cookies_blocked: true,
        ..Options::default()
    };
    visit(engine, options, &demo, async |browser| {
        let hosts = demo.hosts;
        browser.open(&hosts.news("/")).await;
        browser.leave_by("#to-shop").await;
        assert!(
            browser
                .url()
                .await
                .starts_with(&hosts.shop("/products?x=1&y=a%20b"))
        );
        served_without_id(browser).await;

        // On the same site the missing cookies tell (S16): no second hop.
        browser.follow("#to-self").await;
        served_without_id(browser).await;
        browser.follow("#to-self").await;
        served_without_id(browser).await;

        browser.leave_by("#to-learn").await;
        assert!(
            browser
                .url()
                .await
                .starts_with(&hosts.learn("/lessons?from=shop"))
        );
        served_without_id(browser).await;
        assert_eq!(
            browser.our_cookies().await,
            [""; 0],
            "so cookies were not blocked after all"
        );
    })
    .await;
}
in_engines!(s16_r3_a_browser_without_cookies_never_loops: chromium, firefox, webkit);
