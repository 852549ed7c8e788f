//! A5, A8: dribbled heads, giant heads, ever new cookies, clients and tokens: memory stays bounded, others are served as before.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use throughline::base::clock::{Clock as _, SystemClock};
use throughline::base::id::VisitorId;
use throughline::base::random::{SystemRandom, random_bytes};
use throughline::token::claims::{FlowSecret, TOKEN_LIFE_MAX, TokenId};
use throughline::token::mint::{Statement, bounce_token};

use crate::support::browser::{Browser, FIREFOX};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::wait_until;
use crate::support::wire;

/// More than this is not bounded memory. It leaves room for buffers and for what the allocator keeps.
const GROWTH_MAX_KIB: u64 = 48 * 1024;

/// No flood goes on for longer than this.
const FLOOD_TIME: Duration = Duration::from_secs(15);

fn assert_bounded(company: &Company, before: u64) {
    let after = company.processes[0].resident();
    println!("A5: resident memory from {before} to {after} KiB");
    assert!(after < before + GROWTH_MAX_KIB, "from {before} to {after} KiB");
}

#[test]
fn a5_dribbled_heads_are_hung_up_on_and_others_are_served_meanwhile() {
    let company = Company::start(Setup::default());
    let before = company.processes[0].resident();
    let mut slow: Vec<TcpStream> = (0..200).map(|_| wire::connect(company.port()).expect("it listens")).collect();
    let head = format!("GET /p.html HTTP/1.1\r\nHost: shop.localhost:{}\r\nX-Slow: ", company.port());
    for stream in &mut slow {
        stream.write_all(head.as_bytes()).expect("it reads");
        stream.set_nonblocking(true).expect("a socket option");
    }
    let is_over = |stream: &mut TcpStream| {
        let _ = stream.write(b"a");
        // Nothing to read is an error here; an answer (408) or the end is none.
        stream.read(&mut [0; 512]).is_ok()
    };
    let mut served = 0;
    let all_are_over = || {
        let visit = Browser::new().navigate(&format!("{}/p.html", company.shop));
        assert_eq!(visit.page().status, 200, "others are served meanwhile");
        served += 1;
        slow.retain_mut(|stream| !is_over(stream));
        std::thread::sleep(Duration::from_millis(100));
        slow.is_empty()
    };
    wait_until("all dribbling connections are over", || false, all_are_over).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(served > 10, "{served} others in the ten seconds that a head may take");
    assert_bounded(&company, before);
}

#[test]
fn a5_a_giant_head_is_refused_and_others_are_served() {
    let company = Company::start(Setup::default());
    let before = company.processes[0].resident();
    for round in 0..20 {
        let giant = "a".repeat(1024 * 1024);
        let request = match round % 3 {
            0 => format!("GET /p.html HTTP/1.1\r\nHost: shop.localhost:{}\r\nCookie: {giant}\r\n\r\n", company.port()),
            1 => format!("GET /{giant} HTTP/1.1\r\nHost: shop.localhost:{}\r\n\r\n", company.port()),
            _ => {
                let many = "A: b\r\n".repeat(giant.len() / 6);
                format!("GET /p.html HTTP/1.1\r\nHost: shop.localhost:{}\r\n{many}\r\n", company.port())
            }
        };
        // It may hang up in the middle of this; if it says anything, then 4xx.
        if let Ok(answer) = wire::send(company.port(), request.as_bytes()) {
            assert!((400..500).contains(&answer.status), "{answer:?}");
        }
        assert_eq!(Browser::new().navigate(&format!("{}/p.html", company.shop)).page().status, 200);
    }
    assert_bounded(&company, before);
}

/// Sends as many requests as `FLOOD_TIME` allows, `count` at most, over one connection, a batch at a time.
fn flood(company: &Company, count: usize, request: impl Fn(usize) -> String, mut check: impl FnMut(&wire::Answer)) -> usize {
    let clock = SystemClock::new();
    let mut stream = wire::connect(company.port()).expect("it listens");
    for number in 0..count {
        if clock.uptime() > FLOOD_TIME {
            return number;
        }
        stream.write_all(request(number).as_bytes()).expect("it reads");
        check(&wire::receive(&mut stream, false).expect("it answers"));
    }
    count
}

fn navigation(company: &Company, path: &str, cookie: &str, person: usize) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: shop.localhost:{}\r\nUser-Agent: {FIREFOX}\r\nAccept: text/html\r\nAccept-Language: x-{person}\r\n\
         Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nCookie: {cookie}\r\n\r\n",
        company.port()
    )
}

#[test]
fn a5_ever_new_cookies_and_clients_stay_within_their_memory() {
    let company = Company::start(Setup::default());
    let before = company.processes[0].resident();
    // An empty parameter without cookies is how a client comes to be remembered as one that drops them (rule S16).
    let sent = flood(
        &company,
        100_000,
        |number| match number % 2 {
            0 => navigation(&company, "/p.html?_tl=", &format!("other={number}"), number),
            _ => navigation(&company, "/p.html", &format!("throughline=1.b.{number}.forged"), number),
        },
        |answer| assert!(matches!(answer.status, 200 | 302), "{answer:?}"),
    );
    println!("A5: {sent} requests, each with another cookie");
    assert_eq!(Browser::new().navigate(&format!("{}/p.html", company.shop)).statuses(), [302, 302, 303, 200]);
    assert_bounded(&company, before);
}

