//! The one request that does start a hop, the sites it is asked of, and really minted tokens.

use std::time::Duration;

use proptest::prelude::*;
use throughline::base::clock::UnixSeconds;
use throughline::base::id::VisitorId;
use throughline::base::network::Network;
use throughline::base::origin::Origin;
use throughline::base::random::{CountingRandom, random_bytes};
use throughline::base::secret::{MacKey, Purpose, SiteSecret};
use throughline::domain::breaker::Circuit;
use throughline::domain::consent::ConsentPolicy;
use throughline::domain::decision::{Decision, Facts, decide};
use throughline::domain::site::{Role, Site, SkipList};
use throughline::domain::site_cookie::{Identity, Reading, SiteState, Source};
use throughline::token::claims::{Flow, FlowSecret, TokenId};
use throughline::token::key::SigningKey;
use throughline::token::mint::{Statement, Token, bounce_token, link_token};
use throughline::token::verify::{UnverifiedToken, VerifiedToken, Verifier};

pub(crate) const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
pub(crate) const COOKIE_LIFE: Duration = Duration::from_secs(395 * 86_400);
pub(crate) const CHROME: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";

pub(crate) fn brand() -> Origin {
    Origin::parse("https://www.brand.example").unwrap()
}

pub(crate) fn shop() -> Origin {
    Origin::parse("https://shop.example").unwrap()
}

pub(crate) fn learn() -> Origin {
    Origin::parse("https://learn.example").unwrap()
}

pub(crate) fn secret() -> SiteSecret {
    SiteSecret::generate(&CountingRandom::default()).unwrap()
}

pub(crate) fn cookie_key() -> MacKey {
    secret().derive(Purpose::LocalCookie)
}

pub(crate) fn site(role: Role, consent: ConsentPolicy) -> Site {
    let (cookie_key, hop_key) = Site::keys(role, &secret());
    Site {
        origin: if role == Role::Primary { brand() } else { shop() },
        role,
        consent,
        honour_gpc: true,
        legacy_browsers: false,
        skip: SkipList::new(&[]).unwrap(),
        cookie_life: COOKIE_LIFE,
        cookie_key,
        hop_key,
        api_key: secret().api_key(),
        other: None,
        satellite: None,
    }
}

/// The shop, where consent stands until somebody says no.
pub(crate) fn the_shop() -> Site {
    site(Role::Secondary, ConsentPolicy::Implied)
}

/// A first visit that comes from outside: the one request that starts a hop.
pub(crate) fn control() -> Facts<'static> {
    Facts {
        path_and_query: "/p?x=1",
        is_get: true,
        fetch_dest: Some("document"),
        fetch_mode: Some("navigate"),
        fetch_site: Some("cross-site"),
        is_speculative: false,
        accepts_html: true,
        is_partial_or_scripted: false,
        user_agent: Some(CHROME),
        gpc: false,
        cookies: Reading::default(),
        has_hop_cookie: false,
        is_bare_client: false,
    }
}

/// What is decided on the control request with one fact changed.
pub(crate) fn with(change: impl FnOnce(&mut Facts<'static>)) -> Decision {
    with_circuit(Circuit::Closed, change)
}

/// The same with the broker in another state.
pub(crate) fn with_circuit(circuit: Circuit, change: impl FnOnce(&mut Facts<'static>)) -> Decision {
    let mut facts = control();
    change(&mut facts);
    decide(&facts, &the_shop(), circuit, NOW)
}

pub(crate) fn is_start(decision: &Decision) -> bool {
    matches!(decision, Decision::Start(_))
}

pub(crate) fn circuits() -> impl Strategy<Value = Circuit> {
    proptest::sample::select(vec![Circuit::Closed, Circuit::Open, Circuit::HalfOpen, Circuit::Unprobed])
}

/// A visitor for each number.
pub(crate) fn visitor(number: u8) -> VisitorId {
    let random = CountingRandom::default();
    for _ in 0..number {
        let _: [u8; 1] = random_bytes(&random).unwrap();
    }
    VisitorId::mint(&random).unwrap()
}

pub(crate) fn identity(number: u8, source: Source) -> Identity {
    Identity { visitor: visitor(number), source, created: NOW }
}

pub(crate) fn holding(number: u8, source: Source) -> SiteState {
    SiteState { identity: Some(identity(number, source)), ..SiteState::default() }
}

pub(crate) fn reading(state: SiteState) -> Reading {
    Reading { seen: true, state, ..Reading::default() }
}

pub(crate) fn flow(number: u8) -> Flow {
    FlowSecret::new([number; 16]).flow()
}

/// A bounce token about `visitor`, minted by the brand for the shop and verified there.
pub(crate) fn bounce(visitor: VisitorId, flow: Flow) -> VerifiedToken {
    let key = SigningKey::from_seed(&[1; 32]).unwrap();
    let (issuer, audience) = (brand(), shop());
    verified(&key, &bounce_token(&key, &statement(&issuer, &audience, visitor), flow), &issuer, &audience)
}

/// The network of an address.
pub(crate) fn network(address: &str) -> Network {
    Network::of(address.parse().unwrap())
}

/// A link token about `visitor`, minted by `learn` for a client on 192.0.2.0/24 at the shop, and verified there.
pub(crate) fn link(visitor: VisitorId) -> VerifiedToken {
    link_for(visitor, "192.0.2.1")
}

/// The same for a client at another address.
pub(crate) fn link_for(visitor: VisitorId, client: &str) -> VerifiedToken {
    let key = SigningKey::from_seed(&[2; 32]).unwrap();
    let (issuer, audience) = (learn(), shop());
    verified(&key, &link_token(&key, &statement(&issuer, &audience, visitor), &network(client)), &issuer, &audience)
}

fn statement<'a>(issuer: &'a Origin, audience: &'a Origin, visitor: VisitorId) -> Statement<'a> {
    Statement { issuer, audience, visitor, now: NOW, life: Duration::from_secs(60), id: TokenId([7; 16]) }
}

fn verified(key: &SigningKey, token: &Token, issuer: &Origin, audience: &Origin) -> VerifiedToken {
    let verifier = Verifier::new(issuer, key.public().clone(), audience);
    UnverifiedToken::parse(token.as_str()).unwrap().verify(&verifier, NOW).unwrap()
}
