//! Two brokers on one PostgreSQL, against one. On a machine with fewer cores than brokers, database and load want, two cannot
//! be faster by the clock than one. So the processor time of a hop is counted, the brokers' and the database's together: as
//! long as it does not grow with the second broker, each further broker on cores of its own brings as many hops as the first.

use std::fs;
use std::time::{Duration, Instant};

use crate::company::Company;
use crate::process::Server;
use crate::support::postgres::Postgres;
use crate::{CONNECTIONS, COUNT, Hop, line, load, start, undisturbed};
use crate::{ROUNDS, Rate};

pub(crate) fn measure() {
    let postgres = Postgres::start(&[]);
    let url = postgres.new_database();
    let brokers = [start(&url), start(&url)];
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one.push(round(&brokers[..1], &postgres));
        two.push(round(&brokers, &postgres));
    }
    let of = |rates: &[Rate], pick: fn(&Rate) -> f64| undisturbed(rates, pick);
    let (by_one, by_two) = (of(&one, |rate| rate.processor), of(&two, |rate| rate.processor));
    println!("| first-time hops of one broker on PostgreSQL, by the processor time of both | {by_one:.0}/s | | |");
    println!("| the same of two brokers on it | {by_two:.0}/s | | |");
    line("two brokers by one, if each had its cores", 2.0 * by_two / by_one, "", "1.70", 2.0 * by_two / by_one >= 1.7);
    let size = "SELECT round(sum(pg_total_relation_size(inhrelid)) / (SELECT count(*) FROM visitor)) FROM pg_inherits";
    println!("| octets in PostgreSQL for each visitor, with indexes | {} | | |", postgres.sql(&url, size));
    let (by_one, by_two) = (of(&one, |rate| rate.clock), of(&two, |rate| rate.clock));
    println!("| two brokers by one by the clock, on this machine's cores | {:.2} | | |", by_two / by_one);
}

/// The brokers are loaded at once, each by a thread of its own.
fn round(brokers: &[(Server, Company)], postgres: &Postgres) -> Rate {
    let processor = || brokers.iter().map(|(server, _)| server.processor_time()).sum::<Duration>() + time_of(postgres);
    let (before, clock) = (processor(), Instant::now());
    std::thread::scope(|scope| {
        for (server, company) in brokers {
            let (requests, expected) = (Hop::First.requests(company, COUNT), Hop::First.expected(company));
            scope.spawn(move || load::run(server.port, CONNECTIONS, &requests, &expected));
        }
    });
    let (clock, processor) = (clock.elapsed(), processor() - before);
    let rate = |took: Duration| (COUNT * brokers.len()) as f64 / took.as_secs_f64();
    Rate { processor: rate(processor), clock: rate(clock) }
}

/// Processor time of the database's processes so far.
fn time_of(postgres: &Postgres) -> Duration {
    let server = postgres.id();
    let of_process = |entry: fs::DirEntry| {
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).and_then(|id| id.trim().parse::<u32>().ok());
        let is_ours = parent == Some(server) || entry.file_name() == server.to_string().as_str();
        let time = || fs::read_to_string(entry.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok();
        if is_ours { time() } else { None }
    };
    Duration::from_nanos(fs::read_dir("/proc").expect("Linux").flatten().filter_map(of_process).sum())
}
