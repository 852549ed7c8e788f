//! S: the satellite starts a hop only if everything speaks for it; else the page is served and nothing is set.

use std::sync::Arc;
use std::time::Duration;

use throughline::base::clock::{Clock as _, ManualClock, SystemClock};
use throughline::domain::contract::RETURN_LENGTH_MAX;
use throughline::domain::siblings::Siblings;

use crate::support::browser::{Browser, Cookie, Visit};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::wire::Answer;

/// The page came at once, and nothing was set.
fn assert_untouched(visit: &Visit, why: &str) {
    assert_eq!(visit.statuses(), [200], "{why}: {visit:#?}");
    assert_eq!(visit.cookies(), [], "{why}");
}

/// A visit of a new browser that sends this header, or leaves it out, is no reason for a hop.
fn assert_no_hop_with(company: &Company, name: &str, value: Option<&str>) {
    let mut browser = Browser::new();
    match value {
        Some(value) => browser.set(name, value),
        None => browser.omit(name),
    };
    assert_untouched(&browser.navigate(&format!("{}/p?x=1", company.shop)), &format!("{name}: {value:?}"));
}

#[test]
fn s15_the_start_of_a_hop() {
    let company = Company::echoing(Setup::default());
    let answer = Browser::new().step(&format!("{}/p?x=1#f", company.shop), None);
    assert_eq!(answer.status, 302);
    let location = answer.header("location").unwrap();
    assert!(location.starts_with(&format!("{}/_throughline/hop?v=1&site=", company.brand)), "{location}");
    assert!(location.contains("&consent=implied&return=") && location.contains("%2Fp%3Fx%3D1&sig="), "{location}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), None, "the first page must keep the outside referrer");
    assert_eq!(answer.header("cross-origin-opener-policy"), Some("unsafe-none"), "a popup keeps its opener");
    let vary = answer.header("vary").unwrap();
    for name in ["Cookie", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-GPC", "Sec-Purpose", "Accept", "User-Agent"]
    {
        assert!(vary.split(", ").any(|found| found == name), "{name} in {vary}");
    }
    let cookies: Vec<_> = answer.all("set-cookie").map(Cookie::parse).collect();
    let [hop, id] = cookies.as_slice() else { panic!("two cookies: {cookies:?}") };
    assert_eq!((hop.name.as_str(), hop.value.len()), ("throughline-hop", 22));
    assert_eq!(hop.attributes, ["Path=/", "Max-Age=120", "HttpOnly", "SameSite=Lax"]);
    assert!(hop.max_age().unwrap() <= 300);
    assert_eq!(id.name, "throughline");
    assert_eq!(id.attributes, ["Path=/", "Max-Age=86400", "HttpOnly", "SameSite=Lax"]);
}

#[test]
fn s1_only_a_get_starts_a_hop() {
    let company = Company::echoing(Setup::default());
    for method in ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
        let mut browser = Browser::new();
        let headers = ["Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Accept: text/html"];
        let headers = headers.map(|header| header.split_once(": ").map(|(name, value)| (name, value.to_owned())).unwrap());
        let answer = browser.request(method, &format!("{}/p", company.shop), &headers, b"");
        assert_eq!((answer.status, answer.header("set-cookie")), (200, None), "{method}");
        assert_eq!(answer.header("location"), None, "{method}");
    }
}

#[test]
fn s2_s3_only_a_navigation_that_says_so_starts_a_hop() {
    let company = Company::echoing(Setup::default());
    for dest in ["iframe", "frame", "embed", "object", "empty", "image", "script", "style", "Document", "document2", ""] {
        assert_no_hop_with(&company, "Sec-Fetch-Dest", Some(dest));
    }
    for mode in ["cors", "no-cors", "same-origin", "websocket", "nested-navigate", "NAVIGATE", ""] {
        assert_no_hop_with(&company, "Sec-Fetch-Mode", Some(mode));
    }
    assert_no_hop_with(&company, "Sec-Fetch-Dest", None);
    assert_no_hop_with(&company, "Sec-Fetch-Mode", None);
    let mut old = Browser::new();
    old.omit("Sec-Fetch-Dest").omit("Sec-Fetch-Mode").omit("Sec-Fetch-Site").omit("Sec-Fetch-User");
    assert_untouched(&old.navigate(&format!("{}/p", company.shop)), "no fetch metadata at all");
}

#[test]
fn s3_the_legacy_mode_goes_by_accept() {
    let company = Company::echoing(Setup { site_lines: "legacy_browsers = true".into(), ..Setup::default() });
    let mut old = Browser::new();
    old.omit("Sec-Fetch-Dest").omit("Sec-Fetch-Mode").omit("Sec-Fetch-Site").omit("Sec-Fetch-User");
    assert_eq!(old.navigate(&format!("{}/p", company.shop)).statuses(), [302, 302, 303, 200]);
}

#[test]
fn s4_a_prefetch_starts_nothing_and_uses_nothing_up() {
    let company = Company::echoing(Setup::default());
    let speculations = [
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Sec-Purpose", "prefetch;anonymous-client-ip"),
        ("Purpose", "prefetch"),
        ("Purpose", "preview"),
        ("X-Moz", "prefetch"),
        ("X-Purpose", "preview"),
        ("X-Purpose", "Prefetch"),
    ];
    for (name, value) in speculations {
        assert_no_hop_with(&company, name, Some(value));
        let mut browser = Browser::new();
        let hop = browser.step(&format!("{}/p", company.shop), None).header("location").unwrap().to_owned();
        let back = browser.step(&hop, None).header("location").unwrap().to_owned();
        browser.set(name, value);
        assert_untouched(&browser.navigate(&back), "a token in a prefetch");
        browser.restore(name);
        assert_eq!(browser.navigate(&back).statuses(), [303, 200], "the token is as good as before");
        assert!(browser.visitor(&company.shop).is_some());
    }
}

#[test]
fn s5_crawlers_get_the_page() {
    let company = Company::echoing(Setup::default());
    let list = include_str!("../data/user_agents.txt");
    let crawlers: Vec<_> = list.lines().filter_map(|line| line.strip_prefix("crawler ")?.split_once(' ')).collect();
    assert!(crawlers.len() >= 60);
    for (_, crawler) in crawlers {
        assert_no_hop_with(&company, "User-Agent", Some(crawler));
    }
    assert_no_hop_with(&company, "User-Agent", None);
}

#[test]
fn s6_what_is_no_page_starts_no_hop() {
    let company = Company::echoing(Setup::default());
    for accept in ["*/*", "application/json", "image/avif,image/webp,*/*;q=0.8", ""] {
        assert_no_hop_with(&company, "Accept", Some(accept));
    }
    assert_no_hop_with(&company, "Accept", None);
    for (name, value) in [("Range", "bytes=0-"), ("Upgrade", "websocket"), ("X-Requested-With", "XMLHttpRequest")] {
        assert_no_hop_with(&company, name, Some(value));
    }
}

#[test]
fn s7_skipped_paths_start_no_hop() {
    let company = Company::echoing(Setup { site_lines: "skip = [\"/download/\", \"*.tar\"]".into(), ..Setup::default() });
    for path in [
        "/api/x",
        "/assets/a",
        "/static/a",
        "/feed",
        "/.well-known/x",
        "/robots.txt",
        "/sitemap.xml",
        "/a/b.CSS",
        "/download/x",
        "/a.tar",
    ] {
        assert_untouched(&Browser::new().navigate(&format!("{}{path}?x=1", company.shop)), path);
    }
    assert_eq!(Browser::new().navigate(&format!("{}/apiary", company.shop)).statuses(), [302, 302, 303, 200]);
}

#[test]
fn s9_the_browsers_own_refusal_counts_unless_the_operator_says_otherwise() {
    let company = Company::echoing(Setup::default());
    assert_no_hop_with(&company, "Sec-GPC", Some("1"));
    let mut browser = Browser::new();
    browser.set("Sec-GPC", "1");
    assert_untouched(&browser.navigate(&format!("{}/", company.brand)), "no master cookie either");
    assert_eq!(browser.me(&company.shop)["consent"], "denied");
    let mut other = Browser::new();
    other.set("Sec-GPC", "0");
    assert_eq!(other.navigate(&format!("{}/", company.shop)).statuses(), [302, 302, 303, 200]);
    let deaf = Company::echoing(Setup { site_lines: "honour_gpc = false".into(), ..Setup::default() });
    assert_eq!(browser.navigate(&format!("{}/", deaf.shop)).statuses(), [302, 302, 303, 200]);
}

#[test]
fn s9_a_known_visitor_who_refuses_by_the_browser_is_nobody_to_the_application() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/", company.shop));
    browser.set("Sec-GPC", "1");
    let visit = browser.navigate(&format!("{}/", company.shop));
    assert_untouched(&visit, "GPC");
    assert_eq!(visit.page().json()["visitor"], serde_json::Value::Null);
    assert_eq!(browser.visitor(&company.shop), None);
}

