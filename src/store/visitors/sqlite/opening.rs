//! How a connection is set up, and how the schema is brought to this version.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::super::StoreFault;
use super::super::migrations::{SQLITE, missing};
use super::APPLICATION_ID;

/// How long a connection waits for another process's lock.
pub(super) const LOCK_TIME_MAX: Duration = Duration::from_secs(2);

/// How long the log may grow before the writer moves it into the database itself: 256 MiB.
const WAL_PAGES_MAX: u32 = 65_536;

/// Pages that each connection keeps, in KiB.
const CACHE_KIB: i32 = 64 * 1024;

/// Settings that a file does not keep. The first that reads the file is the cache's size.
pub(super) fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(LOCK_TIME_MAX)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES_MAX)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // Deleted content is overwritten with zeros (rule C12).
    connection.query_row("PRAGMA secure_delete = ON", [], |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Switches to the write-ahead log, and begins to use it. SQLite does not wait for other connections there, as it does elsewhere.
pub(super) fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    const PAUSE: Duration = Duration::from_millis(20);
    let mut pauses = LOCK_TIME_MAX.as_millis() / PAUSE.as_millis();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && pauses > 0 => {
                pauses -= 1;
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error),
            // The files beside it are there after the first look.
            Ok(()) => return connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())),
        }
    }
}

/// Whether the file is ours, and has the schema of this version.
pub(super) fn is_ready(connection: &Connection) -> Result<bool, StoreFault> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(application == APPLICATION_ID && missing(&SQLITE, found)?.is_empty())
}

/// Brings the schema to this version.
pub(super) fn make_ready(connection: &mut Connection) -> Result<(), StoreFault> {
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

/// The owner and mode of a file or folder, for a message.
pub(super) fn owner(path: &Path) -> String {
    match fs::metadata(path) {
        Ok(metadata) => format!("user {} (mode {:o})", metadata.uid(), metadata.mode() & 0o7777),
        Err(error) => format!("an unknown user ({error})"),
    }
}
