//! The primary's own pages, and the provisional ID with its limits (rules S10, S12, S13, B6).

use throughline::base::clock::UnixSeconds;
use throughline::domain::breaker::Circuit;
use throughline::domain::consent::{Choice, ConsentPolicy};
use throughline::domain::decision::{Decision, Facts, Reason, decide};
use throughline::domain::site::Role;
use throughline::domain::site_cookie::{SiteState, Source};

use super::common::{DAY, NOW, control, holding, identity, is_start, reading, site, with, with_circuit};

const CIRCUITS: [Circuit; 4] = [Circuit::Unprobed, Circuit::Open, Circuit::HalfOpen, Circuit::Closed];

type Change = fn(&mut Facts<'static>);

fn on_the_primary(circuit: Circuit, change: impl FnOnce(&mut Facts<'static>)) -> Decision {
    let mut facts = control();
    change(&mut facts);
    decide(&facts, &site(Role::Primary, ConsentPolicy::Implied), circuit, NOW)
}

#[test]
fn the_primary_mints_and_never_hops() {
    for circuit in CIRCUITS {
        assert_eq!(on_the_primary(circuit, |_| {}), Decision::MintMaster, "it asks nobody, so {circuit:?} is nothing to it");
    }
    // What would stop a hop to another place does not stop an ID of its own.
    assert_eq!(on_the_primary(Circuit::Closed, |facts| facts.path_and_query = "//x"), Decision::MintMaster);
    assert_eq!(on_the_primary(Circuit::Closed, |facts| facts.has_hop_cookie = true), Decision::MintMaster);
}

#[test]
fn the_primary_keeps_the_master_it_has() {
    let known = on_the_primary(Circuit::Closed, |facts| facts.cookies = reading(holding(1, Source::Broker)));
    assert_eq!(known, Decision::Pass(Reason::Known, Some(identity(1, Source::Broker))));
}

#[test]
fn the_primary_mints_only_for_a_persons_page_with_consent() {
    let changes: [(Change, Reason); 9] = [
        (|facts| facts.is_get = false, Reason::NotGet),
        (|facts| facts.fetch_dest = Some("image"), Reason::NotANavigation),
        (|facts| (facts.fetch_dest, facts.fetch_mode) = (None, None), Reason::NoFetchMetadata),
        (|facts| facts.is_speculative = true, Reason::Speculative),
        (|facts| facts.user_agent = Some("Googlebot/2.1"), Reason::Crawler),
        (|facts| facts.accepts_html = false, Reason::NotAPage),
        (|facts| facts.path_and_query = "/api/x", Reason::Skipped),
        (|facts| facts.gpc = true, Reason::Refused),
        (|facts| facts.cookies = reading(SiteState::DENIED), Reason::Refused),
    ];
    for (change, reason) in changes {
        assert_eq!(on_the_primary(Circuit::Closed, change), Decision::Pass(reason, None));
    }
}

#[test]
fn s16_the_primary_mints_no_id_after_id_for_a_browser_that_drops_cookies() {
    assert_eq!(on_the_primary(Circuit::Closed, |facts| facts.fetch_site = Some("same-origin")), Decision::Probe);
    assert_eq!(on_the_primary(Circuit::Closed, |facts| facts.is_bare_client = true), Decision::Probe);
}

#[test]
fn s12_a_provisional_id_is_upgraded_when_the_broker_answers_and_once_a_day() {
    let provisional = |begun: Option<u64>| {
        let hop_begun = begun.map(UnixSeconds);
        move |facts: &mut Facts<'static>| facts.cookies = reading(SiteState { hop_begun, ..holding(1, Source::Provisional) })
    };
    let held = Some(identity(1, Source::Provisional));
    assert!(is_start(&with(provisional(None))));
    assert!(is_start(&with(provisional(Some(NOW.0 - DAY.as_secs())))));
    assert_eq!(with(provisional(Some(NOW.0 - DAY.as_secs() + 1))), Decision::Pass(Reason::HopPaused, held));
    assert_eq!(with_circuit(Circuit::Open, provisional(None)), Decision::Pass(Reason::BrokerDown, held));
    assert_eq!(with_circuit(Circuit::HalfOpen, provisional(None)), Decision::Pass(Reason::BrokerDown, held));
    assert_eq!(with_circuit(Circuit::Unprobed, provisional(None)), Decision::Pass(Reason::BrokerUnprobed, held));
    let in_flight = with(|facts| {
        provisional(None)(facts);
        facts.has_hop_cookie = true;
    });
    assert_eq!(in_flight, Decision::Pass(Reason::HopInFlight, held));
}

#[test]
fn no_provisional_id_before_the_broker_was_asked_or_while_a_hop_is_paused() {
    assert_eq!(with_circuit(Circuit::Unprobed, |_| {}), Decision::Pass(Reason::BrokerUnprobed, None));
    let paused = SiteState { hop_begun: Some(NOW), ..SiteState::default() };
    for circuit in CIRCUITS {
        assert_eq!(with_circuit(circuit, |facts| facts.cookies = reading(paused)), Decision::Pass(Reason::HopPaused, None));
    }
}

#[test]
fn no_provisional_id_for_who_is_no_page_visitor() {
    let granted_but_api = with_circuit(Circuit::Open, |facts| {
        facts.cookies = reading(SiteState { choice: Choice::Granted, ..SiteState::default() });
        facts.path_and_query = "/api/x";
    });
    assert_eq!(granted_but_api, Decision::Pass(Reason::Skipped, None));
    assert_eq!(with_circuit(Circuit::Open, |facts| facts.fetch_site = Some("same-origin")), Decision::Probe);
}