#[test]
fn s10_a_known_visitor_gets_the_page_at_once() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/", company.shop));
    for path in ["/", "/p", "/p?x=1"] {
        let visit = browser.navigate(&format!("{}{path}", company.shop));
        assert_untouched(&visit, path);
        assert_eq!(visit.page().json()["visitor"].as_str(), browser.visitor(&company.shop).as_deref());
    }
}

#[test]
fn s12_a_hop_in_flight_or_one_that_brought_nothing_starts_no_other() {
    let clock = Arc::new(ManualClock::at(SystemClock::new().now()));
    let company = Company::echoing_at(Setup::default(), &clock);
    let page = format!("{}/p", company.shop);
    let mut browser = Browser::new();
    assert_eq!(browser.step(&page, None).status, 302);
    assert_untouched(&browser.navigate(&page), "a hop is in flight");
    // The hop cookie's two minutes are over, and no token came.
    browser.expire("throughline-hop");
    assert_untouched(&browser.navigate(&page), "one has failed");
    clock.advance(Duration::from_secs(24 * 3600 - 1));
    assert_untouched(&browser.navigate(&page), "one has failed within a day");
    clock.advance(Duration::from_secs(1));
    assert_eq!(browser.navigate(&page).statuses(), [302, 302, 303, 200]);
}

