//! B: the broker answers a hop, or sends the visitor back with nothing.

use std::sync::Arc;
use std::time::Duration;

use throughline::base::clock::{Clock as _, ManualClock, SystemClock};

use crate::sign::{encode, flow, hop_pairs, hop_url, now, signed, signed_for};
use crate::support::address::origin;
use crate::support::browser::{Browser, Visit};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::wire::Answer;

/// Asks the hop endpoint as a browser on its way from shop.
fn hop(browser: &mut Browser, company: &Company, query: &str) -> Answer {
    browser.step(&hop_url(company, query), Some(&format!("{}/p", company.shop)))
}

/// Back to shop with an empty parameter, and nothing set.
fn assert_sent_back(answer: &Answer, company: &Company, page: &str, what: &str) {
    assert_eq!(answer.status, 302, "{what}: {answer:?}");
    assert_eq!(answer.header("location"), Some(format!("{}{page}_tl=", company.shop).as_str()), "{what}");
    assert_eq!(answer.header("set-cookie"), None, "{what}");
}

/// A browser that has a master cookie, so that there is something to betray.
fn known(company: &Company) -> Browser {
    let mut browser = Browser::new();
    assert_eq!(browser.navigate(&format!("{}/", company.brand)).statuses(), [200]);
    assert!(browser.visitor(&company.brand).is_some());
    browser
}

#[test]
fn b1_an_unknown_site_gets_our_own_page_and_nothing_else() {
    let company = Company::echoing(Setup::default());
    let good = signed(&company, &hop_pairs(&company, &format!("{}/p", company.shop)));
    let shop = encode(&company.shop);
    assert!(hop(&mut Browser::new(), &company, &good).header("location").is_some());
    let sites = [
        "",
        "x",
        "%",
        "%ff",
        "http%3A%2F%2Fevil.localhost%3A1",
        "http%3A%2F%2Fshop.localhost",
        "https%3A%2F%2Fshop.localhost%3A1",
        "%2F%2Fshop.localhost",
        "http%3A%2F%2FSHOP.localhost%3A1",
        "null",
        "*",
    ];
    let mut queries: Vec<_> = sites.iter().map(|site| good.replace(&format!("site={shop}"), &format!("site={site}"))).collect();
    queries.push(good.replace(&shop, &encode(&format!("{}/", company.shop))));
    queries.push(good.replace(&shop, &encode(&company.brand)));
    queries.push(good.replace("site=", "sote="));
    queries.push(String::new());
    queries.push("site".into());
    for query in queries {
        for mut browser in [Browser::new(), known(&company)] {
            let answer = hop(&mut browser, &company, &query);
            assert_eq!(answer.status, 400, "{query}: {answer:?}");
            assert_eq!((answer.header("location"), answer.header("set-cookie")), (None, None), "{query}");
            assert!(answer.header("content-type").unwrap().starts_with("text/html"), "{query}");
        }
    }
}

/// Queries that count for nothing, though each but the unsigned ones is signed by shop: what it is, and the query.
fn bad_queries(company: &Company) -> Vec<(String, String)> {
    let pairs = hop_pairs(company, &format!("{}/p?x=1", company.shop));
    let good = signed(company, &pairs);
    let resigned = |what: &str, pairs: String| (what.to_owned(), signed(company, &pairs));
    let iat = format!("iat={}", now());
    let mut bad = vec![
        ("unsigned".to_owned(), pairs.clone()),
        ("an empty signature".to_owned(), format!("{pairs}&sig=")),
        ("forged".to_owned(), signed(company, &pairs.replace("implied", "granted")).replace("granted", "implied")),
        ("signed for whoami".to_owned(), signed_for(company, "whoami", &pairs)),
        ("something behind the signature".to_owned(), format!("{good}&x=1")),
        ("two signatures".to_owned(), format!("{good}&sig=AAAA")),
        resigned("stale", pairs.replace(&iat, &format!("iat={}", now() - 66))),
        resigned("from the future", pairs.replace(&iat, &format!("iat={}", now() + 20))),
        resigned("of 1970", pairs.replace(&iat, "iat=0")),
        resigned("no consent named", pairs.replace("consent=implied", "consent=")),
        resigned("another consent", pairs.replace("consent=implied", "consent=denied")),
        resigned("another version", pairs.replace("v=1", "v=2")),
        resigned("a broken flow", pairs.replace(&flow(), "AAAA")),
        resigned("an extra parameter", format!("{pairs}&x=1")),
        resigned("an empty query between", pairs.replace("&consent", "&&consent")),
    ];
    for pair in pairs.split('&') {
        let without: Vec<_> = pairs.split('&').filter(|other| *other != pair).collect();
        let name = pair.split('=').next().unwrap();
        bad.push(resigned(&format!("{name} twice, behind"), format!("{pairs}&{pair}")));
        bad.push(resigned(&format!("{name} twice, in front"), format!("{pair}&{pairs}")));
        bad.push(resigned(&format!("{name} last"), format!("{}&{pair}", without.join("&"))));
        if name != "site" {
            bad.push(resigned(&format!("without {name}"), without.join("&")));
        }
    }
    // `return` is last as it is.
    bad.retain(|(what, _)| what != "return last");
    bad
}

