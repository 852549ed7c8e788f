//! The visitor records as the broker keeps them: who may write what, and what need not be written again.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;

use crate::base::clock::{Clock, UnixSeconds};
use crate::base::id::VisitorId;
use crate::base::origin::Origin;
use crate::domain::consent::Basis;
use crate::domain::first_touch::FirstTouch;
use crate::domain::own_hosts::OwnHosts;
use crate::domain::properties::PropertyChange;
use crate::domain::record::{AliasKind, Change, Held, Outcome, Record, Write, Writer};
use crate::domain::reports::{REPORT_AGE_MAX, REVOCATIONS_MAX, Report, Reported, Revocations};
use crate::domain::siblings::Siblings;
use crate::domain::url::PageUrl;
use crate::token::claims::{CLOCK_SKEW, TokenKind};
use crate::token::verify::UnverifiedToken;

use super::first_pages::FirstPages;
use super::recent_set::{Claim, RecentSet};
use super::record_writer::{NotWritten, Receipt, RecordWriter};
use super::records::{Records, Unavailable};
use super::revoked_ids::RevokedIds;
use super::visitors::{Cursor, StoreFault, VisitorStore};

/// A visitor who comes to the same site again within this time is not written again.
const NOTED_SPAN: Duration = Duration::from_secs(60 * 60);

/// How many visitors are remembered as written; about 20 MB. Others are written more often than need be.
const NOTED_MAX: usize = 500_000;

/// A link that comes before its issuer's keys are known is sent again for this long: they are fetched again every 30 s until
/// they are there.
const KEYS_AWAITED: Duration = Duration::from_secs(90);

/// Keeps the records.
pub struct Keeper {
    store: Arc<dyn VisitorStore>,
    writer: RecordWriter,
    siblings: Arc<ArcSwap<Siblings>>,
    revoked: Arc<RevokedIds>,
    clock: Arc<dyn Clock>,
    own_hosts: ArcSwap<OwnHosts>,
    noted: RecentSet,
    first_pages: FirstPages,
    noted_hash: RandomState,
}

/// A site saw a visitor.
pub struct Sighting<'a> {
    /// Who.
    pub visitor: VisitorId,
    /// When the ID was minted.
    pub created: UnixSeconds,
    /// Where.
    pub site: &'a Origin,
    /// On what consent.
    pub basis: Basis,
    /// The page and the `Referer`, when this is the visitor's first.
    pub first: Option<(&'a PageUrl, Option<&'a str>)>,
}

/// What became of a sighting so far.
pub enum Noted {
    /// It was written a short while ago.
    Already,
    /// It is being written.
    Waiting(Receipt),
    /// There was no room for it.
    Lost,
}

