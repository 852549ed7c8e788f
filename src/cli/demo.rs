//! `throughline demo`: the hop to look at, on `*.localhost`, with nothing to set up.

mod collector;
mod pages;
mod scripts;
mod trail;
mod wire;

use std::collections::HashMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;

use crate::app::launch::Launch;
use crate::base::clock::{Clock, UnixSeconds};
use crate::base::encoding::base64url;
use crate::base::origin::Origin;
use crate::base::secret::SiteSecret;
use crate::config::{
    BrokerConfig, Config, KeySource, Limits, Listen, Log, LogFormat, Outbound, Profile, ServedSite, StoreConfig, UnknownHost,
    consent_policy,
};
use crate::domain::consent::ConsentPolicy;
use crate::domain::contract::COOKIE_DAYS_DEFAULT;
use crate::domain::rate::Rate;
use crate::domain::site::{RegisteredSite, Role, Site, SkipList};
use crate::token::key::{Seed, SigningKey};
use crate::token::keyset::{KeySet, TimedKey};

use super::Failure;
use super::logging::Logging;
use collector::{COLLECT, Collector, RECEIVED, collect, received};
use pages::{Cast, Host, Stage};
use trail::Trail;

/// What `demo` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// The port of all its hosts; 0 picks a free one
    #[arg(long, default_value_t = 8400)]
    port: u16,
    /// The sites' consent policy
    #[arg(long, value_parser = consent_policy, default_value = "implied")]
    consent: ConsentPolicy,
    /// Open the CORS route
    #[arg(long)]
    whoami: bool,
    /// Give the broker a port of its own, and leave it out of this process: then it can be stopped, to see what happens
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    broker_port: Option<u16>,
    /// Which part to serve when the broker has a port of its own
    #[arg(long, value_enum, default_value_t = Part::Sites, requires = "broker_port")]
    role: Part,
}

/// The parts of a demo in two processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The two secondaries and the outside site.
    Sites,
    /// The primary, with the broker.
    Broker,
}

/// The picture of the hop is on the pages; in the terminal only what goes wrong is of interest.
const LOG: Log = Log { level: tracing::Level::WARN, format: LogFormat::Human };

/// How many ports are tried until one is free in IPv4 and IPv6.
const FREE_PORT_ATTEMPTS_MAX: usize = 10;

/// Serves the demo until a signal ends it.
///
/// # Errors
/// When it cannot start.
pub fn run(args: &DemoArgs, clock: &dyn Clock, out: &mut dyn Write) -> Result<(), Failure> {
    let _until_the_end = Logging::to_stderr(LOG);
    let args = &DemoArgs { port: port(args)?, ..args.clone() };
    let cast = Cast::new(args.port, args.broker_port.unwrap_or(args.port)).map_err(Failure::fault)?;
    let config = config(args, &cast, clock.now())?;
    let trail = Arc::new(Trail::new());
    let launch = Launch::new(config, Arc::clone(&trail) as _).map_err(Failure::mistake)?;
    let (node, collector) = (Arc::clone(&launch.node), Collector::default());
    let stage = web::Data::new(Stage { cast: cast.clone(), trail, collector, node, consent: args.consent });
    let serving = launch.run(
        move |app| {
            app.app_data(stage.clone())
                .route(&format!("{COLLECT}/{{run}}/{{library}}{{rest:.*}}"), web::to(collect))
                .route(RECEIVED, web::get().to(received))
                .route("/demo/{script:.*}", web::get().to(scripts::script))
                .default_service(web::to(pages::page));
        },
        |_| {
            let _ = announce(args, &cast, out);
        },
    );
    actix_web::rt::System::new().block_on(serving).map_err(Failure::mistake)
}

/// The port to listen on. The sites' origins contain it, so it must be known before anything is configured.
fn port(args: &DemoArgs) -> Result<u16, Failure> {
    if args.port != 0 {
        return Ok(args.port);
    }
    if args.broker_port.is_some() {
        return Err(Failure::mistake("with --broker-port both processes must be told the same --port; give it a number"));
    }
    for _ in 0..FREE_PORT_ATTEMPTS_MAX {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let free = free.map_err(|error| Failure::fault(format_args!("no free port ({error}); give --port a number")))?;
        // The server listens there a moment later, in both families.
        if loopback(free.port()).iter().all(|address| TcpListener::bind(address).is_ok()) {
            return Ok(free.port());
        }
    }
    Err(Failure::fault("no port is free in IPv4 and IPv6; give --port a number"))
}

