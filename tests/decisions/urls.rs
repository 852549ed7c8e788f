//! Every URL that can become a `Location`, against a second opinion: the `url` crate, which reads URLs as browsers do
//! (rules U1 to U3, L1, L6).

use proptest::prelude::*;
use throughline::base::origin::Origin;
use throughline::domain::contract::PAGE_URL_LENGTH_MAX;
use throughline::domain::link_url::{Link, decode};
use throughline::domain::parameter::{Parameter, parameter};
use throughline::domain::url::PageUrl;
use url::Url;

use super::common::{learn, shop};

/// Pieces that mean something to somebody who reads a URL, between pieces that do not.
fn pages() -> impl Strategy<Value = String> {
    let pieces = [
        "/",
        "//",
        "\\",
        "/\\",
        ".",
        "..",
        "/../",
        "/./",
        "%2e",
        "%2E%2e",
        "%2f",
        "%5C",
        "%5c",
        "%09",
        "%0d%0a",
        "%25",
        "%",
        "%zz",
        "%c3%bc",
        "@",
        ":",
        "?",
        "&",
        "=",
        "_tl",
        "_tl=",
        "?_tl=x",
        "#",
        " ",
        "\t",
        "\r\n",
        "\0",
        "\"",
        "<",
        ">",
        "`",
        "'",
        "{",
        "}",
        "|",
        "^",
        "[",
        "]",
        ";",
        "~",
        "*",
        "a",
        "evil.example",
        "https://",
        "\u{fc}",
        "\u{ff0f}",
        "\u{3002}",
        "+",
        "x=1",
    ];
    let composed = prop::collection::vec(proptest::sample::select(pieces.to_vec()), 0..10)
        .prop_map(|pieces| format!("/{}", pieces.concat()));
    prop_oneof![3 => composed, 1 => "/[!-~]{0,30}", 1 => any::<String>()]
}

/// What is percent-encoded in a URL that we pass on as it came: the URL Standard's path and query sets, less what is
/// refused anyway. (Its path set holds `^` since 2024; this crate's does not yet.)
fn as_a_browser_sends_it(url: &str) -> String {
    let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
    let path = path.replace('{', "%7B").replace('}', "%7D");
    query.map_or(path.clone(), |query| format!("{path}?{}", query.replace('\'', "%27")))
}

fn assert_is_a_page_of(origin: &Origin, url: &str) -> Result<(), TestCaseError> {
    let rest = url.strip_prefix(origin.as_str());
    prop_assert!(rest.is_some_and(|rest| rest.starts_with('/')), "{url}");
    prop_assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url:?}");
    let parsed = Url::parse(url).map_err(|error| TestCaseError::fail(format!("{url}: {error}")))?;
    prop_assert_eq!(parsed.origin().ascii_serialization(), origin.as_str());
    prop_assert!(parsed.username().is_empty() && parsed.password().is_none());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn u1_u2_whatever_page_is_taken_is_that_origins_and_reads_the_same_to_everyone(page in pages()) {
        let Ok(url) = PageUrl::on(&shop(), &page) else { return Ok(()) };
        prop_assert_eq!(url.path_and_query(), &page, "the request's own bytes (rule U3)");
        assert_is_a_page_of(&shop(), url.as_str())?;
        prop_assert!(url.as_str().len() <= PAGE_URL_LENGTH_MAX);
        let parsed = Url::parse(url.as_str()).unwrap();
        prop_assert_eq!(parsed.as_str(), as_a_browser_sends_it(url.as_str()));
        // A path that begins with two slashes would be another host to whoever sees it alone.
        prop_assert!(!parsed.path().starts_with("//"));
        prop_assert_eq!(PageUrl::parse(&shop(), url.as_str()), Ok(url.clone()));
        let clean = url.clean();
        assert_is_a_page_of(&shop(), clean.as_str())?;
        let empty = url.with_empty_parameter().into_string();
        assert_is_a_page_of(&shop(), &empty)?;
        prop_assert_eq!(parameter(empty.split_once('?').map(|(_, query)| query)), Parameter::Once(""));
        prop_assert_eq!(PageUrl::parse(&shop(), &empty).unwrap().clean(), clean);
    }

    #[test]
    fn u1_parse_takes_pages_of_the_origin_only(prefix in proptest::sample::select(vec!["https://shop.example", "https://shop.example.", "https://shop.example:443", "https://x@shop.example", "https://learn.example", "//shop.example", ""]), page in pages()) {
        let text = format!("{prefix}{page}");
        if let Ok(url) = PageUrl::parse(&shop(), &text) {
            prop_assert_eq!(prefix, "https://shop.example");
            prop_assert_eq!(url.as_str(), &text);
            assert_is_a_page_of(&shop(), url.as_str())?;
        }
    }

    #[test]
    fn l1_l6_l7_whatever_link_is_taken_leads_where_a_browser_goes(
        prefix in prop_oneof![4 => Just("https://shop.example"), 2 => Just("https://learn.example"), 1 => proptest::sample::select(ORIGINS.to_vec())],
        page in prop_oneof![4 => pages(), 1 => Just(String::new()), 1 => "[?#].{0,20}", 1 => any::<String>()],
    ) {
        let text = format!("{prefix}{page}");
        let Ok((origin, link)) = Link::parse(&text, registered) else {
            // What a browser would open on a registered origin is never refused for its path.
            prop_assert!(!["https://shop.example", "https://learn.example"].contains(&prefix) || !page.is_empty() && !page.starts_with(['/', '?', '#']));
            return Ok(());
        };
        let is_plain = matches!(link, Link::Plain(_));
        let location = leads_to(link);
        let (location, fragment) = location.split_once('#').map_or((location.as_str(), None), |(page, fragment)| (page, Some(fragment)));
        assert_is_a_page_of(&origin, location)?;
        prop_assert!(is_plain || PageUrl::parse(&origin, location).is_ok());
        prop_assert_eq!(parameter(location.split_once('?').map(|(_, query)| query)), Parameter::Absent, "an old token gives way");
        // A browser that follows the link itself ends at the same page.
        let theirs = Url::parse(&text).unwrap();
        prop_assert_eq!(theirs.origin().ascii_serialization(), origin.as_str());
        prop_assert_eq!(fragment.is_some(), theirs.fragment().is_some());
        if parameter(theirs.query()) == Parameter::Absent {
            let ours = Url::parse(location).unwrap();
            prop_assert_eq!(ours.as_str(), theirs.as_str().split('#').next().unwrap());
        }
        if is_plain && parameter(theirs.query()) == Parameter::Absent {
            prop_assert_eq!(location, theirs.as_str().split('#').next().unwrap());
        }
    }

    #[test]
    fn l1_l7_whatever_to_is_it_leads_to_a_registered_origin_or_nowhere(
        to in prop_oneof![
            any::<String>(),
            (proptest::sample::select(ORIGINS.to_vec()), any::<String>()).prop_map(|(origin, rest)| format!("{origin}{rest}")),
            (proptest::sample::select(ORIGINS.to_vec()), proptest::sample::select(BREAKS.to_vec()), pages()).prop_map(|(origin, between, rest)| format!("{origin}{between}{rest}")),
        ],
        encoded in any::<bool>(),
    ) {
        // Raw, and as any byte may be encoded.
        let text = if encoded { decode(&to.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>()) } else { decode(&to) };
        prop_assert!(!encoded || text == to);
        let Ok((origin, link)) = Link::parse(&text, registered) else { return Ok(()) };
        let location = leads_to(link);
        let rest = [shop(), learn()].iter().find_map(|known| location.strip_prefix(known.as_str()).map(String::from));
        prop_assert!(rest.is_some_and(|rest| rest.starts_with('/')), "{location:?}");
        prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
        prop_assert_eq!(Url::parse(&location).unwrap().origin().ascii_serialization(), origin.as_str());
        // Where a browser can read the link by itself, it goes to the same origin.
        prop_assert_eq!(Url::parse(&text).unwrap().origin().ascii_serialization(), origin.as_str());
    }
}

