//! The fleet of scripts/topology: two brokers, two satellites, PostgreSQL, Redis, Caddy.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::support::browser::Browser;
use crate::support::process::{free_port, wait_until};

/// The four nodes, in the order in which an operator restarts them.
pub(crate) const NODES: [&str; 4] = ["broker-1", "broker-2", "satellite-1", "satellite-2"];

/// A running fleet.
pub(crate) struct Fleet {
    port: u16,
    folder: PathBuf,
    script: Child,
}

/// The fleet of this binary. Its script ends when this process does, since its standard input ends then.
pub(crate) fn fleet() -> MutexGuard<'static, Fleet> {
    static FLEET: OnceLock<Mutex<Fleet>> = OnceLock::new();
    let mut fleet = FLEET.get_or_init(|| Mutex::new(Fleet::start())).lock().unwrap_or_else(PoisonError::into_inner);
    fleet.wait_until_whole();
    fleet
}

impl Fleet {
    fn start() -> Self {
        // Another program may take the port in between; then try again with another.
        (0..3).find_map(|_| Self::start_at(free_port())).expect("the fleet starts; see what the script said")
    }

    pub(crate) fn start_at(port: u16) -> Option<Self> {
        let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/topology"))
            .args(["--until-eof", "--port", &port.to_string(), "--program", env!("CARGO_BIN_EXE_throughline")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script runs");
        let lines = BufReader::new(script.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let (mut folder, mut is_ready) = (None, false);
        for line in lines {
            if let Some(place) = line.strip_prefix("folder ") {
                folder = Some(PathBuf::from(place.trim()));
            }
            is_ready = line == "ready";
            if is_ready {
                break;
            }
        }
        folder.filter(|_| is_ready).map(|folder| Self { port, folder, script })
    }

    /// A page's URL.
    pub(crate) fn url(&self, site: &str, path: &str) -> String {
        format!("http://{site}.localhost:{}{path}", self.port)
    }

    /// What the script made: configuration, secrets, keys, what the programs say.
    pub(crate) fn folder(&self) -> &PathBuf {
        &self.folder
    }

    /// The configuration of a node.
    pub(crate) fn configuration(&self, node: &str) -> PathBuf {
        self.folder.join(node).join("config/throughline.toml")
    }

    /// Where a node's listener for operators is.
    pub(crate) fn admin(&self, node: &str) -> String {
        let text = fs::read_to_string(self.configuration(node)).expect("a configuration");
        let admin = text.split("[admin]\n").nth(1).expect("[admin]");
        admin.split('"').nth(1).expect("an address").to_owned()
    }

    /// The process behind a name; none between its end and its next start.
    pub(crate) fn process(&self, name: &str) -> Option<u32> {
        fs::read_to_string(self.folder.join("run").join(name)).ok()?.trim().parse().ok()
    }

    /// Sends a signal to the process behind a name, and returns which one that was.
    pub(crate) fn signal(&self, name: &str, signal: &str) -> u32 {
        wait_for(&format!("{name} runs"), || self.process(name).is_some());
        let process = self.process(name).expect("it runs");
        let sent = Command::new("kill").args([format!("-{signal}"), process.to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{signal} {name}");
        process
    }

    /// Whether a node says that it is well, by the command that a container's health check runs.
    pub(crate) fn is_well(&self, node: &str) -> bool {
        let asked = Command::new(env!("CARGO_BIN_EXE_throughline"))
            .args(["health", "--config"])
            .arg(self.configuration(node))
            .env("DATABASE_URL", "postgres://throughline@127.0.0.1/throughline")
            .output();
        asked.is_ok_and(|output| output.status.success())
    }

    /// Waits until another process than `old` has taken the place of a node, and is well.
    pub(crate) fn wait_until_replaced(&self, name: &str, old: u32) {
        wait_for(&format!("{name} was started again"), || self.process(name).is_some_and(|new| new != old));
        if NODES.contains(&name) {
            wait_for(&format!("{name} is well"), || self.is_well(name));
        }
    }

    /// What a program has said.
    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join("log").join(name)).unwrap_or_default()
    }

    /// How often a node has said something.
    pub(crate) fn said(&self, node: &str, what: &str) -> usize {
        self.log(node).matches(what).count()
    }

    /// The lines of the satellites' logs that tell of a token that was brought: how many were taken, and those that were not.
    pub(crate) fn arrivals(&self) -> (usize, Vec<String>) {
        let log = ["satellite-1", "satellite-2"].map(|node| self.log(node)).concat();
        let arrivals = log.lines().filter(|line| line.contains("step=\"arrival\""));
        let is_taken = |line: &&str| ["bounce", "link"].iter().any(|code| line.contains(&format!("code=\"{code}\"")));
        let (taken, refused): (Vec<_>, Vec<_>) = arrivals.partition(is_taken);
        (taken.len(), refused.into_iter().map(String::from).collect())
    }

    fn wait_until_whole(&mut self) {
        assert!(self.script.try_wait().is_ok_and(|ended| ended.is_none()), "the script has ended");
        for node in NODES {
            wait_for(&format!("{node} is well"), || self.is_well(node));
        }
        // Each satellite in turn: what one of them lacks shows within two visitors.
        let has_id = || {
            let mut browser = Browser::new();
            browser.navigate(&self.url("shop", "/"));
            browser.cookie(&self.url("shop", "/"), "throughline").is_some_and(|cookie| cookie.starts_with("1.b."))
        };
        wait_for("everybody gets an ID", || (0..4).all(|_| has_id()));
    }

    /// Sends a signal to the script, and waits for its end.
    pub(crate) fn end(mut self, signal: &str) {
        let sent = Command::new("kill").args([format!("-{signal}"), self.script.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill runs");
        let status = self.script.wait().expect("it ends");
        assert!(signal == "KILL" || status.success(), "{status}");
    }
}

/// Waits until `is_so`.
pub(crate) fn wait_for(what: &str, is_so: impl FnMut() -> bool) {
    wait_until(what, || false, is_so).unwrap_or_else(|problem| panic!("{problem}"));
}
