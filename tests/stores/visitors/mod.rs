//! The visitor store's contract, point by point, on every backend; then what each backend does when its own world breaks.

mod contract;
mod migrations;
mod nodes;
mod postgres_faults;
mod postgres_tls;
mod postgres_unusable;
mod sampling;
mod sqlite_faults;
mod sqlite_file;
mod sweeping;
mod values;
mod writing;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use throughline::base::clock::UnixSeconds;
use throughline::base::id::VisitorId;
use throughline::domain::consent::Basis;
use throughline::domain::postgres_url::PostgresUrl;
use throughline::domain::properties::PropertyChange;
use throughline::domain::record::{AliasKind, Change, Held, Outcome, Record, Write, Writer};
use throughline::http::client::Outbound;
use throughline::store::visitors::postgres::PostgresStore;
use throughline::store::visitors::sqlite::SqliteStore;
use throughline::store::visitors::{StoreFault, VisitorStore};

use crate::support::postgres::Postgres;

/// Every call must end within this, whatever happens to the store: its own bound, and room for a busy machine.
const CALL_ENDS_WITHIN: Duration = Duration::from_secs(8);

/// What every store must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Memory,
    File,
    Postgres,
}

impl Backend {
    const ALL: [Self; 3] = [Self::Memory, Self::File, Self::Postgres];
    /// Those that two nodes can have at once.
    const SHARED: [Self; 2] = [Self::File, Self::Postgres];

    /// An empty database, with two nodes on it.
    async fn open(self) -> Nodes {
        println!("on {self:?}");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("visitors.sqlite");
        let url = if self == Self::Postgres { Postgres::shared().new_database() } else { String::new() };
        let one = match self {
            Self::Memory => Arc::new(SqliteStore::memory()) as Arc<dyn VisitorStore>,
            Self::File => Arc::new(SqliteStore::file(&file)),
            Self::Postgres => postgres(&url),
        };
        let two = match self {
            Self::Memory => Arc::clone(&one),
            Self::File => Arc::new(SqliteStore::file(&file)),
            Self::Postgres => postgres(&url),
        };
        for store in [&one, &two] {
            store.prepare().await.expect("an empty database");
        }
        Nodes { one, two, file, url, _folder: folder }
    }
}

/// Two nodes on one database.
struct Nodes {
    one: Arc<dyn VisitorStore>,
    two: Arc<dyn VisitorStore>,
    file: PathBuf,
    url: String,
    _folder: TempDir,
}

impl Nodes {
    /// Says something to the database behind the store's back: in SQLite's words, or in PostgreSQL's.
    fn behind_the_back(&self, sqlite: &str, postgres: &str) -> String {
        if self.url.is_empty() {
            let connection = rusqlite::Connection::open(&self.file).expect("the file");
            connection.busy_timeout(Duration::from_secs(5)).expect("a timeout");
            return match connection.query_row(sqlite, [], |row| row.get::<_, i64>(0)) {
                Ok(number) => number.to_string(),
                Err(rusqlite::Error::QueryReturnedNoRows) => String::new(),
                Err(error) => panic!("{sqlite}: {error}"),
            };
        }
        Postgres::shared().sql(&self.url, postgres)
    }
}

/// A store on a PostgreSQL server, which must hold the process's own roots to account for TLS.
fn postgres(url: &str) -> Arc<dyn VisitorStore> {
    postgres_trusting(url, Vec::new())
}

/// The same, with authorities such as those of `ca_file`.
fn postgres_trusting(url: &str, authorities: Vec<CertificateDer<'static>>) -> Arc<dyn VisitorStore> {
    let roots = Outbound::new(HashMap::new(), authorities).expect("roots").roots;
    Arc::new(PostgresStore::new(&postgres_url(url), roots).expect("a store"))
}

fn postgres_url(url: &str) -> PostgresUrl {
    PostgresUrl::parse(url, |_, path| Ok(path.into())).unwrap_or_else(|mistake| panic!("{url}: {mistake}"))
}

fn sqlite(file: &Path) -> Arc<dyn VisitorStore> {
    Arc::new(SqliteStore::file(file))
}

const A: &str = "https://a.example";
const B: &str = "https://b.example";

/// A visitor. Their IDs are in the order of the numbers.
fn id(number: u32) -> VisitorId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    (bytes[6], bytes[8]) = (0x40, 0x80);
    VisitorId::from_bytes(&bytes).expect("version 4")
}

fn write(visitor: VisitorId, by: Writer, at: u64, change: Change) -> Arc<Write> {
    Arc::new(Write { visitor, by, at: UnixSeconds(at), change })
}

/// A hop for a site.
fn seen(visitor: VisitorId, site: &str, at: u64) -> Arc<Write> {
    let change = Change::Seen { basis: Basis::Implied, created: UnixSeconds(at), first_touch: None };
    write(visitor, Writer::Broker(site.into()), at, change)
}

/// The other is a provisional ID of the site A.
fn alias(visitor: VisitorId, other: VisitorId) -> Arc<Write> {
    aliased(visitor, other, AliasKind::Provisional)
}

fn aliased(visitor: VisitorId, other: VisitorId, kind: AliasKind) -> Arc<Write> {
    write(visitor, Writer::Broker(A.into()), 1000, Change::Alias { other, kind })
}

/// A site says that it holds an ID.
fn claimed(visitor: VisitorId, site: &str, at: u64) -> Arc<Write> {
    let change = Change::Seen { basis: Basis::Implied, created: UnixSeconds(at), first_touch: None };
    write(visitor, Writer::Site(site.into()), at, change)
}

/// A link on one site brought the visitor to another.
fn linked(visitor: VisitorId, from: &str, site: &str, at: u64) -> Arc<Write> {
    let change = Change::Seen { basis: Basis::Implied, created: UnixSeconds(at), first_touch: None };
    write(visitor, Writer::Link { site: site.into(), from: from.into() }, at, change)
}

/// A site's change of properties.
fn set(visitor: VisitorId, site: &str, json: &str, expected: Option<u64>) -> Arc<Write> {
    let change = PropertyChange::parse(format!("{{\"set\": {json}}}").as_bytes()).expect("properties");
    write(visitor, Writer::Site(site.into()), 1000, Change::Properties { change, expected })
}

fn revoke(visitor: VisitorId, at: u64) -> Arc<Write> {
    write(visitor, Writer::Operator, at, Change::Revoke)
}

async fn commit(store: &Arc<dyn VisitorStore>, writes: &[Arc<Write>]) -> Vec<Outcome> {
    store.commit(writes.to_vec()).await.expect("a commit")
}

/// Commits until the store can be had: what a record writer does. A file that two nodes write may be locked for a while.
async fn commit_at_last(store: &Arc<dyn VisitorStore>, writes: &[Arc<Write>]) -> Vec<Outcome> {
    for _ in 0..100 {
        match store.commit(writes.to_vec()).await {
            Ok(outcomes) => return outcomes,
            Err(StoreFault::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(fault) => panic!("{fault}"),
        }
    }
    panic!("the store could not be had a hundred times");
}

async fn record(store: &Arc<dyn VisitorStore>, visitor: VisitorId) -> Box<Record> {
    match store.read(visitor).await.expect("a read") {
        Held::Record(record) => record,
        other => panic!("no record but {other:?}"),
    }
}
