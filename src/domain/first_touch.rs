//! Where a visitor first came from (rule X4): the outside page, the first page here, and the campaign.
//!
//! It is noted once, on the first hop, and outlives the pages that it names. So it holds only what says how somebody found
//! the company, and nothing that says who they are: an address that was mailed to one person is as good as that
//! person's name.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Position, Url, form_urlencoded};

use crate::base::clock::UnixSeconds;
use crate::base::json::{json_object, present};

use super::contract::{
    CAMPAIGN_VALUE_LENGTH_MAX, LANDING_PATH_LENGTH_MAX, LANDING_SEGMENT_LENGTH_MAX, PARAMETER, REFERRER_LENGTH_MAX,
};
use super::own_hosts::OwnHosts;
use super::referrer::has_host_of_dns_length;
use super::url::PageUrl;

/// The query parameters that say which campaign brought a visitor: Urchin's, then the click IDs of advertising networks.
/// No other parameter is kept.
pub const CAMPAIGN_PARAMETERS: [&str; 15] = [
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "utm_id",
    "gclid",
    "gbraid",
    "wbraid",
    "dclid",
    "fbclid",
    "msclkid",
    "ttclid",
    "twclid",
    "li_fat_id",
];

/// What stands in place of a part of a path that may name a person.
const MASK: &str = "-";

/// Where a visitor first came from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct FirstTouch {
    /// When.
    pub at: UnixSeconds,
    /// The outside page that led here, without user, query and fragment. None for a visitor who came by themselves, from
    /// one of the company's own sites, or from a page that does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub referrer: Option<String>,
    /// The first page here: its origin and path.
    pub landing: String,
    /// The campaign: those of [`CAMPAIGN_PARAMETERS`] that the page's URL had.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub campaign: BTreeMap<String, String>,
}

json_object!(written FirstTouch);

impl fmt::Debug for FirstTouch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Where somebody was is their business (rule R8).
        write!(f, "FirstTouch(at {}, {} campaign parameters)", self.at, self.campaign.len())
    }
}

impl FirstTouch {
    /// How many bytes of text it holds.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let campaign: usize = self.campaign.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.referrer.as_ref().map_or(0, String::len) + self.landing.len() + campaign
    }

    /// What is kept of a first visit. `referrer` is the `Referer` header.
    #[must_use]
    pub fn of(page: &PageUrl, referrer: Option<&str>, own: &OwnHosts, at: UnixSeconds) -> Self {
        let page_and_query = page.path_and_query();
        let origin = &page.as_str()[..page.as_str().len() - page_and_query.len()];
        let (path, query) = page_and_query.split_once('?').unwrap_or((page_and_query, ""));
        let mut landing = String::with_capacity(origin.len() + path.len().min(LANDING_PATH_LENGTH_MAX));
        landing.push_str(origin);
        let segments = path.split('/').skip(1).map(|segment| if is_personal(segment) { MASK } else { segment });
        push_path(&mut landing, segments, LANDING_PATH_LENGTH_MAX);
        Self { at, referrer: referrer.and_then(|text| outside_referrer(text, own)), landing, campaign: campaign(query) }
    }
}

/// The outside page that a `Referer` names, if it certainly names one.
fn outside_referrer(text: &str, own: &OwnHosts) -> Option<String> {
    let begins = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if text.len() > REFERRER_LENGTH_MAX || text.contains(char::is_control) || !(begins("https://") || begins("http://")) {
        return None;
    }
    if !has_host_of_dns_length(text) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    if url.host_str().is_none_or(|host| own.is_own(host)) {
        return None;
    }
    let mut referrer = String::with_capacity(text.len());
    referrer.push_str(&url[..Position::BeforeUsername]);
    referrer.push_str(&url[Position::BeforeHost..Position::BeforePath]);
    // An address in an outside path is somebody's; a long name is a headline, and `@name` is a public page.
    let segments = url.path().split('/').skip(1).map(|segment| if is_mail_address(segment) { MASK } else { segment });
    push_path(&mut referrer, segments, usize::MAX);
    // Characters that were not ASCII take more room now.
    (referrer.len() <= REFERRER_LENGTH_MAX).then_some(referrer)
}

/// Appends as many segments as fit into `room`: a path that is cut inside a segment would name a page that never was.
fn push_path<'a>(out: &mut String, segments: impl Iterator<Item = &'a str>, room: usize) {
    let mut left = room;
    for segment in segments {
        let Some(rest) = left.checked_sub(1 + segment.len()) else { return };
        left = rest;
        out.push('/');
        out.push_str(segment);
    }
}

