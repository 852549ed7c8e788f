//! The contract, point by point, where one node is enough.

use throughline::base::clock::UnixSeconds;
use throughline::base::origin::Origin;
use throughline::domain::consent::Basis;
use throughline::domain::first_touch::FirstTouch;
use throughline::domain::own_hosts::OwnHosts;
use throughline::domain::record::{ALIASES_MAX, AliasKind, Change, Held, Outcome, Writer};
use throughline::domain::record_batch::REVOKED_MAX;
use throughline::domain::url::PageUrl;
use throughline::store::visitors::StoreFault;

use super::{A, B, Backend, alias, aliased, claimed, commit, id, linked, record, revoke, seen, set, write};

fn version(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Properties(now) => Some(now.version),
        _ => None,
    }
}

#[tokio::test]
async fn writes_count_in_their_order() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let store = &nodes.one;
        let batch = [
            set(id(1), A, r#"{"plan": 0}"#, None),
            seen(id(1), A, 100),
            set(id(1), A, r#"{"plan": 1}"#, Some(0)),
            set(id(1), A, r#"{"plan": 2}"#, Some(1)),
            seen(id(2), A, 100),
            set(id(1), B, r#"{"plan": 3}"#, None),
            seen(id(1), B, 200),
            set(id(1), B, r#"{"plan": 4}"#, Some(2)),
        ];
        let outcomes = commit(store, &batch).await;
        assert_eq!(outcomes.iter().map(version).collect::<Vec<_>>(), [None, None, Some(1), Some(2), None, None, None, Some(3)]);
        assert_eq!((&outcomes[0], &outcomes[1], &outcomes[5]), (&Outcome::NotSeen, &Outcome::Done, &Outcome::NotSeen));
        let kept = record(store, id(1)).await;
        assert_eq!((kept.version, kept.properties.get("plan")), (3, Some(&4.into())));
        assert_eq!(kept.sites.keys().collect::<Vec<_>>(), [A, B]);
        assert_eq!(store.read(id(3)).await, Ok(Held::Nothing));
        assert_eq!(commit(store, &[]).await, []);
    }
}

/// A rule of the database's own refuses one record of the batch.
#[tokio::test]
async fn a_batch_is_applied_whole_or_not_at_all() {
    for backend in Backend::SHARED {
        let nodes = backend.open().await;
        commit(&nodes.one, &[seen(id(2), A, 50)]).await;
        let trigger = "CREATE TRIGGER never BEFORE INSERT ON visitor WHEN new.seen = 13 BEGIN SELECT raise(ABORT, 'no'); END";
        nodes.behind_the_back(trigger, "ALTER TABLE visitor ADD CHECK (seen <> 13)");
        let batch = [seen(id(1), A, 100), seen(id(2), A, 100), revoke(id(4), 100), seen(id(3), A, 13)];
        let fault = nodes.one.commit(batch.to_vec()).await;
        assert!(matches!(fault, Err(StoreFault::Refused(_))), "{fault:?}");
        assert_eq!(nodes.two.read(id(1)).await, Ok(Held::Nothing));
        assert_eq!(nodes.two.read(id(4)).await, Ok(Held::Nothing));
        assert_eq!(record(&nodes.two, id(2)).await.last_seen().0, 50);
        assert_eq!(commit(&nodes.one, &batch[..3]).await, vec![Outcome::Done; 3]);
        assert_eq!(record(&nodes.two, id(2)).await.last_seen().0, 100);
    }
}

#[tokio::test]
async fn a_change_of_properties_needs_the_site_and_the_version() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let store = &nodes.one;
        commit(store, &[seen(id(1), A, 100)]).await;
        let first = commit(store, &[set(id(1), A, r#"{"a": 1}"#, Some(0))]).await;
        let Outcome::Properties(held) = &first[0] else { panic!("{first:?}") };
        let second = commit(store, &[set(id(1), A, r#"{"a": 2}"#, Some(0)), set(id(1), B, r#"{"a": 3}"#, None)]).await;
        assert_eq!(second, [Outcome::Conflict(held.clone()), Outcome::NotSeen]);
        let large =
            format!("{{{}}}", (0..60).map(|n| format!("\"k{n}\": \"{}\"", "x".repeat(400))).collect::<Vec<_>>().join(","));
        let third = commit(store, &[set(id(1), A, &large, None)]).await;
        assert!(matches!(third[0], Outcome::Refused(_)), "{third:?}");
        assert_eq!(record(store, id(1)).await.versioned(), *held);
    }
}

/// What a store does not know whether it did, it may do again.
#[tokio::test]
async fn a_batch_that_is_applied_again_changes_nothing() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let batch = [
            seen(id(1), A, 100),
            seen(id(2), B, 90),
            alias(id(1), id(2)),
            set(id(1), A, r#"{"a": 1}"#, Some(0)),
            seen(id(3), A, 100),
            revoke(id(3), 110),
        ];
        commit(&nodes.one, &batch).await;
        let before = (record(&nodes.one, id(1)).await, record(&nodes.one, id(2)).await, nodes.one.revocations(0, 9).await);
        let again = commit(&nodes.two, &batch).await;
        let after = (record(&nodes.one, id(1)).await, record(&nodes.one, id(2)).await, nodes.one.revocations(0, 9).await);
        assert_eq!(before, after);
        assert!(matches!(&again[3], Outcome::Conflict(held) if held.version == 1), "{again:?}");
        assert_eq!(again[4..], [Outcome::Revoked, Outcome::Revoked]);
    }
}

#[tokio::test]
async fn c2_a_revoked_id_never_comes_back() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let on_own_word = |change| write(id(1), Writer::Site(A.into()), 300, change);
        let batch = [seen(id(1), A, 100), set(id(1), A, r#"{"a": 1}"#, None), revoke(id(1), 200), seen(id(1), A, 201)];
        assert_eq!(commit(&nodes.one, &batch).await[2..], [Outcome::Done, Outcome::Revoked]);
        assert_eq!(nodes.two.read(id(1)).await, Ok(Held::Revoked));
        let later = [
            seen(id(1), B, 300),
            set(id(1), A, r#"{"a": 1}"#, None),
            on_own_word(Change::Revoke),
            on_own_word(Change::Alias { other: id(2), kind: AliasKind::SameBrowser }),
            seen(id(2), A, 300),
            on_own_word(Change::Alias { other: id(3), kind: AliasKind::Provisional }),
            seen(id(3), A, 300),
            // The broker has seen this one, so it is no provisional ID.
            on_own_word(Change::Alias { other: id(2), kind: AliasKind::Provisional }),
            seen(id(2), A, 301),
        ];
        let outcomes = commit(&nodes.two, &later).await;
        assert_eq!(outcomes[..4], vec![Outcome::Revoked; 4]);
        assert_eq!(outcomes[4], Outcome::Done);
        // A refusal overtakes the alias of its provisional ID, which ends all the same (rule A10).
        assert_eq!(outcomes[5..], [Outcome::Revoked, Outcome::Revoked, Outcome::Revoked, Outcome::Done]);
        assert_eq!(nodes.one.read(id(1)).await, Ok(Held::Revoked));
        // One that was never seen can be revoked as well.
        assert_eq!(commit(&nodes.one, &[revoke(id(9), 300)]).await, [Outcome::Done]);
        assert_eq!(commit(&nodes.two, &[seen(id(9), A, 301)]).await, [Outcome::Revoked]);
        let numbers = nodes.two.revocations(0, 10).await.expect("revocations");
        assert_eq!(numbers.iter().map(|(_, visitor)| *visitor).collect::<Vec<_>>(), [id(1), id(3), id(9)]);
    }
}

/// Rule A10: one batch revokes a bounded number of IDs, and the next goes on.
#[tokio::test]
async fn a10_a_batch_of_refusals_is_taken_in_bounded_pieces() {
    const VISITORS: u32 = 100;
    const ALIASES: u32 = 20;
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let provisional = |visitor: u32| (1..=ALIASES).map(move |n| id(visitor * 100 + n));
        for visitor in 1..=VISITORS {
            let aliases = provisional(visitor).map(|other| alias(id(visitor * 100), other));
            let batch: Vec<_> = [seen(id(visitor * 100), A, 100)].into_iter().chain(aliases).collect();
            assert_eq!(commit(&nodes.one, &batch).await.len(), batch.len());
        }
        let mut refusals: Vec<_> = (1..=VISITORS).map(|visitor| revoke(id(visitor * 100), 200)).collect();
        let mut batches = 0;
        while !refusals.is_empty() {
            let outcomes = commit(&nodes.two, &refusals).await;
            let ids = outcomes.len() as u32 * (1 + ALIASES);
            assert!(!outcomes.is_empty() && ids as usize <= REVOKED_MAX + 64, "{ids} IDs in one transaction");
            assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Done));
            refusals.drain(..outcomes.len());
            batches += 1;
        }
        // 24 refusals revoke 504 IDs.
        assert_eq!(batches, 5);
        for visitor in (1..=VISITORS).flat_map(|visitor| [id(visitor * 100)].into_iter().chain(provisional(visitor))) {
            assert_eq!(nodes.one.read(visitor).await, Ok(Held::Revoked));
        }
    }
}

/// Rule A13: whichever node writes first, the record has its first touch and the time of its minting.
#[tokio::test]
async fn a13_a_first_touch_that_comes_late_fills_the_gap() {
    let origin = Origin::parse(A).expect("an origin");
    let touch = |at: u64, path: &str| {
        let page = PageUrl::on(&origin, path).expect("a page");
        FirstTouch::of(&page, Some("https://news.example/"), &OwnHosts::new(std::iter::once(&origin)), UnixSeconds(at))
    };
    let first = |created: u64, at: u64, first_touch| {
        let change = Change::Seen { basis: Basis::Implied, created: UnixSeconds(created), first_touch };
        write(id(1), Writer::Broker(A.into()), at, change)
    };
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        commit(&nodes.one, &[claimed(id(1), B, 300)]).await;
        commit(&nodes.two, &[first(290, 290, Some(touch(290, "/first")))]).await;
        let filled = record(&nodes.one, id(1)).await;
        assert_eq!(filled.created, UnixSeconds(290));
        assert_eq!(filled.first_touch, Some(touch(290, "/first")));
        commit(&nodes.one, &[first(400, 400, Some(touch(400, "/second")))]).await;
        let kept = record(&nodes.two, id(1)).await;
        assert_eq!((kept.created, &kept.first_touch), (filled.created, &filled.first_touch), "it is replaced by none");
    }
}

/// The visitor 1 has three provisional IDs: 4 was never seen, 5 is on the word of the site A alone, and 6 is revoked.
#[tokio::test]
async fn c2_l9_revoking_ends_provisional_ids_and_no_other_alias() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let known: Vec<_> = (1..=3).map(|number| seen(id(number), A, 100)).collect();
        commit(&nodes.one, &known).await;
        commit(&nodes.one, &[claimed(id(5), A, 100), revoke(id(6), 100), claimed(id(7), B, 100), seen(id(8), B, 100)]).await;
        let aliases = [
            aliased(id(1), id(2), AliasKind::Link),
            aliased(id(1), id(3), AliasKind::SameBrowser),
            alias(id(1), id(4)),
            alias(id(1), id(5)),
            // Whatever A says: these are no provisional IDs of A.
            alias(id(1), id(7)),
            alias(id(1), id(8)),
            alias(id(2), id(1)),
            alias(id(1), id(1)),
            // A provisional ID has no aliases of its own.
            alias(id(5), id(9)),
        ];
        assert_eq!(commit(&nodes.one, &aliases).await, vec![Outcome::Done; 9]);
        assert_eq!(commit(&nodes.two, &[revoke(id(1), 200)]).await, [Outcome::Done]);
        for (number, is_over) in [(1, true), (2, false), (3, false), (4, true), (5, true), (7, false), (8, false), (9, false)] {
            assert_eq!(nodes.one.read(id(number)).await == Ok(Held::Revoked), is_over, "{number}");
        }
        assert_eq!(nodes.one.revocations(0, 10).await.expect("revocations").len(), 4);
    }
}

/// In a chain and in a star of links, the end of one ID ends no other.
#[tokio::test]
async fn l9_links_tie_no_ids_together() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let mut writes: Vec<_> = (1..=20).map(|number| seen(id(number), A, 100)).collect();
        for number in 1..20 {
            writes.push(aliased(id(number), id(number + 1), AliasKind::Link));
            writes.push(aliased(id(number + 1), id(number), AliasKind::Link));
            writes.push(aliased(id(20), id(number), AliasKind::Link));
        }
        commit(&nodes.one, &writes).await;
        assert_eq!(commit(&nodes.two, &[revoke(id(10), 200), revoke(id(20), 200)]).await, vec![Outcome::Done; 2]);
        let revoked = nodes.one.revocations(0, 100).await.expect("revocations");
        assert_eq!(revoked.into_iter().map(|(_, visitor)| visitor).collect::<Vec<_>>(), [id(10), id(20)]);
        // And an alias by a link to an ID that has ended ends nothing.
        assert_eq!(commit(&nodes.two, &[aliased(id(9), id(10), AliasKind::Link)]).await, [Outcome::Revoked]);
        assert_eq!(commit(&nodes.two, &[aliased(id(9), id(10), AliasKind::SameBrowser)]).await, [Outcome::Revoked]);
        record(&nodes.two, id(9)).await;
    }
}

