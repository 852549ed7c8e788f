//! A11: the running broker keeps its locks on a SQLite store, and the documented backup, `visitor` and `check` are safe beside it
//! under load.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use throughline::base::clock::{Clock as _, SystemClock};

use crate::ask::{hop, record, revocations, store, wait_for, wait_until_written};
use crate::killed::Moments;
use crate::load::{Count, Ledger};
use crate::support::company::Company;
use crate::support::files::Setup;
use crate::support::process::{Process, is_healthy};

/// How many rounds of tools and kills are run: 4, or what this variable says. 30 take about two minutes on an idle machine.
const ROUNDS: &str = "THROUGHLINE_STORE_ROUNDS";

/// A broker alone on `throughline.sqlite`. A hop waits long enough for its write that most are acknowledged.
fn broker() -> Company {
    let tables = "[store]\nhop_wait_ms = 200\n".to_owned();
    let mut company =
        Company::unstarted(Setup { tables, log: "error", workers: 2, revocation_interval_ms: 200, ..Setup::default() });
    company.start_broker_alone();
    company
}

/// The commands of a block in docs/operating.md, which begins with `# <title>`.
fn documented(title: &str) -> String {
    let text = std::fs::read_to_string("docs/operating.md").expect("the document");
    let (_, block) = text.split_once(&format!("# {title}\n")).unwrap_or_else(|| panic!("no block {title:?}"));
    block.split_once("```").expect("its end").0.to_owned()
}

/// Runs commands of the documentation in the folder of the configuration.
fn run(company: &Company, commands: &str) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", commands]).current_dir(company.folder.path()).stdin(Stdio::null());
    shell.output().expect("a shell")
}

/// Runs a command beside the broker, with its configuration.
fn throughline(company: &Company, words: &[&str]) -> Output {
    let config = company.folder.path().join("broker.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_throughline"));
    command.args(words).arg("--config").arg(config).stdin(Stdio::null()).output().expect("the program starts")
}

fn assert_done(what: &str, output: &Output) {
    assert!(output.status.success(), "{what}: {output:?}");
}

fn integrity(file: &Path) -> String {
    Connection::open(file).and_then(|file| file.query_row("PRAGMA integrity_check", [], |row| row.get(0))).expect("a check")
}

/// Device and inode of what belongs to the store.
fn inode(company: &Company, ending: &str) -> Option<u64> {
    std::fs::metadata(company.folder.path().join(format!("throughline.sqlite{ending}"))).ok().map(|metadata| metadata.ino())
}

/// The byte that each open connection locks in WAL mode: of the shared range of the database, and the one of the index that says
/// that it is in use.
const LOCKED: [(&str, u64); 2] = [("", 0x4000_0002), ("-shm", 128)];

/// Whether the kernel knows a lock of the broker's process on a byte of a file.
fn holds_lock(company: &Company, inode: u64, byte: u64) -> bool {
    let (pid, ending) = (company.processes[0].id().to_string(), format!(":{inode}"));
    let locks = std::fs::read_to_string("/proc/locks").expect("Linux");
    locks.lines().any(|line| {
        // Such as: 2: POSIX  ADVISORY  READ 8064 fe:00:10011590 128 128
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, "POSIX", _, _, owner, file, from, to] = words[..] else { return false };
        let (from, to) = (from.parse().unwrap_or(u64::MAX), to.parse().unwrap_or(u64::MAX));
        owner == pid && file.ends_with(&ending) && (from..=to).contains(&byte)
    })
}

#[track_caller]
fn assert_locked(company: &Company, when: &str) {
    for (ending, byte) in LOCKED {
        let inode = inode(company, ending).unwrap_or_else(|| panic!("{when}: no {ending}"));
        // The kernel's list may lack a line while others come and go. A lock that was dropped is not there at any look.
        let is_held = (0..100).any(|look| {
            std::thread::sleep(Duration::from_millis(look.min(5)));
            holds_lock(company, inode, byte)
        });
        assert!(is_held, "{when}: no lock on throughline.sqlite{ending}");
    }
}

