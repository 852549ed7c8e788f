//! The contract of the replay memory (`src/store/replay.rs`), kept by the one in the process and by real servers.

use std::sync::Barrier;
use std::time::Duration;

use throughline::base::clock::{Clock as _, SystemClock};
use throughline::store::recent_set::{Claim, RecentSet};
use throughline::store::redis_replay::{KEY_PREFIX, RedisReplay, RedisSettings};
use throughline::store::replay::Replay;

use crate::support::process::wait_until;
use crate::support::redis::{Redis, RedisCluster};

/// Long enough for a busy machine.
const PATIENT: Duration = Duration::from_secs(10);

/// Nodes that share one memory, and the time.
pub(crate) struct Nodes {
    memories: Vec<Replay>,
    clock: SystemClock,
}

impl Nodes {
    /// One process.
    fn here(span: Duration, capacity: usize) -> Self {
        Self { memories: vec![Replay::Here(RecentSet::new(span, capacity))], clock: SystemClock::new() }
    }

    /// Three processes' worth of connections to one server or cluster.
    pub(crate) fn sharing(servers: &[&Redis], cluster: bool, span: Duration, within: Duration) -> Self {
        let settings = settings(servers, cluster, span, within);
        let memories: Vec<_> = (0..3).map(|_| RedisReplay::start(settings.clone()).expect("it can be used")).collect();
        wait_until("all are connected", || false, || memories.iter().all(RedisReplay::is_connected))
            .unwrap_or_else(|problem| panic!("{problem}"));
        Self { memories: memories.into_iter().map(Replay::Shared).collect(), clock: SystemClock::new() }
    }

    /// Claims on one of the nodes, and waits for what became of it.
    pub(crate) fn claim(&self, node: usize, key: u128) -> Claim {
        let claiming = self.memories[node % self.memories.len()].claim(key, self.clock.uptime());
        runtime().block_on(claiming.claimed())
    }

    /// How much time has passed.
    pub(crate) fn uptime(&self) -> Duration {
        self.clock.uptime()
    }
}