/// Whether part of a path may be about one person: it holds an e-mail address or somebody's handle, is long enough to be
/// a token from a mail (a password reset, an invitation), or has our own parameter where somebody forgot the `?`.
fn is_personal(segment: &str) -> bool {
    let is_long = segment.len() > LANDING_SEGMENT_LENGTH_MAX;
    is_long || segment.contains('@') || segment.contains("%40") || segment.split('&').any(|pair| pair.starts_with(PARAMETER))
}

fn is_mail_address(segment: &str) -> bool {
    let parts = segment.split_once('@').or_else(|| segment.split_once("%40"));
    parts.is_some_and(|(user, domain)| !user.is_empty() && domain.contains('.'))
}

fn campaign(query: &str) -> BTreeMap<String, String> {
    let mut campaign = BTreeMap::new();
    for pair in query.split('&') {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        if !CAMPAIGN_PARAMETERS.contains(&name) || campaign.contains_key(name) {
            continue;
        }
        // Only now, so that nothing is decoded that is not kept.
        let decoded = form_urlencoded::parse(pair.as_bytes()).next();
        if let Some(value) = decoded.and_then(|(_, value)| campaign_value(&value)) {
            campaign.insert(name.to_owned(), value);
        }
    }
    campaign
}

/// A value as it is kept; none for an empty one, and for what looks like an e-mail address, also one that is encoded twice.
fn campaign_value(decoded: &str) -> Option<String> {
    if decoded.contains('@') || decoded.contains("%40") {
        return None;
    }
    let mut value = String::with_capacity(decoded.len().min(CAMPAIGN_VALUE_LENGTH_MAX));
    for letter in decoded.chars().filter(|letter| !letter.is_control()) {
        if value.len() + letter.len_utf8() > CAMPAIGN_VALUE_LENGTH_MAX {
            break;
        }
        value.push(letter);
    }
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::origin::Origin;

    const AT: UnixSeconds = UnixSeconds(1_790_000_000);

    fn origins(texts: &[&str]) -> Vec<Origin> {
        texts.iter().map(|text| Origin::parse(text).unwrap()).collect()
    }

    fn own(texts: &[&str]) -> OwnHosts {
        OwnHosts::new(origins(texts).iter())
    }

    fn touch(page: &str, referrer: Option<&str>) -> FirstTouch {
        let shop = Origin::parse("https://shop.example").unwrap();
        let own = own(&["https://www.brand.example", "https://shop.example"]);
        FirstTouch::of(&PageUrl::on(&shop, page).unwrap(), referrer, &own, AT)
    }

    fn referrer(text: &str) -> Option<String> {
        touch("/", Some(text)).referrer
    }

    fn landing(page: &str) -> String {
        touch(page, None).landing.strip_prefix("https://shop.example").unwrap().to_owned()
    }

    #[test]
    fn the_referrer_is_an_outside_page_and_no_more() {
        for (given, kept) in [
            ("https://news.example/a/b?q=1#f", "https://news.example/a/b"),
            ("https://user:word@news.example:8443/a", "https://news.example:8443/a"),
            ("HTTP://News.Example.:80", "http://news.example./"),
            ("https://shop.example.evil.example/", "https://shop.example.evil.example/"),
            ("https://shop.example@evil.example/", "https://evil.example/"),
            ("https://mail.example/box/ann@mail.example/inbox", "https://mail.example/box/-/inbox"),
            ("https://mail.example/ann%40mail.example", "https://mail.example/-"),
            ("https://video.example/@ann", "https://video.example/@ann"),
            ("https://evil.example\\@shop.example/", "https://evil.example/@shop.example/"),
            ("https://news.example/ü", "https://news.example/%C3%BC"),
        ] {
            assert_eq!(referrer(given).as_deref(), Some(kept), "{given}");
        }
        for none in [
            "",
            "about:client",
            "android-app://com.example/",
            "//news.example/",
            "/a",
            "https:news.example",
            "https:\\\\news.example",
            "https://",
            "https://news.example/\ta",
            "https://news.example:99999/",
            "https://shop.example/a",
            "https://SHOP.example:8443/",
            "https://evil.example@shop.example./",
            "http://blog.brand.example/",
        ] {
            assert_eq!(referrer(none), None, "{none}");
        }
        let long = |length: usize| format!("https://news.example/{}", "a".repeat(length - "https://news.example/".len()));
        assert_eq!(referrer(&long(REFERRER_LENGTH_MAX)), Some(long(REFERRER_LENGTH_MAX)));
        assert_eq!(referrer(&long(REFERRER_LENGTH_MAX + 1)), None);
        assert_eq!(referrer(&format!("https://news.example/{}", "ü".repeat(900))), None);
        // Nor is a host parsed that DNS has not.
        for text in ["https://xn--", "https://%78n--", "https:/xn--", "https:///\\/xn--", "HTTPS://a@b@xn--"] {
            assert_eq!(referrer(&format!("{text}{}/", "a".repeat(1900))), None, "{text}");
        }
    }

    #[test]
    fn the_landing_page_says_nothing_of_a_person() {
        for (page, kept) in [
            ("/", "/"),
            ("/a/b/?x=1&_tl=T", "/a/b/"),
            ("/unsubscribe/ann%40mail.example/now", "/unsubscribe/-/now"),
            ("/%40ann", "/-"),
            ("/p&_tl=T/q", "/-/q"),
            ("/p?ann@mail.example", "/p"),
        ] {
            assert_eq!(landing(page), kept, "{page}");
        }
        let segment = "s".repeat(LANDING_SEGMENT_LENGTH_MAX);
        assert_eq!(landing(&format!("/{segment}/{segment}s/x")), format!("/{segment}/-/x"));
        assert_eq!(landing(&format!("/{}", "t".repeat(4000))), "/-");
        let long = format!("/{segment}").repeat(10);
        assert_eq!(landing(&long), format!("/{segment}").repeat(7), "cut between segments");
        assert_eq!(landing(&"/a".repeat(256)).len(), LANDING_PATH_LENGTH_MAX);
        assert_eq!(landing(&"/a".repeat(257)).len(), LANDING_PATH_LENGTH_MAX);
    }

    #[test]
    fn the_campaign_is_what_the_networks_write_into_the_url() {
        let campaign = |query: &str| {
            let kept: Vec<_> =
                touch(&format!("/p?{query}"), None).campaign.into_iter().map(|(k, v)| format!("{k}={v}")).collect();
            kept.join("&")
        };
        for (query, kept) in [
            ("x=1&utm_source=news&gclid=Cj0&y", "gclid=Cj0&utm_source=news"),
            ("utm_source=a+b%20%C3%BC&utm_source=later", "utm_source=a b ü"),
            ("utm_source=&utm_source&utm_source=last", "utm_source=last"),
            ("utm_source=a=b&utm_mediumx=1&UTM_TERM=x&xutm_id=1", "utm_source=a=b"),
            ("utm_source=ann%40mail.example&utm_term=ann@mail.example&utm_id=ann%2540mail.example", ""),
            ("utm_source=a%0D%0Ab%00%7F%C2%85c", "utm_source=abc"),
            ("utm_source=%FF%", "utm_source=\u{fffd}%"),
            ("_tl=token&email=x&utm_source", ""),
        ] {
            assert_eq!(campaign(query), kept, "{query}");
        }
        let long = campaign(&format!("utm_source=x{}", "%C3%BC".repeat(300)));
        assert_eq!(long.len(), "utm_source=".len() + CAMPAIGN_VALUE_LENGTH_MAX - 1, "cut at a character");
        let all: Vec<_> = CAMPAIGN_PARAMETERS.iter().map(|name| format!("{name}=1&{name}=2")).collect();
        assert_eq!(touch(&format!("/?{}", all.join("&")), None).campaign.len(), CAMPAIGN_PARAMETERS.len());
    }

    #[test]
    fn json_leaves_out_what_is_not_there() {
        let direct = touch("/p", None);
        let json = serde_json::to_string(&direct).unwrap();
        assert_eq!(json, r#"{"at":1790000000,"landing":"https://shop.example/p"}"#);
        assert_eq!(serde_json::from_str::<FirstTouch>(&json).unwrap(), direct);
        let whole = touch("/p?utm_id=7", Some("https://news.example/"));
        assert_eq!(serde_json::from_str::<FirstTouch>(&serde_json::to_string(&whole).unwrap()).unwrap(), whole);
        assert_eq!(format!("{whole:?}"), "FirstTouch(at 1790000000, 1 campaign parameters)");
    }
}
