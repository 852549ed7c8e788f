//! The visitor store in one SQLite file: nothing to install, one machine.
//!
//! SQLite blocks, so each connection lives on a thread of its own: one writes, one reads, one moves what was written from the
//! log into the database. The file is in WAL mode: readers do not wait for the writer.
//!
//! What a caller was told (properties, aliases, refusals) is flushed to the medium before it counts. Sightings are not, which
//! makes them three times as cheap: they survive the end of the process however it comes, but the last of them may be lost
//! when the power fails, and are written again with the visitor's next hop.
//!
//! Deleted text is overwritten, and the log emptied after it (rule C12). A file that is removed, replaced or damaged is
//! noticed with the next job, and within about a second without one (rule A11).

mod opening;
mod place;
mod thread;
mod upkeep;

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, TransactionBehavior, params};
use tokio::sync::oneshot;

use crate::base::id::VisitorId;
use crate::domain::record::{Change, Held, Outcome, Write};
use crate::domain::record_batch::{Loaded, plan, touched};

use self::place::StoreFile;
use self::thread::{Thread, spawn};
use super::{Cursor, Sampled, SetAside, Slice, StoreFault, StoreSize, SweepBefore, Swept, VisitorStore, signed, unsigned};

/// Marks the file as ours ("TLvr"), so that a path to another application's database is noticed.
pub(super) const APPLICATION_ID: i32 = 0x544c_7672;

/// A store in a file, or in memory.
pub struct SqliteStore {
    writer: Thread,
    reader: Thread,
    /// `None` in memory.
    file: Option<Arc<StoreFile>>,
    /// Dropped with the store: then the third thread ends.
    alive: Option<mpsc::Sender<()>>,
    running: Vec<JoinHandle<()>>,
}

impl SqliteStore {
    /// A store in `file`, which is made at the first use, readable for its owner alone.
    #[must_use]
    pub fn file(file: &Path) -> Self {
        let file = StoreFile::new(file);
        let (writer, writing) = Thread::start(Some(Arc::clone(&file)));
        let (reader, reading) = Thread::start(Some(Arc::clone(&file)));
        let (alive, ended) = mpsc::channel();
        let (kept, threads) = (Arc::clone(&file), [writer.clone(), reader.clone()]);
        let keeping = spawn("throughline-wal", move || upkeep::keep(&kept, &threads, &ended));
        let running = keeping.into_iter().chain(writing).chain(reading).collect();
        Self { writer, reader, file: Some(file), alive: Some(alive), running }
    }

    /// A store that ends with the process: for the demo and for tests.
    #[must_use]
    pub fn memory() -> Self {
        let (only, running) = Thread::start(None);
        Self { writer: only.clone(), reader: only, file: None, alive: None, running: running.into_iter().collect() }
    }

    /// Notes that the log may hold the text of what was just deleted.
    fn deleting(&self) -> impl Fn() + Send + 'static {
        let file = self.file.clone();
        move || file.iter().for_each(|file| file.note_deleted(true))
    }
}

impl Drop for SqliteStore {
    /// Waits until each connection is closed, for a few seconds at most: a command that erased something must not leave the
    /// text in the log.
    fn drop(&mut self) {
        self.alive = None;
        // The third thread is the first of them; it empties the log.
        let mut running = std::mem::take(&mut self.running).into_iter();
        let keeping = if self.file.is_some() { running.next() } else { None };
        keeping.into_iter().for_each(|thread| drop(thread.join()));
        self.writer.end();
        self.reader.end();
        running.for_each(|thread| drop(thread.join()));
    }
}

#[async_trait]
impl VisitorStore for SqliteStore {
    async fn prepare(&self) -> Result<(), StoreFault> {
        self.writer.run(|_| Ok(())).await
    }

    async fn commit(&self, writes: Vec<Arc<Write>>) -> Result<Vec<Outcome>, StoreFault> {
        let deleting = self.deleting();
        self.writer.run(move |connection| commit(connection, &writes, &deleting)).await
    }

    async fn read(&self, visitor: VisitorId) -> Result<Held, StoreFault> {
        self.reader.run(move |connection| Ok(held(connection, visitor)?)).await
    }

