//! A1: the broker refuses, hangs, fails, dribbles or dies, and no page view is lost on the satellite.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::fake_broker::{FakeBroker, Manner};
use crate::support::browser::{Browser, Visit};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::wait_until;

/// A probe that is not answered fails after this time. Whoever waited for the broker in a request would wait as long.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1500);

const PAGES: usize = 100;

fn setup() -> Setup {
    Setup { probe_interval_ms: 400, probe_timeout_ms: 1500, ..Setup::default() }
}

/// Visits the shop as somebody new, and says how long it took.
fn visit(company: &Company) -> (Browser, Visit, Duration) {
    let mut browser = Browser::new();
    let begun = now();
    let visit = browser.navigate(&format!("{}/p.html?x=1", company.shop));
    (browser, visit, begun.elapsed())
}

#[expect(clippy::disallowed_methods, reason = "the time that passes for a visitor")]
fn now() -> Instant {
    Instant::now()
}

fn source(browser: &mut Browser, company: &Company) -> Option<String> {
    browser.me(&company.shop)["source"].as_str().map(String::from)
}

/// Waits until the satellite has seen that the broker does not answer: then it mints provisional IDs.
fn wait_until_seen(company: &Company) {
    let is_seen = || {
        let (mut browser, visit, _) = visit(company);
        assert_eq!(visit.page().status, 200, "{visit:#?}");
        source(&mut browser, company).as_deref() == Some("provisional")
    };
    wait_until("the broker is seen to be down", || false, is_seen).unwrap_or_else(|problem| panic!("{problem}"));
}

/// Whatever `broker` does, pages come at once with a provisional ID, and it is not asked for any of them.
fn assert_pages_go_on(company: &mut Company, broker: Option<FakeBroker>) {
    wait_until_seen(company);
    let (before, begun) = (broker.as_ref().map_or(0, FakeBroker::connections), now());
    let mut times = Vec::new();
    for _ in 0..PAGES {
        let (_, visit, took) = visit(company);
        assert_eq!(visit.statuses(), [200], "{visit:#?}");
        times.push(took);
    }
    times.sort();
    println!("A1: pages without the broker: median {:?}, slowest {:?}", times[PAGES / 2], times[PAGES - 1]);
    assert!(times[PAGES / 2] < PROBE_TIMEOUT / 3, "{times:?}");
    if let Some(broker) = &broker {
        // The pauses between probes double from a quarter of the interval; the first second sees four at most.
        let probes = 4 + begun.elapsed().as_secs() as usize;
        let asked = broker.connections() - before;
        assert!(asked <= probes, "{asked} connections for {PAGES} pages in {:?}", begun.elapsed());
    }

    let (mut visitor, _, _) = visit(company);
    let provisional = visitor.visitor(&company.shop);
    assert_eq!(source(&mut visitor, company).as_deref(), Some("provisional"));
    let again = visitor.navigate(&format!("{}/p.html", company.shop));
    assert_eq!(again.statuses(), [200]);
    assert_eq!(visitor.visitor(&company.shop), provisional, "a provisional ID stays while it is needed");

    // Recovery, unaided: nobody touches the satellite.
    drop(broker);
    company.start_broker();
    let (mut fresh, visit, _) = visit(company);
    assert_eq!(visit.statuses(), [302, 302, 303, 200], "{visit:#?}");
    assert_eq!(source(&mut fresh, company).as_deref(), Some("broker"));
    let upgrade = visitor.navigate(&format!("{}/p.html", company.shop));
    assert_eq!(upgrade.statuses(), [302, 302, 303, 200], "{upgrade:#?}");
    assert_eq!(source(&mut visitor, company).as_deref(), Some("broker"));
    let id = visitor.visitor(&company.shop);
    assert_ne!(id, provisional);
    assert_eq!(id, visitor.visitor(&company.brand));
}

fn with_fake(manner: Manner) {
    let mut company = Company::start_without_broker(setup());
    let broker = FakeBroker::on(company.broker_port(), manner);
    assert_pages_go_on(&mut company, Some(broker));
}

#[test]
fn a1_a_broker_that_refuses_costs_no_page() {
    let mut company = Company::start_without_broker(setup());
    assert_pages_go_on(&mut company, None);
}

#[test]
fn a1_a_broker_that_never_answers_costs_no_page() {
    with_fake(Manner::Silent);
}

#[test]
fn a1_a_broker_that_fails_costs_no_page() {
    with_fake(Manner::Failing);
}

#[test]
fn a1_a_broker_that_dribbles_costs_no_page() {
    with_fake(Manner::Dribbling);
}

/// Ends the load, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A visitor who is sent on a hop in the moment of its death is lost to a dead broker until a probe sees it; whoever is
/// known, and whoever comes after, is not.
#[test]
fn a1_a_broker_killed_under_load_costs_known_visitors_nothing_and_new_ones_little() {
    let mut company = Company::start_split(setup());
    let (mut known, visit, _) = visit(&company);
    assert_eq!(visit.statuses(), [302, 302, 303, 200]);
    let id = known.visitor(&company.shop);
    let shop = company.shop.clone();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop_in_the_end = Stop(&stop);
        let load = |mut browser: Browser| {
            let (shop, stop) = (&shop, &stop);
            move || {
                let mut pages = 0;
                while !stop.load(Ordering::SeqCst) && pages < 1_000_000 {
                    let visit = browser.navigate(&format!("{shop}/p.html"));
                    assert_eq!(visit.statuses(), [200], "{visit:#?}");
                    pages += 1;
                }
                pages
            }
        };
        let loads = [scope.spawn(load(known.clone())), scope.spawn(load(known.clone()))];
        std::thread::sleep(Duration::from_millis(300));
        company.processes[0].kill();
        // New ones are looked at without following them to the dead broker.
        let circuit_is_open = || Browser::new().step(&format!("{shop}/p.html"), None).status == 200;
        wait_until("the satellite sees it", || false, circuit_is_open).unwrap_or_else(|problem| panic!("{problem}"));
        for _ in 0..PAGES {
            assert_eq!(Browser::new().navigate(&format!("{shop}/p.html")).statuses(), [200]);
        }
        company.start_broker();
        let mut fresh = Browser::new();
        assert_eq!(fresh.navigate(&format!("{shop}/p.html")).statuses(), [302, 302, 303, 200]);
        std::thread::sleep(Duration::from_millis(300));
        drop(stop_in_the_end);
        let pages = loads.map(|load| load.join().expect("every page of a known visitor came"));
        assert!(pages.iter().all(|pages| *pages > 0));
    });
    assert_eq!(known.visitor(&company.shop), id);
}
