//! What satellites tell the broker, and what they read from it: the documents of the server-to-server API.

use serde::{Deserialize, Serialize};

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::base::json::{json_object, present};

use super::consent::Basis;
use super::record::{Outcome, Record};

/// The most reports in one request.
pub const REPORTS_MAX: usize = 200;

/// The most revocations in one answer.
pub const REVOCATIONS_MAX: usize = 10_000;

/// A report may come this long after what it tells of: a satellite keeps it while the broker is down.
pub const REPORT_AGE_MAX: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// Something that a satellite saw.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    /// A link brought a visitor here. The token is the proof: only who was visited by that visitor has it.
    Link {
        /// The site that the link was on.
        from: String,
        /// The link token, used up by now.
        token: String,
        /// When it came.
        at: UnixSeconds,
        /// On what consent it was taken.
        basis: Basis,
        /// The ID that this site has instead, if it has another: evidence that the two may be one visitor (rules L3, L9).
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
        held: Option<VisitorId>,
    },
    /// This site holds an ID that the broker does not know. It is believed where there is no record.
    Seen {
        /// Who.
        visitor: VisitorId,
        /// When it was seen.
        at: UnixSeconds,
        /// On what consent.
        basis: Basis,
    },
    /// A hop brought the visitor ID to a browser that held another ID on this site.
    Alias {
        /// The visitor ID.
        visitor: VisitorId,
        /// The other ID.
        other: VisitorId,
        /// When.
        at: UnixSeconds,
        /// The other is a provisional ID of this site, and has given way.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        provisional: bool,
    },
    /// The visitor refused, or asked to be forgotten (rule C1). It is believed from every site, whenever it was.
    Refusal {
        /// Who.
        visitor: VisitorId,
        /// When.
        at: UnixSeconds,
    },
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_yes(flag: &bool) -> bool {
    *flag
}

impl Report {
    /// When it was.
    #[must_use]
    pub const fn at(&self) -> UnixSeconds {
        match self {
            Self::Link { at, .. } | Self::Seen { at, .. } | Self::Alias { at, .. } | Self::Refusal { at, .. } => *at,
        }
    }
}

impl Report {
    /// Whether it is a visitor's no.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refusal { .. })
    }
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A token and IDs stay out of every log (rule R8).
        let kind = match self {
            Self::Link { .. } => "Link",
            Self::Seen { .. } => "Seen",
            Self::Alias { .. } => "Alias",
            Self::Refusal { .. } => "Refusal",
        };
        write!(f, "{kind}(..)")
    }
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reported {
    /// It is kept.
    Recorded,
    /// That site has not seen that visitor.
    NotSeen,
    /// The ID is revoked.
    Revoked,
    /// The token proves nothing: forged, for another site, or of a key that is gone.
    Unproved,
    /// It is too old, or from the future.
    WrongTime,
    /// The record is full, or cannot be read.
    NotTaken,
    /// It could not be written or judged just now, while others could. It is to be sent again.
    Failed,
}

impl From<&Outcome> for Reported {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Done | Outcome::Properties(_) => Self::Recorded,
            Outcome::NotSeen => Self::NotSeen,
            Outcome::Revoked => Self::Revoked,
            Outcome::Conflict(_) | Outcome::Refused(_) | Outcome::TooManyAliases | Outcome::Unreadable => Self::NotTaken,
        }
    }
}

/// `POST /_throughline/api/reports`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Reports {
    /// In the order in which they happened.
    pub reports: Vec<Report>,
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct ReportsAnswer {
    /// One for each report, in the same order.
    pub outcomes: Vec<Reported>,
}

/// A visitor, as the API and the export show one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct VisitorDocument {
    /// The ID.
    pub visitor: VisitorId,
    /// The record.
    #[serde(flatten)]
    pub record: Record,
}

/// `GET /_throughline/api/revocations?after=<cursor>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Revocations {
    /// The IDs, oldest first.
    pub revoked: Vec<VisitorId>,
    /// Where to go on from.
    pub cursor: u64,
    /// There are more already.
    pub more: bool,
}

json_object!(written Report, Reports, ReportsAnswer, VisitorDocument, Revocations);