    async fn revocations(&self, cursor: Cursor, limit: usize) -> Result<Vec<(Cursor, VisitorId)>, StoreFault> {
        let (cursor, limit) = (signed(cursor), i64::try_from(limit).unwrap_or(i64::MAX));
        let deleting = self.deleting();
        let found: Vec<_> = self
            .reader
            .run(move |connection| {
                // A cursor above every number that was ever given is from a store that was there before a restore: all counts.
                let query = "SELECT number, id FROM revocation WHERE number > CASE
                                 WHEN ?1 > (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'revocation') THEN 0
                                 ELSE ?1 END
                             ORDER BY number LIMIT ?2";
                let mut statement = connection.prepare_cached(query)?;
                let rows = statement.query_map(params![cursor, limit], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
                rows.map(|row| row.map_err(Into::into).and_then(|(number, id)| Ok((unsigned(number), read_id(id)?))))
                    .collect::<Result<_, _>>()
            })
            .await?;
        // Another process may have erased them, and may have found this one's readers in the way of emptying the log.
        if !found.is_empty() {
            deleting();
        }
        Ok(found)
    }

    async fn sweep(&self, from: Option<VisitorId>, before: SweepBefore, slice: usize) -> Result<Swept, StoreFault> {
        let deleting = self.deleting();
        let swept = move |connection: &mut Connection| {
            sweep(connection, from, before, slice).inspect(|swept| {
                if swept.deleted > 0 {
                    deleting()
                }
            })
        };
        self.writer.run(swept).await
    }

    async fn sample(&self, from: Option<VisitorId>, limit: usize) -> Result<Sampled, StoreFault> {
        self.reader.run(move |connection| sample(connection, from, limit)).await
    }

    async fn examine(&self) -> Result<(), StoreFault> {
        let Some(file) = self.file.clone() else { return self.reader.run(|connection| quick_check(connection)).await };
        // It may take minutes, and holds up neither writes nor reads.
        let (answer, answered) = oneshot::channel();
        let examination = spawn("throughline-check", move || {
            let examined = file.open().and_then(|opened| {
                file.note_examination(Some(opened.connection.get_interrupt_handle()));
                let examined = quick_check(&opened.connection).and_then(|()| opened.check());
                file.note_examination(None);
                examined
            });
            let _ = answer.send(examined);
        });
        let ended = || StoreFault::Unavailable("the thread of its examination has ended".into());
        drop(examination.ok_or_else(ended)?);
        answered.await.map_err(|_| ended())?
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
    // A text that is not UTF-8 concerns this record alone.
    let read = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_str().map_or(Held::Unreadable, Held::read));
    let found = statement.query_row([id], read).optional()?;
    Ok(found.unwrap_or(Held::Nothing))
}

fn commit(connection: &mut Connection, writes: &[Arc<Write>], deleting: &impl Fn()) -> Result<Vec<Outcome>, StoreFault> {
    let told = writes.iter().any(|write| !matches!(write.change, Change::Seen { .. }));
    if told {
        connection.pragma_update(None, "synchronous", "FULL")?;
    }
    let outcomes = apply(connection, writes, deleting);
    if told {
        connection.pragma_update(None, "synchronous", "NORMAL")?;
    }
    outcomes
}

fn apply(connection: &mut Connection, writes: &[Arc<Write>], deleting: &impl Fn()) -> Result<Vec<Outcome>, StoreFault> {
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
    if !plan.revoke.is_empty() {
        deleting();
    }
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
        // A text that is not UTF-8 is passed over, as each that is no record.
        slice.take(read_id(row.get(0)?)?, row.get_ref(1)?.as_str().unwrap_or_default(), row.get(2)?);
    }
    Ok(slice.sampled())
}

/// Looks through the whole database.
fn quick_check(connection: &Connection) -> Result<(), StoreFault> {
    match connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))? {
        found if found == "ok" => Ok(()),
        found => Err(StoreFault::Damaged(found)),
    }
}

fn read_id(bytes: Vec<u8>) -> Result<VisitorId, StoreFault> {
    VisitorId::from_bytes(&bytes).ok_or_else(|| StoreFault::Damaged("a row's id is no visitor ID".into()))
}

impl From<rusqlite::Error> for StoreFault {
    fn from(error: rusqlite::Error) -> Self {
        let what = error.to_string();
        match error.sqlite_error_code() {
            // What was asked for cannot be, here or ever.
            Some(
                ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig | ErrorCode::ParameterOutOfRange,
            ) => Self::Refused(what),
            // A file that was never ours is told apart where it is opened.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(what),
            // Full, locked, unreadable, gone: it may come back.
            _ => Self::Unavailable(what),
        }
    }
}
