//! The target of a link from one of the company's own pages to another (rules L1, L6, L7).

use std::borrow::Cow;
use std::fmt;

use crate::base::origin::Origin;
use crate::token::mint::Token;

use super::url::{Location, PageUrl, UrlRefusal, is_url_byte};

/// Where a link of the company's own pages leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// A page whose URL can carry a token.
    Page(LinkUrl),
    /// A URL that cannot carry a token. The link leads where the browser itself would have gone (rule L7).
    Plain(Location),
}

impl Link {
    /// Reads the target of a link. `registered` finds the origin that a `scheme://host:port` text names, in the spelling of
    /// browsers.
    ///
    /// The authority is checked on the raw text, and the registered origin's own bytes replace it. Programs disagree on how to
    /// read unusual authorities, so it may differ from the registered one only in the case of its letters and in how its port
    /// is written.
    ///
    /// # Errors
    /// When it does not certainly lead to a registered origin (rule L1).
    pub fn parse(text: &str, registered: impl Fn(&str) -> Option<Origin>) -> Result<(Origin, Self), UrlRefusal> {
        let (origin_text, rest) = split_origin(text).ok_or(UrlRefusal::OtherOrigin)?;
        let origin = registered(&origin_text).ok_or(UrlRefusal::OtherOrigin)?;
        let link = match LinkUrl::on(&origin, rest) {
            Ok(page) => Self::Page(page),
            Err(_) => Self::Plain(Location::as_browsers_go(&origin, rest)?),
        };
        Ok((origin, link))
    }
}

/// The origin that an absolute http(s) URL names, in the spelling of browsers, and the text behind its authority.
fn split_origin(text: &str) -> Option<(String, &str)> {
    let (scheme, after) = text.split_once("://")?;
    let scheme = ["https", "http"].into_iter().find(|known| known.eq_ignore_ascii_case(scheme))?;
    let (authority, rest) = after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len()));
    // The colons within the brackets of an IPv6 address begin no port.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let default_port = if scheme == "https" { 443 } else { 80 };
    let port = match port {
        // `https://shop.example:` means the default port, too.
        "" => default_port,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<u16>().ok()?,
        _ => return None,
    };
    let mut origin = format!("{scheme}://{}", host.to_ascii_lowercase());
    if port != default_port {
        origin.push(':');
        origin.push_str(&port.to_string());
    }
    Some((origin, rest))
}

/// A page that a link of the company's own pages leads to and, perhaps, a fragment. It keeps its bytes.
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
    /// Reads the text behind the origin. Characters outside ASCII are percent-encoded, as a browser does for a link in a page
    /// (rule L6).
    fn on(origin: &Origin, rest: &str) -> Result<Self, UrlRefusal> {
        let (page, fragment) = match rest.split_once('#') {
            Some((page, fragment)) => (page, Some(encode_non_ascii(fragment))),
            None => (rest, None),
        };
        if fragment.as_deref().is_some_and(|fragment| !fragment.bytes().all(is_url_byte)) {
            return Err(UrlRefusal::BadCharacter);
        }
        let page = match page.as_bytes().first() {
            Some(b'/') => encode_non_ascii(page),
            // `https://shop.example` and `https://shop.example?x`: the path is `/`.
            _ => Cow::Owned(format!("/{}", encode_non_ascii(page))),
        };
        let page = PageUrl::on(origin, &page)?;
        Ok(Self { page, fragment: fragment.map(Cow::into_owned) })
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

/// The URL that is percent-encoded in the parameter `to`. What is no escape, or stands for no text, stays as it is: that is how
/// the URL must have been written (rule L7).
#[must_use]
pub fn decode(encoded: &str) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        let escaped = (byte == b'%').then(|| digit(0).zip(digit(1))).flatten();
        match escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(octet) => {
                bytes.push(octet);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        push_escapes(&mut text, chunk.invalid());
    }
    text
}

