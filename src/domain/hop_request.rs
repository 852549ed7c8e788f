//! The signed requests of a satellite to the broker: the hop, and the CORS route's `whoami`.
//!
//! The query has one spelling: these parameters, in this order, each once. Whatever else it may be, it is not ours, so that
//! nothing can be read from it in two ways (rules B2, B10). The MAC covers the bytes as they travel.
//!
//! ```text
//! v=1&site=<origin>&flow=<43>&iat=<seconds>&consent=<granted|implied>[&look_alike=1][&return=<URL>[&referrer=<URL>]]&sig=<43>
//! ```

use std::fmt::{self, Write as _};

use crate::base::clock::UnixSeconds;
use crate::base::encoding::push_base64url;
use crate::base::origin::Origin;
use crate::base::secret::MacKey;
use crate::token::claims::{CLOCK_SKEW, Flow};

use super::consent::Basis;
use super::contract::{HOP_REQUEST_LIFE, RETURN_LENGTH_MAX};
use super::referrer::Referrer;
use super::url::PageUrl;

/// Says that a look-alike is on its way.
const LOOK_ALIKE: &str = "&look_alike=1";

/// Which endpoint a request is for. The MAC covers it, so that neither can serve as the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// `/_throughline/hop`: has a return URL.
    Hop,
    /// `/_throughline/whoami`: has none.
    Whoami,
}

impl Endpoint {
    const fn context(self) -> &'static str {
        match self {
            Self::Hop => "throughline/v1/hop\n",
            Self::Whoami => "throughline/v1/whoami\n",
        }
    }
}

/// What a satellite asks of the broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HopRequest {
    /// Names the hop; the bounce token must carry it back.
    pub flow: Flow,
    /// When it was asked.
    pub issued_at: UnixSeconds,
    /// On what consent it stands.
    pub basis: Basis,
    /// A client that looks like this one left on a hop a moment ago: it may be the same browser (rule S16). Never for `whoami`.
    pub look_alike: bool,
    /// The page to come back to; none for `whoami`.
    pub page: Option<PageUrl>,
    /// What led to that page, where its script began the hop: the `Referer` is the page itself then.
    pub referrer: Option<Referrer>,
}

impl HopRequest {
    /// The signed query.
    #[must_use]
    pub fn sign(&self, broker: &Origin, site: &Origin, key: &MacKey) -> String {
        let mut query = String::with_capacity(256 + self.page.as_ref().map_or(0, |page| page.as_str().len() * 2));
        query.push_str("v=1&site=");
        push_encoded(&mut query, site.as_str());
        query.push_str("&flow=");
        push_base64url(&mut query, self.flow.as_bytes());
        let _ = write!(query, "&iat={}&consent={}", self.issued_at, self.basis.as_str());
        if let Some(page) = &self.page {
            if self.look_alike {
                query.push_str(LOOK_ALIKE);
            }
            query.push_str("&return=");
            push_encoded(&mut query, page.as_str());
            if let Some(referrer) = &self.referrer {
                query.push_str("&referrer=");
                push_encoded(&mut query, referrer.as_str());
            }
        }
        let endpoint = if self.page.is_some() { Endpoint::Hop } else { Endpoint::Whoami };
        let tag = key.tag(&mac_parts(endpoint, broker, &query));
        query.push_str("&sig=");
        push_base64url(&mut query, &tag);
        query
    }
}

/// Whether a hop can be asked for in a URL that every server on the way takes (rule S14). An escape in the page's URL is
/// escaped once more on its way to the broker; where that makes it too long, a server in front might answer 414 or 502 in
/// place of the page (the first law).
#[must_use]
pub fn fits(page: &PageUrl) -> bool {
    encoded_length(page.as_str()) <= RETURN_LENGTH_MAX
}

/// Whether the referrer fits in beside the page. The hop goes without it otherwise.
#[must_use]
pub fn fits_beside(page: &PageUrl, referrer: &Referrer) -> bool {
    encoded_length(page.as_str()) + encoded_length(referrer.as_str()) <= RETURN_LENGTH_MAX
}

fn encoded_length(text: &str) -> usize {
    text.bytes().map(|byte| if is_unreserved(byte) { 1 } else { 3 }).sum()
}

