//! The database's file: where it is, how it is opened, and whether it is still the one that this process opened (rule A11).
//!
//! 1. POSIX locks belong to a process and a file. A process that closes any descriptor of a file loses all its locks on that
//!    file. So no code of ours opens the file, its `-wal` or its `-shm` while a connection of this process may have it open; `stat`
//!    shows enough. SQLite's own connections take care of each other's locks.
//! 2. A file that was removed or replaced is noticed by its device and inode, before and after each job. Nothing is acknowledged
//!    that went into a file without a name.
//! 3. A process that had a file makes no other one in its place: an empty store would bring erased IDs back.
//! 4. A file of ours at that place is used again, once every connection to the one before is closed. A log that belongs to the
//!    one before is removed first, since SQLite would apply it to the new file.

use std::fs::{self, Metadata, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ErrorCode, InterruptHandle, MAIN_DB, OpenFlags};

use super::super::StoreFault;
use super::opening::{is_ready, make_ready, owner, set_up};

/// A file that is there, by its device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark(u64, u64);

impl Mark {
    fn new(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }

    fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::new(&metadata))
    }
}

/// The database and the two files beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marks {
    file: Mark,
    log: Option<Mark>,
    index: Option<Mark>,
}

/// What is at the path just now.
struct Look {
    marks: Marks,
    is_empty: bool,
}

/// The file, as all threads of one store know it.
pub(super) struct StoreFile {
    path: PathBuf,
    log: PathBuf,
    index: PathBuf,
    state: Mutex<State>,
    /// Damage that was found without a job.
    damage: Mutex<Option<String>>,
    /// Something was deleted, and its text may still be in the log (rule C12).
    log_keeps_deleted: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The file that was opened last.
    had: Option<Marks>,
    /// Connections of this store that are open.
    open: usize,
    examination: Option<InterruptHandle>,
}

/// Held for each connection that is open.
struct Counted(Arc<StoreFile>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.state().open -= 1;
    }
}

/// An open connection.
pub(super) struct Opened {
    /// The connection. It closes before it is counted as closed.
    pub(super) connection: Connection,
    file: Option<(Marks, Counted)>,
}

impl Opened {
    /// A database in memory.
    pub(super) fn in_memory() -> Result<Self, StoreFault> {
        let mut connection = Connection::open_in_memory()?;
        set_up(&connection)?;
        make_ready(&mut connection)?;
        Ok(Self { connection, file: None })
    }

