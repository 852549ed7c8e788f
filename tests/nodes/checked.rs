//! D18, D19: `throughline check` looks at PostgreSQL, changes nothing there, and names what an operator has to mend.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use throughline::base::clock::{Clock as _, SystemClock};

use crate::ask::{hop, wait_until_written};
use crate::away::setup;
use crate::support::company::Company;
use crate::support::files::Part;
use crate::support::postgres::Postgres;
use crate::support::process::Process;

/// A bound of six seconds, and the room that a busy machine needs.
const CHECK_TIME_MAX: Duration = Duration::from_secs(15);

/// What `check` says about the store at `url`, and its exit code.
fn check(url: &str) -> (String, Option<i32>) {
    let company = Company::unstarted(setup(url));
    check_file(&broker_file(&company))
}

fn broker_file(company: &Company) -> std::path::PathBuf {
    let origins = [company.brand.clone(), company.shop.clone(), company.learn.clone()];
    company.folder.configure(Part::Broker, company.broker_port(), &origins)
}

fn check_file(file: &Path) -> (String, Option<i32>) {
    let clock = SystemClock::new();
    let output = Command::new(env!("CARGO_BIN_EXE_throughline")).args(["check", "--config"]).arg(file).output().expect("it runs");
    assert!(clock.uptime() < CHECK_TIME_MAX, "{:?}", clock.uptime());
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (said, output.status.code())
}

fn assert_says(found: &(String, Option<i32>), code: i32, expected: &[&str]) {
    for what in expected {
        assert!(found.1 == Some(code) && found.0.contains(what), "{what:?} with {code}: {found:?}");
    }
}

#[test]
fn a2_check_looks_at_postgresql_and_names_what_cannot_be_read() {
    let server = Postgres::shared();
    let url = server.new_database();
    assert_says(&check(&url), 0, &["ok       store: visitor records: PostgreSQL", "connected without TLS", "not there yet"]);
    assert_eq!(server.sql(&url, "SELECT count(*) FROM pg_class WHERE relname LIKE '%visitor%'"), "0", "nothing was made");

    let mut company = Company::unstarted(setup(&url));
    let file = broker_file(&company);
    company.start_broker_alone();
    let port = company.broker_port();
    let visitors: Vec<_> = (0..3).map(|_| hop(&company, port, None).expect("a hop").visitor.expect("an ID")).collect();
    wait_until_written(&company, port);
    assert_says(&check_file(&file), 0, &["schema version 2, of 2 that this program knows"]);
    server.sql(&url, &format!("UPDATE visitor SET record = '{{\"v\":\"x\"}}' WHERE id = '{}'", visitors[0]));
    let aside = "INSERT INTO set_aside VALUES ('{}', 'alias', 1790000000, 'the record cannot be read')";
    server.sql(&url, &aside.replace("{}", &visitors[1]));
    let found = check_file(&file);
    assert_says(
        &found,
        0,
        &[
            "1 of the 3 records that were looked at cannot be read",
            &format!("store: {}: the record cannot be read by this version", visitors[0]),
            &format!("throughline visitor erase {}", visitors[0]),
            &format!("store: {}: a write (alias) was set aside at 2026-09-21 14:13: the record cannot be read", visitors[1]),
            &format!("throughline visitor erase {}", visitors[1]),
        ],
    );
    assert!(!found.0.contains(&visitors[2]), "{found:?}");

    server.sql(&url, "UPDATE throughline_schema SET version = 99");
    assert_says(&check_file(&file), 2, &["version 99", "run that one, or restore the backup"]);
}

#[test]
fn a11_check_refuses_a_bad_role_and_warns_of_a_server_that_is_unavailable() {
    let mut server = Postgres::start(&[]);
    let barred = server.new_database();
    server.sql(&barred, "CREATE ROLE guest LOGIN; REVOKE CREATE ON SCHEMA public FROM public");
    let as_guest = |url: &str| url.replace("postgres@", "guest@");
    assert_says(&check(&as_guest(&barred)), 2, &["its user may not make tables in the schema", "grant it the rights"]);

    let made = server.new_database();
    drop(Company::start(setup(&made)));
    server.sql(&made, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest");
    assert_says(&check(&as_guest(&made)), 2, &["its user lacks rights", "INSERT on visitor", "grant it the rights"]);
    assert_says(&check(&format!("{made}?sslmode=require")), 0, &["warning  store:", "set ssl = on at the server"]);
    assert_says(&check(&server.url("nowhere")), 0, &["warning  store:", "make the database with ENCODING 'UTF8'"]);
    server.sql(&made, "ALTER DATABASE postgres SET default_transaction_read_only = on");
    assert_says(&check(&server.url("postgres")), 0, &["warning  store:", "the server is read-only"]);

    server.pause();
    assert_says(&check(&made), 0, &["warning  store:", "unavailable: "]);
    server.resume();
    server.stop();
    assert_says(&check(&made), 0, &["warning  store:", "unavailable: error connecting to server"]);
    // The broker starts all the same.
    let company = Company::unstarted(setup(&made));
    let mut process = Process::serve(&broker_file(&company));
    crate::ask::wait_for("it says so", || process.stderr().contains("the store cannot be had"));
    assert!(!process.has_ended());
}
