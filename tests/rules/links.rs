//! L: links between the company's own sites.

use crate::lists::return_urls_refused;
use crate::sign::encode;
use crate::support::address::origin;
use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::wait_until;

/// The address that a decorated link on `site` points at.
fn go(site: &str, to: &str) -> String {
    format!("{site}/_throughline/go?to={}", encode(to))
}

/// A browser that shop knows and learn does not.
fn known_on_shop(company: &Company) -> Browser {
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/", company.shop));
    assert!(browser.visitor(&company.shop).is_some());
    browser
}

#[test]
fn l1_go_leads_to_registered_origins_only() {
    let company = Company::echoing(Setup::default());
    let mut browser = known_on_shop(&company);
    let mut targets = return_urls_refused(&company);
    let other_port = format!("{}0/", company.learn);
    targets.extend(["mailto:a@learn.localhost", "tel:1", "#f", "?x", "p", "http:", "http://", "://"].map(String::from));
    targets.extend([
        other_port,
        company.learn.replace("http:", "https:"),
        company.learn.replace("http:", ""),
        format!(" {}/", company.learn),
    ]);
    let mut refused = 0;
    for target in targets {
        for url in [go(&company.shop, &target), format!("{}/_throughline/go?to={}", company.shop, encode(&encode(&target)))] {
            let answer = browser.step(&url, Some(&company.shop));
            match (answer.status, answer.header("location")) {
                (400, None) => refused += 1,
                // The path may be any: the origin decides.
                (302, Some(location)) => {
                    assert_eq!(origin(location), company.shop, "{target:?}: {location}");
                    assert!(location[company.shop.len()..].starts_with('/'), "{target:?}: {location}");
                    assert!(
                        location.bytes().all(|byte| byte.is_ascii_graphic()) && !location.contains("_tl="),
                        "{target:?}: {location}"
                    );
                }
                other => panic!("{target:?}: {other:?}"),
            }
            assert_eq!(answer.header("set-cookie"), None, "{target:?}");
        }
    }
    assert!(refused > 90, "{refused}");
    let twice = format!("{}&to={}", go(&company.shop, &company.learn), encode(&company.learn));
    for url in [
        format!("{}/_throughline/go", company.shop),
        format!("{}/_throughline/go?to=", company.shop),
        format!("{}/_throughline/go?too=x", company.shop),
        twice,
    ] {
        let answer = browser.step(&url, Some(&company.shop));
        assert_eq!((answer.status, answer.header("location")), (400, None), "{url}");
    }
}

#[test]
fn l1_the_refusal_shows_the_way_back() {
    let company = Company::echoing(Setup::default());
    let to = go(&company.shop, "https://evil.example/");
    let front = format!("<a href=\"{}/\">", company.shop);
    let links = |from: Option<&str>| {
        let answer = Browser::new().step(&to, from);
        assert_eq!((answer.status, answer.header("location"), answer.header("set-cookie")), (400, None, None), "{from:?}");
        answer.text().matches("<a href=\"").count()
    };
    let page = format!("{}/p?x=1&y", company.shop);
    let text = Browser::new().step(&to, Some(&page)).text();
    let back = format!("<a href=\"{}/p?x=1&#38;y\">", company.shop);
    assert!(text.contains(&front) && text.contains(&back), "{text}");
    assert_eq!(links(Some(&page)), 2);
    // An old token of the page before is not repeated.
    let text = Browser::new().step(&to, Some(&format!("{}/p?_tl=old", company.shop))).text();
    assert!(text.contains(&format!("<a href=\"{}/p\">", company.shop)) && !text.contains("_tl"), "{text}");
    // No page of the site's own led here: the front page is the way.
    let elsewhere = format!("{}/p", company.learn);
    for from in [None, Some("http://evil.localhost:1/p"), Some(elsewhere.as_str()), Some(to.as_str())] {
        assert_eq!(links(from), 1, "{from:?}");
    }
    for referer in ["javascript:alert(1)", "\"><script>", "http://shop.localhost/", &format!("{}//p", company.shop)] {
        let mut browser = Browser::new();
        browser.set("Referer", referer);
        let text = browser.step(&to, None).text();
        assert!(text.contains(&front) && text.matches("<a href=\"").count() == 1 && !text.contains("script"), "{text}");
    }
}

