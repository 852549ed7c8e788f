//! Why a command did not do what it was asked to, and the exit code that scripts look at.

use std::fmt;
use std::process::ExitCode;

use crate::base::random::NoRandomness;
use crate::config::Report;

/// Why a command failed. The message is for the person at the terminal, whole, and holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// What was asked for cannot be: the person can correct it. Exit code 2, like clap's own.
    Mistake(String),
    /// The machine did not do its part. Exit code 1.
    Fault(String),
}

impl Failure {
    /// A mistake of the user.
    #[must_use]
    pub fn mistake(what: impl fmt::Display) -> Self {
        Self::Mistake(what.to_string())
    }

    /// Anything else.
    #[must_use]
    pub fn fault(what: impl fmt::Display) -> Self {
        Self::Fault(what.to_string())
    }

    /// What the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// The exit code as a number.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Mistake(_) => 2,
            Self::Fault(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Mistake(what) | Self::Fault(what)) = self;
        f.write_str(what)
    }
}

impl std::error::Error for Failure {}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        Self::mistake(report)
    }
}

impl From<NoRandomness> for Failure {
    fn from(error: NoRandomness) -> Self {
        Self::fault(error)
    }
}

/// Only the command's own output is written with `?`; everything else says what it was about.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Fault(format!("the output cannot be written ({error})"))
    }
}
