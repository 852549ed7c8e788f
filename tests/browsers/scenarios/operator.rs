//! The operator's page: it needs no script, and asks nobody but its own listener.

use crate::support::browser::Browser;
use crate::support::capabilities::Options;
use crate::support::driver::Engine;
use crate::support::real_names::RealNames;
use crate::support::visit::visit;

async fn the_operators_page_is_whole_and_asks_nobody_else(engine: Engine) {
    let company = RealNames::start().await;
    visit(engine, Options::default(), &company, async |browser| {
        let page = format!("http://127.0.0.1:{}/", company.admin);
        browser.open(&page).await;
        browser.until("the sample", "(document.querySelector('.matrix') !== null || void location.reload())").await;
        drop((browser.requested().await, browser.complaints().await));
        browser.reload().await;
        let requested = browser.requested().await;
        assert!(requested.contains(&page), "{requested:?}");
        let elsewhere: Vec<_> = requested.iter().filter(|url| !url.starts_with(&page)).collect();
        assert_eq!(elsewhere, [""; 0]);
        assert_eq!(browser.complaints().await, [""; 0]);

        // The style counts: the policy let it through. And nothing is wider than the window but what scrolls by itself.
        assert_eq!(browser.text("getComputedStyle(document.querySelector('main')).display").await, "grid");
        assert_eq!(browser.script("document.querySelectorAll('.matrix td').length").await, 4 * 4);
        assert_eq!(browser.script("document.querySelectorAll('svg.chart').length").await, 4);
        fits(browser).await;
        browser
            .devtools(
                "Emulation.setDeviceMetricsOverride",
                serde_json::json!({ "width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true }),
            )
            .await;
        fits(browser).await;

        // A script that came in all the same could send nothing out.
        assert_eq!(browser.promise("fetch('/matrix.json').then(answer => answer.status, () => 0)").await, 0);
        browser.open(&format!("{page}matrix.json")).await;
        assert!(browser.text("document.body.textContent").await.contains("\"also_seen_on\""));
    })
    .await;
}
in_engines!(the_operators_page_is_whole_and_asks_nobody_else: chromium);

async fn fits(browser: &Browser) {
    let width = browser.script("[document.documentElement.scrollWidth, document.documentElement.clientWidth]").await;
    assert_eq!(width[0], width[1], "the page scrolls sideways");
}

/// By a name that somebody made for this machine's address, nothing can be read.
async fn a_name_from_the_web_reads_nothing(engine: Engine) {
    let company = RealNames::start().await;
    let options = Options { real_names_at: Some(company.admin), ..Options::default() };
    visit(engine, options, &company, async |browser| {
        browser.open("http://rebound.example/metrics").await;
        let text = browser.text("document.body.textContent").await;
        assert!(text.contains("wrong_host") && !text.contains("throughline_"), "{text}");
    })
    .await;
}
in_engines!(a_name_from_the_web_reads_nothing: chromium);
