//! Which rule wins when several speak.

use throughline::domain::breaker::Circuit;
use throughline::domain::consent::{Choice, ConsentPolicy};
use throughline::domain::decision::{Decision, Reason, decide};
use throughline::domain::site::Role;
use throughline::domain::site_cookie::{SiteState, Source};

use super::common::{NOW, control, holding, identity, reading, site, with, with_circuit};

#[test]
fn a_post_with_our_parameter_passes_and_keeps_its_visitor() {
    let known = holding(1, Source::Broker);
    let post = with(|facts| (facts.is_get, facts.path_and_query, facts.cookies) = (false, "/p?_tl=x", reading(known)));
    assert_eq!(post, Decision::Pass(Reason::NotGet, known.identity));
}

#[test]
fn s4_a_prefetch_with_our_parameter_uses_no_token_up() {
    let prefetch = with(|facts| (facts.is_speculative, facts.path_and_query) = (true, "/p?_tl=x"));
    assert_eq!(prefetch, Decision::Pass(Reason::Speculative, None));
}

#[test]
fn a_frame_or_a_crawler_with_our_parameter_uses_no_token_up() {
    let frame = with(|facts| (facts.fetch_dest, facts.path_and_query) = (Some("iframe"), "/p?_tl=x"));
    assert_eq!(frame, Decision::Pass(Reason::NotANavigation, None));
    let crawler = with(|facts| (facts.user_agent, facts.path_and_query) = (Some("Twitterbot/1.0"), "/p?_tl=x"));
    assert_eq!(crawler, Decision::Pass(Reason::Crawler, None));
}

#[test]
fn r5_a_known_visitor_with_our_parameter_still_gets_a_clean_url() {
    let known = with(|facts| (facts.path_and_query, facts.cookies) = ("/p?_tl=x", reading(holding(1, Source::Broker))));
    assert_eq!(known, Decision::Consume);
}

#[test]
fn r6_refused_or_not_a_parameter_is_taken_out_of_the_url() {
    assert_eq!(with(|facts| (facts.path_and_query, facts.gpc) = ("/p?_tl=x", true)), Decision::Consume);
    assert_eq!(with(|facts| (facts.path_and_query, facts.cookies) = ("/p?_tl=x", reading(SiteState::DENIED))), Decision::Consume);
}

#[test]
fn a_parameter_ends_a_hop_whatever_else_holds() {
    // Skip list, hop in flight, pause, circuit and bare client all come after it: none may leave the token in the URL.
    let paused = reading(SiteState { hop_begun: Some(NOW), ..SiteState::default() });
    for circuit in [Circuit::Unprobed, Circuit::Open, Circuit::HalfOpen, Circuit::Closed] {
        let decision = with_circuit(circuit, |facts| {
            facts.path_and_query = "/api/x.css?_tl=x";
            facts.has_hop_cookie = true;
            facts.is_bare_client = true;
            facts.cookies = paused;
        });
        assert_eq!(decision, Decision::Consume, "{circuit:?}");
    }
}

#[test]
fn s9_an_identity_with_gpc_is_not_exposed() {
    for source in [Source::Broker, Source::Link, Source::Provisional] {
        let decision = with(|facts| (facts.gpc, facts.cookies) = (true, reading(holding(1, source))));
        assert_eq!(decision, Decision::Pass(Reason::Refused, None));
        let post = with(|facts| (facts.is_get, facts.gpc, facts.cookies) = (false, true, reading(holding(1, source))));
        assert_eq!(post, Decision::Pass(Reason::NotGet, None));
    }
}

#[test]
fn c1_an_identity_without_consent_is_not_exposed() {
    let required = site(Role::Secondary, ConsentPolicy::Required);
    let mut facts = control();
    facts.cookies = reading(holding(1, Source::Broker));
    assert_eq!(decide(&facts, &required, Circuit::Closed, NOW), Decision::Pass(Reason::NoConsent, None));
    facts.cookies.state.choice = Choice::Denied;
    assert_eq!(decide(&facts, &required, Circuit::Closed, NOW), Decision::Pass(Reason::Refused, None));
    facts.cookies.state.choice = Choice::Granted;
    assert_eq!(decide(&facts, &required, Circuit::Closed, NOW), Decision::Pass(Reason::Known, Some(identity(1, Source::Broker))));
}

#[test]
fn a_known_visitor_is_told_to_the_application_on_every_kind_of_request() {
    let known = Decision::Pass(Reason::Known, Some(identity(1, Source::Broker)));
    let cookies = reading(holding(1, Source::Broker));
    assert_eq!(with(|facts| (facts.is_get, facts.cookies) = (false, cookies)), known);
    assert_eq!(with(|facts| (facts.path_and_query, facts.cookies) = ("/api/x", cookies)), known);
    assert_eq!(with(|facts| (facts.fetch_dest, facts.cookies) = (Some("empty"), cookies)), known);
    assert_eq!(with(|facts| (facts.is_speculative, facts.cookies) = (true, cookies)), known);
}

#[test]
fn consent_comes_before_anything_is_set() {
    // A probe, a provisional ID and a master ID are all cookies: none before the visitor agreed (the second law).
    for circuit in [Circuit::Unprobed, Circuit::Open, Circuit::HalfOpen, Circuit::Closed] {
        for role in [Role::Primary, Role::Secondary] {
            for fetch_site in ["same-origin", "cross-site"] {
                let mut facts = control();
                facts.fetch_site = Some(fetch_site);
                let required = site(role, ConsentPolicy::Required);
                assert_eq!(decide(&facts, &required, circuit, NOW), Decision::Pass(Reason::NoConsent, None));
                facts.gpc = true;
                let implied = site(role, ConsentPolicy::Implied);
                assert_eq!(decide(&facts, &implied, circuit, NOW), Decision::Pass(Reason::Refused, None));
            }
        }
    }
}
