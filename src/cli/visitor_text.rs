//! What is kept of a visitor, in lines for people.

use std::io::{self, Write};

use crate::domain::record::{AliasKind, Record};
use crate::token::keyfile::time_text;

use super::visitor::Kept;

/// Writes what is kept.
pub(super) fn show(kept: &Kept, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", kept.visitor)?;
    match &kept.of_it.record {
        Some(record) => show_record(record, out)?,
        None if kept.of_it.revoked => writeln!(out, "  revoked: no site takes this ID, and nothing else is kept of it")?,
        None => writeln!(out, "  nothing is kept of this ID")?,
    }
    for (alias, of_it) in &kept.alias_records {
        let what = match (&of_it.record, of_it.revoked) {
            (Some(_), _) => "has a record of its own",
            (None, true) => "is revoked",
            (None, false) => "has no record",
        };
        writeln!(out, "  the provisional ID {alias} {what}")?;
    }
    Ok(())
}

fn show_record(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  created      {}", time_text(record.created))?;
    if let Some(touch) = &record.first_touch {
        let from = touch.referrer.as_deref().unwrap_or("no outside page");
        writeln!(out, "  first touch  {}, from {}, on {}", time_text(touch.at), printable(from), printable(&touch.landing))?;
        for (name, value) in &touch.campaign {
            writeln!(out, "    {} = {}", printable(name), printable(value))?;
        }
    }
    writeln!(out, "  sites")?;
    for (site, seen) in &record.sites {
        let on_own_word = if seen.on_own_word { ", on its own word" } else { "" };
        writeln!(out, "    {site}: first {}, last {}{on_own_word}", time_text(seen.first), time_text(seen.last))?;
        for (basis, since) in &seen.consent {
            writeln!(out, "      consent {} since {}", basis.as_str(), time_text(*since))?;
        }
    }
    if !record.properties.is_empty() {
        writeln!(out, "  properties, version {}", record.version)?;
    }
    for (key, value) in record.properties.iter() {
        writeln!(out, "    {} = {}", printable(key), printable(&value.to_string()))?;
    }
    if !record.aliases.is_empty() {
        writeln!(out, "  aliases")?;
    }
    for (alias, note) in &record.aliases {
        writeln!(out, "    {alias}: {}, reported by {}, {}", alias_text(note.kind), note.site, time_text(note.at))?;
    }
    Ok(())
}

const fn alias_text(kind: Option<AliasKind>) -> &'static str {
    match kind {
        Some(AliasKind::Provisional) => "a provisional ID of the same browser",
        Some(AliasKind::SameBrowser) => "evidence: another visitor ID in the same browser",
        Some(AliasKind::Link) => "evidence: a link with another visitor ID",
        None => "evidence: noted by an older version",
    }
}

/// What an erasure deleted.
pub(super) fn erased(before: Option<&Kept>) -> String {
    let Some(Kept { of_it, alias_records, .. }) = before else { return "erased; its record could not be read".into() };
    let record = match &of_it.record {
        Some(record) => {
            let (sites, properties) = (record.sites.len(), record.properties.len());
            format!("erased its record ({sites} sites, {properties} properties)")
        }
        None => "nothing was kept of it; revoked".to_owned(),
    };
    match alias_records.len() {
        0 => record,
        count => format!("{record}, and {count} provisional IDs with {} records", records(alias_records.values())),
    }
}

fn records<'a>(of: impl Iterator<Item = &'a super::visitor::OfOne>) -> usize {
    of.filter(|of_it| of_it.record.is_some()).count()
}

/// A page's script wrote it: it must not move the cursor of a terminal.
fn printable(text: &str) -> String {
    let escape = |letter: char| match letter {
        '"' | '\'' | '\\' => letter.to_string(),
        letter => letter.escape_debug().to_string(),
    };
    text.chars().map(escape).collect()
}
