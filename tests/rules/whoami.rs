//! B9: the CORS route.

use crate::sign::{encode, flow, now, signed_for};
use crate::support::browser::{Browser, Cookie};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::wire::Answer;

/// A page of `origin` asks, with the cookies of the primary, as a browser that still allows it does.
fn ask(browser: &mut Browser, url: &str, origin: Option<&str>) -> Answer {
    let mut headers = vec![
        ("Accept", "*/*".to_owned()),
        ("Sec-Fetch-Dest", "empty".to_owned()),
        ("Sec-Fetch-Mode", "cors".to_owned()),
        ("Sec-Fetch-Site", "cross-site".to_owned()),
    ];
    headers.extend(origin.map(|origin| ("Origin", origin.to_owned())));
    browser.request("GET", url, &headers, b"")
}

/// Begins a flow on shop, and returns the signed URL to ask.
fn begin(browser: &mut Browser, company: &Company) -> String {
    let answer = browser.fetch(&format!("{}/_throughline/exchange", company.shop));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["whoami"].as_str().unwrap().to_owned()
}

fn known(company: &Company) -> Browser {
    let mut browser = Browser::new();
    browser.navigate(&format!("{}/", company.brand));
    browser
}

#[test]
fn b9_the_route_answers_the_one_origin_and_writes_nothing() {
    let company = Company::echoing(Setup::with_whoami());
    let mut browser = known(&company);
    let url = begin(&mut browser, &company);
    let master = browser.jar["brand.localhost"].clone();
    let answer = ask(&mut browser, &url, Some(&company.shop));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some(company.shop.as_str()));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("vary"), Some("Origin"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(browser.jar["brand.localhost"], master);
    // And the token is good on that site, in this browser, once.
    let token = serde_json::json!({ "token": answer.json()["token"] }).to_string();
    let exchange = format!("{}/_throughline/exchange", company.shop);
    assert_eq!(Browser::new().post(&exchange, &token).json()["exchanged"], false, "another browser's");
    assert_eq!(browser.post(&exchange, &token).json()["exchanged"], true);
    assert_eq!(browser.visitor(&company.shop), browser.visitor(&company.brand));
    assert!(browser.visitor(&company.shop).is_some());
    assert_eq!(browser.post(&exchange, &token).json()["exchanged"], false);
}

#[test]
fn b9_any_other_origin_gets_nothing_to_read() {
    let company = Company::echoing(Setup::with_whoami());
    let mut browser = known(&company);
    let url = begin(&mut browser, &company);
    let upper = company.shop.to_uppercase();
    let slash = format!("{}/", company.shop);
    for origin in [
        None,
        Some("null"),
        Some("*"),
        Some(""),
        Some("http://evil.localhost:1"),
        Some(company.learn.as_str()),
        Some(company.brand.as_str()),
        Some(&upper),
        Some(&slash),
    ] {
        let answer = ask(&mut browser, &url, origin);
        assert_eq!(answer.status, 403, "{origin:?}");
        assert_eq!((answer.header("access-control-allow-origin"), answer.header("set-cookie")), (None, None), "{origin:?}");
        assert_eq!(answer.header("vary"), Some("Origin"), "{origin:?}");
    }
}

#[test]
fn b9_a_bad_question_or_an_unknown_visitor_gets_no_token_and_no_cookie() {
    let company = Company::echoing(Setup::with_whoami());
    let at = |query: &str| format!("{}/_throughline/whoami?{query}", company.brand);
    let (site, flow, now) = (encode(&company.shop), flow(), now());
    let pairs = format!("v=1&site={site}&flow={flow}&iat={now}&consent=implied");
    let good = signed_for(&company, "whoami", &pairs);
    assert!(ask(&mut known(&company), &at(&good), Some(&company.shop)).json()["token"].is_string(), "the control");
    let stale = pairs.replace(&format!("iat={now}"), &format!("iat={}", now - 70));
    let no_consent = pairs.replace("=implied", "=denied");
    for query in [
        pairs.clone(),
        signed_for(&company, "hop", &pairs),
        signed_for(&company, "whoami", &stale),
        signed_for(&company, "whoami", &no_consent),
        format!("{good}&x=1"),
    ] {
        let answer = ask(&mut known(&company), &at(&query), Some(&company.shop));
        assert_eq!(
            (answer.status, answer.json()["token"].clone(), answer.header("set-cookie")),
            (200, serde_json::Value::Null, None),
            "{query}"
        );
    }
    let mut new = Browser::new();
    let answer = ask(&mut new, &at(&good), Some(&company.shop));
    assert_eq!(
        (answer.json()["token"].clone(), answer.header("set-cookie")),
        (serde_json::Value::Null, None),
        "never minted here"
    );
    let mut refusing = known(&company);
    refusing.set("Sec-GPC", "1");
    assert_eq!(ask(&mut refusing, &at(&good), Some(&company.shop)).json()["token"], serde_json::Value::Null);
    let mut forgotten = known(&company);
    forgotten.post(&format!("{}/_throughline/forget", company.brand), "{}");
    assert_eq!(ask(&mut forgotten, &at(&good), Some(&company.shop)).json()["token"], serde_json::Value::Null);
}

#[test]
fn b9_closed_it_is_not_there_and_the_master_cookie_stays_lax() {
    let closed = Company::echoing(Setup::default());
    let mut browser = Browser::new();
    let url = begin(&mut browser, &closed);
    let answer = ask(&mut browser, &url, Some(&closed.shop));
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (404, None));
    let open = Company::echoing(Setup::with_whoami());
    for (company, marks) in
        [(&closed, ["HttpOnly", "SameSite=Lax"].as_slice()), (&open, &["HttpOnly", "SameSite=None", "Secure"])]
    {
        let answer = Browser::new().step(&format!("{}/", company.brand), None);
        let cookies: Vec<_> = answer.all("set-cookie").map(Cookie::parse).collect();
        assert_eq!(cookies.len(), 1);
        assert_eq!(cookies[0].attributes[2..], *marks, "the master");
        let visit = Browser::new().navigate(&format!("{}/", company.shop));
        for (step, cookie) in visit.cookies() {
            let expected = if step == 1 { marks } else { &["HttpOnly", "SameSite=Lax"] };
            assert_eq!(cookie.attributes[2..], *expected, "step {step}");
        }
    }
}
