//! The visitor store in one SQLite file: nothing to install, one machine.
//!
//! SQLite blocks, so each connection lives on a thread of its own: one writes, one reads, one moves what was written from the
//! log into the database. The file is in WAL mode: readers do not wait for the writer.
//!
//! What a caller was told (properties, aliases, refusals) is flushed to the medium before it counts. Sightings are not, which
//! makes them three times as cheap: they survive the end of the process however it comes, but the last of them may be lost
//! when the power fails, and are written again with the visitor's next hop.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, TransactionBehavior, params};
use tokio::sync::oneshot;

use crate::base::id::VisitorId;
use crate::domain::record::{Change, Held, Outcome, Write};
use crate::domain::record_batch::{Loaded, plan, touched};

use super::migrations::{SQLITE, missing};
use super::{Cursor, Sampled, SetAside, Slice, StoreFault, StoreSize, SweepBefore, Swept, VisitorStore, signed, unsigned};

/// How long a connection waits for another process's lock.
const LOCK_TIME_MAX: Duration = Duration::from_secs(2);

/// How long a caller waits for its answer.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// Marks the file as ours ("TLvr"), so that a path to another application's database is noticed.
pub(super) const APPLICATION_ID: i32 = 0x544c_7672;

/// How often the log is moved into the database, and how long the log may grow before the writer does it itself: 256 MiB.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(100);
const WAL_PAGES_MAX: u32 = 65_536;

/// Pages that each connection keeps, in KiB.
const CACHE_KIB: i32 = 64 * 1024;

/// A store in a file, or in memory.
pub struct SqliteStore {
    writer: Thread,
    reader: Thread,
    /// Dropped with the store: then the third thread ends.
    _alive: Option<mpsc::Sender<()>>,
}

impl SqliteStore {
    /// A store in `file`, which is made at the first use, readable for its owner alone.
    #[must_use]
    pub fn file(file: &Path) -> Self {
        let place = || Place::File(file.to_owned());
        let (alive, ended) = mpsc::channel();
        let checkpoints = place();
        // Without this thread the writer does it, now and then.
        let _ = std::thread::Builder::new().name("throughline-wal".into()).spawn(move || keep_short(&checkpoints, &ended));
        Self { writer: Thread::start(place()), reader: Thread::start(place()), _alive: Some(alive) }
    }

    /// A store that ends with the process: for the demo and for tests.
    #[must_use]
    pub fn memory() -> Self {
        let only = Thread::start(Place::Memory);
        Self { writer: only.clone(), reader: only, _alive: None }
    }
}

#[async_trait]
impl VisitorStore for SqliteStore {
    async fn prepare(&self) -> Result<(), StoreFault> {
        self.writer.run(|_| Ok(())).await
    }

    async fn commit(&self, writes: Vec<Arc<Write>>) -> Result<Vec<Outcome>, StoreFault> {
        self.writer.run(move |connection| commit(connection, &writes)).await
    }

    async fn read(&self, visitor: VisitorId) -> Result<Held, StoreFault> {
        self.reader.run(move |connection| Ok(held(connection, visitor)?)).await
    }

