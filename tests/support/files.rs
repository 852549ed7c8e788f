//! The folder that a company's processes run from: configuration, secrets, keys and a page for each site.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use throughline::base::clock::{Clock as _, SystemClock};
use throughline::base::random::SystemRandom;
use throughline::base::secret::SiteSecret;
use throughline::token::key::{SigningKey, draw_seed};
use throughline::token::keyfile::{read_key_file, write_key_file, write_secret_file};
use throughline::token::keyset::{KeySet, TimedKey};

/// The three sites. The first is the primary.
pub(crate) const SITES: [&str; 3] = ["brand", "shop", "learn"];

/// How a company is set up. Lines of configuration are TOML.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// The consent policy of each site, in the order of [`SITES`].
    pub(crate) consent: [&'static str; 3],
    /// Whether the CORS route is open.
    pub(crate) whoami: bool,
    /// The log level.
    pub(crate) log: &'static str,
    /// Lines of `[listen]`.
    pub(crate) listen_lines: &'static str,
    /// How its lines are written.
    pub(crate) log_format: &'static str,
    /// Lines at the end of the file: tables such as `[limits]`.
    pub(crate) tables: String,
    /// The same, for a process with the broker alone.
    pub(crate) broker_tables: String,
    /// Environment variables of the processes.
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// Lines in `[limits]`.
    pub(crate) limit_lines: String,
    /// Lines in the table of every site that is served.
    pub(crate) site_lines: String,
    /// The shop's pages are served elsewhere, on this origin, and its own address is that of its satellite, whose cookie is for this
    /// domain.
    pub(crate) apart: Option<(&'static str, &'static str)>,
    /// `workers` of `[limits]`.
    pub(crate) workers: usize,
    /// `replay_entries` of `[limits]`.
    pub(crate) replay_entries: usize,
    /// How often the broker's health is asked, in milliseconds.
    pub(crate) probe_interval_ms: u64,
    /// How long the broker may take to answer that, in milliseconds.
    pub(crate) probe_timeout_ms: u64,
    /// How often revocations are looked for, in milliseconds.
    pub(crate) revocation_interval_ms: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            consent: ["implied"; 3],
            whoami: false,
            log: "info",
            listen_lines: "",
            log_format: "human",
            tables: String::new(),
            broker_tables: String::new(),
            env: &[],
            limit_lines: String::new(),
            site_lines: String::new(),
            apart: None,
            workers: 1,
            replay_entries: 100_000,
            probe_interval_ms: 500,
            probe_timeout_ms: 5000,
            revocation_interval_ms: 5000,
        }
    }
}

impl Setup {
    /// Every site asks for consent first.
    pub(crate) fn required() -> Self {
        Self { consent: ["required"; 3], ..Self::default() }
    }

    /// The CORS route is open.
    pub(crate) fn with_whoami() -> Self {
        Self { whoami: true, ..Self::default() }
    }
}

/// Which part of a company one process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    All,
    Broker,
    Satellites,
}

impl Part {
    const fn serves(self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::Broker => index == 0,
            Self::Satellites => index > 0,
        }
    }
}

/// The folder.
pub(crate) struct Folder {
    folder: TempDir,
    setup: Setup,
    secrets: Vec<String>,
}