/// Octets of an answer's head, as a proxy's buffer must hold them.
fn head_length(answer: &Answer) -> usize {
    let line = |(name, value): &(String, String)| name.len() + value.len() + ": \r\n".len();
    "HTTP/1.1 302 Found\r\n\r\n".len() + answer.headers.iter().map(line).sum::<usize>()
}

#[test]
fn s14_a_url_that_would_not_come_back_starts_no_hop() {
    let company = Company::echoing(Setup::default());
    let front = format!("{}/", company.shop);
    // In the hop's query each of the origin's five `:` and `/` takes three octets, and each letter one.
    let room = RETURN_LENGTH_MAX - (front.len() + 2 * 5);
    let visit = Browser::new().navigate(&format!("{front}{}", "a".repeat(room)));
    assert_eq!(visit.statuses(), [302, 302, 303, 200]);
    for step in &visit.steps[..3] {
        let length = head_length(&step.answer);
        assert!((1024..4096).contains(&length), "{length} octets");
    }
    for long in [room + 1, 6000, 20_000] {
        assert_untouched(&Browser::new().navigate(&format!("{front}{}", "a".repeat(long))), "too long");
    }
    assert_untouched(&Browser::new().navigate(&format!("{front}?{}", "/".repeat(room / 3 + 1))), "too long once encoded");
}

/// Got the page, and was asked only whether it keeps cookies.
fn assert_probed(visit: &Visit) {
    assert_eq!(visit.statuses(), [200], "{visit:#?}");
    let cookies = visit.cookies();
    let [(_, cookie)] = cookies.as_slice() else { panic!("one cookie: {cookies:?}") };
    assert_eq!((cookie.name.as_str(), cookie.value.as_str()), ("throughline", "probe"));
    assert_eq!(cookie.attributes, ["Path=/", "Max-Age=86400", "HttpOnly", "SameSite=Lax"]);
}

