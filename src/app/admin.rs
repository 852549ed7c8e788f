//! The listener for operators, in front of a node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::dev::Server;
use actix_web::rt::time::sleep;
use actix_web::{App, HttpServer, web};
use arc_swap::ArcSwapOption;

use crate::admin::history::{History, LOOK_INTERVAL};
use crate::admin::hosts::Hosts;
use crate::admin::metrics::Metrics;
use crate::admin::sample::keep_sampling;
use crate::admin::server::endpoints;
use crate::admin::traces::{Traces, export};
use crate::admin::{Admin, ConnectionCounts, Reloads, Watched};
use crate::base::clock::{Clock, UnixSeconds};
use crate::base::random::SystemRandom;
use crate::broker::Broker;
use crate::config;
use crate::http::ServedSite;
use crate::http::client::Outbound;
use crate::http::event::Observer;
use crate::satellite::Satellite;
use crate::store::record_keeper::Keeper;
use crate::store::revoked_ids::RevokedIds;
use crate::store::visitors::VisitorStore;

use super::connections::Connections;
use super::launch::{HEAD_TIME_MAX, LaunchFailure, cannot_listen};
use super::node::{Node, supervise};
use super::recording::Task;
use super::tls::Certificate;

/// Operators and their collectors are few. Others who reach the listener must not take the process's descriptors.
const CONNECTIONS_MAX: usize = 64;

/// Says how many lines of the log were lost.
pub type LostLines = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What is to be watched, and where from.
pub(super) struct Watching {
    pub(super) config: config::Admin,
    pub(super) metrics: Arc<Metrics>,
    pub(super) lost_spans: Arc<AtomicU64>,
}

/// A node, as operators look at it.
pub struct Process {
    /// The node.
    pub node: Arc<Node>,
    /// Says how many lines of its log were lost.
    pub lost_lines: LostLines,
    /// How many spans of its traces were lost.
    pub lost_spans: Arc<AtomicU64>,
    /// The certificate that it serves.
    pub certificate: Option<Arc<Certificate>>,
    /// The connections of its server.
    pub connections: Arc<Connections>,
}

impl Watched for Process {
    fn clock(&self) -> &dyn Clock {
        &*self.node.env.clock
    }

    fn sites(&self) -> Vec<Arc<ServedSite>> {
        let mut sites = self.node.sites();
        sites.sort_by(|one, other| one.site.origin.cmp(&other.site.origin));
        sites
    }

    fn company(&self) -> Vec<String> {
        self.node.roles().broker.as_ref().map_or_else(Vec::new, Broker::company)
    }

    fn satellite(&self) -> &Satellite {
        &self.node.satellite
    }

    fn keeper(&self) -> Option<&Keeper> {
        self.node.satellite.keeper.as_deref()
    }

    fn revoked(&self) -> &RevokedIds {
        &self.node.env.revoked
    }

    fn reloads(&self) -> Reloads {
        let reloads = &self.node.reloads;
        Reloads {
            done: reloads.done.load(Ordering::Relaxed),
            refused: reloads.refused.load(Ordering::Relaxed),
            is_last_refused: reloads.is_last_refused.load(Ordering::Relaxed),
        }
    }

    fn certificate_not_after(&self) -> Option<UnixSeconds> {
        self.certificate.as_ref().and_then(|certificate| certificate.not_after())
    }

    fn is_leaving(&self) -> bool {
        self.node.ending.is_near()
    }

    fn log_lines_lost(&self) -> u64 {
        (self.lost_lines)()
    }

    fn connections(&self) -> ConnectionCounts {
        let ended = self.connections.ended().map(|(why, count)| (why.as_str(), count)).collect();
        ConnectionCounts { open: self.connections.open_now(), ended }
    }

    fn forwarded_unreadable(&self) -> u64 {
        self.node.env.proxies.unreadable()
    }

    fn trace_spans_lost(&self) -> u64 {
        self.lost_spans.load(Ordering::Relaxed)
    }
}

/// Who is told of what happens, as configured: `observer` in any case.
pub(super) fn watch(
    admin: Option<config::Admin>,
    traces: Option<config::Traces>,
    observer: Arc<dyn Observer>,
    clock: &Arc<dyn Clock>,
    outbound: &Outbound,
) -> (Arc<dyn Observer>, Option<Watching>, Option<Task>) {
    let (mut observer, mut exporting, mut lost_spans) = (observer, None, Arc::default());
    if let Some(config::Traces { url, percent }) = traces {
        let (traces, spans) = Traces::new(percent, Arc::clone(clock), observer);
        lost_spans = traces.lost();
        observer = Arc::new(traces);
        let outbound = outbound.clone();
        let task: Task = Box::new(move || Box::pin(export(spans, url, outbound, Arc::new(SystemRandom::new()))));
        exporting = Some(task);
    }
    let Some(config) = admin else { return (observer, None, exporting) };
    let metrics = Arc::new(Metrics::new(Arc::clone(clock), observer));
    (Arc::<Metrics>::clone(&metrics), Some(Watching { config, metrics, lost_spans }), exporting)
}

impl Watching {
    /// Listens, on one thread, and reads what its page needs in the background. The server ends when it is told to, not by a
    /// signal: it says that the process is leaving as long as the process is there.
    pub(super) fn listen(
        self,
        node: &Arc<Node>,
        store: Option<Arc<dyn VisitorStore>>,
        lost_lines: LostLines,
        certificate: Option<Arc<Certificate>>,
        connections: Arc<Connections>,
    ) -> Result<(Server, SocketAddr), LaunchFailure> {
        let Self { config: config::Admin { address, hosts, sample, sample_every }, metrics, lost_spans } = self;
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "[admin] can be reached from other machines, and asks nobody who they are; see that only operators get there");
        }
        let process = Arc::new(Process { node: Arc::clone(node), lost_lines, lost_spans, certificate, connections });
        let history = History::new(process.clock().now());
        let latest = Arc::new(ArcSwapOption::empty());
        let admin = Admin {
            metrics,
            process: Arc::<Process>::clone(&process),
            hosts: Hosts(hosts),
            history,
            sample: Arc::clone(&latest),
        };
        let admin = web::Data::new(admin);
        let for_worker = admin.clone();
        let server = HttpServer::new(move || App::new().app_data(for_worker.clone()).configure(endpoints))
            .workers(1)
            .max_connections(CONNECTIONS_MAX)
            .client_request_timeout(HEAD_TIME_MAX)
            .disable_signals()
            .bind(address)
            .map_err(|error| LaunchFailure::new(format!("[admin] {}", cannot_listen(address, &error))))?;
        let bound = server.addrs().first().copied().unwrap_or(address);
        supervise("history", move || look(admin.clone()));
        if let Some(store) = store.filter(|_| sample > 0) {
            supervise("sample", move || {
                let process: Arc<dyn Watched> = Arc::<Process>::clone(&process);
                keep_sampling(Arc::clone(&store), process, sample, sample_every, Arc::clone(&latest))
            });
        }
        Ok((server.run(), bound))
    }
}

/// Lets each minute end in time. It never ends itself.
async fn look(admin: web::Data<Admin>) {
    loop {
        admin.history.look(&admin.metrics, admin.process.clock().now());
        sleep(LOOK_INTERVAL).await;
    }
}
