//! Verifying tokens: from a text that anyone may have written to claims that can be believed.
//!
//! An [`UnverifiedToken`] gives nothing away but the name of the key it wants. [`UnverifiedToken::verify`] is the one way
//! to a [`VerifiedToken`]. jsonwebtoken decides on the signature, issuer and audience; what its defaults let through is
//! closed here (rules T1 to T6, RFC 8725 sections 3.1 to 3.12): the header may hold `typ`, `alg` and `kid` and nothing
//! else, the claims are exactly ours, and the times are checked against the clock that was passed in.

use std::collections::HashSet;
use std::fmt;

use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;

use crate::base::clock::UnixSeconds;
use crate::base::encoding::from_base64url;
use crate::base::id::VisitorId;
use crate::base::json::json_object;
use crate::base::network::Network;
use crate::base::origin::Origin;

use super::claims::{CLOCK_SKEW, Flow, NetworkTag, TOKEN_LENGTH_MAX, TOKEN_LIFE_MAX, TokenId, TokenKind, WireClaims};
use super::key::{KeyId, PublicKey};

/// Why a token is not believed. `code` is stable: logs and metrics use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    /// Longer than [`TOKEN_LENGTH_MAX`]; not looked at.
    TooLong,
    /// Not a compact JWS with the header that this protocol writes.
    Malformed,
    /// A header, algorithm or token type that this protocol does not have.
    WrongType,
    /// Signed by a key that the issuer does not publish.
    UnknownKey,
    /// The signature is not by that key.
    BadSignature,
    /// From another issuer or for another site.
    WrongParty,
    /// The claims are not exactly this protocol's.
    BadClaims,
    /// Its time is over.
    Expired,
    /// Issued in the future, or for longer than is allowed.
    BadTimes,
}

impl TokenRefusal {
    /// A stable name.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Malformed => "token_malformed",
            Self::WrongType => "token_wrong_type",
            Self::UnknownKey => "token_unknown_key",
            Self::BadSignature => "token_bad_signature",
            Self::WrongParty => "token_wrong_party",
            Self::BadClaims => "token_bad_claims",
            Self::Expired => "token_expired",
            Self::BadTimes => "token_bad_times",
        }
    }
}

impl fmt::Display for TokenRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Which bytes base64url has (RFC 4648 section 5). A look-up, since each byte of each token is asked for.
const IS_BASE64URL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        byte += 1;
    }
    table
};

/// A text in the shape of a token of one kind. Nothing in it may be believed.
#[derive(Clone, Copy)]
pub struct UnverifiedToken<'a> {
    text: &'a str,
    kind: TokenKind,
    key: KeyId,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
struct WireHeader {
    typ: String,
    alg: String,
    kid: String,
}

json_object!(WireHeader);

impl<'a> UnverifiedToken<'a> {
    /// Reads the shape and the header.
    ///
    /// # Errors
    /// When it cannot be a token of this protocol (rules T1, T2, T3, T5, T6).
    pub fn parse(text: &'a str) -> Result<Self, TokenRefusal> {
        if text.len() > TOKEN_LENGTH_MAX {
            return Err(TokenRefusal::TooLong);
        }
        let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| IS_BASE64URL[usize::from(byte)]);
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(TokenRefusal::Malformed);
        };
        if ![header, claims, signature].into_iter().all(is_part) {
            return Err(TokenRefusal::Malformed);
        }
        let header = decode_header(header).ok_or(TokenRefusal::Malformed)?;
        if header.alg != "EdDSA" {
            return Err(TokenRefusal::WrongType);
        }
        let kind = [TokenKind::Bounce, TokenKind::Link].into_iter().find(|kind| kind.typ() == header.typ);
        let kind = kind.ok_or(TokenRefusal::WrongType)?;
        let key = KeyId::parse(&header.kid).ok_or(TokenRefusal::UnknownKey)?;
        Ok(Self { text, kind, key })
    }

    /// Which kind it says it is. The signature covers this; a verified token is of this kind.
    #[must_use]
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The key that it says has signed it: good for a look-up, nothing else.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key
    }

    /// Believes it, or says why not.
    ///
    /// # Errors
    /// When anything at all is not as the protocol has it (rules T1 to T6).
    pub fn verify(self, verifier: &Verifier, now: UnixSeconds) -> Result<VerifiedToken, TokenRefusal> {
        if self.key != verifier.key.id() {
            return Err(TokenRefusal::UnknownKey);
        }
        let claims = jsonwebtoken::decode::<WireClaims>(self.text, &verifier.key.decoding, &verifier.validation)
            .map_err(|error| refusal(error.kind()))?
            .claims;
        check_times(claims.iat, claims.exp, now)?;
        let (flow, network) = match (self.kind, claims.flow, claims.net) {
            (TokenKind::Bounce, Some(flow), None) => (Some(Flow::parse(&flow).ok_or(TokenRefusal::BadClaims)?), None),
            (TokenKind::Link, None, Some(net)) => (None, Some(NetworkTag::parse(&net).ok_or(TokenRefusal::BadClaims)?)),
            _ => return Err(TokenRefusal::BadClaims),
        };
        Ok(VerifiedToken {
            kind: self.kind,
            visitor: VisitorId::parse(&claims.sub).ok_or(TokenRefusal::BadClaims)?,
            id: from_base64url(&claims.jti).map(TokenId).ok_or(TokenRefusal::BadClaims)?,
            key: self.key,
            flow,
            network,
        })
    }
}

