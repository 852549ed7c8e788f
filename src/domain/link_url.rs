//! The target of a link from one of the company's own pages to another (rules L1, L6).

use std::borrow::Cow;
use std::fmt;

use crate::base::origin::Origin;
use crate::token::mint::Token;

use super::url::{Location, PageUrl, UrlRefusal, is_url_byte};

/// A URL that a link of the company's own pages leads to: a page and, perhaps, a fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkUrl {
    page: PageUrl,
    fragment: Option<String>,
}

impl fmt::Debug for LinkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.page.fmt(f)
    }
}

impl LinkUrl {
    /// Reads the target of a link. `registered` finds the origin that a `scheme://host:port` text names.
    ///
    /// Characters outside ASCII are percent-encoded, as a browser does for a link in a page (rule L6).
    ///
    /// # Errors
    /// When it is not a page of a registered origin (rule L1).
    pub fn parse(text: &str, registered: impl Fn(&str) -> Option<Origin>) -> Result<(Origin, Self), UrlRefusal> {
        let authority_at = text.find("://").ok_or(UrlRefusal::OtherOrigin)? + 3;
        let rest = &text[authority_at..];
        let origin_end = authority_at + rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let origin = registered(&text[..origin_end]).ok_or(UrlRefusal::OtherOrigin)?;
        let (page, fragment) = match text[origin_end..].split_once('#') {
            Some((page, fragment)) => (page, Some(encode_non_ascii(fragment))),
            None => (&text[origin_end..], None),
        };
        if fragment.as_deref().is_some_and(|fragment| !fragment.bytes().all(is_url_byte)) {
            return Err(UrlRefusal::BadCharacter);
        }
        let page = match page.as_bytes().first() {
            Some(b'/') => encode_non_ascii(page),
            // `https://shop.example` and `https://shop.example?x`: the path is `/`.
            _ => Cow::Owned(format!("/{}", encode_non_ascii(page))),
        };
        let page = PageUrl::on(&origin, &page)?;
        Ok((origin, Self { page, fragment: fragment.map(Cow::into_owned) }))
    }

    /// Follows the link as it is, less an old parameter of ours.
    #[must_use]
    pub fn into_location(self) -> Location {
        self.page.clean().into_location().with_fragment(self.fragment)
    }

    /// Follows the link with a token; an old one gives way.
    #[must_use]
    pub fn with_token(self, token: &Token) -> Location {
        self.page.with_token(token).with_fragment(self.fragment)
    }
}

fn encode_non_ascii(text: &str) -> Cow<'_, str> {
    use std::fmt::Write as _;
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Origin {
        Origin::parse("https://shop.example").unwrap()
    }

    fn link(text: &str) -> Result<String, UrlRefusal> {
        let registered = |text: &str| (text == "https://shop.example").then(shop);
        LinkUrl::parse(text, registered).map(|(_, link)| link.page.with_parameter("T").with_fragment(link.fragment).into_string())
    }

    #[test]
    fn l6_what_a_link_holds_survives() {
        for (from, to) in [
            ("https://shop.example", "https://shop.example/?_tl=T"),
            ("https://shop.example?x", "https://shop.example/?x&_tl=T"),
            ("https://shop.example#f", "https://shop.example/?_tl=T#f"),
            ("https://shop.example/p?x=1#f?_tl=9", "https://shop.example/p?x=1&_tl=T#f?_tl=9"),
            ("https://shop.example/p?a?b?", "https://shop.example/p?a?b?&_tl=T"),
            ("https://shop.example/p?_tl=old&x=a=b", "https://shop.example/p?x=a=b&_tl=T"),
            ("https://shop.example/p?x=1&_tl=T#f", "https://shop.example/p?x=1&_tl=T#f"),
            ("https://shop.example/ü?q=ö#ä", "https://shop.example/%C3%BC?q=%C3%B6&_tl=T#%C3%A4"),
            ("https://shop.example/p#", "https://shop.example/p?_tl=T#"),
        ] {
            assert_eq!(link(from).as_deref(), Ok(to), "{from}");
        }
    }

    #[test]
    fn l1_l4_links_elsewhere_or_of_another_kind_are_refused() {
        for text in [
            "",
            "/p",
            "//shop.example/p",
            "mailto:a@shop.example",
            "tel:+123",
            "javascript:alert(1)",
            "#f",
            "https://evil.example/",
            "http://shop.example/",
            "https://shop.example:444/",
            "https://shop.example.evil.example/",
            "https://shop.example@evil.example/",
            "https://user@shop.example/",
            "https://SHOP.example/",
            "https://shop.example\\@evil.example/",
            "https://shop.example/\\evil.example",
            "https://shop.example//evil.example",
            "https://shop.example/p#a b",
            "https://shop.example/p\r\nSet-Cookie: x",
            "https:/shop.example/",
            "https:shop.example/",
        ] {
            assert!(link(text).is_err(), "{text}");
        }
    }
}
