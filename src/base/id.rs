//! The visitor ID.

use std::borrow::Cow;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::random::{NoRandomness, Random, random_bytes};

/// An opaque random UUID (version 4, RFC 9562). It says nothing about the person or the time, and `Debug` does not print
/// it, so that no log line can (rule R8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VisitorId(Uuid);

impl VisitorId {
    /// The length of [`VisitorId`]'s one text form: 36 octets.
    pub const TEXT_LENGTH: usize = 36;

    /// A new ID.
    ///
    /// # Errors
    /// When there is no randomness; there is then no ID.
    pub fn mint(random: &dyn Random) -> Result<Self, NoRandomness> {
        Ok(Self(uuid::Builder::from_random_bytes(random_bytes(random)?).into_uuid()))
    }

    /// Reads the one text form: lower case with hyphens, version 4 of RFC 9562's variant. Anything else is no visitor ID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // At this length the library reads hyphens only; it takes capitals for the same ID.
        if text.len() != Self::TEXT_LENGTH || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        Uuid::try_parse(text).ok().and_then(Self::of_version_4)
    }

    /// Its 16 octets, as stores keep it.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Reads the 16 octets.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice(bytes).ok().and_then(Self::of_version_4)
    }

    fn of_version_4(uuid: Uuid) -> Option<Self> {
        let version_4 = uuid.get_variant() == uuid::Variant::RFC4122 && uuid.get_version_num() == 4;
        version_4.then_some(Self(uuid))
    }

    /// The text form, written into `buffer` without allocating.
    pub fn text<'a>(&self, buffer: &'a mut [u8; Self::TEXT_LENGTH]) -> &'a str {
        self.0.hyphenated().encode_lower(buffer)
    }

    /// Room for [`VisitorId::text`].
    #[must_use]
    pub const fn buffer() -> [u8; Self::TEXT_LENGTH] {
        [0; Self::TEXT_LENGTH]
    }
}

impl fmt::Display for VisitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl Serialize for VisitorId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut Self::buffer()))
    }
}

impl<'de> Deserialize<'de> for VisitorId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a visitor ID: a version 4 UUID in lower case"))
    }
}

impl fmt::Debug for VisitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VisitorId(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::CountingRandom;

    #[test]
    fn one_text_form() {
        let id = VisitorId::mint(&CountingRandom::default()).unwrap();
        assert_eq!(id.to_string(), "00010203-0405-4607-8809-0a0b0c0d0e0f");
        assert_eq!(VisitorId::parse(&id.to_string()), Some(id));
        for other in [
            "",
            "00010203-0405-4607-8809-0A0B0C0D0E0F",
            "00010203040546078809-0a0b0c0d0e0f",
            "{00010203-0405-4607-8809-0a0b0c0d0e0f}",
            "urn:uuid:00010203-0405-4607-8809-0a0b0c0d0e0f",
            "00010203-0405-1607-8809-0a0b0c0d0e0f",
            "00010203-0405-4607-c809-0a0b0c0d0e0f",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(VisitorId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn r8_debug_does_not_print_the_id() {
        let id = VisitorId::mint(&CountingRandom::default()).unwrap();
        assert_eq!(format!("{id:?}"), "VisitorId(..)");
    }
}
