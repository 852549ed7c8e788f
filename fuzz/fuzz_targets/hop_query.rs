//! The query of a hop request (rules B1, B2, B10, U1): `q` as it came from anyone, `s` signed by the site, `p` a page that
//! the site itself asks for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throughline::base::encoding::base64url;
use throughline::base::secret::Purpose;
use throughline::domain::consent::Basis;
use throughline::domain::hop_request::{Endpoint, HopRequest, decode, fits, site_named, verify, way_back};
use throughline::domain::url::{Location, PageUrl};
use throughline::token::claims::FlowSecret;
use throughline_fuzz::{NOW, assert_page_of, brand, key, mode_and_text, shop};

fuzz_target!(|data: &[u8]| {
    let Some((mode, text)) = mode_and_text(data) else { return };
    let (broker, site, key) = (brand(), shop(), key(Purpose::HopRequest));
    let believe = |query: &str, endpoint| verify(query, endpoint, &broker, &site, [&key], NOW);
    match mode {
        b'p' => {
            let Ok(page) = PageUrl::on(&site, text) else { return };
            let request = HopRequest { flow: FlowSecret::new([9; 16]).flow(), issued_at: NOW, basis: Basis::Implied, look_alike: false, page: Some(page.clone()), referrer: None };
            let query = request.sign(&broker, &site, &key);
            assert_eq!(site_named(&query).as_deref(), Some(site.as_str()));
            assert_eq!(way_back(&query, &site), page);
            assert_eq!(believe(&query, Endpoint::Hop), Ok(request));
            assert!(believe(&query, Endpoint::Whoami).is_err());
            assert!(!fits(&page) || Location::hop(&broker, &query).as_str().len() < 8192);
        }
        b's' => {
            for (endpoint, name) in [(Endpoint::Hop, "hop"), (Endpoint::Whoami, "whoami")] {
                let context = format!("throughline/v1/{name}\n{broker}\n{text}");
                let query = format!("{text}&sig={}", base64url(&key.tag(&[context.as_bytes()])));
                let Ok(request) = believe(&query, endpoint) else { continue };
                // The one spelling: each name once, and in this order.
                let names = query.split('&').map(|pair| pair.split('=').next().unwrap());
                let names: Vec<_> = names.filter(|name| *name != "look_alike" || !request.look_alike).collect();
                let hop = ["v", "site", "flow", "iat", "consent", "return", "sig"];
                let expected: Vec<_> = hop.into_iter().filter(|name| *name != "return" || endpoint == Endpoint::Hop).collect();
                assert_eq!(names, expected);
                assert_eq!(site_named(&query).as_deref(), Some(site.as_str()));
                assert!(request.issued_at.0.abs_diff(NOW.0) <= 65);
                assert_eq!(request.page.is_some(), endpoint == Endpoint::Hop);
                if let Some(page) = request.page {
                    assert_page_of(&site, page.as_str());
                    assert_eq!(way_back(&query, &site), page);
                }
            }
        }
        _ => {
            let _ = site_named(text);
            let _ = decode(text);
            assert!(believe(text, Endpoint::Hop).is_err() && believe(text, Endpoint::Whoami).is_err(), "nobody signed this");
            let back = way_back(text, &site).with_empty_parameter().into_string();
            assert_page_of(&site, &back);
            assert!(back.ends_with("_tl="));
        }
    }
});
