//! What all checks of one run share: who is looked at, and by what means.

use crate::base::clock::Clock;
use crate::base::origin::Origin;
use crate::base::random::{NoRandomness, Random, random_bytes};
use crate::domain::contract::cookie;

use super::party::{Answer, Party, Trouble};
use super::visitor::Visitor;

/// A site that was reached.
pub(super) struct Setting<'a> {
    pub(super) site: Party,
    /// The page that is visited: a path, perhaps with a query.
    pub(super) page: String,
    pub(super) is_primary: bool,
    /// The page as it came, where it did.
    pub(super) shown: Option<Answer>,
    /// First-time visitors go on no hop before they have agreed.
    pub(super) needs_consent: bool,
    pub(super) clock: &'a dyn Clock,
    pub(super) random: &'a dyn Random,
}

impl Setting<'_> {
    /// A visitor whom nobody has seen, who has agreed if the site asks for that.
    pub(super) async fn visitor(&self) -> Result<Visitor, Unable> {
        let mut visitor = Visitor::new(self.random)?;
        if self.needs_consent {
            visitor.agree(&self.site).await?;
        }
        Ok(visitor)
    }

    /// A number for a URL that no cache has seen.
    pub(super) fn number(&self) -> u32 {
        random_bytes(self.random).map_or(0, u32::from_be_bytes)
    }

    /// The page with `more` in its query.
    pub(super) fn page_with(&self, more: &str) -> String {
        format!("{}{}{more}", self.page, if self.page.contains('?') { '&' } else { '?' })
    }

    /// What the two cookies are called on `origin`: the ID's, and the hop's.
    pub(super) fn cookie_names(origin: &Origin) -> (&'static str, &'static str) {
        if origin.is_https() { (cookie::ID, cookie::HOP) } else { (cookie::ID_LOCALHOST, cookie::HOP_LOCALHOST) }
    }
}

/// Why a check could not be made.
#[derive(Debug)]
pub(super) enum Unable {
    Trouble(Trouble),
    NoRandomness,
}

impl From<Trouble> for Unable {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<NoRandomness> for Unable {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

impl std::fmt::Display for Unable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Trouble(trouble) => trouble.fmt(f),
            Self::NoRandomness => NoRandomness.fmt(f),
        }
    }
}
