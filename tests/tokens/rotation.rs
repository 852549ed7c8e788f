//! Rule K1: keys are rotated while tokens are minted every second, and not one token is refused.

use std::collections::HashMap;
use std::time::Duration;

use throughline::base::clock::UnixSeconds;
use throughline::base::id::VisitorId;
use throughline::token::claims::{CLOCK_SKEW, FlowSecret, TOKEN_LIFE_MAX, TokenId};
use throughline::token::jwks::read_jwks;
use throughline::token::key::{KeyId, Seed, SigningKey};
use throughline::token::keyset::{JWKS_MAX_AGE, KEEP_AFTER, KeySet, PUBLISH_AHEAD, TimedKey};
use throughline::token::mint::{Statement, Token, bounce_token};
use throughline::token::verify::{TokenRefusal, UnverifiedToken, Verifier};

use crate::forge::{AUDIENCE, ISSUER, NOW, VISITOR, origin};

fn key(number: u16, publish_at: UnixSeconds, activate_at: UnixSeconds) -> TimedKey {
    let mut seed = [0; 32];
    seed[..2].copy_from_slice(&number.to_le_bytes());
    TimedKey { key: SigningKey::from_seed(&seed).expect("a key"), seed: Seed::new(seed), publish_at, activate_at }
}

/// A key set that is rotated at these seconds after its beginning.
fn rotated_at(seconds: &[u64]) -> KeySet {
    let plan = KeySet::first_key_plan(UnixSeconds(NOW));
    let mut set = KeySet::new(vec![key(0, plan.publish_at, plan.activate_at)]);
    for (number, second) in (1..).zip(seconds) {
        let now = UnixSeconds(NOW + second);
        let plan = set.rotation_plan(now);
        set.rotate(key(number, plan.publish_at, plan.activate_at), now);
    }
    set
}

/// Everyone in the play: the site that mints, its JWKS as it stood at each second, and the sites that verify.
struct Play {
    /// The key sets from each rotation on: at `since`, the operator's file changed to this.
    files: Vec<(u64, KeySet)>,
    verifiers: HashMap<String, HashMap<KeyId, Verifier>>,
}

impl Play {
    /// The issuer's file changes at each of these seconds, and not before: nobody knows a key that is not yet made.
    fn new(rotations: &[u64]) -> Self {
        let files = (0..=rotations.len()).map(|count| {
            let since = if count == 0 { 0 } else { NOW + rotations[count - 1] };
            (since, rotated_at(&rotations[..count]))
        });
        Self { files: files.collect(), verifiers: HashMap::new() }
    }

    fn file(&self, now: u64) -> &KeySet {
        &self.files.iter().rev().find(|(since, _)| *since <= now).expect("the first file is from the beginning of time").1
    }

    fn mint(&self, now: u64) -> Token {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&now.to_le_bytes());
        let statement = Statement {
            issuer: &origin(ISSUER),
            audience: &origin(AUDIENCE),
            visitor: VisitorId::parse(VISITOR).expect("an ID"),
            now: UnixSeconds(now),
            life: TOKEN_LIFE_MAX,
            id: TokenId(id),
        };
        let signer = self.file(now).signing_key(UnixSeconds(now)).expect("a key");
        bounce_token(signer, &statement, FlowSecret::new([7; 16]).flow())
    }

    /// What a site says to `token` at `now`, with the JWKS that it fetched at `fetched`: by its text alone, as over a wire.
    fn verify(&mut self, token: &Token, fetched: u64, now: u64) -> Result<(), TokenRefusal> {
        let jwks = self.file(fetched).jwks(UnixSeconds(fetched));
        let verifiers = self.verifiers.entry(jwks).or_insert_with_key(|jwks| {
            let keys = read_jwks(jwks.as_bytes()).expect("what one site publishes, another can read");
            keys.into_iter().map(|key| (key.id(), Verifier::new(&origin(ISSUER), key, &origin(AUDIENCE)))).collect()
        });
        let token = UnverifiedToken::parse(token.as_str())?;
        let verifier = verifiers.get(&token.key_id()).ok_or(TokenRefusal::UnknownKey)?;
        token.verify(verifier, UnixSeconds(now)).map(drop)
    }
}

