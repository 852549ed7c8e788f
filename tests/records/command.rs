//! `visitor` and `keys api`, beside the running broker.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::steps::{company, company_with, known_on, new_id, said, setup, throughline, until};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::postgres::Postgres;

#[test]
fn exit_codes_say_whose_fault_it_is() {
    let company = company();
    let code = |words: &[&str]| throughline(&company, words).status.code();
    let id = new_id();
    assert_eq!(code(&["visitor", "show", &id]), Some(0));
    assert_eq!(code(&["visitor", "erase", "--yes", &id]), Some(0));
    assert_eq!(code(&["visitor", "erase", &id]), Some(2), "it has no answer");
    assert_eq!(code(&["visitor", "show", "nobody"]), Some(2));
    assert_eq!(code(&["visitor", "erase"]), Some(2));
    assert_eq!(code(&["visitor", "show", &id, &id]), Some(2));
    // Another database in its place is not touched.
    let store = company.folder.path().join("throughline.sqlite");
    let connection = rusqlite::Connection::open(&store).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    for words in [&["visitor", "export", &id][..], &["visitor", "erase", "--yes", &id], &["check"]] {
        let output = throughline(&company, words);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && told.contains("schema is version 99"), "{told}");
    }
}

/// Erases, with `answers` on standard input, which is a pipe.
fn erase_with(company: &Company, answers: &str, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_throughline"))
        .args(["visitor", "erase"])
        .args(words)
        .arg("--config")
        .arg(company.folder.path().join("broker.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // It may have ended before it reads.
    let _ = command.stdin.take().expect("a pipe").write_all(answers.as_bytes());
    command.wait_with_output().expect("an end")
}

#[test]
fn c2_an_erasure_asks_first_whatever_standard_input_is() {
    let company = company();
    let (_, visitor) = known_on(&company.shop);
    let question = |visitor: &str| format!("Erase {visitor} and its provisional IDs for good? Write yes: ");
    for (no, advice) in [
        ("", "add --yes"),
        ("n\n", "nothing more was erased"),
        ("no\n", ""),
        ("y\n", ""),
        ("YES\n", ""),
        ("\n", ""),
        ("yesyes", ""),
    ] {
        let output = erase_with(&company, no, &[&visitor]);
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()),
            (Some(2), question(&visitor)),
            "{no:?}"
        );
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(advice), "{no:?}: {told}");
        assert!(company.record("shop", &visitor).is_some());
    }
    // Of two, the first.
    let (_, other) = known_on(&company.shop);
    let output = erase_with(&company, "yes\nno\n", &[&visitor, &other]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(2) && told.contains("erased its record (1 sites, 0 properties)"), "{told}");
    assert!(told.contains("refuses what was erased now"), "{told}");
    assert!(company.record("shop", &visitor).is_none() && company.record("shop", &other).is_some());
    let told = said(&erase_with(&company, "", &["--yes", &other]));
    assert!(!told.contains('?') && told.contains("erased its record (1 sites, 0 properties)"), "{told}");
    assert!(said(&erase_with(&company, "yes", &[&visitor])).contains("was erased before"));
}

/// The command waits for the broker's word, and says when it could not have it.
#[test]
fn c2_an_erasure_ends_when_the_broker_refuses_the_id_or_says_that_it_could_not_be_asked() {
    let mut company = company_with(Setup { revocation_interval_ms: 1500, ..setup() });
    let (browser, visitor) = known_on(&company.brand);
    let told = said(&throughline(&company, &["visitor", "erase", "--yes", &visitor]));
    assert!(
        told.contains(&format!("at {} refuses what was erased now", company.brand)) && told.contains("within 1.5 s"),
        "{told}"
    );
    // At once, and not within the interval.
    assert_eq!(browser.clone().me(&company.brand)["visitor"], serde_json::Value::Null);
    // Another node answers in its place that has not read anything: it is alive, and behind.
    let (_, second) = known_on(&company.shop);
    let broker = company.processes.pop().expect("the broker's process");
    broker.signal("STOP");
    let told = said(&throughline(&company, &["visitor", "erase", "--yes", &second]));
    assert!(told.contains("could not be asked (no answer in time)") || told.contains("could not be asked (Timeout"), "{told}");
    broker.signal("CONT");
    drop(broker);
    let (third, told) = (new_id(), "could not be asked (");
    let output = throughline(&company, &["visitor", "erase", "--yes", &third]);
    assert!(said(&output).contains(told), "{output:?}");
    company.start_broker();
    for ended in [&second, &third] {
        assert_eq!(company.record("shop", ended), None);
    }
    assert!(said(&throughline(&company, &["visitor", "show", &third])).contains("revoked"));
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
    assert!(said(&throughline(&company, &["visitor", "erase", "--yes", &visitor])).contains("erased its record (1 sites"));
    assert_eq!(company.record("shop", &visitor), None);
    until("the site refuses it", || browser.clone().me(&company.shop)["consent"] == "denied");
    assert!(said(&throughline(&company, &["visitor", "show", &visitor])).contains("revoked"));
    let told = said(&throughline(&company, &["check"]));
    assert!(told.contains("visitor records: PostgreSQL, database ") && told.contains("connected without TLS"), "{told}");
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
