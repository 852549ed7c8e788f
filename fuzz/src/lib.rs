//! What the targets share: the parties of a hop, and what must be true of every URL that is taken.

use std::time::Duration;

use throughline::base::clock::UnixSeconds;
use throughline::base::origin::Origin;
use throughline::base::random::CountingRandom;
use throughline::base::secret::{MacKey, Purpose, SiteSecret};
use throughline::domain::consent::ConsentPolicy;
use throughline::domain::site::{Role, Site, SkipList};
use url::Url;

/// The moment at which everything happens; the seeds are of this time.
pub const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

/// The primary.
pub fn brand() -> Origin {
    Origin::parse("https://www.brand.example").unwrap()
}

/// The secondary that the input is meant for.
pub fn shop() -> Origin {
    Origin::parse("https://shop.example").unwrap()
}

fn secret() -> SiteSecret {
    SiteSecret::generate(&CountingRandom::default()).unwrap()
}

/// The shop's key for `purpose`.
pub fn key(purpose: Purpose) -> MacKey {
    secret().derive(purpose)
}

/// The shop's rules, with these keys.
pub fn site(cookie_key: MacKey, hop_key: MacKey) -> Site {
    Site {
        origin: shop(),
        role: Role::Secondary,
        consent: ConsentPolicy::Implied,
        honour_gpc: true,
        legacy_browsers: false,
        skip: SkipList::new(&[]).unwrap(),
        cookie_life: Duration::from_secs(395 * 86_400),
        cookie_key,
        hop_key,
        api_key: secret().api_key(),
        other: None,
        satellite: None,
    }
}

/// Splits an input: a first byte that says what is done with the rest. Seeds begin with a letter, to be read by people.
pub fn mode_and_text(data: &[u8]) -> Option<(u8, &str)> {
    let (&mode, rest) = data.split_first()?;
    std::str::from_utf8(rest).ok().map(|text| (mode, text))
}

/// The query of a URL or of a path with a query.
pub fn query(text: &str) -> Option<&str> {
    text.split_once('?').map(|(_, query)| query)
}

/// Whoever reads `text` as a browser does is on that origin, at the path that `text` shows (rules U1, U2).
pub fn assert_page_of(origin: &Origin, text: &str) {
    assert!(text.strip_prefix(origin.as_str()).is_some_and(|page| page.starts_with('/')), "{text:?} is not of {origin}");
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    let parsed = Url::parse(text).unwrap();
    assert_eq!(parsed.origin().ascii_serialization(), origin.as_str());
    assert!(parsed.username().is_empty() && parsed.password().is_none() && parsed.fragment().is_none(), "{text:?}");
    assert!(!parsed.path().starts_with("//"), "{text:?}");
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let path = path.replace('{', "%7B").replace('}', "%7D");
    let sent = query.map_or(path.clone(), |query| format!("{path}?{}", query.replace('\'', "%27")));
    assert_eq!(parsed.as_str(), sent, "a browser would go elsewhere");
}