#[test]
fn s16_a_browser_that_drops_cookies_is_left_alone() {
    let clock = Arc::new(ManualClock::at(SystemClock::new().now()));
    let company = Company::echoing_at(Setup::default(), &clock);
    let page = format!("{}/p", company.shop);
    // It comes from the site's own page, and has nothing of what that page set.
    let mut browser = Browser::new();
    assert_probed(&browser.follow_from(&format!("{}/", company.shop), &page));
    // And if it keeps the probe, it does keep cookies.
    assert_eq!(browser.navigate(&page).statuses(), [302, 302, 303, 200]);

    let mut bare = Browser::new();
    bare.blocks_cookies = true;
    let visit = bare.navigate(&page);
    assert_eq!(visit.statuses(), [302, 302, 200], "one hop, and the page at its end");
    for _ in 0..3 {
        assert_probed(&bare.navigate(&page));
        assert_probed(&bare.navigate(&format!("{}/other", company.shop)));
    }
    clock.advance(Duration::from_secs(1201));
    assert_eq!(bare.navigate(&page).statuses(), [302, 302, 200], "the memory is short-lived");
}

/// Behind a proxy or an extension that removes what it takes for tracking, no answer of the broker ever arrives.
#[test]
fn s18_s16_r3_what_takes_our_parameter_out_makes_no_loop() {
    let company = Company::echoing(Setup::default());
    let page = format!("{}/p", company.shop);
    for blocks_cookies in [true, false] {
        let mut browser = Browser::new();
        browser.blocks_cookies = blocks_cookies;
        let mut redirects = 0;
        loop {
            let answer = browser.step(&page, None);
            let Some(hop) = answer.header("location") else { break };
            redirects += 1;
            assert!(redirects <= 12, "cookies blocked: {blocks_cookies}");
            let mut back = browser.step(hop, None);
            redirects += 1;
            if let Some(settled) = back.header("location").filter(|next| next.starts_with(&company.brand)) {
                back = browser.step(settled, None);
                redirects += 1;
            }
            assert!(back.header("location").is_some_and(|location| location.starts_with(&format!("{page}?_tl="))), "{back:?}");
        }
    }
}

#[test]
fn s16_a_client_that_came_back_with_cookies_is_forgotten() {
    let company = Company::echoing(Setup::default());
    let mut first = Browser::new();
    first.navigate(&format!("{}/p", company.shop));
    // The same household, the same kind of browser: a second person is sent on a hop like the first.
    first.clear();
    assert_eq!(first.navigate(&format!("{}/p", company.shop)).statuses(), [302, 302, 303, 200]);
}

/// Something on the way takes our long-lived cookie out, or another key protects it, while the short-lived one comes through.
#[test]
fn s16_r3_a_browser_that_loses_only_the_id_cookie_is_not_sent_in_circles() {
    let company = Company::echoing(Setup::default());
    let spoilers: [fn(&mut Browser, &str); 2] =
        [|browser, _| browser.expire("throughline"), |browser, url| browser.put(url, "throughline", "1.b.altered.on.the.way")];
    for (kind, spoil) in spoilers.into_iter().enumerate() {
        let mut browser = Browser::new();
        let mut url = format!("{}/p", company.shop);
        let mut statuses = Vec::new();
        for _ in 0..20 {
            let answer = browser.step(&url, None);
            spoil(&mut browser, &format!("{}/", company.shop));
            statuses.push(answer.status);
            match answer.header("location") {
                Some(next) => url = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(statuses, [302, 302, 303, 200], "kind {kind}");
    }
}

/// Its broker would show every visitor its own 400 page (B1).
#[test]
fn s13_b1_nobody_is_sent_to_a_broker_that_does_not_know_the_site() {
    let company = Company::echoing(Setup::default());
    let page = format!("{}/p", company.shop);
    assert_eq!(Browser::new().step(&page, None).status, 302, "the control");
    let (brand, satellite) = (company.origin("brand"), &company.node().satellite);
    let keys = satellite.siblings.load().keys_of(&brand);
    satellite.siblings.store(Arc::new(Siblings::new(&brand, keys, vec![(company.origin("learn"), Vec::new())])));
    assert_untouched(&Browser::new().navigate(&page), "the broker does not know it");
}
