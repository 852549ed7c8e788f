//! What Chromium does to a domain that visitors are only ever bounced through, and that it does not
//! do so to one that people use. The reason for the advice to host the broker on a real website.

use std::time::Duration;

use super::steps::{first_visit, known_visitor};
use crate::support::browser::Browser;
use crate::support::capabilities::Options;
use crate::support::driver::Engine;
use crate::support::server::{Demo, Hosts};
use crate::support::visit::visit;
use crate::support::wait::eventually;

/// By now the mitigations have acted, if they were to: they take about five seconds.
const ACTED: Duration = Duration::from_secs(10);

fn hasty() -> Options {
    Options {
        hasty_mitigations: true,
        ..Options::default()
    }
}

async fn primary_cookies(browser: &Browser, hosts: &Hosts) -> Vec<String> {
    browser.cookies_at(&[&hosts.brand("/")]).await
}

async fn a_primary_that_nobody_uses_is_wiped_and_no_page_is_lost(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, hasty(), &demo, async |browser| {
        let hosts = demo.hosts;
        let visitor = first_visit(browser, &hosts).await;
        let shop = browser.url().await;
        assert_ne!(
            primary_cookies(browser, &hosts).await,
            [""; 0],
            "the hop has set it"
        );

        // The bounce counts once the visitor has gone on.
        browser.open(&hosts.news("/")).await;
        eventually("the master cookie to be wiped", async || {
            primary_cookies(browser, &hosts)
                .await
                .is_empty()
                .then_some(())
        })
        .await;

        browser.open(&shop).await;
        assert_eq!(
            known_visitor(browser).await,
            visitor,
            "what a site has learned stays"
        );
        // The price: whoever has not been told of this visitor yet learns of a new one.
        browser.follow("#to-learn").await;
        assert_ne!(known_visitor(browser).await, visitor);
    })
    .await;
}
in_engines!(a_primary_that_nobody_uses_is_wiped_and_no_page_is_lost: chromium);

async fn a_primary_that_people_use_is_left_alone(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, hasty(), &demo, async |browser| {
        let hosts = demo.hosts;
        browser.open(&hosts.brand("/")).await;
        browser.click("#visitor").await;
        let visitor = first_visit(browser, &hosts).await;
        browser.open(&hosts.news("/")).await;

        tokio::time::sleep(ACTED).await;
        assert_ne!(
            primary_cookies(browser, &hosts).await,
            [""; 0],
            "wiped all the same"
        );
        browser.open(&hosts.learn("/lessons")).await;
        assert_eq!(known_visitor(browser).await, visitor);
    })
    .await;
}
in_engines!(a_primary_that_people_use_is_left_alone: chromium);
