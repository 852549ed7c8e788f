//! `visitor` and `keys api`, beside the running broker.

use std::io::{BufRead, Cursor};

use clap::Parser as _;
use throughline::base::clock::SystemClock;
use throughline::cli::visitor::{self, VisitorArgs};

use crate::steps::{company, company_with, known_on, new_id, said, setup, throughline, until};
use crate::support::files::Setup;
use crate::support::postgres::Postgres;

#[test]
fn exit_codes_say_whose_fault_it_is() {
    let company = company();
    let code = |words: &[&str]| throughline(&company, words).status.code();
    let id = new_id();
    assert_eq!(code(&["visitor", "show", &id]), Some(0));
    assert_eq!(code(&["visitor", "erase", &id]), Some(0));
    assert_eq!(code(&["visitor", "show", "nobody"]), Some(2));
    assert_eq!(code(&["visitor", "erase"]), Some(2));
    assert_eq!(code(&["visitor", "show", &id, &id]), Some(2));
    // Another database in its place is not touched.
    let store = company.folder.path().join("throughline.sqlite");
    let connection = rusqlite::Connection::open(&store).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    for words in [&["visitor", "export", &id][..], &["visitor", "erase", &id], &["check"]] {
        let output = throughline(&company, words);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && told.contains("schema is version 99"), "{told}");
    }
}

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    visitor: VisitorArgs,
}

#[test]
fn c2_at_a_terminal_an_erasure_asks_first() {
    let company = company();
    let (_, visitor) = known_on(&company.shop);
    let config = company.folder.path().join("broker.toml");
    let erase = |answer: &'static str, more: &[&str]| {
        let words = ["visitor", "erase", &visitor, "--config", config.to_str().unwrap()];
        let args = Command::parse_from(words.iter().chain(more)).visitor;
        let asker: Box<dyn BufRead> = Box::new(Cursor::new(answer));
        let mut out = Vec::new();
        let outcome = visitor::run(&args, &SystemClock::new(), &|_| None, Some(asker), &mut out);
        (outcome.map_err(|failure| failure.code()), String::from_utf8(out).unwrap())
    };
    for no in ["", "no\n", "y\n", "YES\n"] {
        let (outcome, told) = erase(no, &[]);
        assert_eq!((outcome, told), (Err(2), format!("Erase {visitor} and its provisional IDs for good? Write yes: ")), "{no:?}");
        assert!(company.record("shop", &visitor).is_some());
    }
    let (outcome, told) = erase("", &["--yes"]);
    assert!(outcome.is_ok() && !told.contains('?') && told.contains("erased its record (1 sites, 0 properties)"), "{told}");
    assert_eq!(company.record("shop", &visitor), None);
    assert!(erase("yes\n", &[]).1.contains("was erased before"));
}

#[test]
fn check_looks_at_the_store_beside_the_broker() {
    let company = company();
    let told = said(&throughline(&company, &["check"]));
    assert!(told.contains("visitor records: SQLite in ") && told.contains("schema version 2, of 2"), "{told}");
}

#[test]
fn c2_c3_visitor_works_in_postgresql_beside_the_broker() {
    let url = Postgres::shared().new_database();
    let tables = format!("[store]\nurl = \"{url}\"\nhop_wait_ms = 1000\n");
    let company = company_with(Setup { broker_tables: tables, ..setup() });
    let (browser, visitor) = known_on(&company.shop);
    until("the hop is written", || company.record("shop", &visitor).is_some());
    let export = said(&throughline(&company, &["visitor", "export", &visitor]));
    assert!(export.contains(&visitor) && export.contains(&company.shop), "{export}");
    assert!(said(&throughline(&company, &["visitor", "erase", &visitor])).contains("erased its record (1 sites"));
    assert_eq!(company.record("shop", &visitor), None);
    until("the site refuses it", || browser.clone().me(&company.shop)["consent"] == "denied");
    assert!(said(&throughline(&company, &["visitor", "show", &visitor])).contains("revoked"));
    let told = said(&throughline(&company, &["check"]));
    assert!(told.contains("visitor records: PostgreSQL, database ") && told.contains("not asked"), "{told}");
}

#[test]
fn r8_the_key_that_is_printed_is_the_one_that_works() {
    let company = company();
    let (_, visitor) = known_on(&company.shop);
    let output = throughline(&company, &["keys", "api", "--site", &company.shop]);
    let key = said(&output).trim_end().to_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("is a secret") && !told.contains(&key), "{told}");
    let bearer = format!("Bearer {key}");
    let answer = company.api_without_key("GET", &format!("visitors/{visitor}"), &[("Authorization", &bearer)], "");
    assert_eq!(answer.status, 200);
    assert_eq!(throughline(&company, &["keys", "api", "--site", "https://other.example"]).status.code(), Some(2));
}