impl Folder {
    /// Makes secrets, keys and pages.
    pub(crate) fn new(setup: Setup) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let random = SystemRandom::new();
        let plan = KeySet::first_key_plan(SystemClock::new().now());
        let mut secrets = Vec::new();
        for site in SITES {
            let secret = SiteSecret::generate(&random).expect("randomness").to_text();
            write_secret_file(&folder.path().join(format!("{site}.secret")), &secret).expect("a secret file");
            secrets.push(secret.to_string());
            let seed = draw_seed(&random).expect("randomness");
            let key = SigningKey::from_seed(&seed).expect("a usable key");
            let keys = KeySet::new(vec![TimedKey { key, seed, publish_at: plan.publish_at, activate_at: plan.activate_at }]);
            write_key_file(&folder.path().join(format!("{site}.keys.json")), &keys).expect("a key file");
            let pages = folder.path().join(site);
            fs::create_dir(&pages).expect("a folder of pages");
            for page in ["index.html", "p.html", "other.html"] {
                fs::write(pages.join(page), format!("<!doctype html><title>{site}</title><h1>{site}: {page}</h1>\n"))
                    .expect("a page");
            }
        }
        Self { folder, setup, secrets }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The environment variables that its processes are to have.
    pub(crate) const fn env(&self) -> &'static [(&'static str, &'static str)] {
        self.setup.env
    }

    /// The origin of the shop's pages, where its own address is `shop`.
    pub(crate) fn pages_of_shop(&self, shop: &str) -> String {
        self.setup.apart.map_or(shop, |(pages, _)| pages).to_owned()
    }

    /// The secret that a site shares with the broker.
    pub(crate) fn secret(&self, site: &str) -> SiteSecret {
        let index = SITES.iter().position(|name| *name == site).expect("one of the three sites");
        SiteSecret::parse(&self.secrets[index]).expect("a secret")
    }

    /// The keys that a site signs tokens with.
    pub(crate) fn keys(&self, site: &str) -> KeySet {
        read_key_file(&self.path().join(format!("{site}.keys.json"))).expect("a key file")
    }

    /// Writes the configuration of a process that serves `part` on `port`. `origins` are in the order of [`SITES`].
    pub(crate) fn configure(&self, part: Part, port: u16, origins: &[String; 3]) -> PathBuf {
        let Setup { consent, whoami, log, log_format, tables, broker_tables, listen_lines, limit_lines, site_lines, .. } =
            &self.setup;
        let Setup { workers, replay_entries, probe_interval_ms, probe_timeout_ms, revocation_interval_ms, .. } = &self.setup;
        let mut text = format!(
            "profile = \"localhost\"\n[listen]\naddresses = [\"127.0.0.1:{port}\"]\n{listen_lines}\n\
             [log]\nlevel = \"{log}\"\nformat = \"{log_format}\"\n\
             [limits]\nworkers = {workers}\nreplay_entries = {replay_entries}\n{limit_lines}\
             [outbound]\nprobe_interval_ms = {probe_interval_ms}\nprobe_timeout_ms = {probe_timeout_ms}\n\
             revocation_interval_ms = {revocation_interval_ms}\n"
        );
        for (index, (site, origin)) in SITES.into_iter().zip(origins).enumerate() {
            let apart = self.setup.apart.filter(|_| site == "shop");
            let (origin, satellite) =
                apart.map_or((origin.as_str(), String::new()), |(pages, _)| (pages, format!("satellite = \"{origin}\"\n")));
            if index > 0 && part == Part::Broker {
                let _ =
                    write!(text, "[[site]]\norigin = \"{origin}\"\nserve = false\nsecret_file = \"{site}.secret\"\n{satellite}");
                continue;
            }
            text.push_str(if index == 0 { "[primary]\n" } else { "[[site]]\n" });
            let _ = writeln!(text, "origin = \"{origin}\"");
            if !part.serves(index) {
                text.push_str("serve = false\n");
                continue;
            }
            let policy = consent[index];
            let _ = write!(
                text,
                "consent = \"{policy}\"\nsecret_file = \"{site}.secret\"\nkey_file = \"{site}.keys.json\"\n{satellite}"
            );
            let _ = match apart {
                Some((_, domain)) => writeln!(text, "cookie_domain = \"{domain}\""),
                None => writeln!(text, "files = \"{site}\""),
            };
            if index == 0 && *whoami {
                text.push_str("whoami = true\n");
            }
            text.push_str(site_lines);
            text.push('\n');
        }
        text.push_str(tables);
        if part.serves(0) {
            text.push_str(broker_tables);
        }
        let file = self.path().join(format!("{part:?}.toml").to_lowercase());
        fs::write(&file, text).expect("a configuration");
        file
    }
}
