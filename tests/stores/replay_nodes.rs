//! T7 over HTTP: two satellite processes of one site, and one Redis between them.

use std::sync::Barrier;

use throughline::base::clock::{Clock as _, SystemClock};
use throughline::base::id::VisitorId;
use throughline::base::random::{SystemRandom, random_bytes};
use throughline::token::claims::{FlowSecret, TOKEN_LIFE_MAX, TokenId};
use throughline::token::mint::{Statement, bounce_token};

use crate::support::browser::{Browser, FIREFOX};
use crate::support::company::Company;
use crate::support::files::{Part, Setup};
use crate::support::process::{Process, free_port, sees_broker, wait_until};
use crate::support::redis::Redis;
use crate::support::{address, wire};

/// A `[replay]` table.
pub(crate) fn table(redis: &Redis, timeout_ms: u32) -> String {
    format!("[replay]\nnodes = [\"{}\"]\ntimeout_ms = {timeout_ms}\n", redis.url())
}

/// A navigation to the shop with the browser's cookies, to whichever port: a load balancer stands in front of both.
fn navigate(company: &Company, port: u16, target: &str, browser: &Browser) -> wire::Answer {
    let cookies = ["throughline", "throughline-hop"].map(|name| {
        let value = browser.cookie(&company.shop, name);
        value.map(|value| format!("{name}={value}")).unwrap_or_default()
    });
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {FIREFOX}\r\nAccept: text/html\r\nSec-Fetch-Dest: document\r\n\
         Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nCookie: {}\r\n\r\n",
        address::authority(&company.shop),
        cookies.join("; "),
    );
    wire::send(port, request.as_bytes()).expect("it answers")
}

fn sets_id(answer: &wire::Answer) -> bool {
    answer.all("set-cookie").any(|line| line.starts_with("throughline=1.b."))
}

/// Starts a second process of the same two sites, and waits until it can take tokens.
fn second_node(company: &mut Company) -> u16 {
    let port = free_port();
    let origins = [company.brand.clone(), company.shop.clone(), company.learn.clone()];
    company.processes.push(Process::serve(&company.folder.configure(Part::Satellites, port, &origins)));
    let request = format!("GET /_throughline/health HTTP/1.1\r\nHost: {}\r\n\r\n", address::authority(&company.shop));
    let knows = || wire::send(port, request.as_bytes()).is_ok_and(|answer| sees_broker(&answer));
    wait_until("the second node knows the others", || false, knows).unwrap_or_else(|problem| panic!("{problem}"));
    port
}

/// A browser that has been on a hop and has not come back; returns the path that carries the token. The hop is not made: while
/// tokens cannot be taken, none begins.
pub(crate) fn up_to_the_token(company: &Company, browser: &mut Browser) -> String {
    let random = SystemRandom::new();
    let secret = FlowSecret::new(random_bytes(&random).expect("randomness"));
    browser.put(&company.shop, "throughline-hop", &secret.to_text());
    let keys = company.folder.keys("brand");
    let now = SystemClock::new().now();
    let statement = Statement {
        issuer: &company.origin("brand"),
        audience: &company.origin("shop"),
        visitor: VisitorId::mint(&random).expect("randomness"),
        now,
        life: TOKEN_LIFE_MAX,
        id: TokenId(random_bytes(&random).expect("randomness")),
    };
    let token = bounce_token(keys.signing_key(now).expect("a key"), &statement, secret.flow());
    format!("/p.html?x=1&_tl={}", token.as_str())
}

