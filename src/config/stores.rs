//! `[store]`: where the broker keeps the visitor records.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::postgres_url::PostgresUrl;

use super::ServedSite;
use super::files::Files;
use super::notes::Notes;
use super::reader::Table;

const DEFAULT_FILE: &str = "throughline.sqlite";
const SQLITE: &str = "sqlite:";
const POSTGRES: [&str; 2] = ["postgres://", "postgresql://"];
const RETENTION_DAYS_DEFAULT: u64 = 761;
const HOP_WAIT_MS_DEFAULT: u64 = 10;
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// Where the records are, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Where.
    pub place: StorePlace,
    /// A record that no site saw for this long is deleted: 25 months unless said otherwise.
    pub retention: Duration,
    /// How long a hop waits for its write at most (rule A2).
    pub hop_wait: Duration,
}

impl StoreConfig {
    /// A store in memory, with the default times.
    #[must_use]
    pub const fn memory() -> Self {
        Self::at(StorePlace::Memory)
    }

    const fn at(place: StorePlace) -> Self {
        let retention = Duration::from_secs(RETENTION_DAYS_DEFAULT * SECONDS_PER_DAY);
        Self { place, retention, hop_wait: Duration::from_millis(HOP_WAIT_MS_DEFAULT) }
    }
}

/// A backend, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// Gone with the process.
    Memory,
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(PostgresUrl),
}

impl StorePlace {
    /// What it is and where, for people; without user and password.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Memory => "in memory".to_owned(),
            Self::Sqlite(file) => format!("SQLite in {}", file.display()),
            Self::Postgres(url) => url.name(),
        }
    }
}

/// `None` when there is a mistake in it, or no use for it.
pub(super) fn store(mut table: Table<'_, '_>, files: &Files<'_>, is_used: bool) -> Option<StoreConfig> {
    let written = table.has("url") || table.has("url_env");
    if table.has("url_env") {
        table.refuse_beside("url", "url_env");
    }
    let from_env = table.text("url_env", |name| place(&files.variable(name, "DATABASE_URL")?, files));
    let from_file = table.text("url", |text| place(text, files));
    let retention_days = table.number("retention_days", 1..=3660).unwrap_or(RETENTION_DAYS_DEFAULT);
    let hop_wait_ms = table.number("hop_wait_ms", 0..=1000).unwrap_or(HOP_WAIT_MS_DEFAULT);
    let place = match from_env.or(from_file) {
        Some(found) => Some(found.value),
        None if written => None,
        None if is_used => files.default_file(&table, "url", SQLITE, DEFAULT_FILE).map(StorePlace::Sqlite),
        None => None,
    };
    table.finish();
    let place = place?;
    let retention = Duration::from_secs(retention_days * SECONDS_PER_DAY);
    Some(StoreConfig { retention, hop_wait: Duration::from_millis(hop_wait_ms), ..StoreConfig::at(place) })
}

/// A database among the pages of a site would be sent to every visitor; and the process would lose its locks on it with each
/// such answer (rule A11).
pub(super) fn keep_from_pages(store: &StoreConfig, served: &[ServedSite], notes: &Notes) {
    let StorePlace::Sqlite(file) = &store.place else { return };
    // A file that is not there yet has a folder.
    let real = |path: &Path| path.canonicalize().ok();
    let folder = file.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let Some(place) = real(file).or_else(|| real(folder?)) else { return };
    for site in served {
        if let Some(pages) = site.files.as_deref().filter(|pages| real(pages).is_some_and(|pages| place.starts_with(pages))) {
            let (pages, origin) = (pages.display(), &site.site.origin);
            notes.mistake(
                None,
                format!(
                    "[store] url: {} lies in {pages}, whose files are sent to every visitor of {origin}; put it elsewhere",
                    file.display()
                ),
            );
        }
    }
}

/// What is written is not repeated in a message: it may hold a password.
fn place(url: &str, files: &Files<'_>) -> Result<StorePlace, String> {
    if let Some(path) = url.strip_prefix(SQLITE) {
        return files.new_file(path).map(StorePlace::Sqlite);
    }
    if POSTGRES.iter().any(|scheme| url.starts_with(scheme)) {
        let file = |name: &str, path: &str| if name == "sslkey" { files.private_file(path) } else { files.file(path) };
        return PostgresUrl::parse(url, file).map(StorePlace::Postgres);
    }
    Err("not the URL of a store (not repeated here); write one such as \"sqlite:throughline.sqlite\" or \"postgres://user@host/database\"".into())
}
