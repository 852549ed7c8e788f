//! What the doctor said: for people and for scripts, and that both are the same.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// Checks that no mistake between the doctor and the company's pages touches.
const ALWAYS: [&str; 3] = ["dns", "auth-closed", "sdk"];

/// One run, twice: as text and as JSON.
pub(crate) struct Report {
    pub(crate) code: i32,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Report {
    /// Runs the doctor.
    pub(crate) fn of(options: &[String], urls: &[&str]) -> Self {
        let run = |more: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_throughline"));
            command.arg("doctor").args(options).args(more).args(urls);
            let output = command.output().expect("the program runs");
            let text = String::from_utf8(output.stdout).expect("UTF-8");
            (output.status.code().unwrap_or(-1), text, String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (code, text, stderr) = run(&[]);
        let (json_code, json, _) = run(&["--json"]);
        let json: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json:?}, {stderr}"));
        assert_eq!(code, json_code, "{text}\n{json:#}");
        let report = Self { code, text, json };
        let of_text: Vec<_> = report
            .text
            .lines()
            .filter(|line| !line.starts_with(' '))
            .filter_map(|line| {
                let (outcome, rest) = line.split_once(' ')?;
                Some((outcome, rest.trim_start().split(": ").next()?))
            })
            .collect();
        let of_json: Vec<_> = report.findings().map(|found| (word(found, "outcome"), word(found, "check"))).collect();
        assert_eq!(of_text, of_json, "{}", report.text);
        report
    }

    pub(crate) fn findings(&self) -> impl Iterator<Item = &Value> {
        self.json["findings"].as_array().into_iter().flatten()
    }

    /// The checks that came out so.
    pub(crate) fn named(&self, outcome: &str) -> BTreeSet<&str> {
        self.findings().filter(|found| word(found, "outcome") == outcome).map(|found| word(found, "check")).collect()
    }

    /// Exactly these checks failed, and each with this advice; nothing else is wrong. Exit code 1.
    #[track_caller]
    pub(crate) fn fails(&self, expected: &[(&str, &str)]) {
        self.is("failed", expected);
        assert!(self.named("warning").is_empty(), "{}", self.text);
        assert_eq!((self.code, self.json["outcome"].as_str()), (1, Some("failed")), "{}", self.text);
    }

    /// Exactly these checks warn, and none failed. Exit code 0.
    #[track_caller]
    pub(crate) fn warns(&self, expected: &[(&str, &str)]) {
        self.is("warning", expected);
        assert!(self.named("failed").is_empty(), "{}", self.text);
        assert_eq!((self.code, self.json["outcome"].as_str()), (0, Some("warning")), "{}", self.text);
    }

    #[track_caller]
    fn is(&self, outcome: &str, expected: &[(&str, &str)]) {
        let names: BTreeSet<_> = expected.iter().map(|(check, _)| *check).collect();
        assert_eq!(self.named(outcome), names, "{}", self.text);
        for (check, advice) in expected {
            let found = self.findings().find(|found| word(found, "check") == *check && word(found, "outcome") == outcome);
            let told = found.and_then(|found| found["advice"].as_str()).unwrap_or_default();
            assert!(told.contains(advice), "{check} says {told:?}\n{}", self.text);
            assert!(self.text.contains(told), "{}", self.text);
        }
        if !["host-kept", "dns", "tls", "health", "endpoints"].iter().any(|check| names.contains(check)) {
            for check in ALWAYS.into_iter().filter(|check| !names.contains(check)) {
                assert!(self.named("ok").contains(check), "{check} is well\n{}", self.text);
            }
        }
        self.keeps_secrets();
    }

    /// Rule R8: nothing of a visitor is shown.
    #[track_caller]
    pub(crate) fn keeps_secrets(&self) {
        for part in ["_tl=ey", "sig=", "throughline=1.", "eyJ0eXAi"] {
            assert!(!self.text.contains(part), "{part} in {}", self.text);
        }
    }
}

pub(crate) fn word<'a>(found: &'a Value, name: &str) -> &'a str {
    found[name].as_str().unwrap_or_default()
}
