//! `throughline serve`: runs what a configuration file describes.

use std::path::PathBuf;
use std::sync::Arc;

use crate::app::launch::{Launch, static_pages};
use crate::app::reload::{ReadConfig, Source};
use crate::config::Config;
use crate::http::event::Log;

use super::Failure;
use super::logging::Logging;

/// What `serve` is told.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The configuration file; `throughline init` makes one
    #[arg(long, default_value = "throughline.toml", value_name = "FILE")]
    config: PathBuf,
}

/// Serves until a signal ends it; SIGHUP is a reload. `env` looks up an environment variable.
///
/// # Errors
/// With every mistake in the configuration, or why it cannot start.
pub fn run(args: &ServeArgs, env: fn(&str) -> Option<String>) -> Result<(), Failure> {
    let path = args.config.clone();
    let read: ReadConfig = Arc::new(move || Config::load(&path, &env));
    let config = read()?;
    let logging = Logging::to_stderr(config.log);
    let source = Source { read, set_log_level: logging.level() };
    let launch = Launch::new(config, Arc::new(Log)).map_err(Failure::mistake)?;
    let launch = launch.counting_lost_lines(logging.lost()).reloading(source);
    let (node, files) = (Arc::clone(&launch.node), launch.files.clone());
    let pages = move |app: &mut actix_web::web::ServiceConfig| static_pages(&node, &files, app);
    let ready = |addresses: &[std::net::SocketAddr]| tracing::info!(?addresses, "listening");
    let serving = launch.run(pages, ready);
    actix_web::rt::System::new().block_on(serving).map_err(Failure::mistake)
}
