//! Child processes: started on one core, looked at through /proc, ended with the value that holds them.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::load::Connection;

/// A process that ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) port: u16,
}

/// The cores of the servers and of the load.
const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";

/// Keeps this process off the servers' core, if there is another.
pub(crate) fn pin_load() {
    let pinned =
        Command::new("taskset").args(["-acp", LOAD_CORE, &std::process::id().to_string()]).stdout(Stdio::null()).status();
    if !pinned.is_ok_and(|status| status.success()) {
        println!("(not pinned: no taskset, or one core only)");
    }
}

impl Server {
    /// Runs `program` on the servers' core and waits until it listens.
    pub(crate) fn start(program: &str, port: u16, arguments: &[String]) -> Self {
        let begun = Instant::now();
        let mut command = Command::new("taskset");
        command
            .args(["-c", SERVER_CORE, program])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Self { child: command.spawn().expect("taskset runs"), port };
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{program} does not listen");
            std::thread::sleep(Duration::from_millis(1));
        }
        server
    }

    /// Processor time so far, of all threads.
    pub(crate) fn processor_time(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("a running process");
        let on_core =
            |task: fs::DirEntry| fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok();
        Duration::from_nanos(tasks.flatten().filter_map(on_core).sum())
    }

    /// Resident memory, in MiB.
    pub(crate) fn resident(&self) -> f64 {
        resident(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Resident memory of a process, in MiB.
pub(crate) fn resident(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}

/// A port that nobody listens on just now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// From the start of the release binary to its first answer, and its resident memory then.
pub(crate) fn first_answer() -> (Duration, f64) {
    let port = free_port();
    let begun = Instant::now();
    let server = Server::start(env!("CARGO_BIN_EXE_throughline"), port, &["demo".into(), "--port".into(), port.to_string()]);
    let mut connection = Connection::open(port);
    connection.ask(format!("GET /_throughline/health HTTP/1.1\r\nHost: brand.localhost:{port}\r\n\r\n").as_bytes());
    assert!(connection.answer().starts_with("HTTP/1.1 200 "));
    let took = begun.elapsed();
    // Its background tasks have run once by then.
    std::thread::sleep(Duration::from_millis(500));
    (took, server.resident())
}
