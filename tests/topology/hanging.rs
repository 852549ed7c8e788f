//! D14: PostgreSQL hangs behind two brokers, and the company's servers go on asking the API through the real Caddy. No page waits
//! for that, and Caddy takes no node for dead.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use throughline::base::clock::{Clock as _, SystemClock};
use throughline::base::secret::SiteSecret;

use crate::fleet::{Fleet, fleet, wait_for};
use crate::support::address;
use crate::support::browser::Browser;
use crate::support::wire::{Answer, send};

/// How long it hangs: several times as long as Caddy waits for a node, or leaves it alone.
const HANGS_FOR: Duration = Duration::from_secs(12);

/// A page that waits for a node that hangs takes Caddy's three seconds. One that waits for nothing takes milliseconds, and this at
/// most on a busy machine.
const PAGE_TIME_MAX: Duration = Duration::from_millis(2500);

/// PostgreSQL hangs until this is dropped.
struct Hanging(Vec<String>);

impl Hanging {
    fn new(fleet: &Fleet) -> Self {
        let server = fleet.process("postgres").expect("it runs").to_string();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &server]).output().expect("ps runs");
        let children = String::from_utf8_lossy(&children.stdout).split_whitespace().map(String::from).collect::<Vec<_>>();
        let all: Vec<_> = [server].into_iter().chain(children).collect();
        signal("-STOP", &all);
        Self(all)
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        signal("-CONT", &self.0);
    }
}

fn signal(signal: &str, processes: &[String]) {
    // One of them may have ended by itself.
    let _ = Command::new("kill").arg(signal).args(processes).status();
}

fn get(fleet: &Fleet, site: &str, path: &str, headers: &str) -> Answer {
    let url = fleet.url(site, path);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}Connection: close\r\n\r\n", address::authority(&url));
    send(address::port(&url), request.as_bytes()).unwrap_or_else(|error| panic!("{url}: {error}"))
}

#[test]
fn a2_a_database_that_hangs_costs_no_page_behind_caddy() {
    let fleet = fleet();
    let secret = fs::read_to_string(fleet.folder().join("made/secrets/shop.localhost")).expect("a secret");
    let key = SiteSecret::parse(secret.trim()).expect("a secret").api_key();
    let bearer = format!("Authorization: Bearer {}\r\n", key.as_str());
    let mut known = Browser::new();
    known.navigate(&fleet.url("shop", "/"));
    let visitor = known.visitor(&fleet.url("shop", "")).expect("an ID");
    let record = format!("/_throughline/api/visitors/{visitor}");
    wait_for("the record is there", || get(&fleet, "brand", &record, &bearer).status == 200);
    let said_before = fleet.log("caddy").len();

    let hanging = Hanging::new(&fleet);
    let (is_over, clock) = (AtomicBool::new(false), SystemClock::new());
    let (answers, pages) = std::thread::scope(|scope| {
        let ask = || {
            let mut answers = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                answers.push(get(&fleet, "brand", &record, &bearer));
            }
            answers
        };
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        let mut pages = Vec::new();
        while clock.uptime() < HANGS_FOR {
            for site in ["brand", "shop", "learn"] {
                let begun = clock.uptime();
                let answer =
                    get(&fleet, site, "/", "Accept: text/html\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n");
                pages.push((site, answer.status, clock.uptime() - begun));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        is_over.store(true, Ordering::Relaxed);
        let answers: Vec<_> = asking.into_iter().flat_map(|asking| asking.join().expect("answers")).collect();
        (answers, pages)
    });
    drop(hanging);

    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert!(statuses.len() >= 8 && statuses.iter().all(|status| *status == 503), "{statuses:?}");
    let of_broker = |answer: &Answer| answer.text().contains("store_unavailable");
    assert!(answers.iter().all(of_broker), "the broker says so itself: {answers:?}");
    let slowest = pages.iter().max_by_key(|(.., took)| *took).expect("pages");
    println!("{} pages, the slowest {slowest:?}", pages.len());
    assert!(pages.iter().all(|(_, status, took)| *status < 400 && *took < PAGE_TIME_MAX), "{slowest:?}: {pages:?}");
    let said = fleet.log("caddy").split_off(said_before);
    assert!(!said.contains("timeout awaiting response headers") && !said.contains("no upstreams available"), "{said}");
    wait_for("it goes on", || get(&fleet, "brand", &record, &bearer).status == 200);
}
