//! Other people's programs as processes: nginx, Caddy, and the applications of `examples/apps`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
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
        if self.name == "nginx" || self.name.contains("php-fpm") {
            // The master ends its workers, which would outlive a master that is killed.
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

/// The applications, and how nginx reaches each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum App {
    /// HTTP.
    Python,
    /// HTTP.
    Node,
    /// FastCGI, of php-fpm.
    Php,
    /// The uwsgi protocol, of uWSGI.
    Uwsgi,
    /// SCGI, of uWSGI.
    Scgi,
}

impl App {
    /// Starts it on a port.
    pub(crate) fn start(self, folder: &Path, port: u16) -> Result<Running, String> {
        let mut command = match self {
            Self::Python => with_arguments("python3", &[&example("apps/visitor.py"), &port.to_string()]),
            Self::Node => with_arguments("node", &[&example("apps/visitor.mjs"), &port.to_string()]),
            Self::Php => php_fpm(folder, port).map_err(|error| error.to_string())?,
            Self::Uwsgi => uwsgi("--socket", port),
            Self::Scgi => uwsgi("--scgi-socket", port),
        };
        Running::start(&mut command, folder, port)
    }

    /// Its site in `examples/nginx/sites.conf`, and the address of the application there.
    const fn example_site(self) -> (&'static str, &'static str) {
        match self {
            Self::Python | Self::Node => ("shop.example", "127.0.0.1:9000"),
            Self::Php => ("php.example", "127.0.0.1:9001"),
            Self::Uwsgi => ("uwsgi.example", "127.0.0.1:9002"),
            Self::Scgi => ("scgi.example", "127.0.0.1:9003"),
        }
    }

    /// The lines of a location of nginx that pass a request on to it, as in `examples/nginx/sites.conf`.
    pub(crate) fn pass(self) -> String {
        let (_, address) = self.example_site();
        match self {
            Self::Python | Self::Node => {
                format!("include throughline/proxy.conf; proxy_set_header Host $http_host; proxy_pass http://{address};")
            }
            Self::Php => format!(
                "include fastcgi_params; include throughline/fastcgi.conf; \
                 fastcgi_param SCRIPT_FILENAME $document_root/index.php; fastcgi_pass {address};"
            ),
            Self::Uwsgi => format!("include uwsgi_params; include throughline/uwsgi.conf; uwsgi_pass {address};"),
            Self::Scgi => format!(
                "include scgi_params; include throughline/scgi.conf; scgi_param PATH_INFO $document_uri; \
                 scgi_param SCRIPT_NAME \"\"; scgi_pass {address};"
            ),
        }
    }
}

fn with_arguments(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// `php-fpm` with `examples/apps/visitor.php` as the `index.php` of `folder`/php.
fn php_fpm(folder: &Path, port: u16) -> std::io::Result<Command> {
    let root = folder.join("php");
    if !root.exists() {
        fs::create_dir(&root)?;
        symlink(example("apps/visitor.php"), root.join("index.php"))?;
    }
    let file = folder.join(format!("php-fpm.{port}.conf"));
    let text = format!(
        "[global]\nerror_log = /dev/stderr\n[site]\nuser = root\ngroup = root\nlisten = 127.0.0.1:{port}\npm = static\npm.max_children = 2\n"
    );
    fs::write(&file, text)?;
    // Debian's program has its version in its name. Root may run it as root only with -R, and others ignore `user`.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let files = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().filter_map(Result::ok);
    let program = files.map(|file| file.path()).find(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.strip_prefix("php-fpm").is_some_and(|version| version.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit()))
    });
    let program = program.unwrap_or_else(|| PathBuf::from("php-fpm"));
    let mut command = Command::new(program);
    command.args(["--nodaemonize", "--no-php-ini", "--allow-to-run-as-root", "--fpm-config"]).arg(file);
    Ok(command)
}

/// uWSGI, which takes requests of one protocol on its socket, with `examples/apps/visitor.py`.
fn uwsgi(socket: &str, port: u16) -> Command {
    let address = format!("127.0.0.1:{port}");
    let file = example("apps/visitor.py");
    let place = ["--plugins", "python3", socket, &address, "--wsgi-file", &file, "--need-app"];
    let mut command = with_arguments("uwsgi", &place);
    command.args(["--buffer-size", "32768", "--disable-logging"]);
    command
}

/// What a proxy is told: where the satellite and the application are, and which site it serves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    pub(crate) satellite: u16,
    pub(crate) app: u16,
    /// What listens on `app`.
    pub(crate) kind: App,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// A port for what a proxy itself needs.
    pub(crate) spare: u16,
    /// Whether the proxy waits longer for the satellite than its example says: a busy machine is not what is tested then.
    pub(crate) is_patient: bool,
    /// Lines that a site of its own adds for its pages.
    pub(crate) own_lines: &'a str,
    /// Locations that a site of its own adds.
    pub(crate) locations: &'a str,
    /// Further servers of nginx.
    pub(crate) servers: &'a str,
}

