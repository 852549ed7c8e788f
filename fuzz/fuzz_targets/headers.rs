//! A request's headers, one a line, as anyone sends them (rules S2 to S6, R9, F1): they are read without a panic, nobody
//! without a MAC is somebody, and what is made of them by the decision stays within the rules.
#![no_main]

use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use throughline::base::secret::Purpose;
use throughline::domain::breaker::Circuit;
use throughline::domain::decision::{Decision, decide};
use throughline::http::client_address::TrustedProxies;
use throughline::http::cookies::CookieJar;
use throughline::http::facts::{facts_beside, is_early_data, is_own_page, referrer_origin};
use throughline_fuzz::{NOW, key, site};

fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let site = site(key(Purpose::LocalCookie), key(Purpose::HopRequest));
    let jar = CookieJar::PRODUCTION;
    let cookies = jar.read_id(&headers, &site, NOW);
    let facts = facts_beside(cookies, &Method::GET, "/p?x=1", &headers, &jar);
    assert!(facts.cookies.state.identity.is_none(), "nobody made a MAC for this");
    if let Some(origin) = referrer_origin(&headers) {
        assert!(origin.contains("://"));
    }
    let _ = (is_early_data(&headers), is_own_page(&headers, &site, true));
    let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("a network")]);
    let peer = "192.0.2.1".parse().ok();
    assert_eq!(proxies.client(peer, &headers), peer, "only a trusted proxy may speak for a client");
    if let Decision::Start(page) = decide(&facts, &site, Circuit::Closed, NOW) {
        assert_eq!(page.path_and_query(), "/p?x=1");
        assert_eq!((facts.fetch_dest, facts.fetch_mode), (Some("document"), Some("navigate")));
        assert!(!facts.gpc && !facts.is_speculative && facts.accepts_html && !facts.is_partial_or_scripted);
    }
});
