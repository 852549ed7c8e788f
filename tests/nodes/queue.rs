//! A2: what waits while the store is away, with a store that the test switches off and on.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use throughline::base::clock::{Clock as _, SystemClock, UnixSeconds};
use throughline::base::id::VisitorId;
use throughline::domain::consent::Basis;
use throughline::domain::record::{Change, Held, Outcome, Write, Writer};
use throughline::store::record_writer::{NotWritten, RecordWriter, StoreStatus};
use throughline::store::visitors::{Cursor, Sampled, SetAside, StoreFault, StoreSize, SweepBefore, Swept, VisitorStore};
use tokio::time::{sleep, timeout};

const WELL: u32 = 0;
const AWAY: u32 = 1;
/// It answers, but is nothing that we may use.
const FOREIGN: u32 = 2;

/// Keeps nothing but the order in which it was told.
#[derive(Default)]
struct Switched {
    state: AtomicU32,
    commits: AtomicU64,
    written: Mutex<Vec<VisitorId>>,
}

impl Switched {
    fn fault(&self) -> Result<(), StoreFault> {
        match self.state.load(Ordering::Relaxed) {
            WELL => Ok(()),
            AWAY => Err(StoreFault::Unavailable("switched off".into())),
            _ => Err(StoreFault::Refused("the table is another application's".into())),
        }
    }

    fn written(&self) -> Vec<VisitorId> {
        self.written.lock().expect("no panic").clone()
    }
}

#[async_trait]
impl VisitorStore for Switched {
    async fn prepare(&self) -> Result<(), StoreFault> {
        self.fault()
    }

    async fn commit(&self, writes: Vec<Arc<Write>>) -> Result<Vec<Outcome>, StoreFault> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.fault()?;
        let mut written = self.written.lock().expect("no panic");
        if writes.iter().any(|write| write.change == Change::Revoke) {
            return Err(StoreFault::Refused("this write".into()));
        }
        written.extend(writes.iter().map(|write| write.visitor));
        Ok(writes.iter().map(|_| Outcome::Done).collect())
    }

    async fn read(&self, _: VisitorId) -> Result<Held, StoreFault> {
        Ok(Held::Nothing)
    }

    async fn revocations(&self, _: Cursor, _: usize) -> Result<Vec<(Cursor, VisitorId)>, StoreFault> {
        Ok(Vec::new())
    }

    async fn sweep(&self, _: Option<VisitorId>, _: SweepBefore, _: usize) -> Result<Swept, StoreFault> {
        Ok(Swept { deleted: 0, next: None })
    }

    async fn sample(&self, _: Option<VisitorId>, _: usize) -> Result<Sampled, StoreFault> {
        Ok(Sampled { records: Vec::new(), next: None })
    }

    async fn examine(&self) -> Result<(), StoreFault> {
        Ok(())
    }

    async fn set_aside(&self, _: Vec<SetAside>) -> Result<(), StoreFault> {
        Ok(())
    }

    async fn count_set_aside(&self) -> Result<u64, StoreFault> {
        Ok(0)
    }

    async fn size(&self) -> Result<StoreSize, StoreFault> {
        Ok(StoreSize { records: 0, octets: 0 })
    }
}

fn id(number: u32) -> VisitorId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    (bytes[6], bytes[8]) = (0x40, 0x80);
    VisitorId::from_bytes(&bytes).expect("version 4")
}

fn seen(number: u32) -> Write {
    let change = Change::Seen { basis: Basis::Implied, created: UnixSeconds(1), first_touch: None };
    Write { visitor: id(number), by: Writer::Broker("https://a.example".into()), at: UnixSeconds(1), change }
}