/// The URLs are written for learn's origin. What a browser opens when it follows the link itself is the URL Standard's answer.
#[test]
fn l7_go_leads_to_every_url_of_a_registered_origin() {
    let company = Company::echoing(Setup::default());
    let mut known = known_on_shop(&company);
    let upper = company.learn.replace("http://learn.localhost", "HTTP://LEARN.LocalHost");
    let zeros = company.learn.replace("localhost:", "localhost:0");
    for (from, to) in [
        (format!("{}/@author/post", company.learn), "/@author/post"),
        (format!("{}/100%25-cotton", company.learn), "/100%25-cotton"),
        (format!("{}/100%-cotton", company.learn), "/100%-cotton"),
        (format!("{}/a//b", company.learn), "/a//b"),
        (format!("{}//evil.example/", company.learn), "//evil.example/"),
        (format!("{}/a/%2e%2e/b", company.learn), "/b"),
        (format!("{}/a\\b?c\\d", company.learn), "/a/b?c\\d"),
        (format!("{}/a b\"c", company.learn), "/a%20b%22c"),
        (format!("{}/p\r\nSet-Cookie: x=1", company.learn), "/pSet-Cookie:%20x=1"),
        (format!("{}/\0x", company.learn), "/%00x"),
        (format!("{}/p#a b#c", company.learn), "/p#a%20b#c"),
        (format!("{}/@ü?ö#ä", company.learn), "/@%C3%BC?%C3%B6#%C3%A4"),
        (format!("{}/@a?_tl=old&x", company.learn), "/@a?x"),
        (format!("{upper}/@a"), "/@a"),
    ] {
        for browser in [&mut known, &mut Browser::new()] {
            let answer = browser.step(&go(&company.shop, &from), Some(&company.shop));
            let location = format!("{}{to}", company.learn);
            assert_eq!((answer.status, answer.header("location")), (302, Some(location.as_str())), "{from}");
            assert_eq!(answer.header("set-cookie"), None, "{from}");
        }
    }
    // Another spelling of the origin is the same place, with a token.
    for origin in [&upper, &zeros] {
        let answer = known.step(&go(&company.shop, &format!("{origin}/p")), Some(&company.shop));
        let location = answer.header("location").unwrap_or_default();
        assert!(location.starts_with(&format!("{}/p?_tl=ey", company.learn)), "{origin}: {location}");
    }
    // Encoded by hand, as templates do it.
    let by_hand = format!("{}/_throughline/go?to={}/100%-cotton", company.shop, company.learn);
    let answer = known.step(&by_hand, Some(&company.shop));
    let cotton = format!("{}/100%-cotton", company.learn);
    assert_eq!((answer.status, answer.header("location")), (302, Some(cotton.as_str())));
}

#[test]
fn l7_a_long_url_goes_without_a_token_up_to_what_a_request_line_holds() {
    let company = Company::echoing(Setup::default());
    let mut browser = known_on_shop(&company);
    let mut ask = |length: usize| {
        let page = format!("{}/{}", company.learn, "a".repeat(length));
        let answer = browser.step(&go(&company.shop, &page), Some(&company.shop));
        (answer.status, answer.header("location").map(|location| location == page))
    };
    assert_eq!(ask(5_900), (302, Some(false)), "with a token");
    for length in [6_016, 8_192, 16_384, 60_000] {
        assert_eq!(ask(length), (302, Some(true)), "{length}");
    }
    // The request's target has 65,534 bytes at most: beyond, the HTTP library refuses the request before anything reads it.
    let (status, location) = ask(66_000);
    assert!((400..500).contains(&status) && location.is_none(), "{status}");
}

#[test]
fn l2_a_link_carries_the_visitor_over() {
    let company = Company::echoing(Setup::default());
    let mut browser = known_on_shop(&company);
    let visit = browser.follow_from(&format!("{}/p", company.shop), &go(&company.shop, &format!("{}/p?x=1#f", company.learn)));
    assert_eq!(visit.statuses(), [302, 303, 200]);
    assert_eq!(visit.url(), format!("{}/p?x=1#f", company.learn));
    assert_eq!(browser.visitor(&company.learn), browser.visitor(&company.shop));
    assert_eq!(browser.me(&company.learn)["source"], "link");
}

