//! The SQLite file's world breaks: a full disk, a lock that another process keeps.
//!
//! Each test is also the other process: it runs itself again, told so by a variable.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use throughline::base::clock::{Clock as _, SystemClock};
use throughline::store::visitors::StoreFault;

use super::{A, CALL_ENDS_WITHIN, commit, id, record, seen, set, sqlite};

const FILE: &str = "THROUGHLINE_TEST_FILE";

/// In the other process: the file that it is about.
fn told() -> Option<PathBuf> {
    std::env::var_os(FILE).map(PathBuf::from)
}

/// Runs one test of this binary again, after `before` in a shell.
fn again(before: &str, test: &str, file: &std::path::Path) -> Command {
    let mut command = Command::new("sh");
    let this = std::env::current_exe().expect("this binary");
    command.args(["-c", &format!("{before}; exec \"$@\""), "again"]).arg(this).args(["--exact", "--nocapture", test]);
    command.env(FILE, file).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The limit on the size of files stands for the full disk: everybody may set it, and it concerns the one process alone. The
/// system's answer to a write is another error than for a full disk, and SQLite's as well; both mean that it may pass.
#[tokio::test]
async fn a2_a_full_disk_is_a_fault_that_passes() {
    let Some(file) = told() else {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let test = "visitors::sqlite_faults::a2_a_full_disk_is_a_fault_that_passes";
        // In blocks of 512 octets. Without the trap the signal would end it.
        let mut full = again("trap '' XFSZ; ulimit -S -f 1000", test, &folder.path().join("visitors.sqlite"));
        let output = full.output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
        return;
    };
    let store = sqlite(&file);
    let large = format!("{{{}}}", (0..15).map(|n| format!("\"k{n}\": \"{}\"", "x".repeat(1000))).collect::<Vec<_>>().join(","));
    let mut stored = 0;
    let fault = loop {
        match store.commit(vec![seen(id(stored), A, 100), set(id(stored), A, &large, None)]).await {
            Ok(_) => stored += 1,
            Err(fault) => break fault,
        }
        assert!(stored < 1000, "the disk is full by now");
    };
    assert!(stored > 3 && matches!(fault, StoreFault::Unavailable(_)), "{stored} {fault:?}");
    assert!(matches!(store.commit(vec![seen(id(stored), A, 100)]).await, Err(StoreFault::Unavailable(_)) | Ok(_)));
    for number in 0..stored {
        assert_eq!(record(&store, id(number)).await.properties.len(), 15, "reading goes on");
    }
    let own = std::process::id().to_string();
    let freed = Command::new("prlimit").args(["--pid", &own, "--fsize=unlimited"]).status().expect("prlimit runs");
    assert!(freed.success());
    for number in stored..stored + 20 {
        commit(&store, &[seen(id(number), A, 100), set(id(number), A, &large, None)]).await;
    }
    let fresh = sqlite(&file);
    for number in 0..stored + 20 {
        assert_eq!(record(&fresh, id(number)).await.properties.len(), 15);
    }
    let whole: String =
        Connection::open(&file).and_then(|file| file.query_row("PRAGMA integrity_check", [], |row| row.get(0))).expect("a check");
    assert_eq!(whole, "ok");
}

/// For longer than the store waits for a lock.
#[tokio::test]
async fn a2_a_file_that_another_process_locks_is_a_fault_that_passes() {
    if let Some(file) = told() {
        let connection = Connection::open(&file).expect("the file");
        connection.busy_timeout(Duration::from_secs(5)).expect("a timeout");
        connection.execute_batch("BEGIN IMMEDIATE").expect("a lock");
        println!("\nlocked");
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("visitors.sqlite");
    let store = sqlite(&file);
    commit(&store, &[seen(id(1), A, 100)]).await;
    let mut locker = lock(&file);
    let clock = SystemClock::new();
    // The second would wait behind the first; both are answered in time.
    let (one, two) = tokio::join!(store.commit(vec![seen(id(1), A, 200)]), store.commit(vec![seen(id(2), A, 200)]));
    assert!(matches!(one, Err(StoreFault::Unavailable(_))), "{one:?}");
    assert!(matches!(two, Err(StoreFault::Unavailable(_))), "{two:?}");
    assert!(clock.uptime() < CALL_ENDS_WITHIN, "{:?}", clock.uptime());
    assert_eq!(record(&store, id(1)).await.last_seen().0, 100, "reading waits for nobody");
    // A node that starts now has nothing to make, so it needs no lock.
    let starting = sqlite(&file);
    starting.prepare().await.expect("a start");
    drop(locker.stdin.take());
    locker.wait().expect("an end");
    commit(&store, &[seen(id(1), A, 300)]).await;
    assert_eq!(record(&starting, id(1)).await.last_seen().0, 300);
}

/// Another process that holds the lock until its standard input closes.
fn lock(file: &std::path::Path) -> Child {
    let test = "visitors::sqlite_faults::a2_a_file_that_another_process_locks_is_a_fault_that_passes";
    let mut locker = again(":", test, file).spawn().expect("a shell");
    let mut said = BufReader::new(locker.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while line.trim() != "locked" {
        line.clear();
        assert!(said.read_line(&mut line).expect("a line") > 0, "it ended before it had the lock");
    }
    // What it says at its end must go somewhere.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    locker
}