    async fn revocations(&self, cursor: Cursor, limit: usize) -> Result<Vec<(Cursor, VisitorId)>, StoreFault> {
        let (cursor, limit) = (signed(cursor), i64::try_from(limit).unwrap_or(i64::MAX));
        self.reader
            .run(move |connection| {
                let query = "SELECT number, id FROM revocation WHERE number > ?1 ORDER BY number LIMIT ?2";
                let mut statement = connection.prepare_cached(query)?;
                let rows = statement.query_map(params![cursor, limit], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
                rows.map(|row| row.map_err(Into::into).and_then(|(number, id)| Ok((unsigned(number), read_id(id)?)))).collect()
            })
            .await
    }

    async fn sweep(&self, from: Option<VisitorId>, before: SweepBefore, slice: usize) -> Result<Swept, StoreFault> {
        self.writer.run(move |connection| sweep(connection, from, before, slice)).await
    }

    async fn sample(&self, from: Option<VisitorId>, limit: usize) -> Result<Sampled, StoreFault> {
        self.reader.run(move |connection| sample(connection, from, limit)).await
    }

    async fn examine(&self) -> Result<(), StoreFault> {
        Ok(())
    }

    async fn set_aside(&self, writes: Vec<SetAside>) -> Result<(), StoreFault> {
        self.writer.run(move |connection| set_aside(connection, &writes)).await
    }

    async fn count_set_aside(&self) -> Result<u64, StoreFault> {
        let count =
            |connection: &mut Connection| Ok(connection.query_row("SELECT count(*) FROM set_aside", [], |row| row.get(0))?);
        self.reader.run(count).await.map(unsigned)
    }

    async fn size(&self) -> Result<StoreSize, StoreFault> {
        self.reader
            .run(|connection| {
                let query =
                    "SELECT (SELECT count(*) FROM visitor), page_count * page_size FROM pragma_page_count, pragma_page_size";
                Ok(connection.query_row(query, [], |row| {
                    Ok(StoreSize { records: unsigned(row.get(0)?), octets: unsigned(row.get(1)?) })
                })?)
            })
            .await
    }
}

fn held(connection: &Connection, visitor: VisitorId) -> rusqlite::Result<Held> {
    let id = visitor.as_bytes().as_slice();
    if connection.prepare_cached("SELECT 1 FROM revocation WHERE id = ?1")?.exists([id])? {
        return Ok(Held::Revoked);
    }
    let mut statement = connection.prepare_cached("SELECT record FROM visitor WHERE id = ?1")?;
    let found = statement.query_row([id], |row| row.get_ref(0)?.as_str().map(Held::read).map_err(Into::into)).optional()?;
    Ok(found.unwrap_or(Held::Nothing))
}

fn commit(connection: &mut Connection, writes: &[Arc<Write>]) -> Result<Vec<Outcome>, StoreFault> {
    let told = writes.iter().any(|write| !matches!(write.change, Change::Seen { .. }));
    if told {
        connection.pragma_update(None, "synchronous", "FULL")?;
    }
    let outcomes = apply(connection, writes);
    if told {
        connection.pragma_update(None, "synchronous", "NORMAL")?;
    }
    outcomes
}

fn apply(connection: &mut Connection, writes: &[Arc<Write>]) -> Result<Vec<Outcome>, StoreFault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut loaded = Loaded::new();
    let mut wanted = touched(writes);
    let plan = loop {
        for visitor in wanted {
            loaded.insert(visitor, held(&transaction, visitor)?);
        }
        match plan(&loaded, writes) {
            Ok(plan) => break plan,
            Err(further) => wanted = further,
        }
    };
    {
        let mut put = transaction.prepare_cached(
            "INSERT INTO visitor (id, seen, record) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET seen = excluded.seen, record = excluded.record",
        )?;
        for record in &plan.put {
            put.execute(params![record.visitor.as_bytes().as_slice(), signed(record.seen.0), record.text])?;
        }
        let mut delete = transaction.prepare_cached("DELETE FROM visitor WHERE id = ?1")?;
        let mut revoke = transaction.prepare_cached("INSERT INTO revocation (id, at) VALUES (?1, ?2)")?;
        let mut settle = transaction.prepare_cached("DELETE FROM set_aside WHERE visitor = ?1")?;
        for (visitor, at) in &plan.revoke {
            delete.execute([visitor.as_bytes().as_slice()])?;
            settle.execute([visitor.as_bytes().as_slice()])?;
            revoke.execute(params![visitor.as_bytes().as_slice(), signed(at.0)])?;
        }
    }
    transaction.commit()?;
    Ok(plan.outcomes)
}

