//! What the arrival of a really minted and verified token changes (rules R4, R5, R6, L2, L3).

use throughline::base::clock::UnixSeconds;
use throughline::domain::arrival::{Alias, Refusal, adopt, check};
use throughline::domain::consent::Choice;
use throughline::domain::site_cookie::{Identity, SiteState, Source};

use super::common::{NOW, bounce, brand, flow, holding, learn, link, visitor};

const LATER: UnixSeconds = UnixSeconds(NOW.0 + 5);

#[test]
fn r4_a_bounce_token_counts_only_in_the_browser_that_began_its_hop() {
    let token = bounce(visitor(1), flow(1));
    assert_eq!(check(&token, &brand(), Some(flow(1)), None), Ok(()));
    assert_eq!(check(&token, &brand(), Some(flow(2)), None), Err(Refusal::WrongFlow), "a victim with a hop of their own");
    assert_eq!(check(&token, &brand(), None, None), Err(Refusal::WrongFlow), "a victim without one");
    // What counts for the one kind is nothing for the other.
    assert_eq!(check(&token, &brand(), None, Some(brand().as_str())), Err(Refusal::WrongFlow));
}

#[test]
fn l2_a_link_token_counts_only_from_a_page_of_its_issuer() {
    let token = link(visitor(1));
    assert_eq!(check(&token, &learn(), None, Some("https://learn.example")), Ok(()));
    for referrer in [
        None,
        Some(""),
        Some("null"),
        Some("https://evil.example"),
        Some("https://learn.example."),
        Some("https://learn.example:443"),
        Some("http://learn.example"),
        Some("https://LEARN.example"),
        Some("https://learn.example/"),
        Some("https://learn.example.evil.example"),
    ] {
        assert_eq!(check(&token, &learn(), Some(flow(1)), referrer), Err(Refusal::WrongReferrer), "{referrer:?}");
    }
}

#[test]
fn a_first_token_brings_the_id_and_ends_the_pause() {
    let before = SiteState { hop_begun: Some(NOW), choice: Choice::Granted, ..SiteState::default() };
    for (token, source) in [(bounce(visitor(1), flow(1)), Source::Broker), (link(visitor(1)), Source::Link)] {
        let (after, alias) = adopt(&token, &before, LATER);
        assert_eq!(after.identity, Some(Identity { visitor: visitor(1), source, created: LATER }));
        assert_eq!((after.choice, after.hop_begun, alias), (Choice::Granted, None, None));
    }
}

#[test]
fn l3_r5_a_different_id_stays_and_one_alias_is_recorded() {
    for held in [Source::Broker, Source::Link] {
        for token in [bounce(visitor(2), flow(1)), link(visitor(2))] {
            let before = holding(1, held);
            let (after, alias) = adopt(&token, &before, LATER);
            assert_eq!(after.identity, before.identity, "not even its creation moves (rule B8)");
            assert_eq!(alias, Some(Alias { from: visitor(1), to: visitor(2) }));
        }
    }
}

#[test]
fn r5_the_same_id_again_changes_nothing() {
    for token in [bounce(visitor(1), flow(1)), link(visitor(1))] {
        for held in [Source::Broker, Source::Link] {
            let before = holding(1, held);
            assert_eq!(adopt(&token, &before, LATER), (before, None));
        }
    }
}

#[test]
fn a_provisional_id_gives_way_to_the_brokers_alone() {
    let before = holding(1, Source::Provisional);
    let (after, alias) = adopt(&bounce(visitor(2), flow(1)), &before, LATER);
    assert_eq!(after.identity, Some(Identity { visitor: visitor(2), source: Source::Broker, created: LATER }));
    assert_eq!(alias, Some(Alias { from: visitor(1), to: visitor(2) }));

    let (after, alias) = adopt(&link(visitor(2)), &before, LATER);
    assert_eq!(after.identity, before.identity, "a link token counts only where there is no ID (rule L2)");
    assert_eq!(alias, Some(Alias { from: visitor(1), to: visitor(2) }));
}

#[test]
fn s12_a_link_token_that_brings_no_id_does_not_end_the_pause() {
    let before = SiteState { hop_begun: Some(NOW), ..holding(1, Source::Provisional) };
    let (after, _) = adopt(&link(visitor(2)), &before, LATER);
    assert_eq!(after.hop_begun, Some(NOW), "the hop failed less than a day ago, and the ID is still provisional");
}

#[test]
fn c1_no_token_writes_over_a_refusal() {
    // `decide` and the satellite refuse earlier (rule R6). Should both fail, the cookie still says `denied`, and no ID.
    for token in [bounce(visitor(1), flow(1)), link(visitor(1))] {
        let (after, _) = adopt(&token, &SiteState::DENIED, LATER);
        assert_eq!(after.write(&super::common::cookie_key()), "denied");
    }
}