/// Aliases that an older version noted do not say by what: they are evidence.
#[tokio::test]
async fn l9_an_alias_of_an_older_version_is_evidence() {
    for backend in Backend::SHARED {
        let nodes = backend.open().await;
        commit(&nodes.one, &[seen(id(1), A, 100), seen(id(2), A, 100)]).await;
        let old = |other| {
            format!(
                r#"{{"created":100,"sites":{{"{A}":{{"first":100,"last":100,"consent":{{}}}}}},"aliases":{{"{other}":{{"site":"{A}","at":100}}}}}}"#
            )
        };
        for (visitor, other) in [(id(1), id(2)), (id(2), id(3))] {
            let old = old(other);
            let hex: String = visitor.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            nodes.behind_the_back(
                &format!("UPDATE visitor SET record = '{old}' WHERE id = x'{hex}'"),
                &format!("UPDATE visitor SET record = '{old}' WHERE id = '{visitor}'"),
            );
        }
        assert_eq!(record(&nodes.two, id(1)).await.aliases[&id(2)].kind, None);
        commit(&nodes.two, &[revoke(id(1), 200)]).await;
        assert_eq!(nodes.one.revocations(0, 10).await.expect("revocations").len(), 1);
        // Once the satellite reports it again, with what is certain, it counts.
        commit(&nodes.two, &[alias(id(2), id(3)), revoke(id(2), 300)]).await;
        assert_eq!(nodes.one.read(id(3)).await, Ok(Held::Revoked));
    }
}

