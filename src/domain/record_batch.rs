//! What a batch of writes makes of what a store holds. A store loads, asks here, and writes what it is told, all in one
//! transaction; so every store does the same.
//!
//! ```text
//! let mut loaded = held for every ID of `touched(writes)`
//! loop { match plan(&loaded, writes) { Ok(plan) => write it and commit, Err(more) => load those too } }
//! ```
//!
//! A plan may end before the last write, so that one transaction revokes a bounded number of IDs (rule A10). The next batch
//! goes on from there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;

use super::record::{AliasKind, AliasRecord, Change, Held, Outcome, Write, Writer, apply};

/// A plan that revokes this many IDs takes no further write. One write revokes at most 1 + [`ALIASES_MAX`] of them.
///
/// [`ALIASES_MAX`]: super::record::ALIASES_MAX
pub const REVOKED_MAX: usize = 500;

/// What the store holds of each ID that the writes concern.
pub type Loaded = HashMap<VisitorId, Held>;

/// What the store is to do.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// What became of each write, in their order. Writes without an outcome are not in the plan.
    pub outcomes: Vec<Outcome>,
    /// Records to write, each once.
    pub put: Vec<Put>,
    /// IDs to revoke and when that was, in their order; what is held of them is to be deleted.
    pub revoke: Vec<(VisitorId, UnixSeconds)>,
}

/// A record to write.
#[derive(Debug, PartialEq)]
pub struct Put {
    /// Whose.
    pub visitor: VisitorId,
    /// When the visitor was last seen.
    pub seen: UnixSeconds,
    /// The stored form.
    pub text: String,
    /// Nothing was held of this ID before. Where another node may have written it meanwhile, it must not be replaced: the
    /// batch is loaded and planned again.
    pub is_new: bool,
}

/// The IDs that the writes concern, each once and in order: who locks them in this order meets no deadlock.
#[must_use]
pub fn touched(writes: &[Arc<Write>]) -> Vec<VisitorId> {
    let mut ids: Vec<_> = writes
        .iter()
        .flat_map(|write| match &write.change {
            Change::Alias { other, .. } => [Some(write.visitor), Some(*other)],
            _ => [Some(write.visitor), None],
        })
        .flatten()
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// What the writes, one after the other, make of what is held.
///
/// # Errors
/// With further IDs that must be loaded first: aliases of a revoked one.
pub fn plan(loaded: &Loaded, writes: &[Arc<Write>]) -> Result<Plan, Vec<VisitorId>> {
    let mut now: Loaded = HashMap::with_capacity(loaded.len());
    let mut batch = Batch { loaded, now: &mut now, changed: HashSet::new(), revoked: Vec::new(), missing: Vec::new() };
    let mut outcomes = Vec::with_capacity(writes.len());
    for write in writes {
        if batch.revoked.len() >= REVOKED_MAX {
            break;
        }
        outcomes.push(batch.take(write));
    }
    let Batch { changed, revoked, mut missing, .. } = batch;
    if !missing.is_empty() {
        missing.sort_unstable();
        missing.dedup();
        return Err(missing);
    }
    let mut put: Vec<_> = changed
        .into_iter()
        .filter_map(|visitor| match now.get(&visitor) {
            Some(Held::Record(record)) => {
                let is_new = loaded.get(&visitor) == Some(&Held::Nothing);
                Some(Put { visitor, seen: record.last_seen(), text: record.to_text(), is_new })
            }
            _ => None,
        })
        .collect();
    put.sort_unstable_by_key(|put| put.visitor);
    Ok(Plan { outcomes, put, revoke: revoked })
}

struct Batch<'a> {
    loaded: &'a Loaded,
    now: &'a mut Loaded,
    changed: HashSet<VisitorId>,
    revoked: Vec<(VisitorId, UnixSeconds)>,
    missing: Vec<VisitorId>,
}

impl Batch<'_> {
    fn held(&mut self, visitor: VisitorId) -> &mut Held {
        let Self { loaded, now, missing, .. } = self;
        now.entry(visitor).or_insert_with(|| {
            loaded.get(&visitor).cloned().unwrap_or_else(|| {
                missing.push(visitor);
                Held::Nothing
            })
        })
    }

    fn take(&mut self, write: &Write) -> Outcome {
        let other_is_revoked = match &write.change {
            Change::Alias { other, .. } if *other == write.visitor => return Outcome::Done,
            Change::Alias { other, .. } => *self.held(*other) == Held::Revoked,
            _ => false,
        };
        let held = self.held(write.visitor);
        let outcome = apply(held, write, other_is_revoked);
        match (&write.change, &outcome) {
            (Change::Revoke, Outcome::Done) => self.revoke(write.visitor, write.at),
            // The same visitor has asked to be forgotten under the other ID. Refusals overtake aliases, so that either may come
            // first (rule A10).
            (Change::Alias { other, kind: AliasKind::Provisional }, Outcome::Revoked) => {
                if other_is_revoked {
                    self.revoke_known(write);
                } else {
                    self.revoke_provisional(write, *other);
                }
            }
            (_, Outcome::Done | Outcome::Properties(_)) => {
                self.changed.insert(write.visitor);
            }
            _ => {}
        }
        outcome
    }

    /// Ends the provisional ID of a visitor who has ended already, as a cascade would have done.
    fn revoke_provisional(&mut self, write: &Write, other: VisitorId) {
        let (Writer::Site(site) | Writer::Broker(site)) = &write.by else { return };
        let note = AliasRecord { site: site.clone(), at: write.at, kind: Some(AliasKind::Provisional) };
        self.end_alias(other, &note, write.at);
    }

    /// A site must not end an ID by an alias that it could not end by itself.
    fn revoke_known(&mut self, write: &Write) {
        let may = match (&write.by, self.held(write.visitor)) {
            (Writer::Site(site), Held::Record(record)) => record.sites.contains_key(site),
            (_, Held::Record(_) | Held::Nothing) => true,
            _ => false,
        };
        if may {
            self.revoke(write.visitor, write.at);
        }
    }

    /// Ends an ID, and with it its provisional IDs. Those have no aliases of their own, so this goes no further.
    fn revoke(&mut self, visitor: VisitorId, at: UnixSeconds) {
        let held = std::mem::replace(self.held(visitor), Held::Revoked);
        self.revoked.push((visitor, at));
        let Held::Record(record) = held else { return };
        for (alias, note) in record.aliases {
            self.end_alias(alias, &note, at);
        }
    }

    fn end_alias(&mut self, alias: VisitorId, note: &AliasRecord, at: UnixSeconds) {
        if note.kind != Some(AliasKind::Provisional) {
            return;
        }
        let held = self.held(alias);
        if *held != Held::Revoked && note.counts(held) {
            *held = Held::Revoked;
            self.revoked.push((alias, at));
        }
    }
}
