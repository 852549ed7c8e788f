//! What the page that a browser shows can be asked.

use fantoccini::cookies::Cookie;
use serde_json::Value;

use super::browser::{Browser, must};

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
    /// The value of a JavaScript expression.
    pub(crate) async fn script(&self, expression: &str) -> Value {
        // WebDriver cannot carry every value (an element is not JSON), hence the detour.
        let script = format!("return JSON.stringify([{expression}])");
        match must(self.client.execute(&script, Vec::new()).await, expression) {
            Value::String(json) => unwrap(&json),
            other => panic!("{expression} gave {other}"),
        }
    }

    /// The value of a JavaScript expression that is a text.
    pub(crate) async fn text(&self, expression: &str) -> String {
        match self.script(expression).await {
            Value::String(text) => text,
            other => panic!("{expression} is {other}, not a text"),
        }
    }

    /// The value of a JavaScript expression that is a promise.
    pub(crate) async fn promise(&self, expression: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; \
             Promise.resolve({expression}).then(v => done(JSON.stringify([v])), e => done(`${{e}}`))"
        );
        match must(
            self.client.execute_async(&script, Vec::new()).await,
            expression,
        ) {
            Value::String(json) if json.starts_with('[') => unwrap(&json),
            refused => panic!("{expression} was refused: {refused}"),
        }
    }

    /// The address in the address bar.
    pub(crate) async fn url(&self) -> String {
        self.text("location.href").await
    }

    /// The status with which the page was served. WebKitGTK does not tell.
    pub(crate) async fn status(&self) -> Option<u64> {
        let status = "performance.getEntriesByType('navigation')[0].responseStatus ?? null";
        self.script(status).await.as_u64()
    }

    /// How long the page took, from the click to the last byte, in milliseconds.
    pub(crate) async fn load_time(&self) -> f64 {
        let time = self.script("performance.getEntriesByType('navigation')[0].responseEnd");
        time.await.as_f64().expect("a time")
    }

    /// The number of entries in this tab's history.
    pub(crate) async fn history_length(&self) -> u64 {
        self.script("history.length")
            .await
            .as_u64()
            .expect("a number")
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

    /// What the page itself shows, `none` or an ID: what the application was told.
    pub(crate) async fn shown_visitor(&self) -> String {
        self.text("document.querySelector('#visitor').textContent.trim()")
            .await
    }

    /// All cookies on this page's host, the HttpOnly ones too.
    pub(crate) async fn cookies(&self) -> Vec<Cookie<'static>> {
        must(self.client.get_all_cookies().await, "reading the cookies")
    }

    /// Our cookies on this page's host, as `name=value`, without `__Host-`.
    pub(crate) async fn our_cookies(&self) -> Vec<String> {
        let cookies = self.cookies().await;
        let named = cookies.iter().map(|cookie| {
            let name = cookie.name().trim_start_matches("__Host-");
            format!("{name}={}", cookie.value())
        });
        named
            .filter(|cookie| cookie.starts_with("throughline"))
            .collect()
    }

    /// This host's cookies as a request sends them: `a=1; b=2`.
    pub(crate) async fn cookie_header(&self) -> String {
        let cookies = self.cookies().await;
        let pairs = cookies
            .iter()
            .map(|cookie| format!("{}={}", cookie.name(), cookie.value()));
        pairs.collect::<Vec<_>>().join("; ")
    }
}

/// The value out of a JSON array of one.
fn unwrap(json: &str) -> Value {
    let array: Value = serde_json::from_str(json).expect("the page's JSON");
    array[0].clone()
}
