//! One of the two that the doctor talks to, the site or its broker: requests as they are written, answers as they came.

use std::fmt;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use actix_web::web::Bytes;
use url::{Position, Url};

use crate::base::origin::Origin;
use crate::domain::contract::PREFIX;

use super::jar::SetCookie;

/// A phrase of the page that refuses (`templates/refused.html`).
const REFUSED_PAGE: &str = "nothing was stored and nothing is lost";

/// The largest body that is looked at. What is longer counts as empty: nothing of ours is.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// Somebody who was reached.
#[derive(Clone)]
pub(super) struct Party {
    pub(super) origin: Origin,
    pub(super) client: awc::Client,
    pub(super) timeout: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    TimedOut(Duration),
    Broken(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(time) => write!(f, "no answer within {} s", time.as_secs()),
            Self::Broken(what) => write!(f, "no answer ({})", shown(what)),
        }
    }
}

/// An answer as it came; no redirect was followed.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Party {
    /// Sends one request.
    pub(super) async fn send(
        &self,
        method: Method,
        path_and_query: &str,
        headers: &[(String, String)],
        body: &'static str,
    ) -> Result<Answer, Trouble> {
        let broken = |what: String| Trouble::Broken(what);
        let exchange = async {
            let mut request = self.client.request(method, format!("{}{path_and_query}", self.origin)).no_decompress();
            for (name, value) in headers {
                request = request.append_header((name.as_str(), value.as_str()));
            }
            let mut response = request.send_body(body).await.map_err(|error| broken(error.to_string()))?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = match response.body().limit(BODY_MAX).await {
                Ok(body) => body,
                Err(awc::error::PayloadError::Overflow) => Bytes::new(),
                Err(error) => return Err(broken(error.to_string())),
            };
            Ok(Answer { status, headers, body })
        };
        actix_web::rt::time::timeout(self.timeout, exchange).await.map_err(|_| Trouble::TimedOut(self.timeout))?
    }
}

impl Answer {
    /// The first header of that name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether a header of that name holds `word`, in any case.
    pub(super) fn says(&self, name: &str, word: &str) -> bool {
        let values = self.headers.get_all(name).filter_map(|value| value.to_str().ok());
        values.into_iter().any(|value| value.to_ascii_lowercase().contains(word))
    }

    /// Where it leads, if it is a redirect.
    pub(super) fn target(&self) -> Option<&str> {
        self.header("Location").filter(|_| (300..400).contains(&self.status))
    }

    /// Where it leads on the same site, if a redirect of the application does: not on a hop, and not to an endpoint of ours.
    pub(super) fn own_target(&self, origin: &Origin) -> Option<String> {
        let url = Url::parse(origin.as_str()).ok()?.join(self.target()?).ok()?;
        let is_own = url.origin().ascii_serialization() == origin.as_str() && !url.path().starts_with(PREFIX);
        is_own.then(|| url[Position::BeforePath..Position::AfterQuery].to_owned())
    }

    /// Whether it names a place to go on to, whatever its status.
    pub(super) fn leads_on(&self) -> bool {
        self.header("Location").is_some()
    }

    /// All cookies that it sets.
    pub(super) fn cookies(&self) -> Vec<SetCookie> {
        let lines = self.headers.get_all("set-cookie").filter_map(|value| value.to_str().ok());
        lines.filter_map(SetCookie::parse).collect()
    }

    /// Those of them that are ours, by whatever prefix they came.
    pub(super) fn our_cookies(&self) -> Vec<SetCookie> {
        self.cookies().into_iter().filter(|cookie| cookie.name.to_ascii_lowercase().contains("throughline")).collect()
    }

    /// The values of all headers of that name.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.get_all(name).filter_map(|value| value.to_str().ok())
    }

    /// The body as JSON; null if it is none.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub(super) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The code of a refusal that Throughline wrote, as JSON or as a page.
    pub(super) fn refusal(&self) -> Option<String> {
        let json = self.json();
        if json.get("advice").is_some() {
            return json["error"].as_str().map(str::to_owned);
        }
        let text = self.text();
        let code = text.contains(REFUSED_PAGE).then(|| text.split("<code>").nth(1)?.split('<').next());
        code.flatten().map(str::to_owned)
    }

    /// Whether a name of its headers begins so.
    pub(super) fn has_header_like(&self, start: &str) -> bool {
        self.headers.keys().any(|name| name.as_str().starts_with(start))
    }

    /// Whether `text` stands in a header or in the body.
    pub(super) fn repeats(&self, text: &str) -> bool {
        let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        holds(&self.body) || self.headers.iter().any(|(_, value)| holds(value.as_bytes()))
    }

    /// How it can be told that a cache gave this answer, and not the site.
    pub(super) fn cache_trace(&self) -> Option<String> {
        if let Some(age) = self.header("age").and_then(|age| age.trim().parse::<u64>().ok()).filter(|age| *age > 0) {
            return Some(format!("Age: {age}"));
        }
        let names = ["x-cache", "x-cache-status", "cf-cache-status", "x-proxy-cache", "x-vercel-cache", "cache-status"];
        names.into_iter().find(|name| self.says(name, "hit")).map(|name| format!("{name} says hit"))
    }

    /// What it is, in a few words.
    pub(super) fn summary(&self) -> String {
        match self.target() {
            Some(target) => format!("{} to {}", self.status, shown(without_query(target))),
            None => self.status.to_string(),
        }
    }
}

/// A URL without its query, which may hold a token.
pub(super) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// What somebody else wrote, fit for a terminal.
pub(super) fn shown(text: &str) -> String {
    const LENGTH_MAX: usize = 160;
    let whole: String = text.chars().take(LENGTH_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(LENGTH_MAX).is_some() { whole + "..." } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a7_what_others_wrote_is_escaped_and_bounded() {
        assert_eq!(shown("\u{1b}[31m red\r\nfailed"), "\\u{1b}[31m red\\r\\nfailed");
        assert!(shown(&"x".repeat(100_000)).len() < 200);
        assert_eq!(without_query("https://shop.example/p?_tl=secret"), "https://shop.example/p");
    }
}
