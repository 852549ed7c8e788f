//! From a configuration to a running server.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_files::Files;
use actix_web::http::StatusCode;
use actix_web::rt::{spawn, time::timeout};
use actix_web::{App, HttpResponse, guard, web};
use arc_swap::ArcSwap;
use sd_notify::NotifyState;

use crate::base::clock::{Clock, SystemClock, UnixSeconds};
use crate::base::origin::Origin;
use crate::base::random::SystemRandom;
use crate::config::{Config, Listen, Profile, SharedReplay};
use crate::domain::reports::Report;
use crate::domain::siblings::Siblings;
use crate::domain::site::Role;
use crate::http::Env;
use crate::http::client::Outbound;
use crate::http::client_address::TrustedProxies;
use crate::http::cookies::CookieJar;
use crate::http::event::Observer;
use crate::http::host;
use crate::http::remote_records::ApiKeys;
use crate::satellite::Satellite;
use crate::satellite::revocations::EndedList;
use crate::satellite::watch::{Pace, wait_until_ready};
use crate::store::ended_file::EndedFile;
use crate::store::rate_limit::RateLimit;
use crate::store::redis_replay::{RedisReplay, RedisSettings};
use crate::store::refusal_file::RefusalFile;
use crate::store::replay::Replay;
use crate::store::revoked_ids::RevokedIds;
use crate::store::siblings_file::SiblingsFile;
use crate::store::visitors::VisitorStore;
use crate::token::claims::REPLAY_SPAN;

use super::admin::{LostLines, Watching, watch};
use super::bodies::refuse_body;
use super::connections::Connections;
use super::middleware::Throughline;
use super::node::Node;
use super::recording::{Recording, Surroundings, Task, prepare};
use super::reload::{Fixed, Reloading, Source, notify};
use super::roles::{BrokerRecords, Sites};
use super::serving::Serving;
use super::tls::{Certificate, read_certificates, server_tls};

/// A client that takes longer over its request's head is hung up on (rule A5).
pub(super) const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// A static page of so many octets goes out in one piece with its head: a process that is killed has sent all of it or nothing,
/// and of nothing a proxy can ask another node.
const WHOLE_PAGE_MAX: u64 = 32 * 1024;

/// How long a start waits for the list of ended IDs, and a satellite's also for the broker's keys.
const START_TIME_MAX: Duration = Duration::from_secs(2);

/// How long the requests under way have once the listeners are closed (rule A4).
const SHUTDOWN_SECONDS: u64 = 30;

/// Why a server that was configured well does not start.
#[derive(Debug)]
pub struct LaunchFailure(String);

impl LaunchFailure {
    pub(super) const fn new(what: String) -> Self {
        Self(what)
    }
}

impl std::fmt::Display for LaunchFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LaunchFailure {}

/// Everything that a process needs to run.
pub struct Launch {
    /// What it is.
    pub node: Arc<Node>,
    /// Folders of static pages, by the host that they are for.
    pub files: Vec<(String, PathBuf)>,
    ended_list: Arc<EndedList>,
    listen: Listen,
    workers: Option<usize>,
    outbound: Outbound,
    pace: Pace,
    visitors: Option<Arc<dyn VisitorStore>>,
    tasks: Vec<Task>,
    fixed: Fixed,
    api_keys: Arc<ApiKeys>,
    broker_records: Option<BrokerRecords>,
    reload: Option<Source>,
    watching: Option<Watching>,
    lost_lines: LostLines,
}

