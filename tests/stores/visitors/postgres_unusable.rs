//! PostgreSQL servers that a broker cannot use, or that are damaged: each is told with its reason, from the start.

use std::fs;

use throughline::store::visitors::StoreFault;

use super::{A, commit, id, postgres, record, revoke, seen, set};
use crate::support::postgres::Postgres;

/// The message of a fault, which must be of this kind.
fn unavailable(fault: Result<(), StoreFault>) -> String {
    match fault {
        Err(StoreFault::Unavailable(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a11_a_read_only_server_is_told_at_the_start_and_with_each_write_and_is_still_read() {
    let server = Postgres::shared();
    let url = server.new_database();
    let database = url.rsplit('/').next().expect("a name");
    commit(&postgres(&url), &[seen(id(1), A, 100)]).await;
    server.sql(&url, &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"));
    let store = postgres(&url);
    let remedy = "the server is read-only, as a standby is: name the primary server in [store] url";
    assert!(unavailable(store.prepare().await).contains(remedy));
    let written = unavailable(store.commit(vec![seen(id(1), A, 200)]).await.map(drop));
    assert!(written.contains(remedy) && written.contains("25006"), "{written}");
    assert_eq!(record(&store, id(1)).await.last_seen().0, 100);
    server.sql(&url, &format!("SET transaction_read_only = off; ALTER DATABASE {database} RESET default_transaction_read_only"));
    postgres(&url).prepare().await.expect("it may be written again");
}

#[tokio::test]
async fn a11_a_user_without_the_rights_to_write_is_told_at_the_start() {
    let server = Postgres::shared();
    let url = server.new_database();
    let guest = format!("{}_reader", url.rsplit('/').next().expect("a name"));
    postgres(&url).prepare().await.expect("an empty database");
    server.sql(&url, &format!("CREATE ROLE {guest} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {guest}"));
    let store = postgres(&url.replace("postgres@", &format!("{guest}@")));
    let what = unavailable(store.prepare().await);
    assert!(what.contains("INSERT on visitor") && what.contains("grant it the rights"), "{what}");
    let what = unavailable(store.commit(vec![seen(id(1), A, 100)]).await.map(drop));
    assert!(what.contains("42501") && what.contains("grant it the rights"), "{what}");
    server.sql(&url, &format!("GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {guest}"));
    store.prepare().await.expect("it has the rights");
    commit(&store, &[seen(id(1), A, 100)]).await;
}

/// A page of the table is overwritten, as a failing disk does it.
#[tokio::test]
async fn a11_a_corrupt_page_is_damage() {
    let mut server = Postgres::start(&[]);
    let url = server.new_database();
    let store = postgres(&url);
    commit(&store, &[seen(id(1), A, 100)]).await;
    let data = server.sql(&url, "SHOW data_directory");
    let relation = "SELECT pg_relation_filepath(tableoid) FROM visitor";
    let file = format!("{data}/{}", server.sql(&url, relation));
    server.sql(&url, "CHECKPOINT");
    server.stop();
    let mut page = fs::read(&file).expect("the table");
    assert!(!page.is_empty());
    page[..24].fill(0xa5);
    fs::write(&file, page).expect("the table");
    server.start_again();
    let store = postgres(&url);
    let read = store.read(id(1)).await;
    assert!(matches!(&read, Err(StoreFault::Damaged(what)) if what.contains("XX001")), "{read:?}");
    let written = store.commit(vec![seen(id(1), A, 200)]).await;
    assert!(matches!(written, Err(StoreFault::Damaged(_))), "{written:?}");

    // A file of the table is gone.
    server.stop();
    fs::remove_file(&file).expect("the table");
    server.start_again();
    let read = postgres(&url).read(id(1)).await;
    assert!(matches!(&read, Err(StoreFault::Damaged(what)) if what.contains("58P01")), "{read:?}");
}

/// Whether a file below `folder` holds these octets.
fn holds(folder: &str, octets: &[u8]) -> bool {
    fs::read_dir(folder).expect("a folder").flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(path.to_str().expect("a path"), octets);
        }
        // A file may go away while the server is at work.
        fs::read(&path).is_ok_and(|content| content.windows(octets.len()).any(|window| window == octets))
    })
}

/// What docs/operating.md says of an erasure: where it is still to be found, and by what it goes.
#[tokio::test]
async fn c12_an_erased_record_is_in_no_table_after_the_documented_vacuum_and_still_in_the_log() {
    let server = Postgres::start(&["autovacuum=off"]);
    let url = server.new_database();
    let store = postgres(&url);
    let secret = "an-erased-visitors-word";
    commit(&store, &[seen(id(1), A, 100), set(id(1), A, &format!("{{\"word\": \"{secret}\"}}"), None), seen(id(2), A, 100)])
        .await;
    server.sql(&url, "CHECKPOINT");
    commit(&store, &[revoke(id(1), 200)]).await;
    server.sql(&url, "CHECKPOINT");
    let data = server.sql(&url, "SHOW data_directory");
    let (tables, log) = (format!("{data}/base"), format!("{data}/pg_wal"));
    assert!(holds(&tables, secret.as_bytes()), "a deleted row stays in its table's file");
    server.sql(&url, "VACUUM FULL visitor");
    server.sql(&url, "CHECKPOINT");
    assert!(!holds(&tables, secret.as_bytes()));
    assert!(holds(&log, secret.as_bytes()), "the log has it until its segments are recycled");
    assert_eq!(record(&store, id(2)).await.last_seen().0, 100);
}
