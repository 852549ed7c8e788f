//! The visitor record: what the broker keeps of a visitor, and what one write makes of it. Pure; `store` keeps it.
//!
//! 1. A record belongs to one visitor ID. A site may read and change it only if it is in the record's `sites`.
//! 2. Every change may be applied twice and leaves the same behind: a store that does not know whether it committed tries
//!    again. (Only the version of properties counts both times.)
//! 3. A revoked ID has no record and never gets one again (rule C2). Its [provisional IDs](AliasRecord::counts) are revoked
//!    with it. Every other alias is evidence only: no revocation and no export follows it (rule L9).
//! 4. A link makes no record. It adds its destination to a record in which the broker itself has seen the link's site (rule
//!    L10).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::base::json::{json_object, present};

use super::consent::Basis;
use super::first_touch::FirstTouch;
use super::properties::{Properties, PropertyChange, PropertyRefusal};

/// The most aliases that one record holds. When it is full, a provisional ID replaces the oldest evidence, and further
/// evidence is not taken.
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
    /// Other IDs that were reported together with this one.
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
    /// The broker has only this site's own word for it: no hop, no page of the primary and no link has shown it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub on_own_word: bool,
}

/// What ties two IDs. The later in this list, the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AliasKind {
    /// A browser with one of them followed a link with the other. It may be another person's link.
    Link,
    /// A hop brought one of them to the browser that held the other, and both are visitor IDs of the broker.
    SameBrowser,
    /// The other is a provisional ID, which the same browser exchanged for this one.
    Provisional,
}

/// How two IDs were found together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct AliasRecord {
    /// The site that reported it.
    pub site: String,
    /// When.
    pub at: UnixSeconds,
    /// By what. Records of older versions do not say it: those are evidence, like a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<AliasKind>,
}

impl AliasRecord {
    /// Whether revocation and export follow this alias to `other`, what is held of the ID that it names (rule L9): only to a
    /// provisional ID. The site's word is not enough: the broker itself must never have seen that ID on any site, and no
    /// other site may have reported it. Else a site could end, or have exported, a visitor of others.
    #[must_use]
    pub fn counts(&self, other: &Held) -> bool {
        self.kind == Some(AliasKind::Provisional)
            && match other {
                Held::Nothing | Held::Revoked => true,
                Held::Record(record) => record.sites.iter().all(|(site, seen)| *site == self.site && seen.on_own_word),
                Held::Unreadable => false,
            }
    }
}

json_object!(written Record, SiteRecord, AliasRecord, Versioned);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

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
    /// The broker, for a site that a link led to, whose token was verified. It may write only where the broker has seen the
    /// link's own site in the record, or where its destination is in it already (rule L10).
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
        /// Where the visitor first came from. A record takes it that has none yet: with several nodes, the write of the first hop
        /// may come after later ones (rule A13).
        first_touch: Option<FirstTouch>,
    },
    /// Another ID was found together with this one.
    Alias {
        /// The other ID.
        other: VisitorId,
        /// By what.
        kind: AliasKind,
    },
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

impl Change {
    /// Its name, for operators.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Seen { .. } => "seen",
            Self::Alias { .. } => "alias",
            Self::Properties { .. } => "properties",
            Self::Revoke => "revoke",
        }
    }
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

    fn new(created: UnixSeconds) -> Self {
        let (sites, properties, aliases) = Default::default();
        Self { created, first_touch: None, sites, properties, version: 0, aliases }
    }

    fn see(&mut self, site: &str, basis: Basis, at: UnixSeconds, on_own_word: bool) {
        let seen = match self.sites.get_mut(site) {
            Some(seen) => seen,
            None => {
                let new = SiteRecord { first: at, last: at, consent: BTreeMap::new(), on_own_word };
                self.sites.entry(site.to_owned()).or_insert(new)
            }
        };
        seen.on_own_word &= on_own_word;
        seen.first = seen.first.min(at);
        seen.last = seen.last.max(at);
        let since = seen.consent.entry(basis).or_insert(at);
        *since = (*since).min(at);
    }

    /// Whether the broker itself has seen that site in this record.
    fn vouches_for(&self, site: &str) -> bool {
        self.sites.get(site).is_some_and(|seen| !seen.on_own_word)
    }

    fn add_alias(&mut self, other: VisitorId, note: AliasRecord) -> Outcome {
        if let Some(known) = self.aliases.get_mut(&other) {
            if note.kind > known.kind {
                *known = note;
            }
            return Outcome::Done;
        }
        if self.aliases.len() >= ALIASES_MAX {
            let evidence = self.aliases.iter().filter(|(_, known)| known.kind < Some(AliasKind::Provisional));
            let oldest = evidence.min_by_key(|(_, known)| known.at).map(|(id, _)| *id);
            match oldest.filter(|_| note.kind == Some(AliasKind::Provisional)) {
                Some(oldest) => self.aliases.remove(&oldest),
                None => return Outcome::TooManyAliases,
            };
        }
        self.aliases.insert(other, note);
        Outcome::Done
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
            Writer::Link { site, from } => is_in(site) || record.vouches_for(from),
            Writer::Broker(_) | Writer::Operator => true,
        }
    };
    match held {
        Held::Revoked => return Outcome::Revoked,
        Held::Unreadable if write.change == Change::Revoke => return Outcome::Done,
        Held::Unreadable => return Outcome::Unreadable,
        Held::Record(record) if !knows(record) => return Outcome::NotSeen,
        Held::Nothing if matches!(write.by, Writer::Link { .. }) => return Outcome::NotSeen,
        Held::Record(_) | Held::Nothing => {}
    }
    match (&write.change, held) {
        (Change::Revoke, _) => Outcome::Done,
        (Change::Seen { basis, created, first_touch }, held) => {
            let Some(site) = site else { return Outcome::NotSeen };
            if let Held::Nothing = held {
                *held = Held::Record(Box::new(Record::new(*created)));
            }
            if let Held::Record(record) = held {
                record.created = record.created.min(*created);
                if record.first_touch.is_none() {
                    record.first_touch.clone_from(first_touch);
                }
                let on_own_word = match &write.by {
                    Writer::Site(_) => true,
                    Writer::Link { from, .. } => !record.vouches_for(from),
                    Writer::Broker(_) | Writer::Operator => false,
                };
                record.see(site, *basis, write.at, on_own_word);
            }
            Outcome::Done
        }
        (Change::Alias { .. }, _) if other_is_revoked => Outcome::Revoked,
        (Change::Alias { other, kind }, Held::Record(record)) => {
            record.add_alias(*other, AliasRecord { site: site.unwrap_or_default().to_owned(), at: write.at, kind: Some(*kind) })
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
        (Change::Alias { .. } | Change::Properties { .. }, _) => Outcome::NotSeen,
    }
}
