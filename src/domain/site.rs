//! What is known of a site.

use std::time::Duration;

use crate::base::origin::Origin;
use crate::base::secret::{ApiKey, MacKey, Purpose, SiteSecret};

use super::consent::ConsentPolicy;
use super::contract::{PREFIX, path};
use super::site_cookie::CookieKeys;

/// Which part a site plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Owns the master cookie; the broker runs here.
    Primary,
    /// Any other site.
    Secondary,
}

/// The rules of one site that this process serves.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its exact origin.
    pub origin: Origin,
    /// Its part.
    pub role: Role,
    /// When consent stands (rule S8).
    pub consent: ConsentPolicy,
    /// Whether `Sec-GPC: 1` is a refusal (rule S9). Only an explicit setting makes it `false`.
    pub honour_gpc: bool,
    /// Whether a browser that sends no `Sec-Fetch-*` may go on a hop by its `Accept` (rule S3).
    pub legacy_browsers: bool,
    /// Paths that never start a hop (rule S7).
    pub skip: SkipList,
    /// How long the ID cookie lives, from its creation (rule B8).
    pub cookie_life: Duration,
    /// Protects the ID cookie.
    pub cookie_key: MacKey,
    /// Signs hop requests (satellite), or verifies this site's (broker).
    pub hop_key: MacKey,
    /// What this site shows to the broker's API.
    pub api_key: ApiKey,
    /// The keys of the other secret, while the site's secret is rotated.
    pub other: Option<SiteKeys>,
    /// Where its satellite is, if not on the site's own origin.
    pub satellite: Option<Subdomain>,
}

/// The keys of a secret that a site accepts beside its own, and never signs with. A rotation needs two valid secrets at a
/// time: nodes change one after the other, and cookies outlive the change.
#[derive(Debug, Clone)]
pub struct SiteKeys {
    /// Verifies the ID cookie.
    pub cookie_key: MacKey,
    /// Verifies hop requests.
    pub hop_key: MacKey,
    /// Is accepted at the broker's API.
    pub api_key: ApiKey,
}

impl SiteKeys {
    /// The keys that `secret` gives to a site of that role.
    #[must_use]
    pub fn new(role: Role, secret: &SiteSecret) -> Self {
        let (cookie_key, hop_key) = Site::keys(role, secret);
        Self { cookie_key, hop_key, api_key: secret.api_key() }
    }
}

/// The satellite of a site whose pages have no server of their own: on a sub-domain of the same registrable domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subdomain {
    /// The satellite's own origin.
    pub origin: Origin,
    /// The domain that the ID cookie is for. Both the site's host and the satellite's equal it or lie below it.
    pub cookie_domain: String,
}

impl Site {
    /// Where its satellite answers.
    #[must_use]
    pub fn served_at(&self) -> &Origin {
        self.satellite.as_ref().map_or(&self.origin, |satellite| &satellite.origin)
    }

    /// What verifies its ID cookie.
    #[must_use]
    pub fn cookie_keys(&self) -> CookieKeys<'_> {
        CookieKeys { own: &self.cookie_key, other: self.other.as_ref().map(|other| &other.cookie_key) }
    }

    /// The keys of its cookie and of its hop requests that a site's secret gives, for its part.
    #[must_use]
    pub fn keys(role: Role, secret: &SiteSecret) -> (MacKey, MacKey) {
        let cookie = match role {
            Role::Primary => Purpose::MasterCookie,
            Role::Secondary => Purpose::LocalCookie,
        };
        (secret.derive(cookie), secret.derive(Purpose::HopRequest))
    }
}

/// What the broker knows of a secondary.
#[derive(Debug, Clone)]
pub struct RegisteredSite {
    /// Its exact origin.
    pub origin: Origin,
    /// Verifies its hop requests.
    pub hop_key: MacKey,
    /// What it shows to the API.
    pub api_key: ApiKey,
    /// The keys of the other secret, while the site's secret is rotated.
    pub other: Option<SiteKeys>,
    /// Whether its visitors' browsers may be too old for fetch metadata (rule S3).
    pub legacy_browsers: bool,
    /// Where its satellite is, if not on the site's own origin.
    pub satellite: Option<Origin>,
}