    /// Whether the file is still the one that was opened, and not known to be damaged.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn check(&self) -> Result<(), StoreFault> {
        self.file.as_ref().map_or(Ok(()), |(marks, counted)| counted.0.check(marks))
    }

    /// Closes the connection to a file that is no longer in its place. What is in its log goes into that file first, so that the
    /// log is not needed any more.
    pub(super) fn let_go(self) {
        // A fault here changes nothing: what the log keeps was committed, and stays in it.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StoreFile {
    pub(super) fn new(path: &Path) -> Arc<Self> {
        let beside = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        Arc::new(Self {
            path: path.to_owned(),
            log: beside("-wal"),
            index: beside("-shm"),
            state: Mutex::default(),
            damage: Mutex::default(),
            // A process that was killed may have left such a log.
            log_keeps_deleted: AtomicBool::new(true),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Opens the database and brings its schema to this version. Threads do this one after the other.
    pub(super) fn open(self: &Arc<Self>) -> Result<Opened, StoreFault> {
        let mut state = self.state();
        let found = self.look()?;
        match (state.had, &found) {
            (None, None) => self.make()?,
            (Some(_), None) => return Err(self.removed()),
            (Some(had), Some(now)) => self.make_way(&had, &now.marks, state.open)?,
            (None, Some(_)) => {}
        }
        let connection = self.connect(state.had.is_some())?;
        let Some(now) = self.look()? else { return Err(self.removed()) };
        if found.is_some_and(|before| before.marks.file != now.marks.file) {
            return Err(self.replaced());
        }
        if state.had.is_some_and(|had| had.file != now.marks.file) {
            tracing::warn!(file = %self.path.display(), "store file replaced; the one that is there now is used");
            *lock(&self.damage) = None;
        }
        state.had = Some(now.marks);
        state.open += 1;
        Ok(Opened { connection, file: Some((now.marks, Counted(Arc::clone(self)))) })
    }

    /// Sees that no connection and no log of the file that was `had` meets another one.
    fn make_way(&self, had: &Marks, now: &Marks, open: usize) -> Result<(), StoreFault> {
        if open > 0 && had != now {
            return Err(if had.file == now.file { self.lost_log() } else { self.replaced() });
        }
        if had.file != now.file {
            for (path, mark) in [(&self.log, had.log), (&self.index, had.index)] {
                if mark.is_some() && Mark::of(path) == mark {
                    fs::remove_file(path)
                        .map_err(|error| self.unavailable(&format!("its old {} stays ({error})", path.display())))?;
                }
            }
        }
        Ok(())
    }

    /// An empty file that its owner alone can read. SQLite would make it readable for all; what belongs to it gets the same mode.
    fn make(&self) -> Result<(), StoreFault> {
        // Several stores of one process may be on one file, in tests: none closes a descriptor after another has opened the file.
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = lock(&MAKING);
        if self.path.exists() {
            return Ok(());
        }
        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.path);
        made.map(drop).map_err(|error| self.unavailable(&format!("cannot be made ({error}); {}", self.owners())))
    }

    fn connect(&self, was_ours: bool) -> Result<Connection, StoreFault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags);
        let mut connection =
            connection.map_err(|error| self.unavailable(&format!("cannot be opened ({error}); {}", self.owners())))?;
        set_up(&connection).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) if !was_ours => StoreFault::Refused(format!("{} ({error})", self.path.display())),
            Some(ErrorCode::CannotOpen) => self.unavailable(&format!("cannot be read ({error}); {}", self.owners())),
            _ => error.into(),
        })?;
        if connection.is_readonly(MAIN_DB)? {
            return Err(self.unavailable(&format!("cannot be written; {}", self.owners())));
        }
        // Most files are ready, and finding that out takes no lock.
        match is_ready(&connection) {
            Ok(true) => {}
            Ok(false) if was_ours => return Err(self.unavailable("was replaced by a file that is no store of this program")),
            Ok(false) => make_ready(&mut connection)?,
            Err(fault) => return Err(fault),
        }
        super::opening::write_ahead(&connection)?;
        Ok(connection)
    }

    /// What is at the path; `None` when nothing is.
    fn look(&self) -> Result<Option<Look>, StoreFault> {
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_file() => {
                let marks = Marks { file: Mark::new(&metadata), log: Mark::of(&self.log), index: Mark::of(&self.index) };
                Ok(Some(Look { marks, is_empty: metadata.len() == 0 }))
            }
            Ok(_) => Err(self.unavailable("is not a file; move away what lies there")),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(self.unavailable(&format!("cannot be looked at ({error})"))),
        }
    }

    fn check(&self, opened: &Marks) -> Result<(), StoreFault> {
        let Some(Look { marks, is_empty }) = self.look()? else { return Err(self.removed()) };
        if marks.file != opened.file {
            return Err(self.replaced());
        }
        if marks != *opened {
            return Err(self.lost_log());
        }
        if is_empty {
            return Err(StoreFault::Damaged(format!("{} was emptied", self.path.display())));
        }
        lock(&self.damage).clone().map_or(Ok(()), |what| Err(StoreFault::Damaged(what)))
    }

    /// Whether this process has opened it.
    pub(super) fn is_known(&self) -> bool {
        self.state().had.is_some()
    }

    /// Whether connections are open to a file that is no longer in its place. An examination of that file is ended.
    pub(super) fn is_disturbed(&self) -> bool {
        let state = self.state();
        let Some(had) = state.had.filter(|_| state.open > 0) else { return false };
        let is_disturbed = !matches!(self.look(), Ok(Some(now)) if now.marks == had);
        if let Some(examination) = state.examination.as_ref().filter(|_| is_disturbed) {
            examination.interrupt();
        }
        is_disturbed
    }

    /// Notes what a look at the file found, for the next jobs.
    pub(super) fn note_damage(&self, damage: Option<String>) {
        *lock(&self.damage) = damage;
    }

    /// The examination that runs, so that it can be ended.
    pub(super) fn note_examination(&self, examination: Option<InterruptHandle>) {
        self.state().examination = examination;
    }

    /// Notes that the log may hold the text of something that was deleted.
    pub(super) fn note_deleted(&self, is_so: bool) {
        self.log_keeps_deleted.store(is_so, Ordering::Relaxed);
    }

    /// Whether it may.
    pub(super) fn log_keeps_deleted(&self) -> bool {
        self.log_keeps_deleted.load(Ordering::Relaxed)
    }

    fn unavailable(&self, what: &str) -> StoreFault {
        StoreFault::Unavailable(format!("{} {what}", self.path.display()))
    }

    fn removed(&self) -> StoreFault {
        self.unavailable("was removed while this process used it; put it back, or the last backup in its place, and it is used at once; to begin with an empty store, restart")
    }

    fn replaced(&self) -> StoreFault {
        self.unavailable(
            "was replaced while this process used it; if a store of this program is there now, it is used from the next try on",
        )
    }

    fn lost_log(&self) -> StoreFault {
        self.unavailable("lost its -wal or -shm to another program while this process used it; it is opened again")
    }

    fn owners(&self) -> String {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let user = fs::metadata("/proc/self").map_or_else(|_| "unknown".into(), |metadata| metadata.uid().to_string());
        format!(
            "the file belongs to {}, its folder to {}; this process is user {user}, which must be able to write both",
            owner(&self.path),
            owner(folder)
        )
    }
}
