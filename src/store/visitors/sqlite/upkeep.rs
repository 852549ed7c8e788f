//! The third thread: moves the log into the database beside the writer, and looks whether the file is still there and whole.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use super::super::StoreFault;
use super::place::{Opened, StoreFile};
use super::thread::Thread;

/// How often the log is moved into the database, and the file looked for.
const INTERVAL: Duration = Duration::from_millis(100);

/// After so many intervals the file is opened anew and read, so that damage is noticed without a visitor, and the log is emptied
/// if need be. That takes the writer's lock and waits for the medium, so it must not happen more often.
const LOOK_EVERY: u32 = 10;

/// How long the writer and readers may hold up the emptying of the log. The writer waits no longer than this for it.
const CLEAR_TIME_MAX: Duration = Duration::from_millis(20);

/// How often a process that ends tries to empty the log.
const LAST_TRIES: u32 = 40;

/// Works until the store is dropped.
pub(super) fn keep(file: &Arc<StoreFile>, threads: &[Thread], ended: &mpsc::Receiver<()>) {
    let mut opened: Option<Opened> = None;
    let mut ticks = 0_u32;
    while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(INTERVAL) {
        ticks = ticks.wrapping_add(1);
        if file.is_disturbed() {
            if let Some(opened) = opened.take() {
                opened.let_go();
            }
            threads.iter().for_each(Thread::let_go);
            continue;
        }
        // The writer makes and migrates the file. The new connection is there before the old one closes, which may be the last.
        let is_look_due = ticks.is_multiple_of(LOOK_EVERY);
        if file.is_known() && (opened.is_none() || is_look_due) {
            opened = open(file);
        }
        if let Some(open) = &opened
            && move_log(open, file, is_look_due).is_err()
        {
            opened = None;
        }
    }
    if file.log_keeps_deleted() && opened.is_none() && file.is_known() {
        opened = open(file);
    }
    for _ in 0..LAST_TRIES {
        let Some(Ok(false)) = opened.as_ref().map(|open| move_log(open, file, true)) else { break };
        std::thread::sleep(CLEAR_TIME_MAX);
    }
}

/// Opens the file and reads a little of each tree in it.
fn open(file: &Arc<StoreFile>) -> Option<Opened> {
    let looked = file.open().and_then(|opened| {
        opened.connection.busy_timeout(CLEAR_TIME_MAX)?;
        for query in
            ["SELECT id FROM visitor LIMIT 1", "SELECT number FROM revocation LIMIT 1", "SELECT visitor FROM set_aside LIMIT 1"]
        {
            opened.connection.query_row(query, [], |_| Ok(())).optional()?;
        }
        Ok(opened)
    });
    match looked {
        Ok(opened) => {
            file.note_damage(None);
            Some(opened)
        }
        Err(StoreFault::Damaged(what)) => {
            file.note_damage(Some(what));
            None
        }
        // The next job finds it as well.
        Err(_) => None,
    }
}

/// Moves what was written from the log into the database. When something was deleted, the log is emptied, too: it holds pages
/// with the deleted text (rule C12). `false` when a reader or the writer was in the way of that.
fn move_log(opened: &Opened, file: &StoreFile, may_clear: bool) -> rusqlite::Result<bool> {
    checkpoint(&opened.connection, "PASSIVE")?;
    if !file.log_keeps_deleted() || !may_clear {
        return Ok(true);
    }
    // What is deleted from here on is noted again.
    file.note_deleted(false);
    let is_cleared = checkpoint(&opened.connection, "TRUNCATE");
    if !matches!(is_cleared, Ok(true)) {
        file.note_deleted(true);
    }
    is_cleared
}

/// Whether it could do all of it.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<bool> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get::<_, i64>(0)).map(|busy| busy == 0)
}
