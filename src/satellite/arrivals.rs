//! Arrivals of the last minute: a browser that comes back from a hop to one page again and again, with the same cookies each time,
//! is in a loop (rule S18). A cache or a service worker that keeps redirects in spite of `no-store` makes one.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use actix_web::http::header::HeaderMap;

use crate::domain::site::Site;
use crate::http::cookies::CookieJar;
use crate::store::recent_set::{Claim, RecentSet};

const SPAN: Duration = Duration::from_secs(60);
const ARRIVALS_MAX: usize = 65_536;

/// The memory of arrivals, in this process only.
#[derive(Debug)]
pub struct Arrivals {
    seen: RecentSet,
    hashes: [RandomState; 2],
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { seen: RecentSet::new(SPAN, ARRIVALS_MAX), hashes: [RandomState::new(), RandomState::new()] }
    }
}

impl Arrivals {
    /// What tells arrivals apart: the client, our cookies, and the page.
    #[must_use]
    pub fn key(&self, client: u128, headers: &HeaderMap, cookies: &CookieJar, site: &Site, page: &str) -> u128 {
        let [high, low] = self.hashes.each_ref().map(|state| {
            let mut hasher = state.build_hasher();
            cookies.feed(headers, site, &mut hasher);
            hasher.write(page.as_bytes());
            hasher.finish()
        });
        client ^ (u128::from(high) << 64 | u128::from(low))
    }

    /// Notes an arrival; whether the same one came within the last minute. A full memory says no.
    #[must_use]
    pub fn has_come(&self, arrival: u128, uptime: Duration) -> bool {
        self.seen.claim(arrival, uptime) == Claim::Again
    }
}