#[test]
fn b2_b10_whatever_is_not_exactly_a_hop_request_goes_back_with_nothing() {
    let company = Company::echoing(Setup::default());
    let good = signed(&company, &hop_pairs(&company, &format!("{}/p?x=1", company.shop)));
    let answer = hop(&mut Browser::new(), &company, &good);
    assert!(answer.header("location").unwrap().len() > 200 && answer.header("set-cookie").is_some(), "the control: {answer:?}");
    for (what, query) in bad_queries(&company) {
        let page = if what == "without return" { "/?" } else { "/p?x=1&" };
        for mut browser in [Browser::new(), known(&company)] {
            assert_sent_back(&hop(&mut browser, &company, &query), &company, page, &what);
        }
    }
}

#[test]
fn b2_the_way_back_ends_there() {
    let company = Company::echoing(Setup::default());
    let unsigned = hop_pairs(&company, &format!("{}/p?x=1", company.shop));
    let visit = Browser::new().navigate(&hop_url(&company, &unsigned));
    assert_eq!(visit.statuses(), [302, 200], "a browser that has none of our cookies: the page, no second hop");
    assert_eq!(visit.page().json()["target"], "/p?x=1");
    let mut begun = Browser::new();
    begun.step(&format!("{}/", company.shop), None);
    assert_eq!(begun.navigate(&hop_url(&company, &unsigned)).statuses(), [302, 303, 200]);
}

#[test]
fn b2_a_refusal_on_the_primary_brings_nothing() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    browser.post(&format!("{}/_throughline/forget", company.brand), "{}");
    let visit = browser.navigate(&format!("{}/p?x=1", company.shop));
    assert_eq!(visit.statuses(), [302, 302, 303, 200]);
    assert_eq!(visit.steps[1].answer.header("set-cookie"), None);
    assert!(visit.steps[2].url.ends_with("&_tl="), "{visit:#?}");
    let mut signalling = known(&company);
    signalling.set("Sec-GPC", "1");
    let query = signed(&company, &hop_pairs(&company, &format!("{}/p", company.shop)));
    assert_sent_back(&hop(&mut signalling, &company, &query), &company, "/p?", "GPC at the broker");
}

#[test]
fn b3_what_is_no_navigation_mints_nothing_and_goes_back_unless_it_is_a_frame_or_a_prefetch() {
    let company = Company::echoing(Setup::default());
    let query = signed(&company, &hop_pairs(&company, &format!("{}/p", company.shop)));
    let refused = [
        ("Sec-Fetch-Dest", Some("iframe")),
        ("Sec-Fetch-Dest", Some("frame")),
        ("Sec-Fetch-Dest", Some("fencedframe")),
        ("Sec-Fetch-Dest", Some("embed")),
        ("Sec-Fetch-Dest", Some("object")),
        ("Sec-Purpose", Some("prefetch")),
        ("Sec-Purpose", Some("prefetch;prerender")),
        ("Purpose", Some("prefetch")),
        ("X-Moz", Some("prefetch")),
        ("X-Purpose", Some("preview")),
    ];
    // A proxy of the primary may have altered these (case P12): the visitor is owed the page.
    let sent_back = [
        ("Sec-Fetch-Dest", Some("image")),
        ("Sec-Fetch-Dest", Some("empty")),
        ("Sec-Fetch-Dest", None),
        ("Sec-Fetch-Mode", Some("no-cors")),
        ("Sec-Fetch-Mode", None),
        ("Accept", Some("image/*")),
        ("Accept", Some("*/*")),
        ("Accept", None),
        ("Range", Some("bytes=0-")),
        ("Upgrade", Some("h2c")),
        ("X-Requested-With", Some("XMLHttpRequest")),
    ];
    let cases = refused.map(|change| (change, true)).into_iter().chain(sent_back.map(|change| (change, false)));
    for ((name, value), is_refused) in cases {
        for mut browser in [Browser::new(), known(&company)] {
            match value {
                Some(value) => browser.set(name, value),
                None => browser.omit(name),
            };
            let answer = hop(&mut browser, &company, &query);
            let what = format!("{name} {value:?}");
            if is_refused {
                assert_eq!((answer.status, answer.header("set-cookie"), answer.header("location")), (403, None, None), "{what}");
            } else {
                assert_sent_back(&answer, &company, "/p?", &what);
            }
        }
    }
    let mut head = Browser::new();
    let answer = head.request("HEAD", &hop_url(&company, &query), &[("Accept", "text/html".into())], b"");
    assert_sent_back(&answer, &company, "/p?", "HEAD");
    // A crawler that was led here goes to its page.
    let mut crawler = Browser::new();
    crawler.set("User-Agent", "Googlebot/2.1");
    assert_sent_back(&hop(&mut crawler, &company, &query), &company, "/p?", "a crawler");
}

/// How many requests of a visit the broker answered.
fn at_broker(visit: &Visit, company: &Company) -> usize {
    visit.steps.iter().filter(|step| origin(&step.url) == company.brand).count()
}

