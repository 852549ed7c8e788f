//! A shop on static hosting: its pages come from a small server that knows nothing of Throughline, its satellite is on a sub-domain.
//! The broker is a process of its own, and so is the satellite, which also serves another site.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use tempfile::TempDir;

use super::http::{self, NAVIGATION};
use super::process::{Process, free_port};
use super::server::binary;
use super::visit::Logs;
use super::wait::eventually;

/// The company.
pub(crate) struct StaticShop {
    /// Where everything is.
    pub(crate) places: Places,
    folder: TempDir,
    pages: Pages,
    broker: Mutex<Option<Process>>,
    satellite: Mutex<Option<Process>>,
}

/// Where everything is.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    pages_port: u16,
    broker_port: u16,
    satellite_port: u16,
}

impl Places {
    /// A page of the shop.
    pub(crate) fn shop(self, path: &str) -> String {
        format!("http://www.shop.localhost:{}{path}", self.pages_port)
    }

    /// The shop's satellite.
    pub(crate) fn satellite(self, path: &str) -> String {
        format!("http://t.shop.localhost:{}{path}", self.satellite_port)
    }

    /// A site that the satellite's process serves itself.
    pub(crate) fn learn(self, path: &str) -> String {
        format!("http://learn.localhost:{}{path}", self.satellite_port)
    }

    /// The primary.
    pub(crate) fn brand(self, path: &str) -> String {
        format!("http://brand.localhost:{}{path}", self.broker_port)
    }

    /// An outside site.
    pub(crate) fn news(self, path: &str) -> String {
        format!("http://news.localhost:{}{path}", self.pages_port)
    }
}

impl StaticShop {
    /// Starts all of it, and waits until visitors are sent on hops, unless they must be asked first.
    pub(crate) async fn start(consent: &str) -> StaticShop {
        let folder = TempDir::new().expect("a temporary directory");
        let places = Places { pages_port: free_port(), broker_port: free_port(), satellite_port: free_port() };
        configure(&folder, places, consent);
        let pages = Pages::start(places);
        let shop = StaticShop { places, folder, pages, broker: Mutex::new(None), satellite: Mutex::new(None) };
        shop.start_broker().await;
        *held(&shop.satellite) = Some(shop.serve("sites.toml"));
        shop.answers(&places.satellite("/_throughline/health")).await;
        if consent == "implied" {
            let start = places.satellite(&format!("/_throughline/start?page={}", places.shop("/").replace(':', "%3A")));
            eventually("hops to begin", async || {
                let answer = http::get(&start, NAVIGATION).ok()?;
                answer.header("location").filter(|to| to.contains("/_throughline/hop?")).map(|_| ())
            })
            .await;
        }
        shop
    }

    /// Starts the broker (again).
    pub(crate) async fn start_broker(&self) {
        *held(&self.broker) = Some(self.serve("broker.toml"));
        self.answers(&self.places.brand("/_throughline/health")).await;
    }

    /// Ends the broker at once, and waits until the satellite has noticed.
    pub(crate) async fn kill_broker(&self) {
        *held(&self.broker) = None;
        let health = self.places.satellite("/_throughline/health");
        eventually("the satellite to miss the broker", async || {
            let health = http::get(&health, &[]).ok()?;
            health.body.contains("open").then_some(())
        })
        .await;
    }

    /// Ends the satellite at once.
    pub(crate) fn kill_satellite(&self) {
        *held(&self.satellite) = None;
    }

    /// How often a page of the shop was asked for whose path begins so.
    pub(crate) fn asked_for(&self, path: &str) -> usize {
        held(&self.pages.requests).iter().filter(|asked| asked.starts_with(path)).count()
    }

    fn serve(&self, config: &str) -> Process {
        Process::spawn(binary().arg("serve").arg("--config").arg(self.folder.path().join(config)))
    }

    async fn answers(&self, url: &str) {
        eventually(url, async || http::get(url, &[]).ok().filter(|answer| answer.status == 200).map(|_| ())).await;
    }
}

