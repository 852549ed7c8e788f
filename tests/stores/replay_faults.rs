//! What goes wrong with the shared replay memory, done on purpose: it dies, hangs, refuses us, or loses a part of itself.

use std::time::Duration;

use throughline::base::clock::{Clock as _, SystemClock};
use throughline::store::recent_set::Claim;
use throughline::store::redis_replay::{RedisReplay, RedisSettings};
use throughline::store::replay::Claiming;

use crate::replay::{Nodes, key, runtime, settings};
use crate::replay_nodes::{table, up_to_the_token};
use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::{free_port, wait_until};
use crate::support::redis::{Redis, RedisCluster};

/// What the log says when the memory goes, and when it is back.
const GONE: &str = "the shared replay memory cannot be used";
const BACK: &str = "the shared replay memory is well again";

/// The time for a claim in these tests.
const WITHIN: Duration = Duration::from_millis(200);

/// More than this is waiting for something that does not answer. A busy machine adds to the time above.
const BOUND: Duration = Duration::from_secs(3);

/// Somebody new comes to the shop. Whatever happens, the page does; says whether an ID came as well, and how long the
/// arrival took.
fn visit(company: &Company) -> (bool, Duration) {
    let mut browser = Browser::new();
    let back = up_to_the_token(company, &mut browser);
    let clock = SystemClock::new();
    let visit = browser.navigate(&format!("{}{back}", company.shop));
    let took = clock.uptime();
    assert_eq!(visit.statuses(), [303, 200], "{visit:#?}");
    (browser.visitor(&company.shop).is_some(), took)
}

fn wait_for(what: &str, is_so: impl FnMut() -> bool) {
    wait_until(what, || false, is_so).unwrap_or_else(|problem| panic!("{problem}"));
}

fn company(redis: &Redis) -> Company {
    let tables = table(redis, u32::try_from(WITHIN.as_millis()).expect("a short time"));
    let company = Company::start(Setup { workers: 2, tables, ..Setup::default() });
    wait_for("the memory is connected", || visit(&company).0);
    company
}

fn times_said(company: &Company, what: &str) -> usize {
    company.stderr().matches(what).count()
}

/// The memory is gone: tokens are refused, pages come in time, and one line says so.
fn assert_pages_go_on(company: &Company) {
    let mut times = Vec::new();
    for _ in 0..20 {
        let (has_id, took) = visit(company);
        assert!(!has_id, "identity fails closed");
        assert!(took < BOUND, "{took:?}");
        times.push(took);
    }
    // Who comes for the first time is not sent on a hop that could bring nothing, and so is not left alone for a day.
    let mut newcomer = Browser::new();
    assert_eq!(newcomer.navigate(&format!("{}/p.html", company.shop)).statuses(), [200]);
    assert!(newcomer.jar.is_empty(), "{:?}", newcomer.jar);
    times.sort();
    println!("T7: arrivals without the memory: median {:?}, slowest {:?}", times[10], times[19]);
    assert_eq!(times_said(company, GONE), 1, "{}", company.stderr());
}

fn assert_recovered(company: &Company) {
    let clock = SystemClock::new();
    wait_for("tokens count again, unaided", || visit(company).0);
    println!("T7: tokens count again after {:?}", clock.uptime());
    wait_for("the log says so", || times_said(company, BACK) == 1);
    assert!(visit(company).0);
    assert_eq!(times_said(company, GONE), 1, "{}", company.stderr());
}

#[test]
fn t7_a2_a_redis_that_dies_costs_ids_and_no_page() {
    let mut redis = Redis::start(&[]);
    let company = company(&redis);
    redis.kill();
    assert_pages_go_on(&company);
    redis.start_again();
    assert_recovered(&company);
}

#[test]
fn t7_a2_a_redis_that_hangs_keeps_no_page_waiting() {
    let redis = Redis::start(&[]);
    let company = company(&redis);
    redis.freeze();
    // All at once, before anybody has seen that it hangs.
    std::thread::scope(|scope| {
        let visits: Vec<_> = (0..16).map(|_| scope.spawn(|| visit(&company))).collect();
        let mut slowest = Duration::ZERO;
        for visit in visits {
            let (has_id, took) = visit.join().expect("the page came");
            assert!(!has_id && took < BOUND, "{took:?}");
            slowest = slowest.max(took);
        }
        println!("T7: the slowest of those who came in that moment: {slowest:?}");
    });
    assert_pages_go_on(&company);
    redis.thaw();
    assert_recovered(&company);
}

