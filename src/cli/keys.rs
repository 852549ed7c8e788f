//! `throughline keys`: makes, shows and rotates the files that sites sign and are trusted with.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::base::clock::{Clock, UnixSeconds};
use crate::base::origin::Origin;
use crate::base::random::Random;
use crate::base::secret::SiteSecret;
use crate::config::Config;
use crate::token::key::{SigningKey, draw_seed};
use crate::token::keyfile::{read_key_file, time_text, write_key_file, write_secret_file};
use crate::token::keyset::{JWKS_MAX_AGE, KEEP_AFTER, KeyPlan, KeySet, KeyState, TimedKey};

use super::Failure;

/// What `throughline keys` is told.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: KeysAction,
}

/// What `throughline keys` can do.
#[derive(Debug, Subcommand)]
pub enum KeysAction {
    /// Make a key file with one key that signs at once
    Create {
        /// The file to write, such as keys/shop.example.json
        file: PathBuf,
    },
    /// Show the keys of a file and their times
    List {
        /// The key file
        file: PathBuf,
    },
    /// Add the next key: published now, signing once every copy of the public keys is newer than that
    Rotate {
        /// The key file
        file: PathBuf,
        /// In an emergency: let the new key sign at once, though others do not know it yet
        #[arg(long)]
        now: bool,
    },
    /// Print a site's API key, for the company's own servers
    Api {
        /// The configuration file of the broker, or of the site
        #[arg(long, default_value = "throughline.toml", value_name = "FILE")]
        config: PathBuf,
        /// The site, such as https://shop.example
        #[arg(long, value_name = "ORIGIN", value_parser = Origin::parse)]
        site: Origin,
    },
    /// Make a file with a site's secret, which the site and the broker share
    Secret {
        /// The file to write, such as secrets/shop.example
        file: PathBuf,
    },
}

/// Does it. `env` looks up an environment variable; `aside` takes what is not for the next program.
///
/// # Errors
/// A mistake when a file is in the way, or is no key file; a fault when it cannot be written.
pub fn run(
    args: &KeysArgs,
    clock: &dyn Clock,
    random: &dyn Random,
    env: &dyn Fn(&str) -> Option<String>,
    out: &mut dyn Write,
    aside: &mut dyn Write,
) -> Result<(), Failure> {
    let now = clock.now();
    match &args.action {
        KeysAction::Create { file } => create(file, now, random, out),
        KeysAction::List { file } => show(&read(file)?, now, out),
        KeysAction::Rotate { file, now: at_once } => rotate(file, *at_once, now, random, out),
        KeysAction::Api { config, site } => api_key(config, site, env, out, aside),
        KeysAction::Secret { file } => {
            refuse_existing(file)?;
            write_secret_file(file, &SiteSecret::generate(random)?.to_text()).map_err(Failure::fault)?;
            Ok(writeln!(out, "wrote {}: give a copy to the broker and to the site, and to nobody else", file.display())?)
        }
    }
}

/// Draws a key for a plan.
///
/// # Errors
/// When there is no randomness.
pub fn draw_key(plan: KeyPlan, random: &dyn Random) -> Result<TimedKey, Failure> {
    let seed = draw_seed(random)?;
    let key = SigningKey::from_seed(&seed).ok_or_else(|| Failure::fault("the drawn key is not usable; run the command again"))?;
    Ok(TimedKey { key, seed, publish_at: plan.publish_at, activate_at: plan.activate_at })
}

/// What each key of a set is now, and when that changes, one line a key.
#[must_use]
pub fn describe(keys: &KeySet, now: UnixSeconds) -> Vec<String> {
    let lines = keys.keys().iter().enumerate().map(|(index, timed)| {
        let next = keys.keys().get(index + 1).map(|next| next.activate_at);
        let until = next.map_or_else(String::new, |next| format!(" until {}", time_text(next)));
        let (publish_at, activate_at) = (time_text(timed.publish_at), time_text(timed.activate_at));
        let what = match keys.state(index, now) {
            KeyState::Planned => format!("planned    in the JWKS from {publish_at}, signs from {activate_at}{until}"),
            KeyState::Published => format!("published  in the JWKS since {publish_at}, signs from {activate_at}{until}"),
            KeyState::Active => format!("active     signs since {activate_at}{until}"),
            KeyState::Retired => {
                let last = next.map_or_else(String::new, |next| time_text(next.plus(KEEP_AFTER)));
                format!("retired    signed{until}, in the JWKS until {last}")
            }
            KeyState::Gone => "gone       of no more use; the next rotation takes it out".to_owned(),
        };
        format!("{}  {what}", timed.key.public().id())
    });
    lines.collect()
}

