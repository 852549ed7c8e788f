//! The configuration file: read as a whole, every mistake reported at once.
//!
//! 1. What is wrong stops the start, never a page view later: a typed [`Config`] holds nothing that is still to be checked.
//! 2. One start shows every mistake, each with its line and what to write instead ([`Report`]).
//! 3. A key that nobody asks for is a mistake, so that a misspelled one is never silently without effect.
//! 4. Secret and key files are read here, and refused when others can read them (rule K4). No message repeats a secret.
//! 5. No two sites share a secret or a signing key, wherever those are written.
//! 6. Paths are relative to the folder of the configuration file.

mod distinct;
mod files;
mod notes;
mod observing;
mod origins;
mod process;
mod reader;
mod replay;
mod report;
mod served;
mod sites;
mod stores;
mod subdomains;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeTable;
use zeroize::Zeroizing;

use crate::base::origin::Origin;
use crate::domain::rate::Rate;
pub use crate::domain::site::RegisteredSite;
use crate::domain::site::Site;
use crate::token::keyset::KeySet;

use self::files::Files;
use self::notes::Notes;
pub use self::origins::fits;
use self::reader::Table;
pub use self::report::{Mistake, Report};
pub use self::served::consent_policy;
pub use self::stores::{StoreConfig, StorePlace};

/// The most sites that one configuration may name.
pub const SITES_MAX: usize = 10_000;

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Every origin is https.
    #[default]
    Production,
    /// Every origin is on this machine; cookies go without `Secure` and `__Host-`, which WebKit drops on plain http.
    Localhost,
}

impl Profile {
    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Localhost => "localhost",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// With what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let profile = [Self::Production, Self::Localhost].into_iter().find(|profile| profile.as_str() == text);
        profile.ok_or_else(|| format!("{text:?} is not one; write \"production\" or \"localhost\""))
    }
}

/// Everything that a process is told at its start.
#[derive(Debug)]
pub struct Config {
    /// Where it stands.
    pub profile: Profile,
    /// What it listens on.
    pub listen: Listen,
    /// The primary's origin, whether or not it is served here.
    pub primary: Origin,
    /// The broker's settings, if this process is a broker node.
    pub broker: Option<BrokerConfig>,
    /// The sites that this process serves, the primary among them if it is a broker node. Never empty.
    pub served: Vec<ServedSite>,
    /// Every secondary, if this process is a broker node; else empty.
    pub registered: Vec<RegisteredSite>,
    /// Where visitor records are kept, if this process is a broker node.
    pub store: Option<StoreConfig>,
    /// How it reaches others.
    pub outbound: Outbound,
    /// Where used tokens are remembered together with other nodes; in this process alone without (rule T7).
    pub replay: Option<SharedReplay>,
    /// How much it may use.
    pub limits: Limits,
    /// What it logs, and how.
    pub log: Log,
    /// Where operators look at it, if they do.
    pub admin: Option<Admin>,
    /// Where traces go, if anywhere.
    pub traces: Option<Traces>,
}

/// What the process listens on.
#[derive(Debug, Clone, PartialEq)]
pub struct Listen {
    /// The addresses, at least one.
    pub addresses: Vec<SocketAddr>,
    /// The certificate for all of them; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Whose forwarded headers count (rule F1).
    pub trusted_proxies: Vec<IpNet>,
    /// What becomes of a request for a host that is none of the sites.
    pub unknown_host: UnknownHost,
}

/// What becomes of a request for a host that is none of the sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownHost {
    /// The application has it, without a visitor; where there is none, it is 421.
    #[default]
    Pass,
    /// It is 421.
    Refuse,
}

impl UnknownHost {
    /// Reads the word in the configuration.
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "pass" => Ok(Self::Pass),
            "refuse" => Ok(Self::Refuse),
            _ => Err(format!("{text:?} is not one; write \"pass\" or \"refuse\"")),
        }
    }
}

/// Two PEM files. They exist, and only their owner can read the key; their content has not been looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The broker's own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerConfig {
    /// Whether the CORS route is open.
    pub whoami: bool,
}

/// A site that this process serves.
#[derive(Debug)]
pub struct ServedSite {
    /// Its rules.
    pub site: Site,
    /// What it signs tokens with.
    pub keys: KeySource,
    /// A folder of static pages.
    pub files: Option<PathBuf>,
}

/// Where a site's signing keys come from.
#[derive(Debug)]
pub enum KeySource {
    /// A key file, and what it held at the start.
    File(PathBuf, KeySet),
    /// Keys that live as long as the process, for the demo and tests.
    Fixed(KeySet),
}

impl KeySource {
    /// The keys as they were at the start.
    #[must_use]
    pub const fn keys(&self) -> &KeySet {
        match self {
            Self::File(_, keys) | Self::Fixed(keys) => keys,
        }
    }
}

