//! The pages that people see in place of their own: rendered over HTTP, with hostile strings wherever a request can carry
//! one. And the two ways to a wrong ID that were found while the protocol was written down.

#[path = "../support/mod.rs"]
mod support;

mod demo;

use throughline::base::clock::{Clock as _, SystemClock};
use throughline::base::id::VisitorId;
use throughline::base::network::Network;
use throughline::base::random::{SystemRandom, random_bytes};
use throughline::domain::siblings::Siblings;
use throughline::token::claims::{TOKEN_LIFE_MAX, TokenId};
use throughline::token::mint::{Statement, link_token};

use support::browser::Browser;
use support::company::Company;
use support::files::Setup;
use support::process::wait_until;
use support::wire::Answer;

/// As they can stand in a query.
const HOSTILE: [&str; 6] = [
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "'%3E%3Cimg/src=x/onerror=alert(1)%3E",
    "{{7*7}}${7*7}%3C%25=7*7%25%3E",
    "%22%3E%3Csvg/onload=alert(1)%3E",
    "%0d%0aSet-Cookie:%20x=1",
    "%00%ff%fe%F0%9F%98%80",
];

fn assert_is_our_page(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let text = answer.text();
    assert!(text.contains(&format!("<code>{code}</code>")), "{text}");
    assert!(text.trim_end().ends_with("</html>"), "{text}");
    for word in ["script", "alert", "onerror", "onload", "svg", "49", "%0d", "😀"] {
        assert!(!text.contains(word), "{word:?} in {text}");
    }
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy:?}");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-robots-tag"), Some("noindex"));
    assert_eq!((answer.header("location"), answer.header("set-cookie")), (None, None));
}

#[test]
fn b7_r8_our_pages_repeat_nothing_that_a_request_says() {
    let company = Company::inside(Setup::default());
    for hostile in HOSTILE {
        let mut browser = Browser::new();
        browser.set("X-Requested", hostile).set("From", hostile).set("User-Agent", &format!("Mozilla/5.0 {hostile}"));
        let hop = format!("{}/_throughline/hop?v={hostile}&site={hostile}&return={hostile}", company.brand);
        assert_is_our_page(&browser.step(&hop, None), 400, "unknown_site");
        let go = format!("{}/_throughline/go?to={hostile}", company.shop);
        assert_is_our_page(&browser.step(&go, None), 400, "not_a_sibling");
        let mut early = browser.clone();
        early.set("Early-Data", "1");
        assert_is_our_page(&early.step(&format!("{}/p?q={hostile}&_tl={hostile}", company.shop), None), 425, "too_early");
        let mut script = browser.clone();
        script.set("Sec-Fetch-Dest", "iframe");
        let site = company.shop.replace(':', "%3A").replace('/', "%2F");
        let hop = format!("{}/_throughline/hop?v=1&site={site}&return={hostile}", company.brand);
        // The user agent has the word in it; that it is not repeated is the point.
        assert_is_our_page(&script.step(&hop, None), 403, "not_a_navigation");
    }
}

#[test]
fn b6_the_primary_takes_no_ids_from_its_sites() {
    let company = Company::inside(Setup::default());
    let shop = company.node().sites().into_iter().find(|served| served.site.origin == company.origin("shop")).unwrap();
    let brand = company.origin("brand");
    let (random, now) = (SystemRandom::new(), SystemClock::new().now());
    let chosen = VisitorId::mint(&random).unwrap();
    let id = TokenId(random_bytes(&random).unwrap());
    let statement = Statement { issuer: &shop.site.origin, audience: &brand, visitor: chosen, now, life: TOKEN_LIFE_MAX, id };
    let network = Network::of(std::net::Ipv4Addr::LOCALHOST.into());
    let token = link_token(shop.keys.load().signing_key(now).unwrap(), &statement, &network);
    let mut browser = Browser::new();
    browser.put(&company.brand, "throughline", "probe");
    browser.follow_from(&format!("{}/", company.shop), &format!("{}/?_tl={}", company.brand, token.as_str()));
    let visitor = browser.visitor(&company.brand);
    assert!(visitor.is_some());
    assert_ne!(visitor, Some(chosen.to_string()));
}

#[test]
fn s13_s12_no_hop_before_the_brokers_keys_are_known() {
    let company = Company::inside(Setup::default());
    let satellite = &company.node().satellite;
    // Their keys are fetched one site after the other; until the last is there, they are published once more.
    let sites = ["shop", "learn"].map(|site| company.origin(site));
    let has_all_keys = || sites.iter().all(|site| !satellite.siblings.load().keys_of(site).is_empty());
    wait_until("all keys are known", || false, has_all_keys).unwrap_or_else(|problem| panic!("{problem}"));
    let known = satellite.siblings.swap(Siblings::none(&satellite.primary).into());
    let mut browser = Browser::new();
    assert_eq!(browser.navigate(&format!("{}/", company.shop)).statuses(), [200]);
    assert!(browser.jar.is_empty(), "nothing may be noted: the visitor would be left alone for a day");
    satellite.siblings.store(known);
    assert_eq!(browser.navigate(&format!("{}/", company.shop)).statuses(), [302, 302, 303, 200]);
}