/// nginx with `examples/nginx`, as any user runs it. The default server of the same address is another site, whose server lets
/// underscores through: nginx reads the headers that come before `Host` by its rules.
pub(crate) fn nginx(folder: &Path, places: Places<'_>) -> Result<Running, String> {
    let Places { satellite, app, kind, host, port, spare, is_patient, own_lines, locations, servers } = places;
    let (name, address) = kind.example_site();
    let shared = changed(
        "nginx/throughline.conf",
        &[("127.0.0.1:8400", &format!("127.0.0.1:{satellite}")), ("127.0.0.1:8399", &format!("127.0.0.1:{spare}"))],
    );
    let is_own = format!("server_name {name};");
    let sites = changed(
        "nginx/sites.conf",
        &[
            ("listen 80;", &format!("listen 127.0.0.1:{port};")),
            ("location / {", &format!("location / {{ {own_lines}")),
            (&is_own, &format!("server_name {host};\n{locations}")),
            ("/var/www/php.example", &folder.join("php").display().to_string()),
            (address, &format!("127.0.0.1:{app}")),
        ],
    );
    let folder = folder.join(format!("nginx.{port}"));
    let included = folder.join("throughline");
    fs::create_dir(&folder).map_err(|error| error.to_string())?;
    if is_patient {
        fs::create_dir(&included).map_err(|error| error.to_string())?;
        for file in fs::read_dir(example("nginx/throughline")).map_err(|error| error.to_string())? {
            let name = file.map_err(|error| error.to_string())?.file_name().to_string_lossy().into_owned();
            let waits: &[(&str, &str)] = match &*name {
                "site.conf" => &[
                    ("proxy_connect_timeout 100ms;", "proxy_connect_timeout 10s;"),
                    ("proxy_read_timeout 1s;", "proxy_read_timeout 10s;"),
                ],
                _ => &[],
            };
            fs::write(included.join(&name), changed(&format!("nginx/throughline/{name}"), waits))
                .map_err(|error| error.to_string())?;
        }
    } else {
        symlink(example("nginx/throughline"), &included).map_err(|error| error.to_string())?;
    }
    for parameters in ["fastcgi_params", "uwsgi_params", "scgi_params"] {
        symlink(Path::new("/etc/nginx").join(parameters), folder.join(parameters)).map_err(|error| error.to_string())?;
    }
    let at = folder.display();
    let temporary: String =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {at}/{kind};\n")).concat();
    let other = format!("server {{ listen 127.0.0.1:{port} default_server; underscores_in_headers on; return 404; }}\n");
    let whole = format!(
        "daemon off;\nworker_processes 1;\npid {at}/pid;\nerror_log {at}/errors;\nevents {{}}\n\
         http {{\naccess_log off;\nclient_max_body_size 0;\n{temporary}{other}{shared}{sites}{servers}}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, whole).map_err(|error| error.to_string())?;
    Running::start(Command::new("nginx").arg("-e").arg(folder.join("errors")).arg("-c").arg(&file), &folder, port)
}

/// Caddy with `examples/caddy`. For PHP, `php_fastcgi` stands in the place of the application's `reverse_proxy`.
pub(crate) fn caddy(folder: &Path, places: Places<'_>) -> Result<Running, String> {
    let Places { satellite, app, kind, host, port, is_patient, .. } = places;
    let way = match kind {
        App::Php => format!("root * {}\n\t\t\tphp_fastcgi", folder.join("php").display()),
        _ => "reverse_proxy".to_owned(),
    };
    let [connect, read] = if is_patient { ["10s", "10s"] } else { ["100ms", "1s"] };
    let site = changed(
        "caddy/Caddyfile",
        &[
            ("127.0.0.1:8400", &format!("127.0.0.1:{satellite}")),
            ("reverse_proxy 127.0.0.1:9000", &format!("{way} 127.0.0.1:{app}")),
            ("dial_timeout 100ms", &format!("dial_timeout {connect}")),
            ("response_header_timeout 1s", &format!("response_header_timeout {read}")),
            (
                "\nshop.example {",
                &format!("\n{{\n\tadmin off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}}\nhttp://{host}:{port} {{"),
            ),
        ],
    );
    caddy_with(folder, port, &site)
}

/// Caddy with a Caddyfile of the test's own.
pub(crate) fn caddy_with(folder: &Path, port: u16, caddyfile: &str) -> Result<Running, String> {
    let folder = folder.join(format!("caddy.{port}"));
    fs::create_dir(&folder).map_err(|error| error.to_string())?;
    let file = folder.join("Caddyfile");
    fs::write(&file, caddyfile).map_err(|error| error.to_string())?;
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
