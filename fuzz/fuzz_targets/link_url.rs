//! A text that wants to be the target of `go` (rules L1, L6).
#![no_main]

use libfuzzer_sys::fuzz_target;
use throughline::domain::parameter::{Parameter, parameter};
use throughline::domain::link_url::Link;
use throughline_fuzz::{assert_page_of, brand, query, shop};
use url::Url;

fuzz_target!(|text: &str| {
    let registered = |text: &str| [brand(), shop()].into_iter().find(|origin| origin.as_str() == text);
    let Ok((origin, link)) = Link::parse(text, registered) else { return };
    let theirs = Url::parse(text).unwrap();
    assert_eq!(theirs.origin().ascii_serialization(), origin.as_str(), "a browser would go elsewhere by itself");
    let (location, can_carry) = match link {
        Link::Page(link) => (link.into_location(), true),
        Link::Plain(location) => (location, false),
    };
    let location = location.into_string();
    assert!(location.starts_with(&format!("{origin}/")), "{location:?}");
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
    if !can_carry {
        return;
    }
    let (page, fragment) = location.split_once('#').map_or((location.as_str(), None), |(page, fragment)| (page, Some(fragment)));
    assert_page_of(&origin, page);
    assert_eq!(parameter(query(page)), Parameter::Absent);
    assert_eq!(fragment.is_some(), theirs.fragment().is_some());
    // Following it once more changes nothing.
    let Ok((_, Link::Page(again))) = Link::parse(&location, registered) else { panic!("{location:?} is a page no more") };
    assert_eq!(again.into_location().as_str(), location);
});
