//! Rules T5 and T6, the text: one spelling of one token, and not too much of it.

use throughline::token::claims::{TOKEN_LENGTH_MAX, TokenKind};
use throughline::token::verify::{TokenRefusal, UnverifiedToken};

use crate::cases;
use crate::forge::{Forge, GoodClaims, NOW, code, encode, good_header, verdict};

fn parts(token: &str) -> [&str; 3] {
    let parts: Vec<_> = token.split('.').collect();
    parts.try_into().expect("three parts")
}

#[test]
fn t5_only_a_compact_jws_is_a_token() {
    let token = Forge::default().good_token();
    let [header, claims, signature] = parts(&token);
    let fill = |text: String| text.replace("{H}", header).replace("{C}", claims).replace("{S}", signature);
    assert_eq!(code(verdict(&fill("{H}.{C}.{S}".into()))), "accepted");
    for case in cases::read(include_str!("data/t5_shapes.txt")) {
        let text = fill(cases::unescape(case.attack));
        assert_eq!(code(verdict(&text)), case.code, "{}", case.attack);
    }
    assert_eq!(code(verdict("")), "token_malformed");
}

/// A reader that skips what it does not know would take each of these for the token.
#[test]
fn t5_nothing_can_be_slipped_in_anywhere() {
    let token = Forge::default().good_token();
    for at in 0..=token.len() {
        for more in [" ", "\n", "\r", "\t", "\0", "=", "+", "/", ".", "%", "\u{7f}", "\u{e9}", "\u{200b}", "\u{feff}"] {
            let text = format!("{}{more}{}", &token[..at], &token[at..]);
            assert_eq!(verdict(&text), Err(TokenRefusal::Malformed), "{more:?} at {at}");
        }
    }
}

/// Texts other than `part` that a lenient reader decodes to the same bytes: the unused last bits are not zero.
fn other_spellings(part: &str) -> Vec<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let unused = match part.len() % 4 {
        2 => 16,
        3 => 4,
        _ => 1,
    };
    let (rest, last) = part.split_at(part.len() - 1);
    let index = ALPHABET.iter().position(|&letter| letter == last.as_bytes()[0]).expect("base64url");
    (index + 1..index + unused).map(|other| format!("{rest}{}", char::from(ALPHABET[other]))).collect()
}

/// Signed as they are spelled, so that only the spelling is wrong.
#[test]
fn t5_a_part_has_one_spelling() {
    let forge = Forge::default();
    // One and two spaces after the JSON make parts with four and two unused bits.
    for (header_room, claims_room) in [(1, 1), (2, 2), (0, 1), (1, 0), (2, 1)] {
        let header = encode(good_header(TokenKind::Bounce) + &" ".repeat(header_room));
        let claims = encode(GoodClaims::bounce(NOW).json() + &" ".repeat(claims_room));
        assert_eq!(code(verdict(&forge.sign_parts(&header, &claims))), "accepted");
        for other in other_spellings(&header) {
            assert_eq!(code(verdict(&forge.sign_parts(&other, &claims))), "token_malformed", "{other}");
        }
        for other in other_spellings(&claims) {
            assert!(verdict(&forge.sign_parts(&header, &other)).is_err(), "{other}");
        }
    }
    let token = forge.good_token();
    let [header, claims, signature] = parts(&token);
    let others = other_spellings(signature);
    assert_eq!(others.len(), 15, "64 octets leave four bits unused");
    for other in others {
        assert_eq!(code(verdict(&format!("{header}.{claims}.{other}"))), "token_malformed", "{other}");
    }
}

#[test]
fn t5_the_test_of_spellings_reaches_each_part() {
    let lengths = |text: String| (0..3).map(|room| other_spellings(&encode(text.clone() + &" ".repeat(room))).len()).max();
    assert_eq!(lengths(good_header(TokenKind::Bounce)), Some(15));
    assert_eq!(lengths(GoodClaims::bounce(NOW).json()), Some(15));
}

/// A good token of exactly `length` octets: white space in the signed JSON means nothing.
fn token_of_length(length: usize) -> String {
    let forge = Forge::default();
    let [header, claims] = [good_header(TokenKind::Bounce), GoodClaims::bounce(NOW).json()];
    // Base64url texts of one length in four do not exist: the header's room makes up for it.
    (0..3)
        .flat_map(|header_room| (0..length).map(move |claims_room| (header_room, claims_room)))
        .find(|(header_room, claims_room)| {
            let encoded = |bytes: usize| (bytes * 4).div_ceil(3);
            encoded(header.len() + header_room) + encoded(claims.len() + claims_room) + encoded(64) + 2 == length
        })
        .map(|(header_room, claims_room)| forge.token(&(header + &" ".repeat(header_room)), &(claims + &" ".repeat(claims_room))))
        .expect("a token of that length")
}

#[test]
fn t6_the_longest_token_is_looked_at_and_a_longer_one_is_not() {
    for (length, expected) in [(2047, "accepted"), (2048, "accepted"), (2049, "token_too_long"), (4096, "token_too_long")] {
        let token = token_of_length(length);
        assert_eq!(token.len(), length);
        assert_eq!(code(verdict(&token)), expected, "{length} octets");
    }
    assert_eq!(TOKEN_LENGTH_MAX, 2048);
}

/// Too long comes before everything else: not even the shape of such a text is looked at.
#[test]
fn t6_what_is_too_long_is_not_decoded() {
    for text in ["x".repeat(2049), ".".repeat(2049), "\u{e9}".repeat(1025), "\0".repeat(1 << 20), "A".repeat(1 << 20) + ".A.A"] {
        assert_eq!(UnverifiedToken::parse(&text).err(), Some(TokenRefusal::TooLong));
    }
    assert_eq!(UnverifiedToken::parse(&"x".repeat(2048)).err(), Some(TokenRefusal::Malformed));
}