fn mac_parts<'a>(endpoint: Endpoint, broker: &'a Origin, signed: &'a str) -> [&'a [u8]; 4] {
    [endpoint.context().as_bytes(), broker.as_str().as_bytes(), b"\n", signed.as_bytes()]
}

/// Why a hop request counts for nothing (rule B2). `code` is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HopRefusal {
    /// Not the one spelling: something is missing, twice, in another order, or extra.
    Malformed,
    /// The MAC is not this site's.
    BadSignature,
    /// Older than it may be, or from the future.
    Stale,
    /// It names no consent.
    NoConsent,
    /// The return URL is not certainly a page of that site (rule U2).
    BadReturn,
}

impl HopRefusal {
    /// A stable name.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "hop_malformed",
            Self::BadSignature => "hop_bad_signature",
            Self::Stale => "hop_stale",
            Self::NoConsent => "hop_no_consent",
            Self::BadReturn => "hop_bad_return",
        }
    }
}

impl fmt::Display for HopRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The site that a query names, before anything about it is known to be true: good for a look-up in the registry, and for
/// the way back. With the parameter there twice, the first.
#[must_use]
pub fn site_named(query: &str) -> Option<String> {
    first(query, "site=").and_then(decode)
}

/// The page that a refused request may be sent back to: the one it names, if that is certainly a page of the site.
#[must_use]
pub fn way_back(query: &str, site: &Origin) -> PageUrl {
    let named = first(query, "return=").and_then(decode);
    named.and_then(|text| PageUrl::parse(site, &text).ok()).unwrap_or_else(|| PageUrl::front(site))
}

fn first<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name))
}

/// Reads and believes a query for `endpoint` that one of `keys` signed, or says why not.
///
/// # Errors
/// Rules B2, B10 and U2.
pub fn verify<'k>(
    query: &str,
    endpoint: Endpoint,
    broker: &Origin,
    site: &Origin,
    keys: impl IntoIterator<Item = &'k MacKey>,
    now: UnixSeconds,
) -> Result<HopRequest, HopRefusal> {
    let (signed, tag) = query.rsplit_once("&sig=").ok_or(HopRefusal::Malformed)?;
    let mut pairs = signed.split('&');
    let mut next = |name: &str| pairs.next().and_then(|pair| pair.strip_prefix(name)).ok_or(HopRefusal::Malformed);
    if next("v=")? != "1" || !octets(next("site=")?).eq(site.as_str().bytes().map(Some)) {
        return Err(HopRefusal::Malformed);
    }
    let flow = Flow::parse(next("flow=")?).ok_or(HopRefusal::Malformed)?;
    let issued_at = decimal(next("iat=")?).ok_or(HopRefusal::Malformed)?;
    let basis = next("consent=")?;
    let mut look_alike = false;
    let page = match endpoint {
        Endpoint::Hop => {
            let mut pair = next("")?;
            if pair == &LOOK_ALIKE[1..] {
                look_alike = true;
                pair = next("")?;
            }
            Some(pair.strip_prefix("return=").ok_or(HopRefusal::Malformed)?)
        }
        Endpoint::Whoami => None,
    };
    let referrer = match (endpoint, pairs.next()) {
        (_, None) => None,
        (Endpoint::Hop, Some(pair)) => Some(pair.strip_prefix("referrer=").ok_or(HopRefusal::Malformed)?),
        (Endpoint::Whoami, Some(_)) => return Err(HopRefusal::Malformed),
    };
    if pairs.next().is_some() {
        return Err(HopRefusal::Malformed);
    }
    let parts = mac_parts(endpoint, broker, signed);
    if !keys.into_iter().any(|key| key.verify(&parts, tag)) {
        return Err(HopRefusal::BadSignature);
    }
    if issued_at > now.plus(CLOCK_SKEW) || now >= issued_at.plus(HOP_REQUEST_LIFE + CLOCK_SKEW) {
        return Err(HopRefusal::Stale);
    }
    let basis = Basis::parse(basis).ok_or(HopRefusal::NoConsent)?;
    let page = match page {
        Some(encoded) => {
            let text = decode(encoded).ok_or(HopRefusal::BadReturn)?;
            Some(PageUrl::parse(site, &text).map_err(|_| HopRefusal::BadReturn)?)
        }
        None => None,
    };
    let referrer = match referrer {
        Some(encoded) => {
            let text = decode(encoded).ok_or(HopRefusal::Malformed)?;
            // Only what a satellite would have written: the page, without its query.
            Some(Referrer::parse(&text).filter(|referrer| referrer.as_str() == text).ok_or(HopRefusal::Malformed)?)
        }
        None => None,
    };
    Ok(HopRequest { flow, issued_at, basis, look_alike, page, referrer })
}

