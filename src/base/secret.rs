//! Secrets, and the keys derived from them.
//!
//! Each site shares one secret of 32 random bytes with the broker. Nothing uses it directly: each purpose has a key of its
//! own, HKDF-SHA256 (RFC 5869) with the purpose's label (rule K5). No type here prints its bytes (rule T9).

use std::fmt;

use ring::{hkdf, hmac};
use zeroize::Zeroizing;

use super::encoding::{base64url, from_base64url};
use super::random::{NoRandomness, Random, random_bytes};

/// The salt of every derivation: names the protocol and its version.
const SALT: &[u8] = b"throughline/v1";

/// What a derived key is for. The label is part of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Signs the hop request: satellite to broker.
    HopRequest,
    /// Protects the local cookie of a secondary.
    LocalCookie,
    /// Protects the master cookie of the primary.
    MasterCookie,
}

impl Purpose {
    /// All purposes.
    pub const ALL: [Self; 3] = [Self::HopRequest, Self::LocalCookie, Self::MasterCookie];

    /// The HKDF `info` of this purpose.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::HopRequest => "hop-request",
            Self::LocalCookie => "local-cookie",
            Self::MasterCookie => "master-cookie",
        }
    }
}

/// A site's secret: 32 random bytes, written as 43 characters of base64url.
pub struct SiteSecret(Zeroizing<[u8; Self::LENGTH]>);

impl SiteSecret {
    /// 32 octets.
    pub const LENGTH: usize = 32;

    /// A new secret.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate(random: &dyn Random) -> Result<Self, NoRandomness> {
        Ok(Self(Zeroizing::new(random_bytes(random)?)))
    }

    /// Reads the text form; a final line break is allowed, since files have one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        from_base64url(text.trim_end_matches(['\r', '\n'])).map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// The text form, for the file that keeps it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url(&*self.0))
    }

    /// The key for one purpose.
    #[must_use]
    pub fn derive(&self, purpose: Purpose) -> MacKey {
        let info = [purpose.label().as_bytes()];
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(&*self.0);
        let expanded = extracted.expand(&info, hmac::HMAC_SHA256).expect("32 bytes are less than HKDF's 255 blocks");
        MacKey(hmac::Key::from(expanded))
    }
}

impl SiteSecret {
    /// Tells secrets apart without showing them: SHA-256.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &*self.0).as_ref());
        digest
    }

    /// What the site shows to the broker's API: HKDF with the label [`ApiKey::LABEL`].
    #[must_use]
    pub fn api_key(&self) -> ApiKey {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(&*self.0);
        let mut key = Zeroizing::new([0; Self::LENGTH]);
        extracted
            .expand(&[ApiKey::LABEL.as_bytes()], hmac::HMAC_SHA256)
            .and_then(|expanded| expanded.fill(&mut *key))
            .expect("32 bytes are less than HKDF's 255 blocks");
        ApiKey(Zeroizing::new(base64url(&*key)))
    }
}

/// A bearer key of the API (RFC 6750): 43 characters of base64url.
#[derive(Clone)]
pub struct ApiKey(Zeroizing<String>);

impl ApiKey {
    /// The HKDF `info` of this key (rule K5).
    pub const LABEL: &str = "api";

    /// The text, for the `Authorization` header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the broker looks it up by. A digest, so that how long a look-up takes tells nothing of the key (rule T9).
    #[must_use]
    pub fn digest(text: &str) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref());
        digest
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

impl fmt::Debug for SiteSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteSecret(..)")
    }
}

/// An HMAC-SHA256 key (RFC 2104).
#[derive(Clone)]
pub struct MacKey(hmac::Key);

impl MacKey {
    /// The length of a MAC: 32 octets, 43 characters of base64url.
    pub const TAG_LENGTH: usize = 32;

    /// The MAC of the parts, one after the other.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; Self::TAG_LENGTH] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let mut tag = [0; Self::TAG_LENGTH];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }

    /// Whether `tag` (base64url) is the MAC of the parts. The comparison takes the same time whatever differs.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], tag: &str) -> bool {
        from_base64url::<{ Self::TAG_LENGTH }>(tag)
            .is_some_and(|tag| aws_lc_rs::constant_time::verify_slices_are_equal(&self.tag(parts), &tag).is_ok())
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::CountingRandom;

    #[test]
    fn k5_each_purpose_has_a_key_of_its_own() {
        let secret = SiteSecret::generate(&CountingRandom::default()).unwrap();
        let tags: std::collections::HashSet<_> = Purpose::ALL.map(|purpose| secret.derive(purpose).tag(&[b"x"])).into();
        assert_eq!(tags.len(), Purpose::ALL.len());
        let api = crate::base::encoding::from_base64url::<32>(secret.api_key().as_str()).unwrap();
        assert!(!tags.contains(&MacKey(hmac::Key::new(hmac::HMAC_SHA256, &api)).tag(&[b"x"])));
        assert!(!tags.contains(&MacKey(hmac::Key::new(hmac::HMAC_SHA256, &*secret.0)).tag(&[b"x"])));
    }

    #[test]
    fn t9_secrets_print_nothing() {
        let secret = SiteSecret::generate(&CountingRandom::default()).unwrap();
        let printed = format!("{secret:?} {:?} {:?}", secret.derive(Purpose::HopRequest), secret.api_key());
        assert_eq!(printed, "SiteSecret(..) MacKey(..) ApiKey(..)");
    }

    #[test]
    fn t9_a_mac_is_right_or_wrong_as_a_whole() {
        let key = SiteSecret::generate(&CountingRandom::default()).unwrap().derive(Purpose::LocalCookie);
        let good = base64url(&key.tag(&[b"a", b"b"]));
        assert!(key.verify(&[b"ab"], &good));
        for index in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[index] = if bad[index] == b'A' { b'B' } else { b'A' };
            assert!(!key.verify(&[b"ab"], std::str::from_utf8(&bad).unwrap()), "at {index}");
        }
        assert!(!key.verify(&[b"ab"], &good[..42]));
        assert!(!key.verify(&[b"ab"], ""));
    }

    #[test]
    fn a_secret_has_one_length() {
        assert!(SiteSecret::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n").is_some());
        for short in ["", "AAEC", "password"] {
            assert!(SiteSecret::parse(short).is_none());
        }
    }
}
