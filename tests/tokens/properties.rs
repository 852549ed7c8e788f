//! What holds for any input: nothing panics, nothing that was changed is believed, and what is written can be read.

use std::time::Duration;

use proptest::prelude::*;
use throughline::base::clock::UnixSeconds;
use throughline::base::encoding::{base64url, from_base64url};
use throughline::base::id::VisitorId;
use throughline::base::network::Network;
use throughline::base::origin::Origin;
use throughline::base::random::{NoRandomness, Random};
use throughline::base::secret::SiteSecret;
use throughline::token::claims::{Flow, FlowSecret, TokenId, TokenKind};
use throughline::token::jwks::{read_jwks, write_jwks};
use throughline::token::key::{PublicKey, SigningKey};
use throughline::token::mint::{Statement, bounce_token, link_token};
use throughline::token::verify::{UnverifiedToken, Verifier};

use crate::forge::{AUDIENCE, Forge, ISSUER, encode, origin, verdict, verdict_at};

/// A source that gives what the test has drawn.
struct Drawn([u8; 16]);

impl Random for Drawn {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        bytes.copy_from_slice(&self.0[..bytes.len()]);
        Ok(())
    }
}

/// Nothing is kept between runs: a failure names its input, which then becomes a case of its own.
fn config() -> ProptestConfig {
    ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_good_token_with_any_character_changed_is_refused(at in any::<prop::sample::Index>(), other in 0_u8..128) {
        let good = Forge::default().good_token();
        let mut text = good.clone().into_bytes();
        let at = at.index(text.len());
        prop_assume!(text[at] != other);
        text[at] = other;
        prop_assert!(verdict(std::str::from_utf8(&text).expect("ASCII")).is_err());
    }

    #[test]
    fn a_good_token_with_any_part_cut_out_or_doubled_is_refused(from in any::<prop::sample::Index>(), length in 1_usize..200) {
        let good = Forge::default().good_token();
        let from = from.index(good.len());
        let to = (from + length).min(good.len());
        let cut = format!("{}{}", &good[..from], &good[to..]);
        let doubled = format!("{}{}", &good[..to], &good[from..]);
        prop_assert!(verdict(&cut).is_err());
        prop_assert!(verdict(&doubled).is_err());
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in "[ -~]{0,600}", unicode in any::<String>(), parts in "[A-Za-z0-9_-]{1,200}(\\.[A-Za-z0-9_-]{1,200}){2}") {
        prop_assert!(verdict(&text).is_err());
        prop_assert!(verdict(&unicode).is_err());
        prop_assert!(verdict(&parts).is_err());
    }

    /// Signed by the issuer itself, so that the readers of JSON are reached.
    #[test]
    fn any_signed_header_and_claims_are_refused_without_a_panic(header in any::<Vec<u8>>(), claims in any::<Vec<u8>>()) {
        let forge = Forge::default();
        prop_assert!(verdict(&forge.sign_parts(&encode(&header), &encode(&claims))).is_err());
        let good_header = crate::forge::good_header(TokenKind::Bounce);
        prop_assert!(verdict(&forge.sign_parts(&encode(good_header), &encode(&claims))).is_err());
    }

    #[test]
    fn what_is_minted_is_believed_as_it_was_said(
        seed: [u8; 32], visitor: [u8; 16], id: [u8; 16], flow: [u8; 16], clients: [[u8; 4]; 2], now: u32, life in 1_u64..=60, later in 0_u64..=64,
    ) {
        let key = SigningKey::from_seed(&seed).expect("any seed makes a key");
        let (issuer, audience) = (origin(ISSUER), origin(AUDIENCE));
        let visitor = VisitorId::mint(&Drawn(visitor)).expect("drawn");
        let (now, life) = (u64::from(now), Duration::from_secs(life));
        let statement = Statement { issuer: &issuer, audience: &audience, visitor, now: UnixSeconds(now), life, id: TokenId(id) };
        let flow = FlowSecret::new(flow).flow();
        let verifier = Verifier::new(&issuer, key.public().clone(), &audience);
        let read = |text: &str, now| UnverifiedToken::parse(text)?.verify(&verifier, UnixSeconds(now));

        let networks = clients.map(|octets| Network::of(octets.into()));
        let (bounce, link) = (bounce_token(&key, &statement, flow), link_token(&key, &statement, &networks[0]));
        let alive = later < life.as_secs() + 5;
        prop_assert_eq!(read(bounce.as_str(), now + later).is_ok(), alive);
        let (bounce, link) = (read(bounce.as_str(), now).unwrap(), read(link.as_str(), now).unwrap());
        prop_assert_eq!((bounce.kind(), bounce.visitor(), bounce.flow()), (TokenKind::Bounce, visitor, Some(flow)));
        prop_assert_eq!((link.kind(), link.visitor(), link.flow()), (TokenKind::Link, visitor, None));
        prop_assert!(link.is_for_network(&networks[0]) && !bounce.is_for_network(&networks[0]));
        // One in 2^24 other networks has the same tag.
        prop_assert_eq!(link.is_for_network(&networks[1]), networks[0] == networks[1]);
        // Another issuer's site believes none of it.
        prop_assert!(verdict_at(bounce_token(&key, &statement, flow).as_str(), now).is_err());
    }

    #[test]
    fn a_replay_key_follows_from_the_token_and_its_key(ids: [[u8; 16]; 2], seeds: [[u8; 32]; 2]) {
        prop_assume!(ids[0] != ids[1] && seeds[0] != seeds[1]);
        let (issuer, audience) = (origin(ISSUER), origin(AUDIENCE));
        let replay_key = |seed: &[u8; 32], id: [u8; 16], visitor: [u8; 16]| {
            let key = SigningKey::from_seed(seed).expect("a key");
            let visitor = VisitorId::mint(&Drawn(visitor)).expect("drawn");
            let life = Duration::from_secs(60);
            let statement = Statement { issuer: &issuer, audience: &audience, visitor, now: UnixSeconds(0), life, id: TokenId(id) };
            let token = link_token(&key, &statement, &Network::of([192, 0, 2, 1].into()));
            let verifier = Verifier::new(&issuer, key.public().clone(), &audience);
            UnverifiedToken::parse(token.as_str()).unwrap().verify(&verifier, UnixSeconds(0)).unwrap().replay_key()
        };
        let one = replay_key(&seeds[0], ids[0], [1; 16]);
        prop_assert_eq!(one, replay_key(&seeds[0], ids[0], [2; 16]));
        prop_assert_ne!(one, replay_key(&seeds[0], ids[1], [1; 16]));
        prop_assert_ne!(one, replay_key(&seeds[1], ids[0], [1; 16]));
    }

    #[test]
    fn base64url_has_one_text_for_each_value(bytes: [u8; 32], short: [u8; 16], text in "[A-Za-z0-9_=+/ -]{20,44}") {
        prop_assert_eq!(from_base64url(&base64url(&bytes)), Some(bytes));
        prop_assert_eq!(from_base64url(&base64url(&short)), Some(short));
        prop_assert_eq!(from_base64url::<16>(&base64url(&bytes)), None);
        prop_assert_eq!(from_base64url::<32>(&base64url(&short)), None);
        // Whatever is read is spelled the one way in which it would be written.
        if let Some(read) = from_base64url::<16>(&text) {
            prop_assert_eq!(base64url(&read), text.clone());
        }
        if let Some(read) = from_base64url::<32>(&text) {
            prop_assert_eq!(base64url(&read), text);
        }
    }

    #[test]
    fn flows_secrets_and_ids_read_any_text_without_a_panic(text in any::<String>(), near in "[A-Za-z0-9_-]{43}[\\r\\n]{0,2}") {
        for text in [&text, &near] {
            if let Some(secret) = SiteSecret::parse(text) {
                prop_assert_eq!(&**secret.to_text(), text.trim_end_matches(['\r', '\n']));
            }
            if let Some(flow) = Flow::parse(text) {
                prop_assert_eq!(&base64url(flow.as_bytes()), text);
            }
            let _ = (FlowSecret::parse(text), VisitorId::parse(text), throughline::token::key::KeyId::parse(text));
        }
    }

    /// What is accepted is exactly what was written, and can go into JSON, a header or HTML as it is.
    #[test]
    fn an_origin_is_accepted_as_it_is_written_or_not_at_all(
        any in any::<String>(), near in "https?://[a-z0-9.@:\\[\\]-]{0,20}", host in "https://[!-~\\u{80}-\\u{17f}]{1,12}\\.example(:[0-9]{1,5})?",
    ) {
        for text in [&any, &near, &host] {
            if let Ok(origin) = Origin::parse(text) {
                prop_assert_eq!(origin.as_str(), text);
                prop_assert_eq!(&format!("{}://{}", if origin.is_https() { "https" } else { "http" }, origin.authority()), text);
                prop_assert!(origin.authority().starts_with(origin.host()));
                prop_assert!(origin.is_https() || origin.is_loopback());
                prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b":/.-_[]".contains(&b)), "{}", text);
                prop_assert_eq!(Origin::parse(origin.as_str()), Ok(origin));
            }
        }
    }

    #[test]
    fn a_jwks_is_read_without_a_panic(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), other: u8, seed: [u8; 32]) {
        let _ = read_jwks(&bytes);
        let key = SigningKey::from_seed(&seed).expect("a key");
        let mut set = write_jwks(std::iter::once(key.public())).into_bytes();
        prop_assert_eq!(*read_jwks(&set).unwrap()[0].x(), *key.public().x());
        let at = at.index(set.len());
        set[at] = other;
        // A changed set may still be a good one (another order, a member that nobody reads): never with another key.
        if let Ok(keys) = read_jwks(&set) {
            prop_assert_eq!(keys.iter().map(PublicKey::id).collect::<Vec<_>>(), vec![key.public().id()]);
        }
    }
}
