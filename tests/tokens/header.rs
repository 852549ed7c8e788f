//! Rules T1 to T3, the header: one algorithm, one type for each kind, and not one member more.

use ring::hmac;
use throughline::token::claims::TokenKind;

use crate::cases;
use crate::forge::{Forge, GoodClaims, NOW, code, encode, good_header, verdict};

/// Runs a list of headers over claims that are good, each signed with the right key.
fn refuses_headers(list: &'static str) {
    let forge = Forge::default();
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, encode(forge.public()));
    for case in cases::read(list) {
        let header = case.attack.replace("$KID", forge.kid().as_str()).replace("$JWK", &jwk);
        let token = forge.token(&header, &GoodClaims::bounce(NOW).json());
        assert_eq!(code(verdict(&token)), case.code, "{header}");
    }
}

#[test]
fn t1_the_key_chooses_the_algorithm_never_the_token() {
    refuses_headers(include_str!("data/t1_algorithms.txt"));
}

#[test]
fn t1_an_unsigned_token_is_refused() {
    let header = encode(good_header(TokenKind::Bounce).replace("EdDSA", "none"));
    let claims = encode(GoodClaims::bounce(NOW).json());
    for token in [format!("{header}.{claims}."), format!("{header}.{claims}"), format!("{header}.{claims}.AA")] {
        assert!(verdict(&token).is_err(), "{token}");
    }
}

/// The classic: the public key, which everyone has, used as the secret of an HMAC, in each form in which a library might
/// hold it.
#[test]
fn t1_an_hmac_with_the_public_key_as_its_secret_is_refused() {
    let public = Forge::default().public();
    // SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 section 10.1): a fixed prefix, then the key.
    let der = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00][..], &public].concat();
    let base64_der = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64_der}\n-----END PUBLIC KEY-----\n");
    let secrets = [public.to_vec(), encode(public).into_bytes(), der, pem.into_bytes(), Vec::new()];
    let hashes = [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)];
    for (alg, hash) in hashes {
        for secret in &secrets {
            // Said openly, and under the name of the right algorithm.
            for said in [alg, "EdDSA"] {
                let header = good_header(TokenKind::Bounce).replace("EdDSA", said);
                let message = format!("{}.{}", encode(header), encode(GoodClaims::bounce(NOW).json()));
                let tag = hmac::sign(&hmac::Key::new(hash, secret), message.as_bytes());
                let expected = if said == alg { "token_wrong_type" } else { "token_bad_signature" };
                assert_eq!(code(verdict(&format!("{message}.{}", encode(tag)))), expected, "{alg} as {said}");
            }
        }
    }
}

#[test]
fn t2_a_header_member_that_the_protocol_does_not_write_is_refused() {
    refuses_headers(include_str!("data/t2_header_members.txt"));
}

/// `b64: false` (RFC 7797) as it would really look: the claims stand in the token unencoded, and are signed so.
#[test]
fn t2_unencoded_claims_are_refused() {
    let forge = Forge::default();
    let header = good_header(TokenKind::Bounce).replace('}', r#","b64":false,"crit":["b64"]}"#);
    let claims = GoodClaims::bounce(NOW).json();
    assert_eq!(code(verdict(&forge.sign_parts(&encode(header), &claims))), "token_malformed");
    assert_eq!(code(verdict(&forge.sign_parts(&encode(good_header(TokenKind::Bounce)), &claims))), "token_malformed");
}

#[test]
fn t3_a_wrong_or_missing_type_is_refused() {
    refuses_headers(include_str!("data/t3_types.txt"));
}

/// The two kinds cannot be taken for each other: a link token has no flow, so that it answers no hop, and neither is
/// accepted with the other's claims.
#[test]
fn t3_a_link_token_is_no_bounce_token() {
    let forge = Forge::default();
    let (link, bounce) = (GoodClaims::link().json(), GoodClaims::bounce(NOW).json());
    let believed = verdict(&forge.token(&good_header(TokenKind::Link), &link)).expect("a link token");
    assert_eq!((believed.kind(), believed.flow()), (TokenKind::Link, None));
    assert_eq!(code(verdict(&forge.token(&good_header(TokenKind::Bounce), &link))), "token_bad_claims");
    assert_eq!(code(verdict(&forge.token(&good_header(TokenKind::Link), &bounce))), "token_bad_claims");
}

/// A link token names its client's network in one spelling, and a bounce token has none.
#[test]
fn l2_a_token_with_a_network_that_is_missing_malformed_or_out_of_place_is_refused() {
    let forge = Forge::default();
    let of = |kind, claims: GoodClaims| code(verdict(&forge.token(&good_header(kind), &claims.json())));
    assert_eq!(of(TokenKind::Link, GoodClaims::link()), "accepted");
    assert_eq!(of(TokenKind::Link, GoodClaims::link().without("net")), "token_bad_claims");
    for net in
        ["null", "\"\"", "\"AAA\"", "\"AAAAA\"", "\"AAA=\"", "\"AA+A\"", "\" AAAA\"", "0", "[]", "{}", "[\"AAAA\"]", "true"]
    {
        assert_eq!(of(TokenKind::Link, GoodClaims::link().with("net", net)), "token_bad_claims", "{net}");
        assert_eq!(of(TokenKind::Bounce, GoodClaims::bounce(NOW).and("net", net)), "token_bad_claims", "{net}");
    }
    assert_eq!(of(TokenKind::Bounce, GoodClaims::bounce(NOW).and("net", "\"AAAA\"")), "token_bad_claims");
    assert_eq!(of(TokenKind::Link, GoodClaims::link().and("net", "\"AAAA\"")), "token_bad_claims", "twice");
    assert_eq!(of(TokenKind::Link, GoodClaims::link().and("Net", "\"AAAA\"")), "token_bad_claims");
}

#[test]
fn t3_another_keys_token_is_refused_whatever_it_is_called() {
    let (issuer, other) = (Forge::default(), Forge::with_seed(&[5; 32]));
    let claims = GoodClaims::bounce(NOW).json();
    let under = |kid: &str| good_header(TokenKind::Bounce).replace(issuer.kid().as_str(), kid);
    assert_eq!(code(verdict(&other.token(&under(other.kid().as_str()), &claims))), "token_unknown_key");
    assert_eq!(code(verdict(&other.token(&under(issuer.kid().as_str()), &claims))), "token_bad_signature");
    assert_eq!(code(verdict(&issuer.token(&under(other.kid().as_str()), &claims))), "token_unknown_key");
}

#[test]
fn t5_a_broken_header_is_refused() {
    refuses_headers(include_str!("data/t5_headers.txt"));
}