/// Any process that has the site's secret can tell: the broker, and the site's own.
fn api_key(
    config: &Path,
    site: &Origin,
    env: &dyn Fn(&str) -> Option<String>,
    out: &mut dyn Write,
    aside: &mut dyn Write,
) -> Result<(), Failure> {
    let config = Config::load(config, env)?;
    let served = config.served.iter().map(|served| (&served.site.origin, &served.site.api_key));
    let mut known = served.chain(config.registered.iter().map(|site| (&site.origin, &site.api_key)));
    let Some((_, key)) = known.find(|(origin, _)| *origin == site) else {
        let what = format!("{site} has no secret in this configuration; ask where it is served, or at the broker");
        return Err(Failure::mistake(what));
    };
    writeln!(aside, "The API key of {site} is a secret: whoever has it reads and changes the records of its visitors.")?;
    Ok(writeln!(out, "{}", key.as_str())?)
}

fn create(file: &Path, now: UnixSeconds, random: &dyn Random, out: &mut dyn Write) -> Result<(), Failure> {
    refuse_existing(file)?;
    let keys = KeySet::new(vec![draw_key(KeySet::first_key_plan(now), random)?]);
    write_key_file(file, &keys).map_err(Failure::fault)?;
    writeln!(out, "wrote {}", file.display())?;
    show(&keys, now, out)
}

fn rotate(file: &Path, at_once: bool, now: UnixSeconds, random: &dyn Random, out: &mut dyn Write) -> Result<(), Failure> {
    let mut keys = read(file)?;
    let plan = if at_once { KeySet::first_key_plan(now) } else { keys.rotation_plan(now) };
    let key = draw_key(plan, random)?;
    let id = key.key.public().id();
    let gone = keys.rotate(key, now);
    write_key_file(file, &keys).map_err(Failure::fault)?;
    writeln!(out, "{}: added key {id}", file.display())?;
    for id in gone {
        writeln!(out, "{}: took out key {id}, of no more use", file.display())?;
    }
    show(&keys, now, out)?;
    if at_once {
        let seconds = JWKS_MAX_AGE.as_secs();
        writeln!(out, "Every process of this site must have this file now: what one publishes, all must know.")?;
        writeln!(out, "Until the other sites have fetched the JWKS again (within {seconds} s), they refuse tokens of {id}:")?;
        writeln!(out, "their pages are served as ever, but visitors come without the ID.")?;
        writeln!(
            out,
            "Old keys count until the times above. If they were stolen, use a new file instead: throughline keys create"
        )?;
    } else {
        // Until a process has it, its JWKS lacks the key, and others keep that copy: a cache in between, then a satellite.
        let by = UnixSeconds(plan.activate_at.0.saturating_sub(2 * JWKS_MAX_AGE.as_secs()));
        writeln!(out, "Every process of this site must have this file before {}.", time_text(by))?;
        writeln!(out, "Nothing else is to be done: the times above come by themselves, and no token is refused.")?;
    }
    Ok(())
}

fn show(keys: &KeySet, now: UnixSeconds, out: &mut dyn Write) -> Result<(), Failure> {
    for line in describe(keys, now) {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<KeySet, Failure> {
    read_key_file(file).map_err(Failure::mistake)
}

/// A key that is overwritten is a site that nobody believes any more.
fn refuse_existing(file: &Path) -> Result<(), Failure> {
    match file.symlink_metadata() {
        Ok(_) => Err(Failure::mistake(format_args!("{} is already there; move it away, or choose another name", file.display()))),
        Err(_) => Ok(()),
    }
}