/// Registered origins, other spellings of them, and what only looks like one.
const ORIGINS: [&str; 24] = [
    "https://shop.example",
    "https://learn.example",
    "HTTPS://SHOP.example",
    "https://shop.example:443",
    "https://shop.example:",
    "https://shop.example:0443",
    "https://shop.example:444",
    "http://shop.example",
    "https://evil.example",
    "https://shop.example.evil.example",
    "https://shop.example@evil.example",
    "https://shop.example:443@evil.example",
    "https://evil.example@shop.example",
    "https://shop.example.",
    "https://shop.example%2eevil.example",
    "https://sh\u{f6}p.example",
    "https://\u{ff53}hop.example",
    "https:shop.example",
    "https:/shop.example",
    "https:///shop.example",
    "//shop.example",
    "javascript://shop.example",
    "data:https://shop.example",
    "",
];

/// What may stand between an authority and a path, to make another authority of it.
const BREAKS: [&str; 16] =
    ["", "\\", "@", ":", ":443", ".", "\t", "\r\n", "\0", " ", "\u{ad}", "%00", "%2f", "?", "#", ".evil.example"];

fn registered(text: &str) -> Option<Origin> {
    [shop(), learn()].into_iter().find(|origin| origin.as_str() == text)
}

fn leads_to(link: Link) -> String {
    match link {
        Link::Page(page) => page.into_location().into_string(),
        Link::Plain(location) => location.into_string(),
    }
}

#[test]
fn u3_what_a_browser_encodes_by_itself_is_passed_on_as_it_came() {
    // No browser sends these bytes; what does send them gets them back. The page is the same either way.
    for (ours, theirs) in [("/{a}", "/%7Ba%7D"), ("/p?q='", "/p?q=%27")] {
        let url = PageUrl::on(&shop(), ours).unwrap();
        assert_eq!(url.as_str(), format!("https://shop.example{ours}"));
        assert_eq!(Url::parse(url.as_str()).unwrap().as_str(), format!("https://shop.example{theirs}"));
    }
}

#[test]
fn u2_neither_debug_form_tells_where_the_visitor_was() {
    let url = PageUrl::on(&shop(), "/clinic?_tl=token").unwrap();
    assert_eq!(format!("{url:?}"), "PageUrl(https://shop.example..)");
    assert_eq!(format!("{:?}", url.into_location()), "Location(..)");
}
