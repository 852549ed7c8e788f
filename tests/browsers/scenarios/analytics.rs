//! Real analytics libraries on the demo's pages, and what the demo's collector received from them.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::steps::{first_visit, known_visitor, served_without_id};
use crate::support::browser::Browser;
use crate::support::capabilities::Options;
use crate::support::driver::Engine;
use crate::support::server::Demo;
use crate::support::visit::visit;
use crate::support::wait::eventually;

const LIBRARIES: [&str; 6] = ["Analytics", "Jitsu", "Mixpanel", "Plausible", "Segment", "Snowplow"];

/// A row of the collector's table.
#[derive(Debug, Deserialize)]
struct Row {
    site: String,
    library: String,
    run: String,
    event: String,
    id: Option<String>,
    referrer: Option<String>,
    plan: Option<String>,
}

/// What the collector has, oldest first.
async fn received(browser: &Browser) -> Vec<Row> {
    let received = browser.promise("fetch('/demo/received').then(answer => answer.json())").await;
    let mut rows: Vec<Row> = serde_json::from_value(received["rows"].clone()).expect("rows");
    rows.reverse();
    rows
}

/// The rows of `event` on `site`, once every library has one.
async fn from_all(browser: &Browser, site: &str, run: &str, event: &str) -> Vec<Row> {
    let what = format!("{event} of every library on {site}, {run} Throughline");
    eventually(&what, async || {
        let mut rows = received(browser).await;
        rows.retain(|row| row.site == site && row.run == run && row.event == event);
        let libraries: BTreeSet<_> = rows.iter().map(|row| row.library.as_str()).collect();
        libraries.into_iter().eq(LIBRARIES).then_some(rows)
    })
    .await
}

fn mixpanel(rows: &[Row]) -> &Row {
    rows.iter().find(|row| row.library == "Mixpanel").expect("a row of Mixpanel")
}

async fn x1_x3_x4_x5_x8_six_libraries_on_two_domains_report_one_id(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let news = demo.hosts.news("/");
        let visitor = first_visit(browser, &demo.hosts).await;
        from_all(browser, "shop", "with", "Page seen").await;
        browser.click("#buy").await;
        from_all(browser, "shop", "with", "Buy").await;
        browser.click("#remember").await;
        let gold = r#"document.getElementById('properties').textContent === '{"plan":"gold"}'"#;
        browser.until("the broker remembers the plan", gold).await;

        browser.follow("#to-learn").await;
        assert_eq!(known_visitor(browser).await, visitor);
        let learn = from_all(browser, "learn", "with", "Page seen").await;
        assert_eq!(mixpanel(&learn).plan.as_deref(), Some("gold"), "the first event on learn");

        let rows = received(browser).await;
        assert_eq!(rows.len(), 18, "each call is one event: {rows:?}");
        for row in &rows {
            assert_eq!(row.id.as_ref(), Some(&visitor), "{row:?}");
            let from = row.referrer.as_deref().expect("a referrer");
            assert!(from == news || format!("http://{from}/") == news, "{row:?}");
        }
        let sum = "document.getElementById('sum').textContent === '18 events, 6 libraries, 2 domains, 1 ID'";
        browser.until("the page says so", sum).await;
        let marked = "document.querySelectorAll('#rows .one').length === 18";
        browser.until("each row is marked as this visitor's", marked).await;
        if engine == Engine::Chromium {
            let outside: Vec<_> = browser
                .requested()
                .await
                .into_iter()
                .filter(|url| url.starts_with("http") && !url.contains(".localhost:"))
                .collect();
            assert_eq!(outside, [""; 0], "asked of the outside");
        }
    })
    .await;
}
in_engines!(x1_x3_x4_x5_x8_six_libraries_on_two_domains_report_one_id: chromium, firefox, webkit);