impl RegisteredSite {
    /// What the broker makes of a site's secret.
    #[must_use]
    pub fn new(origin: Origin, secret: &SiteSecret, legacy_browsers: bool) -> Self {
        let hop_key = secret.derive(Purpose::HopRequest);
        let api_key = secret.api_key();
        Self { origin, hop_key, api_key, other: None, legacy_browsers, satellite: None }
    }

    /// The keys that verify its hop requests.
    pub fn hop_keys(&self) -> impl Iterator<Item = &MacKey> + Clone {
        std::iter::once(&self.hop_key).chain(self.other.as_ref().map(|other| &other.hop_key))
    }
}

/// Paths that never start a hop: prefixes such as `/api/`, and endings such as `.css` (rule S7).
#[derive(Debug, Clone)]
pub struct SkipList {
    prefixes: Vec<String>,
    endings: Vec<String>,
}

/// What no site wants to send on a hop; the configuration adds to it.
const PREFIXES_ALWAYS: [&str; 3] = [PREFIX, "/.well-known/", path::METADATA];
const PREFIXES_DEFAULT: [&str; 5] = ["/api/", "/assets/", "/static/", "/feed/", "/rss/"];
/// Whole paths; as prefixes they would take in pages such as `/feedback`.
const PATHS_DEFAULT: [&str; 3] = ["/feed", "/feeds", "/rss"];
const NAMES_DEFAULT: [&str; 3] = ["/robots.txt", "/sitemap", "/favicon.ico"];
const ENDINGS_DEFAULT: [&str; 34] = [
    ".css",
    ".js",
    ".mjs",
    ".map",
    ".json",
    ".xml",
    ".rss",
    ".atom",
    ".txt",
    ".csv",
    ".ico",
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".svg",
    ".webp",
    ".avif",
    ".mp3",
    ".mp4",
    ".webm",
    ".woff",
    ".woff2",
    ".ttf",
    ".pdf",
    ".zip",
    ".gz",
    ".dmg",
    ".exe",
    ".msi",
    ".apk",
    ".ics",
    ".wasm",
    ".webmanifest",
];

impl SkipList {
    /// The defaults and what the operator adds: `/prefix` or `*.ending`.
    ///
    /// # Errors
    /// With the entry that is neither.
    pub fn new(entries: &[String]) -> Result<Self, String> {
        let fixed = PREFIXES_ALWAYS.into_iter().chain(PREFIXES_DEFAULT).chain(NAMES_DEFAULT);
        let mut list = Self { prefixes: fixed.map(String::from).collect(), endings: ENDINGS_DEFAULT.map(String::from).into() };
        for entry in entries {
            match entry.strip_prefix('*') {
                Some(ending) if ending.starts_with('.') && ending.len() > 1 => list.endings.push(ending.to_ascii_lowercase()),
                None if entry.starts_with('/') && entry.len() > 1 => list.prefixes.push(entry.clone()),
                _ => return Err(entry.clone()),
            }
        }
        Ok(list)
    }

    /// Whether this path never starts a hop.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let ends_with = |ending: &String| {
            path.len() > ending.len() && path.as_bytes()[path.len() - ending.len()..].eq_ignore_ascii_case(ending.as_bytes())
        };
        let last_segment_has_dot = path.rsplit('/').next().is_some_and(|segment| segment.contains('.'));
        let is_prefixed = PATHS_DEFAULT.contains(&path) || self.prefixes.iter().any(|prefix| path.starts_with(prefix.as_str()));
        is_prefixed || (last_segment_has_dot && self.endings.iter().any(ends_with))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s7_skipped_paths() {
        let list = SkipList::new(&["/download/".into(), "*.tar".into()]).unwrap();
        for path in [
            "/api/x",
            "/assets/a",
            "/robots.txt",
            "/sitemap.xml",
            "/sitemap-1.xml",
            "/feed",
            "/feed/atom",
            "/rss",
            "/.well-known/x",
            "/a/b.CSS",
            "/favicon.ico",
            "/download/x",
            "/a.tar",
            "/a.tar.gz",
            "/_throughline/me",
        ] {
            assert!(list.matches(path), "{path}");
        }
        for path in
            ["/", "/p", "/apiary", "/feedback", "/feeding", "/rssi", "/a.html", "/a.php", "/v1.2/page", "/a.css/page", "/css"]
        {
            assert!(!list.matches(path), "{path}");
        }
        for wrong in ["", "/", "api", "*", "*.", "**"] {
            assert_eq!(SkipList::new(&[wrong.into()]).unwrap_err(), wrong);
        }
    }
}
