//! The first law: whatever the broker does, the page is served.

use std::time::Duration;

use super::steps::{first_visit, known_visitor, served};
use crate::support::browser::Browser;
use crate::support::capabilities::Options;
use crate::support::driver::Engine;
use crate::support::fake_broker::{FakeBroker, Fault};
use crate::support::server::{Demo, Split};
use crate::support::visit::visit;

/// How soon the secondaries must have noticed that the broker is gone.
const NOTICED: Duration = Duration::from_secs(3);

/// Generous to a loaded machine, and still far from any timeout of ours.
const AT_ONCE_MS: f64 = 2_000.0;

/// Asserts that the page came at once, with a provisional ID or none.
async fn served_at_once(browser: &Browser) {
    served(browser).await;
    let time = browser.load_time().await;
    assert!(time < AT_ONCE_MS, "the page took {time} ms");
    let me = browser.me().await;
    assert!(
        [None, Some("provisional")].contains(&me.source.as_deref()),
        "{me:?}"
    );
    assert_eq!(me.visitor.is_some(), me.source.is_some(), "{me:?}");
}

async fn pages_outlive_a_broker_that_is(fault: Fault, engine: Engine) {
    let broker = FakeBroker::start(fault);
    let demo = Demo::without_broker(broker.port()).await;
    visit(engine, Options::default(), &demo, async |browser| {
        browser.open(&demo.hosts.news("/")).await;
        // `follow` arrives at exactly the link's address, so nothing was added on the way.
        for link in ["#to-shop", "#to-self", "#to-learn"] {
            browser.follow(link).await;
            served_at_once(browser).await;
        }
        browser.reload().await;
        served_at_once(browser).await;
        assert_eq!(
            broker.hops(),
            [""; 0],
            "visitors were sent to a broken broker"
        );
    })
    .await;
}

async fn a1_pages_outlive_a_broker_that_refuses(engine: Engine) {
    pages_outlive_a_broker_that_is(Fault::Refuse, engine).await;
}
in_engines!(a1_pages_outlive_a_broker_that_refuses: chromium, firefox, webkit);

async fn a1_pages_outlive_a_broker_that_hangs(engine: Engine) {
    pages_outlive_a_broker_that_is(Fault::Hang, engine).await;
}
in_engines!(a1_pages_outlive_a_broker_that_hangs: chromium, firefox, webkit);

async fn a1_pages_outlive_a_broker_that_answers_500(engine: Engine) {
    pages_outlive_a_broker_that_is(Fault::Error500, engine).await;
}
in_engines!(a1_pages_outlive_a_broker_that_answers_500: chromium, firefox, webkit);

async fn a1_s13_a_killed_broker_costs_no_page_and_comes_back(engine: Engine) {
    let split = Split::start().await;
    visit(engine, Options::default(), &split, async |browser| {
        let hosts = split.hosts;
        let visitor = first_visit(browser, &hosts).await;

        split.kill_broker();
        tokio::time::sleep(NOTICED).await;
        browser.follow("#to-self").await;
        assert_eq!(
            known_visitor(browser).await,
            visitor,
            "an ID once given stays"
        );
        browser.follow("#to-learn").await;
        served_at_once(browser).await;
        browser.open(&hosts.news("/")).await;
        browser.leave_for(&hosts.learn("/")).await;
        browser.arrive(&hosts.learn("/")).await;
        served_at_once(browser).await;

        split.start_broker().await;
        // Without cookies at first (S16), with a provisional one (S10): two more pages at most.
        browser.leave_for(&hosts.learn("/lessons")).await;
        browser.leave_for(&hosts.learn("/lessons")).await;
        assert_eq!(
            known_visitor(browser).await,
            visitor,
            "recovery needs nobody's help"
        );
    })
    .await;
}
in_engines!(a1_s13_a_killed_broker_costs_no_page_and_comes_back: chromium, firefox, webkit);
