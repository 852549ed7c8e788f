//! K1 under load: keys are rotated while hops run, and no token is refused.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use throughline::base::clock::{Clock as _, ManualClock, UnixSeconds};
use throughline::base::random::SystemRandom;
use throughline::domain::siblings::Siblings;
use throughline::token::jwks::read_jwks;
use throughline::token::key::{SigningKey, draw_seed};
use throughline::token::keyfile::write_key_file;
use throughline::token::keyset::{JWKS_MAX_AGE, TimedKey};

use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;

const CLIENTS: usize = 4;
const TICK: Duration = Duration::from_secs(20);

/// From before the rotation until the old key has gone: 900 s ahead, 70 s after, and the fetch after that.
const TICKS: u32 = 75;
const ROTATE_AT: u32 = 6;

/// Begins a hop, waits while time passes, and ends it. Whether it brought an ID.
fn hop(company: &Company, time_passes: &Barrier) -> bool {
    let mut browser = Browser::new();
    let start = browser.step(&format!("{}/p", company.shop), None);
    let back = start.header("location").map(|broker| browser.step(broker, None));
    time_passes.wait();
    time_passes.wait();
    let Some(arrival) = back.as_ref().and_then(|back| back.header("location")) else { return false };
    browser.step(arrival, None).status == 303 && browser.visitor(&company.shop).is_some()
}

/// What the satellite's watch does every five minutes of real time.
fn fetch(company: &Company, now: UnixSeconds) {
    let node = company.node();
    let brand = company.origin("brand");
    let keys = node.sites().into_iter().find(|served| served.site.origin == brand).expect("the primary is served").keys.load();
    let fetched = read_jwks(keys.jwks(now).as_bytes()).expect("our own JWKS");
    let shop = (company.origin("shop"), Vec::new());
    node.satellite.siblings.store(Arc::new(Siblings::new(&brand, fetched, vec![shop])));
}

/// What `keys rotate` does, and the node's watch over its key files after it.
fn rotate(company: &Company, now: UnixSeconds) {
    let mut keys = company.folder.keys("brand");
    let plan = keys.rotation_plan(now);
    let seed = draw_seed(&SystemRandom::new()).expect("randomness");
    let key = SigningKey::from_seed(&seed).expect("a usable key");
    keys.rotate(TimedKey { key, seed, publish_at: plan.publish_at, activate_at: plan.activate_at }, now);
    write_key_file(&company.folder.path().join("brand.keys.json"), &keys).expect("a key file");
    let brand = company.origin("brand");
    let served = company.node().sites().into_iter().find(|served| served.site.origin == brand).expect("the primary is served");
    served.keys.refresh().expect("a good key file");
}

#[test]
fn k1_a_rotation_under_load_refuses_no_token() {
    let clock = Arc::new(ManualClock::at(throughline::base::clock::SystemClock::new().now()));
    let company = Company::echoing_at(Setup::default(), &clock);
    let signing = || company.folder.keys("brand").signing_key(clock.now()).map(|key| key.public().id());
    let first = signing();
    let mut since_fetch = Duration::ZERO;
    fetch(&company, clock.now());
    for tick in 0..TICKS {
        let time_passes = Barrier::new(CLIENTS + 1);
        let brought = std::thread::scope(|scope| {
            let hops: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| hop(&company, &time_passes))).collect();
            time_passes.wait();
            clock.advance(TICK);
            since_fetch += TICK;
            // The copy is as old as it may get, and the rotation comes right after it was fetched.
            if since_fetch >= JWKS_MAX_AGE {
                fetch(&company, clock.now());
                since_fetch = Duration::ZERO;
            }
            if tick == ROTATE_AT {
                fetch(&company, clock.now());
                since_fetch = Duration::ZERO;
                rotate(&company, clock.now());
            }
            time_passes.wait();
            hops.into_iter().map(|hop| hop.join().expect("no panic")).collect::<Vec<_>>()
        });
        assert!(brought.iter().all(|brought| *brought), "tick {tick}: {brought:?}");
    }
    assert_ne!(signing(), first, "the new key signs");
    let published = company.folder.keys("brand").published(clock.now()).count();
    assert_eq!(published, 1, "the old key has gone");
}
