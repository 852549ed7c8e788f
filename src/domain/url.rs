//! The only URLs that can become a `Location` (rules U1 to U3).
//!
//! A [`PageUrl`] is a page on a registered origin, with the bytes it came with. A [`Location`] is made of a `PageUrl`, of
//! the broker's hop endpoint, of an origin with a path as browsers read it, and of nothing else:
//!
//! ```compile_fail
//! let location = throughline::domain::url::Location(String::from("https://evil.example/"));
//! ```
//!
//! ```compile_fail
//! let location: throughline::domain::url::Location = "https://evil.example/".parse().unwrap();
//! ```
//!
//! ```compile_fail
//! let location = throughline::domain::url::Location::as_browsers_go("https://evil.example", "/").unwrap();
//! ```

use std::borrow::Cow;
use std::fmt;

use url::{Position, Url};

use crate::base::origin::Origin;
use crate::token::mint::Token;

use super::contract::{PAGE_URL_LENGTH_MAX, PARAMETER, STOP, path};
use super::parameter::without_parameter;

/// Why a text is no page URL of a site. It is for logs and tests; the visitor only sees the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlRefusal {
    /// Not on that origin: another scheme, host, port or user, or no path.
    OtherOrigin,
    /// A character that has no place in a URL, or that browsers read differently from one another.
    BadCharacter,
    /// A path that may lead elsewhere once somebody resolves, decodes or shortens it.
    BadPath,
    /// Too long to come back with a token.
    TooLong,
}

/// A page on a registered origin: that origin's own bytes and the request's own path and query.
#[derive(Clone, PartialEq, Eq)]
pub struct PageUrl {
    text: String,
    origin_length: usize,
}

impl PageUrl {
    /// Reads an absolute URL that must be a page of `origin`.
    ///
    /// # Errors
    /// When it is not, or not certainly (rule U2).
    pub fn parse(origin: &Origin, text: &str) -> Result<Self, UrlRefusal> {
        let page = text.strip_prefix(origin.as_str()).ok_or(UrlRefusal::OtherOrigin)?;
        Self::on(origin, page)
    }

    /// The page of `origin` that a request's path and query name.
    ///
    /// # Errors
    /// When those could mean another place (rule U2).
    pub fn on(origin: &Origin, path_and_query: &str) -> Result<Self, UrlRefusal> {
        if !path_and_query.starts_with('/') {
            return Err(UrlRefusal::OtherOrigin);
        }
        if origin.as_str().len() + path_and_query.len() > PAGE_URL_LENGTH_MAX {
            return Err(UrlRefusal::TooLong);
        }
        if !path_and_query.bytes().all(is_url_byte) {
            return Err(UrlRefusal::BadCharacter);
        }
        let path = path_and_query.split_once('?').map_or(path_and_query, |(path, _)| path);
        if !is_plain_path(path) {
            return Err(UrlRefusal::BadPath);
        }
        let mut text = String::with_capacity(origin.as_str().len() + path_and_query.len());
        text.push_str(origin.as_str());
        text.push_str(path_and_query);
        Ok(Self { text, origin_length: origin.as_str().len() })
    }

    /// The site's front page.
    #[must_use]
    pub fn front(origin: &Origin) -> Self {
        Self { text: format!("{origin}/"), origin_length: origin.as_str().len() }
    }

    /// The whole URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Path and query.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.text[self.origin_length..]
    }

    /// The same page without our parameter.
    #[must_use]
    pub fn clean(&self) -> Self {
        let page = without_parameter(self.path_and_query());
        Self { text: format!("{}{page}", &self.text[..self.origin_length]), origin_length: self.origin_length }
    }

    /// Goes there as it is.
    #[must_use]
    pub fn into_location(self) -> Location {
        Location(self.text)
    }

    /// Goes there with a token.
    #[must_use]
    pub fn with_token(self, token: &Token) -> Location {
        self.with_parameter(token.as_str())
    }

    /// Goes there with an empty parameter: the hop is over and brought nothing (rule B2).
    #[must_use]
    pub fn with_empty_parameter(self) -> Location {
        self.with_parameter("")
    }

    /// Goes there with [`STOP`]: the same refused request came again and again, so something keeps redirects that it must not
    /// keep. The satellite answers with the page, whatever else the browser brings (rule S18).
    #[must_use]
    pub fn with_stop(self) -> Location {
        self.with_parameter(STOP)
    }

    pub(super) fn with_parameter(self, value: &str) -> Location {
        let page = without_parameter(self.path_and_query());
        let mut text = String::with_capacity(self.text.len() + 1 + PARAMETER.len() + 1 + value.len());
        text.push_str(&self.text[..self.origin_length]);
        text.push_str(&page);
        // Always `&` once there is a `?`, even right behind it: taking the parameter out then gives the same bytes back.
        text.push(if page.contains('?') { '&' } else { '?' });
        text.push_str(PARAMETER);
        text.push('=');
        text.push_str(value);
        Location(text)
    }
}

impl fmt::Debug for PageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A page's URL is the visitor's business, and may hold a token.
        write!(f, "PageUrl({}..)", &self.text[..self.origin_length])
    }
}

/// Where a redirect leads. `http` writes it into the header; nothing else can.
#[derive(Clone, PartialEq, Eq)]
pub struct Location(String);

impl Location {
    /// The broker's hop endpoint with a signed query.
    #[must_use]
    pub fn hop(broker: &Origin, signed_query: &str) -> Self {
        Self(format!("{broker}{}?{signed_query}", path::HOP))
    }