impl Keeper {
    /// Keeps records in `store`, through `writer`. Hosts of `sites` are never an outside referrer.
    #[must_use]
    pub fn new<'a>(
        store: Arc<dyn VisitorStore>,
        writer: RecordWriter,
        siblings: Arc<ArcSwap<Siblings>>,
        revoked: Arc<RevokedIds>,
        clock: Arc<dyn Clock>,
        sites: impl Iterator<Item = &'a Origin>,
    ) -> Self {
        Self {
            store,
            writer,
            siblings,
            revoked,
            clock,
            own_hosts: ArcSwap::from_pointee(OwnHosts::new(sites)),
            noted: RecentSet::new(NOTED_SPAN, NOTED_MAX),
            first_pages: FirstPages::default(),
            noted_hash: RandomState::new(),
        }
    }

    /// From now on, the hosts of `sites` are never an outside referrer.
    pub fn set_sites<'a>(&self, sites: impl Iterator<Item = &'a Origin>) {
        self.own_hosts.store(Arc::new(OwnHosts::new(sites)));
    }

    /// Notes a sighting, beside the request: it waits for nothing.
    pub fn note(&self, sighting: &Sighting<'_>) -> Noted {
        let Sighting { visitor, created, site, basis, first } = *sighting;
        let key = self.key(visitor, site, basis);
        if self.noted.claim(key, self.clock.uptime()) == Claim::Again {
            return Noted::Already;
        }
        let at = self.clock.now();
        let first_touch = match first {
            Some((page, referrer)) => Some(self.first_touch(page, referrer)),
            None => self.first_pages.take(visitor),
        };
        let change = Change::Seen { basis, created, first_touch };
        match self.writer.put(Write { visitor, by: Writer::Broker(site.to_string()), at, change }) {
            Some(receipt) => Noted::Waiting(receipt),
            None => {
                self.noted.remove(key, self.clock.uptime());
                Noted::Lost
            }
        }
    }

    /// Keeps the first touch of a visitor who was given an ID with a page of the primary, until the browser has shown that it
    /// keeps the cookie (rule A8). The next sighting writes it.
    pub fn expect(&self, visitor: VisitorId, page: &PageUrl, referrer: Option<&str>) {
        self.first_pages.put(visitor, self.first_touch(page, referrer));
    }

    fn first_touch(&self, page: &PageUrl, referrer: Option<&str>) -> FirstTouch {
        FirstTouch::of(page, referrer, &self.own_hosts.load(), self.clock.now())
    }

    /// How the writing goes.
    #[must_use]
    pub const fn writer(&self) -> &RecordWriter {
        &self.writer
    }

    /// The visitor's own 122 random bits, told apart by site and basis.
    fn key(&self, visitor: VisitorId, site: &Origin, basis: Basis) -> u128 {
        let place = u128::from(self.noted_hash.hash_one((site.as_str(), basis)));
        u128::from_be_bytes(*visitor.as_bytes()) ^ (place << 64 | place)
    }

    /// What a report has written, or what is answered at once.
    fn writes(&self, site: &Origin, report: Report) -> Result<Vec<Write>, Reported> {
        let (now, at) = (self.clock.now(), report.at());
        let is_now = at <= now.plus(CLOCK_SKEW) && now.since(at) <= REPORT_AGE_MAX;
        // A no counts however long it was under way, and by whatever clock.
        if !is_now && !matches!(report, Report::Refusal { .. }) {
            return Err(Reported::WrongTime);
        }
        let name = site.to_string();
        Ok(match report {
            Report::Link { from, token, at, basis, held } => {
                if from == name {
                    return Err(Reported::Unproved);
                }
                let visitor = self.proved(site, &from, &token, at)?;
                let by = Writer::Link { site: name.clone(), from };
                let alias = |other| Change::Alias { other, kind: AliasKind::Link };
                match held {
                    None => {
                        let seen = Change::Seen { basis, created: at, first_touch: None };
                        vec![Write { visitor, by, at, change: seen }]
                    }
                    // The site keeps the ID that it has, so it does not come into the token's record.
                    Some(held) => vec![
                        Write { visitor, by, at, change: alias(held) },
                        Write { visitor: held, by: Writer::Site(name), at, change: alias(visitor) },
                    ],
                }
            }
            Report::Seen { visitor, at, basis } => {
                let change = Change::Seen { basis, created: at, first_touch: None };
                vec![Write { visitor, by: Writer::Site(name), at, change }]
            }
            Report::Alias { visitor, other, at, provisional } => {
                let kind = if provisional { AliasKind::Provisional } else { AliasKind::SameBrowser };
                vec![Write { visitor, by: Writer::Site(name), at, change: Change::Alias { other, kind } }]
            }
            // Whoever says it, a no is a no: it outranks the question which sites are in the record. By the broker's clock, since
            // it must last for as long as a cookie may hold the ID, whatever the satellite's clock says.
            Report::Refusal { visitor, .. } => {
                vec![Write { visitor, by: Writer::Broker(name), at: now, change: Change::Revoke }]
            }
        })
    }

    /// Whose link token this is, if it was good for `site` when it came.
    fn proved(&self, site: &Origin, from: &str, token: &str, at: UnixSeconds) -> Result<VisitorId, Reported> {
        let unproved = || Reported::Unproved;
        let parsed = UnverifiedToken::parse(token).ok().filter(|token| token.kind() == TokenKind::Link);
        let unverified = parsed.ok_or_else(unproved)?;
        let siblings = self.siblings.load();
        let Some((_, verifier)) = siblings.verifier(&unverified, Some(from), site) else {
            let may_come = siblings.awaits_keys_of(from) && self.clock.now().since(at) <= KEYS_AWAITED;
            return Err(if may_come { Reported::Failed } else { unproved() });
        };
        unverified.verify(&verifier, at).map(|verified| verified.visitor()).map_err(|_| unproved())
    }
}

