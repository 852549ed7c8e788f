//! The page as it is drawn: for a company of one site and of fifty, with a day of visits. Where THROUGHLINE_PAGES names a folder,
//! the pages are left there to be looked at; scripts/operator_page does that.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody as _;
use arc_swap::ArcSwapOption;
use throughline::admin::Admin;
use throughline::admin::history::History;
use throughline::admin::hosts::Hosts;
use throughline::admin::metrics::Metrics;
use throughline::admin::page::page;
use throughline::admin::sample::sample;
use throughline::app::admin::Process;
use throughline::app::connections::Connections;
use throughline::app::launch::Launch;
use throughline::base::clock::{Clock as _, ManualClock, SystemClock, UnixSeconds};
use throughline::base::id::VisitorId;
use throughline::base::origin::Origin;
use throughline::base::random::{CountingRandom, Random as _};
use throughline::config::Config;
use throughline::domain::consent::Basis;
use throughline::domain::first_touch::FirstTouch;
use throughline::domain::own_hosts::OwnHosts;
use throughline::domain::record::{Change, Write, Writer};
use throughline::domain::url::PageUrl;
use throughline::http::event::{Event, Log, Observer as _, Step, Timing, Work};
use throughline::store::visitors::VisitorStore;
use throughline::store::visitors::sqlite::SqliteStore;

const NAMES: [&str; 10] = ["brand", "shop", "learn", "outlet", "careers", "forum", "events", "status", "partners", "blog"];
const REFERRERS: [&str; 8] = [
    "search.example",
    "news.example",
    "video.example",
    "social.example",
    "mail.example",
    "review.example",
    "maps.example",
    "wiki.example",
];
const CAMPAIGNS: [&str; 4] = ["spring-sale", "launch", "newsletter-42", "retargeting"];

/// A stream of numbers that looks like chance and is the same each time.
struct Chance(CountingRandom, u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.1 = self.1.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.1 >> 33) % limit
    }

    fn visitor(&mut self) -> VisitorId {
        let mut bytes = [0; 16];
        self.0.fill(&mut bytes).expect("it counts");
        bytes.iter_mut().for_each(|byte| *byte = u8::try_from(self.below(256)).expect("an octet"));
        (bytes[6], bytes[8]) = (bytes[6] & 0x0f | 0x40, bytes[8] & 0x3f | 0x80);
        VisitorId::from_bytes(&bytes).expect("version 4")
    }
}

fn origins(count: usize) -> Vec<Origin> {
    let name = |number: usize| match number / NAMES.len() {
        0 => format!("https://www.{}.example", NAMES[number]),
        round => format!("https://{}-{}.example", NAMES[number % NAMES.len()], ["", "de", "fr", "it", "japan"][round]),
    };
    (0..count).map(|number| Origin::parse(&name(number)).expect("an origin")).collect()
}

fn launch(folder: &std::path::Path, sites: &[Origin]) -> Launch {
    let mut line = vec!["throughline".to_owned(), "init".into(), "--primary".into(), sites[0].to_string()];
    for site in &sites[1..] {
        line.extend(["--site".into(), site.to_string()]);
    }
    line.extend(["--consent".into(), "implied".into(), "--folder".into(), folder.display().to_string()]);
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_throughline")).args(&line[1..]).output().expect("it runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let config = Config::load(&folder.join("throughline.toml"), &|_| None).unwrap_or_else(|report| panic!("{report}"));
    Launch::new(config, Arc::new(Log)).unwrap_or_else(|failure| panic!("{failure}"))
}

async fn seed(store: &dyn VisitorStore, sites: &[Origin], chance: &mut Chance, visitors: usize) {
    let own = OwnHosts::new(sites.iter());
    let mut writes = Vec::new();
    for _ in 0..visitors {
        let visitor = chance.visitor();
        // Few sites have many visitors, and neighbours in the list share some.
        let popular = |chance: &mut Chance| {
            let least = (0..3).map(|_| chance.below(sites.len() as u64)).min().unwrap_or_default();
            usize::try_from(least).expect("a small number")
        };
        let first = popular(chance);
        let mut seen = vec![first];
        while chance.below(10) < 4 {
            seen.push(if chance.below(2) == 0 { (first + 1) % sites.len() } else { popular(chance) });
        }
        let campaign = if chance.below(4) == 0 {
            format!("?utm_campaign={}", CAMPAIGNS[usize::try_from(chance.below(4)).unwrap()])
        } else {
            String::new()
        };
        let page = PageUrl::on(&sites[first], &format!("/{campaign}")).expect("a page");
        let least = chance.below(8).min(chance.below(10));
        let referrer = REFERRERS.get(usize::try_from(least).unwrap()).map(|host| format!("https://{host}/x"));
        let referrer = referrer.filter(|_| chance.below(3) > 0);
        let mut touch = Some(FirstTouch::of(&page, referrer.as_deref(), &own, UnixSeconds(1000)));
        for site in seen {
            let change = Change::Seen { basis: Basis::Implied, created: UnixSeconds(1000), first_touch: touch.take() };
            writes.push(Arc::new(Write { visitor, by: Writer::Broker(sites[site].to_string()), at: UnixSeconds(1000), change }));
        }
    }
    for batch in writes.chunks(500) {
        store.commit(batch.to_vec()).await.expect("a commit");
    }
}