#[test]
fn a5_ever_new_tokens_stay_within_their_memory_and_pages_go_on() {
    // The smallest replay memory, so that it is full for most of the flood.
    let company = Company::start(Setup { replay_entries: 1000, ..Setup::default() });
    let before = company.processes[0].resident();
    let (random, clock) = (SystemRandom::new(), SystemClock::new());
    let (issuer, audience, keys) = (company.origin("brand"), company.origin("shop"), company.folder.keys("brand"));
    // Each as of another hop: one browser that comes again and again with one hop is in a loop (rule S18).
    let token = |number: usize| {
        let flow = FlowSecret::new((number as u128).to_be_bytes());
        let cookie = format!("throughline-hop={}", flow.to_text());
        let statement = Statement {
            issuer: &issuer,
            audience: &audience,
            visitor: VisitorId::mint(&random).expect("randomness"),
            now: clock.now(),
            life: TOKEN_LIFE_MAX,
            id: TokenId(random_bytes(&random).expect("randomness")),
        };
        let token = bounce_token(keys.signing_key(clock.now()).expect("a key"), &statement, flow.flow());
        navigation(&company, &format!("/p.html?_tl={}", token.as_str()), &cookie, 0)
    };
    let (mut adopted, mut refused) = (0, 0);
    let sent = flood(&company, 100_000, token, |answer| {
        assert_eq!(answer.status, 303, "{answer:?}");
        let sets_id = answer.all("set-cookie").any(|cookie| cookie.starts_with("throughline=1."));
        *(if sets_id { &mut adopted } else { &mut refused }) += 1;
    });
    println!("A5: {sent} tokens, {adopted} adopted, {refused} refused");
    assert!(adopted > 0 && adopted <= 1100, "{adopted}: the replay memory holds 1000 and a little more");
    assert!(sent <= 1100 || refused > 0, "full, it refuses tokens (rule T7)");
    assert_eq!(Browser::new().navigate(&format!("{}/p.html", company.shop)).page().status, 200);
    assert_bounded(&company, before);
}

/// Sends requests in batches over one connection, so that a flood is as fast as the server.
fn pipelined_flood(company: &Company, count: usize, request: impl Fn(usize) -> String) {
    const BATCH: usize = 100;
    let mut stream = wire::connect(company.port()).expect("it listens");
    for batch in 0..count / BATCH {
        let requests: String = (0..BATCH).map(|number| request(batch * BATCH + number)).collect();
        stream.write_all(requests.as_bytes()).expect("it reads");
        // Each answer begins so, and no page here says it.
        const BEGINNING: &[u8] = b"HTTP/1.1 ";
        let (mut answers, mut tail, mut piece) = (0, Vec::new(), [0; 65_536]);
        while answers < BATCH {
            let count = stream.read(&mut piece).expect("it answers");
            assert!(count > 0, "it hung up after {answers} answers");
            tail.extend_from_slice(&piece[..count]);
            answers += tail.windows(BEGINNING.len()).filter(|window| *window == BEGINNING).count();
            tail.drain(..tail.len().saturating_sub(BEGINNING.len() - 1));
        }
    }
}

/// Case D3: more clients than any memory of departures holds.
#[test]
fn a8_s16_after_a_flood_of_cookieless_clients_new_visitors_still_hop() {
    let company = Company::start(Setup { log: "warn", ..Setup::default() });
    pipelined_flood(&company, 90_000, |person| navigation(&company, "/p.html", "other=1", person));
    let hopped = (0..100)
        .filter(|_| Browser::new().navigate(&format!("{}/p.html", company.shop)).statuses() == [302, 302, 303, 200])
        .count();
    println!("A8: {hopped} of 100 new visitors hop after 90,000 cookieless navigations");
    assert!(hopped >= 99, "{hopped}");
}

/// Case D4: clients that never bring the cookie back leave nothing behind; a browser that does has its record, with the
/// first page's referrer.
#[test]
fn a8_cookieless_clients_of_the_primary_leave_no_records_and_little_memory() {
    let company =
        Company::start(Setup { tables: "[store]\nurl = \"sqlite:visitors.sqlite\"\n".into(), log: "warn", ..Setup::default() });
    let brand = company.brand.strip_prefix("http://").expect("plain http").to_owned();
    let ask = |number: usize| {
        let referrer = format!("http://news.localhost:1/{}{number}", "a".repeat(1_900));
        format!(
            "GET /p.html?utm_source={number} HTTP/1.1\r\nHost: {brand}\r\nUser-Agent: {FIREFOX}\r\nAccept: text/html\r\n\
             Accept-Language: x-{number}\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: cross-site\r\n\
             Referer: {referrer}\r\n\r\n"
        )
    };
    // What the first requests of a process cost is no growth.
    pipelined_flood(&company, 500, ask);
    let before = company.processes[0].resident();
    pipelined_flood(&company, 20_000, |number| ask(number + 500));
    let after = company.processes[0].resident();
    println!("A8: resident memory from {before} to {after} KiB");
    assert!(after < before + 10 * 1024, "from {before} to {after} KiB");

    let mut browser = Browser::new();
    let page = format!("{}/p.html", company.brand);
    browser.follow_from("http://news.localhost:1/story", &page);
    let id = browser.cookie(&company.brand, "throughline").and_then(|value| value.split('.').nth(2)).expect("an ID").to_owned();
    browser.navigate(&page);
    let records = || {
        let file = rusqlite::Connection::open(company.folder.path().join("visitors.sqlite")).expect("the file");
        file.query_row("SELECT count(*) FROM visitor", [], |row| row.get::<_, i64>(0)).expect("the table")
    };
    wait_until("the record is written", || false, || records() > 0).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(records(), 1, "of 20,501 clients, one came back with its cookie");
    let record = company.record("brand", &id).expect("a record");
    assert_eq!(record["first_touch"]["referrer"], "http://news.localhost:1/");
}
