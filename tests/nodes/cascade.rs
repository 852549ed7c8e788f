//! A10, D2: ten thousand IDs that are tied to one another, and one refusal. It ends what it must end, and holds up no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use throughline::base::clock::{Clock as _, SystemClock, UnixSeconds};
use throughline::base::id::VisitorId;
use throughline::domain::consent::Basis;
use throughline::domain::postgres_url::PostgresUrl;
use throughline::domain::record::{AliasKind, Change, Held, Outcome, Write, Writer};
use throughline::http::client::Outbound;
use throughline::store::record_writer::RecordWriter;
use throughline::store::visitors::VisitorStore;
use throughline::store::visitors::postgres::PostgresStore;
use throughline::store::visitors::sqlite::SqliteStore;

use crate::support::postgres::Postgres;

const IDS: u32 = 10_000;
const SITE: &str = "https://a.example";

/// The goal is a second for a refusal. A busy machine may need more; the figures that are printed count.
const REFUSAL_BOUND: Duration = Duration::from_secs(5);

fn id(number: u32) -> VisitorId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    (bytes[6], bytes[8]) = (0x40, 0x80);
    VisitorId::from_bytes(&bytes).expect("version 4")
}

fn write(number: u32, change: Change) -> Arc<Write> {
    Arc::new(Write { visitor: id(number), by: Writer::Broker(SITE.into()), at: UnixSeconds(100), change })
}

/// Ties IDs to one another: each pair both ways, by every kind in turn.
async fn tie(store: &dyn VisitorStore, pairs: impl Iterator<Item = (u32, u32)>) {
    const KINDS: [AliasKind; 3] = [AliasKind::Provisional, AliasKind::SameBrowser, AliasKind::Link];
    let seen = || Change::Seen { basis: Basis::Implied, created: UnixSeconds(1), first_touch: None };
    let mut batch = Vec::new();
    for (turn, (one, other)) in pairs.enumerate() {
        let alias = |other| Change::Alias { other: id(other), kind: KINDS[turn % 3] };
        batch.extend([write(one, seen()), write(other, seen()), write(one, alias(other)), write(other, alias(one))]);
        if batch.len() >= 500 {
            store.commit(std::mem::take(&mut batch)).await.expect("a commit");
        }
    }
    store.commit(batch).await.expect("a commit");
}

/// Refuses one of the tied IDs, and others meanwhile. Returns how long the slowest of all took.
async fn refuse(store: &Arc<dyn VisitorStore>, tied: u32, others: std::ops::Range<u32>) -> Duration {
    let (writer, work) = RecordWriter::new(Arc::clone(store), Arc::new(SystemClock::new()));
    let work = tokio::spawn(work);
    let slowest = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for number in [tied].into_iter().chain(others) {
        let (writer, slowest) = (writer.clone(), Arc::clone(&slowest));
        tasks.spawn(async move {
            let clock = SystemClock::new();
            let refusal = Arc::unwrap_or_clone(write(number, Change::Revoke));
            assert_eq!(writer.ask(refusal).await, Ok(Outcome::Done));
            slowest.fetch_max(u64::try_from(clock.uptime().as_micros()).expect("it ends"), Ordering::Relaxed);
        });
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tasks.join_all().await;
    work.abort();
    Duration::from_micros(slowest.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a10_a_chain_and_a_star_of_ten_thousand_ids_hold_up_no_refusal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let roots = Outbound::new(Default::default(), Vec::new()).expect("Mozilla's roots").roots;
    let url = PostgresUrl::parse(&Postgres::shared().new_database(), |_, path| Ok(path.into())).expect("a URL");
    let postgres = PostgresStore::new(&url, roots).expect("a store");
    let stores: [(&str, Arc<dyn VisitorStore>); 2] =
        [("SQLite", Arc::new(SqliteStore::file(&folder.path().join("visitors.sqlite")))), ("PostgreSQL", Arc::new(postgres))];
    for (name, store) in stores {
        store.prepare().await.expect("an empty database");
        tie(&*store, (0..IDS - 1).map(|number| (number, number + 1))).await;
        let star = 2 * IDS..3 * IDS;
        tie(&*store, star.clone().map(|number| (number, IDS))).await;
        for (shape, tied, others) in [("chain", 0, 4 * IDS..4 * IDS + 100), ("star", IDS, 5 * IDS..5 * IDS + 100)] {
            let slowest = refuse(&store, tied, others).await;
            println!("A10: {shape} of {IDS} on {name}: the slowest refusal took {slowest:?}");
            assert!(slowest < REFUSAL_BOUND, "{shape} on {name}: {slowest:?}");
        }
        // The broker has seen all of them, so none is a provisional ID, and no other ends.
        for number in [1, 2, IDS - 1, 2 * IDS, 3 * IDS - 1] {
            assert!(matches!(store.read(id(number)).await, Ok(Held::Record(_))), "{name}: {number}");
        }
        assert_eq!(store.revocations(0, 1000).await.expect("a list").len(), 202, "{name}");
    }
}
