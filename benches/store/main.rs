//! What it costs the broker to write visitors down: ratios from one run on one machine.
//!
//! Like the other benchmark over HTTP, it counts the server's own processor time, its store's thread included, in interleaved
//! rounds, and compares the rates that one round in ten beats. Nothing fails for being slow; a wrong answer ends the run.

#![expect(clippy::disallowed_methods, reason = "a benchmark is about the machine's own time")]

#[path = "../http/company.rs"]
#[expect(dead_code, reason = "shared with the other benchmark, which uses all of it")]
mod company;
#[path = "../http/load.rs"]
#[expect(dead_code, reason = "shared with the other benchmark, which uses all of it")]
mod load;
#[path = "../http/process.rs"]
#[expect(dead_code, reason = "shared with the other benchmark, which uses all of it")]
mod process;
#[path = "../../tests/support/mod.rs"]
mod support;

mod fill;
mod nodes;
mod paced;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use throughline::config::{StoreConfig, StorePlace};
use throughline::domain::postgres_url::PostgresUrl;
use throughline::store::revoked_ids::{RevokedIds, Verdict};

use company::Company;
use load::{Connection, Expected, Requests};
use process::{Server, free_port, pin_load};

const ROUNDS: usize = 21;
const COUNT: usize = 4_000;
/// More than in the other benchmark: who waits for a commit shares it with all who wait.
const CONNECTIONS: usize = 64;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["broker", port, place] => broker(port.parse().expect("a port"), store(place)),
        ["revoked"] => hold_revoked(),
        _ => measure(words.iter().copied().find(|word| !word.starts_with('-'))),
    }
}

fn store(place: &str) -> StorePlace {
    if place.starts_with("postgres://") {
        StorePlace::Postgres(PostgresUrl::parse(place, |_, path| Ok(path.into())).expect("a URL"))
    } else {
        StorePlace::Sqlite(place.into())
    }
}

fn broker(port: u16, place: StorePlace) {
    let launch = Company::on(port).launch(StoreConfig { place, ..StoreConfig::memory() });
    let pages = |app: &mut web::ServiceConfig| {
        app.default_service(web::to(async || HttpResponse::Ok().finish()));
    };
    actix_web::rt::System::new().block_on(launch.run(pages, |_| ())).expect("a server");
}

fn measure(only: Option<&str>) {
    pin_load();
    let folder = tempfile::tempdir_in(std::env::current_dir().expect("a folder")).expect("a folder on this disk");
    let wants = |name: &str| only.is_none_or(|only| only == name);
    println!("| what | figure | target | |");
    println!("|---|---|---|---|");
    if wants("first") {
        first(folder.path());
    }
    if wants("many") {
        many(folder.path());
    }
    if wants("revoked") {
        revoked();
    }
    if wants("nodes") {
        nodes::measure();
    }
}

fn line(what: &str, figure: f64, unit: &str, target: &str, met: bool) {
    println!("| {what} | {figure:.2}{unit} | {target} | {} |", if met { "met" } else { "not met" });
}

