//! PostgreSQL breaks: calls end in time and say so, and all goes on when it is back.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use throughline::base::clock::{Clock as _, SystemClock};
use throughline::domain::record::{Outcome, Write};
use throughline::store::record_writer::{NotWritten, RecordWriter, StoreStatus};
use throughline::store::retention::sweep;
use throughline::store::visitors::{StoreFault, VisitorStore};
use tokio::task::JoinSet;

use super::{A, CALL_ENDS_WITHIN, alias, commit, commit_at_last, id, postgres, record, revoke, seen};
use crate::support::postgres::Postgres;

/// Every call fails, each in time.
async fn nothing_can_be_had(store: &Arc<dyn VisitorStore>) {
    let clock = SystemClock::new();
    let (read, written, listed, sized) =
        tokio::join!(store.read(id(1)), store.commit(vec![seen(id(1), A, 100)]), store.revocations(0, 10), store.size());
    let faults = [read.err(), written.err(), listed.err(), sized.err()];
    assert!(faults.iter().all(|fault| matches!(fault, Some(StoreFault::Unavailable(_)))), "{faults:?}");
    assert!(clock.uptime() < CALL_ENDS_WITHIN, "{:?}", clock.uptime());
}

#[tokio::test]
async fn a2_a_server_that_is_stopped_and_started_is_used_again() {
    let mut server = Postgres::start(&[]);
    let store = postgres(&server.new_database());
    commit(&store, &[seen(id(1), A, 100)]).await;
    server.stop();
    nothing_can_be_had(&store).await;
    server.start_again();
    commit(&store, &[seen(id(1), "https://later.example", 200)]).await;
    let kept = record(&store, id(1)).await;
    assert_eq!(kept.sites.keys().map(String::as_str).collect::<Vec<_>>(), [A, "https://later.example"]);
}

/// The first start finds no server; nobody has to say later that there is one now.
#[tokio::test]
async fn a2_a_server_that_comes_late_is_used() {
    let mut server = Postgres::start(&[]);
    let url = server.new_database();
    server.stop();
    let store = postgres(&url);
    assert!(matches!(store.prepare().await, Err(StoreFault::Unavailable(_))));
    server.start_again();
    commit(&store, &[seen(id(1), A, 100)]).await;
    assert_eq!(record(&store, id(1)).await.sites.len(), 1);
}

#[tokio::test]
async fn a2_a_server_that_hangs_holds_nobody() {
    let server = Postgres::start(&[]);
    let store = postgres(&server.new_database());
    // So that more than one connection is there to hang.
    let (one, two) = (vec![seen(id(1), A, 100)], vec![seen(id(2), A, 100)]);
    tokio::try_join!(store.commit(one), store.commit(two)).expect("two commits");
    server.pause();
    nothing_can_be_had(&store).await;
    nothing_can_be_had(&store).await;
    server.resume();
    let clock = SystemClock::new();
    commit_at_last(&store, &[seen(id(1), A, 200)]).await;
    assert!(clock.uptime() < Duration::from_secs(2), "{:?}", clock.uptime());
    assert_eq!(record(&store, id(1)).await.last_seen().0, 200);
}

/// A port that takes connections and never says a word, and an address that leads nowhere.
#[tokio::test]
async fn a2_a_black_hole_holds_nobody() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("its address").port();
    nothing_can_be_had(&postgres(&format!("postgres://user:hunter2@127.0.0.1:{port}/x"))).await;
    nothing_can_be_had(&postgres("postgres://user:hunter2@192.0.2.1:5432/x")).await;
}

