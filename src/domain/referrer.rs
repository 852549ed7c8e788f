//! What a page's script says led to the page. Where the script begins a hop, the `Referer` of the hop is the page itself.

use std::fmt;

use super::contract::REFERRER_LENGTH_MAX;
use super::url::is_url_byte;

/// The address of a page on the web, without its query and fragment: nobody needs those of a page that is not ours.
#[derive(Clone, PartialEq, Eq)]
pub struct Referrer(String);

impl Referrer {
    /// Reads what `document.referrer` says. `None` for the empty text, and for whatever no browser would write there.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let page = &text[..text.find(['?', '#']).unwrap_or(text.len())];
        let rest = page.strip_prefix("https://").or_else(|| page.strip_prefix("http://"))?;
        let fits = page.len() <= REFERRER_LENGTH_MAX && !rest.is_empty() && page.bytes().all(is_url_byte);
        fits.then(|| Self(page.to_owned()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Referrer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Where somebody was is their business (rule R8).
        f.write_str("Referrer(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_referrer_is_a_page_without_its_query() {
        for (text, kept) in [
            ("https://news.example/", Some("https://news.example/")),
            ("http://news.localhost:8400/a/b?q=1#f", Some("http://news.localhost:8400/a/b")),
            ("https://news.example?q", Some("https://news.example")),
            ("", None),
            ("https://", None),
            ("https://?q", None),
            ("about:client", None),
            ("android-app://com.example/", None),
            ("https://news.example/\r\nx", None),
            ("https://news.example/ü", None),
            (" https://news.example/", None),
        ] {
            assert_eq!(Referrer::parse(text).as_ref().map(Referrer::as_str), kept, "{text}");
        }
        assert_eq!(Referrer::parse(&format!("https://news.example/{}", "a".repeat(REFERRER_LENGTH_MAX))), None);
    }
}
