//! `throughline init`: a configuration that works, with a secret and a key for each site.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::base::clock::{Clock, UnixSeconds};
use crate::base::origin::Origin;
use crate::base::random::Random;
use crate::base::secret::SiteSecret;
use crate::config::{Config, Profile, consent_policy, fits};
use crate::domain::consent::ConsentPolicy;
use crate::token::keyfile::{write_key_file, write_secret_file};
use crate::token::keyset::KeySet;

use super::Failure;
use super::init_text::{NamedSite, text};
use super::keys::draw_key;

/// The configuration's name, which `check` and `serve` look for.
const FILE: &str = "throughline.toml";

const NO_CONSENT: &str = "--consent is missing. It has no default: whether visitors must be asked first is a question of law,
and the answer is yours to give.
  --consent required   nothing is set or sent before the visitor has said yes
  --consent implied    it stands until the visitor says no";

/// What `throughline init` is told.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The site that owns the ID, such as https://www.brand.example
    #[arg(long, value_name = "ORIGIN", value_parser = Origin::parse)]
    pub primary: Origin,
    /// Another site, such as https://shop.example; once for each
    #[arg(long = "site", value_name = "ORIGIN", value_parser = Origin::parse)]
    pub sites: Vec<Origin>,
    /// Whether visitors must be asked first: required or implied. There is no default
    #[arg(long, value_name = "POLICY", value_parser = consent_policy)]
    pub consent: Option<ConsentPolicy>,
    /// Where to write
    #[arg(long, default_value = ".")]
    pub folder: PathBuf,
    /// production, or localhost to try things out on this machine
    #[arg(long, default_value = "production", value_parser = Profile::parse)]
    pub profile: Profile,
    /// If all of it is there already, leave it as it is: a container that starts again finds what it made
    #[arg(long)]
    pub keep: bool,
}

/// Writes the configuration and its files.
///
/// # Errors
/// A mistake when something is in the way or the sites do not fit; a fault when a file cannot be written. Nothing that was
/// written is then left behind.
pub fn run(args: &InitArgs, clock: &dyn Clock, random: &dyn Random, out: &mut dyn Write) -> Result<(), Failure> {
    let consent = args.consent.ok_or_else(|| Failure::mistake(NO_CONSENT))?;
    let sites = name_sites(args)?;
    if args.keep && files(&args.folder, &sites).all(|file| is_there(&file)) {
        writeln!(out, "all of it is there already: {}", within(&args.folder, FILE).display())?;
        return Ok(());
    }
    refuse_existing(&args.folder, &sites)?;
    let mut written = Written::default();
    write_all(args, consent, &sites, clock.now(), random, &mut written)?;

    let config = within(&args.folder, FILE);
    // What was just written is read as `serve` will read it: an init that succeeded leaves nothing that does not load.
    Config::load(&config, &|_| None)
        .map_err(|report| Failure::fault(format_args!("what init wrote does not load:\n{report}")))?;
    for file in written.keep() {
        writeln!(out, "wrote {}", file.display())?;
    }
    writeln!(out, "\nThe secrets and keys are as confidential as passwords: keep them out of version control.")?;
    writeln!(out, "Next: throughline check --config {}", config.display())?;
    Ok(())
}

/// Gives each site the name of its files: the host, or with the port where hosts are shared.
fn name_sites(args: &InitArgs) -> Result<Vec<NamedSite<'_>>, Failure> {
    let origins: Vec<&Origin> = std::iter::once(&args.primary).chain(&args.sites).collect();
    let mut authorities = HashSet::new();
    let mut mistakes = Vec::new();
    for origin in &origins {
        mistakes.extend(fits(args.profile, origin).err());
        if !authorities.insert(origin.authority()) {
            mistakes.push(format!("\"{origin}\" is there twice, or under another scheme; name each host once"));
        }
    }
    if !mistakes.is_empty() {
        return Err(Failure::mistake(mistakes.join("\n")));
    }
    let shared = |origin: &Origin| origins.iter().filter(|other| other.host() == origin.host()).count() > 1;
    let name = |origin: &Origin| {
        let name = if shared(origin) { format!("{}-{}", origin.host(), origin.port()) } else { origin.host().to_owned() };
        // The brackets and colons of an IPv6 address are allowed in a file's name, but are no pleasure in a shell.
        name.replace(['[', ']'], "").replace(':', "_")
    };
    Ok(origins.iter().map(|origin| NamedSite { origin, name: name(origin) }).collect())
}

/// All that `init` writes.
fn files(folder: &Path, sites: &[NamedSite<'_>]) -> impl Iterator<Item = PathBuf> {
    let files = sites.iter().flat_map(|site| [site.secret_file(), site.key_file()]);
    std::iter::once(FILE.to_owned()).chain(files).map(|file| within(folder, &file))
}

fn is_there(file: &Path) -> bool {
    file.symlink_metadata().is_ok()
}

fn refuse_existing(folder: &Path, sites: &[NamedSite<'_>]) -> Result<(), Failure> {
    let in_the_way: Vec<_> =
        files(folder, sites).filter(|file| is_there(file)).map(|file| format!("\n  {}", file.display())).collect();
    if in_the_way.is_empty() {
        return Ok(());
    }
    let list = in_the_way.concat();
    Err(Failure::Mistake(format!(
        "init overwrites nothing, and this is in the way:{list}\nMove it away, or choose another --folder"
    )))
}

/// In messages, what lies here has no `./` before it.
fn within(folder: &Path, name: &str) -> PathBuf {
    if folder == Path::new(".") { PathBuf::from(name) } else { folder.join(name) }
}

/// The configuration comes last: whoever sees it sees it complete.
fn write_all(
    args: &InitArgs,
    consent: ConsentPolicy,
    sites: &[NamedSite<'_>],
    now: UnixSeconds,
    random: &dyn Random,
    written: &mut Written,
) -> Result<(), Failure> {
    for folder in [args.folder.clone(), within(&args.folder, "secrets"), within(&args.folder, "keys")] {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| Failure::fault(format_args!("{}: cannot be made ({error})", folder.display())))?;
    }
    for site in sites {
        let file = within(&args.folder, &site.secret_file());
        write_secret_file(&file, &SiteSecret::generate(random)?.to_text()).map_err(Failure::fault)?;
        written.add(file);
        let file = within(&args.folder, &site.key_file());
        let keys = KeySet::new(vec![draw_key(KeySet::first_key_plan(now), random)?]);
        write_key_file(&file, &keys).map_err(Failure::fault)?;
        written.add(file);
    }
    let file = within(&args.folder, FILE);
    let failed = |error| Failure::fault(format_args!("{}: cannot be written ({error})", file.display()));
    let mut config = OpenOptions::new().write(true).create_new(true).open(&file).map_err(failed)?;
    written.add(file.clone());
    config.write_all(text(args.profile, consent, sites).as_bytes()).map_err(failed)
}

/// The files so far. Dropped before [`Written::keep`], it takes them away again: half a configuration helps nobody, and
/// would be in the way of the next try.
#[derive(Debug, Default)]
struct Written(Vec<PathBuf>);

impl Written {
    fn add(&mut self, file: PathBuf) {
        self.0.push(file);
    }

    fn keep(mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        for file in &self.0 {
            let _ = fs::remove_file(file);
        }
    }
}
