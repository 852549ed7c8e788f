//! A site that this process serves: its rules, its keys, its pages.

use std::time::Duration;

use crate::domain::consent::ConsentPolicy;
use crate::domain::contract::{COOKIE_DAYS_DEFAULT, COOKIE_DAYS_MAX};
use crate::domain::site::{Role, Site, SiteKeys, SkipList, Subdomain};

use super::ServedSite;
use super::files::Files;
use super::reader::{Placed, Table};
use super::sites::Shared;
use super::subdomains::cookie_domain;

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// What only a site that is served here can use.
pub(super) const SERVED_KEYS: [&str; 7] = ["consent", "key_file", "cookie_days", "honour_gpc", "skip", "files", "cookie_domain"];

/// `None` when something is missing from it; a mistake was then noted.
pub(super) fn read_served(table: &mut Table<'_, '_>, role: Role, shared: &Shared, files: &Files<'_>) -> Option<ServedSite> {
    table.require("consent", "consent = \"required\" or \"implied\": there is no default, since it is a question of law");
    let consent = table.text("consent", consent_policy);
    table.require("key_file", "key_file = \"keys/shop.example.json\"; make the file with: throughline keys create");
    let keys = table.text("key_file", |path| Ok((files.key_file(path)?, format!("key_file {path}"))));
    if let Some(Placed { line, value: (keys, place) }) = &keys {
        files.used.borrow_mut().keys(*line, place, keys.keys());
    }
    let days = table.number("cookie_days", 1..=COOKIE_DAYS_MAX).unwrap_or(COOKIE_DAYS_DEFAULT);
    let honour_gpc = table.flag("honour_gpc").unwrap_or(true);
    let skip = read_skip(table);
    let subdomain = read_subdomain(table, role, shared);
    let pages = table.text("files", |path| files.folder(path)).map(|found| found.value);

    let secret = shared.secret.as_ref()?;
    if shared.is_apart && subdomain.is_none() {
        return None;
    }
    let (cookie_key, hop_key) = Site::keys(role, secret);
    let site = Site {
        origin: shared.origin.clone()?,
        role,
        consent: consent?.value,
        honour_gpc,
        legacy_browsers: shared.legacy_browsers,
        skip: skip?,
        cookie_life: Duration::from_secs(days * SECONDS_PER_DAY),
        cookie_key,
        hop_key,
        api_key: secret.api_key(),
        other: shared.other.as_ref().map(|other| SiteKeys::new(role, other)),
        satellite: subdomain,
    };
    Some(ServedSite { site, keys: keys?.value.0, files: pages })
}

fn read_subdomain(table: &mut Table<'_, '_>, role: Role, shared: &Shared) -> Option<Subdomain> {
    if role == Role::Primary {
        return None;
    }
    if !shared.is_apart {
        table.refuse("cookie_domain", "has no use without satellite; take it out, or write where the satellite is");
        return None;
    }
    table.refuse("files", "has no use with satellite, since the pages are served elsewhere; take it out");
    table
        .require("cookie_domain", "cookie_domain = \"shop.example\", the domain that the pages and the satellite are both below");
    let hosts: Vec<_> = shared.origin.iter().chain(&shared.satellite).collect();
    let cookie_domain = table.text("cookie_domain", |text| cookie_domain(text, &hosts))?.value;
    Some(Subdomain { origin: shared.satellite.clone()?, cookie_domain })
}

/// Reads a consent policy.
///
/// # Errors
/// With what to write instead.
pub fn consent_policy(text: &str) -> Result<ConsentPolicy, String> {
    let policy = [ConsentPolicy::Required, ConsentPolicy::Implied].into_iter().find(|policy| policy.as_str() == text);
    policy
        .ok_or_else(|| format!("{text:?} is not a policy; write \"required\" (nothing before a yes) or \"implied\" (until a no)"))
}

fn read_skip(table: &mut Table<'_, '_>) -> Option<SkipList> {
    let entries = table.list("skip", |entry| match SkipList::new(&[entry.to_owned()]) {
        Ok(_) => Ok(entry.to_owned()),
        Err(_) => Err(format!(
            "{entry:?} is neither a beginning such as \"/download/\" nor an ending such as \"*.tar\"; write one of these"
        )),
    });
    let entries: Vec<String> =
        entries.map_or_else(Vec::new, |found| found.value.into_iter().map(|Placed { value, .. }| value).collect());
    SkipList::new(&entries).ok()
}