#[test]
fn b4_one_hop_exactly() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    for (site, hops) in [(&company.shop, 1), (&company.shop, 0), (&company.learn, 1), (&company.learn, 0), (&company.shop, 0)] {
        let visit = browser.navigate(&format!("{site}/p"));
        assert_eq!((at_broker(&visit, &company), visit.page().status), (hops, 200));
        assert!(visit.steps.iter().all(|step| [site, &company.brand].contains(&&origin(&step.url).to_owned())), "no third site");
    }
    assert_eq!(browser.navigate(&format!("{}/p", company.brand)).statuses(), [200], "the primary needs none");
    assert_eq!(browser.visitor(&company.learn), browser.visitor(&company.brand));
    assert_eq!(browser.visitor(&company.learn), browser.visitor(&company.shop));
}

#[test]
fn b5_a_tampered_master_is_absent() {
    let company = Company::echoing(Setup::default());
    let mut browser = known(&company);
    let visitor = browser.visitor(&company.brand);
    let good = browser.cookie(&company.brand, "throughline").unwrap().to_owned();
    let mut forgeries: Vec<String> = vec![
        String::new(),
        "1".into(),
        "1......".into(),
        "\u{e9}".into(),
        "a".repeat(4000),
        format!("{good}x"),
        good.to_uppercase(),
    ];
    for index in (0..good.len()).step_by(7) {
        let mut bytes = good.clone().into_bytes();
        bytes[index] = if bytes[index] == b'1' { b'2' } else { b'1' };
        forgeries.push(String::from_utf8(bytes).unwrap());
    }
    for forgery in forgeries {
        let mut browser = Browser::new();
        browser.put(&company.brand, "throughline", &forgery);
        let visit = browser.navigate(&format!("{}/p", company.shop));
        assert_eq!(visit.statuses(), [302, 302, 303, 200], "{forgery}");
        let minted = browser.visitor(&company.shop);
        assert!(minted.is_some() && minted != visitor, "{forgery}");
        assert_eq!(browser.visitor(&company.brand), minted, "{forgery}");
    }
}

#[test]
fn b6_a_missing_master_is_minted_new() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/", company.shop));
    let old = browser.visitor(&company.shop);
    browser.jar.remove("brand.localhost");
    browser.follow_from(&format!("{}/", company.shop), &format!("{}/", company.learn));
    let new = browser.visitor(&company.learn);
    assert!(new.is_some() && new != old, "a site's ID is not restored as the master");
    assert_eq!(browser.visitor(&company.brand), new);
    assert_eq!(browser.visitor(&company.shop), old);
}

#[test]
fn b8_the_life_of_a_cookie_counts_from_its_creation() {
    let day = Duration::from_secs(86_400);
    for (lines, days) in [("", 395), ("cookie_days = 30", 30), ("cookie_days = 400", 400)] {
        let clock = Arc::new(ManualClock::at(SystemClock::new().now()));
        let company = Company::echoing_at(Setup { site_lines: lines.into(), ..Setup::default() }, &clock);
        let mut browser = Browser::new();
        let visit = browser.navigate(&format!("{}/", company.shop));
        let ids: Vec<_> = visit.cookies().into_iter().filter(|(_, cookie)| cookie.value.starts_with("1.b.")).collect();
        assert_eq!(ids.len(), 2, "master and local");
        assert!(ids.iter().all(|(_, cookie)| cookie.max_age() == Some(days * 86_400)), "{ids:?}");
        let (shop, brand) = (browser.visitor(&company.shop), browser.visitor(&company.brand));
        clock.advance(day * 10);
        for site in [&company.shop, &company.brand] {
            assert_eq!(browser.navigate(&format!("{site}/")).cookies(), [], "not renewed by visits");
            // Even where the cookie must be written again, its end stays.
            let answer = browser.post(&format!("{site}/_throughline/consent"), r#"{"choice":"granted"}"#);
            assert!(answer.header("set-cookie").unwrap().contains(&format!("Max-Age={};", (days - 10) * 86_400)), "{answer:?}");
        }
        assert_eq!((browser.visitor(&company.shop), browser.visitor(&company.brand)), (shop.clone(), brand));
        // A browser that keeps it for longer is not believed.
        clock.advance(day * u32::try_from(days - 10).unwrap());
        assert_eq!(browser.visitor(&company.shop), None);
        assert_eq!(browser.navigate(&format!("{}/", company.shop)).statuses(), [302, 302, 303, 200]);
        assert_ne!(browser.visitor(&company.shop), shop);
    }
}

/// A proxy that takes the headers out must not cost the visitor the page.
#[test]
fn b3_s3_a_browser_that_cannot_say_what_it_does_goes_back_with_nothing() {
    let company = Company::start(Setup::default());
    let mut browser = Browser::new();
    let page = format!("{}/p?x=1", company.shop);
    let start = browser.step(&page, None);
    for name in ["Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site"] {
        browser.omit(name);
    }
    let back = browser.step(start.header("location").expect("a hop"), None);
    assert_eq!((back.status, back.header("location")), (302, Some(format!("{page}&_tl=").as_str())));
    assert_eq!(back.header("set-cookie"), None);
}
