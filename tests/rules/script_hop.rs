//! Pages without a server of their own, over raw HTTP: what the satellite on the sub-domain answers, to whom, and what it sets.

use serde_json::Value;
use throughline::http::cookies::CookieJar;

use crate::sign::encode;
use crate::support::address::authority;
use crate::support::browser::{Browser, Cookie};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::wait_until;
use crate::support::wire::Answer;

/// Where the pages are that no server of ours serves. Nothing listens there.
const PAGES: &str = "http://www.shop.localhost:81";

/// The shop of a company is such a site; learn stays as it is. The shop's own address is that of its satellite.
fn company(consent: &'static str) -> Company {
    company_with(apart(consent))
}

fn apart(consent: &'static str) -> Setup {
    Setup { consent: ["implied", consent, "implied"], apart: Some((PAGES, "shop.localhost")), ..Setup::default() }
}

fn company_with(setup: Setup) -> Company {
    let company = Company::start(setup);
    let is_ready = || {
        let mut browser = Browser::new();
        from_page(&mut browser, "POST", &at(&company, "consent"), r#"{"choice":"granted"}"#);
        me(&mut browser, &company, &format!("{PAGES}/"))["start"] == true
    };
    wait_until("hops may begin", || false, is_ready).unwrap();
    company
}

fn at(company: &Company, endpoint: &str) -> String {
    format!("{}/_throughline/{endpoint}", company.shop)
}

/// What a script of `origin` sends.
fn ask(browser: &mut Browser, method: &str, url: &str, origin: Option<&str>, site: Option<&str>, body: &str) -> Answer {
    let mut headers = vec![("Accept", "*/*".to_owned()), ("Sec-Fetch-Mode", "cors".into()), ("Sec-Fetch-Dest", "empty".into())];
    headers.extend(origin.map(|origin| ("Origin", origin.to_owned())));
    headers.extend(site.map(|site| ("Sec-Fetch-Site", site.to_owned())));
    headers.push(("Referer", format!("{}/", origin.unwrap_or(PAGES))));
    browser.request(method, url, &headers, body.as_bytes())
}

fn from_page(browser: &mut Browser, method: &str, url: &str, body: &str) -> Answer {
    ask(browser, method, url, Some(PAGES), Some("same-site"), body)
}

fn me(browser: &mut Browser, company: &Company, page: &str) -> Value {
    let answer = from_page(browser, "GET", &at(company, &format!("me?page={}", encode(page))), "");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn start(browser: &mut Browser, company: &Company, page: &str, more: &str) -> Answer {
    let mut there = browser.clone();
    there.set("Sec-Fetch-Site", "same-site").set("Referer", &format!("{PAGES}/"));
    let answer = there.step(&at(company, &format!("start?page={}{more}", encode(page))), None);
    browser.jar = there.jar;
    answer
}

/// The hop by script as far as the page that the broker leads back to.
fn token(browser: &mut Browser, company: &Company, page: &str, more: &str) -> String {
    let asked = me(browser, company, page);
    assert_eq!(asked["start"], true, "{asked}");
    let to_broker = start(browser, company, page, more);
    let to_broker = to_broker.header("location").expect("a way to the broker").to_owned();
    assert!(to_broker.starts_with(&format!("{}/_throughline/hop?", company.brand)), "{to_broker}");
    let back = browser.step(&to_broker, Some(&format!("{PAGES}/")));
    let back = back.header("location").expect("a way back").to_owned();
    back.strip_prefix(&format!("{page}?_tl=")).unwrap_or_else(|| panic!("{back} is not the page with a token")).to_owned()
}

fn exchange(browser: &mut Browser, company: &Company, token: &str, referrer: &str) -> Value {
    let body = serde_json::json!({ "token": token, "referrer": referrer }).to_string();
    let answer = from_page(browser, "POST", &at(company, "exchange"), &body);
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(PAGES)), "{answer:?}");
    answer.json()
}

