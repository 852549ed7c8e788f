//! Throughline over HTTP, against what the web server under it can do: ratios from one run on one machine.
//!
//! Each case interleaves rounds of our server with rounds of its limit: the same requests, the same answers to the byte,
//! and the one signature or verification that nobody can leave out, in a bare actix-web handler. The servers share one
//! core and the load has another. The rates are requests in a second of the server's own processor time, which neighbours
//! on a shared machine disturb less than the clock; `ratio` compares the rounds that were disturbed least. The ratios of
//! all rounds, and those by the clock, stand beside it.
//!
//! Nothing here fails for being slow; a wrong answer ends the run.

#![expect(clippy::disallowed_methods, reason = "a benchmark is about the machine's own time")]

mod company;
#[expect(dead_code, reason = "shared with the benchmark of the store, which uses all of it")]
mod load;
mod process;
mod proxied;
mod servers;

use std::time::{Duration, Instant};

use company::{Company, PAGE};
use load::{Connection, Expected, Requests};
use process::{Server, first_answer, free_port, pin_load};
use servers::Work;

const ROUNDS: usize = 41;
const CONNECTIONS: usize = 32;
const STARTS: usize = 10;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["ours", port] => servers::ours(number(port)),
        ["watched", port, admin] => servers::watched(number(port), number(admin)),
        ["filled", port] => servers::filled(number(port)),
        ["limit", port, work, length, answer] => servers::limit(number(port), Work::named(work), number(length), answer),
        _ => measure(words.iter().copied().find(|word| !word.starts_with('-'))),
    }
}

fn number<N: std::str::FromStr>(text: &str) -> N {
    text.parse().ok().expect("a number")
}

/// Measures everything, or the one case that is named.
fn measure(only: Option<&str>) {
    pin_load();
    println!("| what | ours/s | limit/s | ratio | round by round: median (min to max) | by the clock | target | |");
    println!("|---|---|---|---|---|---|---|---|");
    for case in [Case::Hop, Case::Page, Case::Exchange, Case::Forward]
        .into_iter()
        .filter(|case| only.is_none_or(|only| only == case.name()))
    {
        case.measure();
    }
    if only.is_none_or(|only| only == "watched") {
        measure_watched();
    }
    if only.is_none() {
        measure_process();
    }
    if only.is_none_or(|only| only == "nginx") {
        proxied::measure(&program());
    }
}

/// What metrics and a line of the log cost a hop: the same server with and without them.
fn measure_watched() {
    let [bare_port, watched_port, admin] = [free_port(), free_port(), free_port()];
    let bare = Server::start(&program(), bare_port, &["ours".into(), bare_port.to_string()]);
    let watched = Server::start(&program(), watched_port, &["watched".into(), watched_port.to_string(), admin.to_string()]);
    let companies = [watched_port, bare_port].map(Company::on);
    companies.iter().for_each(|company| drop(Case::Hop.first_answer(company)));
    let figures = Case::Hop.compare([(&watched, &companies[0]), (&bare, &companies[1])]);
    println!();
    println!("| what | watched/s | bare/s | ratio | round by round: median (min to max) | by the clock | target | |");
    println!("|---|---|---|---|---|---|---|---|");
    figures.print("hop, with metrics and log", 0.95);
}

fn measure_process() {
    let (times, sizes): (Vec<_>, Vec<_>) =
        (0..STARTS).map(|_| first_answer()).map(|(time, size)| (time.as_secs_f64() * 1000.0, size)).unzip();
    println!();
    println!("| what | figure | target | |");
    println!("|---|---|---|---|");
    let line = |what: &str, figure: f64, unit: &str, target: f64| {
        println!("| {what} | {figure:.0} {unit} | < {target:.0} {unit} | {} |", verdict(figure < target));
    };
    line("process start to first answer, median of 10", median(&sorted(times)), "ms", 150.0);
    line("resident memory after the start", median(&sorted(sizes)), "MiB", 30.0);
    let port = free_port();
    let filled = Server::start(&program(), port, &["filled".into(), port.to_string()]);
    line("the same with 1,000,000 used tokens", filled.resident(), "MiB", 120.0);
}

const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "not met" }
}

fn program() -> String {
    std::env::current_exe().expect("this program").display().to_string()
}

