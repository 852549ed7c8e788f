//! SIGHUP: the configuration is read again, and what it says of sites, keys, certificate and log level counts from the next
//! request on. No request is lost over it: those under way go on as they began. A configuration with mistakes changes nothing.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use actix_web::rt::signal::unix::{SignalKind, signal};
use actix_web::rt::spawn;
use actix_web::web::block;
use sd_notify::NotifyState;
use tracing::Level;

use crate::base::origin::Origin;
use crate::config::{Admin, Config, Limits, Listen, LogFormat, Outbound, Profile, Report, SharedReplay, StoreConfig, Traces};
use crate::http::remote_records::ApiKeys;

use super::node::Node;
use super::roles::{BrokerRecords, Sites};
use super::tls::Certificate;

/// How often the configuration was read again.
#[derive(Debug, Default)]
pub struct Reloads {
    /// And counts now.
    pub done: AtomicU64,
    /// And was refused.
    pub refused: AtomicU64,
    /// Whether the last one was refused: a restart would be refused too.
    pub is_last_refused: AtomicBool,
}

/// Reads the configuration again.
pub type ReadConfig = Arc<dyn Fn() -> Result<Config, Report> + Send + Sync>;

/// Where a new configuration comes from, and who else wants to know of it.
pub struct Source {
    /// Reads it.
    pub read: ReadConfig,
    /// Is told the log level.
    pub set_log_level: Arc<dyn Fn(Level) + Send + Sync>,
}

/// What only a restart can change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fixed {
    profile: Profile,
    primary: Origin,
    is_broker: bool,
    listen: Listen,
    files: Vec<(String, PathBuf)>,
    store: Option<StoreConfig>,
    outbound: Outbound,
    replay: Option<SharedReplay>,
    limits: Limits,
    log_format: LogFormat,
    admin: Option<Admin>,
    traces: Option<Traces>,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        let Config { profile, primary, broker, listen, served, store, outbound, replay, limits, log, admin, traces, .. } = config;
        let mut listen = listen.clone();
        // The files themselves are read again, wherever they are now; that there are any is fixed.
        if let Some(tls) = &mut listen.tls {
            *tls = Default::default();
        }
        let files = served.iter().filter_map(|served| Some((served.site.origin.to_string(), served.files.clone()?))).collect();
        Self {
            profile: *profile,
            primary: primary.clone(),
            is_broker: broker.is_some(),
            listen,
            files,
            store: store.clone(),
            outbound: outbound.clone(),
            replay: replay.clone(),
            limits: *limits,
            log_format: log.format,
            admin: admin.clone(),
            traces: traces.clone(),
        }
    }

    /// What is said otherwise in `other`, in the words of the configuration.
    fn changed(&self, other: &Self) -> Vec<&'static str> {
        let parts = [
            (self.profile != other.profile, "profile"),
            (self.primary != other.primary || self.is_broker != other.is_broker, "[primary]"),
            (self.listen != other.listen, "[listen]"),
            (self.files != other.files, "files"),
            (self.store != other.store, "[store]"),
            (self.outbound != other.outbound, "[outbound]"),
            (self.replay != other.replay, "[replay]"),
            (self.limits != other.limits, "[limits]"),
            (self.log_format != other.log_format, "[log] format"),
            (self.admin != other.admin, "[admin]"),
            (self.traces != other.traces, "[traces]"),
        ];
        parts.into_iter().filter_map(|(is_other, name)| is_other.then_some(name)).collect()
    }
}

/// Everything that a reload reaches.
pub(super) struct Reloading {
    pub(super) source: Source,
    pub(super) fixed: Fixed,
    pub(super) node: Arc<Node>,
    pub(super) records: Option<BrokerRecords>,
    pub(super) api_keys: Arc<ApiKeys>,
    pub(super) certificate: Option<Arc<Certificate>>,
}

impl Reloading {
    /// From now on, each SIGHUP is a reload.
    ///
    /// # Errors
    /// When the system lets nobody wait for signals.
    pub(super) fn follow_signals(self) -> io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        spawn(async move {
            while hangup.recv().await.is_some() {
                notify(&[NotifyState::Reloading, now()]);
                self.reload().await;
                notify(&[NotifyState::Ready]);
            }
        });
        Ok(())
    }

    async fn reload(&self) {
        let read = Arc::clone(&self.source.read);
        let reloads = &self.node.reloads;
        let refused = |problem: &dyn std::fmt::Display| {
            reloads.refused.fetch_add(1, Ordering::Relaxed);
            reloads.is_last_refused.store(true, Ordering::Relaxed);
            // A configuration's mistakes are one line each.
            for problem in problem.to_string().lines() {
                tracing::error!(problem, "the configuration is not taken: everything stays as it was");
            }
        };
        let config = match block(move || read()).await {
            Ok(Ok(config)) => config,
            Ok(Err(report)) => return refused(&report),
            Err(error) => return refused(&error),
        };
        let changed = self.fixed.changed(&Fixed::of(&config));
        if !changed.is_empty() {
            return refused(&format_args!("only a restart can change {}", changed.join(", ")));
        }
        if let (Some(certificate), Some(files)) = (&self.certificate, config.listen.tls) {
            let certificate = Arc::clone(certificate);
            match block(move || certificate.renew(&files)).await {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => return refused(&failure),
                Err(error) => return refused(&error),
            }
        }
        (self.source.set_log_level)(config.log.level);
        let sites = Sites::new(config.broker, config.served, config.registered);
        self.api_keys.store(Arc::new(sites.api_keys()));
        if let Some(BrokerRecords { keeper, .. }) = &self.records {
            keeper.set_sites(sites.registered.iter().map(|site| &site.origin).chain([&config.primary]));
        }
        let count = sites.served.len();
        let mut roles = sites.roles(self.records.as_ref());
        if let (Some(broker), Some(before)) = (&mut roles.broker, &self.node.roles().broker) {
            broker.remember_removed(before, self.node.env.clock.uptime());
        }
        self.node.assume(roles);
        self.node.configure_siblings();
        self.node.satellite.sites_changed.notify_one();
        self.node.satellite.access.changed.notify_one();
        reloads.done.fetch_add(1, Ordering::Relaxed);
        reloads.is_last_refused.store(false, Ordering::Relaxed);
        tracing::info!(sites = count, "the configuration was read again, and counts");
    }
}

/// Tells systemd, where that started the process; else nothing happens.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

fn now() -> NotifyState<'static> {
    NotifyState::monotonic_usec_now().unwrap_or(NotifyState::Status("reloading"))
}
