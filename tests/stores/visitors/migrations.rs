//! Who may bring a schema to its version, and what is refused.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use rusqlite::Connection;
use throughline::store::visitors::migrations::{POSTGRES, SQLITE};
use throughline::store::visitors::{StoreFault, VisitorStore};
use tokio::task::JoinSet;

use super::{A, commit, id, postgres, record, seen, sqlite};
use crate::support::postgres::Postgres;

async fn all_start_at_once(stores: Vec<Arc<dyn VisitorStore>>) {
    let mut starts = JoinSet::new();
    for (n, store) in stores.iter().enumerate() {
        let store = Arc::clone(store);
        starts.spawn(async move {
            store.prepare().await.expect("a start");
            commit(&store, &[seen(id(1), &format!("https://site-{n}.example"), 100)]).await;
        });
    }
    starts.join_all().await;
    assert_eq!(record(&stores[0], id(1)).await.sites.len(), stores.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_may_start_at_once_on_an_empty_database() {
    let url = Postgres::shared().new_database();
    all_start_at_once((0..8).map(|_| postgres(&url)).collect()).await;
    assert_eq!(Postgres::shared().sql(&url, "SELECT version FROM throughline_schema"), POSTGRES.len().to_string());
    let partitions = "SELECT count(*) FROM pg_partition_tree('visitor') WHERE isleaf";
    assert_eq!(Postgres::shared().sql(&url, partitions), "16");

    let folder = tempfile::tempdir().expect("a temporary folder");
    all_start_at_once((0..8).map(|_| sqlite(&folder.path().join("visitors.sqlite"))).collect()).await;
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let refusal = |known: usize| StoreFault::Newer { found: 99, known: u32::try_from(known).expect("a small number") };

    let url = Postgres::shared().new_database();
    postgres(&url).prepare().await.expect("an empty database");
    Postgres::shared().sql(&url, "UPDATE throughline_schema SET version = 99");
    let newer = postgres(&url);
    assert_eq!(newer.prepare().await, Err(refusal(POSTGRES.len())));
    assert_eq!(newer.commit(vec![seen(id(1), A, 100)]).await, Err(refusal(POSTGRES.len())), "nothing is written to it");
    assert_eq!(Postgres::shared().sql(&url, "SELECT count(*) FROM visitor"), "0");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("visitors.sqlite");
    sqlite(&file).prepare().await.expect("a new file");
    Connection::open(&file).and_then(|file| file.pragma_update(None, "user_version", 99)).expect("a version");
    assert_eq!(sqlite(&file).prepare().await, Err(refusal(SQLITE.len())));
    let message = refusal(SQLITE.len()).to_string();
    assert!(message.contains("99") && message.contains(&format!("knows {}", SQLITE.len())), "{message}");
}

/// The user can do nothing but connect, and own a schema. Another application has the same names beside it.
#[tokio::test]
async fn a_user_that_owns_a_schema_is_enough() {
    let server = Postgres::shared();
    let url = server.new_database();
    let database = url.rsplit('/').next().expect("a name");
    server.sql(
        &url,
        &format!(
            "CREATE TABLE public.visitor (n int); CREATE TABLE public.throughline_schema (version text);
             CREATE ROLE {database} LOGIN; CREATE SCHEMA AUTHORIZATION {database};
             REVOKE ALL ON SCHEMA public FROM public"
        ),
    );
    let store = postgres(&url.replace("postgres@", &format!("{database}@")));
    store.prepare().await.expect("a schema of its own");
    commit(&store, &[seen(id(1), A, 100)]).await;
    assert_eq!(server.sql(&url, &format!("SELECT count(*) FROM {database}.visitor")), "1");
    assert_eq!(store.size().await.map(|size| size.records), Ok(1));

    // One that may make nothing is told at the start.
    server.sql(&url, &format!("CREATE ROLE {database}_guest LOGIN"));
    let fault = postgres(&url.replace("postgres@", &format!("{database}_guest@"))).prepare().await;
    assert!(matches!(&fault, Err(StoreFault::Refused(what)) if what.contains("no schema")), "{fault:?}");
    // And so is one whose names are taken.
    let fault = postgres(&url).prepare().await;
    assert!(matches!(fault, Err(StoreFault::Refused(_))), "{fault:?}");
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let server = Postgres::shared();
    server.sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let fault = postgres(&server.url("latin")).prepare().await;
    assert!(matches!(&fault, Err(StoreFault::Refused(what)) if what.contains("LATIN1")), "{fault:?}");
}

#[tokio::test]
async fn another_applications_file_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let theirs = folder.path().join("theirs.sqlite");
    Connection::open(&theirs).and_then(|file| file.execute_batch("CREATE TABLE bookmarks (url TEXT)")).expect("a file");
    let before = std::fs::read(&theirs).expect("their file");
    let fault = sqlite(&theirs).prepare().await;
    assert!(matches!(fault, Err(StoreFault::Refused(_))), "{fault:?}");
    assert!(std::fs::read(&theirs).expect("their file") == before, "it was not changed");

    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "to do: nothing\n".repeat(100)).expect("a file");
    let fault = sqlite(&text).prepare().await;
    assert!(matches!(fault, Err(StoreFault::Refused(_))), "{fault:?}");
}

/// A start that was killed in the middle leaves an empty file, or one whose transaction never ended.
#[tokio::test]
async fn a_half_made_file_is_made_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let empty = folder.path().join("empty.sqlite");
    std::fs::write(&empty, "").expect("a file");
    let half = folder.path().join("half.sqlite");
    {
        let connection = Connection::open(&half).expect("a file");
        connection.pragma_update(None, "journal_mode", "WAL").expect("WAL");
        connection.execute_batch(&format!("BEGIN EXCLUSIVE; {}", SQLITE[0])).expect("the first step");
    }
    for file in [&empty, &half] {
        let store = sqlite(file);
        store.prepare().await.expect("a start");
        commit(&store, &[seen(id(1), A, 100)]).await;
        assert_eq!(record(&store, id(1)).await.sites.len(), 1);
    }
}

#[tokio::test]
async fn a_file_is_its_owners_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("visitors.sqlite");
    let store = sqlite(&file);
    store.prepare().await.expect("a new file");
    commit(&store, &[seen(id(1), A, 100)]).await;
    for entry in std::fs::read_dir(folder.path()).expect("the folder") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
    }
}
