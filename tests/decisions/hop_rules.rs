//! Rules S1 to S16, one test each: the control request starts a hop; with one fact changed it does not.

use throughline::base::clock::UnixSeconds;
use throughline::base::origin::Origin;
use throughline::domain::breaker::Circuit;
use throughline::domain::consent::{Basis, Choice, ConsentPolicy};
use throughline::domain::contract::RETURN_LENGTH_MAX;
use throughline::domain::decision::{Decision, Facts, Reason, decide};
use throughline::domain::hop_request::HopRequest;
use throughline::domain::site::{Role, Site, SkipList};
use throughline::domain::site_cookie::{Reading, SiteState, Source};
use throughline::domain::url::Location;

use super::common::{DAY, NOW, control, flow, holding, identity, is_start, reading, shop, site, the_shop, with, with_circuit};

const fn passes(reason: Reason) -> Decision {
    Decision::Pass(reason, None)
}

fn on(site: &Site, change: impl FnOnce(&mut Facts<'static>)) -> Decision {
    let mut facts = control();
    change(&mut facts);
    decide(&facts, site, Circuit::Closed, NOW)
}

#[test]
fn the_control_request_starts_a_hop_and_names_its_own_page() {
    let Decision::Start(page) = with(|_| {}) else { panic!("the control must start a hop") };
    assert_eq!(page.as_str(), "https://shop.example/p?x=1");
}

#[test]
fn s1_only_get() {
    assert_eq!(with(|facts| facts.is_get = false), passes(Reason::NotGet));
}

#[test]
fn s2_only_top_level_document_navigations() {
    for dest in ["iframe", "frame", "embed", "object", "image", "script", "style", "empty", "worker", "Document", " document", ""]
    {
        assert_eq!(with(|facts| facts.fetch_dest = Some(dest)), passes(Reason::NotANavigation), "{dest}");
    }
    for mode in ["cors", "no-cors", "same-origin", "websocket", "nested-navigate", "Navigate", ""] {
        assert_eq!(with(|facts| facts.fetch_mode = Some(mode)), passes(Reason::NotANavigation), "{mode}");
    }
    // Half of the metadata is no metadata of a browser, not even of an old one.
    assert_eq!(with(|facts| facts.fetch_dest = None), passes(Reason::NotANavigation));
    assert_eq!(with(|facts| facts.fetch_mode = None), passes(Reason::NotANavigation));
}

#[test]
fn s3_without_fetch_metadata_no_hop_unless_legacy_browsers_are_let_in() {
    let none = |facts: &mut Facts<'static>| (facts.fetch_dest, facts.fetch_mode, facts.fetch_site) = (None, None, None);
    assert_eq!(with(none), passes(Reason::NoFetchMetadata));
    let legacy = Site { legacy_browsers: true, ..the_shop() };
    assert!(is_start(&on(&legacy, none)));
    // The opt-in goes by Accept, and it is no way around S2.
    let without_html = |facts: &mut Facts<'static>| {
        none(facts);
        facts.accepts_html = false;
    };
    assert_eq!(on(&legacy, without_html), passes(Reason::NotAPage));
    assert_eq!(on(&legacy, |facts| facts.fetch_dest = Some("iframe")), passes(Reason::NotANavigation));
    assert_eq!(on(&legacy, |facts| facts.fetch_mode = None), passes(Reason::NotANavigation));
}

#[test]
fn s4_speculative_requests_start_nothing() {
    assert_eq!(with(|facts| facts.is_speculative = true), passes(Reason::Speculative));
}

