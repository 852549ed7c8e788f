//! What is wrong with a configuration, all of it at once.

use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake. What it says never holds anything secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The line it stands on, counted from 1; `None` when something is missing from the file as a whole.
    pub line: Option<usize>,
    /// What is wrong, and what to write instead.
    pub what: String,
}

/// Every mistake of a configuration, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    file: Option<PathBuf>,
    mistakes: Vec<Mistake>,
}

impl Report {
    /// Puts mistakes in order.
    #[must_use]
    pub fn new(mut mistakes: Vec<Mistake>) -> Self {
        // Stable: two mistakes of one line stay in the order in which they were found.
        mistakes.sort_by_key(|mistake| mistake.line);
        Self { file: None, mistakes }
    }

    /// Names the file that the lines are of.
    #[must_use]
    pub fn of_file(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }

    /// The mistakes, in the order of their lines.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

/// `file:line: what`, one mistake a line: the form that editors jump to.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Mistake { line, what }) in self.mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match (&self.file, line) {
                (Some(file), Some(line)) => write!(f, "{}:{line}: {what}", file.display())?,
                (Some(file), None) => write!(f, "{}: {what}", file.display())?,
                (None, Some(line)) => write!(f, "line {line}: {what}")?,
                (None, None) => f.write_str(what)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_come_in_the_order_of_their_lines() {
        let mistake = |line, what: &str| Mistake { line, what: what.into() };
        let report = Report::new(vec![mistake(Some(9), "c"), mistake(Some(2), "b"), mistake(None, "a"), mistake(Some(2), "a")]);
        assert_eq!(report.to_string(), "a\nline 2: b\nline 2: a\nline 9: c");
        let report = report.of_file(Path::new("etc/throughline.toml"));
        assert!(report.to_string().ends_with("etc/throughline.toml:9: c"));
        assert!(report.to_string().starts_with("etc/throughline.toml: a\n"));
    }
}
