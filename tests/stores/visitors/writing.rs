//! The writer before a store that refuses and fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use throughline::base::id::VisitorId;
use throughline::domain::record::{Held, Outcome, Write};
use throughline::store::record_writer::{NotWritten, RecordWriter};
use throughline::store::visitors::{Cursor, Sampled, SetAside, StoreFault, StoreSize, SweepBefore, Swept, VisitorStore};

use super::{A, id, seen};

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
        if writes.len() == 1 {
            self.single.fetch_add(1, Ordering::Relaxed);
            if self.is_down.load(Ordering::Relaxed) {
                return Err(StoreFault::Unavailable("down".into()));
            }
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
    let (writer, work) = RecordWriter::new(Arc::<Picky>::clone(&store));
    let put = |number| writer.put(Arc::unwrap_or_clone(seen(id(number), A, 100))).expect("room");
    let waiting = [put(1), put(13), put(2)];
    let asked = writer.begin(Arc::unwrap_or_clone(seen(id(3), A, 100))).expect("room");
    let work = tokio::spawn(work);
    let answer = tokio::time::timeout(Duration::from_secs(2), asked).await.expect("in time");
    assert_eq!(answer, Ok(Err(NotWritten)), "who waits for an answer is told");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let tried = store.single.load(Ordering::Relaxed);
    assert!((2..10).contains(&tried), "{tried} tries in half a second");
    assert!(writer.state().is_down);
    store.is_down.store(false, Ordering::Relaxed);
    let [first, refused, second] = waiting;
    let wait = |receipt| tokio::time::timeout(Duration::from_secs(5), receipt);
    assert_eq!(wait(first).await, Ok(Ok(Ok(Outcome::Done))));
    assert_eq!(wait(refused).await, Ok(Ok(Err(NotWritten))));
    assert_eq!(wait(second).await, Ok(Ok(Ok(Outcome::Done))));
    let state = writer.state();
    assert_eq!((state.is_down, state.lost, state.written, state.waiting), (false, 1, 2, 0));
    work.abort();
}
