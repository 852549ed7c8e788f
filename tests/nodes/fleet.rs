//! Two brokers and two satellite processes of the same sites, one PostgreSQL, one Redis: what one of them knows, all know.
//!
//! That a token is taken once across nodes is rule T7's: tests/stores/replay_nodes.rs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use throughline::base::clock::{Clock as _, SystemClock};

use crate::ask::{api, configuration, hop, is_recorded, record, refuse, store, wait_for, wait_until_written};
use crate::balancer::Balancer;
use crate::load::{Ledger, Over};
use crate::support::address;
use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::{Part, Setup};
use crate::support::postgres::Postgres;
use crate::support::process::{Process, free_port, sees_broker, wait_until};
use crate::support::redis::Redis;
use crate::support::wire::{Answer, send};

const POLL_MS: u64 = 500;

/// The poll interval, and the time that a busy machine takes over it.
const POLL_BOUND: Duration = Duration::from_millis(POLL_MS + 2000);

/// Balancers listen where the origins point to; each node has a port of its own.
pub(crate) struct Fleet {
    pub(crate) company: Company,
    /// The first two processes are the brokers, the others the satellites.
    pub(crate) brokers: [u16; 2],
    pub(crate) satellites: [u16; 2],
    front: [Balancer; 2],
    _redis: Redis,
}

impl Fleet {
    /// `direct`: each satellite asks one broker only. Otherwise whichever answers.
    fn start(direct: bool) -> Self {
        Self::start_on(&Postgres::shared().new_database(), direct)
    }

    /// The same, with the records in the database at `url`.
    pub(crate) fn start_on(url: &str, direct: bool) -> Self {
        let redis = Redis::start(&[]);
        let setup = Setup { probe_interval_ms: 500, revocation_interval_ms: POLL_MS, log: "warn", ..Setup::default() };
        let mut company = Company::unstarted(setup);
        let [brokers, satellites] = [(); 2].map(|()| [(); 2].map(|()| free_port()));
        let front = [Balancer::start(company.broker_port(), &brokers), Balancer::start(company.port(), &satellites)];
        for (n, port) in brokers.into_iter().enumerate() {
            let tables = format!("[store]\nurl = \"{url}\"\nhop_wait_ms = 200\n");
            let file = configuration(&company, Part::Broker, &format!("broker-{n}"), port, &tables);
            company.processes.push(Process::serve(&file));
        }
        for (n, port) in satellites.into_iter().enumerate() {
            let mut tables = format!("[replay]\nnodes = [\"{}\"]\ntimeout_ms = 2000\n", redis.url());
            if direct {
                tables.push_str(&format!("[outbound.resolve]\n\"brand.localhost\" = \"127.0.0.1:{}\"\n", brokers[n]));
            }
            let file = configuration(&company, Part::Satellites, &format!("satellite-{n}"), port, &tables);
            company.processes.push(Process::serve(&file));
        }
        let mut fleet = Self { company, brokers, satellites, front, _redis: redis };
        fleet.wait_until_ready();
        fleet
    }

    fn wait_until_ready(&mut self) {
        let Self { company, brokers, satellites, .. } = self;
        let answers = |port: u16, site: &str, origin: &str| {
            let request = format!("GET /_throughline/health HTTP/1.1\r\nHost: {}\r\n\r\n", address::authority(origin));
            send(port, request.as_bytes()).is_ok_and(|answer| answer.status == 200 && (site == "brand" || sees_broker(&answer)))
        };
        let (brand, shop, learn) = (company.brand.clone(), company.shop.clone(), company.learn.clone());
        let link = format!("/_throughline/go?to={}%2F", learn.replace(':', "%3A").replace('/', "%2F"));
        let request = format!("GET {link} HTTP/1.1\r\nHost: {}\r\n\r\n", address::authority(&shop));
        let is_ready = || {
            brokers.iter().all(|port| answers(*port, "brand", &brand))
                && satellites.iter().all(|port| {
                    answers(*port, "shop", &shop) && send(*port, request.as_bytes()).is_ok_and(|answer| answer.status == 302)
                })
        };
        let is_over = || company.processes.iter_mut().any(Process::has_ended);
        let ready = wait_until("all four are well", is_over, is_ready);
        ready.unwrap_or_else(|problem| panic!("{problem}: {}", self.company.stderr()));
        // Redis is connected as soon as tokens are taken.
        for node in 0..2 {
            wait_for("tokens are taken", || self.visit_at(node).1.is_some());
        }
    }