#[async_trait]
impl Records for Keeper {
    async fn read(&self, site: &Origin, visitor: VisitorId) -> Result<Option<Box<Record>>, Unavailable> {
        match self.store.read(visitor).await {
            Ok(Held::Record(record)) => Ok(Some(record).filter(|record| record.sites.contains_key(site.as_str()))),
            Ok(Held::Nothing | Held::Revoked) => Ok(None),
            Ok(Held::Unreadable) => {
                self.writer.note_unreadable(visitor);
                tracing::error!(site = site.as_str(), "a visitor's record cannot be read; throughline check names the visitor");
                Err(Unavailable("the record cannot be read".into()))
            }
            Err(fault) => {
                if matches!(fault, StoreFault::Damaged(_)) {
                    self.writer.note_fault(&fault);
                }
                Err(Unavailable(fault.to_string()))
            }
        }
    }

    async fn change_properties(
        &self,
        site: &Origin,
        visitor: VisitorId,
        change: PropertyChange,
        expected: Option<u64>,
    ) -> Result<Outcome, Unavailable> {
        let by = Writer::Site(site.to_string());
        let change = Change::Properties { change, expected };
        let write = Write { visitor, by, at: self.clock.now(), change };
        self.writer.ask(write).await.map_err(|_| Unavailable("the store takes no writes".into()))
    }

    async fn report(&self, site: &Origin, reports: Vec<Report>) -> Result<Vec<Reported>, Unavailable> {
        // All are queued before the first is waited for, so that one commit takes them, in their order.
        let mut waiting = Vec::with_capacity(reports.len());
        for report in reports {
            let ends = if let Report::Refusal { visitor, .. } = &report { Some(*visitor) } else { None };
            let begun = self.writes(site, report).map(|writes| {
                let asked: Vec<_> = writes.into_iter().map(|write| self.writer.begin(write)).collect();
                (asked, ends)
            });
            waiting.push(begun);
        }
        let unavailable = || Unavailable("the store takes no writes".into());
        let mut outcomes = Vec::with_capacity(waiting.len());
        for begun in waiting {
            let (asked, ends) = match begun {
                Ok(begun) => begun,
                Err(refused) => {
                    outcomes.push(refused);
                    continue;
                }
            };
            let mut reported = None;
            for receipt in asked {
                let outcome = match receipt.ok_or_else(unavailable)?.await {
                    Ok(Ok(outcome)) => Reported::from(&outcome),
                    Ok(Err(NotWritten::Failed)) => Reported::Failed,
                    Ok(Err(NotWritten::SetAside)) => Reported::NotTaken,
                    // What was written before it is written once more with the next try, which changes nothing.
                    Ok(Err(NotWritten::Unavailable)) | Err(_) => return Err(unavailable()),
                };
                // The first is what the report is about; a link's aliases may be of an ID that nothing is held of. But all must
                // have been written.
                reported = match reported {
                    None => Some(outcome),
                    Some(_) if outcome == Reported::Failed => Some(outcome),
                    first => first,
                };
            }
            // This node need not wait for its own look at the store.
            let reported = reported.unwrap_or(Reported::Recorded);
            if let (Some(visitor), Reported::Recorded) = (ends, reported) {
                self.revoked.insert(visitor);
            }
            outcomes.push(reported);
        }
        // An answer that says that an ID has ended holds for a restart of this node, too (rule A14).
        self.revoked.journal.settled().await;
        Ok(outcomes)
    }

    async fn revocations(&self, cursor: Cursor) -> Result<Revocations, Unavailable> {
        let found = self.store.revocations(cursor, REVOCATIONS_MAX).await.map_err(|fault| Unavailable(fault.to_string()))?;
        let more = found.len() == REVOCATIONS_MAX;
        let cursor = found.last().map_or(cursor, |(number, _)| *number);
        Ok(Revocations { revoked: found.into_iter().map(|(_, visitor)| visitor).collect(), cursor, more })
    }
}