/// A day, quarter by quarter, with a quiet night and one hour in which the store was slow.
fn live(metrics: &Metrics, history: &History, clock: &ManualClock, sites: &[Origin], chance: &mut Chance) {
    for quarter in 0_u64..96 {
        let busy = 20 + (40.0 * (1.0 - (quarter as f64 / 96.0 * std::f64::consts::TAU).cos())) as u64 + chance.below(12);
        let is_slow = (60..64).contains(&quarter);
        for _ in 0..busy {
            let site = &sites[usize::try_from(chance.below(sites.len() as u64)).unwrap()];
            let tell = |site, step, code| metrics.saw(&Event { site, asking: Some(site), step, code, flow: None });
            let timed = |work, micros| {
                let took = Duration::from_micros(micros);
                metrics.timed(&Timing { work, site, asking: None, code: "x", flow: None, took });
            };
            let hop = match chance.below(20) {
                0 => "hop_stale",
                1..=8 => "hop_minted",
                _ => "hop_known",
            };
            tell(&sites[0], Step::Hop, hop);
            let micros = 40 + chance.below(60) + if hop == "hop_minted" { 400 + chance.below(1500) } else { 0 };
            timed(Work::Hop, if is_slow { micros * 12 } else { micros });
            if *site != sites[0] {
                tell(site, Step::Start, "start");
                tell(
                    site,
                    Step::Arrival,
                    match chance.below(40) {
                        0 => "wrong_flow",
                        1..=9 => "link",
                        _ => "bounce",
                    },
                );
                timed(Work::Exchange, 60 + chance.below(80));
            }
            timed(Work::Commit, 200 + chance.below(900));
        }
        for _ in 0..15 {
            clock.advance(Duration::from_secs(60));
            history.look(metrics, clock.now());
        }
    }
}

async fn draw(count: usize, visitors: usize) -> String {
    let sites = origins(count);
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::at(SystemClock::new().now()));
    let mut launch = launch(folder.path(), &sites);
    Arc::get_mut(&mut launch.node).expect("nobody else has it").env.clock = Arc::<ManualClock>::clone(&clock);
    let node = launch.node;
    node.satellite.breaker.record(true);
    let connections = Arc::new(Connections::new(Arc::clone(&node.env.clock), 16));
    let lost_lines = Arc::new(|| 0);
    let process = Arc::new(Process { node, lost_lines, lost_spans: Arc::default(), certificate: None, connections });

    let mut chance = Chance(CountingRandom::default(), 7);
    let store = SqliteStore::memory();
    seed(&store, &sites, &mut chance, visitors).await;
    let metrics = Arc::new(Metrics::new(Arc::<ManualClock>::clone(&clock), Arc::new(Log)));
    let history = History::new(clock.now());
    live(&metrics, &history, &clock, &sites, &mut chance);
    let found = sample(&store, &*process, 100_000).await.expect("a sample");
    assert_eq!(found.records, visitors as u64);
    let admin =
        Admin { metrics, process, hosts: Hosts::default(), history, sample: Arc::new(ArcSwapOption::from_pointee(found)) };
    let body = page(&admin).into_body().try_into_bytes().expect("a whole body");
    String::from_utf8(body.to_vec()).expect("text")
}

fn keep(name: &str, html: &str) {
    if let Ok(folder) = std::env::var("THROUGHLINE_PAGES") {
        std::fs::write(format!("{folder}/{name}.html"), html).expect("the folder is there");
    }
}

#[tokio::test]
async fn with_one_site_the_page_is_whole() {
    let html = draw(1, 200).await;
    keep("1", &html);
    assert!(html.contains("There is one site so far, with 200 visitors.") && html.trim_end().ends_with("</html>"));
    assert!(!html.contains("Tokens that came to the sites"), "there is no secondary");
}

#[tokio::test]
async fn with_six_sites_each_cell_says_how_many() {
    let html = draw(6, 4000).await;
    keep("6", &html);
    assert!(html.contains("matrix few") && html.contains("From all 4\u{202f}000 records"));
    assert_eq!(html.matches("class=\"self\"").count(), 6);
}

#[tokio::test]
async fn with_fifty_sites_every_pair_has_its_cell_and_the_page_stays_small() {
    let html = draw(50, 20_000).await;
    keep("50", &html);
    assert_eq!(html.matches("also seen on www.brand.example\"").count(), 49);
    assert_eq!(html.matches("class=\"self\"").count(), 50);
    assert!(html.len() < 700_000, "{} octets", html.len());
}