    /// Somebody new comes to one satellite: the browser, and the ID.
    pub(crate) fn visit_at(&self, node: usize) -> (Browser, Option<String>) {
        let mut browser = Browser::new();
        let port = self.satellites[node];
        let (mut url, mut ways) = (format!("{}/p.html", self.company.shop), 0);
        // As browsers do, but each request to shop goes to that node.
        loop {
            let is_shop = url.starts_with(&self.company.shop);
            let answer = if is_shop { self.at(port, &mut browser, &url, None) } else { browser.step(&url, None) };
            ways += 1;
            match answer.header("location") {
                Some(location) if ways < 6 => url = location.to_owned(),
                _ => break assert_eq!(answer.status, 200, "{url}: {answer:?}"),
            }
        }
        let visitor = browser.cookie(&self.company.shop, "throughline").and_then(|value| value.split('.').nth(2));
        let visitor = visitor.filter(|id| !id.is_empty()).map(String::from);
        (browser, visitor)
    }

    /// A request of the browser's to shop at one node. With a body it is a script's.
    pub(crate) fn at(&self, port: u16, browser: &mut Browser, url: &str, body: Option<&str>) -> Answer {
        let cookies: Vec<_> = ["throughline", "throughline-hop"]
            .iter()
            .filter_map(|name| browser.cookie(&self.company.shop, name).map(|value| format!("{name}={value}")))
            .collect();
        let cookies = cookies.join("; ");
        let (host, target) = (address::authority(url), address::target(url));
        let request = match body {
            Some(body) => format!(
                "{} {target} HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: same-origin\r\nOrigin: {}\r\nCookie: {cookies}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                if body.is_empty() { "GET" } else { "POST" },
                self.company.shop,
                body.len(),
            ),
            None => format!(
                "GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {}\r\nAccept: text/html\r\nSec-Fetch-Dest: document\r\n\
                 Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nCookie: {cookies}\r\n\r\n",
                crate::support::browser::FIREFOX,
            ),
        };
        let answer = send(port, request.as_bytes()).unwrap_or_else(|error| panic!("{url} at {port}: {error}"));
        for line in answer.all("set-cookie") {
            let (pair, rest) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').expect("a cookie");
            browser.jar.entry(address::host(&self.company.shop).to_owned()).or_default().retain(|cookie| cookie.name != name);
            if !rest.contains("Max-Age=0") {
                browser.put(&self.company.shop, name, value);
            }
        }
        answer
    }

