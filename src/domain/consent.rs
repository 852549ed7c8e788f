//! Whether the visitor agreed (the second law, rules S8 and S9).

use std::borrow::Cow;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// What the operator chose for a site. There is no default: it is a question of law, not of taste.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConsentPolicy {
    /// Nothing is set or sent before the visitor has said yes.
    Required,
    /// It stands until the visitor says no.
    Implied,
}

impl ConsentPolicy {
    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Implied => "implied",
        }
    }
}

/// What the visitor said on this site.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Choice {
    /// Nothing yet.
    #[default]
    None,
    /// Yes.
    Granted,
    /// No.
    Denied,
}

/// What consent a hop stands on; it travels in the hop request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// The visitor said yes.
    Granted,
    /// The site's policy is `implied`, and the visitor has not said no.
    Implied,
}

impl Basis {
    /// The word in the hop request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Implied => "implied",
        }
    }

    /// Reads the word in the hop request.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Granted, Self::Implied].into_iter().find(|basis| basis.as_str() == text)
    }
}

/// From its word alone: the derived reader would take `{"granted":null}` as well (rule T10).
impl<'de> Deserialize<'de> for Basis {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(value)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a basis of consent"))
    }
}

/// Where a visitor's consent stands now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Linking may happen, on this basis.
    Stands(Basis),
    /// The visitor refused, here or by `Sec-GPC: 1`.
    Refused,
    /// The visitor has not been asked, or has not answered.
    Unknown,
}

impl Standing {
    /// Where consent stands. `signal` is a refusal that the browser sends by itself, where the site honours it.
    #[must_use]
    pub const fn new(policy: ConsentPolicy, choice: Choice, signal: bool) -> Self {
        match (choice, policy) {
            _ if signal => Self::Refused,
            (Choice::Denied, _) => Self::Refused,
            (Choice::Granted, _) => Self::Stands(Basis::Granted),
            (Choice::None, ConsentPolicy::Implied) => Self::Stands(Basis::Implied),
            (Choice::None, ConsentPolicy::Required) => Self::Unknown,
        }
    }

    /// The word that `me` answers with.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stands(_) => "granted",
            Self::Refused => "denied",
            Self::Unknown => "unknown",
        }
    }

    /// The basis, if it stands.
    #[must_use]
    pub const fn basis(self) -> Option<Basis> {
        match self {
            Self::Stands(basis) => Some(basis),
            Self::Refused | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