#[test]
fn s5_crawlers_get_the_page() {
    for agent in [
        Some("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        Some("Slackbot-LinkExpanding 1.0"),
        Some("curl/8.5.0"),
        None,
    ] {
        assert_eq!(with(|facts| facts.user_agent = agent), passes(Reason::Crawler), "{agent:?}");
    }
}

#[test]
fn s6_only_whole_html_pages() {
    assert_eq!(with(|facts| facts.accepts_html = false), passes(Reason::NotAPage));
    assert_eq!(with(|facts| facts.is_partial_or_scripted = true), passes(Reason::NotAPage));
}

#[test]
fn s7_skipped_paths_start_nothing() {
    for path in [
        "/api/x",
        "/static/app.js",
        "/feed",
        "/a/b.PDF?x=1",
        "/.well-known/x",
        "/robots.txt",
        "/sitemap.xml",
        "/_throughline/go?to=x",
    ] {
        assert_eq!(with(|facts| facts.path_and_query = path), passes(Reason::Skipped), "{path}");
    }
    let own = Site { skip: SkipList::new(&["/checkout/".into(), "*.do".into()]).unwrap(), ..the_shop() };
    for path in ["/checkout/pay", "/order.do?x=1"] {
        assert_eq!(on(&own, |facts| facts.path_and_query = path), passes(Reason::Skipped), "{path}");
        assert!(is_start(&with(|facts| facts.path_and_query = path)), "{path} is skipped only where the operator says so");
    }
    // The list is about the path: a query cannot make a page skipped.
    assert!(is_start(&with(|facts| facts.path_and_query = "/p?file=/api/x.css")));
}

#[test]
fn s8_consent_must_stand() {
    let required = site(Role::Secondary, ConsentPolicy::Required);
    assert_eq!(on(&required, |_| {}), passes(Reason::NoConsent));
    let said = |choice| move |facts: &mut Facts<'static>| facts.cookies = reading(SiteState { choice, ..SiteState::default() });
    assert!(is_start(&on(&required, said(Choice::Granted))));
    assert_eq!(on(&required, said(Choice::Denied)), passes(Reason::Refused));
    assert!(is_start(&on(&the_shop(), said(Choice::Granted))));
    assert_eq!(on(&the_shop(), said(Choice::Denied)), passes(Reason::Refused));
}

#[test]
fn s9_sec_gpc_is_a_refusal_unless_the_configuration_overrides_it() {
    assert_eq!(with(|facts| facts.gpc = true), passes(Reason::Refused));
    let granted_and_gpc = |facts: &mut Facts<'static>| {
        facts.gpc = true;
        facts.cookies = reading(SiteState { choice: Choice::Granted, ..SiteState::default() });
    };
    assert_eq!(with(granted_and_gpc), passes(Reason::Refused), "the browser's no counts above an older yes");
    let overridden = Site { honour_gpc: false, ..the_shop() };
    assert!(is_start(&on(&overridden, |facts| facts.gpc = true)));
}

#[test]
fn s10_a_known_visitor_needs_no_hop() {
    for source in [Source::Broker, Source::Link] {
        let known = Decision::Pass(Reason::Known, Some(identity(1, source)));
        assert_eq!(with(|facts| facts.cookies = reading(holding(1, source))), known);
    }
    assert!(
        is_start(&with(|facts| facts.cookies = reading(holding(1, Source::Provisional)))),
        "a provisional ID may be upgraded"
    );
    // A cookie that does not verify is no ID, but it shows that the browser keeps cookies.
    assert!(is_start(&with(|facts| facts.cookies = Reading { seen: true, ..Reading::default() })));
}

#[test]
fn s11_a_request_with_our_parameter_is_consumed() {
    for page in ["/p?_tl=x", "/p?_tl=", "/p?_tl", "/p?x=1&_tl=a&_tl=b", "/p?_tl=a&x", "/?_tl=a"] {
        assert_eq!(with(|facts| facts.path_and_query = page), Decision::Consume, "{page}");
    }
    for page in ["/p?x_tl=1", "/p?_tlx=1", "/p?x=_tl", "/_tl", "/p?_TL=1", "/p?%5Ftl=1", "/p?x?_tl=1"] {
        assert!(is_start(&with(|facts| facts.path_and_query = page)), "{page} is not ours");
    }
}

#[test]
fn s12_one_hop_at_a_time_and_one_failed_hop_a_day() {
    assert_eq!(with(|facts| facts.has_hop_cookie = true), passes(Reason::HopInFlight));
    let begun = |begun: u64| {
        with(|facts| facts.cookies = reading(SiteState { hop_begun: Some(UnixSeconds(begun)), ..SiteState::default() }))
    };
    for ago in [0, 1, 3600, DAY.as_secs() - 1] {
        assert_eq!(begun(NOW.0 - ago), passes(Reason::HopPaused), "{ago} seconds ago");
    }
    assert!(is_start(&begun(NOW.0 - DAY.as_secs())));
    assert_eq!(begun(NOW.0 + 3600), passes(Reason::HopPaused), "a clock that was set back");
}

