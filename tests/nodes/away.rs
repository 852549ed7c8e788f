//! A2: the store goes away in mid-load, with the real program. Hops and pages go on, the API says so in time, and what waited
//! is written when the store is back.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use throughline::base::clock::{Clock as _, SystemClock};
use throughline::store::records::STORE_TIME_MAX;

use crate::ask::{Hop, api, configuration, hop, record, refuse, set, store, wait_for, wait_until_written};
use crate::load::Over;
use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::{Part, Setup};
use crate::support::postgres::Postgres;
use crate::support::process::Process;

/// `hop_wait_ms`, and the room that a busy machine needs. The store's own bounds are five seconds.
const HOP_WAIT_MS: u64 = 20;
const HOP_BOUND: Duration = Duration::from_millis(HOP_WAIT_MS + 1500);

/// How long an answer of the API waits for the store, and the room that a busy machine needs. The store's own bounds, of five
/// seconds, are beyond it.
const API_BOUND: Duration = Duration::from_millis(STORE_TIME_MAX.as_millis() as u64 + 1500);

const GONE: &str = "the store takes no writes";
const BACK: &str = "the store takes writes again";

pub(crate) fn setup(url: &str) -> Setup {
    let tables = format!("[store]\nurl = \"{url}\"\nhop_wait_ms = {HOP_WAIT_MS}\n");
    Setup { tables, workers: 2, revocation_interval_ms: 500, ..Setup::default() }
}

/// Somebody new comes to shop by a browser. Whatever happens, the page does, and the ID is the master cookie's.
fn visit(company: &Company) -> String {
    let mut browser = Browser::new();
    let visit = browser.navigate(&format!("{}/p.html?x=1", company.shop));
    assert_eq!(visit.statuses(), [302, 302, 303, 200], "{visit:#?}");
    assert_eq!(visit.url(), format!("{}/p.html?x=1", company.shop));
    let me = browser.me(&company.shop);
    let master = browser.cookie(&company.brand, "throughline").and_then(|value| value.split('.').nth(2));
    assert_eq!(me["visitor"].as_str(), master, "{me}");
    assert_eq!(browser.navigate(&format!("{}/other.html", company.shop)).statuses(), [200], "and nothing loops");
    me["visitor"].as_str().expect("an ID").to_owned()
}

fn timed_hop(company: &Company, master: Option<&str>) -> Hop {
    let hop = hop(company, company.broker_port(), master).expect("a hop is answered");
    assert!(hop.took < HOP_BOUND, "a hop took {:?}", hop.took);
    assert!(hop.visitor.is_some(), "{hop:?}");
    hop
}

/// The store is away: everything that needs none goes on. Returns who came meanwhile.
fn assert_goes_on(company: &Company, known: &Hop, reads_fail: bool) -> Vec<String> {
    let port = company.broker_port();
    let again = timed_hop(company, known.master.as_deref());
    assert_eq!((&again.visitor, &again.master), (&known.visitor, &None), "the ID is the master cookie's");
    // More than one batch of the writer's.
    let mut came: Vec<String> = std::thread::scope(|scope| {
        let come = || (0..160).map(|_| timed_hop(company, None)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(come)).collect();
        let hops: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().expect("hops")).collect();
        assert!(hops.iter().all(|hop| hop.store.as_deref() == Some("waiting")), "nothing is said to be written");
        hops.into_iter().filter_map(|hop| hop.visitor).collect()
    });
    let visitor = known.visitor.as_deref().expect("an ID");
    let asks = [
        ("a change", true, &(|| set(company, port, visitor, 99)) as &(dyn Fn() -> _ + Sync)),
        ("a report", true, &|| refuse(company, port, &came[0])),
        ("a record", reads_fail, &|| api(company, port, "GET", &format!("visitors/{visitor}"), "")),
        ("revocations", reads_fail, &|| api(company, port, "GET", "revocations", "")),
    ];
    std::thread::scope(|scope| {
        for (what, fails, ask) in asks {
            scope.spawn(move || {
                let clock = SystemClock::new();
                let answer = ask().expect("an answer");
                assert!(clock.uptime() < API_BOUND, "{what} took {:?}", clock.uptime());
                if fails {
                    assert_eq!(answer.status, 503, "{what}: {answer:?}");
                    assert_eq!(answer.json()["error"], "store_unavailable", "{what}: {answer:?}");
                } else {
                    assert_eq!(answer.status, 200, "{what}: {answer:?}");
                }
            });
        }
    });
    came.extend((0..3).map(|_| visit(company)));
    wait_for("health shows it", || {
        let store = store(company, port);
        store["status"] == "down" && store["waiting"].as_u64() >= Some(came.len() as u64)
    });
    assert_eq!(store(company, port)["lost"], 0);
    came
}

