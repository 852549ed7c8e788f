//! A real PostgreSQL server of the test's own: on a free port, in a temporary folder, gone with the process that started it.
//!
//! PostgreSQL refuses to run as root; as root it runs as Debian's user `postgres`. A shell watches over it: when this process
//! ends, in whatever way, the shell's standard input closes, and it ends the server and removes its folder.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::process::{free_port, wait_until};

/// What watches over a server. It knows the server by the number that it notes in its folder.
const WATCH: &str = r#"
trap '' INT TERM HUP
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
    kill -CONT "$pid" $(ps -o pid= --ppid "$pid") 2>/dev/null
    kill -QUIT "$pid" 2>/dev/null
    for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
    kill -KILL "$pid" 2>/dev/null
fi
rm -rf "$1"
"#;

/// A running server.
pub(crate) struct Postgres {
    folder: PathBuf,
    port: u16,
    settings: Vec<String>,
    server: Option<Child>,
    watch: Child,
}

impl Postgres {
    /// The one that the tests of a binary share. It ends with the process.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// One of the test's own. `settings` are lines such as `ssl=on`; files in [`Self::folder`] are named without a path.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_with(settings, &[])
    }

    /// The same, with files for the server alone.
    pub(crate) fn start_with(settings: &[&str], files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder").keep();
        let watch = Command::new("sh").args(["-c", WATCH, "watch"]).arg(&folder).stdin(Stdio::piped()).spawn();
        let mut postgres = Self {
            port: 0,
            settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
            server: None,
            watch: watch.expect("a shell"),
            folder,
        };
        postgres.give(&postgres.folder);
        let data = postgres.data();
        let made = postgres
            .program("initdb")
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        for (name, text) in files {
            fs::write(data.join(name), text).expect("a file");
            postgres.give(&data.join(name));
            let _ = Command::new("chmod").arg("600").arg(data.join(name)).status();
        }
        // Another program may take the port in between; then try again with another.
        for attempt in 1.. {
            postgres.port = free_port();
            match postgres.run() {
                Ok(()) => break,
                Err(problem) => assert!(attempt < 3, "{problem}: {}", postgres.log()),
            }
        }
        postgres
    }

    /// A new database, by its URL.
    pub(crate) fn new_database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// What the server answers in that database, named or by its URL: a line a row, `|` between columns.
    pub(crate) fn sql(&self, database: &str, statement: &str) -> String {
        let database = database.rsplit('/').next().expect("a name");
        let output = Command::new(tool("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.url(database), "-c", statement])
            .stdin(Stdio::null())
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Its main process.
    pub(crate) fn id(&self) -> u32 {
        self.server.as_ref().expect("it runs").id()
    }

    /// Ends it as `kill -9` does, with what it is at.
    pub(crate) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            self.resume_all(server.id());
            signal("-QUIT", server.id());
            let _ = server.wait();
        }
    }

    /// Kills all its processes at once, so that none of them can tidy up.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let all: Vec<_> = children(server.id()).into_iter().chain([server.id()]).map(|id| id.to_string()).collect();
            let _ = Command::new("kill").arg("-KILL").args(all).stderr(Stdio::null()).status();
            let _ = server.wait();
        }
    }

    /// Starts it again after [`Self::stop`] or [`Self::kill`], on the same port.
    pub(crate) fn start_again(&mut self) {
        self.run().unwrap_or_else(|problem| panic!("{problem}: {}", self.log()));
    }

    /// Lets it hang: connections come about, and nothing answers.
    pub(crate) fn pause(&self) {
        let id = self.server.as_ref().expect("it runs").id();
        signal("-STOP", id);
        children(id).into_iter().for_each(|child| signal("-STOP", child));
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.resume_all(self.server.as_ref().expect("it runs").id());
    }

    /// What it has written to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn resume_all(&self, id: u32) {
        children(id).into_iter().chain([id]).for_each(|process| signal("-CONT", process));
    }

    fn run(&mut self) -> Result<(), String> {
        let log = fs::File::options().create(true).append(true).open(self.folder.join("log")).expect("a log");
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]).arg("-k").arg(&self.folder);
        for setting in ["listen_addresses=127.0.0.1"].into_iter().chain(self.settings.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.server = Some(started.map_err(|error| format!("postgres: {error}"))?);
        let port = self.port.to_string();
        let has_ended = || self.server.as_mut().is_none_or(|server| server.try_wait().is_ok_and(|status| status.is_some()));
        wait_until("PostgreSQL answers", has_ended, || {
            let asked = Command::new(tool("pg_isready")).args(["-q", "-h", "127.0.0.1", "-p", &port]).status();
            asked.is_ok_and(|status| status.success())
        })
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A program of the server, run by the user who may.
    fn program(&self, name: &str) -> Command {
        if !is_root() {
            return Command::new(tool(name));
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(tool(name)).current_dir(&self.folder);
        command
    }

    fn give(&self, path: &Path) {
        if is_root() {
            let of_user = |option| {
                let asked = Command::new("id").args([option, "postgres"]).output().expect("id runs");
                String::from_utf8_lossy(&asked.stdout).trim().parse().expect("a user called postgres")
            };
            chown(path, Some(of_user("-u")), Some(of_user("-g"))).expect("root may give files away");
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
        drop(self.watch.stdin.take());
        let _ = self.watch.wait();
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The folder with the programs of the newest version that Debian has installed.
pub(crate) fn tools() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let numbered = versions.filter_map(|version| Some((version.file_name().to_str()?.parse::<u32>().ok()?, version.path())));
    let newest = numbered.max().map(|(_, path)| path.join("bin"));
    newest.expect("PostgreSQL; is the Debian package postgresql installed?")
}

fn tool(name: &str) -> PathBuf {
    let tool = tools().join(name);
    assert!(tool.exists(), "no {name}; is the Debian package postgresql installed?");
    tool
}

fn signal(signal: &str, process: u32) {
    // A process of the server may have ended by itself.
    let _ = Command::new("kill").args([signal, &process.to_string()]).stderr(Stdio::null()).status();
}

fn children(process: u32) -> Vec<u32> {
    let output = Command::new("ps").args(["-o", "pid=", "--ppid", &process.to_string()]).output().expect("ps runs");
    String::from_utf8_lossy(&output.stdout).split_whitespace().filter_map(|child| child.parse().ok()).collect()
}
