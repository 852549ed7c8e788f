//! Takes a table apart, key by key: whatever is asked for is read and checked, whatever is left over is unknown.
//!
//! Each question answers `None` both for a key that is not there and for one with a mistake; the mistake is then noted, and
//! the reading goes on, so that one start shows all that is wrong.

use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use super::notes::Notes;

/// A value, and the line it stands on.
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

/// A table of the configuration, or the empty one in place of a table that is not there.
#[derive(Debug)]
pub(super) struct Table<'n, 'i> {
    notes: &'n Notes,
    /// As it is written in messages: `[log]`, and nothing for the keys outside all tables.
    name: &'static str,
    /// Where it begins; `None` for one that is not there.
    line: Option<usize>,
    /// Whether it is one of a list, in double brackets.
    listed: bool,
    entries: DeTable<'i>,
}

impl<'n, 'i> Table<'n, 'i> {
    /// The whole document.
    pub(super) const fn document(notes: &'n Notes, entries: DeTable<'i>) -> Self {
        Self { notes, name: "", line: None, listed: false, entries }
    }

    /// Whether it is in the file, with or without keys.
    pub(super) const fn is_there(&self) -> bool {
        self.line.is_some()
    }

    /// Whether it has the key, with whatever value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Notes a mistake of this table as a whole.
    pub(super) fn mistake(&self, what: impl Display) {
        let space = if self.name.is_empty() { "" } else { " " };
        self.notes.mistake(self.line, format!("{}{space}{what}", self.name));
    }

    /// Notes a mistake of one line in this table.
    pub(super) fn mistake_at(&self, line: usize, what: impl Display) {
        self.notes.mistake(line, what.to_string());
    }

    /// Notes a mistake unless the key is there.
    pub(super) fn require(&self, key: &'static str, write: &str) {
        self.notes.known(self.name, key);
        if !self.has(key) {
            self.mistake(format_args!("has no {key}; write {write}"));
        }
    }

    /// Notes a mistake if the key is there, and takes it away.
    pub(super) fn refuse(&mut self, key: &'static str, why: &str) {
        if let Some(found) = self.take(key) {
            self.notes.mistake(found.line, format!("{key} {why}"));
        }
    }

    /// Notes a mistake if the key is there too, beside another that means the same.
    pub(super) fn refuse_beside(&mut self, key: &'static str, other: &str) {
        self.refuse(key, &format!("stands beside {other}; write one of the two"));
    }

    /// A text, read by `parse`, whose error says what to write instead.
    pub(super) fn text<T>(&mut self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<Placed<T>> {
        let found = self.take(key)?;
        self.text_of(key, &found, parse)
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let found = self.take(key)?;
        let flag = found.value.as_bool();
        if flag.is_none() {
            self.notes.mistake(found.line, format!("{key} is {}; write true or false, without quotes", kind(&found.value)));
        }
        flag
    }

    /// A whole number within limits.
    pub(super) fn number(&mut self, key: &'static str, limits: RangeInclusive<u64>) -> Option<u64> {
        let found = self.take(key)?;
        let number = found.value.as_integer().and_then(|number| i128::from_str_radix(number.as_str(), number.radix()).ok());
        let within = number.and_then(|number| u64::try_from(number).ok()).filter(|number| limits.contains(number));
        if within.is_none() {
            let is = number.map_or_else(|| kind(&found.value).to_owned(), |number| number.to_string());
            let (least, most) = limits.into_inner();
            self.notes.mistake(found.line, format!("{key} is {is}; write a whole number from {least} to {most}, without quotes"));
        }
        within
    }

    /// A list of texts, each read by `parse`; those with a mistake are left out.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Placed<Vec<Placed<T>>>> {
        let found = self.take(key)?;
        let line = found.line;
        let DeValue::Array(items) = found.value else {
            self.notes
                .mistake(line, format!("{key} is {}; write a list of texts, such as [\"...\", \"...\"]", kind(&found.value)));
            return None;
        };
        let items = items.into_iter().map(|item| Placed { line: self.notes.line(&item.span()), value: item.into_inner() });
        let value = items.filter_map(|item| self.text_of(key, &item, &parse)).collect();
        Some(Placed { value, line })
    }

