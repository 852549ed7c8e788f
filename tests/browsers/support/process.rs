//! Child processes that never outlive their test, whatever way it ends.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::NamedTempFile;

/// How much of a log a failure message shows, in bytes.
const TAIL: usize = 4_000;

/// A running program, its output in a temporary file. Dropping it ends it and all it started.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: NamedTempFile,
}

impl Process {
    /// Starts `command`. A program that is not installed is a fault of the machine, and said so.
    pub(crate) fn spawn(command: &mut Command) -> Process {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = NamedTempFile::new().expect("a temporary file for the log");
        let output = |log: &NamedTempFile| -> File { log.reopen().expect("the log, once more") };
        // Append mode is not needed: both streams share one description, hence one offset.
        let out = output(&log);
        let err = out.try_clone().expect("the log, for stderr");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => panic!("{name} is not installed: run ./scripts/test"),
            _ => panic!("{name} does not start: {error}"),
        });
        Process { name, child, log }
    }

    /// The end of what the program has printed, for a failure message.
    pub(crate) fn log_tail(&self) -> String {
        let text = self.log();
        let from = text.len().saturating_sub(TAIL);
        let from = (from..).find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        format!("--- {} ---\n{}", self.name, &text[from..])
    }

    /// All that the program has printed.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.log.path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A driver that is killed leaves its browser behind, so the whole tree is named first.
        // SIGKILL on purpose: a test must not wait for a browser to save its profile.
        let mut doomed = descendants(self.child.id());
        doomed.push(self.child.id());
        let pids = doomed.iter().map(u32::to_string);
        let _ = Command::new("kill").arg("-KILL").args(pids).stderr(Stdio::null()).status();
        let _ = self.child.wait();
        // The dying still write into the home directory that is about to be removed.
        for _ in 0..100 {
            if doomed.iter().all(|pid| parent_of(*pid).is_none()) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The PIDs of all processes below `root`, from `/proc`.
fn descendants(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent_of(pid)?)))
        .collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family.split_off(1)
}

/// The parent of `pid`, or nothing if it has ended meanwhile.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // "pid (name) state ppid ...", where the name may itself hold spaces and brackets.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

/// A port on which nothing listens at this moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}