#[test]
fn r1_the_id_cookie_is_for_the_whole_site_and_the_hop_cookie_is_not() {
    let company = company("implied");
    let mut browser = Browser::new();
    let page = format!("{PAGES}/p");
    let token = token(&mut browser, &company, &page, "");
    assert!(browser.cookie(&company.shop, "throughline-hop").is_some());
    let body = serde_json::json!({ "token": token, "referrer": "" }).to_string();
    let answer = from_page(&mut browser, "POST", &at(&company, "exchange"), &body);
    assert_eq!(answer.json(), serde_json::json!({ "exchanged": true, "reason": "bounce" }));
    let cookies: Vec<_> = answer.all("set-cookie").map(Cookie::parse).collect();
    let [id, hop] = &cookies[..] else { panic!("two cookies: {cookies:?}") };
    assert_eq!(id.name, "throughline-site");
    assert_eq!(id.attributes, ["Path=/", "Max-Age=34128000", "HttpOnly", "SameSite=Lax", "Domain=shop.localhost"]);
    assert_eq!((hop.name.as_str(), hop.max_age()), ("throughline-hop", Some(0)));
    assert!(!hop.attributes.iter().any(|attribute| attribute.starts_with("Domain")));
    let known = me(&mut browser, &company, &page);
    assert_eq!(known["visitor"], browser.visitor(&company.brand).expect("a master ID"));
    assert_eq!((&known["source"], &known["start"]), (&"broker".into(), &false.into()));
}

