//! `throughline check`: reads the configuration as `serve` would, and says what it found.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::base::clock::{Clock, UnixSeconds};
use crate::base::origin::Origin;
use crate::config::{Config, ServedSite, StoreConfig, StorePlace};
use crate::domain::site::Role;
use crate::store::visitors::migrations::SQLITE;
use crate::store::visitors::schema::sqlite_peek;
use crate::store::visitors::{Peek, StoreFault};
use crate::token::keyset::KeyState;

use super::Failure;
use super::checkup::Checkup;
use super::keys::describe;

const CONFIGURATION: &str = "configuration";
const SITE: &str = "site";
const REPLAY: &str = "replay";
const ADMIN: &str = "admin";
const STORE: &str = "store";

/// What `throughline check` is told.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file
    #[arg(long, default_value = "throughline.toml", value_name = "FILE")]
    pub config: PathBuf,
    /// Write the findings as JSON, as `doctor` does
    #[arg(long)]
    pub json: bool,
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
    let mut checkup = Checkup::default();
    let config = match Config::load(&args.config, env) {
        Ok(config) => config,
        Err(report) => {
            if args.json {
                checkup.fail(CONFIGURATION, args.config.display(), report.to_string(), "Correct every line that is named.");
                checkup.write(out, true)?;
            }
            return Err(report.into());
        }
    };
    look(&config, args, clock.now(), &mut checkup);
    let outcome = config.store.as_ref().map_or(Ok(()), |store| look_at_store(store, &mut checkup));
    checkup.write(out, args.json)?;
    outcome
}

fn look(config: &Config, args: &CheckArgs, now: UnixSeconds, checkup: &mut Checkup) {
    let scheme = if config.listen.tls.is_some() { "https" } else { "http" };
    let addresses: Vec<_> = config.listen.addresses.iter().map(|address| format!("{scheme}://{address}")).collect();
    let what = format!("profile {}, listens on {}", config.profile.as_str(), addresses.join(", "));
    checkup.ok(CONFIGURATION, args.config.display(), what);
    if config.broker.is_none() {
        checkup.ok(SITE, &config.primary, "primary, served elsewhere");
    }
    for served in &config.served {
        look_at_site(served, now, checkup);
    }
    let elsewhere = |origin: &Origin| config.served.iter().all(|served| served.site.origin != *origin);
    for registered in config.registered.iter().filter(|site| elsewhere(&site.origin)) {
        checkup.ok(SITE, &registered.origin, "secondary, served elsewhere");
    }
    if let Some(replay) = &config.replay {
        let kind = if replay.cluster { "cluster" } else { "server" };
        checkup.ok(REPLAY, "used tokens", format!("remembered by the {kind} at {} (not asked)", replay.nodes.join(", ")));
    }
    match &config.admin {
        Some(admin) => checkup.ok(ADMIN, "operators", format!("look at http://{}", admin.address)),
        None => checkup.ok(ADMIN, "operators", "no [admin]: no metrics, and no page for them"),
    };
}

/// Looks at the store, and changes nothing there.
fn look_at_store(store: &StoreConfig, checkup: &mut Checkup) -> Result<(), Failure> {
    let days = store.retention.as_secs() / (24 * 60 * 60);
    let place = format!("{}, kept {days} days after a visitor was last seen", store.place.name());
    let found = match &store.place {
        StorePlace::Memory => None,
        StorePlace::Sqlite(file) => Some(sqlite_peek(file).map(|peek| match peek {
            Some(Peek { version, .. }) => format!("schema version {version}, of {} that this program knows", SQLITE.len()),
            None => "not there yet: the broker makes it at its start".to_owned(),
        })),
        StorePlace::Postgres(_) => Some(Ok("not asked: the broker connects at its start".to_owned())),
    };
    let subject = "visitor records";
    match found.transpose() {
        Ok(what) => checkup.ok(STORE, subject, place).details.extend(what),
        // No reason not to start: pages and hops go on without it (rule A2).
        Err(StoreFault::Unavailable(what)) => {
            let advice = "Hops go on without it, but nobody is written down: see that its file can be read and written.";
            checkup.warn(STORE, subject, place, advice).detail(format!("cannot be had just now ({what})"));
        }
        Err(fault) => {
            let what = format!("[store] {fault}");
            checkup.fail(STORE, subject, place, what.clone());
            return Err(Failure::mistake(what));
        }
    }
    Ok(())
}

fn look_at_site(ServedSite { site, keys, .. }: &ServedSite, now: UnixSeconds, checkup: &mut Checkup) {
    let role = match site.role {
        Role::Primary => "primary, broker here",
        Role::Secondary => "secondary, satellite here",
    };
    let at = site.satellite.as_ref().map_or_else(String::new, |satellite| format!(" at {}", satellite.origin));
    let seen = format!("{role}{at}, consent {}", site.consent.as_str());
    let keys = keys.keys();
    let is_due = (0..keys.keys().len()).any(|index| keys.state(index, now) == KeyState::Active);
    let finding = if is_due {
        checkup.ok(SITE, &site.origin, seen)
    } else {
        let advice = "None of its keys is due: the first signs all the same. Is this machine's clock right?";
        checkup.warn(SITE, &site.origin, seen, advice)
    };
    finding.details.extend(describe(keys, now));
}