impl fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnverifiedToken({:?}, {})", self.kind, self.key)
    }
}

fn decode_header(encoded: &str) -> Option<WireHeader> {
    use base64::Engine as _;
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(encoded).ok()?;
    serde_json::from_slice(&json).ok()
}

fn check_times(issued_at: u64, expires_at: u64, now: UnixSeconds) -> Result<(), TokenRefusal> {
    let (issued_at, expires_at) = (UnixSeconds(issued_at), UnixSeconds(expires_at));
    if issued_at > now.plus(CLOCK_SKEW) || expires_at <= issued_at || expires_at > issued_at.plus(TOKEN_LIFE_MAX) {
        return Err(TokenRefusal::BadTimes);
    }
    if now >= expires_at.plus(CLOCK_SKEW) {
        return Err(TokenRefusal::Expired);
    }
    Ok(())
}

fn refusal(kind: &jsonwebtoken::errors::ErrorKind) -> TokenRefusal {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::InvalidSignature => TokenRefusal::BadSignature,
        ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => TokenRefusal::WrongParty,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat => TokenRefusal::WrongType,
        ErrorKind::Json(_) | ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => TokenRefusal::BadClaims,
        _ => TokenRefusal::Malformed,
    }
}

/// One key of one issuer, ready to verify tokens for one site.
#[derive(Clone, Debug)]
pub struct Verifier {
    key: PublicKey,
    validation: Validation,
}

impl Verifier {
    /// Believes tokens that `issuer` signed with `key` for `audience`.
    #[must_use]
    pub fn new(issuer: &Origin, key: PublicKey, audience: &Origin) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer.as_str()]);
        validation.set_audience(&[audience.as_str()]);
        validation.required_spec_claims = HashSet::from(["iss", "aud", "sub", "exp"].map(String::from));
        // The library reads the machine's own clock and allows a minute; `check_times` takes the time it is given.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self { key, validation }
    }
}

/// Claims that can be believed: signed by the right key for this site, and in time. Not yet: used for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    kind: TokenKind,
    visitor: VisitorId,
    id: TokenId,
    key: KeyId,
    flow: Option<Flow>,
    network: Option<NetworkTag>,
}

impl VerifiedToken {
    /// Which kind of token it is.
    #[must_use]
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    /// Whom it is about.
    #[must_use]
    pub const fn visitor(&self) -> VisitorId {
        self.visitor
    }

    /// The hop that it answers; none for a link token.
    #[must_use]
    pub const fn flow(&self) -> Option<Flow> {
        self.flow
    }

    /// Whether it was made for a client on `network` (rule L2); never for a bounce token.
    #[must_use]
    pub fn is_for_network(&self, network: &Network) -> bool {
        self.network == Some(NetworkTag::new(self.id, network))
    }

    /// What the replay memory remembers of it: 128 bits of a digest over the signing key's name and the token's, so that no
    /// issuer can use up another's tokens.
    #[must_use]
    pub fn replay_key(&self) -> u128 {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(self.key.as_str().as_bytes());
        context.update(&self.id.0);
        let mut key = [0; 16];
        key.copy_from_slice(&context.finish().as_ref()[..16]);
        u128::from_be_bytes(key)
    }
}
