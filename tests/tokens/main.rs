//! Attacks on tokens, from outside: only the crate's public API, and a forge that signs with another implementation.
//!
//! Every wrong token here is *correctly signed* (unless the signature is what is wrong) and differs in one thing from a
//! token that is accepted, so that a test can only pass because of the rule that it names. The attacks that need no
//! arithmetic are data, one a line, in `data/`.

mod cases;
mod claims;
mod forge;
mod header;
mod minted;
mod printing;
mod properties;
mod rotation;
mod shape;
mod signature;

use throughline::token::claims::TokenKind;

use forge::{Forge, GoodClaims, NOW, good_header, verdict};

/// Without this, each refusal below might have a reason that its test does not know of.
#[test]
fn control_the_forges_plain_tokens_are_believed() {
    let forge = Forge::default();
    let bounce = verdict(&forge.good_token()).expect("the forge's bounce token");
    assert_eq!(bounce.kind(), TokenKind::Bounce);
    assert!(bounce.flow().is_some());
    let link = verdict(&forge.token(&good_header(TokenKind::Link), &GoodClaims::link().json())).expect("the forge's link token");
    assert_eq!((link.kind(), link.flow()), (TokenKind::Link, None));
    // The order of members and white space inside the signed JSON mean nothing: no test may rest on them.
    let spaced = format!(r#" {{ "kid" : "{}", "alg":"EdDSA", "typ":"throughline-bounce+jwt" }} "#, forge.kid());
    assert!(verdict(&forge.token(&spaced, &GoodClaims::bounce(NOW).json())).is_ok());
}