    /// The URL that a browser opens for a link to `origin` with `rest` behind it, less an old parameter of ours (rule L7).
    ///
    /// `rest` is path, query and fragment as a link has them, and may be any text: the result is always the origin's own bytes,
    /// then `/`, then printable ASCII. So no text can name another origin or leave the header.
    ///
    /// # Errors
    /// When `rest` begins with something other than `/`, `?` or `#`, or the URL Standard finds no URL in it.
    pub fn as_browsers_go(origin: &Origin, rest: &str) -> Result<Self, UrlRefusal> {
        if !(rest.is_empty() || rest.starts_with(['/', '?', '#'])) {
            return Err(UrlRefusal::OtherOrigin);
        }
        let url = Url::parse(&format!("{origin}{rest}")).map_err(|_| UrlRefusal::OtherOrigin)?;
        let page = without_parameter(&url[Position::BeforePath..Position::AfterQuery]);
        let location = Self(format!("{origin}{page}")).with_fragment(url.fragment().map(String::from));
        let is_sound = page.starts_with('/') && location.0.bytes().all(|byte| byte.is_ascii_graphic());
        if is_sound { Ok(location) } else { Err(UrlRefusal::BadCharacter) }
    }

    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The header's value.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    pub(super) fn with_fragment(mut self, fragment: Option<String>) -> Self {
        if let Some(fragment) = fragment {
            self.0.push('#');
            self.0.push_str(&fragment);
        }
        self
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Location(..)")
    }
}

/// The bytes that may stand in a URL's path, query or fragment: printable ASCII less space, `"`, `<`, `>`, `\` and
/// `` ` ``, which browsers encode themselves.
pub(super) fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'`' | b'#')
}

/// Whether everybody who reads this path ends at the same place of the same origin.
fn is_plain_path(path: &str) -> bool {
    let bytes = path.as_bytes();
    let encoded_trouble = bytes.windows(3).filter(|window| window[0] == b'%').any(|window| {
        match std::str::from_utf8(&window[1..]).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            // A control character, a backslash, or a second layer of encoding.
            Some(byte) => byte < 0x20 || byte == 0x7f || byte == b'\\' || byte == b'%',
            None => true,
        }
    });
    let cut_off = bytes.iter().rev().take(2).any(|&byte| byte == b'%');
    // Some servers take an encoded slash or dot for the plain one. Most paths have no escape and are not copied for it.
    let decoded = match bytes.contains(&b'%') {
        true => Cow::Owned(path.to_ascii_lowercase().replace("%2f", "/").replace("%2e", ".")),
        false => Cow::Borrowed(path),
    };
    let is_dots = |segment: &str| segment == "." || segment == "..";
    !(decoded.contains("//") || decoded.contains('@') || encoded_trouble || cut_off || decoded.split('/').any(is_dots))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parameter::{Parameter, parameter};

    fn shop() -> Origin {
        Origin::parse("https://shop.example").unwrap()
    }

    #[test]
    fn r2_the_parameter_goes_in_and_out_without_a_trace() {
        for page in [
            "/",
            "/p",
            "/p?",
            "/p?x=1",
            "/p?x=1&y=2",
            "/p?x",
            "/p??",
            "/p?a?b",
            "/p?a=1?b=2",
            "/p?&",
            "/p?&&x",
            "/p?=",
            "/p?x=a%20b+c",
            "/p?_tlx=1",
            "/p?x_tl=1",
            "/p?x=_tl",
            "/p?%5Ftl=1",
            "/p?_TL=1",
            "/p?a=1?_tl=2",
            "/p;v=1?x=1",
            "/p/?q=https://o.example//x@y",
        ] {
            let url = PageUrl::on(&shop(), page).unwrap();
            let there = url.clone().with_parameter("T").into_string();
            let back = PageUrl::parse(&shop(), &there).unwrap();
            assert_eq!(parameter(back.path_and_query().split_once('?').map(|(_, query)| query)), Parameter::Once("T"), "{page}");
            assert_eq!(back.clean().path_and_query(), page);
            assert_eq!(url.clean().path_and_query(), page);
        }
    }

    #[test]
    fn u2_every_line_of_the_attack_list_is_refused() {
        let list = include_str!("../../tests/data/return_urls_refused.txt");
        let mut seen = 0;
        for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
            let text = line.replace("\\t", "\t").replace("\\n", "\n").replace("\\r", "\r").replace("\\0", "\0");
            assert!(PageUrl::parse(&shop(), &text).is_err(), "{line}");
            seen += 1;
        }
        assert!(seen > 60, "{seen}");
    }

    #[test]
    fn u1_u3_what_is_taken_keeps_its_bytes() {
        for page in [
            "/",
            "/a/b.html",
            "/a%20b?x=%0d%0aSet-Cookie:%20x",
            "/~user/;p=1,2/(x)'*!$",
            "/%E2%82%AC?a=[1]{2}|3^",
            "/a..b/...",
            "/x?q=//@",
        ] {
            let text = format!("https://shop.example{page}");
            assert_eq!(PageUrl::parse(&shop(), &text).unwrap().into_location().as_str(), text);
        }
    }

    #[test]
    fn s14_a_url_that_would_not_come_back_is_refused() {
        let room = PAGE_URL_LENGTH_MAX - shop().as_str().len();
        assert!(PageUrl::on(&shop(), &format!("/{}", "a".repeat(room - 1))).is_ok());
        assert_eq!(PageUrl::on(&shop(), &format!("/{}", "a".repeat(room))), Err(UrlRefusal::TooLong));
    }
}
