//! What `check` and `doctor` find, in one form: by whom it was looked for, how it came out, what was seen, what to do.
//!
//! 1. A check has a stable name in kebab-case, for scripts and for the documentation.
//! 2. What is not well comes with advice, in a sentence or two.
//! 3. No finding holds a token or a cookie's value: it is shown on terminals and kept in the logs of CI (rule R8). A visitor ID
//!    is in a finding only where the operator has to act on that visitor's record.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde::Serialize;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, but should be looked at.
    Warning,
    /// Visitors lose their IDs, pages, or what protects them.
    Failed,
    /// It could not be looked at; what was seen says why.
    Skipped,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What one check found on one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name of the check.
    pub check: &'static str,
    /// What was looked at: a file, an origin.
    pub subject: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen; of a check that was skipped, why.
    pub seen: String,
    /// More of it, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// What to do, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    /// Adds a line to what was seen.
    pub fn detail(&mut self, line: impl Into<String>) -> &mut Self {
        self.details.push(line.into());
        self
    }
}

/// All findings of one run, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Checkup {
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Document<'a> {
    outcome: Outcome,
    failed: usize,
    warnings: usize,
    findings: &'a [Finding],
}

impl Checkup {
    /// All is well.
    pub fn ok(&mut self, check: &'static str, subject: impl ToString, seen: impl Into<String>) -> &mut Finding {
        self.add(check, subject, Outcome::Ok, seen, None)
    }

    /// It works, but should be looked at.
    pub fn warn(
        &mut self,
        check: &'static str,
        subject: impl ToString,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) -> &mut Finding {
        self.add(check, subject, Outcome::Warning, seen, Some(advice.into()))
    }

    /// It is not well.
    pub fn fail(
        &mut self,
        check: &'static str,
        subject: impl ToString,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) -> &mut Finding {
        self.add(check, subject, Outcome::Failed, seen, Some(advice.into()))
    }

    /// It could not be looked at.
    pub fn skip(&mut self, check: &'static str, subject: impl ToString, why: impl Into<String>) -> &mut Finding {
        self.add(check, subject, Outcome::Skipped, why, None)
    }

    /// Those of `checks` that have found nothing so far are skipped.
    pub fn skip_rest(&mut self, checks: &[&'static str], subject: &str, why: &str) {
        let seen: BTreeSet<_> = self.findings.iter().map(|finding| finding.check).collect();
        for check in checks.iter().filter(|check| !seen.contains(*check)) {
            self.skip(check, subject, why);
        }
    }

    /// Whether `check` has failed.
    #[must_use]
    pub fn has_failed(&self, check: &str) -> bool {
        self.findings.iter().any(|finding| finding.check == check && finding.outcome == Outcome::Failed)
    }

    /// Whether `check` has found anything so far.
    #[must_use]
    pub fn has_found(&self, check: &str) -> bool {
        self.findings.iter().any(|finding| finding.check == check)
    }

    /// The first check that came out so.
    #[must_use]
    pub fn first(&self, outcome: Outcome) -> Option<&'static str> {
        self.findings.iter().find(|finding| finding.outcome == outcome).map(|finding| finding.check)
    }

    /// How many findings came out so.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == outcome).count()
    }

    /// Adds what another run found.
    pub fn append(&mut self, mut other: Self) {
        self.findings.append(&mut other.findings);
    }

    /// Writes all findings: for people, or as one JSON document.
    ///
    /// # Errors
    /// When `out` takes no more.
    pub fn write(&self, out: &mut dyn Write, as_json: bool) -> io::Result<()> {
        if as_json {
            let (failed, warnings) = (self.count(Outcome::Failed), self.count(Outcome::Warning));
            let outcome = match (failed, warnings) {
                (0, 0) => Outcome::Ok,
                (0, _) => Outcome::Warning,
                _ => Outcome::Failed,
            };
            serde_json::to_writer_pretty(&mut *out, &Document { outcome, failed, warnings, findings: &self.findings })?;
            return writeln!(out);
        }
        for Finding { check, subject, outcome, seen, details, advice } in &self.findings {
            writeln!(out, "{:<8} {check}: {subject}: {seen}", outcome.as_str())?;
            for line in details.iter().chain(advice) {
                writeln!(out, "         {line}")?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        check: &'static str,
        subject: impl ToString,
        outcome: Outcome,
        seen: impl Into<String>,
        advice: Option<String>,
    ) -> &mut Finding {
        let at = self.findings.len();
        let (subject, seen) = (subject.to_string(), seen.into());
        self.findings.push(Finding { check, subject, outcome, seen, details: Vec::new(), advice });
        &mut self.findings[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_scripts_read_the_same() {
        let mut checkup = Checkup::default();
        checkup.ok("dns", "shop.example", "192.0.2.1").detail("more");
        checkup.fail("tls", "shop.example", "expired", "Renew it.");
        checkup.skip_rest(&["dns", "health"], "shop.example", "not reached");
        let written = |as_json| {
            let mut out = Vec::new();
            checkup.write(&mut out, as_json).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            written(false),
            "ok       dns: shop.example: 192.0.2.1\n         more\n\
             failed   tls: shop.example: expired\n         Renew it.\n\
             skipped  health: shop.example: not reached\n"
        );
        let json: serde_json::Value = serde_json::from_str(&written(true)).unwrap();
        assert_eq!((&json["outcome"], &json["failed"], &json["warnings"]), (&"failed".into(), &1.into(), &0.into()));
        assert_eq!(json["findings"][1]["advice"], "Renew it.");
        assert_eq!(json["findings"][2]["outcome"], "skipped");
    }
}
