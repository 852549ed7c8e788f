//! The writer before a store that refuses and fails.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use throughline::base::clock::SystemClock;
use throughline::base::id::VisitorId;
use throughline::domain::record::{Held, Outcome, Write};
use throughline::store::record_writer::{NotWritten, RecordWriter, StoreStatus};
use throughline::store::visitors::{Cursor, Sampled, SetAside, StoreFault, StoreSize, SweepBefore, Swept, VisitorStore};

use super::{A, claimed, id, revoke, seen};

/// Keeps what it was given. A batch with visitor 13 in it fails, though the store takes others.
#[derive(Default)]
struct Stubborn {
    batches: Mutex<Vec<Vec<VisitorId>>>,
    set_aside: Mutex<Vec<SetAside>>,
    /// How often 13 still fails.
    failures: AtomicU64,
}

#[async_trait]
impl VisitorStore for Stubborn {
    async fn prepare(&self) -> Result<(), StoreFault> {
        Ok(())
    }

    async fn commit(&self, writes: Vec<Arc<Write>>) -> Result<Vec<Outcome>, StoreFault> {
        // Long enough for the next batch to gather.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let is_bad = writes.iter().any(|write| write.visitor == id(13));
        if is_bad && self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.fetch_sub(u64::from(writes.len() == 1), Ordering::Relaxed);
            return Err(StoreFault::Busy("the row is locked".into()));
        }
        self.batches.lock().expect("no panic").push(writes.iter().map(|write| write.visitor).collect());
        Ok(vec![Outcome::Done; writes.len()])
    }

    async fn read(&self, _: VisitorId) -> Result<Held, StoreFault> {
        Ok(Held::Unreadable)
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

    async fn set_aside(&self, writes: Vec<SetAside>) -> Result<(), StoreFault> {
        self.set_aside.lock().expect("no panic").extend(writes);
        Ok(())
    }

    async fn count_set_aside(&self) -> Result<u64, StoreFault> {
        Ok(self.set_aside.lock().expect("no panic").len() as u64)
    }

    async fn size(&self) -> Result<StoreSize, StoreFault> {
        Ok(StoreSize { records: 0, octets: 0 })
    }
}

impl Stubborn {
    fn start(failures: u64) -> (Arc<Self>, RecordWriter) {
        let store = Arc::new(Self { failures: AtomicU64::new(failures), ..Self::default() });
        let (writer, work) = RecordWriter::new(Arc::<Self>::clone(&store), Arc::new(SystemClock::new()));
        tokio::spawn(work);
        (store, writer)
    }

    fn written(&self) -> usize {
        self.batches.lock().expect("no panic").iter().map(Vec::len).sum()
    }
}

