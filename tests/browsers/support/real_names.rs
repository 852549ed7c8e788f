//! `throughline serve` as in production: TLS, `*.example` names, one process for all of them.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

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

/// Their names, without the scheme.
const NAMES: [&str; 3] = ["www.brand.example", "shop.example", "learn.example"];

/// The served sites.
pub(crate) struct RealNames {
    /// Where they are on the loopback address.
    pub(crate) port: u16,
    /// Where operators look.
    pub(crate) admin: u16,
    process: Process,
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
        fs::create_dir(path.join("pages")).expect("a directory of pages");
        write(path, "pages/index.html", "<!doctype html><title>A page</title><h1>A page</h1>");
        configure(path, port, admin);

        let mut command = binary();
        command.arg("serve").arg("--config").arg(path.join("throughline.toml"));
        let process = Process::spawn(&mut command);
        eventually("throughline serve to listen", async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()).await;
        RealNames { port, admin, process, _folder: folder }
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
    init.args(["init", "--primary", BRAND, "--site", SHOP, "--site", LEARN]);
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
    let resolve = NAMES.map(|name| format!("{name:?} = \"127.0.0.1:{port}\""));
    let resolve = resolve.join(", ");
    text += &format!("\n[outbound]\nca_file = \"authority.pem\"\nresolve = {{ {resolve} }}\n");
    fs::write(&file, text).expect("the configuration");
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