impl Launch {
    /// Joins the parts that a configuration names.
    ///
    /// # Errors
    /// When a certificate authority in `ca_file` is none, or the system gives no thread.
    pub fn new(config: Config, observer: Arc<dyn Observer>) -> Result<Self, LaunchFailure> {
        let fixed = Fixed::of(&config);
        let Config { profile, listen, primary, broker, served, registered, store, outbound, replay, limits, .. } = config;
        let Config { admin, traces, .. } = config;
        let sites = Sites::new(broker, served, registered);
        let api_keys = Arc::new(ArcSwap::from_pointee(sites.api_keys()));
        let pace = Pace {
            interval: outbound.probe_interval,
            timeout: outbound.probe_timeout,
            revocations: outbound.revocation_interval,
        };
        let ca_file = outbound.ca_file.clone();
        let refusals = outbound.refusals_file.clone().map(RefusalFile::new);
        // A broker node has the sites in its configuration.
        let siblings_file = outbound.siblings_file.clone().filter(|_| broker.is_none()).map(SiblingsFile::new);
        let ended_file = outbound.ended_ids_file.clone().map(|file| EndedFile::new(file, &primary));
        let outbound = reach(outbound)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let is_watched = admin.is_some() || traces.is_some();
        let (observer, watching, exporting) = watch(admin, traces, observer, &clock, &outbound);
        let revoked = Arc::new(RevokedIds::default());
        let siblings = restored(siblings_file.as_ref(), &primary, clock.now());
        let siblings = Arc::new(ArcSwap::from_pointee(siblings.unwrap_or_else(|| Siblings::none(&primary))));
        let recording = match &store {
            Some(store) => {
                let (siblings, revoked, clock) = (&siblings, &revoked, &clock);
                let (registered, observer) = (&sites.registered, is_watched.then_some(&observer));
                let around = Surroundings { siblings, revoked, clock, observer, primary: &primary, registered };
                Recording::here(store, &around, &outbound)?
            }
            None => Recording::there(&primary, &outbound, &api_keys),
        };
        let Recording { records, keeper, store: visitors, mut tasks } = recording;
        tasks.extend(exporting);
        let ended_list = EndedList::new(Arc::clone(&records), Arc::clone(&revoked), Arc::clone(&clock), ended_file);
        ended_list.restore();
        let broker_records = keeper.clone().zip(store).map(|(keeper, store)| BrokerRecords { keeper, hop_wait: store.hop_wait });
        let env = Env {
            clock,
            revoked,
            mints: Arc::default(),
            random: Arc::new(SystemRandom::new()),
            cookies: if profile == Profile::Localhost { CookieJar::LOCALHOST } else { CookieJar::PRODUCTION },
            observer,
            proxies: TrustedProxies::new(listen.trusted_proxies.clone()),
            rates: RateLimit::new(limits.client),
        };
        // The primary takes no tokens (rule B6): a node of the broker alone has nothing to remember.
        let takes_tokens = sites.served.iter().any(|served| served.site.role == Role::Secondary);
        let replay = match replay.filter(|_| takes_tokens) {
            Some(shared) => shared_replay(shared, ca_file.as_deref())?,
            None => Replay::here(limits.replay_entries),
        };
        let mut satellite = Satellite::new(primary, replay, siblings, records, keeper, refusals);
        satellite.siblings_file = siblings_file;
        for (site, report) in left_behind(satellite.refusals.as_deref()) {
            if let Report::Refusal { visitor, .. } = report {
                env.revoked.insert(visitor);
            }
            satellite.outbox.put(&site, report);
        }
        let files = sites.files.clone();
        let mut node = Node::new(env, satellite, sites.roles(broker_records.as_ref()));
        node.unknown_host = listen.unknown_host;
        node.configure_siblings();
        let node = Arc::new(node);
        let (workers, lost_lines) = (limits.workers, Arc::new(|| 0_u64) as LostLines);
        Ok(Self {
            node,
            ended_list: Arc::new(ended_list),
            files,
            listen,
            workers,
            outbound,
            pace,
            visitors,
            tasks,
            fixed,
            api_keys,
            broker_records,
            reload: None,
            watching,
            lost_lines,
        })
    }

    /// SIGHUP will be a reload, from `source`. Without this, it ends the process.
    #[must_use]
    pub fn reloading(self, source: Source) -> Self {
        Self { reload: Some(source), ..self }
    }

    /// Lets operators see how many lines of the log were lost.
    #[must_use]
    pub fn counting_lost_lines(self, lost_lines: LostLines) -> Self {
        Self { lost_lines, ..self }
    }

    /// Serves until a signal ends it: SIGTERM drops no request, SIGINT does not wait. `pages` adds what
    /// serves the pages; `ready` is told the addresses once they are bound.
    ///
    /// # Errors
    /// When an address cannot be bound, or a certificate cannot be used.
    pub async fn run(
        self,
        pages: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
        ready: impl FnOnce(&[SocketAddr]),
    ) -> Result<(), LaunchFailure> {
        let Self { node, files: _, listen, workers, outbound, pace, visitors, tasks, watching, lost_lines, .. } = self;
        let Self { fixed, api_keys, broker_records, reload, ended_list, .. } = self;
        if let (Some(visitors), Some(keeper)) = (&visitors, &node.satellite.keeper)
            && let Some(fault) = prepare(&**visitors).await?
        {
            keeper.writer().note_fault(&fault);
        }
        tasks.into_iter().for_each(|task| drop(spawn(task())));
        // Nobody is to be served by an ID that has ended, so the list is read before the first request, if it can be had.
        let ended_ids = timeout(START_TIME_MAX, ended_list.catch_up());
        // Where the broker is this process, it answers once this one listens.
        let is_satellite_alone = node.roles().broker.is_none();
        if is_satellite_alone {
            node.spawn_watches(&outbound, &ended_list, pace);
            let _ = tokio::join!(ended_ids, timeout(START_TIME_MAX, wait_until_ready(&node.satellite)));
        } else {
            let _ = ended_ids.await;
        }
        let certificate = listen.tls.as_ref().map(Certificate::read).transpose()?.map(Arc::new);
        let connections = Arc::new(Connections::within_open_files(Arc::clone(&node.env.clock)));
        let (proxies, refusing) = (Arc::clone(&node), Arc::clone(&node));
        let serving = Serving {
            connections: Arc::clone(&connections),
            is_proxy: Arc::new(move |peer| proxies.env.proxies.contains(Some(peer.ip()))),
            refuse_body: Arc::new(move |request| refuse_body(&refusing, request.head()).map(Into::into)),
            tls: certificate.clone().map(server_tls).transpose()?,
            head_time_max: HEAD_TIME_MAX,
            shutdown_seconds: SHUTDOWN_SECONDS,
            workers,
        };
        let for_workers = Arc::clone(&node);
        let application = move || App::new().wrap(Throughline::new(Arc::clone(&for_workers))).configure(pages.clone());
        let (running, addresses) =
            serving.listen(&listen.addresses, application).map_err(|(address, error)| cannot_listen(address, &error))?;
        let admin = watching
            .map(|watching| watching.listen(&node, visitors, lost_lines, certificate.clone(), connections))
            .transpose()?;
        let admin = admin.map(|(server, address)| {
            tracing::info!(%address, "operators look here");
            let handle = server.handle();
            drop(spawn(server));
            handle
        });
        node.ending
            .follow_signals(&running.handle())
            .map_err(|error| LaunchFailure(format!("cannot wait for signals: {error}")))?;
        if let Some(source) = reload {
            Reloading { source, fixed, node: Arc::clone(&node), records: broker_records, api_keys, certificate }
                .follow_signals()
                .map_err(|error| LaunchFailure(format!("cannot wait for signals: {error}")))?;
        }
        if is_satellite_alone {
            // Its own sites are among those whose keys are fetched, and only now they can be.
            node.satellite.sites_changed.notify_one();
        } else {
            node.spawn_watches(&outbound, &ended_list, pace);
        }
        ready(&addresses);
        notify(&[NotifyState::Ready]);
        running.await.map_err(|error| LaunchFailure(format!("the server ended: {error}")))?;
        node.finish_writing().await;
        if let Some(admin) = admin {
            admin.stop(false).await;
        }
        Ok(())
    }
}