/// Another transaction holds the row.
#[tokio::test]
async fn a2_a10_a_row_that_is_locked_for_long_holds_nobody_for_long() {
    let server = Postgres::shared();
    let url = server.new_database();
    let store = postgres(&url);
    commit(&store, &[seen(id(1), A, 100), seen(id(2), A, 100)]).await;
    let lock = "BEGIN; SELECT FROM visitor FOR UPDATE; SELECT pg_sleep(7)";
    let locker = tokio::task::spawn_blocking(move || server.sql(&url, lock));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let clock = SystemClock::new();
    let fault = store.commit(vec![seen(id(1), A, 200)]).await;
    assert!(matches!(fault, Err(StoreFault::Busy(_))), "{fault:?}");
    assert!(clock.uptime() < CALL_ENDS_WITHIN, "{:?}", clock.uptime());
    assert_eq!(record(&store, id(1)).await.last_seen().0, 100, "reading waits for nobody");
    // Other visitors' writes and refusals go before the one that has to wait, which is done in the end.
    let (writer, work) = RecordWriter::new(Arc::clone(&store), Arc::new(SystemClock::new()));
    let work = tokio::spawn(work);
    let write = |write: Arc<Write>| Arc::unwrap_or_clone(write);
    let locked = writer.put(write(seen(id(1), A, 200))).expect("room");
    let others = (10..60).map(|number| writer.put(write(seen(id(number), A, 200))).expect("room"));
    for (number, other) in others.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(other.await, Ok(Ok(Outcome::Done)), "{number}");
    }
    assert_eq!(writer.ask(write(revoke(id(70), 200))).await, Ok(Outcome::Done));
    assert_eq!(writer.ask(write(revoke(id(2), 200))).await, Err(NotWritten::Failed), "it is sent again");
    assert_eq!((writer.state().status, writer.state().waiting), (StoreStatus::Ok, 1));
    locker.await.expect("the other transaction");
    assert_eq!(locked.await, Ok(Ok(Outcome::Done)));
    assert_eq!((writer.state().lost, writer.state().set_aside), (0, 0));
    assert_eq!(record(&store, id(1)).await.last_seen().0, 200);
    work.abort();
}

/// Connections are cut again and again while batches commit: what was acknowledged is there, and nothing is there by halves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_what_was_acknowledged_is_there_when_connections_are_cut() {
    let server = Postgres::shared();
    let url = server.new_database();
    let store = postgres(&url);
    store.prepare().await.expect("an empty database");
    let is_over = Arc::new(AtomicBool::new(false));
    let (over, database) = (Arc::clone(&is_over), url.clone());
    let cutter = tokio::task::spawn_blocking(move || {
        let mut cut = 0;
        while !over.load(Ordering::Relaxed) {
            let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
            cut += server.sql(&database, all).lines().filter(|line| *line == "t").count();
        }
        cut
    });
    let mut tasks = JoinSet::new();
    for task in 0..4_u32 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut faults = 0;
            for n in 0..50 {
                let number = task * 1000 + n * 2;
                // Two records, of which each says that the other is there.
                let batch = vec![
                    seen(id(number), A, 100),
                    seen(id(number + 1), A, 100),
                    alias(id(number), id(number + 1)),
                    alias(id(number + 1), id(number)),
                ];
                while store.commit(batch.clone()).await.is_err() {
                    faults += 1;
                    let halves = (store.read(id(number)).await, store.read(id(number + 1)).await);
                    if let (Ok(one), Ok(two)) = halves {
                        assert_eq!(std::mem::discriminant(&one), std::mem::discriminant(&two), "half a batch");
                    }
                }
            }
            faults
        });
    }
    let faults: u32 = tasks.join_all().await.into_iter().sum();
    is_over.store(true, Ordering::Relaxed);
    let cut = cutter.await.expect("the cutter");
    println!("{cut} connections cut, {faults} faults");
    assert!(cut > 5 && faults > 0, "{cut} connections cut, {faults} faults");
    let fresh = postgres(&url);
    for number in (0..4).flat_map(|task| (0..100).map(move |n| task * 1000 + n)) {
        assert_eq!(record(&fresh, id(number)).await.aliases.len(), 1);
    }
}

