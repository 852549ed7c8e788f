//! What is put in comes out: awkward values, large ones, and records that nobody can read.

use std::sync::Arc;

use serde_json::{Value, json};
use throughline::domain::record::{Held, Outcome, Write};

use super::{A, Backend, alias, commit, id, record, revoke, seen, set};

#[tokio::test]
async fn awkward_values_come_back_as_they_were() {
    let values = [
        json!("\u{2028}\u{2029}\u{feff}\u{200d}"),
        json!("👩‍👩‍👧‍👦 🏳️‍🌈 e\u{301} \u{10ffff} \u{1f} \u{7f}"),
        json!("'; DROP TABLE visitor; -- \\ \\u0000 {1,2} $1 \"NULL\""),
        json!(0.1),
        json!(1e300),
        json!(5e-324),
        json!(-0.0),
        json!(1.797_693_134_862_315_7e308),
        json!(0.30000000000000004),
        json!(9_007_199_254_740_993_i64),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1.0),
        json!(null),
        json!({"a": [1, {"b": null}], "": "empty key"}),
        json!([]),
    ];
    let all: Value = values.iter().enumerate().map(|(n, value)| (format!("k{n}\u{2028}"), value.clone())).collect();
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let outcomes = commit(&nodes.one, &[seen(id(1), A, 100), set(id(1), A, &all.to_string(), None)]).await;
        assert!(matches!(outcomes[1], Outcome::Properties(_)), "{outcomes:?}");
        let kept = record(&nodes.two, id(1)).await;
        for (n, value) in values.iter().enumerate() {
            let found = kept.properties.get(&format!("k{n}\u{2028}")).expect("a property");
            assert_eq!(found.to_string(), value.to_string());
        }
        // And once more through the store, from what it read.
        commit(&nodes.two, &[seen(id(1), "https://\u{2028}.example", 100)]).await;
        assert_eq!(record(&nodes.one, id(1)).await.properties, kept.properties);
    }
}

#[tokio::test]
async fn large_records_come_back_as_they_were() {
    let large: Value = (0..15).map(|n| (format!("k{n}"), json!("\u{2028}".repeat(340)))).collect();
    let times = [0, 1, u64::from(u32::MAX), i64::MAX as u64];
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let mut batch: Vec<Arc<Write>> = Vec::new();
        for visitor in 0..200 {
            batch.extend((0..100).map(|n| seen(id(visitor), &format!("https://site-{n}.example"), times[n % 3])));
            batch.push(set(id(visitor), "https://site-0.example", &large.to_string(), None));
        }
        batch.push(seen(id(999), A, times[3]));
        let outcomes = commit(&nodes.one, &batch).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done | Outcome::Properties(_))));
        for visitor in [0, 77, 199] {
            let kept = record(&nodes.two, id(visitor)).await;
            assert_eq!((kept.sites.len(), kept.properties.len()), (100, 15));
            assert_eq!(kept.properties.get("k14"), large.get("k14"));
        }
        assert_eq!(record(&nodes.two, id(999)).await.last_seen().0, times[3]);
        let size = nodes.two.size().await.expect("a size");
        assert!(size.records == 201 && size.octets > 100_000, "{size:?}");
    }
}

#[tokio::test]
async fn a_record_that_nobody_can_read_holds_up_no_other() {
    for backend in Backend::SHARED {
        let nodes = backend.open().await;
        commit(&nodes.one, &[seen(id(1), A, 500), seen(id(2), A, 500), seen(id(3), A, 500)]).await;
        let spoil = "UPDATE visitor SET record = '{\"created\": \"tomorrow\"}' WHERE id = ";
        let (hex, text) = (id(1).to_string().replace('-', ""), id(1).to_string());
        nodes.behind_the_back(&format!("{spoil} x'{hex}'"), &format!("{spoil} '{text}'"));
        assert_eq!(nodes.one.read(id(1)).await, Ok(Held::Unreadable));
        let batch = [seen(id(1), A, 600), set(id(1), A, "{}", None), alias(id(2), id(1)), seen(id(2), A, 600)];
        let expected = [Outcome::Unreadable, Outcome::Unreadable, Outcome::Done, Outcome::Done];
        assert_eq!(commit(&nodes.two, &batch).await, expected);
        assert_eq!(record(&nodes.one, id(2)).await.last_seen().0, 600);
        // It can be erased like any other, but not by an alias: nothing says that it is a provisional ID.
        assert_eq!(commit(&nodes.one, &[revoke(id(2), 700)]).await, [Outcome::Done]);
        assert_eq!(nodes.two.read(id(1)).await, Ok(Held::Unreadable));
        assert_eq!(commit(&nodes.one, &[revoke(id(1), 700)]).await, [Outcome::Done]);
        assert_eq!(nodes.two.read(id(1)).await, Ok(Held::Revoked));
        assert_eq!(record(&nodes.two, id(3)).await.last_seen().0, 500);
    }
}