    /// Whether the key is there with a list of nothing.
    pub(super) fn has_empty_list(&self, key: &str) -> bool {
        self.entries.get(key).and_then(|value| value.get_ref().as_array()).is_some_and(|list| list.is_empty())
    }

    /// The table below a key; the empty one if it is not there.
    pub(super) fn table(&mut self, key: &'static str, name: &'static str) -> Table<'n, 'i> {
        let mut tables = self.tables_as_written(key, name);
        if let Some(second) = tables.get(1).or(tables.first().filter(|first| first.listed)) {
            self.notes.mistake(second.line, format!("there is only one {key}; write {name} once, with single brackets"));
        }
        if tables.is_empty() {
            return Table { notes: self.notes, name, line: None, listed: false, entries: DeTable::new() };
        }
        tables.swap_remove(0)
    }

    /// The tables of a list, such as `[[site]]`.
    pub(super) fn tables(&mut self, key: &'static str, name: &'static str) -> Vec<Table<'n, 'i>> {
        let tables = self.tables_as_written(key, name);
        if let Some(single) = tables.first().filter(|first| !first.listed) {
            self.notes.mistake(single.line, format!("there may be many of {key}; write {name}, with double brackets"));
        }
        tables
    }

    /// Wrong brackets do not hide what is between them: its mistakes are shown in the same report.
    fn tables_as_written(&mut self, key: &'static str, name: &'static str) -> Vec<Table<'n, 'i>> {
        self.notes.known_table(self.name, key, name);
        let Some(Placed { value, line }) = self.take(key) else { return Vec::new() };
        let (items, listed) = match value {
            DeValue::Array(items) => {
                (items.into_iter().map(|item| (self.notes.line(&item.span()), item.into_inner())).collect(), true)
            }
            single => (vec![(line, single)], false),
        };
        let mut tables = Vec::new();
        for (line, item) in items {
            match item {
                DeValue::Table(entries) => tables.push(Table { notes: self.notes, name, line: Some(line), listed, entries }),
                other => self.notes.mistake(line, format!("{key} is {}; write a line {name} and its keys below", kind(&other))),
            }
        }
        tables
    }

    /// The keys themselves, where they are names that the operator chooses, each with its text.
    pub(super) fn names<T>(&mut self, parse: impl Fn(&str, &str) -> Result<T, String>) -> Vec<Placed<T>> {
        let mut names = Vec::new();
        for (name, value) in std::mem::take(&mut self.entries) {
            let line = self.notes.line(&name.span());
            let found = Placed { line, value: value.into_inner() };
            names.extend(self.text_of(name.get_ref(), &found, |text| parse(name.get_ref(), text)));
        }
        names
    }

    /// Everything has been asked for: what is left over is unknown.
    pub(super) fn finish(self) {
        for key in self.entries.keys() {
            self.notes.unknown(self.notes.line(&key.span()), self.name, key.get_ref());
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Placed<DeValue<'i>>> {
        self.notes.known(self.name, key);
        let (key, value) = self.entries.remove_entry(key)?;
        Some(Placed { line: self.notes.line(&key.span()), value: value.into_inner() })
    }

    fn text_of<T>(
        &self,
        key: &str,
        found: &Placed<DeValue<'i>>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Placed<T>> {
        let Some(text) = found.value.as_str() else {
            self.notes.mistake(found.line, format!("{key}: {} instead of a text in quotes", kind(&found.value)));
            return None;
        };
        match parse(text) {
            Ok(value) => Some(Placed { value, line: found.line }),
            Err(mistake) => {
                self.notes.mistake(found.line, format!("{key}: {mistake}"));
                None
            }
        }
    }
}

/// What a value is, in words.
const fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(true) => "true",
        DeValue::Boolean(false) => "false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