fn decimal(text: &str) -> Option<UnixSeconds> {
    let plain = !text.is_empty() && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    plain.then(|| text.parse().ok().map(UnixSeconds)).flatten()
}

/// Percent-encodes all but the unreserved characters (RFC 3986 section 2.3), as JavaScript's `encodeURIComponent` nearly
/// does.
fn push_encoded(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if is_unreserved(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Takes percent-encoding off once. `None` for a broken escape or for bytes that are no UTF-8.
#[must_use]
pub fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    for octet in octets(encoded) {
        bytes.push(octet?);
    }
    String::from_utf8(bytes).ok()
}

/// The octets that are encoded; `None` for a broken escape.
fn octets(encoded: &str) -> impl Iterator<Item = Option<u8>> {
    let mut bytes = encoded.bytes();
    std::iter::from_fn(move || match bytes.next()? {
        b'%' => {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            Some(digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok()))
        }
        plain => Some(Some(plain)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::CountingRandom;
    use crate::base::secret::{Purpose, SiteSecret};
    use crate::token::claims::FlowSecret;

    const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

    fn parties() -> (Origin, Origin, MacKey) {
        let key = SiteSecret::generate(&CountingRandom::default()).unwrap().derive(Purpose::HopRequest);
        (Origin::parse("https://www.brand.example").unwrap(), Origin::parse("https://shop.example").unwrap(), key)
    }

    fn request(site: &Origin, page: &str) -> HopRequest {
        let flow = FlowSecret::new([9; 16]).flow();
        let page = Some(PageUrl::on(site, page).unwrap());
        HopRequest { flow, issued_at: NOW, basis: Basis::Implied, look_alike: false, page, referrer: None }
    }

    #[test]
    fn what_is_signed_comes_out_as_it_went_in() {
        let (broker, site, key) = parties();
        for page in ["/", "/p?x=1&y=a%20b", "/p??&=%C3%A4", "/p?u=https://o.example/&sig=1&return=2"] {
            let request = request(&site, page);
            let query = request.sign(&broker, &site, &key);
            assert_eq!(site_named(&query).as_deref(), Some(site.as_str()));
            assert_eq!(verify(&query, Endpoint::Hop, &broker, &site, [&key], NOW), Ok(request), "{page}");
        }
    }

    #[test]
    fn b2_forged_stale_or_unsigned_requests_are_refused() {
        let (broker, site, key) = parties();
        let good = request(&site, "/p?x=1").sign(&broker, &site, &key);
        let check = |query: &str, now| verify(query, Endpoint::Hop, &broker, &site, [&key], now).map(|_| ());
        assert_eq!(check(&good, NOW), Ok(()));
        // Any byte changed, taken out or put in.
        for index in 0..good.len() {
            let mut changed = good.clone().into_bytes();
            changed[index] = if changed[index] == b'x' { b'y' } else { b'x' };
            assert!(check(std::str::from_utf8(&changed).unwrap(), NOW).is_err(), "changed at {index}");
            let mut shorter = good.clone();
            shorter.remove(index);
            assert!(check(&shorter, NOW).is_err(), "removed at {index}");
        }
        let (unsigned, _) = good.split_once("&sig=").unwrap();
        assert_eq!(check(unsigned, NOW), Err(HopRefusal::Malformed));
        // Times: 60 s and 5 s of skew.
        assert_eq!(check(&good, UnixSeconds(NOW.0 + 64)), Ok(()));
        assert_eq!(check(&good, UnixSeconds(NOW.0 + 65)), Err(HopRefusal::Stale));
        assert_eq!(check(&good, UnixSeconds(NOW.0 - 5)), Ok(()));
        assert_eq!(check(&good, UnixSeconds(NOW.0 - 6)), Err(HopRefusal::Stale));
        // Another site's key, another broker, the other endpoint.
        let other = SiteSecret::parse("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA").unwrap().derive(Purpose::HopRequest);
        assert_eq!(verify(&good, Endpoint::Hop, &broker, &site, [&other], NOW), Err(HopRefusal::BadSignature));
        assert_eq!(verify(&good, Endpoint::Hop, &site, &site, [&key], NOW), Err(HopRefusal::BadSignature));
        assert!(verify(&good, Endpoint::Whoami, &broker, &site, [&key], NOW).is_err());
        let whoami = HopRequest { page: None, ..request(&site, "/") }.sign(&broker, &site, &key);
        assert!(verify(&whoami, Endpoint::Whoami, &broker, &site, [&key], NOW).is_ok());
        assert!(verify(&whoami, Endpoint::Hop, &broker, &site, [&key], NOW).is_err());
    }

    #[test]
    fn b10_duplicates_extras_and_other_orders_are_refused_even_when_signed() {
        let (broker, site, key) = parties();
        let good = request(&site, "/p").sign(&broker, &site, &key);
        let (signed, _) = good.rsplit_once("&sig=").unwrap();
        let resign = |signed: &str| {
            let mut query = format!("{signed}&sig=");
            push_base64url(&mut query, &key.tag(&mac_parts(Endpoint::Hop, &broker, signed)));
            verify(&query, Endpoint::Hop, &broker, &site, [&key], NOW).map(|_| ())
        };
        assert_eq!(resign(signed), Ok(()));
        for pair in signed.split('&') {
            assert_eq!(resign(&format!("{signed}&{pair}")), Err(HopRefusal::Malformed), "{pair} twice");
            assert_eq!(resign(&format!("{pair}&{signed}")), Err(HopRefusal::Malformed), "{pair} twice");
            let without = signed.split('&').filter(|other| *other != pair).collect::<Vec<_>>().join("&");
            assert!(resign(&without).is_err(), "{pair} missing");
        }
        let told = |referrer: &str| resign(&format!("{signed}&referrer={referrer}"));
        assert_eq!(told("https%3A%2F%2Fnews.example%2F"), Ok(()));
        for referrer in
            ["", "https%3A%2F%2Fnews.example%2F%3Fq", "javascript%3A1", "%", "https%3A%2F%2Fa%2F&referrer=https%3A%2F%2Fa%2F"]
        {
            assert_eq!(told(referrer), Err(HopRefusal::Malformed), "{referrer}");
        }
        let mut turned: Vec<_> = signed.split('&').collect();
        turned.reverse();
        assert!(resign(&turned.join("&")).is_err());
        assert_eq!(resign(&signed.replace("consent=implied", "consent=none")), Err(HopRefusal::NoConsent));
        assert_eq!(resign(&signed.replace("consent=implied", "consent=")), Err(HopRefusal::NoConsent));
        for iat in ["+1790000000", "01790000000", "1790000000.0", "1e9", "-1", "", "99999999999999999999"] {
            assert_eq!(resign(&signed.replace("1790000000", iat)), Err(HopRefusal::Malformed), "{iat}");
        }
        for page in [
            "https%3A%2F%2Fevil.example%2F",
            "https%3A%2F%2Fshop.example%2F%2Fx",
            "%2Fp",
            "https%3A%2F%2Fshop.example%2F%0D%0Ax",
            "%ff",
            "%",
        ] {
            let (head, _) = signed.split_once("&return=").unwrap();
            assert_eq!(resign(&format!("{head}&return={page}")), Err(HopRefusal::BadReturn), "{page}");
        }
    }

    #[test]
    fn b2_the_way_back_is_always_a_page_of_the_site() {
        let (_, site, _) = parties();
        for (query, page) in [
            ("site=x&return=https%3A%2F%2Fshop.example%2Fp%3Fx", "https://shop.example/p?x"),
            ("return=https%3A%2F%2Fevil.example%2F", "https://shop.example/"),
            ("return=//evil.example", "https://shop.example/"),
            ("return=", "https://shop.example/"),
            ("", "https://shop.example/"),
        ] {
            assert_eq!(way_back(query, &site).as_str(), page);
        }
    }
}