fn sorted(mut figures: Vec<f64>) -> Vec<f64> {
    figures.sort_by(f64::total_cmp);
    figures
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// The rate that one round in ten beats. Neighbours only ever make a round slower.
fn undisturbed(sorted: &[f64]) -> f64 {
    sorted[sorted.len() * 9 / 10]
}

/// Requests in a second: by the clock, and by the server's processor time.
struct Rate {
    clock: f64,
    processor: f64,
}

/// Ours and the limit's.
type Round = (Rate, Rate);

/// What a comparison found.
struct Figures(Vec<Round>);

impl Figures {
    fn print(&self, name: &str, target: f64) {
        let figures = |pick: fn(&Round) -> f64| sorted(self.0.iter().map(pick).collect());
        let (ours, limit) = (undisturbed(&figures(|round| round.0.processor)), undisturbed(&figures(|round| round.1.processor)));
        let clock = figures(|round| round.0.clock / round.1.clock);
        let each = figures(|round| round.0.processor / round.1.processor);
        println!(
            "| {name} | {ours:.0} | {limit:.0} | {:.2} | {:.2} ({:.2} to {:.2}) | {:.2} | {target:.2} | {} |",
            ours / limit,
            median(&each),
            each[0],
            each[ROUNDS - 1],
            median(&clock),
            verdict(ours / limit >= target),
        );
    }
}

/// What is measured.
#[derive(Clone, Copy)]
enum Case {
    /// The broker answers a returning visitor's hop.
    Hop,
    /// The satellite passes a known visitor's request on to the page.
    Page,
    /// The satellite takes a token.
    Exchange,
    /// The satellite tells a proxy of a known visitor.
    Forward,
}

impl Case {
    const fn name(self) -> &'static str {
        match self {
            Self::Hop => "hop",
            Self::Page => "page",
            Self::Exchange => "exchange",
            Self::Forward => "forward",
        }
    }

    const fn target(self) -> f64 {
        match self {
            Self::Page | Self::Forward => 0.9,
            Self::Hop | Self::Exchange => 0.8,
        }
    }

    const fn work(self) -> Work {
        match self {
            Self::Hop => Work::Sign,
            Self::Page | Self::Forward => Work::None,
            Self::Exchange => Work::Verify,
        }
    }

    /// Requests in a round.
    const fn count(self) -> usize {
        match self {
            Self::Page | Self::Forward => 10_000,
            Self::Hop | Self::Exchange => 4_000,
        }
    }

    /// Fresh ones: hop requests and tokens live for a minute, and a token works once.
    fn requests(self, company: &Company, count: usize) -> Requests {
        match self {
            Self::Hop => Requests::Same(browser(company.brand.authority(), &company.hop(), &company.master_cookie()), count),
            Self::Page => Requests::Same(browser(company.shop.authority(), PAGE, &company.local_cookie()), count),
            Self::Forward => {
                let told = format!(
                    "{}\r\nX-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Host: {}\r\nX-Forwarded-Method: GET\r\n\
                     X-Forwarded-Proto: https\r\nX-Forwarded-Uri: {PAGE}",
                    company.local_cookie(),
                    company.shop.authority()
                );
                Requests::Same(browser(company.shop.authority(), "/_throughline/auth/forward", &told), count)
            }
            Self::Exchange => {
                // Each of a hop of its own: one browser that comes again and again with one hop is in a loop (rule S18).
                let request = |_| {
                    let flow = Company::flow();
                    browser(company.shop.authority(), &company.arrival(&flow), &Company::hop_cookie(&flow))
                };
                Requests::Each((0..count).map(request).collect())
            }
        }
    }

    fn expected(self, company: &Company) -> Expected {
        let shop = &company.shop;
        match self {
            Self::Hop => Expected { status: "HTTP/1.1 302 ", parts: vec![format!("\r\nlocation: {shop}{PAGE}&_tl=ey")] },
            Self::Page => Expected { status: "HTTP/1.1 200 ", parts: vec!["<p>Hello.".into()] },
            Self::Forward => Expected { status: "HTTP/1.1 200 ", parts: vec!["\r\nx-throughline-source: broker\r\n".into()] },
            Self::Exchange => Expected {
                status: "HTTP/1.1 303 ",
                parts: vec![format!("\r\nlocation: {shop}{PAGE}\r\n"), "\r\nset-cookie: throughline=1.b.".into()],
            },
        }
    }

    fn measure(self) {
        let (port, limit_port) = (free_port(), free_port());
        let company = Company::on(port);
        let ours = Server::start(&program(), port, &["ours".into(), port.to_string()]);
        let answer = self.first_answer(&company);
        let token = company.arrival(&Company::flow()).len() - PAGE.len() - "&_tl=".len();
        let arguments = ["limit".into(), limit_port.to_string(), self.work().name().into(), token.to_string(), answer];
        let limit = Server::start(&program(), limit_port, &arguments);

        self.compare([(&ours, &company), (&limit, &company)]).print(self.name(), self.target());
    }

    /// Interleaves rounds of two servers, each with the company that its requests are for.
    fn compare(self, servers: [(&Server, &Company); 2]) -> Figures {
        let round = |(server, company): (&Server, &Company)| {
            let (expected, requests) = (self.expected(company), self.requests(company, self.count()));
            let (processor, clock) = (server.processor_time(), Instant::now());
            load::run(server.port, CONNECTIONS, &requests, &expected);
            let rate = |took: Duration| self.count() as f64 / took.as_secs_f64();
            Rate { clock: rate(clock.elapsed()), processor: rate(server.processor_time() - processor) }
        };
        let [ours, limit] = servers;
        round(ours);
        round(limit);
        // Which of the two goes first alternates, so that neither always follows the other.
        let rounds = (0..ROUNDS).map(|number| {
            if number % 2 == 0 {
                let ours = round(ours);
                (ours, round(limit))
            } else {
                let limit = round(limit);
                (round(ours), limit)
            }
        });
        Figures(rounds.collect())
    }

    /// The first right answer of our server, which needs a moment to have fetched its broker's keys.
    fn first_answer(self, company: &Company) -> String {
        let begun = Instant::now();
        loop {
            let mut connection = Connection::open(company.brand.port());
            connection.ask(self.requests(company, 1).get(0));
            let answer = connection.answer();
            if self.expected(company).is_met_by(answer) {
                return answer.to_owned();
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "it does not come to answer rightly:\n{answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A page request as Chrome sends it, from a visitor of sites with analytics.
fn browser(host: &str, path: &str, cookie: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\n\
         Host: {host}\r\n\
         Connection: keep-alive\r\n\
         sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\n\
         sec-ch-ua-mobile: ?0\r\n\
         sec-ch-ua-platform: \"Linux\"\r\n\
         Upgrade-Insecure-Requests: 1\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
         Sec-Fetch-Site: none\r\n\
         Sec-Fetch-Mode: navigate\r\n\
         Sec-Fetch-User: ?1\r\n\
         Sec-Fetch-Dest: document\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\n\
         Accept-Language: en-GB,en;q=0.9\r\n\
         Cookie: _ga=GA1.1.1234567890.1790000000; {cookie}\r\n\r\n"
    )
    .into_bytes()
}
