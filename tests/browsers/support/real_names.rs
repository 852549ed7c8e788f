//! `throughline serve` as in production: TLS, `*.example` names, one process for all of them.

use std::fs;
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

/// The served sites.
pub(crate) struct RealNames {
    /// Where they are on the loopback address.
    pub(crate) port: u16,
    process: Process,
    _folder: TempDir,
}

impl RealNames {
    /// Writes a configuration, keys, a certificate and a page, and serves them.
    pub(crate) async fn start() -> RealNames {
        let folder = TempDir::new().expect("a temporary directory");
        let port = free_port();
        let path = folder.path();
        let names = ["www.brand.example", "shop.example", "learn.example"];
        let Certificate {
            authority,
            certificate,
            key,
        } = certificate_for(&names);
        write(path, "authority.pem", &authority);
        write(path, "tls.pem", &certificate);
        write(path, "tls.key", &key);
        fs::create_dir(path.join("pages")).expect("a directory of pages");
        write(
            path,
            "pages/index.html",
            "<!doctype html><title>A page</title><h1>A page</h1>",
        );
        write(path, "throughline.toml", &configuration(path, port));

        let mut command = binary();
        command
            .arg("serve")
            .arg("--config")
            .arg(path.join("throughline.toml"));
        let process = Process::spawn(&mut command);
        eventually("throughline serve to listen", async || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        })
        .await;
        RealNames {
            port,
            process,
            _folder: folder,
        }
    }
}

impl Logs for RealNames {
    fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

/// The one place that knows the configuration's format.
fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        r#"
profile = "production"
listen = "127.0.0.1:{port}"
pages = "{folder}/pages"
keys = "{folder}/keys"

[tls]
certificate = "{folder}/tls.pem"
key = "{folder}/tls.key"

[primary]
origin = "{BRAND}"
consent = "implied"

[[site]]
origin = "{SHOP}"
consent = "implied"

[[site]]
origin = "{LEARN}"
consent = "implied"

[client]
authorities = "{folder}/authority.pem"

[resolve]
"www.brand.example" = "127.0.0.1:{port}"
"shop.example" = "127.0.0.1:{port}"
"learn.example" = "127.0.0.1:{port}"
"#
    )
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
