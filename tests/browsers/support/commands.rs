//! The WebDriver commands that fantoccini does not know, all of them Chromium's.

use fantoccini::wd::WebDriverCompatibleCommand;
use serde_json::{Value, json};

use super::browser::{Browser, must};

/// A command below `/session/{id}/`.
#[derive(Debug)]
struct Extension {
    method: http::Method,
    path: &'static str,
    body: Option<Value>,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (self.method.clone(), self.body.as_ref().map(Value::to_string))
    }
}

impl Browser {
    /// A command of the DevTools protocol.
    pub(crate) async fn devtools(&self, method: &str, params: Value) -> Value {
        let body = json!({ "cmd": method, "params": params });
        let path = "goog/cdp/execute";
        let command = Extension { method: http::Method::POST, path, body: Some(body) };
        must(self.client.issue_cmd(command).await, method)
    }

    /// The names of all cookies on the hosts of `urls`, without going there.
    pub(crate) async fn cookies_at(&self, urls: &[&str]) -> Vec<String> {
        let answer = self.devtools("Network.getCookies", json!({ "urls": urls })).await;
        let cookies = answer["cookies"].as_array().expect("a list of cookies");
        cookies.iter().filter_map(|cookie| Some(cookie["name"].as_str()?.to_owned())).collect()
    }

    /// The addresses that all tabs have asked for since the last time, every redirect included.
    pub(crate) async fn requested(&self) -> Vec<String> {
        let events = self.log("performance").await.into_iter().filter_map(|message| message.parse::<Value>().ok());
        events
            .filter(|event| event["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|event| Some(event["message"]["params"]["request"]["url"].as_str()?.into()))
            .collect()
    }

    /// What the browser itself had to complain about since the last time: what a policy forbade, what could not be loaded.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        self.log("browser").await
    }

    async fn log(&self, kind: &str) -> Vec<String> {
        let body = Some(json!({ "type": kind }));
        let command = Extension { method: http::Method::POST, path: "se/log", body };
        let log = must(self.client.issue_cmd(command).await, "reading a log of the browser");
        let entries = log.as_array().into_iter().flatten();
        entries.filter_map(|entry| Some(entry["message"].as_str()?.to_owned())).collect()
    }
}
