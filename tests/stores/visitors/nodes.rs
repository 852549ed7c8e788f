//! Many nodes on one database: their batches count as if they came one after the other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use throughline::base::id::VisitorId;
use throughline::domain::record::{Held, Outcome};
use throughline::store::visitors::VisitorStore;
use tokio::task::JoinSet;

use super::{A, Backend, alias, claimed, commit, commit_at_last, id, record, revoke, seen, set};

/// In every round each of 64 tasks, half of them on either node, expects the same version: one of them is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_changes_of_one_version_one_is_made() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        commit(&nodes.one, &[seen(id(1), A, 100)]).await;
        for round in 0..4 {
            let mut tasks = JoinSet::new();
            for task in 0..64 {
                let store = Arc::clone(if task % 2 == 0 { &nodes.one } else { &nodes.two });
                let change = set(id(1), A, &format!(r#"{{"task": {task}, "round": {round}}}"#), Some(round));
                tasks.spawn(async move { commit_at_last(&store, &[change]).await.remove(0) });
            }
            let outcomes = tasks.join_all().await;
            let made: Vec<_> = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Properties(_))).collect();
            let others = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Conflict(now) if now.version == round + 1));
            assert_eq!((made.len(), others.count()), (1, 63), "round {round}");
            assert_eq!(*made[0], Outcome::Properties(record(&nodes.two, id(1)).await.versioned()));
        }
    }
}

/// Nothing is there yet that could be locked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_first_sightings_of_one_visitor_make_one_record() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        for round in 0..60 {
            let sites: Vec<_> = (0..6).map(|n| format!("https://site-{n}.example")).collect();
            let mut tasks = JoinSet::new();
            for (n, site) in sites.iter().enumerate() {
                let store = Arc::clone(if n % 2 == 0 { &nodes.one } else { &nodes.two });
                // Others in the batch, so that the insertions overlap.
                let batch =
                    [seen(id(round * 10 + 1), site, 100), seen(id(round * 10), site, 100), seen(id(round * 10 + 2), site, 100)];
                tasks.spawn(async move { commit_at_last(&store, &batch).await });
            }
            assert!(tasks.join_all().await.iter().flatten().all(|outcome| *outcome == Outcome::Done));
            for n in 0..3 {
                let kept = record(&nodes.one, id(round * 10 + n)).await;
                assert_eq!(kept.sites.keys().collect::<BTreeSet<_>>(), sites.iter().collect());
            }
        }
    }
}

/// Batches that overlap in every order: none is lost, and none fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_batches_lose_nothing() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let mut tasks = JoinSet::new();
        for task in 0..8_u32 {
            let store = Arc::clone(if task % 2 == 0 { &nodes.one } else { &nodes.two });
            tasks.spawn(async move {
                for round in 0..20_u32 {
                    let site = format!("https://site-{task}-{round}.example");
                    // Every task goes through the same visitors in a way of its own.
                    let visitors = (0..20).map(|n| id((n * (2 * task + 1) + round * 7) % 41));
                    let batch: Vec<_> = visitors.map(|visitor| seen(visitor, &site, 100)).collect();
                    commit_at_last(&store, &batch).await;
                }
            });
        }
        tasks.join_all().await;
        let mut sightings = 0;
        for n in 0..41 {
            sightings += record(&nodes.one, id(n)).await.sites.len();
        }
        assert_eq!(sightings, 8 * 20 * 20);
    }
}

/// Reads on from its cursor until it is told that no more will come.
async fn follow(store: Arc<dyn VisitorStore>, is_over: Arc<AtomicBool>) -> Vec<VisitorId> {
    let (mut found, mut cursor) = (Vec::new(), 0);
    loop {
        let was_over = is_over.load(Ordering::Acquire);
        let page = store.revocations(cursor, 50).await.expect("revocations");
        if let Some((last, _)) = page.last() {
            cursor = *last;
        } else if was_over {
            return found;
        }
        found.extend(page.into_iter().map(|(_, visitor)| visitor));
    }
}

/// Rule C2: who asks for the revocations after the last that it has seen misses none, however many nodes revoke at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c2_a_cursor_misses_no_revocation() {
    const TASKS: u32 = 8;
    const EACH: u32 = 60;
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let is_over = Arc::new(AtomicBool::new(false));
        let followers: Vec<_> = [&nodes.one, &nodes.two]
            .map(|store| tokio::spawn(follow(Arc::clone(store), Arc::clone(&is_over))))
            .into_iter()
            .collect();
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let store = Arc::clone(if task % 2 == 0 { &nodes.one } else { &nodes.two });
            tasks.spawn(async move {
                for n in 0..EACH {
                    // Some revoke by the way of an alias, which shows only under way.
                    let number = task * EACH + n;
                    let batch = match n % 3 {
                        0 => vec![seen(id(number), A, 100), revoke(id(number), 200)],
                        1 => vec![revoke(id(number), 200), seen(id(10_000 + number), A, 100)],
                        _ => vec![seen(id(number), A, 100), alias(id(number), id(number - 1))],
                    };
                    commit_at_last(&store, &batch).await;
                }
            });
        }
        tasks.join_all().await;
        is_over.store(true, Ordering::Release);
        let expected: BTreeSet<_> = (0..TASKS * EACH).map(id).collect();
        for follower in followers {
            let found = tokio::time::timeout(Duration::from_secs(20), follower).await.expect("an end").expect("a follower");
            assert_eq!(found.len(), expected.len(), "none twice, none missed");
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }
}

/// Rule C2: one node sees visitors for the first time, and gives them aliases, while another revokes them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c2_nothing_is_written_to_an_id_that_is_being_revoked() {
    for backend in Backend::SHARED {
        let nodes = backend.open().await;
        for round in 0..60 {
            let (visitor, other) = (id(round * 2), id(round * 2 + 1));
            let (one, two) = (Arc::clone(&nodes.one), Arc::clone(&nodes.two));
            let sees = tokio::spawn(async move {
                commit_at_last(&one, &[seen(visitor, A, 100), claimed(other, A, 100), alias(visitor, other)]).await
            });
            let revokes = tokio::spawn(async move { commit_at_last(&two, &[revoke(visitor, 100)]).await });
            sees.await.expect("a sighting");
            revokes.await.expect("a revocation");
            // Whichever was first, the provisional ID goes with the visitor's.
            for ended in [visitor, other] {
                assert_eq!(nodes.one.read(ended).await, Ok(Held::Revoked));
            }
        }
        let both = "SELECT count(*) FROM visitor JOIN revocation ON visitor.id = revocation.id";
        assert_eq!(nodes.behind_the_back(both, both), "0");
    }
}