fn set_aside(connection: &mut Connection, writes: &[SetAside]) -> Result<(), StoreFault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut put = transaction
            .prepare_cached("INSERT OR REPLACE INTO set_aside (visitor, change, at, problem) VALUES (?1, ?2, ?3, ?4)")?;
        for SetAside { visitor, change, at, problem } in writes {
            put.execute(params![visitor.as_bytes().as_slice(), change, signed(at.0), problem])?;
        }
    }
    Ok(transaction.commit()?)
}

fn sweep(connection: &mut Connection, from: Option<VisitorId>, before: SweepBefore, slice: usize) -> Result<Swept, StoreFault> {
    let from = from.map_or_else(Vec::new, |visitor| visitor.as_bytes().to_vec());
    let limit = i64::try_from(slice).unwrap_or(i64::MAX);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let last: Option<Vec<u8>> = transaction
        .prepare_cached("SELECT max(id) FROM (SELECT id FROM visitor WHERE id > ?1 ORDER BY id LIMIT ?2)")?
        .query_row(params![from, limit], |row| row.get(0))?;
    let Some(last) = last else {
        transaction.execute("DELETE FROM revocation WHERE at < ?1", [signed(before.revoked.0)])?;
        transaction.commit()?;
        return Ok(Swept { deleted: 0, next: None });
    };
    let deleted = transaction
        .prepare_cached(
            "DELETE FROM visitor WHERE id > ?1 AND id <= ?2
             AND (seen < ?3 OR EXISTS (SELECT 1 FROM revocation WHERE revocation.id = visitor.id))",
        )?
        .execute(params![from, last, signed(before.seen.0)])?;
    transaction.commit()?;
    Ok(Swept { deleted: deleted as u64, next: Some(read_id(last)?) })
}

fn sample(connection: &Connection, from: Option<VisitorId>, limit: usize) -> Result<Sampled, StoreFault> {
    let from = from.map_or_else(Vec::new, |visitor| visitor.as_bytes().to_vec());
    let query = "SELECT id, record, EXISTS (SELECT 1 FROM revocation WHERE revocation.id = visitor.id)
                 FROM visitor WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(params![from, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut slice = Slice::of(limit);
    while let Some(row) = rows.next()? {
        slice.take(read_id(row.get(0)?)?, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?, row.get(2)?);
    }
    Ok(slice.sampled())
}

/// Moves what was written from the log into the database, beside the writer, until the store is dropped.
fn keep_short(place: &Place, ended: &mpsc::Receiver<()>) {
    let mut connection = None;
    while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(CHECKPOINT_INTERVAL) {
        // The writer makes and migrates the file.
        if connection.is_none() && place.is_there() {
            connection = place.open().ok();
        }
        if let Some(open) = &connection {
            let moved = open.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
            if moved.is_err() {
                connection = None;
            }
        }
    }
}

fn read_id(bytes: Vec<u8>) -> Result<VisitorId, StoreFault> {
    VisitorId::from_bytes(&bytes).ok_or_else(|| StoreFault::Refused("a row's id is no visitor ID".into()))
}

enum Place {
    File(PathBuf),
    Memory,
}

impl Place {
    fn is_there(&self) -> bool {
        matches!(self, Self::File(file) if file.exists())
    }

    /// Opens the database and brings its schema to this version.
    fn open(&self) -> Result<Connection, StoreFault> {
        let mut connection = match self {
            Self::Memory => Connection::open_in_memory()?,
            Self::File(file) => {
                // SQLite would make it readable for all; what belongs to it gets the same mode.
                let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file);
                made.map_err(|error| StoreFault::Unavailable(format!("{} ({error})", file.display())))?;
                Connection::open(file)?
            }
        };
        connection.busy_timeout(LOCK_TIME_MAX)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES_MAX)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.set_prepared_statement_cache_capacity(32);
        // Most files are ready, and finding that out takes no lock.
        if !is_ready(&connection)? {
            migrate(&mut connection)?;
        }
        // Only now is the file known to be ours: the journal's kind is written into it.
        write_ahead(&connection)?;
        Ok(connection)
    }
}

