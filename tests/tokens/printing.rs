//! Rules T9 and R8: what `Debug` prints, since logs and panics print with it. No secret, no visitor, no token.

use std::fmt::Debug;
use std::time::Duration;

use throughline::base::clock::UnixSeconds;
use throughline::base::id::VisitorId;
use throughline::base::random::CountingRandom;
use throughline::base::secret::{Purpose, SiteSecret};
use throughline::token::claims::{FlowSecret, TokenId};
use throughline::token::key::{Seed, SigningKey};
use throughline::token::keyset::{KeySet, TimedKey};
use throughline::token::mint::{Statement, bounce_token};
use throughline::token::verify::UnverifiedToken;

use crate::forge::{AUDIENCE, Forge, ISSUER, NOW, SEED, VISITOR, encode, origin, verdict};

/// Octets in the spellings in which they might get into a log: base64url, hexadecimal, and Rust's own lists.
fn spellings(secret: &[u8]) -> Vec<String> {
    let list = |parts: Vec<String>| parts.join(", ");
    vec![
        encode(secret),
        String::from_utf8_lossy(secret).into_owned(),
        secret.iter().map(|octet| format!("{octet:02x}")).collect(),
        list(secret.iter().map(u8::to_string).collect()),
        list(secret.iter().map(|octet| format!("{octet:#04x}")).collect()),
    ]
}

/// Eight octets in a row of a secret that either form of `Debug` shows, if any.
fn shown(value: &dyn Debug, secrets: &[&[u8]]) -> Option<String> {
    let pretty = format!("{value:#?}").split_whitespace().collect::<Vec<_>>().join(" ");
    let printed = format!("{value:?} {pretty}");
    secrets.iter().flat_map(|secret| secret.windows(8)).flat_map(spellings).find(|spelling| printed.contains(spelling))
}

fn prints_none_of(value: &dyn Debug, secrets: &[&[u8]]) {
    assert_eq!(shown(value, secrets), None, "{value:?}");
}

#[test]
fn t9_control_a_value_that_shows_octets_is_caught() {
    #[derive(Debug)]
    struct Careless<T>(T);
    assert!(shown(&Careless(SEED), &[&SEED]).is_some());
    assert!(shown(&Careless(encode(SEED)), &[&SEED]).is_some());
    assert!(shown(&Careless(&SEED[4..20]), &[&SEED]).is_some());
    assert!(shown(&format_args!("{:#x?}", [0x77_u8; 16]), &[&[0x77; 16]]).is_some());
    assert!(shown(&Careless(VISITOR), &[VISITOR.as_bytes()]).is_some());
}

#[test]
fn t9_keys_print_no_key() {
    let key = || SigningKey::from_seed(&SEED).expect("a key");
    let timed = || TimedKey { key: key(), seed: Seed::new(SEED), publish_at: UnixSeconds(NOW), activate_at: UnixSeconds(NOW) };
    prints_none_of(&key(), &[&SEED]);
    prints_none_of(&timed(), &[&SEED]);
    prints_none_of(&KeySet::new(vec![timed()]), &[&SEED]);
    prints_none_of(&Some(vec![timed()]), &[&SEED]);
}

#[test]
fn t9_secrets_and_what_is_derived_from_them_print_nothing() {
    let secret = SiteSecret::generate(&CountingRandom::default()).expect("a secret");
    let octets: Vec<u8> = (0..32).collect();
    assert_eq!(*secret.to_text(), encode(&octets), "the test knows the secret");
    prints_none_of(&secret, &[&octets]);
    for purpose in Purpose::ALL {
        prints_none_of(&secret.derive(purpose), &[&octets]);
    }
    prints_none_of(&FlowSecret::new(*b"the flow, hidden"), &[b"the flow, hidden"]);
}

#[test]
fn t9_r8_a_token_at_any_stage_prints_neither_itself_nor_the_visitor() {
    let statement = Statement {
        issuer: &origin(ISSUER),
        audience: &origin(AUDIENCE),
        visitor: VisitorId::parse(VISITOR).expect("an ID"),
        now: UnixSeconds(NOW),
        life: Duration::from_secs(60),
        id: TokenId([9; 16]),
    };
    let flow = FlowSecret::new([7; 16]).flow();
    let token = bounce_token(&SigningKey::from_seed(&SEED).expect("a key"), &statement, flow);
    let text = token.as_str();
    let visitor = [0, 1, 2, 3, 4, 5, 0x46, 7, 0x88, 9, 10, 11, 12, 13, 14, 15];
    let secrets: [&[u8]; 4] = [text.as_bytes(), VISITOR.as_bytes(), &visitor, &SEED];
    prints_none_of(&token, &secrets);
    prints_none_of(&statement, &secrets);
    prints_none_of(&UnverifiedToken::parse(text), &secrets);
    prints_none_of(&verdict(text), &secrets);
    prints_none_of(&verdict(text).map(|token| token.visitor()), &secrets);
    // Refusals are printed most of all.
    for end in [text.len() - 1, text.len() - 20, text.len() / 2, 10] {
        prints_none_of(&verdict(&text[..end]), &secrets);
    }
}

/// A `kid` is an outsider's text that is meant to be logged: it must not begin a line of its own, or colour one.
#[test]
fn t9_a7_a_key_name_cannot_write_into_a_log() {
    for kid in [
        r"ok\nERROR forged.",
        r"\u001b[31mred\u001b[0mmm",
        r"\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r",
        r"0123456789abcd\u0000\u007f",
        "has spaces in it",
    ] {
        let header = format!(r#"{{"typ":"throughline-bounce+jwt","alg":"EdDSA","kid":"{kid}"}}"#);
        let token = Forge::default().token(&header, "{}");
        let printed = UnverifiedToken::parse(&token).map(|token| format!("{token:?} {}", token.key_id()));
        assert!(printed.is_err(), "{printed:?}");
    }
}
