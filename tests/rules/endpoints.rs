//! The endpoints' manners: methods, hosts, who may ask, and what the application behind them is told (F2).

use crate::sign::encode;
use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::wire;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];

#[test]
fn each_endpoint_has_its_methods_and_names_them() {
    let company = Company::echoing(Setup::with_whoami());
    let (brand, shop) = (company.brand.as_str(), company.shop.as_str());
    let table = [
        (brand, "/.well-known/throughline", "GET, HEAD"),
        (brand, "/_throughline/hop", "GET, HEAD"),
        (brand, "/_throughline/whoami", "GET, HEAD"),
        (brand, "/_throughline/jwks.json", "GET, HEAD"),
        (brand, "/_throughline/me", "GET, HEAD, POST"),
        (brand, "/_throughline/health", "GET, HEAD"),
        (brand, "/_throughline/go", "GET, HEAD"),
        (brand, "/_throughline/sdk.js", "GET, HEAD"),
        (brand, "/_throughline/consent", "POST"),
        (brand, "/_throughline/forget", "POST"),
        (shop, "/_throughline/jwks.json", "GET, HEAD"),
        (shop, "/_throughline/me", "GET, HEAD, POST"),
        (shop, "/_throughline/health", "GET, HEAD"),
        (shop, "/_throughline/go", "GET, HEAD"),
        (shop, "/_throughline/sdk.js", "GET, HEAD"),
        (shop, "/_throughline/exchange", "GET, POST"),
        (shop, "/_throughline/consent", "POST"),
        (shop, "/_throughline/forget", "POST"),
    ];
    for (site, path, allowed) in table {
        for method in METHODS {
            let answer =
                Browser::new().request(method, &format!("{site}{path}"), &[("Sec-Fetch-Site", "same-origin".into())], b"");
            let expected = allowed.split(", ").any(|name| name == method);
            assert_eq!(answer.status != 405, expected, "{method} {path}: {answer:?}");
            assert_eq!(answer.header("allow"), (!expected).then_some(allowed), "{method} {path}");
            assert!(answer.status < 500, "{method} {path}");
        }
    }
}

#[test]
fn what_is_not_there_is_not_there() {
    let company = Company::echoing(Setup::default());
    let (brand, shop) = (company.brand.as_str(), company.shop.as_str());
    for (site, path) in [
        (shop, "hop"),
        (shop, "whoami"),
        (brand, "exchange"),
        (brand, "whoami"),
        (shop, ""),
        (shop, "me/"),
        (shop, "ME"),
        (shop, "api/visitors"),
    ] {
        for method in ["GET", "POST"] {
            let answer = Browser::new().request(method, &format!("{site}/_throughline/{path}"), &[], b"");
            assert!([404, 405].contains(&answer.status), "{method} {site} {path}: {answer:?}");
            assert_eq!((answer.header("set-cookie"), answer.header("location")), (None, None), "{path}");
        }
    }
    // On a secondary, another's well-known file may live there.
    assert_eq!(Browser::new().fetch(&format!("{shop}/.well-known/throughline")).json()["target"], "/.well-known/throughline");
}

#[test]
fn r8_me_is_for_the_sites_own_pages_only() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/", company.shop));
    let visitor = browser.visitor(&company.shop).unwrap();
    for site in [&company.shop, &company.brand] {
        let url = format!("{site}/_throughline/me");
        for relation in ["cross-site", "same-site", "none", "Same-Origin", ""] {
            let mut elsewhere = browser.clone();
            let answer = elsewhere.set("Sec-Fetch-Site", relation).fetch(&url);
            assert_eq!(answer.status, 403, "{relation}");
            assert!(!answer.text().contains(&visitor), "{relation}");
        }
        let mut old = browser.clone();
        old.omit("Sec-Fetch-Site").set("Origin", "http://evil.localhost:1");
        assert_eq!(old.fetch(&url).status, 403);
        old.set("Origin", site);
        assert_eq!(old.fetch(&url).json()["visitor"].as_str(), Some(visitor.as_str()));
        old.omit("Origin");
        let answer = old.fetch(&url);
        assert_eq!(answer.json()["visitor"].as_str(), Some(visitor.as_str()));
        assert_eq!(answer.header("access-control-allow-origin"), None, "another origin cannot read it");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[test]
fn the_sdk_is_the_same_for_everybody_and_may_be_kept() {
    let company = Company::echoing(Setup::default());
    let tag = std::process::Command::new(env!("CARGO_BIN_EXE_throughline")).arg("sdk").output().unwrap();
    let tag = String::from_utf8(tag.stdout).unwrap();
    let versioned = tag.split('"').nth(1).unwrap();
    let digest = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        tag.split('"').nth(3).unwrap().strip_prefix("sha384-").unwrap(),
    );
    for site in [&company.shop, &company.brand] {
        let answer = Browser::new().fetch(&format!("{site}/_throughline/sdk.js"));
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("public, max-age=3600")));
        assert_eq!((answer.header("set-cookie"), answer.header("content-type")), (None, Some("text/javascript; charset=utf-8")));
        assert_eq!(answer.text(), include_str!("../../sdk/dist/sdk.js"));
        assert_eq!(digest.as_deref(), Ok(ring::digest::digest(&ring::digest::SHA384, answer.text().as_bytes()).as_ref()));
        let kept = answer.header("etag").unwrap().to_owned();
        for known in [kept.clone(), format!("\"x\", W/{kept}")] {
            let again = Browser::new().request("GET", &format!("{site}/_throughline/sdk.js"), &[("If-None-Match", known)], b"");
            assert_eq!((again.status, again.text().len(), again.header("etag")), (304, 0, Some(kept.as_str())));
        }
        let for_a_year = Browser::new().fetch(&format!("{site}{versioned}"));
        assert_eq!(for_a_year.header("cache-control"), Some("public, max-age=31536000, immutable"));
        let another = Browser::new().fetch(&format!("{site}/_throughline/sdk.js?v=x"));
        assert_eq!((another.status, another.header("cache-control")), (200, Some("public, max-age=3600")));
    }
}

