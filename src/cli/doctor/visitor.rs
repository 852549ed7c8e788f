//! A first-time visitor: the headers of a browser's navigation, and a cookie jar of its own.
//!
//! Each looks like another person to the sites (rule S16), by a private-use language tag: else the second would be taken for
//! the first, who has not come back yet.

use actix_web::http::Method;

use crate::base::random::{NoRandomness, Random, random_bytes};
use crate::domain::contract::path;

use super::jar::Jar;
use super::party::{Answer, Party, Trouble};

/// It names itself, and must not look like a crawler to rule S5.
pub(super) const USER_AGENT: &str = concat!("Mozilla/5.0 (compatible; throughline-doctor/", env!("CARGO_PKG_VERSION"), ")");

/// Where the visitors say that they come from: a name that nobody can have (RFC 2606).
pub(super) const REFERER: &str = "https://throughline-doctor.invalid/";

/// A header of the request; an empty value leaves it out.
pub(super) type Header = (&'static str, &'static str);

/// One browser.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) jar: Jar,
    keeps_cookies: bool,
    language: String,
}

impl Visitor {
    /// Nobody has seen it before.
    pub(super) fn new(random: &dyn Random) -> Result<Self, NoRandomness> {
        let tag: String = random_bytes::<4>(random)?.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { jar: Jar::default(), keeps_cookies: true, language: format!("en;q=0.9, x-{tag};q=0.1") })
    }

    /// The same browser, told to keep no cookies.
    pub(super) fn without_cookies(mut self) -> Self {
        self.keeps_cookies = false;
        self
    }

    /// Follows a link from outside. `changed` replaces headers.
    pub(super) async fn navigate(&mut self, to: &Party, path: &str, changed: &[Header]) -> Result<Answer, Trouble> {
        let usual = [
            ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("Referer", REFERER),
            ("Sec-Fetch-Dest", "document"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-User", "?1"),
            ("Upgrade-Insecure-Requests", "1"),
        ];
        self.send(to, Method::GET, path, &usual, changed, "").await
    }

    /// Sends a form by POST, as a page of the outside could make it.
    pub(super) async fn post(&mut self, to: &Party, path: &str) -> Result<Answer, Trouble> {
        let usual = [
            ("Accept", "text/html"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Sec-Fetch-Dest", "document"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Site", "cross-site"),
        ];
        self.send(to, Method::POST, path, &usual, &[], "").await
    }

    /// A script of the site's own page asks.
    pub(super) async fn fetch(&mut self, to: &Party, path: &str, changed: &[Header]) -> Result<Answer, Trouble> {
        let usual =
            [("Accept", "*/*"), ("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin")];
        self.send(to, Method::GET, path, &usual, changed, "").await
    }

    /// Says yes on the site.
    pub(super) async fn agree(&mut self, to: &Party) -> Result<Answer, Trouble> {
        let usual = [
            ("Accept", "*/*"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Sec-Fetch-Dest", "empty"),
            ("Sec-Fetch-Mode", "cors"),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        self.send(to, Method::POST, path::CONSENT, &usual, &[], "choice=granted").await
    }

    async fn send(
        &mut self,
        to: &Party,
        method: Method,
        path: &str,
        usual: &[Header],
        changed: &[Header],
        body: &'static str,
    ) -> Result<Answer, Trouble> {
        let own = [("User-Agent", USER_AGENT), ("Accept-Language", self.language.as_str())];
        let is_changed = |name: &str| changed.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        let kept = own.into_iter().chain(usual.iter().copied()).filter(|(name, _)| !is_changed(name));
        let all = kept.chain(changed.iter().copied().filter(|(_, value)| !value.is_empty()));
        let mut headers: Vec<(String, String)> = all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        headers.extend(self.jar.header(&to.origin, path).map(|cookies| ("Cookie".to_owned(), cookies)));
        let answer = to.send(method, path, &headers, body).await?;
        if self.keeps_cookies {
            for cookie in answer.cookies() {
                // Why a browser would not keep it is asked by the check that looks at that cookie.
                let _ = self.jar.keep(&to.origin, &cookie);
            }
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::crawlers::is_crawler;

    #[test]
    fn s5_the_doctor_is_no_crawler() {
        assert!(!is_crawler(Some(USER_AGENT)));
    }
}
