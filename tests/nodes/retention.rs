//! Retention on a full SQLite file: what is too old goes, what is not stays, and no write waits for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, params};
use throughline::base::clock::{Clock as _, SystemClock, UnixSeconds};
use throughline::base::id::VisitorId;
use throughline::domain::consent::Basis;
use throughline::domain::record::{Change, Held, Outcome, Write, Writer};
use throughline::store::record_writer::RecordWriter;
use throughline::store::retention::before;
use throughline::store::visitors::VisitorStore;
use throughline::store::visitors::sqlite::SqliteStore;

const RECORDS: u32 = 100_000;
const DAY: u64 = 24 * 60 * 60;
const NOW: u64 = 1_790_000_000;
const RETENTION: Duration = Duration::from_secs(30 * DAY);

/// Longer than one slice takes, on a busy machine as well; a whole sweep takes many times that.
const WRITE_BOUND: Duration = Duration::from_secs(2);

fn id(number: u32) -> VisitorId {
    let digest = ring::digest::digest(&ring::digest::SHA256, &number.to_be_bytes());
    let bytes = digest.as_ref()[..16].try_into().expect("16 octets");
    VisitorId::from_bytes(uuid::Builder::from_random_bytes(bytes).as_uuid().as_bytes()).expect("version 4")
}

fn write(number: u32, at: u64, change: Change) -> Write {
    Write { visitor: id(number), by: Writer::Broker("https://a.example".into()), at: UnixSeconds(at), change }
}

fn seen(number: u32, at: u64) -> Write {
    write(number, at, Change::Seen { basis: Basis::Implied, created: UnixSeconds(at), first_touch: None })
}

/// Every second record was last seen a day too early, the others a day later than that.
const fn last_seen(number: u32) -> u64 {
    NOW - (29 + 2 * (number % 2) as u64) * DAY
}

/// Fills the file with copies of two records that the store has written.
fn fill(file: &Path) {
    let mut connection = Connection::open(file).expect("the file");
    let transaction = connection.transaction().expect("a transaction");
    for number in 2..RECORDS {
        let (id, model) = (id(number), id(number % 2));
        let copy = "INSERT INTO visitor (id, seen, record) SELECT ?1, seen, record FROM visitor WHERE id = ?2";
        let mut copy = transaction.prepare_cached(copy).expect("a statement");
        assert_eq!(copy.execute(params![id.as_bytes().as_slice(), model.as_bytes().as_slice()]).expect("a row"), 1);
    }
    transaction.commit().expect("a commit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_saw_for_long_is_deleted_and_no_write_waits_for_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("visitors.sqlite");
    let store: Arc<dyn VisitorStore> = Arc::new(SqliteStore::file(&file));
    let first =
        [seen(0, last_seen(0)), seen(1, last_seen(1)), seen(RECORDS, NOW), write(RECORDS, NOW - 40 * DAY, Change::Revoke)];
    store.commit(first.into_iter().map(Arc::new).collect()).await.expect("a commit");
    fill(&file);
    assert_eq!(store.size().await.expect("a size").records, u64::from(RECORDS));

    let (writer, work) = RecordWriter::new(Arc::clone(&store), Arc::new(SystemClock::new()));
    tokio::spawn(work);
    let is_over = Arc::new(AtomicBool::new(false));
    let sweeping = {
        let (store, is_over) = (Arc::clone(&store), Arc::clone(&is_over));
        tokio::spawn(async move {
            let (mut from, mut deleted) = (None, 0);
            // Without the pauses of the real one.
            loop {
                let swept = store.sweep(from, before(UnixSeconds(NOW), RETENTION), 500).await.expect("a slice");
                deleted += swept.deleted;
                from = swept.next;
                if from.is_none() {
                    is_over.store(true, Ordering::Relaxed);
                    return deleted;
                }
            }
        })
    };
    let (mut slowest, mut written) = (Duration::ZERO, 0);
    while !is_over.load(Ordering::Relaxed) {
        let clock = SystemClock::new();
        written += 1;
        assert_eq!(writer.ask(seen(RECORDS + written, NOW)).await, Ok(Outcome::Done));
        slowest = slowest.max(clock.uptime());
    }
    assert_eq!(sweeping.await.expect("a sweep"), u64::from(RECORDS / 2));
    println!("{written} hops were written meanwhile, the slowest in {slowest:?}");
    assert!(written > 20 && slowest < WRITE_BOUND, "{written}, {slowest:?}");
    assert_eq!(store.size().await.expect("a size").records, u64::from(RECORDS / 2 + written));
    for number in (0..RECORDS).step_by(97) {
        let held = store.read(id(number)).await.expect("a read");
        assert_eq!(held == Held::Nothing, number % 2 == 1, "{number}: {held:?}");
    }
    assert_eq!(store.read(id(RECORDS)).await, Ok(Held::Revoked), "a revocation outlives the record");
}
