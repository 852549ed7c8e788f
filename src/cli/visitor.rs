//! `throughline visitor`: shows, exports and erases what is kept of a visitor (rules C2, C3).
//!
//! It opens the store that the configuration names, beside the broker that may be at work on it.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::app::launch::reach;
use crate::app::recording::open;
use crate::base::clock::Clock;
use crate::base::id::VisitorId;
use crate::config::{Config, StorePlace};
use crate::domain::record::{Held, Record};
use crate::store::visitors::{StoreFault, VisitorStore};

use super::Failure;
use super::visitor_erase::{Broker, erase};
use super::visitor_text;

/// What `throughline visitor` is told.
#[derive(Debug, Args)]
pub struct VisitorArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: VisitorAction,
    /// The broker's configuration file
    #[arg(long, global = true, default_value = "throughline.toml", value_name = "FILE")]
    pub config: PathBuf,
}

/// What `throughline visitor` can do.
#[derive(Debug, Subcommand)]
pub enum VisitorAction {
    /// Say what is kept of an ID
    Show {
        /// The visitor ID
        #[arg(value_parser = visitor_id)]
        id: VisitorId,
        /// As `export` does, for a program
        #[arg(long)]
        json: bool,
    },
    /// Write everything that is kept of an ID and of its provisional IDs, as one JSON document
    Export {
        /// The visitor ID
        #[arg(value_parser = visitor_id)]
        id: VisitorId,
    },
    /// Delete what is kept of IDs and of their provisional IDs; all sites refuse them from then on
    Erase {
        /// The visitor IDs
        #[arg(value_parser = visitor_id, required = true, value_name = "ID")]
        ids: Vec<VisitorId>,
        /// Do not ask first; without it, each answer is read from standard input
        #[arg(long)]
        yes: bool,
    },
}

fn visitor_id(text: &str) -> Result<VisitorId, String> {
    VisitorId::parse(text).ok_or_else(|| "not a visitor ID: a version 4 UUID in lower case, with hyphens".into())
}

/// All that is kept of a visitor: the ID's own record, and those of its provisional IDs. Every other alias is evidence: the
/// record names it, and its own record may be another person's (rule L9).
#[derive(Debug, Serialize)]
pub struct Kept {
    /// The ID.
    pub visitor: VisitorId,
    /// What is kept of it.
    #[serde(flatten)]
    pub of_it: OfOne,
    /// What is kept of its provisional IDs.
    pub alias_records: BTreeMap<VisitorId, OfOne>,
}

/// What is kept of one ID.
#[derive(Debug, Serialize)]
pub struct OfOne {
    /// The ID is revoked: no site takes it, and there is no record.
    pub revoked: bool,
    /// The record.
    pub record: Option<Record>,
}

impl OfOne {
    fn new(visitor: VisitorId, held: Held) -> Result<Self, Failure> {
        let unreadable = || Failure::fault(format_args!("what the store holds of {visitor} is no record; it can be erased"));
        match held {
            Held::Nothing => Ok(Self { revoked: false, record: None }),
            Held::Revoked => Ok(Self { revoked: true, record: None }),
            Held::Record(record) => Ok(Self { revoked: false, record: Some(*record) }),
            Held::Unreadable => Err(unreadable()),
        }
    }
}

/// Does it. `asker` answers before something is done for good: standard input, be it a terminal or a pipe.
///
/// # Errors
/// A mistake when the configuration names no store, or one that must not be used; a fault when the store cannot be had.
pub fn run(
    args: &VisitorArgs,
    clock: &dyn Clock,
    env: &dyn Fn(&str) -> Option<String>,
    asker: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let config = Config::load(&args.config, env)?;
    let Some(store) = &config.store else {
        let what =
            "the primary is not served here, so there are no visitor records; run this at the broker, with its configuration";
        return Err(Failure::mistake(what));
    };
    if let StorePlace::Sqlite(file) = &store.place
        && !file.exists()
    {
        // A wrong folder must not look like a visitor of whom nothing is kept.
        let what =
            format!("{}: there is no store yet; the broker makes it at its start. Is this its configuration?", file.display());
        return Err(Failure::mistake(what));
    }
    let interval = config.outbound.revocation_interval;
    let outbound = reach(config.outbound).map_err(Failure::mistake)?;
    let store = open(&store.place, &outbound).map_err(Failure::fault)?;
    actix_web::rt::System::new().block_on(async {
        store.prepare().await.map_err(refused)?;
        match &args.action {
            VisitorAction::Show { id, json: false } => Ok(visitor_text::show(&kept(&*store, *id).await?, out)?),
            VisitorAction::Show { id, json: true } | VisitorAction::Export { id } => {
                let text = serde_json::to_string_pretty(&kept(&*store, *id).await?).map_err(Failure::fault)?;
                Ok(writeln!(out, "{text}")?)
            }
            VisitorAction::Erase { ids, yes } => {
                let broker = Broker { primary: &config.primary, outbound: &outbound, interval };
                erase(&*store, ids, clock.now(), (!yes).then_some(asker), &broker, out).await
            }
        }
    })
}

/// What can be put right here is a mistake; what may pass by itself, a fault.
pub(super) fn refused(fault: StoreFault) -> Failure {
    match fault {
        StoreFault::Unavailable(_) | StoreFault::Busy(_) => Failure::fault(format_args!("[store] {fault}")),
        StoreFault::Newer { .. } | StoreFault::Refused(_) | StoreFault::Damaged(_) => {
            Failure::mistake(format_args!("[store] {fault}"))
        }
    }
}

/// What is kept of an ID.
pub(super) async fn kept(store: &dyn VisitorStore, visitor: VisitorId) -> Result<Kept, Failure> {
    let of_it = OfOne::new(visitor, store.read(visitor).await.map_err(refused)?)?;
    let mut alias_records = BTreeMap::new();
    for (alias, note) in of_it.record.iter().flat_map(|record| &record.aliases) {
        let held = store.read(*alias).await.map_err(refused)?;
        if note.counts(&held) {
            alias_records.insert(*alias, OfOne::new(*alias, held)?);
        }
    }
    Ok(Kept { visitor, of_it, alias_records })
}
