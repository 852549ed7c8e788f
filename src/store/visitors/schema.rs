//! A look at a SQLite store that changes nothing: no file is made, nothing is migrated, no lock is waited for.
//!
//! For a process of its own: it opens and closes the file, by which a process loses its locks on it (rule A11).

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::base::clock::UnixSeconds;
use crate::base::id::VisitorId;
use crate::domain::record::Held;

use super::migrations::{SQLITE, missing};
use super::sqlite::APPLICATION_ID;
use super::{PEEK_RECORDS_MAX, Peek, SET_ASIDE_SHOWN, SetAside, StoreFault, unsigned};

/// What is in a file; `None` when there is none yet.
///
/// # Errors
/// When the file cannot be read, is damaged, is another application's, or is of a newer version than this program.
pub fn sqlite_peek(file: &Path) -> Result<Option<Peek>, StoreFault> {
    let metadata = match file.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreFault::Unavailable(format!("{} ({error})", file.display()))),
    };
    if metadata.len() == 0 {
        return Ok(None);
    }
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    // Without a log beside it no process has the file open, and SQLite need not make one to read it.
    let (name, flags) = if Path::new(&log).exists() {
        (file.to_string_lossy().into_owned(), OpenFlags::SQLITE_OPEN_READ_ONLY)
    } else {
        (unchanging(file), OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
    };
    let mut connection = Connection::open_with_flags(name, flags)?;
    let application = connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0));
    let application = application.map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreFault::Refused(format!("{} ({error})", file.display())),
        _ => error.into(),
    })?;
    if application != APPLICATION_ID {
        return Err(StoreFault::Refused("the file is another application's database; choose another path".into()));
    }
    // One state of the store, whatever the broker writes meanwhile.
    let transaction = connection.transaction()?;
    peek(&transaction).map(Some)
}

fn peek(connection: &Connection) -> Result<Peek, StoreFault> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    missing(&SQLITE, version)?;
    let mut peek = Peek { version, ..Peek::default() };
    let mut statement = connection.prepare("SELECT id, record FROM visitor ORDER BY id LIMIT ?1")?;
    let mut rows = statement.query([i64::try_from(PEEK_RECORDS_MAX).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        peek.records += 1;
        if matches!(row.get_ref(1)?.as_str().map_or(Held::Unreadable, Held::read), Held::Unreadable) {
            peek.unreadable.push(visitor(row)?);
        }
    }
    let has_set_aside = connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'set_aside'")?.exists([])?;
    if has_set_aside {
        let mut statement =
            connection.prepare("SELECT visitor, change, at, problem FROM set_aside ORDER BY at, visitor, change LIMIT ?1")?;
        let mut rows = statement.query([i64::try_from(SET_ASIDE_SHOWN).unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            let at = UnixSeconds(unsigned(row.get(2)?));
            peek.set_aside.push(SetAside { visitor: visitor(row)?, change: row.get(1)?, at, problem: row.get(3)? });
        }
    }
    Ok(peek)
}

/// The ID in a row's first column.
fn visitor(row: &rusqlite::Row<'_>) -> Result<VisitorId, StoreFault> {
    let bytes: Vec<u8> = row.get(0)?;
    VisitorId::from_bytes(&bytes).ok_or_else(|| StoreFault::Damaged("a row's id is no visitor ID".into()))
}

/// A URI that tells SQLite to make no lock and no log.
fn unchanging(file: &Path) -> String {
    let path = file.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{path}?immutable=1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::visitors::VisitorStore as _;
    use crate::store::visitors::sqlite::SqliteStore;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn version(file: &Path) -> Result<Option<u32>, StoreFault> {
        sqlite_peek(file).map(|peek| peek.map(|peek| peek.version))
    }

    #[tokio::test]
    async fn a_look_says_the_version_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("50% #1?.sqlite");
        assert_eq!(version(&file), Ok(None));
        assert!(names(folder.path()).is_empty());

        let store = SqliteStore::file(&file);
        store.prepare().await.unwrap();
        let beside = names(folder.path());
        assert_eq!(version(&file), Ok(Some(2)), "with the broker at work");
        assert_eq!(names(folder.path()), beside);
        drop(store);
        assert_eq!(names(folder.path()), ["50% #1?.sqlite"], "the last connection takes the log away");
        assert_eq!(version(&file), Ok(Some(2)));
        assert_eq!(names(folder.path()), ["50% #1?.sqlite"]);

        std::fs::write(folder.path().join("text"), "not a database, but long enough to be looked at ".repeat(10)).unwrap();
        assert!(matches!(version(&folder.path().join("text")), Err(StoreFault::Refused(_))));
        let other = folder.path().join("other");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(matches!(version(&other), Err(StoreFault::Refused(_))));
        let newer = Connection::open(&file).unwrap();
        newer.pragma_update(None, "user_version", 99).unwrap();
        drop(newer);
        assert_eq!(version(&file), Err(StoreFault::Newer { found: 99, known: 2 }));
    }

    #[test]
    fn a10_what_cannot_be_read_and_what_is_set_aside_is_named_by_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("visitors.sqlite");
        let connection = Connection::open(&file).unwrap();
        connection.execute_batch(SQLITE[0]).unwrap();
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        let ids =
            [1_u8, 2, 3].map(|first| VisitorId::from_bytes(&[first, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]).unwrap());
        let mut put = connection.prepare("INSERT INTO visitor VALUES (?1, 0, CAST(?2 AS TEXT))").unwrap();
        put.execute((ids[0].as_bytes().as_slice(), b"[]".as_slice())).unwrap();
        put.execute((ids[1].as_bytes().as_slice(), br#"{"visitor":1}"#.as_slice())).unwrap();
        put.execute((ids[2].as_bytes().as_slice(), b"\xff".as_slice())).unwrap();
        drop(put);
        let peek = sqlite_peek(&file).unwrap().unwrap();
        assert_eq!((peek.version, peek.records, peek.set_aside.len()), (1, 3, 0), "an older store has no table for these");
        assert_eq!(peek.unreadable, ids);

        connection.execute_batch(SQLITE[1]).unwrap();
        connection.pragma_update(None, "user_version", 2).unwrap();
        let put = "INSERT INTO set_aside VALUES (?1, 'seen', 7, 'too large')";
        connection.execute(put, [ids[1].as_bytes().as_slice()]).unwrap();
        let noted = SetAside { visitor: ids[1], change: "seen".into(), at: UnixSeconds(7), problem: "too large".into() };
        assert_eq!(sqlite_peek(&file).unwrap().unwrap().set_aside, [noted]);
    }
}