/// A broker with a store in a file or at a URL, and its company.
fn start(place: &str) -> (Server, Company) {
    let port = free_port();
    let program = std::env::current_exe().expect("this program").display().to_string();
    let server = Server::start(&program, port, &["broker".into(), port.to_string(), place.to_owned()]);
    let company = Company::on(port);
    let begun = Instant::now();
    loop {
        let mut connection = Connection::open(port);
        connection.ask(Hop::First.requests(&company, 1).get(0));
        let answer = connection.answer();
        if Hop::First.expected(&company).is_met_by(answer) && answer.contains("store;desc=written") {
            return (server, company);
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not come to write visitors down:\n{answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[derive(Clone, Copy)]
enum Hop {
    /// The master cookie is there, and the visitor was written down a moment ago.
    Known,
    /// A new visitor: an ID is minted and written down, and the answer waits for that.
    First,
}

impl Hop {
    /// A hop request lives for a minute: fresh ones for every round.
    fn requests(self, company: &Company, count: usize) -> Requests {
        let cookie = match self {
            Self::Known => format!("Cookie: {}\r\n", company.master_cookie()),
            Self::First => String::new(),
        };
        let (host, hop) = (company.brand.authority(), company.hop());
        let request = format!(
            "GET {hop} HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
             Accept: text/html\r\nReferer: https://news.example/today\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\
             {cookie}\r\n"
        );
        Requests::Same(request.into_bytes(), count)
    }

    fn expected(self, company: &Company) -> Expected {
        let mut parts = vec![format!("\r\nlocation: {}{}&_tl=ey", company.shop, company::PAGE)];
        if matches!(self, Self::First) {
            parts.push("\r\nset-cookie: throughline=1.b.".into());
        }
        Expected { status: "HTTP/1.1 302 ", parts }
    }
}

struct Rate {
    processor: f64,
    clock: f64,
}

fn round(server: &Server, company: &Company, hop: Hop) -> Rate {
    let (requests, expected) = (hop.requests(company, COUNT), hop.expected(company));
    let (processor, clock) = (server.processor_time(), Instant::now());
    load::run(server.port, CONNECTIONS, &requests, &expected);
    let clock = clock.elapsed();
    let rate = |took: Duration| COUNT as f64 / took.as_secs_f64();
    Rate { clock: rate(clock), processor: rate(server.processor_time() - processor) }
}

/// The rate that one round in ten beats: neighbours only ever make a round slower.
fn undisturbed(rates: &[Rate], pick: fn(&Rate) -> f64) -> f64 {
    let mut rates: Vec<_> = rates.iter().map(pick).collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() * 9 / 10]
}

const REVOKED: u64 = 10_000_000;

/// Memory that ten million revoked IDs take, in a process that holds nothing else.
fn revoked() {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program).arg("revoked").stdout(Stdio::piped()).spawn().expect("this program runs");
    let mut said = String::new();
    let output = child.stdout.as_mut().expect("a pipe");
    BufReader::new(output).read_line(&mut said).expect("a line");
    let resident = process::resident(child.id());
    let (mebibytes, nanoseconds) = (resident, said.trim());
    println!("| one look among ten million revoked IDs | {nanoseconds} ns | | |");
    line("memory of ten million revoked IDs", mebibytes * 1.048_576, " MB", "200 MB", mebibytes * 1.048_576 < 200.0);
    let _ = child.kill();
    let _ = child.wait();
}

fn hold_revoked() {
    let revoked = RevokedIds::default();
    (0..REVOKED).for_each(|number| revoked.insert(fill::id(number, REVOKED)));
    let begun = Instant::now();
    let found = (0..REVOKED).filter(|number| revoked.judge(fill::id(*number, REVOKED)) == Verdict::Revoked).count();
    println!("{}", begun.elapsed().as_nanos() / u128::from(REVOKED));
    assert_eq!(found as u64, revoked.len());
    std::thread::sleep(Duration::from_secs(60));
}

/// A first-time hop against a hop that writes nothing; and how long first-time hops take at half of that load.
fn first(folder: &Path) {
    let (server, company) = start(&folder.join("first.sqlite").display().to_string());
    let (mut known, mut first) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        known.push(round(&server, &company, Hop::Known));
        first.push(round(&server, &company, Hop::First));
    }
    let (of_known, of_first) = (undisturbed(&known, |rate| rate.processor), undisturbed(&first, |rate| rate.processor));
    println!("| hop that writes nothing | {of_known:.0}/s | | |");
    println!("| first-time hop, written to SQLite | {of_first:.0}/s | | |");
    line("the second by the first", of_first / of_known, "", "0.60", of_first / of_known >= 0.6);
    let clock = undisturbed(&first, |rate| rate.clock);
    println!("| first-time hops by the clock, 64 at a time | {clock:.0}/s | | |");
    let (requests, expected) = (Hop::First.requests(&company, 1), Hop::First.expected(&company));
    let mut took = paced::run(server.port, requests.get(0), &expected, clock / 2.0, Duration::from_secs(10));
    took.sort();
    let at = |share: f64| took[(took.len() as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!("| median of first-time hops at half of that | {:.2} ms | | |", at(0.5));
    line("99th percentile of the same", at(0.99), " ms", "15 ms", at(0.99) < 15.0);
}

/// What a first-time hop costs among many visitors, and among few.
fn many(folder: &Path) {
    let (few, many) = (10_000, 10_000_000);
    let files = [few, many].map(|count| {
        let file = folder.join(format!("{count}.sqlite"));
        let octets = fill::fill(&file, count);
        println!("| octets on disk for each of {count} visitors | {:.0} | | |", octets as f64 / count as f64);
        file
    });
    let servers = files.map(|file| start(&file.display().to_string()));
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for ((server, company), rates) in servers.iter().zip(&mut rates) {
            rates.push(round(server, company, Hop::First));
        }
    }
    let [few, many] = rates.map(|rates| undisturbed(&rates, |rate| rate.processor));
    println!("| first-time hop among ten thousand visitors | {few:.0}/s | | |");
    println!("| first-time hop among ten million | {many:.0}/s | | |");
    line("its cost, by that among ten thousand", few / many, "", "at most 1.30", few / many <= 1.3);
}