    fn me_at(&self, node: usize, browser: &mut Browser) -> serde_json::Value {
        let answer = self.at(self.satellites[node], browser, &format!("{}/_throughline/me", self.company.shop), Some(""));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    fn post_at(&self, node: usize, browser: &mut Browser, path: &str, body: &str) -> Answer {
        self.at(self.satellites[node], browser, &format!("{}/_throughline/{path}", self.company.shop), Some(body))
    }
}

#[test]
fn what_one_node_writes_another_reads_at_once() {
    let fleet = Fleet::start(true);
    for turn in 0..10 {
        let (mut browser, visitor) = fleet.visit_at(turn % 2);
        assert!(visitor.is_some());
        for (n, node) in [0, 1, 0, 1].into_iter().enumerate() {
            let set = fleet.post_at(node, &mut browser, "me", &format!(r#"{{"set":{{"plan":"p{n}","n{n}":{n}}}}}"#));
            assert_eq!(set.status, 200, "{set:?}");
            let me = fleet.me_at(1 - node, &mut browser);
            assert_eq!((me["visitor"].as_str(), me["record"].as_str()), (visitor.as_deref(), Some("present")), "{me}");
            assert_eq!(me["properties"]["plan"], format!("p{n}"), "{me}");
            assert_eq!(me["properties"].as_object().map(serde_json::Map::len), Some(n + 2), "{me}");
        }
        let read = record(&fleet.company, fleet.brokers[0], visitor.as_deref().expect("an ID")).expect("a record");
        assert_eq!(read["version"], 4, "{read}");
    }
}

/// Says when all four refuse an ID: both brokers on hops, both satellites on pages and `me`.
fn assert_gone_everywhere(fleet: &Fleet, browser: &Browser, visitor: &str) {
    let clock = SystemClock::new();
    let master = browser.cookie(&fleet.company.brand, "throughline").expect("a master cookie").to_owned();
    for port in fleet.brokers {
        let ask = || hop(&fleet.company, port, Some(&master)).expect("an answer");
        wait_for("the broker refuses it", || ask().visitor.is_none());
        assert_eq!(ask().master.as_deref(), Some("denied"));
        assert!(record(&fleet.company, port, visitor).is_none());
    }
    for node in 0..2 {
        wait_for("the satellite refuses it", || fleet.me_at(node, &mut browser.clone())["visitor"].is_null());
        let mut returning = browser.clone();
        assert_eq!(fleet.me_at(node, &mut returning)["consent"], "denied");
        let mut returning = browser.clone();
        let page = fleet.at(fleet.satellites[node], &mut returning, &format!("{}/p.html", fleet.company.shop), None);
        assert_eq!(page.status, 200, "no hop starts for it: {page:?}");
        assert_eq!(returning.cookie(&fleet.company.shop, "throughline"), Some("denied"), "{page:?}");
    }
    assert!(clock.uptime() < POLL_BOUND, "{:?}", clock.uptime());
    println!("C2: gone on all four after {:?}", clock.uptime());
}

#[test]
fn c1_c2_an_erasure_on_one_node_counts_on_all_within_the_poll_interval() {
    let fleet = Fleet::start(true);
    // By the company's own servers, at either broker.
    for broker in fleet.brokers {
        let (mut browser, visitor) = fleet.visit_at(0);
        let visitor = visitor.expect("an ID");
        assert_eq!(fleet.me_at(1, &mut browser)["visitor"], visitor.as_str());
        assert!(is_recorded(&refuse(&fleet.company, broker, &visitor).expect("an answer")));
        assert_gone_everywhere(&fleet, &browser, &visitor);
    }
    // By the visitor, at either satellite.
    for node in 0..2 {
        let (browser, visitor) = fleet.visit_at(node);
        let forgotten = fleet.post_at(node, &mut browser.clone(), "forget", "{}");
        assert_eq!(forgotten.json()["everywhere"], true, "{forgotten:?}");
        assert_gone_everywhere(&fleet, &browser, &visitor.expect("an ID"));
    }
}

/// Visitors come without a pause, each to the next satellite that lives.
struct Visitors {
    is_over: AtomicBool,
    /// The nodes that are there for visitors.
    living: [AtomicBool; 2],
    pages: AtomicUsize,
    ids: AtomicUsize,
}

impl Visitors {
    /// One after the other, until it is over. A visit to a living node that gets no page is a failure.
    fn come(&self, fleet: &Fleet) {
        let mut turn = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            turn += 1;
            let node = turn % 2;
            if !self.living[node].load(Ordering::Relaxed) {
                continue;
            }
            let request = format!(
                "GET /p.html?n={turn} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\nAccept: text/html\r\nSec-Fetch-Dest: document\r\n\
                 Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n\r\n",
                address::authority(&fleet.company.shop),
                crate::support::browser::FIREFOX,
            );
            match send(fleet.satellites[node], request.as_bytes()) {
                Ok(answer) => {
                    let onward = answer.header("location").is_some_and(|to| to.starts_with(&fleet.company.brand));
                    assert!(answer.status == 200 || (answer.status == 302 && onward), "{answer:?}");
                    self.pages.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    std::thread::sleep(Duration::from_millis(100));
                    assert!(!self.living[node].load(Ordering::Relaxed), "a page of a living node is lost: {error}");
                }
            }
            // Now and then a whole visit, as a browser behind the balancers sees it.
            if turn % 11 < 2 {
                let mut browser = Browser::new();
                let visit = browser.navigate(&format!("{}/p.html?n={turn}", fleet.company.shop));
                assert_eq!(visit.page().status, 200, "{visit:#?}");
                assert_eq!(visit.url(), format!("{}/p.html?n={turn}", fleet.company.shop), "{visit:#?}");
                let has_id = browser.cookie(&fleet.company.shop, "throughline").is_some_and(|value| value.starts_with("1.b."));
                self.ids.fetch_add(usize::from(has_id), Ordering::Relaxed);
            }
        }
    }

    /// Visitors get IDs again, `before` some moment.
    fn assert_ids_come(&self, what: &str) {
        let (before, clock) = (self.ids.load(Ordering::Relaxed), SystemClock::new());
        wait_for(what, || self.ids.load(Ordering::Relaxed) >= before + 3);
        println!("{what} after {:?}", clock.uptime());
        std::thread::sleep(Duration::from_millis(700));
        assert!(clock.uptime() < Duration::from_secs(10), "{what}: {:?}", clock.uptime());
    }
}

#[test]
fn a1_a3_nodes_that_are_killed_under_load_cost_no_page_and_no_acknowledged_write() {
    let mut fleet = Fleet::start(false);
    // The balancers were there first, and asked nodes that did not listen yet.
    let at_first = [0, 1].map(|front: usize| [0, 1].map(|node| fleet.front[front].failures(node)));
    let mut dying: Vec<_> = [2, 0].map(|process| fleet.company.processes.remove(process)).into();
    let (mut broker, mut satellite) = (dying.pop().expect("a broker"), dying.pop().expect("a satellite"));
    let visitors = Visitors {
        is_over: AtomicBool::new(false),
        living: [true, true].map(AtomicBool::new),
        pages: AtomicUsize::new(0),
        ids: AtomicUsize::new(0),
    };
    let (fleet, turn) = (&fleet, AtomicUsize::new(0));
    let port = || fleet.brokers[turn.fetch_add(1, Ordering::Relaxed) % 2];
    let ledger = std::thread::scope(|scope| {
        let over = Over(&visitors.is_over);
        let coming: Vec<_> = (0..3).map(|_| scope.spawn(|| visitors.come(fleet))).collect();
        let ledger = Ledger::write_until(&fleet.company, &port, || {
            visitors.assert_ids_come("with all four, IDs come");
            broker.kill();
            visitors.assert_ids_come("with one broker, IDs come again");
            visitors.living[0].store(false, Ordering::Relaxed);
            satellite.kill();
            visitors.assert_ids_come("with one of each, IDs come again");
        });
        drop(over);
        coming.into_iter().for_each(|thread| thread.join().expect("every page came"));
        ledger
    });
    for (front, before) in at_first.into_iter().enumerate() {
        assert!(fleet.front[front].failures(0) > before[0], "it was asked when it was dead");
        assert_eq!(fleet.front[front].failures(1), before[1], "the other never failed");
    }
    wait_until_written(&fleet.company, fleet.brokers[1]);
    assert_eq!(store(&fleet.company, fleet.brokers[1])["lost"], 0);
    ledger.assert_kept(&fleet.company, fleet.brokers[1], "two of four nodes killed");
    ledger.assert_refused(&fleet.company, fleet.brokers[1], "two of four nodes killed");
    let count = ledger.count();
    println!(
        "{} pages, {} visits with an ID, {count:?}",
        visitors.pages.load(Ordering::Relaxed),
        visitors.ids.load(Ordering::Relaxed)
    );
    assert!(visitors.pages.load(Ordering::Relaxed) > 100 && count.written > 50 && count.set > 10 && count.refused > 10);
    assert!(api(&fleet.company, fleet.brokers[0], "GET", "revocations", "").is_err(), "it is dead");
}
