//! Layer 8: the command line, one file a command.

pub mod demo;
pub mod serve;

use std::fmt;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// One visitor, one ID, on all your domains.
#[derive(Debug, Parser)]
#[command(name = "throughline", version, about)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See the hop: three sites and an outside one on *.localhost, in one process, with nothing to set up.
    Demo(demo::Arguments),
    /// Serve the sites and roles of a configuration file.
    Serve(serve::Arguments),
}

/// Why a command ends without success.
#[derive(Debug)]
pub enum Failure {
    /// Something that the operator can mend: exit code 2.
    Mistake(String),
    /// Anything else: exit code 1.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistake(what) | Self::Broken(what) => f.write_str(what),
        }
    }
}

/// Runs the command that `arguments` name.
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
    };
    let code = match &outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Mistake(_)) => 2,
        Err(Failure::Broken(_)) => 1,
    };
    if let Err(failure) = outcome {
        eprintln!("throughline: {failure}");
    }
    ExitCode::from(code)
}

/// Logs to standard error, one line an event, with what clients wrote escaped (rule A7).
fn log_to_stderr(level: tracing::Level) {
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let _ = tracing_subscriber::fmt().with_max_level(level).with_ansi(is_terminal).with_writer(std::io::stderr).try_init();
}
