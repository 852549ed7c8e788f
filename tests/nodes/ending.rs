//! A4: SIGTERM with writes waiting: they are written before the process ends, or it says how many were not.

use std::time::Duration;

use rusqlite::Connection;
use throughline::base::clock::{Clock as _, SystemClock};

use crate::ask::{hop, record, store, wait_for};
use crate::away::setup;
use crate::support::company::Company;
use crate::support::postgres::Postgres;

/// Hops of which none is written yet.
fn waiting(company: &Company, hops: usize) -> Vec<String> {
    let port = company.broker_port();
    let came: Vec<_> = (0..hops)
        .map(|_| {
            let hop = hop(company, port, None).expect("an answer");
            assert_eq!(hop.store.as_deref(), Some("waiting"));
            hop.visitor.expect("an ID")
        })
        .collect();
    assert_eq!(store(company, port)["waiting"].as_u64(), Some(hops as u64));
    came
}

fn wait_until_ended(company: &mut Company) {
    wait_for("it has ended", || company.processes[0].has_ended());
    assert_eq!(company.processes[0].exit_code(), Some(0), "{}", company.stderr());
}

fn assert_written(mut company: Company, came: &[String]) {
    wait_until_ended(&mut company);
    company.start_broker_alone();
    for visitor in came {
        assert!(record(&company, company.broker_port(), visitor).is_some(), "{visitor}");
    }
}

fn broker(url: &str) -> Company {
    let mut company = Company::unstarted(setup(url));
    company.start_broker_alone();
    company
}

#[test]
fn a4_a2_what_waits_for_postgresql_is_written_before_the_end() {
    let server = Postgres::start(&[]);
    let company = broker(&server.new_database());
    server.pause();
    let came = waiting(&company, 600);
    company.processes[0].terminate();
    std::thread::sleep(Duration::from_millis(500));
    server.resume();
    assert_written(company, &came);
}

/// It has been away for so long that it is tried every few seconds only.
#[test]
fn a4_a2_what_waits_for_a_locked_file_is_written_before_the_end() {
    let company = broker("sqlite:visitors.sqlite");
    let other = Connection::open(company.folder.path().join("visitors.sqlite")).expect("the file");
    other.busy_timeout(Duration::from_secs(5)).expect("a timeout");
    other.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let came = waiting(&company, 20);
    std::thread::sleep(Duration::from_secs(6));
    company.processes[0].terminate();
    std::thread::sleep(Duration::from_secs(1));
    other.execute_batch("ROLLBACK").expect("an end");
    assert_written(company, &came);
}

#[test]
fn a4_a2_what_cannot_be_written_at_the_end_is_counted_and_does_not_hold_it() {
    let mut server = Postgres::start(&[]);
    let mut company = broker(&server.new_database());
    server.stop();
    waiting(&company, 10);
    let clock = SystemClock::new();
    company.processes[0].terminate();
    wait_until_ended(&mut company);
    assert!(clock.uptime() < Duration::from_secs(20), "{:?}", clock.uptime());
    let said = company.stderr();
    assert!(said.lines().any(|line| line.contains("lost") && line.contains("writes=10")), "{said}");
}
