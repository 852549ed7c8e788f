//! A look at a store's schema that changes nothing: no file is made, nothing is migrated, no lock is waited for.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::migrations::{SQLITE, missing};
use super::sqlite::APPLICATION_ID;
use super::{Peek, StoreFault};

/// The version of the schema in a file; `None` when there is none yet.
///
/// # Errors
/// When the file cannot be read, is another application's, or is of a newer version than this program.
pub fn sqlite_schema(file: &Path) -> Result<Option<Peek>, StoreFault> {
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
    // Without a log beside it nobody has the file open, and SQLite need not make one to read it.
    let (name, flags) = if Path::new(&log).exists() {
        (file.to_string_lossy().into_owned(), OpenFlags::SQLITE_OPEN_READ_ONLY)
    } else {
        (unchanging(file), OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
    };
    let connection = Connection::open_with_flags(name, flags)?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Err(StoreFault::Refused("the file is another application's database; choose another path".into()));
    }
    let found = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    missing(&SQLITE, found)?;
    Ok(Some(Peek { version: found, ..Peek::default() }))
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

    #[tokio::test]
    async fn a_look_says_the_version_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("50% #1?.sqlite");
        assert_eq!(sqlite_schema(&file), Ok(None));
        assert!(names(folder.path()).is_empty());

        let store = SqliteStore::file(&file);
        store.prepare().await.unwrap();
        let beside = names(folder.path());
        assert_eq!(sqlite_schema(&file), Ok(Some(Peek { version: 2, ..Peek::default() })), "with the broker at work");
        assert_eq!(names(folder.path()), beside);
        drop(store);
        // Its thread ends by and by, and takes the log away.
        for _ in 0..200 {
            if names(folder.path()).len() == 1 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(sqlite_schema(&file), Ok(Some(Peek { version: 2, ..Peek::default() })));
        assert_eq!(names(folder.path()), ["50% #1?.sqlite"]);

        std::fs::write(folder.path().join("text"), "not a database, but long enough to be looked at ".repeat(10)).unwrap();
        assert!(matches!(sqlite_schema(&folder.path().join("text")), Err(StoreFault::Refused(_))));
        let other = folder.path().join("other");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(matches!(sqlite_schema(&other), Err(StoreFault::Refused(_))));
        let newer = Connection::open(&file).unwrap();
        newer.pragma_update(None, "user_version", 99).unwrap();
        drop(newer);
        assert_eq!(sqlite_schema(&file), Err(StoreFault::Newer { found: 99, known: 2 }));
    }
}
