//! The `throughline` command.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    throughline::cli::run(&throughline::cli::Args::parse())
}
