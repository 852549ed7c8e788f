//! `throughline health`: asks the process that serves a configuration whether it is well. A container's health check needs
//! no shell for it, and nothing that fetches.

use std::collections::HashMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::app::launch::reach;
use crate::config::{Config, Outbound};
use crate::domain::contract::path;

use super::Failure;

/// Longer than a process that is well takes, and shorter than whoever runs this waits.
const TIME_MAX: Duration = Duration::from_secs(2);

/// What `throughline health` is told.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The configuration file that the process serves
    #[arg(long, default_value = "throughline.toml", value_name = "FILE")]
    pub config: PathBuf,
}

/// Asks the first address for the health of the first site. `env` looks up an environment variable.
///
/// # Errors
/// A mistake when the configuration has one; a fault when the process does not answer, or not with 200.
pub fn run(args: &HealthArgs, env: &dyn Fn(&str) -> Option<String>, out: &mut dyn Write) -> Result<(), Failure> {
    let Config { listen, served, outbound, .. } = Config::load(&args.config, env)?;
    let (Some(address), Some(served)) = (listen.addresses.first(), served.first()) else {
        return Err(Failure::mistake("no site is served here"));
    };
    let (address, site) = (from_here(*address), &served.site.origin);
    let resolve = HashMap::from([(site.host().to_owned(), address)]);
    let outbound = reach(Outbound { resolve, ..outbound }).map_err(Failure::mistake)?;
    let asking = async {
        let client = outbound.client(TIME_MAX);
        match listen.tls {
            Some(_) => client.get(site, path::HEALTH).await,
            None => client.get_behind_proxy(address, site, path::HEALTH).await,
        }
    };
    let answer = actix_web::rt::System::new().block_on(asking);
    answer.map_err(|failure| Failure::fault(format_args!("{site} at {address} is not well: {failure}")))?;
    writeln!(out, "ok  {site} at {address}")?;
    Ok(())
}

/// Where a process that listens on all addresses is reached from its own machine.
const fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