/// How the process reaches others.
#[derive(Debug, Clone, PartialEq)]
pub struct Outbound {
    /// A PEM file of certificate authorities to trust besides Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// Keeps refusals that the broker has not heard of, where it is another process.
    pub refusals_file: Option<PathBuf>,
    /// Keeps the sites and keys that were fetched last, where the broker is another process.
    pub siblings_file: Option<PathBuf>,
    /// Keeps the list of ended IDs for a start while it cannot be read.
    pub ended_ids_file: Option<PathBuf>,
    /// Host names that are not looked up, like curl's `--resolve`.
    pub resolve: HashMap<String, SocketAddr>,
    /// From one look at the broker's health to the next.
    pub probe_interval: Duration,
    /// How long such a look may take.
    pub probe_timeout: Duration,
    /// From one look for revoked IDs to the next.
    pub revocation_interval: Duration,
}

/// The Redis or Valkey that many nodes share as their replay memory. Nothing has been connected to it.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedReplay {
    /// Its address as a URL without credentials; of a cluster, those of some nodes. At least one.
    pub nodes: Vec<String>,
    /// Whether the nodes are of a cluster.
    pub cluster: bool,
    /// The user, where it is not the default one.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Zeroizing<String>>,
    /// How long a page waits for it at most.
    pub timeout: Duration,
}

/// How much the process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many used tokens it remembers, where it remembers them itself (rule T7).
    pub replay_entries: usize,
    /// How often one client may do what costs something.
    pub client: Rate,
    /// Threads that serve requests; the machine's own number without.
    pub workers: Option<usize>,
}

/// What the process logs, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// From this level on.
    pub level: tracing::Level,
    /// How each line is written.
    pub format: LogFormat,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// As a JSON object.
    Json,
}

impl LogFormat {
    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
        }
    }
}

/// The listener for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens: none of the addresses that visitors reach.
    pub address: SocketAddr,
    /// The names that it answers to, besides `localhost` and IP addresses.
    pub hosts: Vec<String>,
    /// How many visitor records are read for its pictures.
    pub sample: usize,
    /// From one such reading to the next.
    pub sample_every: Duration,
}

/// Traces for OpenTelemetry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// Where spans are posted to.
    pub url: String,
    /// How many of a hundred traces.
    pub percent: u8,
}

impl Config {
    /// Reads a configuration file and every file that it names. `env` looks up an environment variable.
    ///
    /// # Errors
    /// With every mistake that was found.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Report> {
        let refused = |line, what| Err(Report::new(vec![Mistake { line, what }]).of_file(path));
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => return refused(None, format!("cannot be read ({error}); make one with: throughline init")),
        };
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => {
                let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
                return refused(Some(line), "is not UTF-8, as TOML must be; save the file in that encoding".into());
            }
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::from_text(text, folder, env).map_err(|report| report.of_file(path))
    }

    /// Reads the text of a configuration file that lies in `folder`.
    ///
    /// # Errors
    /// With every mistake that was found.
    pub fn from_text(text: &str, folder: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Report> {
        let notes = Notes::new(text);
        let config = match DeTable::parse(text) {
            Ok(entries) => read(Table::document(&notes, entries.into_inner()), &Files::new(folder, env), &notes),
            Err(error) => {
                // Only the message: the error's own Display repeats the line, which may hold a secret.
                let line = error.span().map(|span| notes.line(&span));
                notes.mistake(line, format!("is not TOML: {}", error.message().trim_end()));
                None
            }
        };
        match (notes.into_report(), config) {
            (None, Some(config)) => Ok(config),
            (Some(report), _) => Err(report),
            (None, None) => Err(Report::new(vec![Mistake { line: None, what: "names no primary".into() }])),
        }
    }
}

/// Walks through the whole document, whatever is wrong on the way. `None` only when a mistake was noted.
fn read(mut document: Table<'_, '_>, files: &Files<'_>, notes: &Notes) -> Option<Config> {
    let profile = process::profile(&mut document);
    let listen = process::listen(document.table("listen", "[listen]"), files);
    let outbound = process::outbound(document.table("outbound", "[outbound]"), files);
    let replay = replay::replay(document.table("replay", "[replay]"), files);
    let limits = process::limits(document.table("limits", "[limits]"));
    let log = observing::log(document.table("log", "[log]"));
    let admin = observing::admin(document.table("admin", "[admin]"), &listen);
    let traces = observing::traces(document.table("traces", "[traces]"));
    let sites = sites::read(&mut document, profile, files, notes);
    let store = document.table("store", "[store]");
    if sites.broker.is_none() && store.is_there() {
        store.mistake("has no use: the broker keeps the records, and the primary is not served here; take it out");
    }
    let store = stores::store(store, files, sites.broker.is_some());
    document.finish();
    let sites::Sites { primary, broker, served, registered } = sites;
    let store = store.filter(|_| broker.is_some());
    if let Some(store) = &store {
        stores::keep_from_pages(store, &served, notes);
    }
    Some(Config {
        profile: profile?,
        listen,
        primary: primary?,
        broker,
        served,
        registered,
        store,
        outbound,
        replay,
        limits,
        log,
        admin,
        traces,
    })
}
