//! A3: `kill -9` at any moment under load. What was acknowledged as stored is there after the restart.

use std::time::Duration;

use throughline::base::clock::{Clock as _, SystemClock};
use throughline::base::random::{SystemRandom, random_bytes};

use crate::ask::wait_until_written;
use crate::load::{Count, Ledger};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::postgres::Postgres;

/// Random moments: from 0 to 300 ms into the load. The seed is printed where a test fails.
pub(crate) struct Moments(u64);

impl Moments {
    pub(crate) fn new() -> Self {
        let seed = u64::from_le_bytes(random_bytes(&SystemRandom::new()).expect("randomness"));
        println!("seed {seed}");
        Self(seed)
    }

    /// splitmix64
    pub(crate) fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Duration::from_micros((bits ^ (bits >> 31)) % 300_000)
    }
}

/// A broker alone. A hop waits long enough for its write that most are acknowledged.
fn broker(store: &str) -> Company {
    let tables = format!("[store]\nurl = \"{store}\"\nhop_wait_ms = 200\n");
    let mut company = Company::unstarted(Setup { tables, log: "error", workers: 2, ..Setup::default() });
    company.start_broker_alone();
    company
}

/// Kills the broker under load, `times` over, on the same data.
fn kill_under_load(company: &mut Company, times: u32) {
    let (mut moments, clock, mut count) = (Moments::new(), SystemClock::new(), Count::default());
    for time in 1..=times {
        let moment = moments.next();
        let mut process = company.processes.pop().expect("the broker");
        let port = company.broker_port();
        let ledger = Ledger::write_until(company, &|| port, || {
            std::thread::sleep(moment);
            process.kill();
        });
        company.start_broker_alone();
        let when = format!("killed for the {time}. time after {moment:?}");
        ledger.assert_kept(company, port, &when);
        ledger.assert_refused(company, port, &when);
        count += ledger.count();
    }
    println!("A3: {times} kills in {:?}, acknowledged and kept: {count:?}", clock.uptime());
    let times = times as usize;
    assert!(count.written > 5 * times && count.set > times && count.refused > times, "there was load: {count:?}");
}

#[test]
fn a3_thirty_kills_of_a_broker_on_sqlite_lose_nothing_that_was_acknowledged() {
    kill_under_load(&mut broker("sqlite:visitors.sqlite"), 30);
}

#[test]
fn a3_kills_of_a_broker_on_postgresql_lose_nothing_that_was_acknowledged() {
    kill_under_load(&mut broker(&Postgres::shared().new_database()), 6);
}

/// The broker lives on, so that what it kept waiting is written as well.
#[test]
fn a3_a2_kills_of_postgresql_itself_lose_nothing_that_was_acknowledged() {
    let mut server = Postgres::start(&[]);
    let company = broker(&server.new_database());
    let (mut moments, port) = (Moments::new(), company.broker_port());
    for time in 1..=3 {
        let moment = moments.next() + Duration::from_millis(50);
        let ledger = Ledger::write_until(&company, &|| port, || {
            std::thread::sleep(moment);
            server.kill();
            std::thread::sleep(Duration::from_millis(300));
            server.start_again();
        });
        wait_until_written(&company, port);
        let when = format!("PostgreSQL killed for the {time}. time after {moment:?}");
        ledger.assert_kept(&company, port, &when);
        ledger.assert_all_written(&company, port, &when);
        ledger.assert_refused(&company, port, &when);
        println!("A3: PostgreSQL killed after {moment:?}: {:?}", ledger.count());
    }
}
