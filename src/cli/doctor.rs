//! `throughline doctor`: visits a deployed site as browsers do, and says check by check what is not well and what to do.
//!
//! 1. It is polite: a first-time visitor of its own name, some dozens of requests, one after the other, all bounded.
//! 2. It follows no redirect by itself, and looks at every answer as it came.
//! 3. Every check is told of, in the same order: what cannot be looked at is skipped, with why.
//! 4. What it sees is written by others: it is bounded and escaped, and no token, cookie value or ID is shown.

mod basics;
mod blocked;
mod broker;
mod clocks;
mod cookies;
mod csp;
mod endpoints;
mod examine;
mod finish;
mod jar;
mod markup;
mod names;
mod page;
mod party;
mod policies;
mod primary;
mod reach;
mod refusals;
mod setting;
mod start;
mod visitor;
mod walk;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use url::Url;

use crate::base::clock::Clock;
use crate::base::origin::Origin;
use crate::base::random::Random;
use crate::config::Config;

use super::Failure;
use super::checkup::{Checkup, Outcome};
use examine::{Surroundings, examine};
use reach::{Means, Resolved};

/// What `throughline doctor` is told.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// A page of each site to look at, such as https://shop.example/; with --config and none, the front page of every site in it
    #[arg(value_name = "URL", required_unless_present = "config")]
    urls: Vec<String>,
    /// Write the findings as JSON
    #[arg(long)]
    json: bool,
    /// Use this address in place of DNS, like curl; may be given more than once
    #[arg(long, value_name = "HOST:PORT:ADDRESS", value_parser = Resolved::parse)]
    resolve: Vec<Resolved>,
    /// Trust these certificate authorities (PEM) besides those that browsers know
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A configuration file: then the primary, the sites, and how to reach them are known
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How many seconds one answer may take
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=120))]
    timeout: u64,
}

/// The names of all checks, in the order in which they are looked at.
#[must_use]
pub const fn checks() -> &'static [&'static str] {
    &names::ALL
}

/// Looks at every site. `env` looks up an environment variable.
///
/// # Errors
/// A mistake (exit code 2) when it cannot be run, a fault (1) when a check failed.
pub fn run(
    args: &DoctorArgs,
    clock: &dyn Clock,
    random: &dyn Random,
    env: &dyn Fn(&str) -> Option<String>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let config = args.config.as_deref().map(|file| Config::load(file, env)).transpose()?;
    let configured = config.as_ref().map(|config| &config.outbound);
    let timeout = Duration::from_secs(args.timeout);
    let means = Means::new(configured, args.resolve.clone(), args.ca_file.as_deref(), timeout)?;
    let around = Surroundings { means: &means, clock, random, primary: config.as_ref().map(|config| &config.primary) };
    let pages = pages(&args.urls, config.as_ref())?;
    let mut all = Checkup::default();
    actix_web::rt::System::new().block_on(async {
        for (origin, page) in pages {
            all.append(examine(&around, &origin, page).await);
        }
    });
    all.write(out, args.json)?;
    match all.count(Outcome::Failed) {
        0 => Ok(()),
        1 => Err(Failure::fault("1 check failed")),
        count => Err(Failure::fault(format_args!("{count} checks failed"))),
    }
}

/// The pages to visit: those that are named, or the front pages of the configured sites.
fn pages(urls: &[String], config: Option<&Config>) -> Result<Vec<(Origin, String)>, Failure> {
    if let (true, Some(config)) = (urls.is_empty(), config) {
        let served = config.served.iter().map(|served| &served.site.origin);
        let mut origins: Vec<_> = served.chain(config.registered.iter().map(|site| &site.origin)).cloned().collect();
        origins.sort();
        origins.dedup();
        return Ok(origins.into_iter().map(|origin| (origin, "/".to_owned())).collect());
    }
    urls.iter().map(|url| page(url)).collect()
}

fn page(text: &str) -> Result<(Origin, String), Failure> {
    let url = Url::parse(text).map_err(|error| {
        Failure::mistake(format_args!("{text:?} is no URL ({error}); write one such as https://shop.example/"))
    })?;
    let origin = Origin::parse(&url.origin().ascii_serialization()).map_err(Failure::mistake)?;
    Ok((origin, url[url::Position::BeforePath..url::Position::AfterQuery].to_owned()))
}
