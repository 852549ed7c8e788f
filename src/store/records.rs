//! What a satellite asks of the visitor records, wherever they are: in this process, or behind the broker's API.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use crate::base::id::VisitorId;
use crate::base::origin::Origin;
use crate::domain::properties::PropertyChange;
use crate::domain::record::{Outcome, Record};
use crate::domain::reports::{Report, Reported, Revocations};

use super::visitors::Cursor;

/// The records, for the sites of a process. Each call names the site that asks; it may touch only visitors it has seen.
#[async_trait]
pub trait Records: Send + Sync {
    /// The record of a visitor; `None` when the site has not seen it, or there is none.
    async fn read(&self, site: &Origin, visitor: VisitorId) -> Result<Option<Box<Record>>, Unavailable>;

    /// Changes a visitor's properties, if their version is still `expected`.
    async fn change_properties(
        &self,
        site: &Origin,
        visitor: VisitorId,
        change: PropertyChange,
        expected: Option<u64>,
    ) -> Result<Outcome, Unavailable>;

    /// Takes reports, in their order; one outcome for each.
    async fn report(&self, site: &Origin, reports: Vec<Report>) -> Result<Vec<Reported>, Unavailable>;

    /// Whether reports of this site are accepted at all. `false` when the broker refuses the site's API key.
    async fn accepts(&self, _site: &Origin) -> Result<bool, Unavailable> {
        Ok(true)
    }

    /// The revocations after `cursor`.
    async fn revocations(&self, cursor: Cursor) -> Result<Revocations, Unavailable>;
}

/// The records cannot be had just now. Whatever was asked may be asked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(
    /// Why, without anything secret.
    pub String,
);

/// How long an answer waits for the store. A satellite waits longer than that for the broker's answer (`ASK_TIME_MAX`), and every
/// proxy of examples/ and deploy/ longer than the satellite: a database that hangs must not make a node look dead
/// (tests/proxies/limits.rs).
pub const STORE_TIME_MAX: Duration = Duration::from_millis(1500);

/// What the records answer within [`STORE_TIME_MAX`]. What was begun may be done all the same.
///
/// # Errors
/// Those of `asked`, and when there is no answer in time.
pub async fn in_time<T>(asked: impl Future<Output = Result<T, Unavailable>>) -> Result<T, Unavailable> {
    timeout(STORE_TIME_MAX, asked).await.unwrap_or_else(|_| Err(Unavailable("no answer from the store in time".into())))
}