#[test]
fn l2_a_link_token_counts_only_from_its_own_site_in_a_navigation_and_once() {
    let company = Company::echoing(Setup::default());
    let page = format!("{}/p", company.learn);
    let linked = |browser: &mut Browser| {
        let answer = browser.step(&go(&company.shop, &page), Some(&company.shop));
        let location = answer.header("location").unwrap().to_owned();
        assert!(location.len() > 200, "{location}");
        location
    };
    let elsewhere = [
        None,
        Some("http://evil.localhost:1/"),
        Some(company.brand.as_str()),
        Some(company.learn.as_str()),
        Some("http://shop.localhost/"),
    ];
    for from in elsewhere {
        let mut browser = known_on_shop(&company);
        let location = linked(&mut browser);
        let visit = match from {
            Some(from) => browser.follow_from(from, &location),
            None => browser.navigate(&location),
        };
        assert_eq!(visit.page().status, 200);
        // The hop brings the ID in the link's place (rule R10).
        assert_ne!(browser.me(&company.learn)["source"], "link", "{from:?}");
    }
    let mut stripped = known_on_shop(&company);
    let location = linked(&mut stripped);
    stripped.omit("Referer");
    stripped.follow_from(&company.shop, &location);
    assert_eq!(stripped.me(&company.learn)["source"], "broker", "no Referer");

    let mut browser = known_on_shop(&company);
    let location = linked(&mut browser);
    let fetched = browser.fetch(&location);
    assert_eq!((fetched.status, fetched.header("set-cookie")), (200, None), "not a navigation");
    browser.follow_from(&company.shop, &location);
    assert_eq!(browser.visitor(&company.learn), browser.visitor(&company.shop), "it was not used up");
    let mut other = Browser::new();
    other.follow_from(&company.shop, &location);
    assert_ne!(other.visitor(&company.learn), browser.visitor(&company.learn), "used up");
    // Meant for learn: on the other sites it is nothing.
    for site in [&company.shop, &company.brand] {
        let mut browser = known_on_shop(&company);
        let location = linked(&mut browser).replace(&company.learn, site);
        let before = browser.visitor(site);
        browser.follow_from(&company.shop, &location);
        assert_eq!(browser.visitor(site), before);
    }
}

#[test]
fn l3_a_different_id_stays_and_one_alias_is_recorded() {
    let company = Company::echoing(Setup::default());
    let mut browser = known_on_shop(&company);
    // Without the master, learn comes to know the same browser by another ID.
    browser.jar.remove("brand.localhost");
    browser.navigate(&format!("{}/", company.learn));
    let (shop, learn) = (browser.visitor(&company.shop).unwrap(), browser.visitor(&company.learn).unwrap());
    assert_ne!(shop, learn);
    // A hop waits for its write, but not for long.
    wait_until("the hops are written", || false, || company.record("shop", &shop).is_some()).unwrap();
    assert_eq!(company.record("shop", &shop).unwrap().get("aliases"), None);
    for _ in 0..2 {
        let visit = browser.follow_from(&company.shop, &go(&company.shop, &format!("{}/p", company.learn)));
        assert_eq!(visit.statuses(), [302, 303, 200]);
        assert_eq!(browser.visitor(&company.learn).as_deref(), Some(learn.as_str()));
        assert_eq!(browser.me(&company.learn)["source"], "broker");
    }
    // Each record names the other ID, and the site that told. It is evidence: learn does not come into the other's record.
    let aliases =
        |site: &str, of: &str| company.record(site, of).and_then(|record| record.get("aliases").cloned()).unwrap_or_default();
    wait_until("the broker knows", || false, || aliases("learn", &learn).is_object()).unwrap();
    for (site, of, other) in [("shop", &shop, &learn), ("learn", &learn, &shop)] {
        let aliases = aliases(site, of);
        assert_eq!(aliases.as_object().unwrap().len(), 1, "{aliases}");
        let alias = &aliases[other.as_str()];
        assert_eq!((alias["site"].as_str(), alias["kind"].as_str()), (Some(company.learn.as_str()), Some("link")));
    }
    assert_eq!(company.record("learn", &shop), None);
}

/// The company behind a proxy on this machine, which says where its clients are.
fn behind_a_proxy() -> Company {
    Company::echoing(Setup { listen_lines: "trusted_proxies = [\"127.0.0.1\"]", ..Setup::default() })
}

/// A browser at an address.
fn at(client: &str) -> Browser {
    let mut browser = Browser::new();
    browser.set("X-Forwarded-For", client);
    browser
}

/// What a link on shop to learn leads `browser` to.
fn link_of(company: &Company, browser: &mut Browser) -> String {
    let answer = browser.step(&go(&company.shop, &format!("{}/p", company.learn)), Some(&company.shop));
    assert_eq!(answer.status, 302);
    answer.header("location").unwrap().to_owned()
}

