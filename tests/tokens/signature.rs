//! Rule T8: one signature for one message and key, and no key under which anyone can sign.

use ed25519_dalek::Verifier as _;
use throughline::token::claims::TokenKind;
use throughline::token::jwks::read_jwks;
use throughline::token::key::{KeyId, KeyMistake, PublicKey, SigningKey};

use crate::cases;
use crate::forge::{Forge, GoodClaims, NOW, code, encode, good_header, verdict};

/// The order of the base point, 2^252 + 27742317777372353535851937790883648493 (RFC 8032 section 5.1), little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0x10,
];

fn message() -> String {
    format!("{}.{}", encode(good_header(TokenKind::Bounce)), encode(GoodClaims::bounce(NOW).json()))
}

/// What the site says to the good header and claims with this signature.
fn verdict_on(signature: &[u8]) -> &'static str {
    code(verdict(&format!("{}.{}", message(), encode(signature))))
}

/// The signature with `times` times the order added to S; `None` when the sum does not fit in 32 octets.
fn plus_order(mut signature: [u8; 64], times: usize) -> Option<[u8; 64]> {
    for _ in 0..times {
        let mut carry = 0;
        for (octet, order) in signature[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*octet) + u16::from(order) + carry;
            let [low, high] = sum.to_le_bytes();
            *octet = low;
            carry = u16::from(high);
        }
        if carry != 0 {
            return None;
        }
    }
    Some(signature)
}

/// S and S + L satisfy the same equation. Were both taken, one token would have two texts.
#[test]
fn t8_a_signature_with_the_order_added_is_refused() {
    let good = Forge::default().signature(&message());
    assert_eq!(verdict_on(&good), "accepted");
    let others: Vec<_> = (1..).map_while(|times| plus_order(good, times)).collect();
    assert!(others.len() >= 14, "2^256 has room for some 15 orders");
    for other in others {
        assert_eq!(verdict_on(&other), "token_bad_signature", "{other:02x?}");
    }
    // The arithmetic is right: an implementation that reduces S first would see the same scalar.
    let order_plus_zero = plus_order([0; 64], 1).expect("it fits");
    assert_eq!(order_plus_zero[32..], ORDER);
    assert_eq!(verdict_on(&order_plus_zero), "token_bad_signature");
}

#[test]
fn t8_a_signature_of_nothing_is_refused() {
    let good = Forge::default().signature(&message());
    let (r, s) = good.split_at(32);
    let identity = [&[1][..], &[0; 31]].concat();
    for signature in [
        vec![0; 64],
        vec![0xff; 64],
        [identity.as_slice(), &[0; 32]].concat(),
        [identity.as_slice(), s].concat(),
        [r, &[0; 32]].concat(),
        [s, r].concat(),
        [&[0; 32], s].concat(),
        good[..63].to_vec(),
        good[..32].to_vec(),
        vec![0],
        [&good[..], &[0]].concat(),
        [&[0], &good[..]].concat(),
        [good, good].concat(),
    ] {
        assert_eq!(verdict_on(&signature), "token_bad_signature", "{signature:02x?}");
    }
}

#[test]
fn t8_a_signature_is_over_all_of_the_text_and_by_this_key() {
    let forge = Forge::default();
    let claims = encode(GoodClaims::bounce(NOW).json());
    let header = encode(good_header(TokenKind::Bounce));
    // Each signs something from which a lenient verifier could build the same claims.
    for signed in [
        claims.clone(),
        header.clone(),
        format!("{header}{claims}"),
        format!("{header}.{claims}."),
        GoodClaims::bounce(NOW).json(),
    ] {
        assert_eq!(verdict_on(&forge.signature(&signed)), "token_bad_signature", "{signed}");
    }
    assert_eq!(verdict_on(&Forge::with_seed(&[5; 32]).signature(&message())), "token_bad_signature");
}

fn low_order_keys() -> impl Iterator<Item = [u8; 32]> {
    cases::read(include_str!("data/t8_low_order_keys.txt")).into_iter().map(|case| {
        let octet = |at: usize| u8::from_str_radix(&case.attack[at * 2..at * 2 + 2], 16).expect("hexadecimal");
        std::array::from_fn(octet)
    })
}

/// The danger is real: under the key of order 1 this one signature is good for every message, and implementations that
/// follow RFC 8032 to the letter say so.
#[test]
fn t8_control_anyone_can_sign_under_a_low_order_key() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let dalek = ed25519_dalek::VerifyingKey::from_bytes(&identity).expect("a point");
    let library = jsonwebtoken::DecodingKey::from_ed_der(&identity);
    for message in ["", "anything", &message()] {
        assert!(dalek.verify(message.as_bytes(), &ed25519_dalek::Signature::from_bytes(&signature)).is_ok());
        let believed =
            jsonwebtoken::crypto::verify(&encode(signature), message.as_bytes(), &library, jsonwebtoken::Algorithm::EdDSA);
        assert_eq!(believed.ok(), Some(true), "the library below us does not look at the key");
    }
}

#[test]
fn t8_a_low_order_key_is_refused_when_it_is_loaded() {
    assert_eq!(low_order_keys().count(), 14);
    for x in low_order_keys() {
        assert_eq!(PublicKey::new(x).err(), Some(KeyMistake::LowOrder), "{x:02x?}");
        if let Ok(point) = ed25519_dalek::VerifyingKey::from_bytes(&x) {
            assert!(point.is_weak(), "{x:02x?} is not what the list says");
        }
        let jwk = |x: &[u8; 32]| {
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}","kid":"{}","use":"sig","alg":"EdDSA"}}"#, encode(x), KeyId::of(x))
        };
        let good = jwk(SigningKey::from_seed(&[1; 32]).expect("a key").public().x());
        assert!(read_jwks(format!(r#"{{"keys":[{good}]}}"#).as_bytes()).is_ok());
        for set in [jwk(&x), format!("{good},{}", jwk(&x)), format!("{},{good}", jwk(&x))] {
            let mistake = read_jwks(format!(r#"{{"keys":[{set}]}}"#).as_bytes()).expect_err(&set);
            assert!(mistake.to_string().contains("low order"), "{mistake}");
        }
    }
}
