//! Where the mistakes gather while a configuration is read, and the guess at what an unknown key was meant to be.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use super::report::{Mistake, Report};

/// Two words are taken for one misspelled when they are at least this similar (Jaro-Winkler, 0 to 1).
const SIMILAR: f64 = 0.84;

/// The mistakes so far, and every key that was asked for.
#[derive(Debug)]
pub(super) struct Notes {
    line_ends: Vec<usize>,
    mistakes: RefCell<Vec<Mistake>>,
    /// By table and key, the key as it is written: `"level"`, `[log]`.
    known: RefCell<BTreeMap<(&'static str, &'static str), String>>,
    unknown: RefCell<Vec<Unknown>>,
}

#[derive(Debug)]
struct Unknown {
    line: usize,
    table: &'static str,
    key: String,
}

impl Notes {
    /// None yet, on this text.
    pub(super) fn new(text: &str) -> Self {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Self { line_ends, mistakes: RefCell::default(), known: RefCell::default(), unknown: RefCell::default() }
    }

    /// The line, counted from 1, on which a piece of the text begins.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.line_ends.partition_point(|end| *end < span.start) + 1
    }

    /// Notes a mistake, on one line whatever the configuration's own texts hold.
    pub(super) fn mistake(&self, line: impl Into<Option<usize>>, what: impl Into<String>) {
        let what = what.into().replace(char::is_control, " ");
        self.mistakes.borrow_mut().push(Mistake { line: line.into(), what });
    }

    /// Notes that a table (as it is written in messages) may have a key.
    pub(super) fn known(&self, table: &'static str, key: &'static str) {
        self.known.borrow_mut().entry((table, key)).or_insert_with(|| format!("{key:?}"));
    }

    /// Notes that a table may have another below it, written as `name`.
    pub(super) fn known_table(&self, table: &'static str, key: &'static str, name: &'static str) {
        self.known.borrow_mut().insert((table, key), name.to_owned());
    }

    /// Notes a key that nothing asked for. What it was meant to be is guessed at the end, when every key is known.
    pub(super) fn unknown(&self, line: usize, table: &'static str, key: &str) {
        self.unknown.borrow_mut().push(Unknown { line, table, key: key.to_owned() });
    }

    /// What was wrong; `None` when nothing was.
    pub(super) fn into_report(self) -> Option<Report> {
        for Unknown { line, table, key } in self.unknown.take() {
            let meant = self.guess(table, &key);
            let place = if table.is_empty() { "outside the tables".to_owned() } else { format!("in {table}") };
            self.mistake(line, format!("unknown key {key:?} {place}; {meant}"));
        }
        let mistakes = self.mistakes.into_inner();
        (!mistakes.is_empty()).then(|| Report::new(mistakes))
    }

    fn guess(&self, table: &'static str, key: &str) -> String {
        let known = self.known.borrow();
        let here = || known.iter().filter(|((place, _), _)| *place == table);
        let plain = key.to_lowercase().replace('-', "_");
        let likeness = |name: &str| if name == plain { 1.0 } else { strsim::jaro_winkler(name, &plain) };
        let nearest = here().map(|((_, name), written)| (likeness(name), written)).max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, written)) = nearest.filter(|(score, _)| *score >= SIMILAR) {
            return format!("did you mean {written}?");
        }
        // A key below the wrong heading is TOML's usual trap: a table lasts until the next one begins.
        if let Some(((home, _), written)) = known.iter().find(|((_, name), _)| *name == plain) {
            return match *home {
                "" => format!("{written} belongs above the first [table]"),
                home => format!("{written} belongs in {home}"),
            };
        }
        format!("take it out, or use one of: {}", here().map(|(_, written)| written.as_str()).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_text_has_a_line() {
        let notes = Notes::new("ab\r\nü\n\nx");
        for (at, line) in [(0, 1), (3, 1), (4, 2), (6, 2), (7, 3), (8, 4), (99, 4)] {
            assert_eq!(notes.line(&(at..at + 1)), line, "octet {at}");
        }
    }

    #[test]
    fn what_an_unknown_key_was_meant_to_be() {
        let notes = Notes::new("");
        for (table, key) in [("", "profile"), ("[log]", "level"), ("[primary]", "cookie_days"), ("[primary]", "skip")] {
            notes.known(table, key);
        }
        notes.known_table("", "site", "[[site]]");
        for (table, key, guess) in [
            ("", "sites", "did you mean [[site]]?"),
            ("[primary]", "cookie_day", "did you mean \"cookie_days\"?"),
            ("[primary]", "Cookie-Days", "did you mean \"cookie_days\"?"),
            ("[primary]", "level", "\"level\" belongs in [log]"),
            ("[log]", "profile", "\"profile\" belongs above the first [table]"),
            ("[primary]", "zzz", "take it out, or use one of: \"cookie_days\", \"skip\""),
        ] {
            assert_eq!(notes.guess(table, key), guess);
        }
    }
}