pub(crate) fn settings(servers: &[&Redis], cluster: bool, span: Duration, within: Duration) -> RedisSettings {
    RedisSettings {
        nodes: servers.iter().map(|server| server.url()).collect(),
        cluster,
        username: None,
        password: None,
        authorities: None,
        timeout: within,
        span,
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// Spread as digests are.
pub(crate) fn key(number: u128) -> u128 {
    (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
}

/// Points 1 and 2 of the contract. `make` makes nodes that share one memory of that span, with nothing in it.
fn keeps_the_contract(make: impl Fn(Duration) -> Nodes) {
    of_64_claims_at_once_one_is_first(&make(PATIENT * 6));
    keys_do_not_meet(&make(PATIENT * 6));
    a_key_is_kept_for_its_span_and_then_forgotten(&make);
}

fn of_64_claims_at_once_one_is_first(nodes: &Nodes) {
    for round in 0..20 {
        let barrier = Barrier::new(64);
        let claims: Vec<_> = std::thread::scope(|scope| {
            let claim = |node| {
                let barrier = &barrier;
                move || {
                    barrier.wait();
                    nodes.claim(node, key(round))
                }
            };
            let threads: Vec<_> = (0..64).map(|node| scope.spawn(claim(node))).collect();
            threads.into_iter().map(|thread| thread.join().expect("it ends")).collect()
        });
        let count = |wanted| claims.iter().filter(|claim| **claim == wanted).count();
        assert_eq!((count(Claim::First), count(Claim::Again)), (1, 63), "{claims:?}");
    }
}

fn keys_do_not_meet(nodes: &Nodes) {
    std::thread::scope(|scope| {
        for thread in 0..4_u128 {
            scope.spawn(move || {
                for number in 0..500 {
                    let key = key((1 << 64) + thread * 1000 + number);
                    assert_eq!(nodes.claim(number as usize, key), Claim::First, "{thread} {number}");
                    assert_eq!(nodes.claim(number as usize + 1, key), Claim::Again, "{thread} {number}");
                }
            });
        }
    });
    // Those that differ in one bit as well.
    for bit in 0..128 {
        assert_eq!(nodes.claim(0, 1 << bit), Claim::First, "{bit}");
    }
}

fn a_key_is_kept_for_its_span_and_then_forgotten(make: impl Fn(Duration) -> Nodes) {
    let span = Duration::from_millis(1200);
    let nodes = make(span);
    let begun = nodes.uptime();
    assert_eq!(nodes.claim(0, 7), Claim::First);
    let mut asked = 0;
    loop {
        let claim = nodes.claim(asked, 7);
        // Looked at after the answer: it was given within the span.
        if nodes.uptime() >= begun + span {
            break;
        }
        assert_eq!(claim, Claim::Again, "{:?} after", nodes.uptime() - begun);
        asked += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(asked > 3, "{asked}");
    let is_forgotten = || nodes.claim(0, 7) == Claim::First;
    wait_until("it is forgotten", || false, is_forgotten).unwrap_or_else(|problem| panic!("{problem}"));
}

#[test]
fn t7_the_memory_in_the_process_keeps_the_contract() {
    keeps_the_contract(|span| Nodes::here(span, 1_000_000));
}

#[test]
fn t7_one_redis_keeps_the_contract_for_all_nodes() {
    let redis = Redis::start(&[]);
    keeps_the_contract(|span| {
        redis.ask(&["flushall"]);
        Nodes::sharing(&[&redis], false, span, PATIENT)
    });
}

#[test]
fn t7_a_redis_cluster_keeps_the_contract_for_all_nodes() {
    let cluster = RedisCluster::start();
    let servers: Vec<_> = cluster.nodes.iter().collect();
    keeps_the_contract(|span| {
        servers.iter().for_each(|server| _ = server.ask(&["flushall"]));
        // One node is enough to find the others.
        Nodes::sharing(&servers[..1], true, span, PATIENT)
    });
    let nodes = Nodes::sharing(&servers, true, PATIENT * 6, PATIENT);
    (0..100).for_each(|number| assert_eq!(nodes.claim(0, key(5000 + number)), Claim::First));
    for server in servers {
        assert_ne!(server.ask(&["dbsize"]).trim(), "0", "the keys are spread over the nodes");
    }
}

#[test]
fn t7_a5_full_the_memory_in_the_process_is_first_for_nobody() {
    let nodes = Nodes::here(PATIENT * 6, 640);
    let claims: Vec<_> = (0..2000).map(|number| nodes.claim(0, key(number))).collect();
    assert!(claims.contains(&Claim::Full));
    assert!((0..2000).all(|number| nodes.claim(0, key(number)) != Claim::First));
}

#[test]
fn t7_a5_full_a_redis_is_first_for_nobody_and_recovers() {
    let redis = Redis::start(&["--maxmemory-policy", "noeviction"]);
    let nodes = Nodes::sharing(&[&redis], false, PATIENT * 6, PATIENT);
    assert_eq!(nodes.claim(0, key(0)), Claim::First);
    redis.ask(&["config", "set", "maxmemory", "1"]);
    for number in 1..50 {
        assert_eq!(nodes.claim(number as usize, key(number)), Claim::Full);
    }
    assert_ne!(nodes.claim(0, key(0)), Claim::First);
    redis.ask(&["config", "set", "maxmemory", "0"]);
    assert_eq!(nodes.claim(0, key(1)), Claim::First);
    assert_eq!(nodes.claim(1, key(0)), Claim::Again);
}

#[test]
fn t7_a5_every_key_of_a_redis_has_our_prefix_and_an_end() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::sharing(&[&redis], false, PATIENT * 6, PATIENT);
    (0..20).for_each(|number| assert_eq!(nodes.claim(number as usize, key(number)), Claim::First));
    let keys = redis.ask(&["keys", "*"]);
    assert!(keys.lines().count() >= 20, "{keys}");
    for key in keys.lines() {
        assert!(key.starts_with(KEY_PREFIX), "{key}");
        let left: i64 = redis.ask(&["pttl", key]).trim().parse().expect("milliseconds");
        // -2: it is gone already.
        assert!(left == -2 || (0..=60_000).contains(&left), "{key}: {left}");
    }
    // And the connections end with the memory.
    let count = || redis.ask(&["client", "list"]).lines().filter(|line| line.contains("cmd=set")).count();
    assert_eq!(count(), 3);
    drop(nodes);
    wait_until("the connections are gone", || false, || count() == 0).unwrap_or_else(|problem| panic!("{problem}"));
}
