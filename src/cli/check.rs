//! `throughline check`: reads the configuration as `serve` would, and says what it found.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::base::clock::{Clock, UnixSeconds};
use crate::base::origin::Origin;
use crate::config::{Config, ServedSite, StoreConfig, StorePlace};
use crate::domain::site::Role;
use crate::store::visitors::StoreFault;
use crate::store::visitors::migrations::SQLITE;
use crate::store::visitors::schema::sqlite_schema;
use crate::token::keyset::KeyState;

use super::Failure;
use super::keys::describe;

/// What `throughline check` is told.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file
    #[arg(long, default_value = "throughline.toml", value_name = "FILE")]
    pub config: PathBuf,
}

/// Reads the configuration and shows its sites. `env` looks up an environment variable.
///
/// # Errors
/// With every mistake of the configuration.
pub fn run(
    args: &CheckArgs,
    clock: &dyn Clock,
    env: &dyn Fn(&str) -> Option<String>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let config = Config::load(&args.config, env)?;
    let now = clock.now();
    let scheme = if config.listen.tls.is_some() { "https" } else { "http" };
    let addresses: Vec<_> = config.listen.addresses.iter().map(|address| format!("{scheme}://{address}")).collect();
    writeln!(out, "ok  {}: profile {}, listens on {}", args.config.display(), config.profile.as_str(), addresses.join(", "))?;
    if config.broker.is_none() {
        writeln!(out, "ok  {}: primary, served elsewhere", config.primary)?;
    }
    for served in &config.served {
        show(served, now, out)?;
    }
    let elsewhere = |origin: &Origin| config.served.iter().all(|served| served.site.origin != *origin);
    for registered in config.registered.iter().filter(|site| elsewhere(&site.origin)) {
        writeln!(out, "ok  {}: secondary, served elsewhere", registered.origin)?;
    }
    if let Some(replay) = &config.replay {
        let kind = if replay.cluster { "cluster" } else { "server" };
        writeln!(out, "ok  used tokens: remembered by the {kind} at {} (not asked)", replay.nodes.join(", "))?;
    }
    match &config.admin {
        Some(admin) => writeln!(out, "ok  operators look at http://{}", admin.address)?,
        None => writeln!(out, "ok  no [admin]: no metrics, and no page for operators")?,
    }
    match &config.store {
        Some(store) => show_store(store, out),
        None => Ok(()),
    }
}

/// Looks at the store, and changes nothing there.
fn show_store(store: &StoreConfig, out: &mut dyn Write) -> Result<(), Failure> {
    let days = store.retention.as_secs() / (24 * 60 * 60);
    writeln!(out, "ok  visitor records: {}, kept {days} days after a visitor was last seen", store.place.name())?;
    let found = match &store.place {
        StorePlace::Memory => return Ok(()),
        StorePlace::Sqlite(file) => sqlite_schema(file).map(|schema| match schema {
            Some(version) => format!("schema version {version}, of {} that this program knows", SQLITE.len()),
            None => "not there yet: the broker makes it at its start".to_owned(),
        }),
        StorePlace::Postgres(_) => Ok("not asked: the broker connects at its start".to_owned()),
    };
    match found {
        Ok(what) => writeln!(out, "      {what}")?,
        // No reason not to start: pages and hops go on without it (rule A2).
        Err(StoreFault::Unavailable(what)) => {
            writeln!(out, "      cannot be had just now ({what}); hops would go on without it")?
        }
        Err(fault) => return Err(Failure::mistake(format_args!("[store] {fault}"))),
    }
    Ok(())
}

fn show(ServedSite { site, keys, .. }: &ServedSite, now: UnixSeconds, out: &mut dyn Write) -> Result<(), Failure> {
    let role = match site.role {
        Role::Primary => "primary, broker here",
        Role::Secondary => "secondary, satellite here",
    };
    let at = site.satellite.as_ref().map_or_else(String::new, |satellite| format!(" at {}", satellite.origin));
    writeln!(out, "ok  {}: {role}{at}, consent {}", site.origin, site.consent.as_str())?;
    let keys = keys.keys();
    for line in describe(keys, now) {
        writeln!(out, "      {line}")?;
    }
    if !(0..keys.keys().len()).any(|index| keys.state(index, now) == KeyState::Active) {
        writeln!(out, "      none of them is due: the first signs all the same. Is this machine's clock right?")?;
    }
    Ok(())
}
