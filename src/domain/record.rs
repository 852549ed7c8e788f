//! The visitor record: what the broker keeps of a visitor, and what one write makes of it. Pure; `store` keeps it.
//!
//! 1. A record belongs to one visitor ID. A site may read and change it only if it is in the record's `sites`.
//! 2. Every change may be applied twice and leaves the same behind: a store that does not know whether it committed tries
//!    again. (Only the version of properties counts both times.)
//! 3. A revoked ID has no record and never gets one again (rule C2). Its aliases are revoked with it: they are one visitor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::base::json::{json_object, present};

use super::consent::Basis;
use super::first_touch::FirstTouch;
use super::properties::{Properties, PropertyChange, PropertyRefusal};

/// The most aliases that one record holds; further ones are not taken.
pub const ALIASES_MAX: usize = 64;

/// What is kept of one visitor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Record {
    /// When the ID was minted.
    pub created: UnixSeconds,
    /// Where the visitor first came from, if a hop or a page of the primary told.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub first_touch: Option<FirstTouch>,
    /// The sites that saw this visitor, by origin.
    pub sites: BTreeMap<String, SiteRecord>,
    /// What the company wants to remember across domains.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub properties: Properties,
    /// How often the properties were changed: the version for optimistic concurrency.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: u64,
    /// Other IDs of the same visitor.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<VisitorId, AliasRecord>,
}

/// What one site saw of a visitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct SiteRecord {
    /// The first time.
    pub first: UnixSeconds,
    /// The last hop or link, to the hour or so: a browser that comes again within it is not written again.
    pub last: UnixSeconds,
    /// The consent that it stood on, and when each was first relied on (rule C4).
    pub consent: BTreeMap<Basis, UnixSeconds>,
}

/// How two IDs were found to be one visitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct AliasRecord {
    /// The site that told.
    pub site: String,
    /// When.
    pub at: UnixSeconds,
}

impl AliasRecord {
    /// Whether `other`, what is held of the ID that this names, is the same visitor's. The site that said so must have seen
    /// that ID too, or nothing may be held of it: else a site could end, or have exported, another's visitor.
    #[must_use]
    pub fn counts(&self, other: &Held) -> bool {
        match other {
            Held::Record(record) => record.sites.contains_key(&self.site),
            Held::Nothing | Held::Revoked | Held::Unreadable => true,
        }
    }
}

json_object!(written Record, SiteRecord, AliasRecord, Versioned);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One write to one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// Whose record.
    pub visitor: VisitorId,
    /// Who writes.
    pub by: Writer,
    /// When.
    pub at: UnixSeconds,
    /// What.
    pub change: Change,
}

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writer {
    /// The broker itself, for this site: a hop, a page of the primary, or a visitor's no.
    Broker(String),
    /// The broker, for a site that a link led to, whose token was verified. It counts where the link's own site is in the
    /// record, or there is none.
    Link {
        /// The site that the link led to.
        site: String,
        /// The site that it was on.
        from: String,
    },
    /// A site, on its own word. It may write only where it is in the record, or where there is none.
    Site(String),
    /// The operator, at the command line. Such a one need not have seen the visitor.
    Operator,
}

/// What a write changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The site saw the visitor.
    Seen {
        /// On what consent.
        basis: Basis,
        /// When the ID was minted, as far as the writer knows.
        created: UnixSeconds,
        /// Where the visitor came from. Only a new record takes it.
        first_touch: Option<FirstTouch>,
    },
    /// Another ID is the same visitor.
    Alias(VisitorId),
    /// Properties, if the version is still the expected one.
    Properties {
        /// What changes.
        change: PropertyChange,
        /// The version that the writer read; any, without.
        expected: Option<u64>,
    },
    /// The ID ends, here and on all sites (rules C1, C2).
    Revoke,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Done, or it was so already.
    Done,
    /// The properties as they are now.
    Properties(Versioned),
    /// The site has not seen that visitor, or there is none.
    NotSeen,
    /// The ID is revoked.
    Revoked,
    /// The version is another by now.
    Conflict(Versioned),
    /// The properties would pass a limit.
    Refused(PropertyRefusal),
    /// The record holds as many aliases as it can.
    TooManyAliases,
    /// What the store holds is no record of this version.
    Unreadable,
}