/// Who turns out to be a visitor that asked to be forgotten, under a provisional ID, is forgotten.
#[tokio::test]
async fn c2_a_visitor_whose_provisional_id_is_revoked_is_revoked() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let batch = [seen(id(2), A, 100), seen(id(3), B, 100), alias(id(2), id(4)), revoke(id(1), 150)];
        commit(&nodes.one, &batch).await;
        // A site that has not seen a visitor cannot end its ID in this way either.
        let kind = AliasKind::Provisional;
        let foreign = write(id(3), Writer::Site(A.into()), 160, Change::Alias { other: id(1), kind });
        assert_eq!(commit(&nodes.two, &[foreign]).await, [Outcome::NotSeen]);
        assert_eq!(record(&nodes.two, id(3)).await.aliases.len(), 0);
        assert_eq!(commit(&nodes.two, &[alias(id(2), id(1))]).await, [Outcome::Revoked]);
        assert_eq!(nodes.one.read(id(2)).await, Ok(Held::Revoked));
        assert_eq!(nodes.one.read(id(4)).await, Ok(Held::Revoked));
    }
}

/// A link adds its destination only where the broker has seen the link's own site.
#[tokio::test]
async fn l10_a_link_makes_no_record_and_needs_its_site_in_one() {
    const C: &str = "https://c.example";
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let store = &nodes.one;
        assert_eq!(commit(store, &[linked(id(1), A, B, 100)]).await, [Outcome::NotSeen]);
        assert_eq!(store.read(id(1)).await, Ok(Held::Nothing));
        assert_eq!(commit(store, &[seen(id(1), C, 100), linked(id(1), A, B, 100)]).await[1], Outcome::NotSeen);
        assert_eq!(record(store, id(1)).await.sites.keys().collect::<Vec<_>>(), [C]);
        // The site's own word is not the broker's sight, nor is what stands on it.
        assert_eq!(commit(store, &[claimed(id(2), A, 100), linked(id(2), A, B, 100)]).await, [Outcome::Done, Outcome::NotSeen]);
        assert_eq!(commit(store, &[set(id(2), B, r#"{"a": 1}"#, None)]).await, [Outcome::NotSeen]);
        assert!(record(store, id(2)).await.sites[A].on_own_word);
        // Once the broker has seen it there, the link counts, and those from its destination.
        assert_eq!(
            commit(store, &[seen(id(2), A, 101), linked(id(2), A, B, 102), linked(id(2), B, C, 103)]).await,
            vec![Outcome::Done; 3]
        );
        assert!(record(store, id(2)).await.sites.values().all(|seen| !seen.on_own_word));
    }
}

/// Evidence must not keep out what is certain.
#[tokio::test]
async fn l9_a_provisional_id_finds_room_among_evidence() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let store = &nodes.one;
        let most = u32::try_from(ALIASES_MAX).expect("a small number");
        let evidence = (0..most).map(|number| aliased(id(1), id(10 + number), AliasKind::Link));
        commit(store, &[seen(id(1), A, 100)].into_iter().chain(evidence).collect::<Vec<_>>()).await;
        assert_eq!(commit(store, &[aliased(id(1), id(5), AliasKind::Link)]).await, [Outcome::TooManyAliases]);
        assert_eq!(commit(store, &[alias(id(1), id(5))]).await, [Outcome::Done]);
        let aliases = record(store, id(1)).await.aliases;
        assert_eq!((aliases.len(), aliases[&id(5)].kind), (ALIASES_MAX, Some(AliasKind::Provisional)));
    }
}

#[tokio::test]
async fn a_record_takes_only_so_many_aliases() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        let store = &nodes.one;
        let most = u32::try_from(ALIASES_MAX).expect("a small number");
        let aliases: Vec<_> = (0..=most).map(|number| alias(id(1), id(10 + number))).collect();
        let batch: Vec<_> = [seen(id(1), A, 100)].into_iter().chain(aliases.iter().cloned()).collect();
        let outcomes = commit(store, &batch).await;
        assert!(outcomes[..=ALIASES_MAX].iter().all(|outcome| *outcome == Outcome::Done));
        assert_eq!(outcomes[ALIASES_MAX + 1], Outcome::TooManyAliases);
        assert_eq!(commit(store, &aliases[..1]).await, [Outcome::Done], "one that is there already");
        assert_eq!(record(store, id(1)).await.aliases.len(), ALIASES_MAX);
    }
}