#[test]
fn l2_r10_a_link_token_counts_only_on_the_network_of_the_client_that_it_was_made_for_and_else_leads_to_a_hop() {
    let company = behind_a_proxy();
    for (made_for, brought_from, counts) in [
        ("203.0.113.9", "203.0.113.9", true),
        ("203.0.113.9", "203.0.113.200", true),
        ("203.0.113.9", "::ffff:203.0.113.200", true),
        ("203.0.113.9", "203.0.114.9", false),
        ("203.0.113.9", "2001:db8:1::9", false),
        ("2001:db8:1:2::9", "2001:db8:1:3::1", true),
        ("2001:db8:1:2::9", "2001:db8:2:2::9", false),
        ("2001:db8:1:2::9", "203.0.113.9", false),
        // An address that is no client's own.
        ("203.0.113.9", "10.0.0.1", false),
        // The client's own word on its address counts for nothing: the proxy's is the last.
        ("203.0.113.9", "203.0.113.9, 198.51.100.7", false),
        // This machine's own, in the localhost profile.
        ("127.0.0.1", "127.0.0.2", true),
        ("127.0.0.1", "127.0.1.1", false),
    ] {
        let mut one = at(made_for);
        one.navigate(&format!("{}/", company.shop));
        let visitor = one.visitor(&company.shop).expect("an ID by a hop");
        let link = link_of(&company, &mut one);
        let mut other = at(brought_from);
        let visit = other.follow_from(&company.shop, &link);
        let expected = if counts { vec![303, 200] } else { vec![302, 302, 303, 200] };
        assert_eq!(
            (visit.statuses(), visit.url()),
            (expected, format!("{}/p", company.learn).as_str()),
            "{made_for}, {brought_from}"
        );
        let adopted = other.visitor(&company.learn).filter(|adopted| *adopted == visitor);
        assert_eq!(adopted.is_some(), counts, "{made_for}, {brought_from}");
        // A token that was refused was not used up: it still counts for the visitor whose link it is.
        if !counts {
            one.follow_from(&company.shop, &link);
            assert_eq!(one.visitor(&company.learn), Some(visitor), "{made_for}, {brought_from}");
        }
    }
}

/// A link is never worse than a plain one.
#[test]
fn r10_a_link_that_is_used_or_hides_where_it_was_leads_to_a_hop_where_one_may_start() {
    let company = Company::echoing(Setup::default());
    let page = format!("{}/p", company.learn);
    let link = |browser: &mut Browser| {
        let answer = browser.step(&go(&company.shop, &page), Some(&company.shop));
        answer.header("location").unwrap().to_owned()
    };
    let used = link(&mut known_on_shop(&company));
    Browser::new().follow_from(&company.shop, &used);
    let fresh = link(&mut known_on_shop(&company));
    let from = |browser: &mut Browser, link: &str, hides: bool| {
        if hides { browser.navigate(link) } else { browser.follow_from(&company.shop, link) }
    };
    for (url, hides) in [(&used, false), (&fresh, true)] {
        let mut new = Browser::new();
        let visit = from(&mut new, url, hides);
        assert_eq!((visit.statuses(), visit.url()), (vec![302, 302, 303, 200], page.as_str()), "{hides}");
        assert_eq!(new.me(&company.learn)["source"], "broker");
        // No hop where none may start: the visitor refused, the browser does, or the path is skipped.
        let mut refused = Browser::new();
        refused.put(&company.learn, "throughline", "denied");
        assert_eq!(from(&mut refused, url, hides).statuses(), [303, 200]);
        let mut gpc = Browser::new();
        gpc.set("Sec-GPC", "1");
        assert_eq!(from(&mut gpc, url, hides).statuses(), [303, 200]);
        let skipped = url.replace("/p?", "/api/p?");
        assert_eq!(from(&mut Browser::new(), &skipped, hides).statuses(), [303, 200]);
    }
}

#[test]
fn l2_without_a_clients_own_address_a_link_carries_no_token() {
    let company = behind_a_proxy();
    let plain = format!("{}/p", company.learn);
    let mut browser = known_on_shop(&company);
    for client in
        ["10.0.0.1", "192.168.7.7", "172.20.0.1", "100.64.1.1", "169.254.1.1", "0.0.0.0", "224.0.0.1", "fd00::1", "fe80::1", "::"]
    {
        browser.set("X-Forwarded-For", client);
        assert_eq!(link_of(&company, &mut browser), plain, "{client}");
    }
    browser.set("X-Forwarded-For", "192.0.2.1");
    assert!(link_of(&company, &mut browser).starts_with(&format!("{plain}?_tl=")));
}

