//! `throughline check`: reads the configuration as `serve` would, and says what it found.

use std::io::Write;
use std::path::PathBuf;

use actix_web::rt::System;
use clap::Args;

use crate::admin::text::moment;
use crate::app::launch::{LaunchFailure, reach};
use crate::base::clock::{Clock, UnixSeconds};
use crate::base::origin::Origin;
use crate::config::{Config, ServedSite, StoreConfig, StorePlace};
use crate::domain::site::Role;
use crate::http::client::Outbound;
use crate::store::visitors::migrations::{POSTGRES, SQLITE};
use crate::store::visitors::postgres::peek::peek;
use crate::store::visitors::schema::sqlite_peek;
use crate::store::visitors::{Peek, SetAside, StoreFault};
use crate::token::keyset::KeyState;

use super::Failure;
use super::checkup::Checkup;
use super::keys::describe;

const CONFIGURATION: &str = "configuration";
const SITE: &str = "site";
const REPLAY: &str = "replay";
const ADMIN: &str = "admin";
const STORE: &str = "store";

/// What the findings about the store are about.
const RECORDS: &str = "visitor records";

/// How many records that cannot be read are named.
const SHOWN_MAX: usize = 100;

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
    let outcome = match &config.store {
        Some(store) => look_at_store(store, reach(config.outbound.clone()), &mut checkup),
        None => Ok(()),
    };
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

/// Looks at the store, and changes nothing there. `reached` is how this process reaches others, or why it cannot.
fn look_at_store(store: &StoreConfig, reached: Result<Outbound, LaunchFailure>, checkup: &mut Checkup) -> Result<(), Failure> {
    let days = store.retention.as_secs() / (24 * 60 * 60);
    let place = format!("{}, kept {days} days after a visitor was last seen", store.place.name());
    let looked = match &store.place {
        StorePlace::Memory => {
            checkup.ok(STORE, RECORDS, place);
            return Ok(());
        }
        StorePlace::Sqlite(file) => sqlite_peek(file).map(|peek| Looked { peek, known: SQLITE.len(), ..Looked::default() }),
        StorePlace::Postgres(url) => reached.map_err(|failure| StoreFault::Refused(failure.to_string())).and_then(|outbound| {
            let seen = System::new().block_on(peek(url, outbound.roots))?;
            let way = if seen.is_encrypted { "connected with TLS" } else { "connected without TLS" };
            Ok(Looked { peek: seen.peek, known: POSTGRES.len(), way: Some(way), unwritable: seen.unwritable })
        }),
    };
    match looked {
        Ok(looked) => looked.tell(place, checkup),
        // No reason not to start: pages and hops go on without it (rule A2).
        Err(StoreFault::Unavailable(what)) => {
            let advice = "Hops go on without it, and what they would write waits in memory. Make it available to the broker.";
            checkup.warn(STORE, RECORDS, place, advice).detail(format!("unavailable: {what}"));
        }
        Err(fault) => {
            let what = format!("[store] {fault}");
            checkup.fail(STORE, RECORDS, place, what.clone());
            return Err(Failure::mistake(what));
        }
    }
    Ok(())
}

/// What was seen of a store that could be looked at.
#[derive(Default)]
struct Looked {
    /// What it holds; `None` before a broker has made it.
    peek: Option<Peek>,
    /// The version of the schema that this program knows.
    known: usize,
    way: Option<&'static str>,
    unwritable: Option<String>,
}

impl Looked {
    fn tell(self, place: String, checkup: &mut Checkup) {
        let Self { peek, known, way, unwritable } = self;
        let schema = peek.as_ref().map_or_else(
            || "not there yet: the broker makes it at its start".to_owned(),
            |peek| format!("schema version {}, of {known} that this program knows", peek.version),
        );
        let finding = match unwritable {
            None => checkup.ok(STORE, RECORDS, place),
            Some(what) => {
                checkup.warn(STORE, RECORDS, place, "Hops go on, and what they would write waits in memory.").detail(what)
            }
        };
        finding.details.extend(way.map(String::from).into_iter().chain([schema]));
        let Some(peek) = peek else { return };
        if !peek.unreadable.is_empty() {
            let (unreadable, looked) = (peek.unreadable.len(), peek.records);
            finding.detail(format!("{unreadable} of the {looked} records that were looked at cannot be read"));
        }
        for visitor in peek.unreadable.iter().take(SHOWN_MAX) {
            let advice =
                format!("Nothing is written to it. Restore it from a backup, or erase it: throughline visitor erase {visitor}");
            checkup.warn(STORE, visitor, "the record cannot be read by this version", advice);
        }
        for aside in &peek.set_aside {
            let SetAside { visitor, change, at, problem } = aside;
            let seen = format!("a write ({change}) was set aside at {}: {problem}", moment(*at));
            let advice = format!(
                "See the visitor: throughline visitor show {visitor} ; erasing it takes the write away as well: throughline visitor erase {visitor}"
            );
            checkup.warn(STORE, visitor, seen, advice);
        }
    }
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