#[tokio::test]
async fn revocations_are_read_by_a_cursor() {
    for backend in Backend::ALL {
        let nodes = backend.open().await;
        assert_eq!(nodes.one.revocations(0, 10).await, Ok(vec![]));
        // Their order is that of the writes, not that of the IDs.
        let order = [7, 3, 9, 1, 5, 8];
        let writes: Vec<_> = order.iter().map(|number| revoke(id(*number), 100)).collect();
        commit(&nodes.one, &writes[..4]).await;
        commit(&nodes.two, &writes[4..]).await;
        let mut found = Vec::new();
        let mut cursor = 0;
        loop {
            let page = nodes.two.revocations(cursor, 4).await.expect("revocations");
            let Some((last, _)) = page.last() else { break };
            assert!(page.len() <= 4 && page.is_sorted_by(|a, b| a.0 < b.0) && page[0].0 > cursor, "{page:?}");
            cursor = *last;
            found.extend(page.into_iter().map(|(_, visitor)| visitor));
        }
        assert_eq!(found, order.map(id));
        // A number that was never given is of another store, which was there before a restore.
        let again = nodes.one.revocations(u64::MAX, usize::MAX).await.expect("revocations");
        if backend != Backend::Postgres {
            assert_eq!(again.into_iter().map(|(_, visitor)| visitor).collect::<Vec<_>>(), order.map(id));
        }
    }
}