fn encode_non_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() * 2);
    for letter in text.chars() {
        if letter.is_ascii() {
            encoded.push(letter);
        } else {
            push_escapes(&mut encoded, letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Cow::Owned(encoded)
}

fn push_escapes(text: &mut String, bytes: &[u8]) {
    use std::fmt::Write as _;
    for byte in bytes {
        let _ = write!(text, "%{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Origin {
        Origin::parse("https://shop.example").unwrap()
    }

    fn link(text: &str) -> Result<String, UrlRefusal> {
        let local = || Origin::parse("http://[::1]:8400").unwrap();
        let registered = |text: &str| [shop(), local()].into_iter().find(|origin| origin.as_str() == text);
        Link::parse(text, registered).map(|(_, link)| match link {
            Link::Page(link) => link.page.with_parameter("T").with_fragment(link.fragment).into_string(),
            Link::Plain(location) => location.into_string(),
        })
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
    fn l7_another_spelling_of_a_registered_origin_leads_there_with_a_token() {
        for from in [
            "https://SHOP.example/p",
            "HTTPS://shop.EXAMPLE/p",
            "https://shop.example:443/p",
            "https://shop.example:/p",
            "https://shop.example:0443/p",
        ] {
            assert_eq!(link(from).as_deref(), Ok("https://shop.example/p?_tl=T"), "{from}");
        }
        for from in ["http://[::1]:8400/p", "HTTP://[::1]:08400/p"] {
            assert_eq!(link(from).as_deref(), Ok("http://[::1]:8400/p?_tl=T"), "{from}");
        }
    }

    #[test]
    fn l7_what_cannot_carry_a_token_goes_where_a_browser_goes() {
        for (from, to) in [
            ("/@author/post", "/@author/post"),
            ("/100%25-cotton", "/100%25-cotton"),
            ("/100%-cotton", "/100%-cotton"),
            ("/a//b", "/a//b"),
            ("//evil.example", "//evil.example"),
            ("//evil.example/..", "//"),
            ("/\\evil.example", "//evil.example"),
            ("/a\\b", "/a/b"),
            ("/p?a\\b#c\\d", "/p?a\\b#c\\d"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/./../b/.", "/b/"),
            ("/..", "/"),
            ("/a%2F%2Fb", "/a%2F%2Fb"),
            ("/a%5Cb%09c%00", "/a%5Cb%09c%00"),
            ("/%252e%252e/", "/%252e%252e/"),
            ("/%", "/%"),
            ("/%zz", "/%zz"),
            ("/a b", "/a%20b"),
            ("/a\tb\r\nc", "/abc"),
            ("/p\r\nSet-Cookie: x", "/pSet-Cookie:%20x"),
            ("/a\0b", "/a%00b"),
            ("/p?<x>=\"`\"#<\"`", "/p?%3Cx%3E=%22`%22#%3C%22%60"),
            ("/p?x y#a b", "/p?x%20y#a%20b"),
            ("/p#a#b", "/p#a#b"),
            ("?a b", "/?a%20b"),
            ("#a b", "/#a%20b"),
            ("/@ü?ö#ä", "/@%C3%BC?%C3%B6#%C3%A4"),
            ("/p/@ \t", "/p/@"),
            // An old token is taken out, also where only a browser's reading makes it one.
            ("/@a?_tl=old&x=1#f", "/@a?x=1#f"),
            ("/@a?x=1&_t\nl=old", "/@a?x=1"),
            ("/@a?_tl=old", "/@a"),
        ] {
            assert_eq!(link(&format!("https://shop.example{from}")), Ok(format!("https://shop.example{to}")), "{from}");
        }
        let long = format!("https://shop.example/{}?x", "a".repeat(60_000));
        assert_eq!(link(&long), Ok(long));
    }

    #[test]
    fn l7_a_link_that_was_encoded_carelessly_is_read_as_it_was_meant() {
        for (encoded, meant) in [
            ("https%3A%2F%2Fshop.example%2Fp%3Fa%3D1%26b", "https://shop.example/p?a=1&b"),
            ("https%3a%2f%2fshop.example%2fp%25", "https://shop.example/p%"),
            ("https://shop.example/100%-cotton", "https://shop.example/100%-cotton"),
            ("https://shop.example/%", "https://shop.example/%"),
            ("https://shop.example/%4", "https://shop.example/%4"),
            ("https://shop.example/%%34%zz", "https://shop.example/%4%zz"),
            ("https://shop.example/%FCber%C3%BC", "https://shop.example/%FCberü"),
            ("https://shop.example/ü+%2B", "https://shop.example/ü++"),
            ("", ""),
        ] {
            assert_eq!(decode(encoded), meant, "{encoded}");
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
            "javascript://shop.example/%0aalert(1)",
            "#f",
            "https://evil.example/",
            "https://evil.example/https://shop.example/",
            "http://shop.example/",
            "http://shop.example:443/",
            "https://shop.example:444/",
            "https://shop.example:80/",
            "https://shop.example:00/",
            "https://shop.example:65979/",
            "https://shop.example:4294967739/",
            "https://shop.example:443x/",
            "https://shop.example:+443/",
            "https://shop.example: 443/",
            "https://shop.example:443:443/",
            "https://shop.example::/",
            "https://shop.example./",
            "https://shop.example.:443/",
            "https://shop.example.evil.example/",
            "https://shop.example@evil.example/",
            "https://shop.example:x@evil.example/",
            "https://user@shop.example/",
            "https://@shop.example/",
            "https://:@shop.example/",
            "https://user:443@shop.example/",
            "https://shop.example\\@evil.example/",
            "https://shop.example\\/",
            "https:\\\\shop.example/",
            "https:/shop.example/",
            "https:shop.example/",
            "https:///shop.example/",
            " https://shop.example/",
            "https ://shop.example/",
            "https:// shop.example/",
            "https://shop.example /",
            "https://shop.exam\tple/",
            "https://shop.example\n/",
            "ht\ntps://shop.example/",
            "https://shop.example\0/",
            "https://sh%6Fp.example/",
            "https://shop%2Eexample/",
            "https://shop.example%00/",
            "https://shöp.example/",
            "https://\u{17f}hop.example/",
            "https://\u{ff53}hop.example/",
            "https://shop\u{3002}example/",
            "https://shop.example\u{ad}/",
            "http://[::1%25lo]:8400/",
            "http://[0:0::1]:8400/",
            "http://[::1]8400/",
        ] {
            assert!(link(text).is_err(), "{text:?}");
        }
    }
}
