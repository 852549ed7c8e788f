//! What the broker remembers of a visitor is known on all domains, and so is that it was asked to forget.

use super::steps::{first_visit, known_visitor, served_without_id};
use crate::support::browser::Browser;
use crate::support::capabilities::Options;
use crate::support::driver::Engine;
use crate::support::server::{Hosts, Split};
use crate::support::visit::visit;

/// A visitor who is known on all three sites.
async fn everywhere(browser: &Browser, hosts: &Hosts) -> String {
    let visitor = first_visit(browser, hosts).await;
    for link in ["#to-learn", "#to-brand"] {
        browser.follow(link).await;
        assert_eq!(known_visitor(browser).await, visitor);
    }
    visitor
}

async fn c1_forgotten_on_one_domain_is_forgotten_on_all(engine: Engine) {
    // The broker is a process of its own: it has to be told, and the others hear of it there.
    let company = Split::start().await;
    visit(engine, Options::default(), &company, async |browser| {
        let hosts = company.hosts;
        let visitor = everywhere(browser, &hosts).await;

        browser.open(&hosts.shop("/about")).await;
        assert_eq!(known_visitor(browser).await, visitor);
        browser.leave_by("#forget").await;
        browser.arrive(&hosts.shop("/about")).await;

        for page in [hosts.learn("/lessons"), hosts.brand("/story"), hosts.shop("/about")] {
            browser.open(&page).await;
            assert_eq!(browser.me().await.consent, "denied", "{page}");
            served_without_id(browser).await;
            browser.reload().await;
            served_without_id(browser).await;
            assert_eq!(browser.our_cookies().await, ["throughline=denied"], "{page}");
        }
    })
    .await;
}
in_engines!(c1_forgotten_on_one_domain_is_forgotten_on_all: chromium, firefox, webkit);

async fn a_property_and_the_first_referrer_are_known_on_the_next_domain(engine: Engine) {
    let company = Split::start().await;
    visit(engine, Options::default(), &company, async |browser| {
        let hosts = company.hosts;
        first_visit(browser, &hosts).await;
        let news = hosts.news("/");
        let came_from = format!("document.getElementById('first-referrer').textContent === '{news}'");
        browser.until("the outside site is the first referrer", &came_from).await;
        browser.until("nothing is remembered yet", "document.getElementById('properties').textContent === '{}'").await;
        browser.click("#remember").await;
        let gold = r#"document.getElementById('properties').textContent === '{"plan":"gold"}'"#;
        browser.until("shop shows the property", gold).await;

        // By a decorated link, on the primary, and by a hop.
        browser.leave_by("#to-learn-go").await;
        browser.arrive(&hosts.learn("/lessons?from=shop#intro")).await;
        for link in ["#to-brand", "#to-shop"] {
            browser.until("it shows the property too", gold).await;
            browser.until("the first referrer is still the outside site", &came_from).await;
            browser.follow(link).await;
        }
    })
    .await;
}
in_engines!(a_property_and_the_first_referrer_are_known_on_the_next_domain: chromium, firefox, webkit);