#[test]
fn s13_only_a_broker_that_answers_is_sent_visitors() {
    assert_eq!(with_circuit(Circuit::Unprobed, |_| {}), passes(Reason::BrokerUnprobed));
    for circuit in [Circuit::Open, Circuit::HalfOpen] {
        assert_eq!(with_circuit(circuit, |_| {}), Decision::MintProvisional, "{circuit:?}");
        let provisional = Decision::Pass(Reason::BrokerDown, Some(identity(1, Source::Provisional)));
        assert_eq!(
            with_circuit(circuit, |facts| facts.cookies = reading(holding(1, Source::Provisional))),
            provisional,
            "one is enough"
        );
    }
}

#[test]
fn s14_a_url_that_would_not_come_back_stays_where_it_is() {
    // The origin's `:` and two slashes are percent-encoded on the way to the broker, and so is the path's own.
    let room = RETURN_LENGTH_MAX - (shop().as_str().len() + 3 * 2) - 2;
    let page = |length: usize| -> &'static str { format!("/{}", "a".repeat(length - 1)).leak() };
    assert!(is_start(&with(|facts| facts.path_and_query = page(room))));
    assert_eq!(with(|facts| facts.path_and_query = page(room + 1)), passes(Reason::UrlUnfit));
    for unfit in
        ["//evil.example", "/\\evil.example", "/a/../b", "/%5Cevil", "/a b", "/p?x=\u{fc}", "/@evil.example", "*", "", "p"]
    {
        assert_eq!(with(|facts| facts.path_and_query = unfit), passes(Reason::UrlUnfit), "{unfit:?}");
    }
}

#[test]
fn s14_a_hop_whose_answer_would_not_fit_a_proxys_buffer_does_not_start() {
    // The longest origins there are: 253 characters of host and a port.
    let host = |first: char| format!("https://{}{}:65535", first, format!(".{}", "a".repeat(62)).repeat(4));
    let (broker, own) = (Origin::parse(&host('b')).unwrap(), Origin::parse(&host('s')).unwrap());
    let site = Site { origin: own.clone(), ..the_shop() };
    let (mut starts, mut unfit) = (0, 0);
    for escapes in (0..2000).step_by(7) {
        let page = format!("/p?q={}", "%20".repeat(escapes));
        let facts = Facts { path_and_query: &page, ..control() };
        match decide(&facts, &site, Circuit::Closed, NOW) {
            Decision::Start(page) => {
                let request = HopRequest {
                    flow: flow(1),
                    issued_at: NOW,
                    basis: Basis::Granted,
                    look_alike: false,
                    page: Some(page),
                    referrer: None,
                };
                let location = Location::hop(&broker, &request.sign(&broker, &own, &site.hop_key));
                // The rest of the head takes less than 600 octets.
                assert!(location.as_str().len() < 4096 - 600, "{escapes} escapes: {}", location.as_str().len());
                starts += 1;
            }
            other => {
                assert_eq!(other, passes(Reason::UrlUnfit));
                unfit += 1;
            }
        }
    }
    assert!(starts > 50 && unfit > 50, "{starts} starts, {unfit} unfit");
}

#[test]
fn s15_what_starts_is_the_requests_own_page_byte_by_byte() {
    // The status and the headers of the redirect belong to the transport; what it may name is decided here.
    for page in ["/", "/p?", "/p??&&=", "/%E2%82%AC?a=[1]{2}|3^&b=%0d%0a", "/p?u=https://evil.example//@"] {
        let Decision::Start(url) = with(|facts| facts.path_and_query = page) else { panic!("{page}") };
        assert_eq!(url.into_location().as_str(), format!("https://shop.example{page}"));
    }
}

#[test]
fn s16_a_browser_that_drops_cookies_is_not_sent_on_a_hop() {
    for from in ["same-origin", "same-site"] {
        assert_eq!(with(|facts| facts.fetch_site = Some(from)), Decision::Probe, "{from}");
        let seen = Reading { seen: true, ..Reading::default() };
        let keeps = with(|facts| (facts.fetch_site, facts.cookies) = (Some(from), seen));
        assert!(is_start(&keeps), "{from}, but the probe came back");
    }
    for from in [Some("none"), Some("cross-site"), None] {
        assert!(is_start(&with(|facts| facts.fetch_site = from)), "{from:?}");
        assert_eq!(with(|facts| (facts.fetch_site, facts.is_bare_client) = (from, true)), Decision::Probe, "{from:?}, bare");
    }
    let bare_but_keeps = Reading { seen: true, ..Reading::default() };
    assert!(
        is_start(&with(|facts| (facts.is_bare_client, facts.cookies) = (true, bare_but_keeps))),
        "another visitor behind the same address"
    );
}