/// The database was dropped and made anew, from a backup that held nothing.
#[tokio::test]
async fn a2_an_empty_database_in_its_place_is_made_ready() {
    let server = Postgres::shared();
    let url = server.new_database();
    let store = postgres(&url);
    commit(&store, &[seen(id(1), A, 100), revoke(id(2), 100)]).await;
    server.sql(&url, "DROP TABLE visitor, revocation, set_aside, throughline_schema");
    commit_at_last(&store, &[seen(id(1), A, 200)]).await;
    assert_eq!(record(&store, id(1)).await.last_seen().0, 200);
}

/// Rule A3: a server whose operator switched the flush off is asked for it; one that asks for more keeps it.
#[tokio::test]
async fn a3_a_commit_is_flushed_before_it_counts() {
    let server = Postgres::shared();
    let now = |url: &str| {
        let view = "CREATE VIEW now AS SELECT current_setting('synchronous_commit') AS flush";
        server.sql(url, view);
        let trigger = "CREATE TABLE noted (flush text);
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO noted SELECT flush FROM now; RETURN NULL; END';
             CREATE TRIGGER note AFTER INSERT ON visitor FOR EACH STATEMENT EXECUTE FUNCTION note()";
        server.sql(url, trigger);
    };
    for (configured, expected) in [("off", "on"), ("on", "on"), ("remote_apply", "remote_apply")] {
        let url = server.new_database();
        let database = url.rsplit('/').next().expect("a name");
        server.sql(&url, &format!("ALTER DATABASE {database} SET synchronous_commit = {configured}"));
        let store = postgres(&url);
        store.prepare().await.expect("an empty database");
        now(&url);
        commit(&store, &[seen(id(1), A, 100)]).await;
        assert_eq!(server.sql(&url, "SELECT flush FROM noted"), expected);
    }
}

/// Rules T9 and R8: no message holds the password, and the server's log no ID.
#[tokio::test]
async fn t9_no_message_holds_the_password() {
    for url in ["postgres://user:hunter2@127.0.0.1:1/x", "postgres://user:hunter2@no-such-host.invalid/x"] {
        let fault = postgres(url).prepare().await.expect_err("nobody listens there");
        assert!(!fault.to_string().contains("hunter2"), "{fault}");
    }
    let server = Postgres::start(&["password_encryption=scram-sha-256"]);
    server.sql("postgres", "CREATE ROLE somebody LOGIN PASSWORD 'another'");
    let hba = server.sql("postgres", "SHOW hba_file");
    std::fs::write(&hba, "host all somebody all scram-sha-256\nhost all postgres all trust\n").expect("the file of who may");
    server.sql("postgres", "SELECT pg_reload_conf()");
    let store = postgres(&server.url("postgres").replace("postgres@", "somebody:hunter2@"));
    let mut fault = Ok(());
    for _ in 0..50 {
        fault = store.prepare().await;
        if fault.as_ref().is_err_and(|fault| fault.to_string().contains("28P01")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let Err(StoreFault::Unavailable(what)) = fault else { panic!("{fault:?}") };
    assert!(what.contains("28P01") && !what.contains("hunter2"), "{what}");
}

/// The first sweep meets a server that is down. It is tried again until it has deleted what is too old.
#[tokio::test]
async fn a2_a_sweep_that_meets_a_store_that_is_down_is_retried() {
    let mut server = Postgres::start(&[]);
    let url = server.new_database();
    let store = postgres(&url);
    commit(&store, &[seen(id(1), A, 100)]).await;
    server.stop();
    let swept = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            sweep(&*store, &SystemClock::new(), Duration::from_secs(1000), Duration::from_millis(50)..=Duration::from_millis(500))
                .await
        }
    });
    // It has failed once at least.
    assert!(store.read(id(1)).await.is_err());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!swept.is_finished());
    server.start_again();
    tokio::time::timeout(Duration::from_secs(180), swept).await.expect("it ends").expect("it does not panic");
    assert_eq!(server.sql(&url, "SELECT count(*) FROM visitor"), "0");
}