#[test]
fn me_names_the_companys_sites() {
    let company = Company::echoing(Setup::default());
    let sites = Browser::new().me(&company.shop)["sites"].clone();
    for site in [&company.brand, &company.shop, &company.learn] {
        assert!(sites.as_array().unwrap().iter().any(|one| one == site.as_str()), "{site} in {sites}");
    }
}

#[test]
fn c1_no_other_site_can_choose_for_the_visitor() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/", company.shop));
    let before = browser.jar.clone();
    for path in ["consent", "forget", "exchange"] {
        let url = format!("{}/_throughline/{path}", company.shop);
        let mut attempts = Vec::new();
        for relation in ["cross-site", "same-site", "none"] {
            attempts.push([("Sec-Fetch-Site", Some(relation)), ("Origin", Some(company.shop.as_str()))]);
        }
        for origin in [None, Some("http://evil.localhost:1"), Some("null"), Some(company.brand.as_str())] {
            attempts.push([("Sec-Fetch-Site", None), ("Origin", origin)]);
        }
        for attempt in attempts {
            let mut elsewhere = browser.clone();
            for (name, value) in attempt {
                match value {
                    Some(value) => elsewhere.set(name, value),
                    None => elsewhere.omit(name),
                };
            }
            let answer = elsewhere.post(&url, r#"{"choice":"denied","token":"x"}"#);
            if path == "exchange" {
                assert_eq!(answer.json()["error"], "not_same_origin", "{attempt:?}");
            }
            assert_eq!((answer.status, answer.header("set-cookie")), (403, None), "{path} {attempt:?}");
            assert_eq!(elsewhere.jar, before);
        }
    }
}

#[test]
fn bodies_are_small() {
    let company = Company::echoing(Setup::default());
    let fitting = format!(r#"{{"choice":"denied","x":"{}"}}"#, "x".repeat(65_000));
    let large = format!(r#"{{"choice":"denied","x":"{}"}}"#, "x".repeat(65_536));
    let url = format!("{}/_throughline/consent", company.shop);
    assert_eq!(Browser::new().post(&url, &fitting).status, 200);
    let answer = Browser::new().post(&url, &large);
    assert_eq!((answer.status, answer.header("set-cookie")), (413, None));
}

#[test]
fn an_unknown_host_is_misdirected_and_never_guessed() {
    let company = Company::inside(Setup::default());
    let port = company.port();
    let known = format!("shop.localhost:{port}");
    for host in [
        "evil.localhost".to_owned(),
        "shop.localhost".into(),
        format!("shop.localhost:{}", port ^ 1),
        format!("shop.localhost..:{port}"),
        format!("xshop.localhost:{port}"),
        format!("127.0.0.1:{port}"),
        String::new(),
    ] {
        for path in ["/", "/p.html", "/_throughline/me", "/_throughline/health", "/?_tl=x"] {
            let answer =
                wire::send(port, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
            assert!(answer.status == 421 || (host.is_empty() && answer.status == 400), "{host:?} {path}: {answer:?}");
            assert_eq!((answer.header("set-cookie"), answer.header("location")), (None, None), "{host} {path}");
        }
    }
    for (path, status) in [("/p.html", 200), ("/nothing.html", 404)] {
        let answer =
            wire::send(port, format!("GET {path} HTTP/1.1\r\nHost: {known}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(answer.status, status, "{path}");
    }
}

#[test]
fn f2_only_we_tell_the_application_who_it_is() {
    let company = Company::echoing(Setup::default());
    let forged = [
        "X-Throughline-Visitor",
        "x-throughline-visitor",
        "X-THROUGHLINE-VISITOR",
        "X_Throughline_Visitor",
        "x-throughline_visitor",
        "X_THROUGHLINE-SOURCE",
        "X-Throughline-Source",
        "X-Throughline-Anything",
        "X-Throughline-",
    ];
    for host in [company.shop.as_str(), company.brand.as_str(), "http://unknown.localhost:1"] {
        let authority = host.strip_prefix("http://").unwrap();
        for path in ["/p", "/p?_tl=x", "/api/x"] {
            let mut request =
                format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nX-Throughlin: kept\r\nX-Through-Line: kept\r\n");
            for name in forged {
                request.push_str(&format!("{name}: forged\r\n{name}: forged twice\r\n"));
            }
            let answer = wire::send(company.port(), format!("{request}Connection: close\r\n\r\n").as_bytes()).unwrap();
            assert_eq!(answer.status, 200);
            let text = answer.text();
            assert!(!text.contains("forged"), "{host} {path}: {text}");
            assert_eq!(text.matches("kept").count(), 2, "{host} {path}: {text}");
            assert_eq!(answer.json()["visitor"], serde_json::Value::Null);
        }
    }
}

#[test]
fn f2_the_application_sees_the_visitor_and_never_our_parameter() {
    let company = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    let page = browser.navigate(&format!("{}/p?x=1", company.shop)).page().json();
    assert_eq!(page["visitor"].as_str(), browser.visitor(&company.shop).as_deref());
    assert_eq!((&page["source"], &page["consent"], &page["target"]), (&"broker".into(), &"granted".into(), &"/p?x=1".into()));
    let mut bare = Browser::new();
    bare.blocks_cookies = true;
    let link = format!("{}/p?_tl={}&x=1", company.shop, encode("x"));
    assert_eq!(bare.navigate(&link).page().json()["target"], "/p?x=1");
}