/// Properties and their version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Versioned {
    /// How often they were changed.
    pub version: u64,
    /// What they are.
    pub properties: Properties,
}

/// What a store holds of an ID.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// A record.
    Record(Box<Record>),
    /// Only that it is revoked.
    Revoked,
    /// A record that cannot be read.
    Unreadable,
}

impl Held {
    /// Reads the stored form.
    #[must_use]
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).map_or(Self::Unreadable, |record| Self::Record(Box::new(record)))
    }
}

impl Record {
    /// The stored form: JSON.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// When any site last saw the visitor; retention counts from here.
    #[must_use]
    pub fn last_seen(&self) -> UnixSeconds {
        self.sites.values().map(|site| site.last).max().unwrap_or(self.created)
    }

    /// The properties with their version.
    #[must_use]
    pub fn versioned(&self) -> Versioned {
        Versioned { version: self.version, properties: self.properties.clone() }
    }

    fn new(created: UnixSeconds, first_touch: Option<FirstTouch>) -> Self {
        let (sites, properties, aliases) = Default::default();
        Self { created, first_touch, sites, properties, version: 0, aliases }
    }

    fn see(&mut self, site: &str, basis: Basis, at: UnixSeconds) {
        let seen = match self.sites.get_mut(site) {
            Some(seen) => seen,
            None => {
                let new = SiteRecord { first: at, last: at, consent: BTreeMap::new() };
                self.sites.entry(site.to_owned()).or_insert(new)
            }
        };
        seen.first = seen.first.min(at);
        seen.last = seen.last.max(at);
        let since = seen.consent.entry(basis).or_insert(at);
        *since = (*since).min(at);
    }
}

/// What a write makes of what is held: that changes in place when the outcome says so. `other_is_revoked` is for aliases.
///
/// [`Change::Revoke`] only checks that it may be; the batch carries it out, since it reaches other records.
pub(super) fn apply(held: &mut Held, write: &Write, other_is_revoked: bool) -> Outcome {
    let site = match &write.by {
        Writer::Broker(site) | Writer::Site(site) | Writer::Link { site, .. } => Some(site.as_str()),
        Writer::Operator => None,
    };
    let knows = |record: &Record| {
        let is_in = |site: &str| record.sites.contains_key(site);
        match &write.by {
            Writer::Site(site) => is_in(site),
            Writer::Link { site, from } => is_in(site) || is_in(from),
            Writer::Broker(_) | Writer::Operator => true,
        }
    };
    match held {
        Held::Revoked => return Outcome::Revoked,
        Held::Unreadable if write.change == Change::Revoke => return Outcome::Done,
        Held::Unreadable => return Outcome::Unreadable,
        Held::Record(record) if !knows(record) => return Outcome::NotSeen,
        Held::Record(_) | Held::Nothing => {}
    }
    match (&write.change, held) {
        (Change::Revoke, _) => Outcome::Done,
        (Change::Seen { basis, created, first_touch }, held) => {
            let Some(site) = site else { return Outcome::NotSeen };
            if let Held::Nothing = held {
                *held = Held::Record(Box::new(Record::new(*created, first_touch.clone())));
            }
            if let Held::Record(record) = held {
                record.see(site, *basis, write.at);
            }
            Outcome::Done
        }
        (Change::Alias(_), _) if other_is_revoked => Outcome::Revoked,
        (Change::Alias(other), Held::Record(record)) => {
            if record.aliases.len() >= ALIASES_MAX && !record.aliases.contains_key(other) {
                return Outcome::TooManyAliases;
            }
            let note = AliasRecord { site: site.unwrap_or_default().to_owned(), at: write.at };
            record.aliases.entry(*other).or_insert(note);
            Outcome::Done
        }
        (Change::Properties { change, expected }, Held::Record(record)) => {
            if expected.is_some_and(|expected| expected != record.version) {
                return Outcome::Conflict(record.versioned());
            }
            match record.properties.change(change) {
                Ok(()) => {
                    record.version += 1;
                    Outcome::Properties(record.versioned())
                }
                Err(refusal) => Outcome::Refused(refusal),
            }
        }
        (Change::Alias(_) | Change::Properties { .. }, _) => Outcome::NotSeen,
    }
}