/// The siblings that an earlier process fetched.
fn restored(file: Option<&SiblingsFile>, primary: &Origin, now: UnixSeconds) -> Option<Siblings> {
    let read = file.map_or(Ok(None), |file| file.read(primary, now));
    read.unwrap_or_else(|mistake| {
        tracing::warn!(%mistake, "siblings_file ignored; links lead to other sites once the broker has been asked");
        None
    })
}

/// The refusals that an earlier process could not deliver.
fn left_behind(file: Option<&RefusalFile>) -> Vec<(Origin, Report)> {
    file.map_or_else(|| Ok(Vec::new()), RefusalFile::read).unwrap_or_else(|error| {
        tracing::error!(%error, "the file of refusals cannot be read: what an earlier process left there is not delivered");
        Vec::new()
    })
}

/// How this process reaches others, as configured.
///
/// # Errors
/// When a certificate authority in `ca_file` is none.
pub fn reach(outbound: crate::config::Outbound) -> Result<Outbound, LaunchFailure> {
    let extra = outbound.ca_file.as_deref().map_or(Ok(Vec::new()), read_certificates)?;
    Outbound::new(outbound.resolve, extra).map_err(|error| LaunchFailure(format!("[outbound] ca_file: {error}")))
}

fn shared_replay(shared: SharedReplay, ca_file: Option<&Path>) -> Result<Replay, LaunchFailure> {
    let SharedReplay { nodes, cluster, username, password, timeout } = shared;
    let failed = |what: &dyn std::fmt::Display| LaunchFailure(format!("[replay] {what}"));
    let authorities = ca_file.map(std::fs::read).transpose().map_err(|error| failed(&error))?;
    let settings = RedisSettings { nodes, cluster, username, password, authorities, timeout, span: REPLAY_SPAN };
    RedisReplay::start(settings).map(Replay::Shared).map_err(|error| failed(&error))
}

pub(super) fn cannot_listen(address: SocketAddr, error: &io::Error) -> LaunchFailure {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there; end it, or choose another port",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose another, or give it to the process",
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        _ => "choose another address",
    };
    LaunchFailure(format!("cannot listen on {address} ({error}): {advice}"))
}

/// Serves each host's folder of static pages; a host that is none of the served sites gets 421 (RFC 9110 section 15.5.20),
/// since a guess could show one brand's pages under another's name.
pub fn static_pages(node: &Arc<Node>, files: &[(String, PathBuf)], app: &mut web::ServiceConfig) {
    for (host, folder) in files {
        let (node, host) = (Arc::clone(node), host.clone());
        let is_host = guard::fn_guard(move |context| {
            node.site(context.head()).is_some_and(|served| served.site.origin.authority() == host)
        });
        let files = Files::new("/", folder).index_file("index.html").prefer_utf8(true);
        app.service(files.read_mode_threshold(WHOLE_PAGE_MAX).guard(is_host));
    }
    let node = Arc::clone(node);
    app.default_service(web::to(move |request: actix_web::HttpRequest| {
        // With a body: of an answer without one, browsers make an error page of their own.
        let (status, text) = match node.site(request.head()) {
            Some(_) => (StatusCode::NOT_FOUND, "There is no such page on this site."),
            None if host::asked(request.head()).is_none() => (StatusCode::BAD_REQUEST, "The request must have exactly one Host."),
            None => (StatusCode::MISDIRECTED_REQUEST, "This host is none of the sites that are served here."),
        };
        async move { HttpResponse::build(status).body(text) }
    }));
}