/// The store is back, and nobody does anything: what waited is written.
fn assert_recovered(company: &Company, known: &Hop, came: &[String], outages: usize) {
    let port = company.broker_port();
    wait_until_written(company, port);
    assert_eq!(store(company, port)["lost"], 0);
    for visitor in came {
        assert!(record(company, port, visitor).is_some(), "what waited is written: {visitor}");
    }
    let answer = set(company, port, known.visitor.as_deref().expect("an ID"), 7).expect("an answer");
    assert_eq!((answer.status, answer.json()["properties"]["n"].as_u64()), (200, Some(7)), "{answer:?}");
    let written = timed_hop(company, None);
    assert!(record(company, port, written.visitor.as_deref().expect("an ID")).is_some());
    let said = company.stderr();
    assert_eq!((said.matches(GONE).count(), said.matches(BACK).count()), (outages, outages), "one line each: {said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// A visitor whom the store knows.
fn somebody(company: &Company) -> Hop {
    let known = timed_hop(company, None);
    wait_until_written(company, company.broker_port());
    known
}

#[test]
fn a2_postgresql_that_stops_and_one_that_hangs_cost_no_hop_and_no_write() {
    let mut server = Postgres::start(&[]);
    let company = Company::start(setup(&server.new_database()));
    let known = somebody(&company);
    // In mid-load: some are just being written.
    let is_over = AtomicBool::new(false);
    let mut came = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut came = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                came.extend(timed_hop(&company, None).visitor);
            }
            came
        });
        let over = Over(&is_over);
        std::thread::sleep(Duration::from_millis(200));
        server.stop();
        std::thread::sleep(Duration::from_millis(200));
        drop(over);
        load.join().expect("hops")
    });
    came.extend(assert_goes_on(&company, &known, true));
    server.start_again();
    assert_recovered(&company, &known, &came, 1);

    server.pause();
    let came = assert_goes_on(&company, &known, true);
    server.resume();
    assert_recovered(&company, &known, &came, 2);
}

#[test]
fn a2_an_sqlite_file_that_is_locked_for_long_costs_no_hop_and_no_write() {
    let company = Company::start(setup("sqlite:visitors.sqlite"));
    let known = somebody(&company);
    let other = Connection::open(company.folder.path().join("visitors.sqlite")).expect("the file");
    other.busy_timeout(Duration::from_secs(5)).expect("a timeout");
    other.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    // Reading waits for nobody: that is what the write-ahead log is for.
    let came = assert_goes_on(&company, &known, false);
    other.execute_batch("ROLLBACK").expect("an end");
    assert_recovered(&company, &known, &came, 1);
}

/// The limit on the size of files stands for the full disk, as in tests/stores: it needs no rights, and concerns one process.
#[test]
fn a2_a_full_disk_costs_no_hop_and_no_write() {
    let mut company = Company::unstarted(Setup { tables: String::new(), ..setup("") });
    let broker = configuration(&company, Part::Broker, "broker", company.broker_port(), &setup("sqlite:visitors.sqlite").tables);
    let satellites = configuration(&company, Part::Satellites, "satellites", company.port(), "");
    // Without the trap the signal would end it.
    company.processes = vec![Process::serve_after("trap '' XFSZ", &broker), Process::serve(&satellites)];
    company.wait_until_ready().unwrap_or_else(|problem| panic!("{problem}: {}", company.stderr()));
    let known = somebody(&company);
    let limit = |bytes: &str| {
        let words = ["--pid", &company.processes[0].id().to_string(), &format!("--fsize={bytes}:")];
        assert!(Command::new("prlimit").args(words).status().is_ok_and(|status| status.success()), "prlimit runs");
    };
    limit("0");
    let came = assert_goes_on(&company, &known, false);
    limit("unlimited");
    assert_recovered(&company, &known, &came, 1);
    let file = Connection::open(company.folder.path().join("visitors.sqlite")).expect("the file");
    let whole: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(whole, "ok");
}

/// Case D17. The machine's clock decides nothing here: the very next write finds that the file is gone.
#[test]
fn a11_a2_a_sqlite_file_that_is_removed_costs_no_hop_and_no_write() {
    let company = Company::start(setup("sqlite:visitors.sqlite"));
    let known = somebody(&company);
    let (file, aside) = (company.folder.path().join("visitors.sqlite"), company.folder.path().join("aside.sqlite"));
    std::fs::rename(&file, &aside).expect("a move");
    let came = assert_goes_on(&company, &known, true);
    assert!(!file.exists(), "no empty store in its place");
    assert!(company.stderr().contains("visitors.sqlite was removed while this process used it"), "{}", company.stderr());
    std::fs::rename(&aside, &file).expect("a move");
    assert_recovered(&company, &known, &came, 1);
}