#[test]
fn a11_the_running_broker_holds_its_locks_whatever_is_done_beside_it() {
    let company = broker();
    let port = company.broker_port();
    let first = hop(&company, port, None).expect("an answer").visitor.expect("an ID");
    wait_until_written(&company, port);
    let log = inode(&company, "-wal").expect("a log");
    let folder = company.folder.path();
    let ledger = Ledger::write_until(&company, &|| port, || {
        let clock = SystemClock::new();
        // Connections are opened anew each second, and after a fault.
        while clock.uptime() < Duration::from_millis(1500) {
            assert_locked(&company, "under load");
            std::thread::sleep(Duration::from_millis(5));
        }
        for tool in [".backup copy.sqlite", "SELECT count(*) FROM visitor", "PRAGMA quick_check"] {
            assert_done(
                tool,
                &Command::new("sqlite3").args(["throughline.sqlite", tool]).current_dir(folder).output().expect("sqlite3"),
            );
            assert_locked(&company, tool);
        }
        for words in
            [&["check"][..], &["visitor", "show", &first], &["visitor", "export", &first], &["visitor", "erase", "--yes", &first]]
        {
            assert_done(words[0], &throughline(&company, words));
            assert_locked(&company, words[0]);
        }
        let other = Connection::open(folder.join("throughline.sqlite")).expect("the file");
        other.busy_timeout(Duration::from_secs(10)).expect("a timeout");
        other.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
        wait_for("the writer gives up", || store(&company, port)["status"] == "down");
        other.execute_batch("ROLLBACK").expect("an end");
        drop(other);
        wait_for("the store is back", || store(&company, port)["status"] == "ok");
        assert_locked(&company, "after a fault");
    });
    assert_eq!(inode(&company, "-wal"), Some(log), "no tool took the log away");
    wait_until_written(&company, port);
    ledger.assert_kept(&company, port, "after the tools");
    assert!(revocations(&company, port).contains(&first));
    assert_eq!(integrity(&folder.join("throughline.sqlite")), "ok");
    assert_eq!(integrity(&folder.join("copy.sqlite")), "ok");
}

/// A visitor whose hop was acknowledged as written.
fn written(company: &Company, port: u16) -> String {
    let mut visitor = None;
    wait_for("a hop is written", || {
        let come = hop(company, port, None).expect("an answer");
        let is_written = come.store.as_deref() == Some("written");
        visitor = come.visitor.filter(|_| is_written);
        visitor.is_some()
    });
    visitor.expect("it was waited for")
}

#[test]
fn a11_a3_tools_and_kills_beside_each_other_lose_nothing_that_was_acknowledged() {
    let rounds: usize = std::env::var(ROUNDS).ok().map_or(4, |rounds| rounds.parse().expect("a number"));
    let (mut company, mut moments, clock) = (broker(), Moments::new(), SystemClock::new());
    let (backup, file) = (company.folder.path().join("backup.sqlite"), company.folder.path().join("throughline.sqlite"));
    let (mut count, mut erased, mut backups, mut exports) = (Count::default(), Vec::new(), 0, 0);
    for round in 1..=rounds {
        let port = company.broker_port();
        let (kept, to_erase) = (written(&company, port), written(&company, port));
        let moment = moments.next() + Duration::from_millis(500);
        let mut process = company.processes.pop().expect("the broker");
        let _ = std::fs::remove_file(&backup);
        let mut done = Vec::new();
        let ledger = Ledger::write_until(&company, &|| port, || {
            std::thread::scope(|scope| {
                let company = &company;
                let tools = [
                    scope.spawn(|| run(company, &documented("Backup of SQLite"))),
                    scope.spawn(|| throughline(company, &["visitor", "erase", "--yes", &to_erase])),
                    scope.spawn(|| throughline(company, &["visitor", "export", &kept])),
                ];
                std::thread::sleep(moment);
                process.kill();
                done.extend(tools.map(|tool| tool.join().expect("a tool").clone()));
            });
        });
        let when = format!("round {round}, killed after {moment:?}");
        for (tool, output) in ["backup", "erase", "export"].into_iter().zip(&done) {
            assert_done(&format!("{when}: {tool}"), output);
        }
        assert_eq!(integrity(&backup), "ok", "{when}: the backup");
        backups += 1;
        exports += usize::from(String::from_utf8_lossy(&done[2].stdout).contains(&company.shop));
        erased.push(to_erase);
        company.start_broker_alone();
        ledger.assert_kept(&company, port, &when);
        ledger.assert_refused(&company, port, &when);
        assert!(record(&company, port, &kept).is_some(), "{when}");
        let revoked = revocations(&company, port);
        assert!(erased.iter().all(|visitor| revoked.contains(visitor)), "{when}: an erasure is lost");
        assert_eq!(integrity(&file), "ok", "{when}");
        count += ledger.count();
    }
    println!(
        "A11: {rounds} rounds in {:?}: {backups} backups, {exports} exports, {} erasures, {count:?}",
        clock.uptime(),
        erased.len()
    );
    assert!(exports == rounds && count.written > rounds, "there was load: {count:?}");
}

