//! A browser with a visitor's verbs: open, click, go back, and ask the page what it knows.

use std::time::Duration;

use fantoccini::cookies::Cookie;
use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use super::capabilities::{Options, capabilities};
use super::driver::{Driver, Engine};

/// How long anything may take that should happen at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// A browser with an empty profile, in a session of its own.
pub(crate) struct Browser {
    /// Which one it is.
    pub(crate) engine: Engine,
    // The client comes first, so that it is gone before its driver is.
    client: Client,
    driver: Driver,
}

/// The answer of `/_throughline/me`, as the page's own script gets it.
#[derive(Debug, PartialEq)]
pub(crate) struct Me {
    /// The visitor ID.
    pub(crate) visitor: Option<String>,
    /// `broker`, `link` or `provisional`.
    pub(crate) source: Option<String>,
    /// `granted`, `denied` or `unknown`.
    pub(crate) consent: String,
}

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
    }

    /// Types `url` into the address bar. Fails on the browser's own error page.
    pub(crate) async fn open(&self, url: &str) {
        must(self.client.goto(url).await, &format!("opening {url}"));
        self.settle().await;
    }

    /// Clicks `selector`, whatever that leads to.
    pub(crate) async fn click(&self, selector: &str) {
        let element = must(self.client.find(Locator::Css(selector)).await, selector);
        must(element.click().await, &format!("clicking {selector}"));
    }

    /// Clicks a link and waits until the page at exactly its address has loaded, query, fragment
    /// and all. Returns that address.
    pub(crate) async fn follow(&self, selector: &str) -> String {
        let href = self
            .text_of_script(&format!("document.querySelector('{selector}').href"))
            .await;
        self.click(selector).await;
        self.arrive(&href).await;
        href
    }

    /// Waits until the page at exactly `url` has loaded.
    pub(crate) async fn arrive(&self, url: &str) {
        let there =
            format!("return document.readyState === 'complete' && location.href === {url:?}");
        eventually(&format!("arriving at {url}"), async || {
            // An error only says that the page was just then being replaced.
            let there = self.client.execute(&there, Vec::new()).await;
            there.is_ok_and(|answer| answer == true).then_some(())
        })
        .await;
    }

    /// Waits until whatever page is there has loaded.
    pub(crate) async fn settle(&self) {
        eventually("the page to load", async || {
            let ready = self
                .client
                .execute("return document.readyState === 'complete'", Vec::new());
            ready.await.is_ok_and(|answer| answer == true).then_some(())
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

    /// The value of a JavaScript expression.
    pub(crate) async fn script(&self, expression: &str) -> Value {
        let answer = self
            .client
            .execute(&format!("return {expression}"), Vec::new())
            .await;
        must(answer, expression)
    }

    /// The value of a JavaScript expression that is a text.
    pub(crate) async fn text_of_script(&self, expression: &str) -> String {
        match self.script(expression).await {
            Value::String(text) => text,
            other => panic!("{expression} is {other}, not a text"),
        }
    }

    /// The value of a JavaScript expression that is a promise.
    pub(crate) async fn promise(&self, expression: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; \
             Promise.resolve({expression}).then(v => done([v]), e => done(String(e)))"
        );
        match must(
            self.client.execute_async(&script, Vec::new()).await,
            expression,
        ) {
            Value::Array(mut one) if one.len() == 1 => one.remove(0),
            refused => panic!("{expression} was refused: {refused}"),
        }
    }

    /// The address in the address bar.
    pub(crate) async fn url(&self) -> String {
        self.text_of_script("location.href").await
    }

    /// What `/_throughline/me` tells the page.
    pub(crate) async fn me(&self) -> Me {
        let me = self
            .promise("fetch('/_throughline/me').then(r => r.json())")
            .await;
        let text = |name: &str| me[name].as_str().map(str::to_owned);
        Me {
            visitor: text("visitor"),
            source: text("source"),
            consent: text("consent").unwrap_or_else(|| panic!("/me without consent: {me}")),
        }
    }

    /// What the page itself shows: the application's view, by `X-Throughline-Visitor`.
    pub(crate) async fn shown_visitor(&self) -> String {
        self.text_of_script("document.querySelector('#visitor').textContent.trim()")
            .await
    }

    /// The names of our cookies on this page's host, the HttpOnly ones too.
    pub(crate) async fn our_cookies(&self) -> Vec<String> {
        let ours = self
            .cookies()
            .await
            .into_iter()
            .map(|cookie| cookie.name().to_owned());
        ours.filter(|name| {
            name.trim_start_matches("__Host-")
                .starts_with("throughline")
        })
        .collect()
    }

    /// All cookies on this page's host.
    pub(crate) async fn cookies(&self) -> Vec<Cookie<'static>> {
        must(self.client.get_all_cookies().await, "reading the cookies")
    }

    /// This host's cookies as a request sends them: `a=1; b=2`.
    pub(crate) async fn cookie_header(&self) -> String {
        let cookies = self.cookies().await;
        let pairs = cookies
            .iter()
            .map(|cookie| format!("{}={}", cookie.name(), cookie.value()));
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// Opens each of `urls` in a tab of its own, all in one breath, and returns to none of them:
    /// the answer is the tabs, in no certain order.
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

    /// Turns to a tab and waits until it shows a page of the demo.
    pub(crate) async fn turn_to(&self, tab: &Tab) {
        must(
            self.client.switch_to_window(tab.0.clone()).await,
            "turning to a tab",
        );
        eventually("the tab to show a page", async || {
            let shown =
                "return document.readyState === 'complete' && location.protocol !== 'about:'";
            let shown = self.client.execute(shown, Vec::new()).await;
            shown.is_ok_and(|answer| answer == true).then_some(())
        })
        .await;
    }

    /// A command of Chromium's DevTools protocol.
    pub(crate) async fn devtools(&self, method: &str, params: Value) -> Value {
        let body = json!({ "cmd": method, "params": params });
        let command = Extension {
            method: http::Method::POST,
            path: "goog/cdp/execute",
            body: Some(body),
        };
        must(self.client.issue_cmd(command).await, method)
    }

    /// Runs Chromium's bounce tracking mitigations now, and says which sites lost their storage.
    pub(crate) async fn run_bounce_tracking_mitigations(&self) -> Value {
        let path = "storage/run_bounce_tracking_mitigations";
        let command = Extension {
            method: http::Method::DELETE,
            path,
            body: None,
        };
        must(self.client.issue_cmd(command).await, path)
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

/// One of the browser's tabs.
pub(crate) struct Tab(fantoccini::wd::WindowHandle);

/// A WebDriver command that fantoccini does not know.
#[derive(Debug)]
struct Extension {
    method: http::Method,
    path: &'static str,
    body: Option<Value>,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!(
            "session/{}/{}",
            session.unwrap_or_default(),
            self.path
        ))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (
            self.method.clone(),
            self.body.as_ref().map(Value::to_string),
        )
    }
}

/// Polls until `attempt` has an answer, and fails after ten seconds without one.
pub(crate) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let polling = async {
        loop {
            if let Some(answer) = attempt().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let answer = tokio::time::timeout(PATIENCE, polling).await;
    answer.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for: {what}"))
}

fn must<T>(answer: Result<T, CmdError>, what: &str) -> T {
    answer.unwrap_or_else(|error| panic!("{what}: {error}"))
}
