//! The SQLite file is removed, replaced or damaged beneath a store (rule A11), and what is deleted leaves no text in it (rule C12).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};
use throughline::base::clock::UnixSeconds;
use throughline::domain::record::Held;
use throughline::store::visitors::{StoreFault, SweepBefore, VisitorStore};

use super::{A, commit, id, record, revoke, seen, set, sqlite};

/// A store of two visitors, and its folder.
async fn stored() -> (tempfile::TempDir, PathBuf, Arc<dyn VisitorStore>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("visitors.sqlite");
    let store = sqlite(&file);
    commit(&store, &[seen(id(1), A, 100), seen(id(2), A, 100), revoke(id(2), 100)]).await;
    record(&store, id(1)).await;
    (folder, file, store)
}

/// A copy by the book.
fn back_up(file: &Path, copy: &Path) {
    let copied = Connection::open(file).and_then(|file| file.execute("VACUUM INTO ?1", [copy.to_str().expect("text")]));
    copied.expect("a backup");
}

/// Asks with a commit of nothing, as an idle writer does, until the answer is as wanted.
async fn until(store: &Arc<dyn VisitorStore>, what: &str, is_so: impl Fn(&Result<(), StoreFault>) -> bool) {
    let mut last = Ok(());
    for _ in 0..1000 {
        last = store.commit(Vec::new()).await.map(drop);
        if is_so(&last) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not {what}: {last:?}");
}

fn is_unavailable(outcome: &Result<(), StoreFault>, words: &str) -> bool {
    matches!(outcome, Err(StoreFault::Unavailable(what)) if what.contains(words))
}

#[tokio::test]
async fn a11_a_file_that_was_removed_takes_no_writes_and_is_not_made_again() {
    let (folder, file, store) = stored().await;
    let aside = folder.path().join("aside.sqlite");
    fs::rename(&file, &aside).expect("a move");
    // The very next commit, read and look say so, each on its own connection.
    let outcome = store.commit(vec![seen(id(3), A, 200)]).await.map(drop);
    assert!(is_unavailable(&outcome, "was removed") && is_unavailable(&outcome, "last backup"), "{outcome:?}");
    assert!(is_unavailable(&store.read(id(1)).await.map(drop), "was removed"));
    assert!(is_unavailable(&store.examine().await, "was removed"));
    for _ in 0..30 {
        assert!(is_unavailable(&store.commit(vec![seen(id(3), A, 200)]).await.map(drop), "was removed"));
        assert!(!file.exists(), "no empty file in its place");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // All that was acknowledged is in the file, without its log.
    let copy = folder.path().join("copy.sqlite");
    fs::copy(&aside, &copy).expect("a copy");
    let held: i64 = Connection::open(&copy)
        .and_then(|file| file.query_row("SELECT count(*) FROM visitor", [], |row| row.get(0)))
        .expect("a count");
    assert_eq!(held, 1);
    // Put back, it is used at once.
    fs::rename(&aside, &file).expect("a move");
    until(&store, "used again", Result::is_ok).await;
    commit(&store, &[seen(id(3), A, 200)]).await;
    assert_eq!(record(&store, id(1)).await.sites.len(), 1);
    assert_eq!(store.read(id(2)).await, Ok(Held::Revoked));
    assert_eq!(store.examine().await, Ok(()));
}

#[tokio::test]
async fn a11_a_backup_in_the_place_of_the_file_is_used_unaided() {
    let (folder, file, store) = stored().await;
    let copy = folder.path().join("copy.sqlite");
    back_up(&file, &copy);
    for number in 10..200 {
        commit(&store, &[seen(id(number), A, 200), revoke(id(number + 1000), 200)]).await;
    }
    let cursor = store.revocations(0, 1000).await.expect("revocations").last().expect("one").0;
    fs::rename(&copy, &file).expect("a move");
    let outcome = store.commit(vec![seen(id(4), A, 200)]).await.map(drop);
    assert!(is_unavailable(&outcome, "was replaced"), "{outcome:?}");
    until(&store, "used", Result::is_ok).await;
    // It is the backup, whole, and nothing of the log of the one before is in it.
    assert_eq!(store.read(id(150)).await, Ok(Held::Nothing));
    assert_eq!(store.read(id(2)).await, Ok(Held::Revoked));
    commit(&store, &[seen(id(3), A, 200)]).await;
    assert_eq!(store.size().await.expect("a size").records, 2);
    assert_eq!(store.examine().await, Ok(()));
    // A node that asks for what came after a number of the store before is told everything.
    assert_eq!(store.revocations(cursor, 10).await.expect("revocations").iter().map(|(_, id)| *id).collect::<Vec<_>>(), [id(2)]);
    assert_eq!(store.revocations(1, 10).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a11_what_is_no_store_of_ours_is_not_used_in_its_place() {
    let texts: [(&str, &[u8]); 3] = [("nothing", b""), ("text", &[b'x'; 5000]), ("a folder", b"")];
    for (name, bytes) in texts {
        let (folder, file, store) = stored().await;
        let aside = folder.path().join("aside.sqlite");
        fs::rename(&file, &aside).expect("a move");
        match name {
            "a folder" => fs::create_dir(&file).expect("a folder"),
            _ => fs::write(&file, bytes).expect("a file"),
        }
        for _ in 0..10 {
            let outcome = store.commit(vec![seen(id(3), A, 200)]).await;
            assert!(matches!(outcome, Err(StoreFault::Unavailable(_) | StoreFault::Damaged(_))), "{name}: {outcome:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if name != "a folder" {
            assert!(fs::read(&file).expect("it is there") == bytes, "{name} is left as it was");
            fs::remove_file(&file).expect("an end");
        } else {
            fs::remove_dir(&file).expect("an end");
        }
        fs::rename(&aside, &file).expect("a move");
        until(&store, "used again", Result::is_ok).await;
        record(&store, id(1)).await;
    }
}

/// Another program that removes the log would leave two of them at work on one file.
#[tokio::test]
async fn a11_a_log_that_is_removed_is_noticed_and_costs_nothing() {
    for ending in ["-wal", "-shm"] {
        let (_folder, file, store) = stored().await;
        for number in 10..20 {
            commit(&store, &[set(id(1), A, &format!("{{\"n\": {number}}}"), None)]).await;
        }
        fs::remove_file(format!("{}{ending}", file.display())).expect("it is there");
        let outcome = store.commit(vec![seen(id(3), A, 200)]).await.map(drop);
        assert!(is_unavailable(&outcome, "lost its -wal or -shm"), "{outcome:?}");
        until(&store, "used again", Result::is_ok).await;
        assert_eq!(record(&store, id(1)).await.properties.get("n").map(ToString::to_string), Some("19".into()));
        assert_eq!(store.examine().await, Ok(()));
    }
}

#[tokio::test]
async fn a11_damage_is_told_without_a_visitor_and_by_an_examination() {
    // In the first page, which every connection has in memory.
    let (folder, file, store) = stored().await;
    let good = folder.path().join("good.sqlite");
    back_up(&file, &good);
    assert_eq!(store.examine().await, Ok(()));
    damage(&file, 0, 4096);
    until(&store, "damaged", |outcome| matches!(outcome, Err(StoreFault::Damaged(_)))).await;
    for outcome in [
        store.read(id(1)).await.map(drop),
        store.size().await.map(drop),
        store.revocations(0, 1).await.map(drop),
        store.sample(None, 1).await.map(drop),
        store.sweep(None, SweepBefore { seen: UnixSeconds(0), revoked: UnixSeconds(0) }, 1).await.map(drop),
        store.examine().await,
    ] {
        assert!(matches!(outcome, Err(StoreFault::Damaged(_))), "{outcome:?}");
    }
    // At the next start as well.
    let fault = sqlite(&file).prepare().await;
    assert!(matches!(fault, Err(StoreFault::Refused(_) | StoreFault::Damaged(_))), "{fault:?}");
    fs::rename(&good, &file).expect("a restore");
    until(&store, "used again", Result::is_ok).await;
    record(&store, id(1)).await;
    // Emptied.
    fs::OpenOptions::new().write(true).open(&file).and_then(|file| file.set_len(0)).expect("a file");
    let fault = store.commit(Vec::new()).await;
    assert!(matches!(&fault, Err(StoreFault::Damaged(what)) if what.contains("was emptied")), "{fault:?}");
}

#[tokio::test]
async fn a11_an_examination_finds_what_no_one_has_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("visitors.sqlite");
    let store = sqlite(&file);
    for number in 0..40 {
        let writes: Vec<_> = (0..50).map(|n| seen(id(number * 50 + n), A, 100)).collect();
        commit(&store, &writes).await;
    }
    drop(store);
    let pages = fs::metadata(&file).expect("the file").len() / 4096;
    assert!(pages > 50, "{pages}");
    damage(&file, 4096 * 30, 4096);
    let store = sqlite(&file);
    store.prepare().await.expect("the first page is well");
    let found = store.examine().await;
    assert!(matches!(found, Err(StoreFault::Damaged(_))), "{found:?}");
    let mut from = None;
    let found = loop {
        match store.sample(from, 100).await {
            Ok(sampled) if sampled.next.is_some() => from = sampled.next,
            other => break other,
        }
    };
    assert!(matches!(found, Err(StoreFault::Damaged(_))), "{found:?}");
}

/// Overwrites bytes, as a failing medium does. The file's own process has its locks elsewhere.
fn damage(file: &Path, from: u64, length: usize) {
    use std::os::unix::fs::FileExt as _;
    let file = fs::OpenOptions::new().write(true).open(file).expect("the file");
    file.write_all_at(&vec![0xA5; length], from).expect("damage");
}

#[tokio::test]
async fn a10_a_record_that_is_no_text_costs_no_other() {
    let (_folder, file, store) = stored().await;
    let broken = Connection::open(&file).expect("the file");
    broken.busy_timeout(Duration::from_secs(5)).expect("a timeout");
    let sql = "UPDATE visitor SET record = CAST(x'ff' AS TEXT) WHERE id = ?1";
    assert_eq!(broken.execute(sql, [id(1).as_bytes().as_slice()]).expect("an update"), 1);
    drop(broken);
    assert_eq!(store.read(id(1)).await, Ok(Held::Unreadable));
    let outcomes = commit(&store, &[seen(id(1), A, 200), seen(id(3), A, 200)]).await;
    assert_eq!(outcomes.len(), 2);
    record(&store, id(3)).await;
    assert_eq!(store.sample(None, 10).await.expect("a sample").records.len(), 1);
}

/// Every byte of the folder's files.
fn bytes_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    files.map(|file| (file.display().to_string(), fs::read(&file).unwrap_or_default())).collect()
}

fn holding(folder: &Path, text: &str) -> Vec<String> {
    let is_in = |bytes: &Vec<u8>| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    bytes_in(folder).into_iter().filter(|(_, bytes)| is_in(bytes)).map(|(name, _)| name).collect()
}

#[tokio::test]
async fn c12_erased_text_is_in_no_file_of_the_store() {
    let (folder, file, store) = stored().await;
    let marked = |number: u32| format!("mark-{number:06}-of-a-visitor");
    for number in 10..200 {
        commit(&store, &[seen(id(number), A, 100), set(id(number), A, &format!("{{\"mark\": \"{}\"}}", marked(number)), None)])
            .await;
    }
    assert!(!holding(folder.path(), &marked(50)).is_empty());
    // A reader is in the way for a while: the log cannot be emptied before it has ended.
    let reader = Connection::open(&file).expect("the file");
    reader.execute_batch("BEGIN").expect("a transaction");
    let _: Option<i64> = reader.query_row("SELECT count(*) FROM visitor", [], |row| row.get(0)).optional().expect("a count");
    commit(&store, &[revoke(id(50), 200), revoke(id(51), 200)]).await;
    for number in 200..220 {
        commit(&store, &[seen(id(number), A, 100)]).await;
    }
    reader.execute_batch("COMMIT").expect("an end");
    let mut left = Vec::new();
    for _ in 0..500 {
        left = [50, 51].iter().flat_map(|number| holding(folder.path(), &marked(*number))).collect();
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(left.is_empty(), "{left:?}");
    assert!(!holding(folder.path(), &marked(52)).is_empty(), "others are there");
    // A sweep erases, too.
    commit(&store, &[seen(id(52), A, 10_000)]).await;
    store.sweep(None, SweepBefore { seen: UnixSeconds(5000), revoked: UnixSeconds(0) }, 1000).await.expect("a sweep");
    // A process that ends leaves nothing either.
    drop(store);
    assert!(holding(folder.path(), &marked(60)).is_empty());
    assert!(!holding(folder.path(), &marked(52)).is_empty(), "others are there");
}
