//! A company in production: https by a proxy in front, the real program behind it, three sites.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

use super::proxy::{Mistake, Proxy};
use super::report::Report;
use crate::support::process::{Process, free_port, sees_broker, wait_until};
use crate::support::wire;

/// The hosts. The first is the primary's.
pub(crate) const HOSTS: [&str; 3] = ["www.brand.test", "shop.test", "learn.test"];

/// An authority that lives for one test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority"))
    }

    /// What a server needs that shows a certificate for `names`, which `adjust` may change.
    pub(crate) fn server(&self, names: &[&str], adjust: impl FnOnce(&mut CertificateParams)) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        adjust(&mut params);
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.expect("a certificate that can be served"))
    }
}

/// The company.
pub(crate) struct Deployment {
    pub(crate) folder: TempDir,
    pub(crate) authority: Authority,
    pub(crate) tls: Arc<ServerConfig>,
    /// The port of its origins.
    pub(crate) port: u16,
    /// Where the program listens, behind the proxy.
    upstream: u16,
    processes: Vec<Process>,
    _front: Proxy,
}

impl Deployment {
    /// The one that tests share which plant their mistake in a proxy; it lives as long as one of them does.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Deployment>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Self::start("implied"));
            *shared = Arc::downgrade(&new);
            new
        })
    }

    /// A company with this consent policy on every site.
    pub(crate) fn start(consent: &str) -> Self {
        let mut deployment = Self::prepare(consent);
        deployment.wait_until_ready();
        deployment
    }

    fn prepare(consent: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new("An authority for one test");
        let tls = authority.server(&HOSTS, |_| ());
        std::fs::write(folder.path().join("ca.pem"), authority.0.pem()).expect("a file");
        let mut attempts = 0;
        let (front, port, upstream) = loop {
            let (port, upstream) = (free_port(), free_port());
            match Proxy::start((Ipv4Addr::LOCALHOST.into(), port), upstream, Arc::clone(&tls), Mistake::none()) {
                Ok(front) => break (front, port, upstream),
                Err(error) => assert!(attempts < 3, "{error}"),
            }
            attempts += 1;
        };
        let mut init = Command::new(env!("CARGO_BIN_EXE_throughline"));
        init.args(["init", "--consent", consent, "--folder"]).arg(folder.path());
        init.args(["--primary", &format!("https://{}:{port}", HOSTS[0])]);
        for host in &HOSTS[1..] {
            init.args(["--site", &format!("https://{host}:{port}")]);
        }
        let init = init.output().expect("the program runs");
        assert!(init.status.success(), "{init:?}");
        for host in HOSTS {
            let pages = folder.path().join(host);
            std::fs::create_dir(&pages).expect("a folder");
            std::fs::write(pages.join("p.html"), format!("<!doctype html><title>{host}</title>\n")).expect("a page");
        }
        let mut deployment = Self { folder, authority, tls, port, upstream, processes: Vec::new(), _front: front };
        let file = deployment.configure("all.toml", upstream, consent, |_| true, &HOSTS);
        deployment.processes.push(Process::serve(&file));
        deployment
    }

    /// Writes a configuration for a process on `port` that serves some of the sites, and knows of those in `known`.
    pub(crate) fn configure(
        &self,
        name: &str,
        port: u16,
        consent: &str,
        serves: impl Fn(&str) -> bool,
        known: &[&str],
    ) -> PathBuf {
        let resolve: Vec<_> = HOSTS.iter().map(|host| format!("\"{host}\" = \"127.0.0.1:{}\"", self.port)).collect();
        let mut text = format!(
            "[listen]\naddresses = [\"127.0.0.1:{port}\"]\n[limits]\nworkers = 1\n[outbound]\nca_file = \"ca.pem\"\n\
             probe_interval_ms = 100\nprobe_timeout_ms = 5000\nresolve = {{ {} }}\n",
            resolve.join(", ")
        );
        for host in known {
            text += if *host == HOSTS[0] { "[primary]\n" } else { "[[site]]\n" };
            text += &format!("origin = \"https://{host}:{}\"\n", self.port);
            if serves(host) {
                text += &format!("consent = \"{consent}\"\nkey_file = \"keys/{host}.json\"\nfiles = \"{host}\"\n");
            } else {
                text += "serve = false\n";
            }
            if serves(host) || *host != HOSTS[0] {
                text += &format!("secret_file = \"secrets/{host}\"\n");
            }
        }
        let file = self.folder.path().join(name);
        std::fs::write(&file, text).expect("a configuration");
        file
    }

    fn wait_until_ready(&mut self) {
        let (port, upstream) = (self.port, self.upstream);
        let get = |path: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nHost: shop.test:{port}\r\n\r\n");
            wire::send(upstream, request.as_bytes())
        };
        let sibling = format!("/_throughline/go?to=https%3A%2F%2Flearn.test%3A{}%2F", self.port);
        let is_ready = || {
            get("/_throughline/health").is_ok_and(|answer| answer.status == 200 && sees_broker(&answer))
                && get(&sibling).is_ok_and(|answer| answer.status == 302)
        };
        let has_ended = || self.processes.iter_mut().any(Process::has_ended);
        wait_until("the company is ready", has_ended, is_ready).unwrap_or_else(|problem| panic!("{problem}: {}", self.stderr()));
    }

    /// What `me` of a host says to a browser with this cookie.
    pub(crate) fn me(&self, host: &str, cookie: &str) -> serde_json::Value {
        let request = format!("GET /_throughline/me HTTP/1.1\r\nHost: {host}:{}\r\nCookie: {cookie}\r\n\r\n", self.port);
        wire::send(self.upstream, request.as_bytes()).expect("an answer").json()
    }

    fn stderr(&self) -> String {
        self.processes.iter().map(Process::stderr).collect()
    }

    /// Another way to the company, at an address of its own: with this certificate, and this mistake.
    pub(crate) fn proxy(&self, tls: Arc<ServerConfig>, mistake: Mistake) -> Proxy {
        self.proxy_to(self.upstream, tls, mistake)
    }

    /// The same to another process.
    pub(crate) fn proxy_to(&self, upstream: u16, tls: Arc<ServerConfig>, mistake: Mistake) -> Proxy {
        // All of 127.0.0.0/8 is this machine.
        static LAST: AtomicU8 = AtomicU8::new(1);
        let ip = IpAddr::V4(Ipv4Addr::new(127, 0, 77, LAST.fetch_add(1, Ordering::Relaxed)));
        Proxy::start((ip, self.port), upstream, tls, mistake).expect("an address that nobody has")
    }

    /// What the doctor says of the shop when both hosts are reached at `ip`, and it knows the authority.
    pub(crate) fn examine_at(&self, ip: IpAddr) -> Report {
        self.examine(&format!("https://shop.test:{}/p.html?x=1", self.port), [ip, ip], true)
    }

    /// The same, of a URL, with the shop and the primary at these addresses.
    pub(crate) fn examine(&self, url: &str, [shop, brand]: [IpAddr; 2], trusts: bool) -> Report {
        let mut options = Vec::new();
        for (host, ip) in [("shop.test", shop), (HOSTS[0], brand)] {
            options.extend(["--resolve".to_owned(), format!("{host}:{}:{ip}", self.port)]);
        }
        if trusts {
            options.extend(["--ca-file".to_owned(), self.path("ca.pem").display().to_string()]);
        }
        Report::of(&options, &[url])
    }

    /// The shop is deployed behind a proxy that plants this mistake, and so is the broker: what the doctor says.
    pub(crate) fn with(&self, mistake: Mistake) -> Report {
        let proxy = self.proxy(Arc::clone(&self.tls), mistake);
        self.examine_at(proxy.ip())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}
