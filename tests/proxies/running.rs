//! Other people's programs as processes: nginx, Caddy, and the applications of `examples/apps`.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::wire;

/// A program that is killed when dropped.
pub(crate) struct Running {
    name: String,
    child: Child,
}

impl Running {
    fn start(command: &mut Command, folder: &Path, port: u16) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = folder.join(format!("{}.{port}.log", Path::new(&name).file_name().expect("a name").to_string_lossy()));
        let output = fs::File::create(&log).expect("a log");
        let errors = output.try_clone().expect("the same log");
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let mut running =
            Self { child: child.map_err(|error| format!("{name}: {error}; run ./scripts/test"))?, name: name.clone() };
        for _ in 0..1000 {
            if running.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
            if wire::connect(port).is_ok() {
                return Ok(running);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Err(format!("{name} does not listen on {port}: {}", fs::read_to_string(&log).unwrap_or_default()))
    }

    /// Sends a signal to it, by its name.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.name == "nginx" {
            // Its master ends its workers; they would outlive it if it were killed.
            self.signal("TERM");
            let _ = self.child.wait();
        } else {
            self.kill();
        }
    }
}

/// Sends a signal to a process, by the signal's name.
pub(crate) fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), process.to_string()]).stderr(Stdio::null()).status();
    assert!(sent.is_ok(), "kill runs");
}

/// The two applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum App {
    Python,
    Node,
}

impl App {
    /// Starts it on a port.
    pub(crate) fn start(self, folder: &Path, port: u16) -> Result<Running, String> {
        let (program, file) = match self {
            Self::Python => ("python3", "visitor.py"),
            Self::Node => ("node", "visitor.mjs"),
        };
        let file = example(&format!("apps/{file}"));
        Running::start(Command::new(program).arg(file).arg(port.to_string()), folder, port)
    }
}

/// What a proxy is told: where the satellite and the application are, and which site it serves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    pub(crate) satellite: u16,
    pub(crate) app: u16,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// A port for what a proxy itself needs.
    pub(crate) spare: u16,
    /// Whether the proxy waits longer for the satellite than its example says: a busy machine is not what is tested then.
    pub(crate) is_patient: bool,
    /// Lines that a site of its own adds for its pages.
    pub(crate) own_lines: &'a str,
}

/// nginx with `examples/nginx`, as any user runs it.
pub(crate) fn nginx(folder: &Path, places: Places<'_>) -> Result<Running, String> {
    let Places { satellite, app, host, port, spare, is_patient, own_lines } = places;
    let [connect, read] = if is_patient { ["10s", "10s"] } else { ["100ms", "1s"] };
    let site = changed(
        "nginx/throughline.conf",
        &[
            ("127.0.0.1:8400", &format!("127.0.0.1:{satellite}")),
            ("127.0.0.1:8399", &format!("127.0.0.1:{spare}")),
            ("127.0.0.1:9000", &format!("127.0.0.1:{app}")),
            ("listen 80;", &format!("listen 127.0.0.1:{port};")),
            ("shop.example", host),
            ("proxy_connect_timeout 100ms;", &format!("proxy_connect_timeout {connect};")),
            ("proxy_read_timeout 1s;", &format!("proxy_read_timeout {read};")),
            ("location / {", &format!("location / {{ {own_lines}")),
        ],
    );
    let folder = folder.join(format!("nginx.{port}"));
    fs::create_dir(&folder).map_err(|error| error.to_string())?;
    let at = folder.display();
    let temporary: String =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {at}/{kind};\n")).concat();
    let whole = format!(
        "daemon off;\nworker_processes 1;\npid {at}/pid;\nerror_log {at}/errors;\nevents {{}}\n\
         http {{\naccess_log off;\nclient_max_body_size 0;\n{temporary}{site}}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, whole).map_err(|error| error.to_string())?;
    Running::start(Command::new("nginx").arg("-e").arg(folder.join("errors")).arg("-c").arg(&file), &folder, port)
}

/// Caddy with `examples/caddy`.
pub(crate) fn caddy(folder: &Path, places: Places<'_>) -> Result<Running, String> {
    let Places { satellite, app, host, port, is_patient, .. } = places;
    let [connect, read] = if is_patient { ["10s", "10s"] } else { ["100ms", "1s"] };
    let site = changed(
        "caddy/Caddyfile",
        &[
            ("127.0.0.1:8400", &format!("127.0.0.1:{satellite}")),
            ("127.0.0.1:9000", &format!("127.0.0.1:{app}")),
            ("dial_timeout 100ms", &format!("dial_timeout {connect}")),
            ("response_header_timeout 1s", &format!("response_header_timeout {read}")),
            (
                "\nshop.example {",
                &format!("\n{{\n\tadmin off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}}\nhttp://{host}:{port} {{"),
            ),
        ],
    );
    let folder = folder.join(format!("caddy.{port}"));
    fs::create_dir(&folder).map_err(|error| error.to_string())?;
    let file = folder.join("Caddyfile");
    fs::write(&file, site).map_err(|error| error.to_string())?;
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
    for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env(variable, &folder);
    }
    Running::start(&mut command, &folder, port)
}

/// A file of `examples/` with other places in it, each of which must have stood there.
fn changed(file: &str, places: &[(&str, &str)]) -> String {
    let mut text = fs::read_to_string(example(file)).expect("an example");
    for (from, to) in places {
        assert!(text.contains(from), "{file} has no {from}");
        text = text.replace(from, to);
    }
    text
}

fn example(file: &str) -> String {
    format!("{}/examples/{file}", env!("CARGO_MANIFEST_DIR"))
}
