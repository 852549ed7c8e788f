//! Real Redis servers of the test's own: on free ports, with a temporary folder each, gone when dropped.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::process::{free_port, wait_until};

/// A running `redis-server`, which keeps nothing on disk. It is killed when dropped.
pub(crate) struct Redis {
    port: u16,
    bus_port: u16,
    folder: TempDir,
    options: Vec<String>,
    child: Option<Child>,
}

impl Redis {
    /// One server. `options` are further words of its command line.
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut redis = Self {
            port: 0,
            bus_port: 0,
            folder: tempfile::tempdir().expect("a temporary folder"),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            child: None,
        };
        // Another program may take the port in between; then try again with another.
        for attempt in 1.. {
            (redis.port, redis.bus_port) = (free_port(), free_port());
            match redis.run() {
                Ok(()) => break,
                Err(problem) => assert!(attempt < 3, "{problem}; is the Debian package redis-server installed?"),
            }
        }
        redis
    }

    /// Starts it again after [`Self::kill`], on the same port, with nothing in it.
    pub(crate) fn start_again(&mut self) {
        self.run().unwrap_or_else(|problem| panic!("{problem}"));
    }

    fn run(&mut self) -> Result<(), String> {
        let port = self.port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(&self.options)
            .args(if self.is_of_a_cluster() { vec!["--cluster-port".to_owned(), self.bus_port.to_string()] } else { Vec::new() })
            .arg("--dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-server: {error}"))?;
        self.child = Some(child);
        let has_ended = || self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()));
        // With a password it says so, which is an answer as well.
        wait_until("redis-server answers", has_ended, || {
            ["PONG", "NOAUTH"].iter().any(|word| ask(&port, &["ping"]).contains(word))
        })
    }

    fn is_of_a_cluster(&self) -> bool {
        self.options.iter().any(|option| option == "--cluster-enabled")
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What it answers to a command.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        ask(&self.port.to_string(), words)
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Lets it hang: connections come about, and nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().is_ok_and(|status| status.success()), "kill runs");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn ask(port: &str, words: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-p", port]).args(words).stdin(Stdio::null()).output();
    output.map_or_else(|error| format!("redis-cli: {error}"), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Three servers that are the masters of one cluster.
pub(crate) struct RedisCluster {
    pub(crate) nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts them and waits until they are one.
    pub(crate) fn start() -> Self {
        let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        let nodes: Vec<_> = (0..3).map(|_| Redis::start(&options)).collect();
        for (node, slots) in nodes.iter().zip([["0", "5460"], ["5461", "10922"], ["10923", "16383"]]) {
            assert_eq!(node.ask(&["cluster", "addslotsrange", slots[0], slots[1]]).trim(), "OK");
        }
        for (epoch, node) in nodes.iter().enumerate() {
            node.ask(&["cluster", "set-config-epoch", &(epoch + 1).to_string()]);
        }
        for node in &nodes[1..] {
            let (port, bus_port) = (node.port.to_string(), node.bus_port.to_string());
            assert_eq!(nodes[0].ask(&["cluster", "meet", "127.0.0.1", &port, &bus_port]).trim(), "OK");
        }
        let cluster = Self { nodes };
        cluster.wait_until_well();
        cluster
    }

    /// Waits until every node sees all slots served.
    pub(crate) fn wait_until_well(&self) {
        let is_well = |node: &Redis| {
            let info = node.ask(&["cluster", "info"]);
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        };
        wait_until("the cluster is one", || false, || self.nodes.iter().all(is_well))
            .unwrap_or_else(|problem| panic!("{problem}"));
    }
}