async fn control_x1_x5_x8_alone_each_library_has_an_id_of_its_own(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let visitor = first_visit(browser, &demo.hosts).await;
        from_all(browser, "shop", "with", "Page seen").await;
        // What they were given before must not show.
        browser.leave_by("#without").await;
        let shop = from_all(browser, "shop", "without", "Page seen").await;
        browser.leave_by("#to-learn").await;
        let learn = from_all(browser, "learn", "without", "Page seen").await;

        let ids = |rows: &[Row]| rows.iter().filter_map(|row| row.id.clone()).collect::<BTreeSet<_>>();
        let (shop, learn) = (ids(&shop), ids(&learn));
        assert!(shop.is_disjoint(&learn), "{shop:?} {learn:?}");
        // Plausible knows no visitors.
        assert_eq!((shop.len(), learn.len()), (5, 5), "{shop:?} {learn:?}");
        assert!(!shop.contains(&visitor) && !learn.contains(&visitor), "{shop:?} {learn:?}");
        let marked = "document.querySelectorAll('#rows tr.without').length === 12 && \
                      document.querySelectorAll('#rows tr.without .one').length === 0";
        browser.until("they are marked as the control", marked).await;

        // And back: nothing of the control is left.
        browser.leave_by("#with").await;
        assert!(from_all(browser, "learn", "with", "Page seen").await.iter().all(|row| row.id.as_ref() == Some(&visitor)));
    })
    .await;
}
in_engines!(control_x1_x5_x8_alone_each_library_has_an_id_of_its_own: chromium, firefox, webkit);

/// The SDK has been told where consent stands, and nothing has come of it.
async fn nothing_runs(browser: &Browser, consent: &str) {
    let told = format!("typeof throughline.identity === 'function' && throughline.consent() === '{consent}'");
    browser.until("the SDK to know", &told).await;
    assert!(received(browser).await.is_empty());
    let left = "typeof Vendor === 'undefined' && localStorage.length === 0 && document.cookie === ''";
    assert_eq!(browser.script(left).await, true, "no library is loaded, and none has kept anything");
}

async fn x12_nothing_is_sent_before_a_yes_nor_after_a_no(engine: Engine) {
    let demo = Demo::start(&["--consent", "required"]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        let hosts = demo.hosts;
        browser.open(&hosts.news("/")).await;
        browser.follow("#to-shop").await;
        browser.click("#buy").await;
        served_without_id(browser).await;
        browser.until("the stub is filled in", "!throughline.queue").await;
        nothing_runs(browser, "unknown").await;
        // The libraries alone know nothing of consent: the page keeps them off.
        browser.leave_by("#without").await;
        browser.until("the page says so", "document.querySelector('#silence') !== null").await;
        assert!(received(browser).await.is_empty());
        browser.leave_by("#with").await;

        browser.leave_by("#consent-deny").await;
        browser.click("#buy").await;
        nothing_runs(browser, "denied").await;

        browser.open(&hosts.learn("/lessons")).await;
        nothing_runs(browser, "unknown").await;
        browser.leave_by("#consent-grant").await;
        let visitor = known_visitor(browser).await;
        let rows = from_all(browser, "learn", "with", "Page seen").await;
        assert!(rows.iter().all(|row| row.id.as_ref() == Some(&visitor)), "{rows:?}");
        assert_eq!(received(browser).await.len(), 6, "shop, where the answer was no, sent nothing");
    })
    .await;
}
in_engines!(x12_nothing_is_sent_before_a_yes_nor_after_a_no: chromium, firefox, webkit);

async fn a7_what_a_client_says_to_the_collector_is_only_text(engine: Engine) {
    let demo = Demo::start(&[]).await;
    visit(engine, Options::default(), &demo, async |browser| {
        first_visit(browser, &demo.hosts).await;
        let hostile = "<img src=x onerror=\"window.harmed=1\"><script>window.harmed=1</script>";
        let event = serde_json::json!({
            "event": hostile,
            "anonymousId": hostile,
            "context": { "page": { "referrer": "javascript:window.harmed=1" } },
            "properties": { "plan": hostile },
        });
        let send = format!(
            "fetch('/demo/collect/with/segment', {{ method: 'POST', body: JSON.stringify({event}) }}).then(r => r.status)"
        );
        assert_eq!(browser.promise(&send).await, 200);
        let shown = "[...document.querySelectorAll('#rows .what')].some(cell => cell.textContent.startsWith('<img src=x'))";
        browser.until("the event to be shown", shown).await;
        let harm = "!window.harmed && !document.querySelector('#rows img, #rows script, #rows a')";
        assert_eq!(browser.script(harm).await, true);
    })
    .await;
}
in_engines!(a7_what_a_client_says_to_the_collector_is_only_text: chromium, firefox, webkit);
