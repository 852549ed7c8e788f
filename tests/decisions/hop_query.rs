//! The broker's side of the hop request: nothing that arrives makes it panic, or send anyone off the registered site
//! (rules B1, B2, B10, U1).

use proptest::prelude::*;
use throughline::base::clock::UnixSeconds;
use throughline::base::secret::{MacKey, Purpose};
use throughline::domain::consent::Basis;
use throughline::domain::hop_request::{Endpoint, HopRequest, decode, site_named, verify, way_back};
use throughline::domain::url::PageUrl;
use url::Url;

use super::common::{NOW, brand, flow, learn, secret, shop};

fn hop_key() -> MacKey {
    secret().derive(Purpose::HopRequest)
}

fn request(page: &str) -> HopRequest {
    HopRequest {
        flow: flow(1),
        issued_at: NOW,
        basis: Basis::Granted,
        look_alike: false,
        page: Some(PageUrl::on(&shop(), page).unwrap()),
        referrer: None,
    }
}

fn believed(query: &str) -> bool {
    verify(query, Endpoint::Hop, &brand(), &shop(), [&hop_key()], NOW).is_ok()
}

/// Random texts, and random repairs of something that was a hop request.
fn queries() -> impl Strategy<Value = String> {
    let good = request("/p?x=1").sign(&brand(), &shop(), &hop_key());
    let pieces = [
        "v=1",
        "site=",
        "site=https%3A%2F%2Fshop.example",
        "site=https%3A%2F%2Fevil.example",
        "return=",
        "return=https%3A%2F%2Fshop.example%2Fp",
        "&",
        "=",
        "return=https%3A%2F%2Fevil.example%2F",
        "return=https%3A%2F%2Fshop.example%2F%2Fevil.example",
        "return=https%3A%2F%2Fshop.example%5C%40evil.example",
        "return=https%3A%2F%2Fshop.example%40evil.example%2F",
        "return=https%3A%2F%2Fshop.example.evil.example",
        "return=%0d%0aLocation:%20x",
        "iat=1790000000",
        "flow=",
        "consent=granted",
        "sig=",
        "%",
        "%ff",
        "return=https%3A%2F%2Fshop.example%2F%3F_tl%3Dx",
        "return=javascript:alert(1)",
    ];
    let composed = prop::collection::vec(proptest::sample::select(pieces.to_vec()), 0..10).prop_map(|pieces| pieces.join("&"));
    let cut = (0..good.len(), 0..good.len(), any::<String>()).prop_map(move |(from, to, put_in)| {
        let (from, to) = (from.min(to), from.max(to));
        format!("{}{put_in}{}", &good[..from], &good[to..])
    });
    prop_oneof![1 => any::<String>(), 2 => composed, 2 => cut]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn b2_the_way_back_stays_on_the_site_whatever_the_query(query in queries()) {
        let location = way_back(&query, &shop()).with_empty_parameter().into_string();
        prop_assert!(location.starts_with("https://shop.example/"), "{location}");
        prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
        prop_assert_eq!(Url::parse(&location).unwrap().origin().ascii_serialization(), "https://shop.example");
        prop_assert!(location.ends_with("_tl="), "no second hop starts: {location}");
    }

    #[test]
    fn b1_b2_random_queries_are_refused_without_panic(query in queries(), now in any::<u64>()) {
        let _ = site_named(&query);
        for endpoint in [Endpoint::Hop, Endpoint::Whoami] {
            let believed = verify(&query, endpoint, &brand(), &shop(), [&hop_key()], UnixSeconds(now)).is_ok();
            // Only the signed request itself, in its minute.
            prop_assert!(!believed || (query == request("/p?x=1").sign(&brand(), &shop(), &hop_key()) && now.abs_diff(NOW.0) <= 65));
        }
    }

    #[test]
    fn what_is_decoded_was_encoded_once(text in any::<String>()) {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let decoded = decode(&encoded);
        prop_assert_eq!(decoded.as_deref(), Some(text.as_str()));
        if let Some(decoded) = decode(&text) {
            prop_assert!(decoded.len() <= text.len());
            prop_assert!(text.contains('%') || decoded == text);
        }
    }

    #[test]
    fn b2_whatever_page_is_signed_is_the_page_that_is_believed(page in "/[a-z0-9/?&=%_~;{}'|^+.-]{0,60}") {
        let Ok(url) = PageUrl::on(&shop(), &page) else { return Ok(()) };
        let request = HopRequest { page: Some(url.clone()), ..request("/") };
        let query = request.sign(&brand(), &shop(), &hop_key());
        prop_assert_eq!(site_named(&query), Some("https://shop.example".to_owned()));
        prop_assert_eq!(way_back(&query, &shop()), url);
        prop_assert_eq!(verify(&query, Endpoint::Hop, &brand(), &shop(), [&hop_key()], NOW), Ok(request));
    }
}

#[test]
fn b2_a_request_is_for_its_own_site_and_broker() {
    let query = request("/p").sign(&brand(), &shop(), &hop_key());
    assert!(believed(&query));
    assert!(
        verify(&query, Endpoint::Hop, &brand(), &learn(), [&hop_key()], NOW).is_err(),
        "another site, even with the same key"
    );
    assert!(verify(&query, Endpoint::Hop, &learn(), &shop(), [&hop_key()], NOW).is_err(), "another broker");
}

#[test]
fn b10_the_second_of_two_parameters_never_counts() {
    let query = request("/p").sign(&brand(), &shop(), &hop_key());
    for extra in [
        "site=https%3A%2F%2Flearn.example",
        "return=https%3A%2F%2Fshop.example%2Fother",
        "sig=x",
        "v=1",
        "consent=granted",
        "x=1",
        "",
    ] {
        assert!(!believed(&format!("{query}&{extra}")), "{extra} behind");
        assert!(!believed(&format!("{extra}&{query}")), "{extra} before");
    }
}