#[test]
fn r1_in_production_its_prefix_is_secure() {
    let setup = Setup { apart: Some((PAGES, "shop.localhost")), ..Setup::default() };
    let company = Company::echoing_with(setup, |node| node.env.cookies = CookieJar::PRODUCTION);
    let answer = from_page(&mut Browser::new(), "POST", &at(&company, "consent"), r#"{"choice":"granted"}"#);
    let cookie = Cookie::parse(answer.header("set-cookie").expect("the choice"));
    assert_eq!(cookie.name, "__Secure-throughline");
    assert_eq!(cookie.attributes[2..], ["HttpOnly", "SameSite=Lax", "Secure", "Domain=shop.localhost"]);
}

#[test]
fn r9_of_several_site_cookies_all_are_tried_and_other_names_are_not() {
    let company = company("implied");
    let mut browser = Browser::new();
    let page = format!("{PAGES}/p");
    let token = token(&mut browser, &company, &page, "");
    exchange(&mut browser, &company, &token, "");
    let value = browser.cookie(&company.shop, "throughline-site").expect("an ID").to_owned();
    browser.clear();
    browser.put(&company.shop, "throughline", &value);
    assert_eq!(me(&mut browser, &company, &page)["visitor"], Value::Null, "the name of a site of its own origin");
    browser.clear();
    let forged = value.replace(".u.", ".g.");
    browser.set("Cookie", &format!("throughline-site={forged}; throughline-site={value}; throughline-site=probe"));
    assert!(me(&mut browser, &company, &page)["visitor"].is_string());
}

#[test]
fn c1_only_the_sites_own_pages_may_ask() {
    let company = company("implied");
    let foreign = [
        Some("http://evil.localhost:81"),
        Some("http://x.shop.localhost:81"),
        Some("http://www.shop.localhost:82"),
        Some("http://www.shop.localhost"),
        Some("https://www.shop.localhost:81"),
        Some("null"),
        None,
    ];
    let requests = [
        ("GET", "me", ""),
        ("GET", "exchange", ""),
        ("POST", "me", r#"{"set":{"a":1}}"#),
        ("POST", "exchange", r#"{"token":"x"}"#),
        ("POST", "consent", r#"{"choice":"granted"}"#),
        ("POST", "forget", "{}"),
    ];
    for (method, endpoint, body) in requests {
        let own_address = Some(company.shop.as_str());
        for origin in foreign.into_iter().chain([own_address]) {
            for site in [Some("same-site"), Some("cross-site"), Some("same-origin"), None] {
                // A page that hides its origin may still say no.
                if endpoint == "forget" && matches!(origin, Some("null") | None) && matches!(site, Some("same-site") | None) {
                    continue;
                }
                let answer = ask(&mut Browser::new(), method, &at(&company, endpoint), origin, site, body);
                assert_eq!(answer.status, 403, "{method} {endpoint} from {origin:?}, {site:?}");
                assert_eq!(answer.header("access-control-allow-origin"), None);
                assert_eq!(answer.header("vary"), Some("Origin"));
                assert_eq!(answer.header("set-cookie"), None);
            }
        }
        // The right origin, and a browser that says that it comes from elsewhere.
        for site in ["cross-site", "same-origin", "none"] {
            assert_eq!(ask(&mut Browser::new(), method, &at(&company, endpoint), Some(PAGES), Some(site), body).status, 403);
        }
        for site in [Some("same-site"), None] {
            let answer = ask(&mut Browser::new(), method, &at(&company, endpoint), Some(PAGES), site, body);
            assert_ne!(answer.status, 403, "{method} {endpoint}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(PAGES));
            assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
            assert_eq!(answer.header("vary"), Some("Origin"));
        }
    }
}

#[test]
fn a_preflight_is_answered_for_the_sites_pages_alone() {
    let company = company("implied");
    for endpoint in ["me", "exchange", "consent", "forget"] {
        let answer = ask(&mut Browser::new(), "OPTIONS", &at(&company, endpoint), Some(PAGES), Some("same-site"), "");
        assert_eq!(answer.status, 204, "{endpoint}");
        for (name, value) in [
            ("access-control-allow-origin", PAGES),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-methods", "GET, POST"),
            ("access-control-allow-headers", "Content-Type"),
            ("access-control-max-age", "600"),
            ("vary", "Origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{endpoint}: {name}");
        }
        for foreign in [Some("http://evil.localhost"), Some(company.shop.as_str()), None] {
            let answer = ask(&mut Browser::new(), "OPTIONS", &at(&company, endpoint), foreign, None, "");
            let allows = answer.headers.iter().filter(|(name, _)| name.starts_with("access-control")).count();
            assert_eq!((answer.status, allows), (403, 0), "{endpoint} from {foreign:?}");
        }
        // A site on its satellite's own origin has no CORS.
        let url = format!("{}/_throughline/{endpoint}", company.learn);
        let answer = ask(&mut Browser::new(), "OPTIONS", &url, Some(&company.learn), Some("same-origin"), "");
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (405, None), "{endpoint} of another site");
    }
    for endpoint in ["start?page=x", "hop.js"] {
        assert_eq!(Browser::new().fetch(&format!("{}/_throughline/{endpoint}", company.learn)).status, 404, "{endpoint}");
    }
    let script = Browser::new().fetch(&at(&company, "hop.js"));
    assert_eq!((script.status, script.header("access-control-allow-origin")), (200, Some("*")));
    assert!(script.header("etag").is_some() && script.text().contains("throughline-hop"));
}

#[test]
fn l1_u1_start_leads_to_pages_of_the_site_alone() {
    let company = company("implied");
    for page in [
        "",
        "/p",
        "http://evil.localhost/",
        "http://www.shop.localhost:81.evil.localhost/",
        "http://www.shop.localhost:81@evil.localhost/",
        "http://www.shop.localhost:81//evil.localhost",
        "http://www.shop.localhost:81/\r\nSet-Cookie: x=1",
        "http://www.shop.localhost:81/p#f",
        "http://www.shop.localhost:81",
        "javascript:alert(1)",
        &format!("{}/", company.shop),
        &format!("{}/", company.learn),
    ] {
        let answer = start(&mut Browser::new(), &company, page, "");
        assert_eq!((answer.status, answer.header("location")), (400, None), "{page:?}");
        assert_eq!(answer.header("set-cookie"), None);
        assert!(answer.text().contains("not_a_page_of_the_site"));
    }
    let page = format!("{PAGES}/p");
    let twice = format!("&page={}", encode(&page));
    assert_eq!(start(&mut Browser::new(), &company, &page, &twice).status, 400);
    assert_eq!(Browser::new().step(&at(&company, "start"), None).status, 400);
}

/// What the browser is, and what becomes of `start`: on to the broker, or back with the parameter empty.
#[test]
fn s1_to_s16_hold_for_start_and_the_answer_never_starts_again() {
    let company = company("implied");
    let page = format!("{PAGES}/p?x=1");
    let back = format!("{page}&_tl=");
    let leads = |browser: &mut Browser| {
        let answer = start(browser, &company, &page, "");
        assert_eq!(answer.status, 302, "{answer:?}");
        (answer.header("location").expect("a redirect").to_owned(), answer)
    };
    let mut kept = Browser::new();
    assert_eq!(me(&mut kept, &company, &page)["start"], true);
    assert_eq!(kept.cookie(&company.shop, "throughline-site"), Some("probe"), "shows that the browser keeps cookies");
    let (to, answer) = leads(&mut kept);
    assert!(to.starts_with(&company.brand), "{to}");
    assert_eq!(answer.all("set-cookie").count(), 2, "the note that a hop has begun (S12), and the flow");
    let (to, _) = leads(&mut kept);
    assert_eq!(to, back, "S12: one is under way");
    assert_eq!(me(&mut kept, &company, &page)["start"], false);
    kept.expire("throughline-hop");
    assert_eq!(leads(&mut kept).0, back, "S12: it brought nothing, less than a day ago");

    let (to, _) = leads(&mut Browser::new());
    assert_eq!(to, back, "S16: a same-site navigation without any of our cookies");
    for (rule, name, value) in [
        ("S2", "Sec-Fetch-Dest", "iframe"),
        ("S2", "Sec-Fetch-Mode", "cors"),
        ("S4", "Sec-Purpose", "prefetch;prerender"),
        ("S5", "User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        ("S6", "X-Requested-With", "XMLHttpRequest"),
        ("S9", "Sec-GPC", "1"),
    ] {
        let mut browser = Browser::new();
        me(&mut browser, &company, &page);
        browser.set(name, value);
        assert_eq!(leads(&mut browser).0, back, "{rule}");
        if rule != "S2" && rule != "S6" {
            assert_eq!(me(&mut browser, &company, &page)["start"], false, "{rule}: the page is not told to begin");
        }
    }
    for (rule, page) in
        [("S7", format!("{PAGES}/api/x")), ("S11", format!("{PAGES}/p?_tl=x")), ("S14", format!("{PAGES}/{}", "a".repeat(2600)))]
    {
        assert_eq!(me(&mut Browser::new(), &company, &page)["start"], false, "{rule}");
    }
    assert!(me(&mut Browser::new(), &company, &format!("{}/", company.learn)).get("start").is_none(), "no page of the site");
    let plain = from_page(&mut Browser::new(), "GET", &at(&company, "me"), "");
    assert!(plain.json().get("start").is_none() && plain.header("set-cookie").is_none());
}

#[test]
fn s8_nothing_is_set_or_begun_before_a_yes() {
    let company = company("required");
    let mut browser = Browser::new();
    let page = format!("{PAGES}/p");
    let asked = me(&mut browser, &company, &page);
    assert_eq!((&asked["consent"], &asked["start"]), (&"unknown".into(), &false.into()));
    assert_eq!(start(&mut browser, &company, &page, "").header("location"), Some(&*format!("{page}?_tl=")));
    assert_eq!(browser.jar.values().flatten().count(), 0, "{:?}", browser.jar);
    let yes = from_page(&mut browser, "POST", &at(&company, "consent"), r#"{"choice":"granted"}"#);
    assert_eq!(yes.json()["consent"], "granted");
    let token = token(&mut browser, &company, &page, "");
    assert_eq!(exchange(&mut browser, &company, &token, "")["exchanged"], true);
    let no = from_page(&mut browser, "POST", &at(&company, "forget"), "{}");
    assert_eq!(no.json()["everywhere"], true);
    assert_eq!(browser.cookie(&company.shop, "throughline-site"), Some("denied"));
}

#[test]
fn s13_without_a_broker_the_page_gets_a_provisional_id() {
    let company = Company::start_without_broker(Setup { apart: Some((PAGES, "shop.localhost")), ..Setup::default() });
    let mut browser = Browser::new();
    let page = format!("{PAGES}/p");
    wait_until("the broker is missed", || false, || me(&mut browser, &company, &page)["source"] == "provisional").unwrap();
    let first = me(&mut browser, &company, &page);
    assert_eq!(first["start"], false);
    assert_eq!(me(&mut browser, &company, &page)["visitor"], first["visitor"], "and keeps it");
}

#[test]
fn the_first_touch_is_the_page_outside_that_the_script_saw() {
    let company = company("implied");
    let page = format!("{PAGES}/p");
    for (told, kept) in [
        ("http://news.localhost:81/a?q=secret#f", Value::from("http://news.localhost:81/a")),
        (&*format!("{PAGES}/other"), Value::Null),
        (&*format!("{}/x", company.learn), Value::Null),
        ("", Value::Null),
        ("javascript:1", Value::Null),
        (&*format!("http://news.localhost/{}", "a".repeat(2600)), Value::Null),
    ] {
        let mut browser = Browser::new();
        let token = token(&mut browser, &company, &page, &format!("&referrer={}", encode(told)));
        assert_eq!(exchange(&mut browser, &company, &token, told)["exchanged"], true, "{told}");
        let first = &me(&mut browser, &company, &page)["first_touch"];
        assert_eq!(first.get("referrer").unwrap_or(&Value::Null), &kept, "{told}: {first}");
        assert_eq!(first["landing"], page.as_str());
    }
}

#[test]
fn r4_a_token_from_another_browser_is_nothing_here() {
    let company = company("implied");
    let page = format!("{PAGES}/p");
    let stolen = token(&mut Browser::new(), &company, &page, "");
    let mut victim = Browser::new();
    assert_eq!(exchange(&mut victim, &company, &stolen, &format!("{PAGES}/"))["reason"], "wrong_flow");
    assert_eq!(me(&mut victim, &company, &page)["visitor"], Value::Null);
}

#[test]
fn l2_a_link_counts_by_what_the_pages_script_says_led_there() {
    let company = company("implied");
    let page = format!("{PAGES}/p");
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/", company.learn));
    let visitor = browser.visitor(&company.learn).expect("an ID");
    let mut link = || {
        let go = format!("{}/_throughline/go?to={}", company.learn, encode(&page));
        let to = browser.step(&go, Some(&format!("{}/", company.learn)));
        let to = to.header("location").expect("a link").to_owned();
        to.strip_prefix(&format!("{page}?_tl=")).unwrap_or_else(|| panic!("{to}: no token")).to_owned()
    };
    let (page_itself, similar) = (format!("{PAGES}/"), format!("{}.evil.localhost/", company.learn));
    for elsewhere in ["", "http://evil.localhost:81/", &page_itself, &similar] {
        let mut other = Browser::new();
        assert_eq!(exchange(&mut other, &company, &link(), elsewhere)["exchanged"], false, "{elsewhere:?}");
        assert_eq!(me(&mut other, &company, &page)["visitor"], Value::Null);
    }
    let (token, mut other) = (link(), Browser::new());
    assert_eq!(exchange(&mut other, &company, &token, &format!("{}/", company.learn))["reason"], "link");
    assert_eq!(me(&mut other, &company, &page)["visitor"], visitor.as_str());
    assert_eq!(exchange(&mut Browser::new(), &company, &token, &format!("{}/", company.learn))["reason"], "replayed");
    // A site on its satellite's own origin goes by the header alone.
    let body = serde_json::json!({ "token": token, "referrer": company.brand }).to_string();
    assert_eq!(Browser::new().post(&format!("{}/_throughline/exchange", company.learn), &body).status, 422);
}

#[test]
fn l2_a_link_for_another_network_is_refused_by_a_satellite_on_a_sub_domain_too() {
    let listen_lines = "trusted_proxies = [\"127.0.0.1\"]";
    let company = company_with(Setup { listen_lines, ..apart("implied") });
    let page = format!("{PAGES}/p");
    let mut browser = Browser::new();
    browser.set("X-Forwarded-For", "203.0.113.9").navigate(&format!("{}/", company.learn));
    let go = format!("{}/_throughline/go?to={}", company.learn, encode(&page));
    let from = format!("{}/", company.learn);
    let link = browser.step(&go, Some(&from)).header("location").expect("a link").to_owned();
    let token = link.strip_prefix(&format!("{page}?_tl=")).expect("a token");
    for (client, reason) in
        [("203.0.114.9", "wrong_network"), ("10.0.0.1", "no_network"), ("203.0.113.10", "link"), ("203.0.113.9", "replayed")]
    {
        let mut other = Browser::new();
        other.set("X-Forwarded-For", client);
        assert_eq!(exchange(&mut other, &company, token, &from)["reason"], reason, "{client}");
    }
}

#[test]
fn l2_its_own_links_are_believed_by_the_pages_origin() {
    let company = company("implied");
    let page = format!("{PAGES}/p");
    let mut browser = Browser::new();
    let token = token(&mut browser, &company, &page, "");
    exchange(&mut browser, &company, &token, "");
    let visitor = me(&mut browser, &company, &page)["visitor"].clone();
    browser.expire("throughline");
    let visit = browser.follow_from(&page, &at(&company, &format!("go?to={}", encode(&format!("{}/p.html", company.learn)))));
    assert_eq!(visit.statuses(), [302, 303, 200], "{visit:#?}");
    assert_eq!(browser.me(&company.learn)["source"], "link");
    assert_eq!(browser.visitor(&company.learn).map(Value::from), Some(visitor));
}

#[test]
fn the_metadata_says_where_its_satellite_is_and_its_own_address_has_no_pages() {
    let company = company("implied");
    let metadata = Browser::new().fetch(&format!("{}/.well-known/throughline", company.brand)).json();
    let sites = metadata["sites"].as_array().expect("a list");
    let entry = sites.iter().find(|site| site["origin"] == PAGES).expect("the shop, by its pages' origin");
    assert_eq!(entry["satellite"], company.shop.as_str());
    assert_eq!(entry["jwks_uri"], at(&company, "jwks.json"));
    assert!(sites.iter().any(|site| site["origin"] == company.learn.as_str() && site.get("satellite").is_none()));
    let mut browser = Browser::new();
    let page = browser.step(&format!("{}/p.html", company.shop), None);
    assert_eq!((page.status, page.header("set-cookie")), (404, None), "{}", authority(&company.shop));
}
