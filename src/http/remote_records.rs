//! The visitor records behind the broker's API, for a satellite that is not on a broker node.
//!
//! Requests are served by many threads, and a connection belongs to one. So one task owns the connections, and the requests
//! ask it; at most [`ASKING_MAX`] at once, since a broker that hangs must not fill the memory (rule A1).

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use awc::http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use crate::base::id::VisitorId;
use crate::base::json::{self, json_object};
use crate::base::origin::Origin;
use crate::base::secret::ApiKey;
use crate::domain::contract::path;
use crate::domain::properties::{Limit, PropertyChange, PropertyRefusal};
use crate::domain::record::{Outcome, Record, Versioned};
use crate::domain::reports::{Report, Reported, Reports, ReportsAnswer, Revocations, VisitorDocument};
use crate::store::records::{Records, STORE_TIME_MAX, Unavailable};
use crate::store::visitors::Cursor;

use super::client::{Ask, Outbound};

/// How many requests are under way to the broker at most.
const ASKING_MAX: usize = 256;

/// How long the broker may take over one: longer than it waits for its store, so that its own answer is heard.
pub const ASK_TIME_MAX: Duration = Duration::from_secs(2);

const _: () = assert!(STORE_TIME_MAX.as_millis() < ASK_TIME_MAX.as_millis());

/// What each site of this process shows to the broker, by its origin.
pub type ApiKeys = ArcSwap<HashMap<String, ApiKey>>;

/// The records, as the sites of this process may see them.
pub struct RemoteRecords {
    keys: Arc<ApiKeys>,
    queue: mpsc::Sender<Sent>,
}

struct Sent {
    ask: Ask,
    answer: oneshot::Sender<Result<(u16, Bytes), Unavailable>>,
}

impl RemoteRecords {
    /// The records of the broker at `primary`, for the sites with these keys, and the work that has to be done for that.
    #[must_use]
    pub fn new(primary: Origin, outbound: Outbound, keys: Arc<ApiKeys>) -> (Self, Errands) {
        let (queue, waiting) = mpsc::channel(ASKING_MAX);
        (Self { keys, queue }, Errands { primary, outbound, waiting })
    }

    async fn ask(&self, ask: Ask) -> Result<(u16, Bytes), Unavailable> {
        let (answer, answered) = oneshot::channel();
        let busy = |()| Unavailable("too many requests to the broker are under way".into());
        // Pages' scripts ask for records; half of the places is kept for what must reach the broker.
        if ask.method == Method::GET && self.queue.capacity() < ASKING_MAX / 2 {
            return Err(busy(()));
        }
        self.queue.try_send(Sent { ask, answer }).map_err(|_| busy(()))?;
        answered.await.unwrap_or_else(|_| Err(Unavailable("this process is ending".into())))
    }

    async fn send_reports(&self, site: &Origin, reports: Vec<Report>) -> Result<(u16, Bytes), Unavailable> {
        let body = serde_json::to_string(&Reports { reports }).unwrap_or_default();
        self.ask(Ask { method: Method::POST, path: path::API_REPORTS.into(), key: self.key(site)?, if_match: None, body }).await
    }

    fn key(&self, site: &Origin) -> Result<ApiKey, Unavailable> {
        self.keys.load().get(site.as_str()).cloned().ok_or_else(|| Unavailable("the site is not served here".into()))
    }
}

/// The task that owns the connections.
pub struct Errands {
    primary: Origin,
    outbound: Outbound,
    waiting: mpsc::Receiver<Sent>,
}

impl Errands {
    /// Runs them, on a runtime that lives as long as the process.
    pub async fn run(self) {
        let Self { primary, outbound, mut waiting } = self;
        let client = Rc::new(outbound.client(ASK_TIME_MAX));
        let room = Arc::new(tokio::sync::Semaphore::new(ASKING_MAX));
        while let Some(Sent { ask, answer }) = waiting.recv().await {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let (client, primary) = (Rc::clone(&client), primary.clone());
            actix_web::rt::spawn(async move {
                let outcome = client.ask(&primary, ask).await.map_err(|failure| Unavailable(failure.to_string()));
                let _ = answer.send(outcome);
                drop(place);
            });
        }
    }
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Unavailable> {
    json::read(body).map_err(|_| Unavailable("the broker's answer cannot be read".into()))
}

fn unexpected(status: u16) -> Unavailable {
    Unavailable(format!("the broker answered {status}"))
}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct Refused {
    error: Limit,
    key: Option<String>,
}

json_object!(Refused);

#[async_trait]
impl Records for RemoteRecords {
    async fn read(&self, site: &Origin, visitor: VisitorId) -> Result<Option<Box<Record>>, Unavailable> {
        let path = format!("{}{visitor}", path::API_VISITORS);
        let key = self.key(site)?;
        match self.ask(Ask { method: Method::GET, path, key, if_match: None, body: String::new() }).await? {
            (200, body) => read::<VisitorDocument>(&body).map(|document| Some(Box::new(document.record))),
            (404, _) => Ok(None),
            (status, _) => Err(unexpected(status)),
        }
    }

    async fn change_properties(
        &self,
        site: &Origin,
        visitor: VisitorId,
        change: PropertyChange,
        expected: Option<u64>,
    ) -> Result<Outcome, Unavailable> {
        let path = format!("{}{visitor}/properties", path::API_VISITORS);
        let key = self.key(site)?;
        let body = serde_json::to_string(&change).unwrap_or_default();
        match self.ask(Ask { method: Method::PATCH, path, key, if_match: expected, body }).await? {
            (200, body) => read::<Versioned>(&body).map(Outcome::Properties),
            (404, _) => Ok(Outcome::NotSeen),
            (412, body) => read::<Versioned>(&body).map(Outcome::Conflict),
            (422, body) => read(&body).map(|Refused { error, key }| Outcome::Refused(PropertyRefusal { key, limit: error })),
            (status, _) => Err(unexpected(status)),
        }
    }

    async fn report(&self, site: &Origin, reports: Vec<Report>) -> Result<Vec<Reported>, Unavailable> {
        match self.send_reports(site, reports).await? {
            (200, body) => read::<ReportsAnswer>(&body).map(|answer| answer.outcomes),
            (status, _) => Err(unexpected(status)),
        }
    }

    async fn accepts(&self, site: &Origin) -> Result<bool, Unavailable> {
        // No report at all: the broker looks at the key and at nothing else.
        match self.send_reports(site, Vec::new()).await? {
            (200, _) => Ok(true),
            (401, _) => Ok(false),
            (status, _) => Err(unexpected(status)),
        }
    }

    async fn revocations(&self, cursor: Cursor) -> Result<Revocations, Unavailable> {
        // They are the same for all sites: one whose key the broker does not know must not cost the others their list.
        let mut problem = Unavailable("no site is served here".into());
        let keys = self.keys.load_full();
        for key in keys.values().cloned() {
            let path = format!("{}?after={cursor}", path::API_REVOCATIONS);
            match self.ask(Ask { method: Method::GET, path, key, if_match: None, body: String::new() }).await? {
                (200, body) => return read(&body),
                (status, _) => problem = unexpected(status),
            }
        }
        Err(problem)
    }
}
