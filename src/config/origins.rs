//! Which origins may stand beside each other (rule U4, and what can be told apart by `Host`).

use std::collections::HashMap;

use crate::base::origin::Origin;

use super::Profile;
use super::reader::{Placed, Table};
use super::subdomains::beside;

/// Whether a site may have this origin under this profile.
///
/// # Errors
/// With what to write instead.
pub fn fits(profile: Profile, origin: &Origin) -> Result<(), String> {
    match profile {
        Profile::Production if !origin.is_https() => {
            Err(format!("\"{origin}\" is plain http, which only profile = \"localhost\" may have; write \"https://...\""))
        }
        Profile::Localhost if !origin.is_loopback() => {
            let write = "write one such as \"http://shop.localhost:8400\"";
            Err(format!("\"{origin}\" is not on this machine, as profile = \"localhost\" demands; {write}"))
        }
        Profile::Production | Profile::Localhost => Ok(()),
    }
}

/// The origins so far, with the lines they stand on.
#[derive(Debug)]
pub(super) struct Origins {
    /// `None` when it is not known, because what is written is no profile.
    profile: Option<Profile>,
    all: HashMap<Origin, usize>,
    served: HashMap<String, usize>,
}

impl Origins {
    pub(super) fn new(profile: Option<Profile>) -> Self {
        Self { profile, all: HashMap::new(), served: HashMap::new() }
    }

    /// The origin of one site. One that is there twice is noted and still read, for the other mistakes of its table.
    pub(super) fn read(&mut self, table: &mut Table<'_, '_>, serve: bool) -> Option<Origin> {
        table.require("origin", "origin = \"https://shop.example\"");
        let is_apart = table.has("satellite");
        let Placed { value: origin, line } = table.text("origin", |text| self.parse(text))?;
        if let Some(first) = self.all.get(&origin) {
            table.mistake_at(line, format_args!("origin: \"{origin}\" already stands on line {first}; each site is there once"));
        } else if let Some(first) = self.served.get(origin.authority()).filter(|_| serve && !is_apart) {
            let same = "are one Host, which is all that a request says; serve one of them elsewhere";
            table.mistake_at(line, format_args!("origin: \"{origin}\" and the one on line {first} {same}"));
        }
        if serve && !is_apart {
            self.served.entry(origin.authority().to_owned()).or_insert(line);
        }
        self.all.entry(origin.clone()).or_insert(line);
        Some(origin)
    }

    /// Where the satellite of `site` is, if not on the site's own origin.
    pub(super) fn read_satellite(&mut self, table: &mut Table<'_, '_>, site: Option<&Origin>, serve: bool) -> Option<Origin> {
        let Placed { value: satellite, line } = table.text("satellite", |text| {
            let satellite = self.parse(text)?;
            site.map_or(Ok(()), |site| beside(site, &satellite)).map(|()| satellite)
        })?;
        if let Some(first) = self.all.get(&satellite) {
            table.mistake_at(line, format_args!("satellite: \"{satellite}\" already stands on line {first}; each is there once"));
        } else if let Some(first) = self.served.get(satellite.authority()).filter(|_| serve) {
            let same = "are one Host, which is all that a request says; serve one of them elsewhere";
            table.mistake_at(line, format_args!("satellite: \"{satellite}\" and the one on line {first} {same}"));
        }
        if serve {
            self.served.entry(satellite.authority().to_owned()).or_insert(line);
        }
        self.all.entry(satellite.clone()).or_insert(line);
        Some(satellite)
    }

    fn parse(&self, text: &str) -> Result<Origin, String> {
        let origin = Origin::parse(text).map_err(|mistake| mistake.to_string())?;
        self.profile.map_or(Ok(()), |profile| fits(profile, &origin)).map(|()| origin)
    }
}
