//! First touch: whatever URLs a browser sends, what is kept names no own host as the outside, and nothing of a person.

use proptest::prelude::*;
use throughline::base::origin::Origin;
use throughline::domain::contract::{
    CAMPAIGN_VALUE_LENGTH_MAX, LANDING_PATH_LENGTH_MAX, LANDING_SEGMENT_LENGTH_MAX, REFERRER_LENGTH_MAX,
};
use throughline::domain::first_touch::{CAMPAIGN_PARAMETERS, FirstTouch};
use throughline::domain::own_hosts::OwnHosts;
use throughline::domain::url::PageUrl;
use url::Url;

use super::common::{NOW, brand, learn, shop};

fn sites() -> [Origin; 6] {
    let more = ["http://localhost:8400", "http://127.0.0.1:8400", "http://[::1]:8400"];
    let [a, b, c] = more.map(|text| Origin::parse(text).unwrap());
    [brand(), shop(), learn(), a, b, c]
}

fn own() -> OwnHosts {
    OwnHosts::new(sites().iter())
}

fn concat(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(proptest::sample::select(pieces), 0..most).prop_map(|pieces| pieces.concat())
}

/// Paths and queries; `SECRET` stands wherever something stands that must not be kept.
fn tails() -> impl Strategy<Value = String> {
    let pieces = &[
        "/",
        "/",
        "//",
        "a",
        "b.html",
        "%20",
        "%40",
        "SECRET@x.example",
        "SECRET%40x.example",
        "?",
        "&",
        "=",
        "utm_source=",
        "utm_id=1",
        "gclid=x%0d%0ay",
        "&_tl=SECRET",
        "?_tl=SECRET",
        "#SECRET",
        "%C2%85",
        "%00",
        "+",
        "%C3%BC",
        "%",
        "%FF",
        "\u{fc}",
        "\t",
        "\r\n",
        "\0",
        " ",
        "\\",
        ":",
        ";",
        "~",
    ];
    prop_oneof![4 => concat(pieces, 12), 1 => "/[a-z/]{0,80}", 1 => "(/[a-z]{0,70}){0,14}(\\?utm_term=[%a-f0-9]{0,400})?", 1 => any::<String>()]
}

fn hosts() -> impl Strategy<Value = String> {
    concat(
        &[
            "www.",
            "brand.example",
            "BRAND.example",
            "shop.example",
            "shop",
            "learn.example",
            "news.example",
            "evil.",
            "x",
            ".",
            "not",
            "localhost",
            "news.localhost",
            "127.0.0.1",
            "0x7f.1",
            "[::1]",
            "[::1",
            "%2e",
            "\u{3002}",
            "example",
            "com",
        ],
        5,
    )
}

fn referrers() -> impl Strategy<Value = String> {
    let schemes =
        vec!["https://", "http://", "HTTPS://", "https:", "//", "https:\\\\", "ftp://", "android-app://", "", " https://"];
    let users = vec!["", "", "", "SECRET@", "SECRET:SECRET@", "shop.example@", "x:SECRET%40@"];
    let ports = vec!["", "", ":8443", ":443", ":", ":x", "."];
    let parts = (
        proptest::sample::select(schemes),
        proptest::sample::select(users),
        hosts(),
        proptest::sample::select(ports),
        prop_oneof![Just(String::new()), tails()],
    );
    let composed = parts.prop_map(|(scheme, user, host, port, tail)| format!("{scheme}{user}{host}{port}{tail}"));
    prop_oneof![8 => composed, 1 => any::<String>()]
}

/// The rule once more, told with texts in place of look-ups.
fn is_own(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let below = |name: &str| host == name || host.ends_with(&format!(".{name}"));
    let exactly = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    exactly || ["brand.example", "shop.example", "learn.example"].into_iter().any(below)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_names_no_own_host_and_no_person(tail in tails(), referrer in proptest::option::of(referrers())) {
        let Ok(page) = PageUrl::on(&shop(), &format!("/{tail}")) else { return Ok(()) };
        let touch = FirstTouch::of(&page, referrer.as_deref(), &own(), NOW);

        let path = touch.landing.strip_prefix("https://shop.example").unwrap();
        prop_assert!(path.starts_with('/') && path.len() <= LANDING_PATH_LENGTH_MAX, "{path}");
        prop_assert!(!path.contains(['?', '#', '@']) && !path.contains("%40") && !path.contains("SECRET"), "{path}");
        prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?}");
        prop_assert!(path.split('/').all(|segment| segment.len() <= LANDING_SEGMENT_LENGTH_MAX), "{path}");
        prop_assert!(PageUrl::parse(&shop(), &touch.landing).is_ok(), "{path}");

        if let Some(kept) = &touch.referrer {
            prop_assert!(kept.len() <= REFERRER_LENGTH_MAX && kept.bytes().all(|byte| byte.is_ascii_graphic()), "{kept:?}");
            let url = Url::parse(kept).unwrap();
            prop_assert_eq!(url.as_str(), kept);
            prop_assert!(matches!(url.scheme(), "https" | "http") && !is_own(url.host_str().unwrap()), "{kept}");
            prop_assert!(url.username().is_empty() && url.password().is_none(), "{kept}");
            prop_assert!(url.query().is_none() && url.fragment().is_none(), "{kept}");
            prop_assert!(!kept.contains("SECRET@x.example") && !kept.contains("SECRET%40x.example"), "{kept}");
        }

        for (name, value) in &touch.campaign {
            prop_assert!(CAMPAIGN_PARAMETERS.contains(&name.as_str()), "{name}");
            prop_assert!((1..=CAMPAIGN_VALUE_LENGTH_MAX).contains(&value.len()), "{value}");
            prop_assert!(!value.contains(char::is_control) && !value.contains('@'), "{value:?}");
            let sent = page.path_and_query().split_once('?').unwrap().1;
            prop_assert!(sent.split('&').any(|pair| pair.starts_with(name.as_str())), "{name}");
        }

        let json = serde_json::to_string(&touch).unwrap();
        prop_assert_eq!(serde_json::from_str::<FirstTouch>(&json).unwrap(), touch);
    }

    #[test]
    fn an_outside_page_is_kept_and_an_own_one_is_not(host in hosts(), path in "(/[a-z]{1,9}){1,3}") {
        let text = format!("https://{host}{path}?q#f");
        // Some texts that make no host still make a URL: then the path gives one.
        let Some(url) = Url::parse(&text).ok().filter(|url| url.path() == path) else { return Ok(()) };
        let host = url.host_str().unwrap();
        let kept = FirstTouch::of(&PageUrl::front(&shop()), Some(&text), &own(), NOW).referrer;
        prop_assert_eq!(kept, (!is_own(host)).then(|| format!("https://{host}{path}")));
    }

    #[test]
    fn a_host_is_own_by_the_one_rule(host in prop_oneof![hosts(), any::<String>(), "([a-b]\\.){0,300}(brand|shop)\\.example"]) {
        prop_assert_eq!(own().is_own(&host), is_own(&host));
    }
}