/// Switches to the write-ahead log. SQLite does not wait for other connections there, as it does elsewhere.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    const PAUSE: Duration = Duration::from_millis(20);
    let mut pauses = LOCK_TIME_MAX.as_millis() / PAUSE.as_millis();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && pauses > 0 => {
                pauses -= 1;
                std::thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}

/// Whether the file is ours, and has the schema of this version.
fn is_ready(connection: &Connection) -> Result<bool, StoreFault> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(application == APPLICATION_ID && missing(&SQLITE, found)?.is_empty())
}

fn migrate(connection: &mut Connection) -> Result<(), StoreFault> {
    // The lock comes before the look at the version: of many that start at once, one does it.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let is_empty = !transaction.prepare("SELECT 1 FROM sqlite_schema")?.exists([])?;
    let application: i32 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if !is_empty && application != APPLICATION_ID {
        return Err(StoreFault::Refused("the file is another application's database; choose another path".into()));
    }
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let steps = missing(&SQLITE, found)?;
    for step in steps {
        transaction.execute_batch(step)?;
    }
    if !steps.is_empty() {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SQLITE.len() as u32)?;
    }
    transaction.commit()?;
    Ok(())
}

impl From<rusqlite::Error> for StoreFault {
    fn from(error: rusqlite::Error) -> Self {
        let what = error.to_string();
        match error.sqlite_error_code() {
            // What was asked for cannot be, here or ever.
            Some(
                ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
                | ErrorCode::NotADatabase,
            ) => Self::Refused(what),
            // Full, locked, unreadable, gone: it may come back.
            _ => Self::Unavailable(what),
        }
    }
}

/// Does its work, and says whether the connection may be used again.
type Job = Box<dyn FnOnce(Result<&mut Connection, StoreFault>) -> Fit + Send>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Yes,
    No,
}

/// A thread with a connection, which is opened when it is first needed and again after anything failed on it: the file may have
/// been replaced.
#[derive(Clone)]
struct Thread(mpsc::Sender<Job>);

impl Thread {
    fn start(place: Place) -> Self {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let work = move || {
            let mut connection = None;
            while let Ok(job) = waiting.recv() {
                if connection.is_none() {
                    match place.open() {
                        Ok(opened) => connection = Some(opened),
                        Err(fault) => {
                            job(Err(fault));
                            continue;
                        }
                    }
                }
                let Some(open) = &mut connection else { continue };
                // A store in memory is gone with its connection.
                if job(Ok(open)) == Fit::No && !matches!(place, Place::Memory) {
                    connection = None;
                }
            }
        };
        // Without a thread there is no store: every job is then dropped, and its caller told so.
        let _ = std::thread::Builder::new().name("throughline-store".into()).spawn(work);
        Self(jobs)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreFault> + Send + 'static,
    ) -> Result<T, StoreFault> {
        let (answer, answered) = oneshot::channel();
        let job = move |connection: Result<&mut Connection, StoreFault>| {
            // Whoever asked has left: a thread that is behind must not fall back further.
            if answer.is_closed() {
                return Fit::Yes;
            }
            let caught = |connection| catch_unwind(AssertUnwindSafe(|| work(connection)));
            let done = connection.and_then(|connection| {
                caught(connection).unwrap_or_else(|_| Err(StoreFault::Unavailable("a fault of this program".into())))
            });
            let fit = if matches!(done, Err(StoreFault::Unavailable(_))) { Fit::No } else { Fit::Yes };
            let _ = answer.send(done);
            fit
        };
        let gone = || StoreFault::Unavailable("its thread has ended".into());
        self.0.send(Box::new(job)).map_err(|_| gone())?;
        match tokio::time::timeout(CALL_TIME_MAX, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(StoreFault::Unavailable("no answer in time".into())),
        }
    }
}