#[test]
fn t7_a2_a_redis_that_is_not_there_at_the_start_is_found_when_it_comes() {
    let mut redis = Redis::start(&[]);
    redis.kill();
    let company = Company::start(Setup { tables: table(&redis, 200), ..Setup::default() });
    assert_pages_go_on(&company);
    redis.start_again();
    assert_recovered(&company);
}

#[test]
fn t7_t9_a_wrong_password_is_one_line_that_does_not_repeat_it() {
    let redis = Redis::start(&["--requirepass", "right"]);
    let tables = format!("{}password_env = \"REPLAY_PASSWORD\"\n", table(&redis, 200));
    let wrong = Setup { tables: tables.clone(), env: &[("REPLAY_PASSWORD", "hunter2")], ..Setup::default() };
    let company = Company::start(wrong);
    assert_pages_go_on(&company);
    let said = company.stderr();
    assert!(said.lines().any(|line| line.contains(GONE) && line.contains("it refuses the user or the password")), "{said}");
    assert!(!said.contains("hunter2"), "{said}");

    let company = Company::start(Setup { tables: table(&redis, 200), ..Setup::default() });
    assert_pages_go_on(&company);
    assert!(company.stderr().contains("it wants a password"), "{}", company.stderr());

    let of_a_cluster = tables.replace("timeout_ms", "cluster = true\ntimeout_ms");
    let company = Company::start(Setup { tables: of_a_cluster, env: &[("REPLAY_PASSWORD", "hunter2")], ..Setup::default() });
    assert_pages_go_on(&company);
    let said = company.stderr();
    assert!(said.contains("it refuses the user or the password") && !said.contains("hunter2"), "{said}");

    let company = Company::start(Setup { tables, env: &[("REPLAY_PASSWORD", "right")], ..Setup::default() });
    wait_for("the right one opens", || visit(&company).0);
    assert_eq!(times_said(&company, GONE), 0, "{}", company.stderr());
}

