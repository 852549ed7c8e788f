//! What is none of our business goes through as it came: bodies, methods, ranges, sockets, and a site's own 401.

use std::io::{Read as _, Write as _};

use crate::asking::NAVIGATION;
use crate::support::address::port;
use crate::support::browser::Browser;
use crate::support::wire;
use crate::world::{OTHER, USUAL, World, ask, authority, shown};

#[test]
fn f3_bodies_methods_and_ranges_reach_the_application() {
    for behind in [USUAL, OTHER] {
        let world = World::start(behind);
        for site in world.sites() {
            let body = vec![b'x'; 5_000_000];
            for method in ["POST", "PUT", "DELETE"] {
                let lines = format!("Content-Length: {}\r\nContent-Type: text/plain\r\n", body.len());
                let seen = ask(site, method, "/seen?x=%20&_tlx=1", &lines, &body).json();
                assert_eq!((&seen["method"], &seen["received"]), (&method.into(), &5_000_000.into()), "{site}");
                assert_eq!(seen["query"], "x=%20&_tlx=1");
            }
            let chunked = "Transfer-Encoding: chunked\r\n";
            let answer = ask(site, "GET", "/seen", "Range: bytes=1-2\r\nIf-None-Match: \"x\"\r\n", b"").text();
            assert!(answer.contains("bytes=1-2") && answer.contains("\\\"x\\\""), "{answer}");
            if site == world.shop {
                // Caddy would pass the chunks on, which the Python server does not read; nginx makes one body of them.
                assert_eq!(ask(site, "POST", "/seen", chunked, b"3\r\nabc\r\n0\r\n\r\n").json()["received"], 3);
            }
            let head = wire::send(port(site), format!("HEAD /p HTTP/1.1\r\nHost: {}\r\n\r\n", authority(site)).as_bytes());
            assert_eq!(head.expect("an answer").status, 200);
        }
    }
}

#[test]
fn f3_a_websocket_goes_through() {
    for (behind, pick) in [(OTHER, 0), (USUAL, 1)] {
        let mut world = World::start(behind);
        let site = world.sites()[pick].to_owned();
        for round in ["with a satellite", "without"] {
            let mut stream = wire::connect(port(&site)).unwrap();
            let request = format!(
                "GET /socket HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-Fetch-Dest: websocket\r\nSec-Fetch-Mode: websocket\r\n\r\n",
                authority(&site)
            );
            stream.write_all(request.as_bytes()).unwrap();
            let answer = wire::receive(&mut stream, true).unwrap();
            assert_eq!(
                (answer.status, answer.header("sec-websocket-accept")),
                (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
                "{round}"
            );
            for word in ["hello", "again"] {
                stream.write_all(word.as_bytes()).unwrap();
                let mut back = [0; 5];
                stream.read_exact(&mut back).unwrap();
                assert_eq!(back, word.as_bytes());
            }
            world.kill_satellite();
        }
    }
}

#[test]
fn f3_a_401_of_the_application_stays_its_own() {
    for behind in [USUAL, OTHER] {
        let world = World::start(behind);
        for site in world.sites() {
            let mut browser = Browser::new();
            browser.navigate(&format!("{site}/p"));
            for lines in [browser.cookie(site, "throughline").map(|id| format!("Cookie: throughline={id}\r\n")), None] {
                let answer = ask(site, "GET", "/private", &lines.unwrap_or_default(), b"");
                assert_eq!((answer.status, answer.header("location")), (401, None), "{site}: {answer:?}");
                assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"site\""));
            }
        }
    }
}

/// nginx's own password dialogue lives in the same phase, and on the same status.
#[test]
fn f3_basic_auth_in_nginx_and_a_hop_live_together() {
    let world = World::start_with(USUAL, "auth_basic \"site\"; auth_basic_user_file {}/passwords;");
    let shop = &world.shop;
    for lines in [NAVIGATION.to_owned(), format!("{NAVIGATION}Authorization: Basic d3Jvbmc6d3Jvbmc=\r\n"), String::new()] {
        let refused = ask(shop, "GET", "/p", &lines, b"");
        assert_eq!((refused.status, refused.header("location")), (401, None), "{refused:?}");
        assert_eq!(refused.header("www-authenticate"), Some("Basic realm=\"site\""));
        assert_eq!(refused.header("set-cookie"), None);
    }
    let mut operator = Browser::new();
    operator.set("Authorization", "Basic b3BlcmF0b3I6b3Blbg==");
    let visit = operator.navigate(&format!("{shop}/p"));
    assert_eq!(visit.statuses(), [302, 302, 303, 200], "{visit:#?}");
    assert_eq!(shown(visit.page(), "visitor").len(), 36);
}

/// Whether a shared cache may keep a page: not one that sets our cookie, and the others as the application says.
#[test]
fn f3_a_page_with_our_cookie_is_kept_by_no_shared_cache() {
    let world = World::start(USUAL);
    for site in world.sites() {
        let own = NAVIGATION.replace("Site: none", "Site: same-origin");
        let probed = ask(site, "GET", "/p", &format!("{own}Accept-Language: x-probe\r\n"), b"");
        let cookies: Vec<_> = probed.all("set-cookie").collect();
        assert!(
            cookies.len() == 2 && cookies.iter().any(|cookie| cookie.starts_with("throughline=probe;")),
            "{site}: {cookies:?}"
        );
        assert!(cookies.contains(&"site=own; Path=/"));
        let caching: Vec<_> = probed.all("cache-control").collect();
        assert!(matches!(caching[..], ["private, no-cache" | "no-store"]), "{site}: {caching:?}");
        let plain = ask(site, "GET", "/p", "", b"");
        assert_eq!(plain.all("cache-control").collect::<Vec<_>>(), ["public, max-age=60"], "{site}");
        assert_eq!(plain.all("set-cookie").collect::<Vec<_>>(), ["site=own; Path=/"]);
    }
}

/// The whole hop of a plain client through each real proxy, with the fragment and the bytes of the query.
#[test]
fn f3_a_hop_through_each_real_proxy() {
    for behind in [USUAL, OTHER] {
        let world = World::start(behind);
        for site in world.sites() {
            let mut browser = Browser::new();
            let page = format!("{site}/p;v=1/?q=a%20b&&x=[1]|2#frag");
            let visit = browser.navigate(&page);
            assert_eq!((visit.statuses(), visit.url()), (vec![302, 302, 303, 200], page.as_str()), "{visit:#?}");
            assert_eq!(Some(shown(visit.page(), "visitor")), browser.visitor(site));
            for step in &visit.steps[..3] {
                assert_eq!(step.answer.all("cache-control").collect::<Vec<_>>(), ["no-store"], "{step:?}");
                assert_eq!(step.answer.header("x-robots-tag"), Some("noindex"));
                assert_eq!(step.answer.header("referrer-policy"), None);
            }
            assert_eq!(visit.cookies().len(), if browser.cookie(&world.brand, "throughline").is_some() { 5 + 1 } else { 4 + 1 });
            assert_eq!(browser.navigate(&page).statuses(), [200]);
        }
    }
}
