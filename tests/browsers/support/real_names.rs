//! `throughline serve` as in production: TLS, `*.example` names, one process for all of them.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::authority::{Certificate, certificate_for};
use super::process::{Process, free_port};
use super::server::binary;
use super::visit::Logs;
use super::wait::eventually;

/// The primary, where the broker is.
pub(crate) const BRAND: &str = "https://www.brand.example";
/// A secondary.
pub(crate) const SHOP: &str = "https://shop.example";
/// Another.
pub(crate) const LEARN: &str = "https://learn.example";

/// A site on static hosting: another server has its pages.
pub(crate) const STATIC: &str = "https://www.static.example";
/// Its satellite.
pub(crate) const STATIC_SATELLITE: &str = "https://t.static.example";

/// Their names, without the scheme.
const NAMES: [&str; 5] = ["www.brand.example", "shop.example", "learn.example", "www.static.example", "t.static.example"];

/// A server of static pages that knows nothing of Throughline, as an argument of Python's.
const STATIC_SERVER: &str = "\
import http.server, ssl, sys
server = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('../tls.pem', '../tls.key')
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
";

/// The served sites.
pub(crate) struct RealNames {
    /// Where they are on the loopback address.
    pub(crate) port: u16,
    /// Where operators look.
    pub(crate) admin: u16,
    /// Where the static pages are.
    pub(crate) static_port: u16,
    process: Process,
    _static_pages: Process,
    _folder: TempDir,
}

impl RealNames {
    /// Does what an adopter does: `init`, a certificate, some pages, a few settings, `serve`.
    pub(crate) async fn start() -> RealNames {
        let folder = TempDir::new().expect("a temporary directory");
        let (port, admin) = (free_port(), free_port());
        let path = folder.path();
        let Certificate { authority, certificate, key } = certificate_for(&NAMES);
        write(path, "authority.pem", &authority);
        write(path, "tls.pem", &certificate);
        write(path, "tls.key", &key);
        fs::set_permissions(path.join("tls.key"), fs::Permissions::from_mode(0o600)).expect("a private key");
        fs::create_dir(path.join("pages")).expect("a directory of pages");
        write(path, "pages/index.html", "<!doctype html><title>A page</title><h1>A page</h1>");
        fs::create_dir(path.join("static")).expect("a directory of pages");
        let scripts =
            ["hop.js", "sdk.js"].map(|name| format!("<script src=\"{STATIC_SATELLITE}/_throughline/{name}\"></script>"));
        write(path, "static/index.html", &format!("<!doctype html><title>A page</title>{}", scripts.concat()));
        configure(path, port, admin);
        let static_port = free_port();
        let mut python = Command::new("python3");
        python.args(["-c", STATIC_SERVER, &static_port.to_string()]).current_dir(path.join("static"));
        let static_pages = Process::spawn(&mut python);

        let mut command = binary();
        command.arg("serve").arg("--config").arg(path.join("throughline.toml"));
        let process = Process::spawn(&mut command);
        for port in [port, static_port] {
            eventually("the servers to listen", async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()).await;
        }
        RealNames { port, admin, static_port, process, _static_pages: static_pages, _folder: folder }
    }
}

impl Logs for RealNames {
    fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

/// Lets `init` write the configuration, and changes in it what this machine needs otherwise.
fn configure(folder: &Path, port: u16, admin: u16) {
    let mut init = binary();
    init.args(["init", "--primary", BRAND, "--site", SHOP, "--site", LEARN, "--site", STATIC]);
    init.args(["--consent", "implied"]).arg("--folder").arg(folder);
    let output = init.output().expect("the program under test");
    assert!(output.status.success(), "init: {}", String::from_utf8_lossy(&output.stderr));

    let file = folder.join("throughline.toml");
    let mut text = fs::read_to_string(&file).expect("what init has written");
    for (written, wanted) in [
        ("127.0.0.1:8400", format!("127.0.0.1:{port}")),
        ("127.0.0.1:8401", format!("127.0.0.1:{admin}")),
        ("# sample_every_s = 300", "sample_every_s = 1".into()),
        ("# tls_certificate = \"cert.pem\"", "tls_certificate = \"tls.pem\"".into()),
        ("# tls_key = \"key.pem\"", "tls_key = \"tls.key\"".into()),
        ("consent = ", "files = \"pages\"\nconsent = ".into()),
    ] {
        assert!(text.contains(written), "init no longer writes {written}:\n{text}");
        text = text.replace(written, &wanted);
    }
    let origin = format!("origin = \"{STATIC}\"\n");
    let satellite = format!("{origin}satellite = \"{STATIC_SATELLITE}\"\ncookie_domain = \"static.example\"\n");
    text = text.replace(&format!("{origin}files = \"pages\"\n"), &satellite);
    assert!(text.contains(&satellite), "init no longer writes {origin}:\n{text}");
    let resolve = NAMES.map(|name| format!("{name:?} = \"127.0.0.1:{port}\""));
    let resolve = resolve.join(", ");
    text += &format!("\n[outbound]\nca_file = \"authority.pem\"\nresolve = {{ {resolve} }}\n");
    fs::write(&file, text).expect("the configuration");
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
