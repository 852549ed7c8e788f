//! What we mint, checked by another implementation and against the letter of the protocol.

use std::time::Duration;

use throughline::base::clock::UnixSeconds;
use throughline::base::id::VisitorId;
use throughline::base::network::Network;
use throughline::token::claims::{Flow, FlowSecret, TokenId, TokenKind};
use throughline::token::key::SigningKey;
use throughline::token::mint::{Statement, Token, bounce_token, link_token};

use crate::forge::{AUDIENCE, CLIENT, Forge, GoodClaims, ISSUER, NET, NOW, SEED, VISITOR, encode, good_header, origin, verdict};

fn mint(kind: TokenKind) -> Token {
    let key = SigningKey::from_seed(&SEED).expect("a key");
    let statement = Statement {
        issuer: &origin(ISSUER),
        audience: &origin(AUDIENCE),
        visitor: VisitorId::parse(VISITOR).expect("an ID"),
        now: UnixSeconds(NOW),
        life: Duration::from_secs(60),
        id: TokenId([9; 16]),
    };
    match kind {
        TokenKind::Bounce => bounce_token(&key, &statement, Flow::parse(&encode([7; 32])).expect("a flow")),
        TokenKind::Link => link_token(&key, &statement, &Network::of(CLIENT.parse().expect("an address"))),
    }
}

fn decode(part: &str) -> Vec<u8> {
    base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, part).expect("base64url")
}

/// Ed25519 leaves nothing to chance, so that two implementations that agree on every octet of the header, the claims and the
/// signature mint the same text.
#[test]
fn the_forge_and_the_mint_agree_on_every_octet() {
    assert_eq!(mint(TokenKind::Bounce).as_str(), Forge::default().good_token());
    let link = Forge::default().token(&good_header(TokenKind::Link), &GoodClaims::link().json());
    assert_eq!(mint(TokenKind::Link).as_str(), link);
}

#[test]
fn another_implementation_verifies_what_we_mint() {
    for kind in [TokenKind::Bounce, TokenKind::Link] {
        let token = mint(kind);
        let (message, signature) = token.as_str().rsplit_once('.').expect("a signature");
        let signature = ed25519_dalek::Signature::from_slice(&decode(signature)).expect("64 octets");
        let key = ed25519_dalek::VerifyingKey::from_bytes(&Forge::default().public()).expect("a key");
        // The strict one: it refuses low-order points and unreduced scalars as well.
        key.verify_strict(message.as_bytes(), &signature).expect("a good signature");
    }
}

/// The wire format, written out once more and by hand: whoever changes it must change this too.
#[test]
fn the_wire_format_is_as_documented() {
    let expected_claims = r#"{"iss":"https://id.example","aud":"https://shop.example","sub":"00010203-0405-4607-8809-0a0b0c0d0e0f","iat":1790000000,"exp":1790000060,"jti":"CQkJCQkJCQkJCQkJCQkJCQ""#;
    let flow = r#","flow":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc""#.to_owned();
    let net = format!(r#","net":{NET}"#);
    for (kind, typ, binding) in
        [(TokenKind::Bounce, "throughline-bounce+jwt", flow), (TokenKind::Link, "throughline-link+jwt", net)]
    {
        let token = mint(kind);
        let parts: Vec<_> = token.as_str().split('.').collect();
        assert_eq!(parts.len(), 3);
        let header = String::from_utf8(decode(parts[0])).expect("JSON");
        assert_eq!(header, format!(r#"{{"typ":"{typ}","alg":"EdDSA","kid":"{}"}}"#, Forge::default().kid()));
        let claims = String::from_utf8(decode(parts[1])).expect("JSON");
        assert_eq!(claims, format!("{expected_claims}{binding}}}"));
        for part in [&header, &claims] {
            assert!(serde_json::from_str::<serde_json::Value>(part).expect("JSON").is_object());
        }
        assert_eq!(decode(parts[2]).len(), 64);
    }
}

/// A token rides in a URL's query as it is, and stays small with the longest origins that DNS allows.
#[test]
fn a_token_needs_no_escapes_and_stays_small() {
    let label = "a".repeat(60);
    let long = origin(&format!("https://{label}.{label}.{label}.{label}:65535"));
    let statement = Statement {
        issuer: &long,
        audience: &long,
        visitor: VisitorId::parse(VISITOR).expect("an ID"),
        now: UnixSeconds(u64::MAX),
        life: Duration::from_secs(60),
        id: TokenId([0xff; 16]),
    };
    let key = SigningKey::from_seed(&SEED).expect("a key");
    let longest = bounce_token(&key, &statement, FlowSecret::new([0xff; 16]).flow());
    assert!(longest.as_str().len() < 1400, "{}", longest.as_str().len());
    assert!(mint(TokenKind::Link).as_str().len() < 510, "{}", mint(TokenKind::Link).as_str().len());
    assert!(mint(TokenKind::Bounce).as_str().len() < 560, "{}", mint(TokenKind::Bounce).as_str().len());
    for token in [longest.as_str(), mint(TokenKind::Bounce).as_str()] {
        assert!(token.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet)), "{token}");
    }
}

/// The flow is the SHA-256 of the hop cookie's text, as any other implementation would compute it.
#[test]
fn a_flow_is_the_digest_of_the_cookies_text() {
    let secret = FlowSecret::new([7; 16]);
    let digest = ring::digest::digest(&ring::digest::SHA256, encode([7; 16]).as_bytes());
    assert_eq!(secret.flow().as_bytes(), digest.as_ref());
    assert_eq!(FlowSecret::parse(&secret.to_text()).map(|secret| secret.flow()), Some(secret.flow()));
}

#[test]
fn a_token_says_to_its_reader_what_was_minted() {
    let token = verdict(mint(TokenKind::Bounce).as_str()).expect("a good token");
    assert_eq!((token.kind(), token.visitor().to_string().as_str()), (TokenKind::Bounce, VISITOR));
    assert_eq!(token.flow(), Flow::parse(&encode([7; 32])));
}
