//! A13, D12: two brokers on one PostgreSQL that hangs. Whichever of them recovers first, no first touch, no alias and nothing that
//! was acknowledged is lost, and pages go on.
//!
//! It hangs once for 7 s. `THROUGHLINE_FREEZES=10` with `THROUGHLINE_FREEZE_SECONDS=35` plays the long form.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use throughline::base::clock::{Clock as _, SystemClock};
use throughline::base::id::VisitorId;
use throughline::base::random::SystemRandom;

use crate::ask::{api, hop, record, store, wait_for, wait_until_written};
use crate::fleet::Fleet;
use crate::load::{Ledger, Over};
use crate::support::postgres::Postgres;

/// A page takes far less. The figure that is printed counts; this is what a busy machine may need.
const PAGE_BOUND: Duration = Duration::from_secs(2);

/// Three clients with a pause of this length send about 90 requests a second.
const PAUSE: Duration = Duration::from_millis(33);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: not a number")))
}

/// A visitor who came by a hop, and the provisional ID that the browser had before.
struct Came {
    visitor: String,
    provisional: String,
    at: u64,
    /// The broker that is told.
    broker: usize,
}

impl Came {
    /// Reports the alias as a satellite does: again, until the broker knows the visitor.
    fn is_reported(&self, fleet: &Fleet) -> bool {
        let Self { visitor, provisional, at, broker } = self;
        let report = format!(r#"{{"reports":[{{"kind":"alias","visitor":"{visitor}","other":"{provisional}","at":{at}}}]}}"#);
        let Ok(answer) = api(&fleet.company, fleet.brokers[*broker], "POST", "reports", &report) else { return false };
        match answer.status {
            503 => false,
            200 => match answer.json()["outcomes"][0].as_str() {
                Some("recorded") => true,
                Some("not_seen" | "failed") => false,
                _ => panic!("{answer:?}"),
            },
            _ => panic!("{answer:?}"),
        }
    }
}

/// Visitors, and reports about them.
#[derive(Default)]
struct Traffic {
    is_over: AtomicBool,
    turn: AtomicUsize,
    to_report: Mutex<VecDeque<Came>>,
    reported: Mutex<Vec<Came>>,
}

impl Traffic {
    /// Visitors come to one broker after the other.
    fn come(&self, fleet: &Fleet) {
        while !self.is_over.load(Ordering::Relaxed) {
            let broker = self.turn.fetch_add(1, Ordering::Relaxed) % 2;
            let come = hop(&fleet.company, fleet.brokers[broker], None).expect("a hop is answered");
            assert!(matches!(come.store.as_deref(), Some("written" | "waiting")), "{come:?}");
            let provisional = VisitorId::mint(&SystemRandom::new()).expect("an ID").to_string();
            let came =
                Came { visitor: come.visitor.expect("an ID"), provisional, at: SystemClock::new().now().0, broker: 1 - broker };
            self.to_report.lock().expect("no panic").push_back(came);
            std::thread::sleep(PAUSE);
        }
    }

    /// The other broker is told of their provisional IDs.
    fn report(&self, fleet: &Fleet) {
        loop {
            let next = self.to_report.lock().expect("no panic").pop_front();
            match next {
                Some(came) if came.is_reported(fleet) => self.reported.lock().expect("no panic").push(came),
                Some(came) => self.to_report.lock().expect("no panic").push_back(came),
                None if self.is_over.load(Ordering::Relaxed) => return,
                None => {}
            }
            std::thread::sleep(PAUSE / 4);
        }
    }
}

#[test]
fn a13_a_database_that_hangs_costs_two_brokers_no_first_touch_no_alias_and_no_page() {
    let (freezes, seconds) = (number("THROUGHLINE_FREEZES", 1), number("THROUGHLINE_FREEZE_SECONDS", 7));
    let server = Postgres::start(&[]);
    let fleet = &Fleet::start_on(&server.new_database(), true);
    let (mut known, id) = fleet.visit_at(0);
    assert!(id.is_some());
    let traffic = &Traffic::default();
    let (mut slowest, mut recoveries) = (Duration::ZERO, Vec::new());
    let acknowledged = AtomicUsize::new(0);
    let ledger = std::thread::scope(|scope| {
        let over = Over(&traffic.is_over);
        for _ in 0..3 {
            scope.spawn(|| traffic.come(fleet));
            scope.spawn(|| traffic.report(fleet));
        }
        let port = || fleet.brokers[acknowledged.fetch_add(1, Ordering::Relaxed) % 2];
        let ledger = Ledger::write_until(&fleet.company, &port, || {
            for freeze in 0..freezes {
                std::thread::sleep(Duration::from_secs(1));
                server.pause();
                let frozen = SystemClock::new();
                // From 80 to 100 of 100 of the time, so that not every outage ends at the same moment of a retry.
                let span = Duration::from_secs(seconds) * u32::try_from(80 + (freeze * 7) % 21).expect("a percentage") / 100;
                while frozen.uptime() < span {
                    let clock = SystemClock::new();
                    let url = format!("{}/p.html", fleet.company.shop);
                    let page = fleet.at(fleet.satellites[0], &mut known, &url, None);
                    assert_eq!(page.status, 200, "a known visitor's page: {page:?}");
                    slowest = slowest.max(clock.uptime());
                    std::thread::sleep(Duration::from_millis(100));
                }
                server.resume();
                let clock = SystemClock::new();
                wait_for("both brokers write again", || {
                    fleet
                        .brokers
                        .iter()
                        .all(|port| hop(&fleet.company, *port, None).is_ok_and(|hop| hop.store.as_deref() == Some("written")))
                });
                recoveries.push(clock.uptime());
            }
            std::thread::sleep(Duration::from_secs(1));
        });
        drop(over);
        ledger
    });
    for port in fleet.brokers {
        wait_until_written(&fleet.company, port);
        let state = store(&fleet.company, port);
        assert_eq!((&state["lost"], &state["set_aside"]), (&0.into(), &0.into()), "{state}");
    }
    let came = traffic.reported.lock().expect("no panic");
    for Came { visitor, provisional, .. } in &*came {
        let found = record(&fleet.company, fleet.brokers[0], visitor).unwrap_or_else(|| panic!("a record is lost: {visitor}"));
        assert!(found["first_touch"]["landing"].is_string(), "a first touch is lost: {found}");
        assert_eq!(found["aliases"][provisional]["kind"], "provisional", "an alias is lost: {found}");
    }
    ledger.assert_kept(&fleet.company, fleet.brokers[0], "after the outages");
    ledger.assert_all_written(&fleet.company, fleet.brokers[1], "after the outages");
    println!(
        "A13: {} visitors with first touch and alias, {:?} acknowledged; slowest page {slowest:?}, written again after {recoveries:?}",
        came.len(),
        ledger.count()
    );
    assert!(came.len() > 100 && slowest < PAGE_BOUND, "{} came, the slowest page took {slowest:?}", came.len());
}