impl Logs for StaticShop {
    fn log_tail(&self) -> String {
        let log = |process: &Mutex<Option<Process>>| held(process).as_ref().map(Process::log_tail).unwrap_or_default();
        format!("{}\n{}\npages: {:#?}", log(&self.broker), log(&self.satellite), held(&self.pages.requests))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics while it holds the lock")
}

/// Lets `init` make secrets and keys, and writes one configuration for each process.
fn configure(folder: &TempDir, places: Places, consent: &str) {
    let path = folder.path();
    let [brand, shop, learn, satellite] = [places.brand(""), places.shop(""), places.learn(""), places.satellite("")];
    let mut init = binary();
    init.args(["init", "--profile", "localhost", "--primary", &brand, "--site", &shop, "--site", &learn]);
    init.args(["--consent", consent]).arg("--folder").arg(path);
    let output = init.output().expect("the program under test");
    assert!(output.status.success(), "init: {}", String::from_utf8_lossy(&output.stderr));
    fs::create_dir(path.join("pages")).expect("a directory of pages");
    let link =
        format!("<!doctype html><title>learn</title><a id=to-shop href=\"/_throughline/go?to={shop}/linked?a=1%23top\">shop</a>");
    fs::write(path.join("pages/index.html"), link).expect("a page");

    let both = |port, rest: &str| {
        format!(
            "profile = \"localhost\"\n[listen]\naddresses = [\"127.0.0.1:{port}\"]\n\
             [outbound]\nprobe_interval_ms = 200\nprobe_timeout_ms = 2000\nrevocation_interval_ms = 200\n\
             [log]\nlevel = \"debug\"\n{rest}"
        )
    };
    let files =
        |host: &str| format!("secret_file = \"secrets/{host}\"\nkey_file = \"keys/{host}.json\"\nconsent = \"{consent}\"\n");
    let elsewhere = |host: &str| format!("serve = false\nsecret_file = \"secrets/{host}\"\n");
    let broker = format!(
        "[primary]\norigin = \"{brand}\"\n{}[[site]]\norigin = \"{shop}\"\nsatellite = \"{satellite}\"\n{}[[site]]\norigin = \"{learn}\"\n{}",
        files("brand.localhost"),
        elsewhere("www.shop.localhost"),
        elsewhere("learn.localhost"),
    );
    fs::write(path.join("broker.toml"), both(places.broker_port, &broker)).expect("a configuration");
    let sites = format!(
        "[primary]\norigin = \"{brand}\"\nserve = false\n\
         [[site]]\norigin = \"{shop}\"\nsatellite = \"{satellite}\"\ncookie_domain = \"shop.localhost\"\n{}\
         [[site]]\norigin = \"{learn}\"\nfiles = \"pages\"\n{}",
        files("www.shop.localhost"),
        files("learn.localhost"),
    );
    fs::write(path.join("sites.toml"), both(places.satellite_port, &sites)).expect("a configuration");
}

/// The static hosting: of the shop, and of an outside site that links to it.
struct Pages {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    closing: Arc<AtomicBool>,
}

impl Pages {
    fn start(places: Places) -> Pages {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let closing = Arc::new(AtomicBool::new(false));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, places.pages_port)).expect("a port for the pages");
        let (seen, closed) = (Arc::clone(&requests), Arc::clone(&closing));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if closed.load(Ordering::SeqCst) {
                    break;
                }
                let seen = Arc::clone(&seen);
                thread::spawn(move || answer(stream, places, &seen));
            }
        });
        Pages { port: places.pages_port, requests, closing }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is closing.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn answer(mut stream: TcpStream, places: Places, seen: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let page = if request.contains("host: www.shop.localhost") {
        if path != "/favicon.ico" {
            held(seen).push(path.clone());
        }
        shop_page(places, &path)
    } else {
        format!("<!doctype html><title>news</title><a id=to-shop href=\"{}\">shop</a>", places.shop("/p?x=1&&y=a%20b#frag"))
    };
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store";
    let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{page}", page.len());
}

/// As docs/adopting.md says; the script between the two stands for a library that reads the referrer.
fn shop_page(places: Places, path: &str) -> String {
    let before = if path.starts_with("/forbidden") {
        "<script>Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('forbidden') } })</script>"
    } else if path.starts_with("/prerendered") {
        "<script>Object.defineProperty(document, 'prerendering', { value: true })</script>"
    } else {
        ""
    };
    let mark = if path.starts_with("/once") { " data-no-hop" } else { "" };
    format!(
        "<!doctype html><title>shop</title>{before}<script src=\"{}\"{mark}></script><script>window.seen = document.referrer</script>\
         <script src=\"{}\"></script><h1 id=visitor>A page of the shop</h1>",
        places.satellite("/_throughline/hop.js"),
        places.satellite("/_throughline/sdk.js"),
    )
}
