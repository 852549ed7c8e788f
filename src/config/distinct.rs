//! No two sites share a secret or a signing key: they could speak for each other (case D8).
//!
//! The contents are compared. So one file under two names, a copy of it, and the same secret in a variable are all found.

use std::collections::HashMap;

use crate::base::secret::SiteSecret;
use crate::token::keyset::KeySet;

use super::notes::Notes;

/// Something secret that the configuration names.
#[derive(Debug)]
struct Named {
    line: usize,
    /// The key of the configuration and its value, which names a file or a variable.
    place: String,
    digest: [u8; 32],
}

/// Every secret and signing key of a configuration, as digests.
#[derive(Debug, Default)]
pub(super) struct Used {
    secrets: Vec<Named>,
    keys: Vec<Named>,
}

impl Used {
    /// Notes a secret.
    pub(super) fn secret(&mut self, line: usize, place: String, secret: &SiteSecret) {
        self.secrets.push(Named { line, place, digest: secret.digest() });
    }

    /// Notes the keys of one site.
    pub(super) fn keys(&mut self, line: usize, place: &str, keys: &KeySet) {
        let named = |digest| Named { line, place: place.to_owned(), digest };
        self.keys.extend(keys.keys().iter().map(|timed| named(*timed.key.public().x())));
    }

    /// Notes a mistake for each that repeats an earlier one.
    pub(super) fn refuse_repeated(&self, notes: &Notes) {
        let kinds =
            [(&self.secrets, "secret", "throughline keys secret FILE"), (&self.keys, "signing key", "throughline keys create")];
        for (named, what, command) in kinds {
            for (later, first) in repeated(named) {
                let Named { line, place, .. } = later;
                let other = format!("{} on line {}", first.place, first.line);
                notes.mistake(
                    *line,
                    format!("{place}: the {what} is also that of {other}; each site has its own, made with: {command}"),
                );
            }
        }
    }
}

/// Each that has the digest of an earlier one, with that one.
fn repeated(named: &[Named]) -> Vec<(&Named, &Named)> {
    let mut first = HashMap::new();
    named
        .iter()
        .filter_map(|this| {
            let earlier = *first.entry(this.digest).or_insert(this);
            (!std::ptr::eq(earlier, this)).then_some((this, earlier))
        })
        .collect()
}
