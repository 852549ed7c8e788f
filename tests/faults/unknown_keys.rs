//! K2: a flood of tokens that name keys nobody knows leads to one fetch, and a failed fetch takes nothing away.

use std::io::Write as _;
use std::time::Duration;

use serde_json::json;
use throughline::base::clock::{Clock as _, SystemClock};
use throughline::base::encoding::base64url;
use throughline::base::id::VisitorId;
use throughline::base::random::{SystemRandom, random_bytes};
use throughline::token::claims::{FlowSecret, TOKEN_LIFE_MAX, TokenId};
use throughline::token::mint::{Statement, bounce_token};

use crate::fake_broker::{FakeBroker, Manner};
use crate::support::browser::Browser;
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::{is_healthy, wait_until};
use crate::support::wire;

const METADATA: &str = "/.well-known/throughline";
const JWKS: &str = "/_throughline/jwks.json";
const REVOCATIONS: &str = "/_throughline/api/revocations?after=0";
const HEALTH: &str = "/_throughline/health";
const TOKENS: u32 = 10_000;

fn documents(company: &Company) -> Vec<(&'static str, String)> {
    let site = |origin: &str| json!({"origin": origin, "jwks_uri": format!("{origin}{JWKS}")});
    let metadata = json!({
        "protocol": 1,
        "issuer": company.brand,
        "hop_endpoint": format!("{}/_throughline/hop", company.brand),
        "jwks_uri": format!("{}{JWKS}", company.brand),
        "sites": [site(&company.shop), site(&company.learn)],
    });
    let keys = company.folder.keys("brand").jwks(SystemClock::new().now());
    // Without the list of ended IDs, no token of the broker's counts (rule A14).
    let revocations = json!({"revoked": [], "cursor": 0, "more": false});
    vec![
        (HEALTH, json!({"status": "ok"}).to_string()),
        (METADATA, metadata.to_string()),
        (JWKS, keys),
        (REVOCATIONS, revocations.to_string()),
    ]
}

/// A token of the broker's, and the browser whose hop it answers.
fn good_token(company: &Company) -> (Browser, String) {
    let (random, clock) = (SystemRandom::new(), SystemClock::new());
    let flow = FlowSecret::new(random_bytes(&random).expect("randomness"));
    let mut browser = Browser::new();
    browser.put(&company.shop, "throughline-hop", &flow.to_text());
    let statement = Statement {
        issuer: &company.origin("brand"),
        audience: &company.origin("shop"),
        visitor: VisitorId::mint(&random).expect("randomness"),
        now: clock.now(),
        life: TOKEN_LIFE_MAX,
        id: TokenId(random_bytes(&random).expect("randomness")),
    };
    let keys = company.folder.keys("brand");
    let token = bounce_token(keys.signing_key(clock.now()).expect("a key"), &statement, flow.flow());
    (browser, token.as_str().to_owned())
}

fn assert_takes_good_tokens(company: &Company, when: &str) {
    let (mut browser, token) = good_token(company);
    let visit = browser.navigate(&format!("{}/p.html?_tl={token}", company.shop));
    assert_eq!(visit.statuses(), [303, 200], "{when}");
    assert!(browser.visitor(&company.shop).is_some(), "{when}");
}

/// Sends tokens with keys of random names; every page must come.
fn flood(company: &Company, count: u32) {
    let random = SystemRandom::new();
    let (mut stream, claims) = (wire::connect(company.port()).expect("it listens"), base64url(b"{}"));
    for _ in 0..count {
        let kid = base64url(&random_bytes::<12>(&random).expect("randomness"));
        let header = base64url(json!({"typ": "throughline-bounce+jwt", "alg": "EdDSA", "kid": kid}).to_string().as_bytes());
        let request = format!(
            "GET /p.html?_tl={header}.{claims}.{} HTTP/1.1\r\nHost: shop.localhost:{}\r\nUser-Agent: Firefox\r\nAccept: text/html\r\n\
             Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\r\n",
            base64url(&[1; 64]),
            company.port()
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let answer = wire::receive(&mut stream, false).expect("it answers");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn k2_a_flood_of_unknown_keys_leads_to_one_fetch_and_a_failed_one_keeps_the_old_set() {
    let company = Company::start_without_broker(Setup { workers: 2, ..Setup::default() });
    let broker = FakeBroker::on(company.broker_port(), Manner::Answering(documents(&company)));
    let clock = SystemClock::new();
    let ready = || is_healthy(company.port(), "shop.localhost", false) && broker.asked(JWKS) >= 1;
    wait_until("the satellite has the broker's keys", || false, ready).unwrap_or_else(|problem| panic!("{problem}"));
    let fetched_at = clock.uptime();
    wait_until(
        "good tokens count",
        || false,
        || {
            let (mut browser, token) = good_token(&company);
            browser.navigate(&format!("{}/p.html?_tl={token}", company.shop));
            browser.visitor(&company.shop).is_some()
        },
    )
    .unwrap_or_else(|problem| panic!("{problem}"));

    // From here on its keys cannot be had.
    let without_keys = documents(&company).into_iter().filter(|(path, _)| *path != JWKS).collect();
    broker.behave(Manner::Answering(without_keys));
    flood(&company, TOKENS);
    let (flooded, fetches) = (clock.uptime() - fetched_at, broker.asked(METADATA));
    println!("K2: {fetches} fetches for {TOKENS} unknown keys in {flooded:?}");
    let allowed = 1 + usize::try_from(flooded.as_secs() / 30).unwrap_or_default();
    assert!(fetches <= allowed, "{fetches} fetches in {flooded:?}");
    assert_takes_good_tokens(&company, "after the flood");

    // The fetch that the flood asked for comes when half a minute is over, and fails.
    // That is as long as `wait_until` has patience.
    let is_fetched_again = || broker.asked(METADATA) > 1 && broker.asked(JWKS) > 1;
    let _ = wait_until("it has been fetched again", || false, is_fetched_again);
    wait_until("it has been fetched again", || false, is_fetched_again).unwrap_or_else(|problem| panic!("{problem}"));
    let again = clock.uptime() - fetched_at;
    assert!(again >= Duration::from_secs(28), "fetched again after {again:?}");
    flood(&company, 100);
    std::thread::sleep(Duration::from_millis(500));
    assert_takes_good_tokens(&company, "after a failed fetch");
}