/// Case I1: an outside server fetches links of its own, and sends shop's visitors on with them. The `Referer` is still shop.
#[test]
fn l2_l9_a_link_that_an_outside_server_relays_gives_its_id_to_nobody() {
    let company = behind_a_proxy();
    let mut stranger = at("203.0.113.9");
    stranger.navigate(&format!("{}/", company.shop));
    let id = stranger.visitor(&company.shop).unwrap();

    // A visitor whom learn does not know.
    let mut new = at("198.51.100.7");
    new.follow_from(&company.shop, &link_of(&company, &mut stranger));
    assert_ne!(new.visitor(&company.learn), Some(id.clone()));

    // Visitors whom learn knows, one of them on the stranger's own network: evidence at most.
    let mut known: Vec<_> = ["198.51.100.8", "203.0.113.77"]
        .into_iter()
        .map(|client| {
            let mut browser = at(client);
            browser.navigate(&format!("{}/", company.learn));
            let visitor = browser.visitor(&company.learn).unwrap();
            (browser, visitor)
        })
        .collect();
    let aliases = |of: &str| company.record("learn", of).unwrap().get("aliases").cloned();
    for (browser, visitor) in &mut known {
        browser.follow_from(&company.shop, &link_of(&company, &mut stranger));
        assert_eq!(browser.visitor(&company.learn).as_ref(), Some(&*visitor));
    }
    wait_until("the second is known", || false, || aliases(&known[1].1).is_some()).unwrap();
    assert_eq!(aliases(&known[0].1), None);
    assert_eq!(aliases(&known[1].1).unwrap()[&id]["kind"], "link");

    // What the stranger says of itself ends nobody else.
    let forgotten = stranger.post(&format!("{}/_throughline/forget", company.shop), "{}").json();
    assert_eq!(forgotten["everywhere"], true);
    assert_eq!(company.record("shop", &id), None);
    for (browser, visitor) in &mut known {
        assert_eq!(
            (browser.visitor(&company.learn).as_ref(), browser.me(&company.learn)["consent"].as_str()),
            (Some(&*visitor), Some("granted"))
        );
        assert!(company.record("learn", visitor).is_some());
    }
}

#[test]
fn l5_without_an_id_or_consent_the_link_is_left_alone() {
    let company = Company::echoing(Setup::default());
    let page = format!("{}/p?x=1#f", company.learn);
    let plain = |browser: &mut Browser, what: &str| {
        let answer = browser.step(&go(&company.shop, &page), Some(&company.shop));
        assert_eq!(
            (answer.status, answer.header("location"), answer.header("set-cookie")),
            (302, Some(page.as_str()), None),
            "{what}"
        );
    };
    plain(&mut Browser::new(), "no ID");
    let mut browser = known_on_shop(&company);
    browser.set("Sec-GPC", "1");
    plain(&mut browser, "GPC");
    browser.restore("Sec-GPC").set("Sec-Purpose", "prefetch");
    plain(&mut browser, "a prefetch");
    browser.restore("Sec-Purpose");
    browser.post(&format!("{}/_throughline/forget", company.shop), "{}");
    plain(&mut browser, "forgotten");
}

#[test]
fn l6_what_a_link_holds_survives() {
    let company = Company::echoing(Setup::default());
    let mut browser = known_on_shop(&company);
    for (from, before, after) in [
        ("", "/?", ""),
        ("?x", "/?x&", ""),
        ("#f", "/?", "#f"),
        ("/p?x=1#f?_tl=9", "/p?x=1&", "#f?_tl=9"),
        ("/p?a?b?", "/p?a?b?&", ""),
        ("/p?_tl=old&x=a=b", "/p?x=a=b&", ""),
        ("/p?_tl=a&_tl=b", "/p?", ""),
        ("/ü?q=ö#ä", "/%C3%BC?q=%C3%B6&", "#%C3%A4"),
        ("/p?x=%26%3D%23", "/p?x=%26%3D%23&", ""),
        ("/p?to=x&sig=y", "/p?to=x&sig=y&", ""),
        ("/p?x=a+b%20c", "/p?x=a+b%20c&", ""),
    ] {
        let answer = browser.step(&go(&company.shop, &format!("{}{from}", company.learn)), Some(&company.shop));
        let location = answer.header("location").unwrap();
        let start = format!("{}{before}_tl=", company.learn);
        let token = location
            .strip_prefix(&start)
            .and_then(|rest| rest.strip_suffix(after))
            .unwrap_or_else(|| panic!("{from}: {location}"));
        assert!(
            token.len() > 200 && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
            "{from}: {token}"
        );
        // Decorated once more, it still has one token.
        let again = browser.step(&go(&company.shop, location), Some(&company.shop)).header("location").unwrap().to_owned();
        assert!(again.starts_with(&start) && again.matches("_tl=ey").count() == 1, "{from}: {again}");
    }
}
