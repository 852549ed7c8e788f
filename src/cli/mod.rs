//! Layer 8: the command line, one file a command.

pub mod check;
pub mod demo;
mod failure;
pub mod init;
mod init_text;
pub mod keys;
pub mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::base::clock::SystemClock;
use crate::base::random::SystemRandom;

pub use self::failure::Failure;

/// One visitor, one ID, on all your domains.
#[derive(Debug, Parser)]
#[command(name = "throughline", version, about)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See the hop: three sites and an outside one on *.localhost, in one process, with nothing to set up
    Demo(demo::DemoArgs),
    /// Serve the sites and roles of a configuration file
    Serve(serve::ServeArgs),
    /// Write a working configuration, with secrets and keys, for a primary and its sites
    Init(init::InitArgs),
    /// Read a configuration as `serve` would, and say what is in it or every mistake
    Check(check::CheckArgs),
    /// Make, list and rotate signing keys
    Keys(keys::KeysArgs),
}

/// Runs the command that `args` name.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let (clock, random) = (SystemClock::new(), SystemRandom::new());
    let env = |name: &str| std::env::var(name).ok();
    let out = &mut std::io::stdout();
    let outcome = match &args.command {
        Command::Demo(args) => demo::run(args, &clock, out),
        Command::Serve(args) => serve::run(args, &env),
        Command::Init(args) => init::run(args, &clock, &random, out),
        Command::Check(args) => check::run(args, &clock, &env, out),
        Command::Keys(args) => keys::run(args, &clock, &random, out),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("throughline: {failure}");
            failure.exit_code()
        }
    }
}

/// Logs to standard error, one line an event, with what clients wrote escaped (rule A7).
fn log_to_stderr(level: tracing::Level) {
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let _ = tracing_subscriber::fmt().with_max_level(level).with_ansi(is_terminal).with_writer(std::io::stderr).try_init();
}
