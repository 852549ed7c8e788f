//! `throughline demo`, in one process or with the broker in a second one.

use std::process::Command;
use std::sync::{Mutex, MutexGuard};

use super::http::{self, NAVIGATION};
use super::process::{Process, free_port};
use super::visit::Logs;
use super::wait::eventually;

/// The demo's four hosts and where they are.
#[derive(Clone, Copy)]
pub(crate) struct Hosts {
    port: u16,
    broker_port: u16,
}

impl Hosts {
    /// The outside site that links in.
    pub(crate) fn news(&self, path: &str) -> String {
        format!("http://news.localhost:{}{path}", self.port)
    }

    /// The first secondary.
    pub(crate) fn shop(&self, path: &str) -> String {
        format!("http://shop.localhost:{}{path}", self.port)
    }

    /// The other secondary.
    pub(crate) fn learn(&self, path: &str) -> String {
        format!("http://learn.localhost:{}{path}", self.port)
    }

    /// The primary.
    pub(crate) fn brand(&self, path: &str) -> String {
        format!("http://brand.localhost:{}{path}", self.broker_port)
    }

    /// Waits until the secondaries send first-time visitors to the broker, or no longer do.
    pub(crate) async fn eventually_hops(self, expected: bool) {
        let page = self.shop("/products");
        let what = if expected {
            "hops to begin"
        } else {
            "hops to stop"
        };
        eventually(what, async || {
            let response = http::get(&page, NAVIGATION).ok()?;
            ((response.status == 302) == expected).then_some(())
        })
        .await;
    }
}

/// A demo in one process: broker, secondaries and the outside site.
pub(crate) struct Demo {
    /// Where it is.
    pub(crate) hosts: Hosts,
    process: Process,
}

impl Demo {
    /// Starts `throughline demo` with further arguments, and waits until it is ready.
    pub(crate) async fn start(arguments: &[&str]) -> Demo {
        let port = free_port();
        let hosts = Hosts {
            port,
            broker_port: port,
        };
        let demo = Demo {
            hosts,
            process: throughline(&["--port", &port.to_string()], arguments),
        };
        demo.answers(&hosts.brand("/_throughline/health")).await;
        demo.answers(&hosts.shop("/_throughline/health")).await;
        // Who must be asked first is never sent on a first visit, so there is nothing to wait for.
        if !arguments.contains(&"required") {
            hosts.eventually_hops(true).await;
        }
        demo
    }

    /// The same without the broker, which is said to be at `broker_port`, whatever is there.
    pub(crate) async fn without_broker(broker_port: u16) -> Demo {
        let port = free_port();
        let hosts = Hosts { port, broker_port };
        let ports = [
            "--port",
            &port.to_string(),
            "--broker-port",
            &broker_port.to_string(),
        ];
        let demo = Demo {
            hosts,
            process: throughline(&ports, &[]),
        };
        // Not a company host: those may well call themselves unready without their broker.
        demo.answers(&hosts.news("/")).await;
        demo
    }

    async fn answers(&self, url: &str) {
        answers(url, self).await;
    }
}

impl Logs for Demo {
    fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

/// A demo in two processes: the broker can die alone.
pub(crate) struct Split {
    /// Where they are.
    pub(crate) hosts: Hosts,
    demo: Demo,
    broker: Mutex<Option<Process>>,
}

impl Split {
    /// Starts both, and waits until the secondaries trust the broker enough to send visitors.
    pub(crate) async fn start() -> Split {
        let demo = Demo::without_broker(free_port()).await;
        let split = Split {
            hosts: demo.hosts,
            demo,
            broker: Mutex::new(None),
        };
        split.start_broker().await;
        split
    }

    /// Ends the broker at once, as `kill -9` does.
    pub(crate) fn kill_broker(&self) {
        *self.broker() = None;
    }

    /// Starts the broker (again), and waits until the secondaries have noticed.
    pub(crate) async fn start_broker(&self) {
        let Hosts { port, broker_port } = self.hosts;
        let ports = [
            "--port",
            &port.to_string(),
            "--broker-port",
            &broker_port.to_string(),
        ];
        *self.broker() = Some(throughline(&["--role", "broker"], &ports));
        answers(&self.hosts.brand("/_throughline/health"), self).await;
        self.hosts.eventually_hops(true).await;
    }

    fn broker(&self) -> MutexGuard<'_, Option<Process>> {
        self.broker
            .lock()
            .expect("no test panics while it holds the lock")
    }
}

impl Logs for Split {
    fn log_tail(&self) -> String {
        let broker = self
            .broker()
            .as_ref()
            .map(Process::log_tail)
            .unwrap_or_default();
        format!("{}\n{broker}", self.demo.log_tail())
    }
}

fn throughline(first: &[&str], then: &[&str]) -> Process {
    Process::spawn(binary().arg("demo").args(first).args(then))
}

/// The program under test.
pub(super) fn binary() -> Command {
    let built = env!("CARGO_BIN_EXE_throughline").into();
    let binary = std::env::var_os("THROUGHLINE_TEST_BIN").unwrap_or(built);
    Command::new(binary)
}

async fn answers(url: &str, server: &impl Logs) {
    let answers = async || {
        http::get(url, &[])
            .ok()
            .filter(|r| r.status == 200)
            .map(|_| ())
    };
    for _ in 0..200 {
        if answers().await.is_some() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{url} does not answer 200\n{}", server.log_tail());
}
