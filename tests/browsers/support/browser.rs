//! A browser with a visitor's verbs: open, click, go back, reload, more tabs.

use fantoccini::error::CmdError;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

use super::capabilities::{Options, capabilities};
use super::driver::{Driver, Engine};
use super::wait::{PATIENCE, eventually};

/// A browser with an empty profile, in a session of its own.
pub(crate) struct Browser {
    /// Which one it is.
    pub(crate) engine: Engine,
    // The client comes first, so that it is gone before its driver is.
    pub(super) client: Client,
    driver: Driver,
}

/// A page has loaded, and not the blank one that Firefox shows for a moment between two processes.
const SHOWN: &str = "document.readyState === 'complete' && location.protocol.startsWith('http')";

/// One of the browser's tabs.
pub(crate) struct Tab(fantoccini::wd::WindowHandle);

impl Browser {
    /// Starts a driver and a browser.
    pub(crate) async fn start(engine: Engine, options: Options) -> Browser {
        let driver = Driver::start(engine).await;
        let wanted = capabilities(engine, options, driver.home());
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted)
            .connect(driver.url())
            .await
            .unwrap_or_else(|e| panic!("no {engine:?} session: {e}\n{}", driver.log_tail()));
        let browser = Browser {
            engine,
            client,
            driver,
        };
        if options.gpc && engine == Engine::Chromium {
            // Chromium has no such setting of its own; extensions add the header in this place.
            browser.devtools("Network.enable", json!({})).await;
            let headers = json!({ "headers": { "Sec-GPC": "1" } });
            browser
                .devtools("Network.setExtraHTTPHeaders", headers)
                .await;
        }
        browser
    }

    /// Ends the session the polite way. Dropping the browser ends it in any case.
    pub(crate) async fn close(self) {
        let _ = tokio::time::timeout(PATIENCE, self.client.close()).await;
        drop(self.driver);
    }

    /// Types `url` into the address bar. Fails on the browser's own error page.
    pub(crate) async fn open(&self, url: &str) {
        self.mark_page().await;
        must(self.client.goto(url).await, &format!("opening {url}"));
        // Firefox does not wait if only a fragment and a query differ.
        self.leave_marked_page(url).await;
    }

    /// Clicks `selector`, whatever that leads to.
    pub(crate) async fn click(&self, selector: &str) {
        // WebKitWebDriver scrolls to what it clicks and then clicks where it was before.
        let scroll = format!(
            "new Promise(done => {{ \
             document.querySelector('{selector}').scrollIntoView({{ block: 'center' }}); \
             requestAnimationFrame(() => requestAnimationFrame(() => done(1))) }})"
        );
        self.promise(&scroll).await;
        let element = must(self.client.find(Locator::Css(selector)).await, selector);
        must(element.click().await, &format!("clicking {selector}"));
    }

    /// Clicks `selector` and waits until another page has loaded.
    pub(crate) async fn leave_by(&self, selector: &str) {
        self.mark_page().await;
        self.click(selector).await;
        self.leave_marked_page(selector).await;
    }

    /// Marks the page, so that its successor can be told from it.
    async fn mark_page(&self) {
        self.script("(document.documentElement.dataset.seen = 'yes')")
            .await;
    }

    async fn leave_marked_page(&self, how: &str) {
        let left = format!("{SHOWN} && !document.documentElement.dataset.seen");
        self.until(&format!("{how} to lead to another page"), &left)
            .await;
    }

    /// Clicks a link and waits until the page at exactly its address has loaded, query, fragment
    /// and all. Returns that address.
    pub(crate) async fn follow(&self, selector: &str) -> String {
        let href = self
            .text(&format!("document.querySelector('{selector}').href"))
            .await;
        self.leave_by(selector).await;
        self.arrive(&href).await;
        href
    }

    /// Puts a link to `url` on the page, clicks it, and waits for another page.
    pub(crate) async fn leave_for(&self, url: &str) {
        self.script(&format!(
            "document.body.prepend(Object.assign(document.createElement('a'), \
             {{ id: 'planted', href: {url:?}, textContent: 'planted' }}))"
        ))
        .await;
        self.leave_by("#planted").await;
    }

    /// Waits until the page at exactly `url` has loaded.
    pub(crate) async fn arrive(&self, url: &str) {
        let there = format!("{SHOWN} && location.href === {url:?}");
        self.until(&format!("arriving at {url}"), &there).await;
    }

    /// Waits until whatever page is there has loaded.
    pub(crate) async fn settle(&self) {
        self.until("the page to load", SHOWN).await;
    }

    /// Waits until a JavaScript expression is true.
    pub(crate) async fn until(&self, what: &str, expression: &str) {
        let script = format!("return {expression}");
        eventually(what, async || {
            // An error only says that the page was just then being replaced.
            let answer = self.client.execute(&script, Vec::new()).await;
            answer.is_ok_and(|answer| answer == true).then_some(())
        })
        .await;
    }

    /// The back button.
    pub(crate) async fn back(&self) {
        must(self.client.back().await, "going back");
        self.settle().await;
    }

    /// The reload button.
    pub(crate) async fn reload(&self) {
        must(self.client.refresh().await, "reloading");
        self.settle().await;
    }

    /// Opens each of `urls` in a tab of its own, all in one breath, and turns to none of them.
    pub(crate) async fn open_tabs(&self, urls: &[&str]) -> Vec<Tab> {
        let before = must(self.client.windows().await, "listing the tabs");
        let opening: String = urls
            .iter()
            .map(|url| format!("window.open({url:?});"))
            .collect();
        must(
            self.client.execute(&opening, Vec::new()).await,
            "opening tabs",
        );
        let tabs = eventually("the tabs to open", async || {
            let mut tabs = self.client.windows().await.ok()?;
            tabs.retain(|tab| !before.contains(tab));
            (tabs.len() == urls.len()).then_some(tabs)
        });
        tabs.await.into_iter().map(Tab).collect()
    }

    /// Turns to a tab and waits until it shows a page.
    pub(crate) async fn turn_to(&self, tab: &Tab) {
        must(
            self.client.switch_to_window(tab.0.clone()).await,
            "turning to a tab",
        );
        self.until("the tab to show a page", SHOWN).await;
    }

    /// What a failure message needs to know of the page: engine, address, the source's beginning.
    pub(crate) async fn describe(&self) -> String {
        let url = self
            .client
            .execute("return location.href", Vec::new())
            .await;
        let source = self
            .client
            .source()
            .await
            .unwrap_or_else(|e| format!("(no source: {e})"));
        let start: String = source.chars().take(500).collect();
        format!("engine: {:?}\nurl: {url:?}\nsource: {start}", self.engine)
    }
}

/// The answer to a command, or the end of the test with a word on what was being done.
pub(super) fn must<T>(answer: Result<T, CmdError>, what: &str) -> T {
    answer.unwrap_or_else(|error| panic!("{what}: {error}"))
}