#[tokio::test(start_paused = true)]
async fn a10_a_write_that_fails_by_itself_holds_up_no_other_and_is_tried_again() {
    let (store, writer) = Stubborn::start(3);
    let put = |number| writer.put(Arc::unwrap_or_clone(seen(id(number), A, 100))).expect("room");
    let waiting: Vec<_> = (0..500).map(put).collect();
    let asked = writer.begin(Arc::unwrap_or_clone(claimed(id(13), A, 100))).expect("room");
    assert_eq!(asked.await, Ok(Err(NotWritten::Failed)), "its sender is told, and sends it again");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((store.written(), writer.state().status), (499, StoreStatus::Ok), "all but one");
    for (number, receipt) in waiting.into_iter().enumerate() {
        assert_eq!(receipt.await, Ok(Ok(Outcome::Done)), "{number}");
    }
    assert_eq!((store.written(), writer.state().lost, writer.state().set_aside), (500, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a10_a_write_that_never_succeeds_is_set_aside_and_counted() {
    let (store, writer) = Stubborn::start(1000);
    let receipt = writer.put(Arc::unwrap_or_clone(seen(id(13), A, 100))).expect("room");
    assert_eq!(receipt.await, Ok(Err(NotWritten::Failed)));
    writer.note_unreadable(id(7));
    writer.note_unreadable(id(7));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let aside = store.set_aside.lock().expect("no panic").clone();
    let named: Vec<_> = aside.iter().map(|aside| (aside.visitor, aside.change.as_str())).collect();
    assert_eq!(named, [(id(13), "seen"), (id(7), "read")]);
    let state = writer.state();
    assert_eq!((state.set_aside, state.lost, state.waiting, state.status), (2, 1, 0, StoreStatus::Ok));
}

#[tokio::test(start_paused = true)]
async fn a10_however_many_writes_were_set_aside_the_next_is_noted() {
    let (store, writer) = Stubborn::start(0);
    for number in 0..3000 {
        writer.note_unreadable(id(number));
        if number % 500 == 0 {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(store.set_aside.lock().expect("no panic").len(), 3000);
}

#[tokio::test(start_paused = true)]
async fn a10_refusals_go_before_what_waits_and_do_not_shut_it_out() {
    let (store, writer) = Stubborn::start(0);
    let put = |number| drop(writer.put(Arc::unwrap_or_clone(seen(id(number), A, 100))).expect("room"));
    (0..2000).for_each(put);
    for number in 5000..5100 {
        drop(writer.begin(Arc::unwrap_or_clone(revoke(id(number), 200))).expect("room"));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let batches = store.batches.lock().expect("no panic").clone();
    let kinds: Vec<_> =
        batches.iter().filter(|batch| !batch.is_empty()).map(|batch| (batch[0] >= id(5000), batch.len())).collect();
    assert_eq!(kinds, [(true, 64), (false, 512), (true, 36), (false, 512), (false, 512), (false, 464)]);
}

/// Refuses every batch that has visitor 13 in it. Of single writes it takes none while it is down.
#[derive(Default)]
struct Picky {
    is_down: AtomicBool,
    single: AtomicU64,
}

#[async_trait]
impl VisitorStore for Picky {
    async fn prepare(&self) -> Result<(), StoreFault> {
        Ok(())
    }

    async fn commit(&self, writes: Vec<Arc<Write>>) -> Result<Vec<Outcome>, StoreFault> {
        self.single.fetch_add(u64::from(writes.len() == 1), Ordering::Relaxed);
        if writes.len() <= 1 && self.is_down.load(Ordering::Relaxed) {
            return Err(StoreFault::Unavailable("down".into()));
        }
        let takes = writes.iter().all(|write| write.visitor != id(13));
        if takes { Ok(vec![Outcome::Done; writes.len()]) } else { Err(StoreFault::Refused("13".into())) }
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

/// It refuses a batch, and cannot be had when its writes are tried one by one.
#[tokio::test]
async fn a2_a_store_that_refuses_and_then_fails_is_given_time() {
    let store = Arc::new(Picky { is_down: AtomicBool::new(true), ..Picky::default() });
    let (writer, work) = RecordWriter::new(Arc::<Picky>::clone(&store), Arc::new(SystemClock::new()));
    let put = |number| writer.put(Arc::unwrap_or_clone(seen(id(number), A, 100))).expect("room");
    let waiting = [put(1), put(13), put(2)];
    let asked = writer.begin(Arc::unwrap_or_clone(seen(id(3), A, 100))).expect("room");
    let work = tokio::spawn(work);
    let answer = tokio::time::timeout(Duration::from_secs(2), asked).await.expect("in time");
    assert_eq!(answer, Ok(Err(NotWritten::Unavailable)), "who waits for an answer is told");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let tried = store.single.load(Ordering::Relaxed);
    assert!((2..10).contains(&tried), "{tried} tries in half a second");
    assert_eq!(writer.state().status, StoreStatus::Down);
    store.is_down.store(false, Ordering::Relaxed);
    let [first, refused, second] = waiting;
    let wait = |receipt| tokio::time::timeout(Duration::from_secs(5), receipt);
    assert_eq!(wait(first).await, Ok(Ok(Ok(Outcome::Done))));
    assert_eq!(wait(refused).await, Ok(Ok(Err(NotWritten::SetAside))));
    assert_eq!(wait(second).await, Ok(Ok(Ok(Outcome::Done))));
    let state = writer.state();
    assert_eq!((state.status, state.lost, state.written, state.waiting), (StoreStatus::Ok, 1, 2, 0));
    work.abort();
}
