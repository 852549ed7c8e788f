//! The company's sites: `[primary]` and every `[[site]]`.

use crate::base::origin::Origin;
use crate::base::secret::SiteSecret;

use super::files::Files;
use super::notes::Notes;
use super::origins::Origins;
use super::reader::{Placed, Table};
use super::served::{SERVED_KEYS, read_served};
use super::{BrokerConfig, Profile, RegisteredSite, SITES_MAX, ServedSite};
use crate::domain::site::{Role, SiteKeys};

/// All that was read. Something may be missing from it, but then a mistake was noted.
#[derive(Debug, Default)]
pub(super) struct Sites {
    pub(super) primary: Option<Origin>,
    pub(super) broker: Option<BrokerConfig>,
    pub(super) served: Vec<ServedSite>,
    pub(super) registered: Vec<RegisteredSite>,
}

/// What the broker and the satellite both need to know of a site.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) origin: Option<Origin>,
    pub(super) secret: Option<SiteSecret>,
    /// Accepted beside it, while the secret is rotated.
    pub(super) other: Option<SiteSecret>,
    pub(super) legacy_browsers: bool,
    /// Whether its satellite is on another origin, and where.
    pub(super) is_apart: bool,
    pub(super) satellite: Option<Origin>,
}

impl Shared {
    fn read(table: &mut Table<'_, '_>, origin: Option<Origin>, files: &Files<'_>) -> Self {
        let secret = read_secret(table, files);
        let other = read_other_secret(table, files);
        let legacy_browsers = table.flag("legacy_browsers").unwrap_or(false);
        Self { origin, secret, other, legacy_browsers, is_apart: false, satellite: None }
    }

    fn registered(&self) -> Option<RegisteredSite> {
        let site = RegisteredSite::new(self.origin.clone()?, self.secret.as_ref()?, self.legacy_browsers);
        let other = self.other.as_ref().map(|other| SiteKeys::new(Role::Secondary, other));
        Some(RegisteredSite { satellite: self.satellite.clone(), other, ..site })
    }
}

/// Reads the primary and the secondaries.
pub(super) fn read(document: &mut Table<'_, '_>, profile: Option<Profile>, files: &Files<'_>, notes: &Notes) -> Sites {
    let mut sites = Sites::default();
    let mut origins = Origins::new(profile);
    document.require("primary", "[primary], and below it origin = \"https://www.brand.example\"");
    let mut primary = document.table("primary", "[primary]");
    let serves_primary = primary.flag("serve").unwrap_or(true);
    if primary.is_there() {
        read_primary(primary, serves_primary, files, &mut origins, &mut sites);
    }
    let tables = document.tables("site", "[[site]]");
    if tables.len() > SITES_MAX {
        notes.mistake(None, format!("there are {} [[site]], and one configuration holds at most {SITES_MAX}", tables.len()));
        return sites;
    }
    let mut serves_any = serves_primary;
    for mut table in tables {
        let serve = table.flag("serve").unwrap_or(true);
        serves_any |= serve;
        read_secondary(table, serve, serves_primary, files, &mut origins, &mut sites);
    }
    shared_cookies(&sites.served, notes);
    files.used.borrow().refuse_repeated(notes);
    if !serves_any {
        notes.mistake(None, "no site is served here; take out serve = false from [primary] or add the [[site]] that is");
    }
    sites
}

/// Sites below one cookie domain would take each other's ID for a forged one, and each other's no for their own.
fn shared_cookies(served: &[ServedSite], notes: &Notes) {
    let apart = |served: &ServedSite| Some((served.site.origin.clone(), served.site.satellite.clone()?.cookie_domain));
    let apart: Vec<_> = served.iter().filter_map(apart).collect();
    for (index, (origin, domain)) in apart.iter().enumerate() {
        let below = |one: &str, other: &str| one == other || one.ends_with(&format!(".{other}"));
        for (first, same) in apart[..index].iter().filter(|(_, first)| below(domain, first) || below(first, domain)) {
            notes.mistake(
                None,
                format!("cookie_domain: {first} ({same}) and {origin} ({domain}) would share one cookie; give each a domain of its own"),
            );
        }
    }
}

fn read_primary(mut table: Table<'_, '_>, serve: bool, files: &Files<'_>, origins: &mut Origins, sites: &mut Sites) {
    sites.primary = origins.read(&mut table, serve);
    if serve {
        sites.broker = Some(BrokerConfig { whoami: table.flag("whoami").unwrap_or(false) });
        let shared = Shared::read(&mut table, sites.primary.clone(), files);
        sites.served.extend(read_served(&mut table, Role::Primary, &shared, files));
    } else {
        for key in SERVED_KEYS.into_iter().chain(SECRET_KEYS).chain(["legacy_browsers", "whoami"]) {
            table.refuse(key, "has no use with serve = false, which leaves origin alone; take it out");
        }
    }
    table.finish();
}

fn read_secondary(
    mut table: Table<'_, '_>,
    serve: bool,
    broker_here: bool,
    files: &Files<'_>,
    origins: &mut Origins,
    sites: &mut Sites,
) {
    let origin = origins.read(&mut table, serve);
    let is_apart = table.has("satellite");
    let satellite = origins.read_satellite(&mut table, origin.as_ref(), serve);
    let shared = Shared { is_apart, satellite, ..Shared::read(&mut table, origin, files) };
    if serve {
        sites.served.extend(read_served(&mut table, Role::Secondary, &shared, files));
    } else {
        if !broker_here {
            table.mistake("has no use: neither this site nor the primary is served here; take it out");
        }
        for key in SERVED_KEYS {
            table.refuse(key, "has no use with serve = false; write it where this site is served");
        }
    }
    if broker_here {
        sites.registered.extend(shared.registered());
    }
    table.finish();
}

/// Where a site's secrets are: its own, and the one that is accepted beside it during a rotation.
const SECRET_KEYS: [&str; 4] = ["secret_file", "secret_env", "also_accept_secret_file", "also_accept_secret_env"];

fn read_other_secret(table: &mut Table<'_, '_>, files: &Files<'_>) -> Option<SiteSecret> {
    let [_, _, file, env] = SECRET_KEYS;
    if table.has(env) {
        table.refuse_beside(file, env);
    }
    secret_in(table, files, file, env)
}

fn read_secret(table: &mut Table<'_, '_>, files: &Files<'_>) -> Option<SiteSecret> {
    let [file, env, ..] = SECRET_KEYS;
    if table.has(env) {
        table.refuse_beside(file, env);
    } else {
        table.require(file, "secret_file = \"secrets/shop.example\" or secret_env = \"SHOP_SECRET\"");
    }
    secret_in(table, files, file, env)
}

/// The secret that one of two keys names: a file's or a variable's.
fn secret_in(table: &mut Table<'_, '_>, files: &Files<'_>, file: &'static str, env: &'static str) -> Option<SiteSecret> {
    let from_env = table.text(env, |name| Ok((files.secret_env(name)?, format!("{env} {name}"))));
    let from_file = table.text(file, |path| Ok((files.secret_file(path)?, format!("{file} {path}"))));
    let Placed { line, value: (secret, place) } = from_env.or(from_file)?;
    files.used.borrow_mut().secret(line, place, &secret);
    Some(secret)
}
