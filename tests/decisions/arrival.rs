//! What the arrival of a really minted and verified token changes (rules R4, R5, R6, L2, L3).

use throughline::base::clock::UnixSeconds;
use throughline::domain::arrival::{Alias, Bearer, Refusal, adopt, check};
use throughline::domain::consent::Choice;
use throughline::domain::site_cookie::{Identity, SiteState, Source};

use super::common::{NOW, bounce, brand, flow, holding, learn, link, link_for, network, visitor};

const LATER: UnixSeconds = UnixSeconds(NOW.0 + 5);

#[test]
fn r4_a_bounce_token_counts_only_in_the_browser_that_began_its_hop() {
    let token = bounce(visitor(1), flow(1));
    let with_flow = |flow| check(&token, &brand(), &Bearer { flow, ..Bearer::default() });
    assert_eq!(with_flow(Some(flow(1))), Ok(()));
    assert_eq!(with_flow(Some(flow(2))), Err(Refusal::WrongFlow), "a victim with a hop of their own");
    assert_eq!(with_flow(None), Err(Refusal::WrongFlow), "a victim without one");
    // What counts for the one kind is nothing for the other.
    let (brand, network) = (brand(), Some(network("192.0.2.1")));
    let linked = Bearer { flow: None, referrer: Some(brand.as_str()), network };
    assert_eq!(check(&token, &brand, &linked), Err(Refusal::WrongFlow));
}

#[test]
fn l2_a_link_token_counts_only_from_a_page_of_its_issuer() {
    let token = link(visitor(1));
    let network = Some(network("192.0.2.1"));
    let from = |flow, referrer| check(&token, &learn(), &Bearer { flow, referrer, network });
    assert_eq!(from(None, Some("https://learn.example")), Ok(()));
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
        assert_eq!(from(Some(flow(1)), referrer), Err(Refusal::WrongReferrer), "{referrer:?}");
    }
}

#[test]
fn l2_a_link_token_counts_only_on_the_network_that_it_names() {
    for (made_for, brought_from, expected) in [
        ("192.0.2.1", Some("192.0.2.254"), Ok(())),
        ("192.0.2.1", Some("::ffff:192.0.2.9"), Ok(())),
        ("::ffff:192.0.2.9", Some("192.0.2.1"), Ok(())),
        ("192.0.2.1", Some("192.0.3.1"), Err(Refusal::WrongNetwork)),
        ("192.0.2.1", Some("2001:db8:1::1"), Err(Refusal::WrongNetwork)),
        ("2001:db8:1::1", Some("2001:db8:1:ffff::2"), Ok(())),
        ("2001:db8:1::1", Some("2001:db8:2::1"), Err(Refusal::WrongNetwork)),
        ("2001:db8:1::1", Some("192.0.2.1"), Err(Refusal::WrongNetwork)),
        ("127.0.0.1", Some("127.0.0.2"), Ok(())),
        ("127.0.0.1", Some("127.0.1.1"), Err(Refusal::WrongNetwork)),
        ("192.0.2.1", None, Err(Refusal::NoNetwork)),
    ] {
        let token = link_for(visitor(1), made_for);
        let network = brought_from.map(network);
        let bearer = Bearer { flow: None, referrer: Some("https://learn.example"), network };
        assert_eq!(check(&token, &learn(), &bearer), expected, "{made_for}, {brought_from:?}");
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
            assert_eq!(alias, Some(Alias { from: visitor(1), to: visitor(2), was_provisional: false }));
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
    assert_eq!(alias, Some(Alias { from: visitor(1), to: visitor(2), was_provisional: true }));

    let (after, alias) = adopt(&link(visitor(2)), &before, LATER);
    assert_eq!(after.identity, before.identity, "a link token counts only where there is no ID (rule L2)");
    assert_eq!(alias, Some(Alias { from: visitor(1), to: visitor(2), was_provisional: true }));
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