/// Case D16: pages do not wait for a store that is damaged at the start, and the log says what it is.
#[test]
fn a11_a2_a_sqlite_file_that_is_damaged_at_the_start_costs_no_hop_and_no_write() {
    let company = Company::start(setup("sqlite:visitors.sqlite"));
    let known = somebody(&company);
    let file = company.folder.path().join("visitors.sqlite");
    let mut company = company;
    company.processes[0].kill();
    let good = company.folder.path().join("good.sqlite");
    let copied = Connection::open(&file).and_then(|file| file.execute("VACUUM INTO ?1", [good.to_str().expect("text")]));
    copied.expect("a copy");
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(company.folder.path().join(format!("visitors.sqlite{ending}")));
    }
    let mut bytes = std::fs::read(&good).expect("a copy");
    bytes[4096..].fill(0xA5);
    std::fs::write(&file, bytes).expect("damage");
    company.processes.clear();
    company.start_broker_alone();
    let port = company.broker_port();
    let hop = hop(&company, port, None).expect("a hop is answered");
    assert_eq!(hop.store.as_deref(), Some("waiting"));
    wait_for("it says so", || company.stderr().contains("the store is damaged"));
    wait_for("health shows it", || store(&company, port)["status"] != "ok");
    // Restored beneath the running broker, it is used at once.
    std::fs::rename(&good, &file).expect("a restore");
    wait_until_written(&company, port);
    assert!(record(&company, port, hop.visitor.as_deref().expect("an ID")).is_some());
    assert!(record(&company, port, known.visitor.as_deref().expect("an ID")).is_some());
}

#[test]
fn a2_postgresql_that_is_absent_at_the_start_is_used_when_it_comes() {
    let mut server = Postgres::start(&[]);
    let url = server.new_database();
    server.stop();
    let company = Company::start(setup(&url));
    let known = timed_hop(&company, None);
    let mut came = assert_goes_on(&company, &known, true);
    server.start_again();
    came.extend(known.visitor.clone());
    assert_recovered(&company, &known, &came, 1);
}

/// What stands in the log of a broker that must not start.
fn refused_start(url: &str) -> String {
    let company = Company::unstarted(setup(url));
    let origins = [company.brand.clone(), company.shop.clone(), company.learn.clone()];
    let mut process = Process::serve(&company.folder.configure(Part::Broker, company.broker_port(), &origins));
    wait_for("it ends", || process.has_ended());
    wait_for("it says why", || process.stderr().contains("[store]"));
    assert_ne!(process.exit_code(), Some(0));
    process.stderr()
}

#[test]
fn a2_a_database_that_must_not_be_used_stops_the_start_with_the_reason() {
    let server = Postgres::shared();
    let newer = server.new_database();
    drop(Company::start(setup(&newer)));
    server.sql(&newer, "UPDATE throughline_schema SET version = 99");
    let said = refused_start(&newer);
    assert!(said.contains("version 99") && said.contains("knows 2"), "{said}");

    let tables = |url: &str| {
        server.sql(
            url,
            "SELECT string_agg(relname, ',') FROM pg_class WHERE relname LIKE '%visitor%' OR relname LIKE '%throughline%'",
        )
    };
    let taken = server.new_database();
    server.sql(&taken, "CREATE TABLE visitor (n int)");
    let said = refused_start(&taken);
    assert!(said.contains("the schema cannot be made") && said.contains("\"visitor\" already exists"), "{said}");
    assert_eq!(tables(&taken), "visitor", "nothing is half made");

    let barred = server.new_database();
    let name = barred.rsplit('/').next().expect("a name");
    server.sql(&barred, &format!("CREATE ROLE {name}_guest LOGIN; REVOKE CREATE ON SCHEMA public FROM public"));
    let said = refused_start(&barred.replace("postgres@", &format!("{name}_guest@")));
    assert!(said.contains("the schema cannot be made") && said.contains("permission denied"), "{said}");
    assert_eq!(tables(&barred), "");
    // With the rights, the same user may.
    server.sql(&barred, &format!("GRANT CREATE ON SCHEMA public TO {name}_guest"));
    let company = Company::start(setup(&barred.replace("postgres@", &format!("{name}_guest@"))));
    somebody(&company);
}

/// PostgreSQL was absent at the start; what comes is of a newer version. Nothing is written to it, and nothing is given up.
#[test]
fn a2_a_newer_database_that_comes_late_is_left_alone() {
    let mut server = Postgres::start(&[]);
    let url = server.new_database();
    drop(Company::start(setup(&url)));
    server.sql(&url, "UPDATE throughline_schema SET version = 99");
    server.stop();
    let company = Company::start(setup(&url));
    let known = timed_hop(&company, None);
    server.start_again();
    wait_for("it says so", || company.stderr().contains(GONE));
    std::thread::sleep(Duration::from_secs(2));
    timed_hop(&company, known.master.as_deref());
    let state = store(&company, company.broker_port());
    assert_eq!((state["status"].as_str(), state["waiting"].as_u64(), state["lost"].as_u64()), (Some("down"), Some(1), Some(0)));
    assert_eq!(server.sql(&url, "SELECT count(*) FROM visitor"), "0");
    server.sql(&url, "UPDATE throughline_schema SET version = 2");
    assert_recovered(&company, &known, &[], 1);
}
