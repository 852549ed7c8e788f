//! From a request's headers to the facts that the decisions need.

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName};

use crate::base::clock::UnixSeconds;
use crate::base::origin::Origin;
use crate::domain::decision::Facts;
use crate::domain::site::Site;
use crate::domain::site_cookie::Reading;

use super::Env;
use super::cookies::CookieJar;

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// Where a request comes from, as the browser says.
pub const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_GPC: HeaderName = HeaderName::from_static("sec-gpc");
const EARLY_DATA: HeaderName = HeaderName::from_static("early-data");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
/// The headers by which browsers, past and present, mark a request that no person is looking at yet (rule S4).
const SPECULATION: [HeaderName; 4] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-moz"),
    HeaderName::from_static("x-purpose"),
];

/// Reads the facts of a request to `site`. `is_bare_client` is left `false`: who remembers clients fills it in.
#[must_use]
pub fn facts<'a>(
    method: &Method,
    path_and_query: &'a str,
    headers: &'a HeaderMap,
    env: &Env,
    site: &Site,
    now: UnixSeconds,
) -> Facts<'a> {
    facts_beside(env.read_id(headers, site, now).0, method, path_and_query, headers, &env.cookies)
}

/// The same, where the ID cookies have been read already.
#[must_use]
pub fn facts_beside<'a>(
    cookies: Reading,
    method: &Method,
    path_and_query: &'a str,
    headers: &'a HeaderMap,
    jar: &CookieJar,
) -> Facts<'a> {
    Facts {
        path_and_query,
        is_get: method == Method::GET,
        fetch_dest: text(headers, &SEC_FETCH_DEST),
        fetch_mode: text(headers, &SEC_FETCH_MODE),
        fetch_site: text(headers, &SEC_FETCH_SITE),
        is_speculative: SPECULATION.iter().any(|name| headers.get(name).is_some_and(|value| is_speculation(value.as_bytes()))),
        accepts_html: headers.get_all(&header::ACCEPT).any(|value| contains_html(value.as_bytes())),
        is_partial_or_scripted: headers.contains_key(&header::RANGE)
            || headers.contains_key(&header::UPGRADE)
            || headers.contains_key(&X_REQUESTED_WITH),
        user_agent: text(headers, &header::USER_AGENT),
        gpc: gpc(headers),
        cookies,
        has_hop_cookie: jar.has_hop(headers),
        is_bare_client: false,
    }
}

/// `Sec-GPC: 1`: the browser refuses for the visitor (rule S9).
#[must_use]
pub fn gpc(headers: &HeaderMap) -> bool {
    headers.get(&SEC_GPC).is_some_and(|value| value.as_bytes().trim_ascii() == b"1")
}

/// A header's value, if it is there and is ASCII.
#[must_use]
pub fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether a proxy says that the request came in TLS early data, which anyone may have replayed (RFC 8470, rule R7).
#[must_use]
pub fn is_early_data(headers: &HeaderMap) -> bool {
    headers.get(&EARLY_DATA).is_some_and(|value| value.as_bytes().trim_ascii() == b"1")
}

/// The origin that the browser says led here.
#[must_use]
pub fn referrer_origin(headers: &HeaderMap) -> Option<&str> {
    origin_of(text(headers, &header::REFERER)?)
}

/// The origin of an address, as far as it goes without reading the whole.
#[must_use]
pub fn origin_of(referrer: &str) -> Option<&str> {
    let authority_at = referrer.find("://")? + 3;
    let length = referrer[authority_at..].find(['/', '?', '#']).unwrap_or(referrer.len() - authority_at);
    Some(&referrer[..authority_at + length])
}

/// Whether a request comes from the site's own pages: only such a one may read or change what is known of the visitor.
///
/// Where the satellite is on a sub-domain, its pages are on another origin, and every browser names that.
#[must_use]
pub fn is_own_page(headers: &HeaderMap, site: &Site, is_get: bool) -> bool {
    if site.satellite.is_none() {
        return is_same_origin(headers, &site.origin, is_get);
    }
    let is_page = headers.get(header::ORIGIN).is_some_and(|from| from.as_bytes() == site.origin.as_str().as_bytes());
    is_page && text(headers, &SEC_FETCH_SITE).is_none_or(|from| from == "same-site")
}

/// Whether a request comes from `origin` itself.
///
/// Fetch metadata says so where it is sent. An older browser sends `Origin` with a POST; with neither, a GET can only be
/// read by the same origin anyhow, since no answer to such a site allows CORS.
#[must_use]
fn is_same_origin(headers: &HeaderMap, origin: &Origin, is_get: bool) -> bool {
    match (text(headers, &SEC_FETCH_SITE), headers.get(&header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, Some(from)) => from.as_bytes() == origin.as_str().as_bytes(),
        (None, None) => is_get,
    }
}

fn is_speculation(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    [b"prefetch".as_slice(), b"prerender", b"preview"].iter().any(|word| lower.windows(word.len()).any(|part| part == *word))
}

fn contains_html(accept: &[u8]) -> bool {
    const HTML: &[u8] = b"text/html";
    accept.windows(HTML.len()).any(|part| part.eq_ignore_ascii_case(HTML))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn l2_the_referrer_is_read_as_an_origin() {
        for (referrer, origin) in [
            ("https://shop.example/", Some("https://shop.example")),
            ("https://shop.example/p?x#y", Some("https://shop.example")),
            ("https://shop.example", Some("https://shop.example")),
            ("https://shop.example?x/", Some("https://shop.example")),
            ("http://shop.localhost:8400/p", Some("http://shop.localhost:8400")),
            ("https://shop.example@evil.example/", Some("https://shop.example@evil.example")),
            ("about:blank", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::REFERER, HeaderValue::from_static(referrer));
            assert_eq!(referrer_origin(&headers), origin, "{referrer}");
        }
    }
}
