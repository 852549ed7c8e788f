//! A token (rules T1 to T6): `t` a whole token from anyone, `c` claims and `h` a header that the right key has signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ring::signature::Ed25519KeyPair;
use serde_json::Value;
use throughline::base::encoding::base64url;
use throughline::token::claims::{TOKEN_LENGTH_MAX, TokenKind};
use throughline::token::key::SigningKey;
use throughline::token::verify::{UnverifiedToken, VerifiedToken, Verifier};
use throughline_fuzz::{NOW, brand, mode_and_text, shop};

const SEED: [u8; 32] = [1; 32];
const CLAIMS: &str = r#"{"iss":"https://www.brand.example","aud":"https://shop.example","sub":"00010203-0405-4607-8809-0a0b0c0d0e0f","iat":1790000000,"exp":1790000060,"jti":"BwcHBwcHBwcHBwcHBwcHBw","flow":"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA"}"#;

fn sign(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let signature = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap().sign(message.as_bytes());
    format!("{message}.{}", base64url(signature.as_ref()))
}

fn header(kind: TokenKind, key: &SigningKey) -> String {
    format!(r#"{{"typ":"{}","alg":"EdDSA","kid":"{}"}}"#, kind.typ(), key.public().id())
}

/// What RFC 7519 and the protocol say of claims, read by another reader.
fn assert_claims(claims: &str, token: &VerifiedToken) {
    let claims: Value = serde_json::from_str(claims).unwrap();
    let object = claims.as_object().unwrap();
    assert_eq!(claims["iss"], brand().as_str());
    assert_eq!(claims["aud"], shop().as_str());
    assert_eq!(claims["sub"], token.visitor().to_string());
    let (issued_at, expires_at) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert!(issued_at < expires_at && expires_at - issued_at <= 60);
    assert!(issued_at <= NOW.0 + 5 && NOW.0 < expires_at + 5);
    assert!(claims["jti"].is_string());
    let is_bounce = token.kind() == TokenKind::Bounce;
    assert_eq!((is_bounce, is_bounce), (token.flow().is_some(), claims["flow"].is_string()));
    assert_eq!(is_bounce, claims.get("net").is_none(), "a link token names a network");
    assert!(object.keys().all(|name| ["iss", "aud", "sub", "iat", "exp", "jti", "flow", "net"].contains(&name.as_str())));
}

fuzz_target!(|data: &[u8]| {
    let Some((mode, text)) = mode_and_text(data) else { return };
    let key = SigningKey::from_seed(&SEED).unwrap();
    let verifier = Verifier::new(&brand(), key.public().clone(), &shop());
    let believe = |text: &str| UnverifiedToken::parse(text).and_then(|token| token.verify(&verifier, NOW));
    match mode {
        b'c' => {
            for kind in [TokenKind::Bounce, TokenKind::Link] {
                let signed = sign(&header(kind, &key), text);
                if let Ok(token) = believe(&signed) {
                    assert_eq!(token.kind(), kind);
                    assert!(signed.len() <= TOKEN_LENGTH_MAX);
                    assert_claims(text, &token);
                }
            }
        }
        b'h' => {
            if let Ok(token) = believe(&sign(text, CLAIMS)) {
                // Whatever its spelling, it says these three things and nothing else (rules T1 to T3).
                let header: Value = serde_json::from_str(text).unwrap();
                assert_eq!(header, serde_json::json!({"typ": token.kind().typ(), "alg": "EdDSA", "kid": key.public().id().as_str()}));
            }
        }
        _ => {
            if let Ok(token) = believe(text) {
                // The fuzzer has no key: it can only have left a seed as it is.
                let seed = match token.kind() {
                    TokenKind::Bounce => sign(&header(TokenKind::Bounce, &key), CLAIMS),
                    TokenKind::Link => sign(&header(TokenKind::Link, &key), &format!("{}}}", CLAIMS.split_once(",\"flow\"").unwrap().0)),
                };
                assert_eq!(text, seed);
            }
        }
    }
});
