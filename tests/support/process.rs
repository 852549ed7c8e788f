//! A process of the real program, with what it says.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use throughline::base::clock::{Clock as _, SystemClock};

use super::wire;

/// How long a process may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running `throughline serve`; it is killed when dropped.
pub(crate) struct Process {
    child: Child,
    stderr: Arc<Mutex<String>>,
}

impl Process {
    /// Starts it.
    pub(crate) fn serve(config: &Path) -> Self {
        Self::serve_with(config, &[])
    }

    /// Starts it with environment variables of its own.
    pub(crate) fn serve_with(config: &Path, env: &[(&str, &str)]) -> Self {
        Self::start(Command::new(env!("CARGO_BIN_EXE_throughline")).args(["serve", "--config"]).arg(config), env)
    }

    /// Starts it from a shell that was told `before`: the process has what that set.
    pub(crate) fn serve_after(before: &str, config: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{before}; exec \"$@\""), "after", env!("CARGO_BIN_EXE_throughline"), "serve", "--config"]);
        Self::start(shell.arg(config), &[])
    }

    /// Starts `throughline demo` on a port.
    pub(crate) fn demo(port: u16) -> Self {
        Self::start(Command::new(env!("CARGO_BIN_EXE_throughline")).args(["demo", "--port", &port.to_string()]), &[])
    }

    fn start(command: &mut Command, env: &[(&str, &str)]) -> Self {
        let mut child = command
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = Arc::new(Mutex::new(String::new()));
        let (pipe, lines) = (child.stderr.take().expect("a pipe"), Arc::clone(&stderr));
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { child, stderr }
    }

    /// All that it has said so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, as an operator or a supervisor does.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill runs");
    }

    /// How it ended, if it has.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.try_wait().ok().flatten().and_then(|status| status.code())
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Ends it at once, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody uses just now. Each is given out once.
pub(crate) fn free_port() -> u16 {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        if !given.contains(&port) {
            given.push(port);
            return port;
        }
    }
}

/// Asks until `is_so`.
///
/// # Errors
/// With `what`, when it takes too long or `is_over` says that there is nothing to wait for.
pub(crate) fn wait_until(what: &str, mut is_over: impl FnMut() -> bool, mut is_so: impl FnMut() -> bool) -> Result<(), String> {
    let clock = SystemClock::new();
    while clock.uptime() < READY_WITHIN {
        if is_so() {
            return Ok(());
        }
        if is_over() {
            return Err(format!("ended before {what}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("not in {READY_WITHIN:?}: {what}"))
}

/// Whether the site answers that it is well, and, on a secondary, that the broker is and knows the site.
pub(crate) fn is_healthy(port: u16, host: &str, is_primary: bool) -> bool {
    says(port, host, |health| is_primary || sees_broker(health))
}

/// Whether a site answers for its health, and says what is asked for.
pub(crate) fn says(port: u16, host: &str, what: impl FnOnce(&wire::Answer) -> bool) -> bool {
    let request = format!("GET /_throughline/health HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
    wire::send(port, request.as_bytes()).is_ok_and(|answer| answer.status == 200 && what(&answer))
}

/// Whether a secondary's health says that hops start: the broker is well, its metadata, which lists the site, has been fetched,
/// and the list of ended IDs is known (rule A14).
pub(crate) fn sees_broker(health: &wire::Answer) -> bool {
    sees_broker_beside(health) && health.json()["revocations"]["status"] != "unknown"
}

/// The same for a secondary in the broker's own process, which needs no list for new visitors.
pub(crate) fn sees_broker_beside(health: &wire::Answer) -> bool {
    let health = health.json();
    health["broker"] == "closed" && health["registered"] == true
}

/// Whether the site knows `sibling`: a link there is let through.
pub(crate) fn knows(port: u16, host: &str, sibling: &str) -> bool {
    let to = sibling.replace(':', "%3A").replace('/', "%2F");
    let request = format!("GET /_throughline/go?to={to}%2F HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
    wire::send(port, request.as_bytes()).is_ok_and(|answer| answer.status == 302)
}
