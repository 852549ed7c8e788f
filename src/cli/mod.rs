//! Layer 9: the command line, one file a command.

pub mod check;
pub mod checkup;
pub mod demo;
pub mod doctor;
mod failure;
pub mod health;
pub mod init;
mod init_text;
mod json_line;
pub mod keys;
pub mod logging;
pub mod sdk;
pub mod serve;
pub mod visitor;
mod visitor_erase;
mod visitor_text;

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
    /// Ask the process that serves a configuration on this machine whether it is well, for a container's health check
    Health(health::HealthArgs),
    /// Visit a deployed site as a browser would, and say what is not well there and what to do
    Doctor(doctor::DoctorArgs),
    /// Make, list and rotate signing keys; print a site's API key
    Keys(keys::KeysArgs),
    /// Print the script tag of the browser SDK, with its Subresource Integrity value
    Sdk,
    /// Show, export or erase what is kept of a visitor
    Visitor(visitor::VisitorArgs),
}

/// Runs the command that `args` name.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let (clock, random) = (SystemClock::new(), SystemRandom::new());
    let env = |name: &str| std::env::var(name).ok();
    let out = &mut std::io::stdout();
    let outcome = match &args.command {
        Command::Demo(args) => demo::run(args, &clock, out),
        Command::Serve(args) => serve::run(args, env),
        Command::Init(args) => init::run(args, &clock, &random, out),
        Command::Check(args) => check::run(args, &clock, &env, out),
        Command::Health(args) => health::run(args, &env, out),
        Command::Doctor(args) => doctor::run(args, &clock, &random, &env, out),
        Command::Keys(args) => keys::run(args, &clock, &random, &env, out, &mut std::io::stderr()),
        Command::Sdk => sdk::run(out),
        Command::Visitor(args) => visitor::run(args, &clock, &env, &mut std::io::stdin().lock(), out),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("throughline: {failure}");
            failure.exit_code()
        }
    }
}