#[test]
fn t7_behind_tls_only_a_server_of_a_trusted_authority_is_asked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name).to_string_lossy().into_owned());
    std::fs::write(&certificate, own.cert.pem()).expect("a file");
    std::fs::write(&key, own.signing_key.serialize_pem()).expect("a file");
    let port = free_port().to_string();
    let options = ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-auth-clients", "no"];
    let redis = Redis::start(&[&options[..], &["--tls-ca-cert-file", &certificate]].concat());
    let settings = RedisSettings {
        nodes: vec![format!("rediss://127.0.0.1:{port}")],
        authorities: Some(own.cert.pem().into_bytes()),
        ..settings(&[&redis], false, BOUND, BOUND)
    };
    let trusting = RedisReplay::start(settings.clone()).expect("it can be used");
    wait_for("it is connected", || trusting.is_connected());
    let with_mozillas = RedisReplay::start(RedisSettings { authorities: None, ..settings }).expect("it can be used");
    let pause = SystemClock::new();
    while pause.uptime() < Duration::from_secs(1) {
        assert!(!with_mozillas.is_connected());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What docs/operating.md asks an operator to allow.
#[test]
fn t7_a_user_with_the_least_rights_is_enough_and_with_less_nobody_is_first() {
    let (one, cluster) = (Redis::start(&[]), RedisCluster::start());
    let allow = |server: &Redis, user: &str, rights: &[&str]| {
        let words = [&["acl", "setuser", user, "on", ">right", "-@all"], rights].concat();
        assert_eq!(server.ask(&words).trim(), "OK");
    };
    let all: Vec<_> = cluster.nodes.iter().collect();
    for (servers, is_cluster, rights) in [
        (vec![&one], false, &["~throughline:used:*", "+set"][..]),
        (all, true, &["~throughline:used:*", "+set", "+cluster|slots"]),
    ] {
        for server in &servers {
            allow(server, "enough", rights);
            allow(server, "less", &["~throughline:other:*", "+set", "+cluster|slots"]);
        }
        let start = |user: &str| {
            let login = (Some(user.to_owned()), Some(zeroize::Zeroizing::new("right".to_owned())));
            let settings =
                RedisSettings { username: login.0, password: login.1, ..settings(&servers, is_cluster, BOUND * 10, BOUND) };
            RedisReplay::start(settings).expect("it can be used")
        };
        let (enough, less) = (start("enough"), start("less"));
        wait_for("it is connected", || enough.is_connected());
        std::thread::sleep(Duration::from_millis(300));
        assert!(!less.is_connected() && matches!(less.claim(1), Claiming::Now(Claim::Unreachable)));
    }
}

#[test]
fn t7_a_replica_takes_no_claims() {
    let master = Redis::start(&[]);
    let port = master.url().rsplit(':').next().expect("a port").to_owned();
    let replica = Redis::start(&["--replicaof", &format!("127.0.0.1 {port}")]);
    let memory = RedisReplay::start(settings(&[&replica], false, BOUND, BOUND)).expect("it can be used");
    let pause = SystemClock::new();
    while pause.uptime() < Duration::from_secs(1) {
        assert!(matches!(memory.claim(1), Claiming::Now(Claim::Unreachable)), "it never counts as connected");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(replica.ask(&["replicaof", "no", "one"]).trim(), "OK");
    wait_for("it takes claims as a master", || memory.is_connected());
}

#[test]
fn t7_a2_a_cluster_that_loses_a_node_never_says_first_twice_and_recovers() {
    let mut cluster = RedisCluster::start();
    let servers: Vec<_> = cluster.nodes.iter().collect();
    let nodes = Nodes::sharing(&servers, true, Duration::from_secs(600), Duration::from_secs(1));
    let numbers = 0..60_u128;
    for number in numbers.clone() {
        assert_eq!(nodes.claim(0, key(number)), Claim::First);
    }
    cluster.nodes[1].kill();
    let mut unreachable = 0;
    for number in numbers.clone() {
        let begun = nodes.uptime();
        match nodes.claim(number as usize, key(number)) {
            Claim::Again => {}
            Claim::Unreachable => unreachable += 1,
            other => panic!("{number}: {other:?}"),
        }
        assert!(nodes.uptime() - begun < BOUND, "{number}");
    }
    assert!(unreachable > 0, "a third of the keys were there");
    cluster.nodes[1].start_again();
    cluster.wait_until_well();
    // What the dead node knew is lost; what was claimed afterwards counts on all nodes.
    for node in 0..3_u128 {
        for number in 100..110 {
            let key = key(node * 1000 + number);
            wait_for("claims are answered again", || matches!(nodes.claim(node as usize, key), Claim::First | Claim::Again));
            assert_eq!(nodes.claim(node as usize + 1, key), Claim::Again);
        }
    }
}

#[test]
fn t7_a2_a_cluster_that_hangs_is_let_go_of_and_found_again() {
    let cluster = RedisCluster::start();
    let servers: Vec<_> = cluster.nodes.iter().collect();
    let settings = settings(&servers, true, BOUND * 10, WITHIN);
    let memory = RedisReplay::start(settings).expect("it can be used");
    let claim = |number| runtime().block_on(memory.claim(key(number)).claimed());
    wait_for("it is connected", || memory.is_connected());
    servers.iter().for_each(|server| server.freeze());
    let mut asked = 0;
    wait_for("it is let go of", || {
        let clock = SystemClock::new();
        assert_eq!(claim(asked), Claim::Unreachable);
        assert!(clock.uptime() < BOUND, "{:?}", clock.uptime());
        asked += 1;
        !memory.is_connected()
    });
    assert!(matches!(memory.claim(key(asked)), Claiming::Now(Claim::Unreachable)), "and nobody waits any more");
    servers.iter().for_each(|server| server.thaw());
    wait_for("claims are answered again", || claim(1000) == Claim::First);
}
