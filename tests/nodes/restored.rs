//! Backup and restore of PostgreSQL, by the commands of docs/operating.md, while a broker is at work.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ask::{hop, is_recorded, record, refuse, revocations, wait_until_written};
use crate::away::setup;
use crate::load::Over;
use crate::support::company::Company;
use crate::support::postgres::{Postgres, tools};

/// The line of docs/operating.md that begins so.
fn documented(begins: &str) -> String {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md")).expect("a document");
    let line = document.lines().find(|line| line.starts_with(begins));
    line.unwrap_or_else(|| panic!("docs/operating.md has no line {begins}")).to_owned()
}

fn run(line: &str, folder: &Path, url: &str) {
    let path = format!("{}:{}", tools().display(), std::env::var("PATH").unwrap_or_default());
    let ran = Command::new("sh").args(["-c", line]).current_dir(folder).env("PATH", path).env("DATABASE_URL", url).output();
    let ran = ran.expect("a shell");
    assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn a11_a_backup_under_load_holds_every_write_and_every_refusal_from_before_it() {
    let server = Postgres::shared();
    let url = server.new_database();
    let company = Company::start(setup(&url));
    let port = company.broker_port();
    let come = || hop(&company, port, None).expect("a hop").visitor.expect("an ID");
    let known: Vec<_> = (0..20).map(|_| come()).collect();
    let ended: Vec<_> = (0..5).map(|_| come()).collect();
    wait_until_written(&company, port);
    for visitor in &ended {
        assert!(is_recorded(&refuse(&company, port, visitor).expect("an answer")));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                come();
            }
        });
        run(&documented("pg_dump "), folder.path(), &url);
        drop(over);
    });
    let restored = server.new_database();
    run(&documented("pg_restore "), folder.path(), &restored);
    drop(company);

    let company = Company::start(setup(&restored));
    let port = company.broker_port();
    // Another company has other secrets, and the same sites but for their ports.
    let count = |state: &str, ids: &[String]| {
        let ids = ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(",");
        server.sql(&restored, &format!("SELECT count(*) FROM {state} WHERE id IN ({ids})"))
    };
    assert_eq!(count("visitor", &known), "20");
    assert_eq!((count("visitor", &ended), count("revocation", &ended)), ("0".to_owned(), "5".to_owned()));
    let revoked = revocations(&company, port);
    assert!(ended.iter().all(|visitor| revoked.contains(visitor)), "{revoked:?}");
    // It takes writes, and numbers go on where they were.
    let visitor = hop(&company, port, None).expect("a hop").visitor.expect("an ID");
    wait_until_written(&company, port);
    assert!(record(&company, port, &visitor).is_some());
    assert!(is_recorded(&refuse(&company, port, &visitor).expect("an answer")));
    assert_eq!(revocations(&company, port).last(), Some(&visitor));
}