fn start(room: usize, state: u32) -> (Arc<Switched>, RecordWriter) {
    let store = Arc::new(Switched { state: AtomicU32::new(state), ..Switched::default() });
    let (writer, work) = RecordWriter::with_room(Arc::<Switched>::clone(&store), Arc::new(SystemClock::new()), room);
    tokio::spawn(work);
    (store, writer)
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let clock = SystemClock::new();
    while !is_so() {
        assert!(clock.uptime() < Duration::from_secs(20), "not in time: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a2_what_finds_no_room_is_counted_as_lost_and_the_rest_is_written_in_order() {
    const ROOM: u32 = 2000;
    let (store, writer) = start(ROOM as usize, AWAY);
    for number in 0..ROOM + 500 {
        assert_eq!(writer.put(seen(number)).is_some(), number < ROOM, "{number}");
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    until("it is seen to be down", || writer.state().status == StoreStatus::Down).await;
    let state = writer.state();
    assert_eq!((state.waiting, state.lost, state.written), (u64::from(ROOM), 500, 0));
    assert!(writer.put(seen(9999)).is_none(), "the room is that of the queue and of what is being tried together");
    assert_eq!(writer.state().lost, 501);
    store.state.store(WELL, Ordering::Relaxed);
    until("all is written", || writer.state().waiting == 0).await;
    let state = writer.state();
    assert_eq!((state.status, state.lost, state.written), (StoreStatus::Ok, 501, u64::from(ROOM)));
    assert_eq!(store.written(), (0..ROOM).map(id).collect::<Vec<_>>(), "each once, in order");
    assert!(writer.put(seen(ROOM)).is_some(), "there is room again");
}

/// More than one batch waits: whoever asks must not wait behind it.
#[tokio::test]
async fn a2_who_waits_for_an_answer_gets_one_however_much_waits_for_the_store() {
    let (store, writer) = start(10_000, AWAY);
    for number in 0..5000 {
        assert!(writer.put(seen(number)).is_some());
    }
    // Long enough for the pauses to have grown.
    sleep(Duration::from_secs(1)).await;
    for number in 0..3 {
        let asked = timeout(Duration::from_secs(4), writer.ask(seen(6000 + number))).await;
        assert_eq!(asked.expect("an answer in time"), Err(NotWritten::Unavailable));
    }
    let state = writer.state();
    assert_eq!((state.waiting, state.lost), (5000, 0), "who asked was told: nothing of theirs is lost");
    store.state.store(WELL, Ordering::Relaxed);
    until("all is written", || writer.state().waiting == 0).await;
    assert_eq!(writer.ask(seen(7000)).await, Ok(Outcome::Done));
    assert_eq!(store.written().len(), 5001);
}

#[tokio::test]
async fn a2_a_store_that_comes_back_is_noticed_though_nobody_writes() {
    let (store, writer) = start(10, AWAY);
    assert_eq!(writer.ask(seen(1)).await, Err(NotWritten::Unavailable));
    until("it is seen to be down", || writer.state().status == StoreStatus::Down).await;
    sleep(Duration::from_secs(1)).await;
    let tries = store.commits.load(Ordering::Relaxed);
    assert!((2..15).contains(&tries), "it is tried now and then: {tries} times in a second");
    store.state.store(WELL, Ordering::Relaxed);
    until("it is well", || writer.state().status == StoreStatus::Ok).await;
    let tries = store.commits.load(Ordering::Relaxed);
    sleep(Duration::from_millis(300)).await;
    assert!(store.commits.load(Ordering::Relaxed) <= tries + 1, "and then asked once a second");
}

/// In place of the database there is another: what waits is not given up for that.
#[tokio::test]
async fn a2_a_store_that_is_another_applications_takes_nothing_and_costs_nothing() {
    let (store, writer) = start(100, WELL);
    assert_eq!(writer.ask(seen(0)).await, Ok(Outcome::Done));
    store.state.store(FOREIGN, Ordering::Relaxed);
    for number in 1..50 {
        assert!(writer.put(seen(number)).is_some());
    }
    until("it is seen to be down", || writer.state().status == StoreStatus::Down).await;
    sleep(Duration::from_secs(1)).await;
    assert!(store.commits.load(Ordering::Relaxed) < 20);
    assert_eq!((writer.state().waiting, writer.state().lost), (49, 0));
    store.state.store(WELL, Ordering::Relaxed);
    until("all is written", || writer.state().waiting == 0).await;
    assert_eq!(store.written(), (0..50).map(id).collect::<Vec<_>>());
}

#[tokio::test]
async fn a2_one_write_that_is_refused_costs_no_other() {
    let (store, writer) = start(100, AWAY);
    for number in 0..20 {
        let change = if number == 7 { Change::Revoke } else { seen(number).change };
        assert!(writer.put(Write { change, ..seen(number) }).is_some());
    }
    store.state.store(WELL, Ordering::Relaxed);
    until("all is done with", || writer.state().waiting == 0).await;
    assert_eq!((writer.state().written, writer.state().lost), (19, 1));
    assert_eq!(store.written(), (0..20).filter(|number| *number != 7).map(id).collect::<Vec<_>>());
}
