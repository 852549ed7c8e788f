//! T: a token is good for one success, however many ask at once, and whatever the replay memory is like.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use throughline::base::clock::{Clock as _, ManualClock, SystemClock};
use throughline::satellite::Satellite;
use throughline::store::replay::Replay;

use crate::arrival::up_to_the_token;
use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;

#[test]
fn t7_of_64_exchanges_at_once_exactly_one_succeeds() {
    let company = Company::start(Setup { workers: 4, ..Setup::default() });
    for _ in 0..3 {
        let mut browser = Browser::new();
        let back = up_to_the_token(&mut browser, &format!("{}/p", company.shop));
        let (successes, barrier) = (AtomicUsize::new(0), Barrier::new(64));
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    let mut copy = browser.clone();
                    barrier.wait();
                    let answer = copy.step(&back, None);
                    assert_eq!(answer.status, 303, "{answer:?}");
                    if answer.all("set-cookie").any(|line| line.starts_with("throughline=1.b.")) {
                        successes.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(successes.into_inner(), 1);
    }
}

#[test]
fn t7_a_full_replay_memory_refuses_tokens_and_serves_pages() {
    let clock = Arc::new(ManualClock::at(SystemClock::new().now()));
    let company = Company::echoing_with(Setup::default(), |node| {
        node.env.clock = Arc::clone(&clock) as _;
        let old = &node.satellite;
        let (siblings, records) = (Arc::clone(&old.siblings), Arc::clone(&old.records));
        node.satellite =
            Arc::new(Satellite::new(old.primary.clone(), Replay::here(1), siblings, records, old.keeper.clone(), None));
    });
    let Replay::Here(replay) = &company.node().satellite.replay else { panic!("it was replaced") };
    // Room for one in each shard, and then for none.
    for key in 0..64_u128 {
        replay.claim(key << 64, clock.uptime());
    }
    assert_eq!(replay.len(), 64);
    let mut browser = Browser::new();
    let visit = browser.navigate(&format!("{}/p?x=1", company.shop));
    assert_eq!(visit.statuses(), [302, 302, 303, 200]);
    assert_eq!(visit.page().json()["visitor"], serde_json::Value::Null);
    assert_eq!(browser.visitor(&company.shop), None);
    assert_eq!(browser.navigate(&format!("{}/", company.shop)).statuses(), [200], "and no loop");
    // It forgets by time, unaided.
    clock.advance(Duration::from_secs(24 * 3600));
    browser.expire("throughline-hop");
    browser.navigate(&format!("{}/p?x=1", company.shop));
    assert!(browser.visitor(&company.shop).is_some());
}
