//! One Ed25519 key: the half that signs and the half that verifies.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jsonwebtoken::DecodingKey;
use zeroize::Zeroizing;

use crate::base::encoding::{base64url, push_base64url};
use crate::base::random::{NoRandomness, Random, random_bytes};

use super::claims::TokenKind;

/// A key's name: the first 16 characters of its JWK thumbprint (RFC 7638), so that no site can take another's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; Self::LENGTH]);

impl KeyId {
    /// 16 octets of base64url: 96 bits of the SHA-256.
    pub const LENGTH: usize = 16;

    /// The name of the public key `x`.
    #[must_use]
    pub fn of(x: &[u8; 32]) -> Self {
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64url(x));
        let thumbprint = base64url(ring::digest::digest(&ring::digest::SHA256, jwk.as_bytes()).as_ref());
        let mut id = [0; Self::LENGTH];
        id.copy_from_slice(&thumbprint.as_bytes()[..Self::LENGTH]);
        Self(id)
    }

    /// Reads a `kid`. It is only looked up, never interpreted; and since it is logged, it is base64url and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = text.as_bytes().try_into().ok().map(Self);
        id.filter(|Self(id)| id.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')))
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a public key is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMistake {
    /// Its order is small: signatures by it can be made by anyone (rule T8).
    LowOrder,
}

impl fmt::Display for KeyMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LowOrder => "the key is a point of low order, for which anyone can make signatures",
        })
    }
}

/// The half of a key that verifies.
#[derive(Clone)]
pub struct PublicKey {
    id: KeyId,
    x: [u8; 32],
    pub(super) decoding: DecodingKey,
}

impl PublicKey {
    /// Takes the 32 octets of a public key.
    ///
    /// # Errors
    /// When it is one of the keys that must not be used (rule T8).
    pub fn new(x: [u8; 32]) -> Result<Self, KeyMistake> {
        if is_low_order(&x) {
            return Err(KeyMistake::LowOrder);
        }
        Ok(Self { id: KeyId::of(&x), x, decoding: DecodingKey::from_ed_der(&x) })
    }

    /// The key's name.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The 32 octets.
    #[must_use]
    pub const fn x(&self) -> &[u8; 32] {
        &self.x
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

/// The y coordinates of the points of order 1, 2, 4 and 8, with their spellings above the field's prime, little-endian;
/// the sign bit is ignored. (RFC 7748 section 7 and "Taming the many EdDSAs", table 2; checked against a second
/// implementation by the test below.)
const LOW_ORDER_Y: [[u8; 32]; 7] = {
    const fn ends(first: u8, middle: u8, last: u8) -> [u8; 32] {
        let mut y = [middle; 32];
        y[0] = first;
        y[31] = last;
        y
    }
    [
        ends(0x00, 0x00, 0x00),
        ends(0x01, 0x00, 0x00),
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac,
            0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53,
            0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
        ends(0xec, 0xff, 0x7f),
        ends(0xed, 0xff, 0x7f),
        ends(0xee, 0xff, 0x7f),
    ]
};

fn is_low_order(x: &[u8; 32]) -> bool {
    let mut y = *x;
    y[31] &= 0x7f;
    LOW_ORDER_Y.contains(&y)
}

/// The half of a key that signs, parsed once, with the headers of both token kinds encoded once.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
    bounce_header: String,
    link_header: String,
}

/// The 32 octets that a signing key grows from.
pub type Seed = Zeroizing<[u8; 32]>;

/// Draws a seed.
///
/// # Errors
/// When there is no randomness.
pub fn draw_seed(random: &dyn Random) -> Result<Seed, NoRandomness> {
    random_bytes(random).map(Zeroizing::new)
}

impl SigningKey {
    /// The key that grows from `seed` (RFC 8032 section 5.1.5); `None` when the library refuses it.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let public = PublicKey::new(pair.public_key().as_ref().try_into().ok()?).ok()?;
        let header = |kind: TokenKind| {
            let json = format!(r#"{{"typ":"{}","alg":"EdDSA","kid":"{}"}}"#, kind.typ(), public.id());
            let mut encoded = String::new();
            push_base64url(&mut encoded, json.as_bytes());
            encoded.push('.');
            encoded
        };
        let (bounce_header, link_header) = (header(TokenKind::Bounce), header(TokenKind::Link));
        Some(Self { pair, public, bounce_header, link_header })
    }

    /// The half that verifies.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The encoded header of `kind`, with the dot that ends it.
    pub(super) fn header(&self, kind: TokenKind) -> &str {
        match kind {
            TokenKind::Bounce => &self.bounce_header,
            TokenKind::Link => &self.link_header,
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t8_low_order_keys_are_refused() {
        for y in LOW_ORDER_Y {
            for sign in [0, 0x80] {
                let mut x = y;
                x[31] |= sign;
                assert_eq!(PublicKey::new(x).err(), Some(KeyMistake::LowOrder), "{x:02x?}");
                // A second opinion, where that implementation reads the spelling at all.
                if let Ok(other) = ed25519_dalek::VerifyingKey::from_bytes(&x) {
                    assert!(other.is_weak(), "{x:02x?}");
                }
            }
        }
    }

    #[test]
    fn the_key_of_rfc_8032_and_the_thumbprint_of_rfc_8037() {
        // RFC 8032 section 7.1, test 1; RFC 8037 appendix A.3 gives the thumbprint of the same key.
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5,
            0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let key = SigningKey::from_seed(&seed).unwrap();
        assert_eq!(base64url(key.public().x()), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.public().id().as_str(), &"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"[..16]);
    }
}
