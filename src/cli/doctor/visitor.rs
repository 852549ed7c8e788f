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

/// Where an application's own redirects after a first visit must have ended.
const REDIRECTS_MAX: usize = 5;

/// A header of the request; an empty value leaves it out.
pub(super) type Header = (&'static str, &'static str);

/// One browser.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) jar: Jar,
    sends_cookies: bool,
    language: String,
}

impl Visitor {
    /// Nobody has seen it before.
    pub(super) fn new(random: &dyn Random) -> Result<Self, NoRandomness> {
        let tag: String = random_bytes::<4>(random)?.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { jar: Jar::default(), sends_cookies: true, language: format!("en;q=0.9, x-{tag};q=0.1") })
    }

    /// The same browser, set to send no cookies. The jar still holds them, so that the doctor can clean up.
    pub(super) fn without_cookies(mut self) -> Self {
        self.sends_cookies = false;
        self
    }

    /// The same browser, with its cookies again.
    pub(super) fn with_cookies(mut self) -> Self {
        self.sends_cookies = true;
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

    /// The same, and the application's own redirects after it, such as one that sets a session. A hop ends it. All answers, in order.
    pub(super) async fn visit_all(
        &mut self,
        to: &Party,
        path: &str,
        changed: &[Header],
    ) -> Result<(Answer, Vec<Answer>), Trouble> {
        let (mut last, mut before) = (self.navigate(to, path, changed).await?, Vec::new());
        while let Some(path) = last.own_target(&to.origin).filter(|_| before.len() < REDIRECTS_MAX) {
            let next = self.navigate(to, &path, changed).await?;
            before.push(std::mem::replace(&mut last, next));
        }
        Ok((last, before))
    }

    /// The last of these answers.
    pub(super) async fn visit(&mut self, to: &Party, path: &str, changed: &[Header]) -> Result<Answer, Trouble> {
        self.visit_all(to, path, changed).await.map(|(last, _)| last)
    }

    /// Asks for a page without the marks of a navigation, so that no hop starts.
    pub(super) async fn look_at(&mut self, to: &Party, path: &str) -> Result<Answer, Trouble> {
        self.send(to, Method::GET, path, &[("Accept", "text/html")], &[], "").await
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
        self.say(to, path::CONSENT, "choice=granted").await
    }

    /// Asks to be forgotten.
    pub(super) async fn forget(&mut self, to: &Party) -> Result<Answer, Trouble> {
        self.say(to, path::FORGET, "").await
    }

    /// A form of the site's own page, sent by its script.
    async fn say(&mut self, to: &Party, path: &str, body: &'static str) -> Result<Answer, Trouble> {
        let usual = [
            ("Accept", "*/*"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Origin", to.origin.as_str()),
            ("Sec-Fetch-Dest", "empty"),
            ("Sec-Fetch-Mode", "cors"),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        self.send(to, Method::POST, path, &usual, &[], body).await
    }

    async fn send(
        &mut self,
        to: &Party,
        method: Method,
        path: &str,
        usual: &[(&'static str, &str)],
        changed: &[Header],
        body: &'static str,
    ) -> Result<Answer, Trouble> {
        let own = [("User-Agent", USER_AGENT), ("Accept-Language", self.language.as_str())];
        let is_changed = |name: &str| changed.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        let kept = own.into_iter().chain(usual.iter().copied()).filter(|(name, _)| !is_changed(name));
        let all = kept.chain(changed.iter().copied().filter(|(_, value)| !value.is_empty()));
        let mut headers: Vec<(String, String)> = all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let cookies = self.jar.header(&to.origin, path).filter(|_| self.sends_cookies);
        headers.extend(cookies.map(|cookies| ("Cookie".to_owned(), cookies)));
        let answer = to.send(method, path, &headers, body).await?;
        for cookie in answer.cookies() {
            // Another check finds out why a browser would not keep it.
            let _ = self.jar.keep(&to.origin, &cookie);
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
