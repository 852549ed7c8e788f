//! One WebDriver process per browser, on a free port, with a home directory of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::http;
use super::process::{Process, free_port};
use super::wait::eventually;

/// The three engines that all browsers of weight are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Chrome, Edge, Brave, Opera: driven by chromedriver.
    Chromium,
    /// Firefox: driven by geckodriver.
    Firefox,
    /// Safari's engine, here WebKitGTK's MiniBrowser: driven by WebKitWebDriver, under Xvfb.
    WebKit,
}

impl Engine {
    /// The engine that a test is named after.
    pub(crate) fn named(name: &str) -> Engine {
        match name {
            "chromium" => Engine::Chromium,
            "firefox" => Engine::Firefox,
            "webkit" => Engine::WebKit,
            _ => panic!("no engine is called {name}"),
        }
    }

    fn driver(self) -> &'static str {
        match self {
            Engine::Chromium => "chromedriver",
            Engine::Firefox => "geckodriver",
            Engine::WebKit => "WebKitWebDriver",
        }
    }
}

/// A driver that answers, and what it needs to run. Dropping it ends its browsers as well.
pub(crate) struct Driver {
    process: Process,
    // Ends after the browser that draws on it.
    _display: Option<Display>,
    home: TempDir,
    url: String,
}

impl Driver {
    /// Starts the engine's driver and waits until it answers.
    pub(crate) async fn start(engine: Engine) -> Driver {
        let home = TempDir::new().expect("a temporary home directory");
        let port = free_port();
        let mut command = Command::new(engine.driver());
        command.arg(format!("--port={port}"));
        for variable in ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"] {
            command.env(variable, home.path());
        }
        let display = (engine == Engine::WebKit).then(Display::start);
        if let Some(display) = &display {
            command.env("DISPLAY", &display.name);
        }
        let process = Process::spawn(&mut command);
        let url = format!("http://127.0.0.1:{port}");
        let status = format!("{url}/status");
        eventually(&format!("{} to answer", engine.driver()), async || {
            http::get(&status, &[]).ok().filter(|response| response.status == 200)
        })
        .await;
        Driver { process, _display: display, home, url }
    }

    /// Where the driver listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A directory that is empty at first and gone at the end.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The end of the driver's own log.
    pub(crate) fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

/// A virtual X display.
struct Display {
    name: String,
    _process: Process,
}

impl Display {
    fn start() -> Display {
        // `-displayfd 1` makes the server choose a free number and print it when it is ready.
        let process =
            Process::spawn(Command::new("Xvfb").args(["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"]));
        for _ in 0..100 {
            let log = process.log();
            if let Some(number) = log.lines().find(|line| line.parse::<u32>().is_ok()) {
                return Display { name: format!(":{number}"), _process: process };
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("Xvfb gives no display\n{}", process.log_tail());
    }
}

/// Where Debian's libwebkit2gtk-4.1-0 puts the browser that WebKitWebDriver drives.
pub(crate) fn mini_browser() -> PathBuf {
    let candidates = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    candidates
        .map(|folder| folder.path().join("webkit2gtk-4.1/MiniBrowser"))
        .find(|path| path.exists())
        .expect("MiniBrowser is not installed: run ./scripts/test")
}
