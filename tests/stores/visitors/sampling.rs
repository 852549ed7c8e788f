//! Records are read in slices, in the order of their IDs, each once.

use super::{A, B, Backend, Nodes, commit, id, revoke, seen};

/// Everything from the beginning, in slices of `limit`: when each record was created, and how many slices it took.
async fn all(nodes: &Nodes, limit: usize) -> (Vec<u64>, usize) {
    let (mut from, mut created, mut slices) = (None, Vec::new(), 0);
    loop {
        let sampled = nodes.two.sample(from, limit).await.expect("a sample");
        assert!(sampled.records.len() <= limit);
        assert!(sampled.next.is_none() || sampled.next > from, "it gets on");
        created.extend(sampled.records.iter().map(|record| record.created.0));
        slices += 1;
        from = sampled.next;
        if from.is_none() {
            return (created, slices);
        }
    }
}

#[tokio::test]
async fn a_sample_is_the_first_records_in_the_order_of_their_ids() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        assert_eq!(all(&nodes, 10).await, (Vec::new(), 1), "an empty store");
        // Written in another order than that of their IDs; each was created at the time of its number.
        let writes: Vec<_> = (0..100).map(|n| n * 37 % 100).map(|n| seen(id(n), A, u64::from(n) + 1000)).collect();
        commit(&nodes.one, &writes).await;
        commit(&nodes.one, &[seen(id(3), B, 5000)]).await;
        let expected: Vec<u64> = (1000..1100).collect();
        assert_eq!(all(&nodes, 7).await, (expected.clone(), 100 / 7 + 1));
        assert_eq!(all(&nodes, 1000).await, (expected.clone(), 1));
        assert_eq!(all(&nodes, 50).await.0, expected, "where a slice ends with the last");
        let first = nodes.two.sample(None, 4).await.expect("a sample");
        assert_eq!(first.next, Some(id(3)));
        assert_eq!(first.records[3].sites.keys().collect::<Vec<_>>(), [A, B]);
        assert_eq!(nodes.two.sample(Some(id(99)), 5).await.expect("a sample").next, None);
    }
}

#[tokio::test]
async fn c2_a_sample_holds_nobody_who_asked_to_be_forgotten_and_passes_over_what_it_cannot_read() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let writes: Vec<_> = (0..10).map(|n| seen(id(n), A, u64::from(n) + 1000)).collect();
        commit(&nodes.one, &writes).await;
        commit(&nodes.one, &[revoke(id(4), 2000)]).await;
        let mut expected: Vec<u64> = (1000..1010).filter(|created| *created != 1004).collect();
        if backend != Backend::Memory {
            let broken = format!(
                "'{{}}' WHERE id = {}",
                if nodes.url.is_empty() {
                    "x'00000007000040008000000000000000'"
                } else {
                    "'00000007-0000-4000-8000-000000000000'"
                }
            );
            nodes.behind_the_back(
                &format!("UPDATE visitor SET record = {broken} RETURNING 1"),
                &format!("UPDATE visitor SET record = {broken}"),
            );
            expected.retain(|created| *created != 1007);
        }
        assert_eq!(all(&nodes, 3).await.0, expected);
    }
}
