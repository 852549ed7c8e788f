//! Requests that must not start a hop, as browsers really make them.

use super::steps::{known_visitor, never_hopped, served_without_id};
use crate::support::browser::Browser;
use crate::support::capabilities::Options;
use crate::support::driver::Engine;
use crate::support::server::{Demo, Hosts};
use crate::support::visit::visit;

/// Asserts that `page` was fetched ahead, and that this left no trace on any company host.
async fn fetched_without_trace(browser: &Browser, page: &str, hosts: &Hosts) {
    let requested = browser.requested().await;
    assert!(requested.iter().any(|url| url == page), "never fetched, which proves nothing");
    assert!(!requested.iter().any(|url| url.contains("/_throughline/hop")), "a hop");
    let visited = [hosts.learn("/"), hosts.brand("/")];
    let cookies = browser.cookies_at(&visited.each_ref().map(String::as_str)).await;
    assert_eq!(cookies, [""; 0], "set by a prefetch");
}

/// Clicks on to a further page until the visitor is known: a first page that the browser took out
/// of its prefetch cache holds no ID and cannot, and S16 wants to see a cookie of ours before.
async fn known_within_two_more_pages(browser: &Browser, hosts: &Hosts) -> String {
    for _ in 0..2 {
        if browser.shown_visitor().await != "none" {
            break;
        }
        browser.leave_for(&hosts.learn("/lessons")).await;
    }
    known_visitor(browser).await
}

/// The person then really opens what was fetched ahead.
async fn opened_it_brings_the_one_id(browser: &Browser, page: &str, hosts: &Hosts) {
    browser.leave_for(page).await;
    browser.arrive(page).await;
    let visitor = known_within_two_more_pages(browser, hosts).await;
    browser.follow("#to-brand").await;
    assert_eq!(known_visitor(browser).await, visitor);
}

async fn s4_a_prefetched_link_sets_nothing(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let hosts = demo.hosts;
        browser.open(&hosts.news("/")).await;
        let page = hosts.learn("/lessons");
        browser
            .promise(&format!(
                "new Promise(done => document.head.append(Object.assign( \
                 document.createElement('link'), {{ rel: 'prefetch', as: 'document', \
                 href: {page:?}, onload: () => done(1), onerror: () => done(0) }})))"
            ))
            .await;
        fetched_without_trace(browser, &page, &hosts).await;

        opened_it_brings_the_one_id(browser, &page, &hosts).await;
    })
    .await;
}
in_engines!(s4_a_prefetched_link_sets_nothing: chromium);

async fn s4_a_speculation_sets_nothing(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let hosts = demo.hosts;
        browser.open(&hosts.news("/")).await;
        let page = hosts.learn("/lessons");
        browser
            .script(&format!(
                "document.head.append(Object.assign(document.createElement('script'), \
                 {{ type: 'speculationrules', textContent: JSON.stringify( \
                 {{ prefetch: [{{ urls: [{page:?}], eagerness: 'immediate' }}] }}) }}))"
            ))
            .await;
        // Nothing tells the page when a speculation is done.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        fetched_without_trace(browser, &page, &hosts).await;

        opened_it_brings_the_one_id(browser, &page, &hosts).await;
    })
    .await;
}
in_engines!(s4_a_speculation_sets_nothing: chromium);

async fn s1_s16_a_posted_first_page_is_served_and_the_id_follows(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let hosts = demo.hosts;
        browser.open(&hosts.news("/")).await;
        let page = hosts.shop("/products");
        browser
            .script(&format!(
                "(document.body.innerHTML = '<form method=post action={page}> \
                 <input name=a value=b><button id=planted>post</button></form>')"
            ))
            .await;
        browser.leave_by("#planted").await;
        browser.arrive(&page).await;
        served_without_id(browser).await;
        never_hopped(browser).await;

        // The first page within the site only shows whether this browser keeps cookies (S16).
        browser.follow("#to-self").await;
        browser.follow("#to-self").await;
        let visitor = known_visitor(browser).await;
        browser.follow("#to-brand").await;
        assert_eq!(known_visitor(browser).await, visitor);
    })
    .await;
}
in_engines!(s1_s16_a_posted_first_page_is_served_and_the_id_follows: chromium, firefox, webkit);