#[test]
fn t7_of_64_exchanges_at_once_over_two_processes_exactly_one_succeeds() {
    let redis = Redis::start(&[]);
    let mut company = Company::start_split(Setup { workers: 2, tables: table(&redis, 2000), ..Setup::default() });
    let ports = [company.port(), second_node(&mut company)];
    // The second is connected as soon as it takes a token.
    let takes_tokens = || {
        let mut browser = Browser::new();
        let target = up_to_the_token(&company, &mut browser);
        sets_id(&navigate(&company, ports[1], &target, &browser))
    };
    wait_until("the second node takes tokens", || false, takes_tokens).unwrap_or_else(|problem| panic!("{problem}"));
    for _ in 0..5 {
        let mut browser = Browser::new();
        let target = up_to_the_token(&company, &mut browser);
        let barrier = Barrier::new(64);
        let answers: Vec<_> = std::thread::scope(|scope| {
            let ask = |index: usize| {
                let (company, browser, target, barrier) = (&company, &browser, &target, &barrier);
                move || {
                    barrier.wait();
                    navigate(company, ports[index % 2], target, browser)
                }
            };
            let threads: Vec<_> = (0..64).map(|index| scope.spawn(ask(index))).collect();
            threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        assert!(answers.iter().all(|answer| answer.status == 303), "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| sets_id(answer)).count(), 1);
    }
}

/// The other way in: the CORS route's token is posted.
#[test]
fn t7_a_posted_token_is_used_once_over_two_processes() {
    let mut redis = Redis::start(&[]);
    let setup = Setup { tables: table(&redis, 2000), ..Setup::with_whoami() };
    let mut company = Company::start_split(setup);
    let second = second_node(&mut company);
    let mut browser = Browser::new();
    let visit = browser.navigate(&format!("{}/p.html", company.brand));
    assert_eq!(visit.page().status, 200);
    let exchange = format!("{}/_throughline/exchange", company.shop);
    let begun = browser.fetch(&exchange).json();
    let whoami = begun["whoami"].as_str().expect("a URL").to_owned();
    let token = browser.request("GET", &whoami, &[("Origin", company.shop.clone())], b"").json();
    let body = format!(r#"{{"token":"{}"}}"#, token["token"].as_str().expect("a token"));
    let hop = browser.cookie(&company.shop, "throughline-hop").expect("a hop cookie").to_owned();
    let posted = browser.post(&exchange, &body).json();
    assert_eq!(posted["exchanged"], true, "{posted}");

    let request = format!(
        "POST /_throughline/exchange HTTP/1.1\r\nHost: {}\r\nOrigin: {}\r\nSec-Fetch-Site: same-origin\r\n\
         Cookie: throughline-hop={hop}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        address::authority(&company.shop),
        company.shop,
        body.len(),
    );
    let mut last = wire::Answer::default();
    // `replay_unknown` until the second is connected.
    let is_decided = || {
        last = wire::send(second, request.as_bytes()).expect("it answers");
        last.json()["reason"] != "replay_unknown"
    };
    wait_until("the second node asks", || false, is_decided).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!((last.status, last.json()["reason"].as_str()), (200, Some("replayed")));
    assert!(!sets_id(&last));

    redis.kill();
    let is_lost = || {
        last = wire::send(second, request.as_bytes()).expect("it answers");
        last.json()["reason"] == "replay_unknown"
    };
    wait_until("nobody can tell", || false, is_lost).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!((last.status, last.json()["exchanged"].as_bool()), (200, Some(false)));
    assert!(!sets_id(&last));
}

/// A browser without cookies goes on a hop with a link token that is used up, and gets the page itself with one that the memory cannot
/// judge: after the wait as without it.
#[test]
fn t7_r3_r10_a_page_that_waited_for_the_claim_is_served_by_the_application() {
    let mut redis = Redis::start(&[]);
    let company = Company::echoing(Setup { tables: table(&redis, 2000), ..Setup::default() });
    let mut linking = Browser::new();
    let has_id = || {
        linking = Browser::new();
        linking.navigate(&format!("{}/p", company.shop));
        linking.visitor(&company.shop).is_some()
    };
    wait_until("tokens count", || false, has_id).unwrap_or_else(|problem| panic!("{problem}"));
    let to = format!("{}/q?x=1", company.learn).replace(':', "%3A").replace('/', "%2F").replace('?', "%3F").replace('=', "%3D");
    let mut link = || {
        let url = format!("{}/_throughline/go?to={to}", company.shop);
        linking.step(&url, Some(&company.shop)).header("location").expect("a link").to_owned()
    };
    let follow = |link: &str| Browser::new().step(link, Some(&format!("{}/p", company.shop)));
    let (first, second) = (link(), link());
    assert_eq!(follow(&first).status, 303, "its first use");
    let again = follow(&first);
    assert!(again.header("location").is_some_and(|hop| hop.starts_with(&company.brand)), "{again:?}");
    assert!(!again.all("set-cookie").any(|line| line.contains("=1.l.")), "{again:?}");
    assert_eq!(follow(&second).status, 303, "another token counts");

    redis.kill();
    let unknown = follow(&link());
    assert_eq!((unknown.status, unknown.json()["target"].as_str()), (200, Some("/q?x=1")), "{unknown:?}");
    assert!(unknown.json()["visitor"].is_null());
}
