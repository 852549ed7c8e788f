//! Minting tokens. Nothing is parsed here: the key and its headers were made ready when they were loaded.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::base::clock::UnixSeconds;
use crate::base::encoding::{base64url, push_base64url};
use crate::base::id::VisitorId;
use crate::base::network::Network;
use crate::base::origin::Origin;

use super::claims::{Flow, NetworkTag, TokenId, TokenKind};
use super::key::SigningKey;

/// A token, fit to be a query parameter's value as it is. `Debug` does not print it (rule R8).
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The compact form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What both kinds of token say.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Who says it.
    pub issuer: &'a Origin,
    /// The one site it is meant for.
    pub audience: &'a Origin,
    /// Whom it is about.
    pub visitor: VisitorId,
    /// When.
    pub now: UnixSeconds,
    /// For how long; [`super::claims::TOKEN_LIFE_MAX`] at most.
    pub life: Duration,
    /// The token's own name, never used before.
    pub id: TokenId,
}

/// Mints a bounce token.
#[must_use]
pub fn bounce_token(key: &SigningKey, statement: &Statement<'_>, flow: Flow) -> Token {
    mint(key, TokenKind::Bounce, statement, "flow", flow.as_bytes())
}

/// Mints a link token. It counts for clients on `network` only.
#[must_use]
pub fn link_token(key: &SigningKey, statement: &Statement<'_>, network: &Network) -> Token {
    mint(key, TokenKind::Link, statement, "net", NetworkTag::new(statement.id, network).as_bytes())
}

/// `binding` names the claim that binds this kind of token to one browser or network, and `bound` is its value.
fn mint(key: &SigningKey, kind: TokenKind, statement: &Statement<'_>, binding: &str, bound: &[u8]) -> Token {
    let Statement { issuer, audience, visitor, now, life, id } = statement;
    // Origins, UUIDs, numbers and base64url need no JSON escapes, so the claims can be written as they are.
    let mut claims = String::with_capacity(320);
    let _ = write!(
        claims,
        r#"{{"iss":"{issuer}","aud":"{audience}","sub":"{}","iat":{now},"exp":{},"jti":"{}","{binding}":""#,
        visitor.text(&mut VisitorId::buffer()),
        now.plus(*life),
        base64url(&id.0),
    );
    push_base64url(&mut claims, bound);
    claims.push_str("\"}");

    let mut token = String::with_capacity(640);
    token.push_str(key.header(kind));
    push_base64url(&mut token, claims.as_bytes());
    let signature = key.sign(token.as_bytes());
    token.push('.');
    push_base64url(&mut token, &signature);
    Token(token)
}
