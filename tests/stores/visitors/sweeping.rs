//! What is too old goes, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use throughline::base::clock::UnixSeconds;
use throughline::domain::record::Held;
use throughline::store::visitors::{StoreFault, SweepBefore, VisitorStore};

use super::{A, Backend, commit, commit_at_last, id, record, revoke, seen};

const fn before(seen: u64, revoked: u64) -> SweepBefore {
    SweepBefore { seen: UnixSeconds(seen), revoked: UnixSeconds(revoked) }
}

/// A whole sweep: how many were deleted, in how many slices. A locked file is tried again.
async fn sweep(store: &Arc<dyn VisitorStore>, before: SweepBefore, slice: usize) -> (u64, usize) {
    let (mut from, mut deleted, mut slices) = (None, 0, 0);
    loop {
        let swept = match store.sweep(from, before, slice).await {
            Ok(swept) => swept,
            Err(StoreFault::Unavailable(_)) => continue,
            Err(fault) => panic!("{fault}"),
        };
        slices += 1;
        deleted += swept.deleted;
        assert!(swept.next.is_none() || swept.next > from, "it gets on");
        from = swept.next;
        if from.is_none() {
            return (deleted, slices);
        }
    }
}

#[tokio::test]
async fn a_sweep_deletes_what_is_too_old_and_nothing_else() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        assert_eq!(sweep(&nodes.one, before(1000, 1000), 10).await, (0, 1), "an empty store");
        // Every third is too old; number 30 was seen just in time.
        let writes: Vec<_> = (0..100).map(|n| seen(id(n), A, if n % 3 == 0 && n != 30 { 499 } else { 500 })).collect();
        commit(&nodes.one, &writes).await;
        commit(&nodes.one, &[revoke(id(200), 399), revoke(id(201), 400)]).await;
        assert_eq!(sweep(&nodes.two, before(500, 400), 7).await, (33, 100 / 7 + 2));
        for n in 0..100 {
            let held = nodes.one.read(id(n)).await.expect("a read");
            assert_eq!(held == Held::Nothing, n % 3 == 0 && n != 30, "{n}: {held:?}");
        }
        assert_eq!(nodes.one.read(id(200)).await, Ok(Held::Nothing), "no cookie can hold it any more");
        assert_eq!(nodes.one.read(id(201)).await, Ok(Held::Revoked));
        // The number of one that went is not given again: a cursor stands on it.
        let (last, _) = nodes.one.revocations(0, 10).await.expect("revocations")[0];
        sweep(&nodes.one, before(0, 1000), 1000).await;
        commit(&nodes.one, &[revoke(id(202), 2000)]).await;
        assert!(nodes.one.revocations(0, 10).await.expect("revocations")[0].0 > last);
    }
}

#[tokio::test]
async fn a_sweep_deletes_a_record_that_is_revoked() {
    for backend in Backend::SHARED {
        let nodes = backend.open().await;
        commit(&nodes.one, &[seen(id(1), A, 500), seen(id(2), A, 500)]).await;
        nodes.behind_the_back(
            "INSERT INTO revocation (id, at) SELECT id, 500 FROM visitor ORDER BY id LIMIT 1",
            "INSERT INTO revocation (id, at) SELECT id, 500 FROM visitor ORDER BY id LIMIT 1",
        );
        assert_eq!(nodes.one.read(id(1)).await, Ok(Held::Revoked));
        assert_eq!(sweep(&nodes.one, before(0, 0), 10).await.0, 1);
        assert_eq!(nodes.two.read(id(1)).await, Ok(Held::Revoked));
        assert_eq!(record(&nodes.two, id(2)).await.last_seen().0, 500);
    }
}

/// All records are old, and writers see every visitor again while sweeps run: who was seen again is there afterwards.
#[tokio::test]
async fn a_sweep_deletes_nobody_who_is_seen_meanwhile() {
    const VISITORS: u32 = 400;
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let old: Vec<_> = (0..2 * VISITORS).map(|n| seen(id(n), A, 100)).collect();
        commit(&nodes.one, &old).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let (store, over) = (Arc::clone(&nodes.two), Arc::clone(&is_over));
        let sweeper = tokio::spawn(async move {
            let mut deleted = 0;
            while !over.load(Ordering::Relaxed) {
                deleted += sweep(&store, before(500, 0), 37).await.0;
            }
            deleted
        });
        // In steps that begin in the middle, so that the sweep is met from both sides.
        for n in (0..VISITORS).map(|n| (n + VISITORS / 2) % VISITORS).collect::<Vec<_>>().chunks(5) {
            let again: Vec<_> = n.iter().map(|n| seen(id(2 * n), A, 1000)).collect();
            commit_at_last(&nodes.one, &again).await;
        }
        is_over.store(true, Ordering::Relaxed);
        let deleted = sweeper.await.expect("the sweeper") + sweep(&nodes.two, before(500, 0), 1000).await.0;
        assert!(deleted >= u64::from(VISITORS), "{deleted}");
        for n in 0..VISITORS {
            assert_eq!(record(&nodes.one, id(2 * n)).await.last_seen().0, 1000);
            assert_eq!(nodes.one.read(id(2 * n + 1)).await, Ok(Held::Nothing));
        }
    }
}
