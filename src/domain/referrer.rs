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
        let fits = page.len() <= REFERRER_LENGTH_MAX
            && has_host_of_dns_length(page)
            && !rest.is_empty()
            && page.bytes().all(is_url_byte);
        fits.then(|| Self(page.to_owned()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether the host of an address of the web is as long as DNS allows: 253 bytes, and 63 in a label (RFC 1035 section 2.3.4).
///
/// The time to read an internationalised label grows with the square of its length, and the client chooses it: this comes before
/// any parser. It may take more for the host than the parser does, such as a path without a slash, but never less.
pub(super) fn has_host_of_dns_length(text: &str) -> bool {
    let Some((_, rest)) = text.split_once(':') else { return false };
    // Browsers skip any number of slashes here, also backslashes (URL Standard section 4.4).
    let rest = rest.trim_start_matches(['/', '\\']);
    let authority = &rest[..rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len())];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    let name = host.strip_suffix('.').unwrap_or(host);
    name.len() <= 253 && name.split('.').all(|label| label.len() <= 63)
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

    #[test]
    fn a9_a_host_that_dns_has_not_is_not_parsed() {
        let letters = |count| "a".repeat(count);
        for (text, fits) in [
            ("https://news.example/".into(), true),
            (format!("https://xn--{}/", letters(59)), true),
            (format!("https://xn--{}/", letters(60)), false),
            (format!("https://xn--{}/", letters(1900)), false),
            (format!("https:{}/", letters(1900)), false),
            (format!("https:\\\\//xn--{}\\p", letters(1900)), false),
            (format!("https://{}@xn--{}/", letters(900), letters(900)), false),
            (format!("https://news.example:{}/", letters(1900)), true),
            (format!("https://{}@news.example/", letters(1900)), true),
            (format!("https://news.example./{}", letters(1900)), true),
            (format!("https://news.example?{}", letters(1900)), true),
            (format!("https://{}.example/", "a.".repeat(124)), false),
            ("https://[2001:db8::1]:443/".into(), true),
            ("https://[2001:db8::1]/".into(), true),
        ] {
            assert_eq!(has_host_of_dns_length(&text), fits, "{text}");
        }
    }
}
