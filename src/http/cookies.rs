//! Reading and writing our cookies (RFC 6265bis). Other cookies are never touched.

use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderValue};

use crate::base::clock::UnixSeconds;
use crate::domain::contract::{HOP_COOKIE_LIFE, cookie};
use crate::domain::site::Site;
use crate::domain::site_cookie::{self, Reading, SiteState};
use crate::token::claims::{Flow, FlowSecret};

/// Whether a cookie goes along with requests from other sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Only with top-level navigations: what the hop needs.
    Lax,
    /// With every request: what the CORS route needs, on the primary only (rule B9).
    None,
}

/// How our cookies are named and marked: with `Secure` and the `__Host-` prefix, or, in the localhost profile, without.
#[derive(Debug, Clone, Copy)]
pub struct CookieJar {
    id: &'static str,
    /// The name of an ID cookie that is for a whole site.
    site_id: &'static str,
    hop: &'static str,
    secure: bool,
}

impl CookieJar {
    /// For real sites.
    pub const PRODUCTION: Self = Self { id: cookie::ID, site_id: cookie::SITE_ID, hop: cookie::HOP, secure: true };
    /// For `*.localhost` on plain http.
    pub const LOCALHOST: Self =
        Self { id: cookie::ID_LOCALHOST, site_id: cookie::SITE_ID_LOCALHOST, hop: cookie::HOP_LOCALHOST, secure: false };

    /// Whether this is the localhost profile.
    #[must_use]
    pub const fn is_for_localhost(&self) -> bool {
        !self.secure
    }

    /// What the ID cookies of a request to `site` say.
    #[must_use]
    pub fn read_id(&self, headers: &HeaderMap, site: &Site, now: UnixSeconds) -> Reading {
        site_cookie::read(values(headers, self.id_of(site)), site.cookie_keys(), site.cookie_life, now)
    }

    const fn id_of(&self, site: &Site) -> &'static str {
        if site.satellite.is_some() { self.site_id } else { self.id }
    }

    /// Whether there is a hop cookie.
    #[must_use]
    pub fn has_hop(&self, headers: &HeaderMap) -> bool {
        values(headers, self.hop).next().is_some()
    }

    /// The secret of a hop under way, if there is one.
    #[must_use]
    pub fn hop_secret(&self, headers: &HeaderMap) -> Option<FlowSecret> {
        values(headers, self.hop).find_map(FlowSecret::parse)
    }

    /// Whether `flow` is that of one of the hop cookies (rule R9: all are tried).
    #[must_use]
    pub fn flow(&self, headers: &HeaderMap, flow: Option<Flow>) -> Option<Flow> {
        let flows = values(headers, self.hop).filter_map(FlowSecret::parse).map(|secret| secret.flow());
        flows.into_iter().find(|found| Some(*found) == flow)
    }

    /// Feeds what our cookies say of the browser to `hasher`: the hop's secret and the visitor ID. An ID cookie's times and MAC are left
    /// out, since each round of a loop may write them anew.
    pub fn feed(&self, headers: &HeaderMap, site: &Site, hasher: &mut impl std::hash::Hasher) {
        for value in values(headers, self.id_of(site)) {
            hasher.write(value.split('.').nth(2).unwrap_or(value).as_bytes());
            hasher.write_u8(b';');
        }
        hasher.write_u8(b'\n');
        for value in values(headers, self.hop) {
            hasher.write(value.as_bytes());
            hasher.write_u8(b';');
        }
        hasher.write_u8(b'\n');
    }

    /// Sets the ID cookie.
    #[must_use]
    pub fn set_id(&self, site: &Site, same_site: SameSite, state: &SiteState, now: UnixSeconds) -> Option<HeaderValue> {
        let domain = site.satellite.as_ref().map(|satellite| satellite.cookie_domain.as_str());
        let (value, life) = (state.write(&site.cookie_key), state.life(site.cookie_life, now));
        self.set(self.id_of(site), &value, life, same_site, domain)
    }

    /// Sets the hop cookie.
    #[must_use]
    pub fn set_hop(&self, secret: &FlowSecret) -> Option<HeaderValue> {
        self.set(self.hop, &secret.to_text(), HOP_COOKIE_LIFE, SameSite::Lax, None)
    }

    /// Takes the hop cookie away.
    #[must_use]
    pub fn clear_hop(&self) -> Option<HeaderValue> {
        self.set(self.hop, "", Duration::ZERO, SameSite::Lax, None)
    }

    fn set(&self, name: &str, value: &str, life: Duration, same_site: SameSite, domain: Option<&str>) -> Option<HeaderValue> {
        // Browsers take `SameSite=None` only together with `Secure`; they count *.localhost as secure enough for that.
        let (secure, same_site) = match same_site {
            SameSite::Lax if self.secure => ("; Secure", "Lax"),
            SameSite::Lax => ("", "Lax"),
            SameSite::None => ("; Secure", "None"),
        };
        let mut text = format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite={same_site}{secure}", life.as_secs());
        if let Some(domain) = domain {
            text.push_str("; Domain=");
            text.push_str(domain);
        }
        HeaderValue::from_maybe_shared(actix_web::web::Bytes::from(text)).ok()
    }
}

/// The values of all cookies called `name`, in the order in which they came. A value that is no UTF-8 is none of ours;
/// what other cookies hold, which share the line, is their business.
fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = headers.get_all(header::COOKIE).flat_map(|line| line.as_bytes().split(|&byte| byte == b';'));
    let value = move |pair: &'a [u8]| pair.trim_ascii_start().strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    pairs.filter_map(value).filter_map(|value| std::str::from_utf8(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r9_all_cookies_of_the_name_are_found_and_no_others() {
        let mut headers = HeaderMap::new();
        let lines: [&[u8]; 4] = [
            b"a=1; throughline=x; throughline-hop=h;throughline=y",
            b"xthroughline=no; throughline=z; throughline",
            b"throughline=\xff; name=\xc3\xa9; throughline=beside others' UTF-8",
            b"name=\xff; throughline=beside others' bytes",
        ];
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        assert_eq!(
            values(&headers, "throughline").collect::<Vec<_>>(),
            ["x", "y", "z", "beside others' UTF-8", "beside others' bytes"]
        );
        assert_eq!(values(&headers, "throughline-hop").collect::<Vec<_>>(), ["h"]);
    }

    #[test]
    fn r1_how_cookies_are_marked() {
        let text = |value: Option<HeaderValue>| value.unwrap().to_str().unwrap().to_owned();
        let secret = FlowSecret::new([0; 16]);
        assert_eq!(
            text(CookieJar::PRODUCTION.set_hop(&secret)),
            "__Host-throughline-hop=AAAAAAAAAAAAAAAAAAAAAA; Path=/; Max-Age=120; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(text(CookieJar::LOCALHOST.clear_hop()), "throughline-hop=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    }
}