/// What was erased after the backup stays erased, as the document says.
#[test]
fn a11_c2_a_restore_by_the_book_brings_no_erased_visitor_back() {
    let mut company = broker();
    let port = company.broker_port();
    let (kept, gone) = (written(&company, port), written(&company, port));
    let ledger = Ledger::write_until(&company, &|| port, || {
        assert_done("backup", &run(&company, &documented("Backup of SQLite")));
        let mode = std::fs::metadata(company.folder.path().join("backup.sqlite")).expect("a backup").mode();
        assert_eq!(mode & 0o777, 0o600);
        let told = throughline(&company, &["visitor", "erase", "--yes", &gone]);
        assert_done("erase", &told);
    });
    wait_until_written(&company, port);
    let before = revocations(&company, port);
    assert!(before.contains(&gone));
    // The broker ends in the worst way: its log stays beside the file.
    company.processes[0].kill();
    assert!(inode(&company, "-wal").is_some());
    assert_done("restore", &run(&company, &documented("Restore of SQLite")));
    company.start_broker_alone();
    assert!(record(&company, port, &kept).is_some());
    assert!(record(&company, port, &gone).is_none());
    let after = revocations(&company, port);
    assert!(before.iter().all(|visitor| after.contains(visitor)), "{} of {}", after.len(), before.len());
    ledger.assert_refused(&company, port, "after the restore");
    assert_eq!(integrity(&company.folder.path().join("throughline.sqlite")), "ok");
}

/// Case D16. As root, the broker runs as another user, since root may write everything.
#[test]
fn a11_a2_a_file_of_another_user_costs_no_page_and_the_log_says_what_to_do() {
    let mut company = broker();
    let port = company.broker_port();
    company.processes.clear();
    let (folder, file) = (company.folder.path().to_owned(), company.folder.path().join("throughline.sqlite"));
    let is_root = std::fs::metadata("/proc/self").expect("Linux").uid() == 0;
    let shell = |commands: &str| assert_done(commands, &run(&company, commands));
    let program = folder.join("program");
    // The other user may not be able to reach the one that was built.
    std::fs::copy(env!("CARGO_BIN_EXE_throughline"), &program).expect("a copy");
    let before = if is_root {
        shell("chown -R 65534 . && chown 0 throughline.sqlite* && chmod 600 throughline.sqlite*");
        format!("shift; exec setpriv --reuid=65534 --regid=65534 --clear-groups {} \"$@\"", program.display())
    } else {
        shell("chmod 400 throughline.sqlite*");
        ":".to_owned()
    };
    let process = Process::serve_after(&before, &folder.join("broker.toml"));
    wait_for("the primary is well", || is_healthy(port, "brand.localhost", true));
    let come = hop(&company, port, None).expect("a hop is answered");
    assert_eq!(come.store.as_deref(), Some("waiting"));
    wait_for("health shows it", || store(&company, port)["status"] == "down");
    let said = process.stderr();
    assert!(said.contains("which must be able to write both") && said.contains(&file.display().to_string()), "{said}");
    shell(if is_root { "chown 65534 throughline.sqlite*" } else { "chmod 600 throughline.sqlite*" });
    wait_until_written(&company, port);
    assert!(record(&company, port, come.visitor.as_deref().expect("an ID")).is_some());
}
