//! Why a change of super properties is refused, in words that say what to do.

use std::fmt;

use serde::Deserialize;

use crate::domain::contract::{
    PROPERTIES_LENGTH_MAX, PROPERTIES_MAX, PROPERTY_DEPTH_MAX, PROPERTY_KEY_LENGTH_MAX, PROPERTY_VALUE_LENGTH_MAX,
};

/// How much of a key a message repeats, in characters.
const KEY_SHOWN_MAX: usize = 40;

/// What a change of super properties runs into. `code` is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The body is not JSON, or has a number that nobody can hold, such as `1e999`.
    NotJson,
    /// JSON, but not the object that a change is.
    BadShape,
    /// A key without a character.
    EmptyKey,
    /// A key over [`PROPERTY_KEY_LENGTH_MAX`].
    KeyTooLong,
    /// A control character in a key, or the character NUL in a value: not every store can hold it.
    BadCharacter,
    /// A key that a library uses for itself (rule X3).
    ReservedKey,
    /// A value over [`PROPERTY_VALUE_LENGTH_MAX`].
    ValueTooLarge,
    /// A value over [`PROPERTY_DEPTH_MAX`].
    TooDeep,
    /// One key twice in one change, or in one object of a value: nobody can say which is meant.
    SameKeyTwice,
    /// The visitor would have more than [`PROPERTIES_MAX`].
    TooManyKeys,
    /// The visitor's properties would take more than [`PROPERTIES_LENGTH_MAX`].
    TooLarge,
}

impl Limit {
    /// A stable name.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::BadShape => "bad_shape",
            Self::EmptyKey => "empty_key",
            Self::KeyTooLong => "key_too_long",
            Self::BadCharacter => "bad_character",
            Self::ReservedKey => "reserved_key",
            Self::ValueTooLarge => "value_too_large",
            Self::TooDeep => "too_deep",
            Self::SameKeyTwice => "same_key_twice",
            Self::TooManyKeys => "too_many_keys",
            Self::TooLarge => "too_large",
        }
    }
}

/// What is wrong and what to do about it, as the rest of a sentence that began with the property.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => f.write_str("not JSON (RFC 8259), or a number beyond a double's range; send valid JSON"),
            Self::BadShape => f.write_str(
                "not a change; send one object with \"set\" and \"set_once\" (objects) and \"remove\" (a list of keys), each at most once",
            ),
            Self::EmptyKey => f.write_str("a key is empty; give it a name"),
            Self::KeyTooLong => write!(f, "the key is over {PROPERTY_KEY_LENGTH_MAX} octets; shorten it"),
            Self::BadCharacter => {
                f.write_str("a control character in the key, or the character U+0000 in the value; leave it out")
            }
            Self::ReservedKey => f.write_str("analytics libraries keep this key for themselves; choose another"),
            Self::ValueTooLarge => {
                write!(f, "the value is over {PROPERTY_VALUE_LENGTH_MAX} octets of JSON; keep it elsewhere, and its ID here")
            }
            Self::TooDeep => write!(f, "the value is nested over {PROPERTY_DEPTH_MAX} levels; flatten it"),
            Self::SameKeyTwice => f.write_str("a key stands twice; name it once"),
            Self::TooManyKeys => write!(f, "the visitor would have over {PROPERTIES_MAX} properties; remove some first"),
            Self::TooLarge => {
                write!(f, "the visitor's properties would be over {PROPERTIES_LENGTH_MAX} octets of JSON; remove some first")
            }
        }
    }
}

/// Why a change is refused, and which property is at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyRefusal {
    /// The property's key, cut to [`PROPERTY_KEY_LENGTH_MAX`] characters; none where the fault is not one property's.
    pub key: Option<String>,
    /// What it runs into.
    pub limit: Limit,
}

impl PropertyRefusal {
    pub(super) fn whole(limit: Limit) -> Self {
        Self { key: None, limit }
    }

    pub(super) fn of(key: &str, limit: Limit) -> Self {
        Self { key: Some(key.chars().take(PROPERTY_KEY_LENGTH_MAX).collect()), limit }
    }
}

impl fmt::Display for PropertyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(key) = &self.key else { return self.limit.fmt(f) };
        // The key comes from a page's script and goes into a log line or an answer: it must not break out of either.
        let end = key.char_indices().nth(KEY_SHOWN_MAX).map_or(key.len(), |(at, _)| at);
        let rest = if end < key.len() { ".." } else { "" };
        write!(f, "\"{}{rest}\": {}", key[..end].escape_debug(), self.limit)
    }
}

impl std::error::Error for PropertyRefusal {}