#[test]
fn k1_no_token_is_refused_through_several_rotations() {
    let (max_age, life, skew) = (JWKS_MAX_AGE.as_secs(), TOKEN_LIFE_MAX.as_secs(), CLOCK_SKEW.as_secs());
    // Far apart, close together, and while a key is still waiting to sign.
    let mut play = Play::new(&[500, 2000, 2001, 2030, 3600, 5000]);
    let mut signers = std::collections::HashSet::new();
    for minted in NOW..NOW + 7000 {
        let token = play.mint(minted);
        signers.insert(UnverifiedToken::parse(token.as_str()).expect("a token").key_id());
        for verified in [minted, minted + life + skew - 1] {
            for age in [0, 1, max_age] {
                let fetched = verified.saturating_sub(age).max(NOW);
                let verdict = play.verify(&token, fetched, verified);
                assert_eq!(verdict, Ok(()), "minted {}, verified {}, copy of {}", minted - NOW, verified - NOW, fetched - NOW);
            }
        }
    }
    assert_eq!(signers.len(), 7, "each key has signed");
}

/// The promises beyond the rule: two fetches may fail, and the clocks of two nodes may differ by the skew.
#[test]
fn k1_two_failed_fetches_and_skewed_clocks_do_no_harm() {
    let (life, skew) = (TOKEN_LIFE_MAX.as_secs(), CLOCK_SKEW.as_secs());
    let mut play = Play::new(&[1000, 1100, 3000]);
    for minted in NOW + 10..NOW + 5000 {
        let token = play.mint(minted);
        for (fetched, verified) in [
            // Published 900 seconds ahead: a copy that is three times as old as it should be still knows the key.
            (minted - 900, minted),
            // The site's clock is behind the issuer's, or ahead of it, and asks a node that agrees with it.
            (minted - skew, minted - skew),
            (minted + skew, minted + skew),
            // The last moment at which a site whose clock is behind takes the token; its copy is from a node ahead.
            (minted + life + 2 * skew - 1, minted + life + skew - 1),
        ] {
            let verdict = play.verify(&token, fetched.max(NOW), verified);
            assert_eq!(
                verdict,
                Ok(()),
                "minted {}, verified {}, copy of {}",
                minted - NOW,
                verified - NOW,
                fetched.max(NOW) - NOW
            );
        }
    }
}

/// The tests above would pass with keys that are never withdrawn. These are: a day later, only the last is published.
#[test]
fn k1_control_a_key_of_no_more_use_is_withdrawn_and_its_tokens_refused() {
    let mut play = Play::new(&[500]);
    let token = play.mint(NOW + 10);
    assert_eq!(play.verify(&token, NOW + 10, NOW + 10), Ok(()));
    let gone = 500 + PUBLISH_AHEAD.as_secs() + KEEP_AFTER.as_secs();
    assert_eq!(play.verify(&token, NOW + gone - 1, NOW + 10), Ok(()));
    assert_eq!(play.verify(&token, NOW + gone, NOW + 10), Err(TokenRefusal::UnknownKey));
    // And a key is not known before it is made: the play is honest.
    let later = play.mint(NOW + 500 + PUBLISH_AHEAD.as_secs());
    assert_eq!(play.verify(&later, NOW + 499, NOW + 500 + PUBLISH_AHEAD.as_secs()), Err(TokenRefusal::UnknownKey));
}

/// A script that rotates far too often must not lock everyone out: readers refuse a set with more than `KEYS_MAX` keys as a
/// whole, so a site must never publish so many, and no token may be refused meanwhile.
#[test]
fn k1_rotating_far_too_often_publishes_no_set_that_readers_refuse() {
    for pace in [0, 1, 30, 60, 100] {
        let rotations: Vec<u64> = (0..40).map(|number| 100 + number * pace).collect();
        let mut play = Play::new(&rotations);
        for minted in (NOW..NOW + 100 + 40 * pace + 40 * KEEP_AFTER.as_secs() + 2000).step_by(7) {
            let token = play.mint(minted);
            for fetched in [minted, minted.saturating_sub(JWKS_MAX_AGE.as_secs()).max(NOW)] {
                assert_eq!(play.verify(&token, fetched, minted), Ok(()), "a rotation every {pace} s, {} s in", minted - NOW);
            }
        }
    }
}

/// Rule A6: an issuer whose clock was set back before its first key still signs, with a key that it publishes.
#[test]
fn k1_a6_a_clock_before_every_key_signs_with_a_published_one() {
    let mut play = Play::new(&[500]);
    for early in [NOW - 1, NOW - 3600, NOW - Duration::from_secs(86_400).as_secs(), 10] {
        let token = play.mint(early);
        assert_eq!(play.verify(&token, early, early), Ok(()), "{early}");
    }
}