fn announce(args: &DemoArgs, cast: &Cast, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "Throughline demo, consent {}. Open in a browser:", args.consent.as_str())?;
    for Host { origin, what } in cast.hosts() {
        writeln!(out, "  {:<30} {what}", format!("{origin}/"))?;
    }
    writeln!(out, "Stop it with Ctrl-C.")?;
    out.flush()
}

/// The demo's configuration. Its secrets are made of the sites' names, so that two processes agree on them: they protect
/// nothing, and the localhost profile takes no other hosts.
fn config(args: &DemoArgs, cast: &Cast, now: UnixSeconds) -> Result<Config, Failure> {
    let split = args.broker_port.is_some();
    let (has_sites, has_broker) = (!split || args.role == Part::Sites, !split || args.role == Part::Broker);
    let mut served = Vec::new();
    if has_broker {
        served.push(served_site(&cast.brand, Role::Primary, args.consent, now)?);
    }
    if has_sites {
        for origin in [&cast.shop, &cast.learn] {
            served.push(served_site(origin, Role::Secondary, args.consent, now)?);
        }
    }
    let registered =
        [&cast.shop, &cast.learn].into_iter().map(|origin| Ok(RegisteredSite::new(origin.clone(), &secret(origin)?, false)));
    let port = if has_sites { args.port } else { cast.brand.port() };
    Ok(Config {
        profile: Profile::Localhost,
        listen: Listen { addresses: loopback(port), tls: None, trusted_proxies: Vec::new(), unknown_host: UnknownHost::Pass },
        primary: cast.brand.clone(),
        broker: has_broker.then_some(BrokerConfig { whoami: args.whoami }),
        served,
        registered: if has_broker { registered.collect::<Result<_, Failure>>()? } else { Vec::new() },
        store: has_broker.then(StoreConfig::memory),
        outbound: Outbound {
            ca_file: None,
            refusals_file: None,
            siblings_file: None,
            ended_ids_file: None,
            resolve: HashMap::new(),
            probe_interval: Duration::from_secs(1),
            // A laptop that is busy with a browser is no broker that is down.
            probe_timeout: Duration::from_secs(2),
            revocation_interval: Duration::from_secs(1),
        },
        replay: None,
        limits: Limits { replay_entries: 100_000, client: Rate::default(), workers: None },
        log: LOG,
        admin: None,
        traces: None,
    })
}

/// Browsers try either family first; a machine without IPv6 has only the one.
fn loopback(port: u16) -> Vec<SocketAddr> {
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let families = [IpAddr::V4(Ipv4Addr::LOCALHOST), six.ip()];
    let has_six = TcpListener::bind(six).is_ok();
    families.into_iter().filter(|address| address.is_ipv4() || has_six).map(|address| SocketAddr::new(address, port)).collect()
}

fn secret(origin: &Origin) -> Result<SiteSecret, Failure> {
    SiteSecret::parse(&base64url(&digest("secret", origin))).ok_or_else(|| Failure::fault("a digest makes no secret"))
}

fn digest(what: &str, origin: &Origin) -> [u8; 32] {
    let text = format!("throughline demo {what} {}", origin.host());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref());
    bytes
}

fn served_site(origin: &Origin, role: Role, consent: ConsentPolicy, now: UnixSeconds) -> Result<ServedSite, Failure> {
    let secret = secret(origin)?;
    let (cookie_key, hop_key) = Site::keys(role, &secret);
    let seed = Seed::new(digest("key", origin));
    let key = SigningKey::from_seed(&seed).ok_or_else(|| Failure::fault("a digest makes no key"))?;
    let plan = KeySet::first_key_plan(now);
    let keys = KeySet::new(vec![TimedKey { key, seed, publish_at: plan.publish_at, activate_at: plan.activate_at }]);
    let site = Site {
        origin: origin.clone(),
        role,
        consent,
        honour_gpc: true,
        legacy_browsers: false,
        skip: SkipList::new(&[]).map_err(Failure::fault)?,
        cookie_life: Duration::from_secs(COOKIE_DAYS_DEFAULT * 86_400),
        cookie_key,
        hop_key,
        api_key: secret.api_key(),
        other: None,
        satellite: None,
    };
    Ok(ServedSite { site, keys: KeySource::Fixed(keys), files: None })
}
