//! A node: what one process is, in whichever roles.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::RequestHead;
use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use arc_swap::{ArcSwap, Guard};

use crate::base::origin::Origin;
use crate::broker::{Broker, api};
use crate::config::UnknownHost;
use crate::domain::arrival::TOO_MANY;
use crate::domain::consent::Choice;
use crate::domain::documents::{Health, StoreHealth};
use crate::domain::siblings::Siblings;
use crate::domain::site::{Role, Site};
use crate::http::answer::{Answer, Refusal, json, public_json};
use crate::http::body::Body;
use crate::http::client::Outbound;
use crate::http::cors::{Readers, preflight};
use crate::http::event::{Timing, Work};
use crate::http::host::OVER_PLAIN_HTTP;
use crate::http::{Env, ServedSite};
use crate::satellite::access::watch_access;
use crate::satellite::deliver::deliver;
use crate::satellite::landing::Waiting;
use crate::satellite::page::{Decided, Page, page};
use crate::satellite::revocations::{EndedList, watch_revocations};
use crate::satellite::watch::{Pace, watch_health, watch_siblings};
use crate::satellite::{Satellite, choice, exchange, go, me, script_hop, sdk};
use crate::store::record_writer::WriterState;
use crate::token::keyset::JWKS_MAX_AGE;

use super::ending::Ending;
use super::endpoint::{Endpoint, GetEndpoint, PostEndpoint};
use super::key_files::watch_key_files;
use super::reload::Reloads;
use super::roles::Roles;

/// How long a process that ends waits for its last writes and reports.
const WRITING_TIME_MAX: Duration = Duration::from_secs(5);

/// What one process is: the sites that it serves, and the broker, if the primary is among them. A reload replaces those, and
/// nothing else.
pub struct Node {
    /// Time, randomness, cookies, observers, proxies.
    pub env: Env,
    /// The satellite's memory.
    pub satellite: Arc<Satellite>,
    /// Whether its server is about to end.
    pub ending: Ending,
    /// How often it was told anew what it is there for.
    pub reloads: Reloads,
    /// What becomes of a request for a host that is none of the sites.
    pub unknown_host: UnknownHost,
    is_broker: bool,
    roles: ArcSwap<Roles>,
}

const NOT_FOUND: Refusal =
    Refusal { status: 404, code: "not_found", advice: "There is nothing of Throughline's at this address." };

const WRONG_METHOD: Refusal =
    Refusal { status: 405, code: "wrong_method", advice: "This address is asked with another method; see Allow." };

const TOO_MANY_REQUESTS: Refusal = Refusal {
    status: 429,
    code: TOO_MANY,
    advice: "This client asks too often; the limits are client_per_second and client_burst.",
};

fn too_many() -> HttpResponse {
    let mut answer = TOO_MANY_REQUESTS.json();
    answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    answer
}

impl Node {
    /// Joins the parts.
    #[must_use]
    pub fn new(env: Env, satellite: Satellite, roles: Roles) -> Self {
        let is_broker = roles.broker.is_some();
        let (unknown_host, roles) = (UnknownHost::default(), ArcSwap::from_pointee(roles));
        let (satellite, ending, reloads) = (Arc::new(satellite), Ending::default(), Reloads::default());
        Self { env, satellite, ending, reloads, unknown_host, is_broker, roles }
    }

    /// What it is there for just now.
    #[must_use]
    pub fn roles(&self) -> Guard<Arc<Roles>> {
        self.roles.load()
    }

    /// From the next request on, it is there for this.
    pub fn assume(&self, roles: Roles) {
        self.roles.store(Arc::new(roles));
    }

    /// The site that a request is for.
    #[must_use]
    pub fn site(&self, head: &RequestHead) -> Option<Arc<ServedSite>> {
        self.roles().site(head, &self.env.proxies).cloned()
    }

    /// The sites that this process serves.
    #[must_use]
    pub fn sites(&self) -> Vec<Arc<ServedSite>> {
        self.roles().sites().cloned().collect()
    }

    /// The sites that this process's configuration names: those that it serves and, on a broker node, all that are registered.
    #[must_use]
    pub fn configured_origins(&self) -> Vec<Origin> {
        let roles = self.roles();
        let served = roles.sites().map(|served| &served.site.origin);
        served.chain(roles.broker.iter().flat_map(Broker::origins)).cloned().collect()
    }

    /// Makes links lead to the configured sites, whether or not the broker can be asked (rule L7).
    pub fn configure_siblings(&self) {
        let configured = self.configured_origins();
        self.satellite.siblings.rcu(|siblings| Siblings::clone(siblings).configured(configured.iter().cloned()));
    }

    /// Which endpoint of ours a request to `site` is for; `None` for a page.
    #[must_use]
    pub fn endpoint(&self, site: &Site, method: &Method, path: &str) -> Option<Endpoint> {
        Endpoint::of(site, self.is_broker, method, path)
    }

    /// Answers an endpoint that needs no body.
    #[must_use]
    pub fn get(&self, endpoint: GetEndpoint, served: &ServedSite, request: &HttpRequest) -> Answer {
        use GetEndpoint::{BeginExchange, Me, Whoami};
        // Hops and links lead the visitor on without an ID, and the others do not concern a visitor.
        if matches!(endpoint, Me | Whoami | BeginExchange) && self.env.came_by_http(&served.site, request.head()) {
            return Answer::Now(OVER_PLAIN_HTTP.json());
        }
        if matches!(endpoint, Whoami | BeginExchange) && !self.env.may(request.head()) {
            return Answer::Now(too_many());
        }
        let roles = self.roles();
        let answer = match (endpoint, &roles.broker) {
            (GetEndpoint::Hop, Some(broker)) => return crate::broker::hop::hop(broker, &self.env, request),
            (GetEndpoint::Me, _) => {
                let readers = Readers::of(&served.site, request.headers());
                return me::me(&self.satellite, &self.env, served, request).map(|answer| readers.mark(answer));
            }
            (GetEndpoint::Whoami, Some(broker)) => crate::broker::whoami::whoami(broker, &self.env, request),
            (GetEndpoint::Metadata, Some(broker)) => crate::broker::metadata::metadata(broker),
            (GetEndpoint::Hop | GetEndpoint::Whoami | GetEndpoint::Metadata, None) => NOT_FOUND.page(),
            (GetEndpoint::Jwks, _) => {
                let keys = served.keys.load();
                public_json("application/jwk-set+json", JWKS_MAX_AGE, keys.jwks(self.env.clock.now()))
            }
            (GetEndpoint::Health, _) => self.health(served),
            (GetEndpoint::Go, _) => go::go(&self.satellite, &self.env, served, request),
            (GetEndpoint::Sdk, _) => sdk::SDK.answer(&served.site, request),
            (GetEndpoint::HopScript, _) => sdk::HOP.answer(&served.site, request),
            (GetEndpoint::Start, _) => script_hop::start(&self.satellite, &self.env, served, request),
            (GetEndpoint::BeginExchange, _) => {
                let answer = exchange::begin(&self.satellite, &self.env, served, request);
                Readers::of(&served.site, request.headers()).mark(answer)
            }
        };
        Answer::Now(answer)
    }

    /// Answers an endpoint whose body has been read.
    pub async fn post(&self, endpoint: PostEndpoint, served: &ServedSite, head: &RequestHead, body: &Body) -> HttpResponse {
        // A refusal is not rate limited: it ends an ID once and costs nothing after that (rule C1).
        let is_no = endpoint == PostEndpoint::Forget
            || (endpoint == PostEndpoint::Consent && choice::choice(head, body) == Ok(Choice::Denied));
        // Over plain http no cookie of ours arrives, so there is nothing that a no would end wrongly.
        if !is_no && self.env.came_by_http(&served.site, head) {
            return OVER_PLAIN_HTTP.json();
        }
        if !is_no && !self.env.may(head) {
            return Readers::of(&served.site, &head.headers).mark(too_many());
        }
        let answer = match endpoint {
            PostEndpoint::Exchange => exchange::exchange(&self.satellite, &self.env, served, head, &body.bytes).await,
            PostEndpoint::Consent => choice::consent(&self.satellite, &self.env, served, head, body).await,
            PostEndpoint::Forget => choice::forget(&self.satellite, &self.env, served, head, body).await,
            PostEndpoint::Remember => me::remember(&self.satellite, &self.env, served, &head.headers, &body.bytes).await,
        };
        Readers::of(&served.site, &head.headers).mark(answer)
    }

    /// Answers a browser that asks whether a page may ask.
    #[must_use]
    pub fn preflight(served: &ServedSite, head: &RequestHead) -> HttpResponse {
        preflight(&served.site, &head.headers)
    }

    /// Whether a request to the API comes from a site that the broker knows.
    #[must_use]
    pub fn may_ask(&self, asked: &api::Asked) -> bool {
        self.roles().broker.as_ref().is_some_and(|broker| broker.may_ask(asked))
    }

    /// Answers the server-to-server API.
    pub async fn api(&self, asked: api::Asked, body: web::Bytes) -> HttpResponse {
        // Held while it is answered, whatever is reloaded meanwhile.
        match &self.roles.load_full().broker {
            Some(broker) => {
                let begun = self.env.clock.uptime();
                let asking = broker.who_asks(&asked);
                let answer = api::api(broker, asking, asked, body).await;
                let took = self.env.clock.uptime().saturating_sub(begun);
                let site = &broker.primary.site.origin;
                let code = match answer.status() {
                    status if status.is_server_error() => "failed",
                    status if status.is_client_error() => "refused",
                    _ => "answered",
                };
                self.env.observer.timed(&Timing { work: Work::Api, site, asking, code, flow: None, took });
                answer
            }
            None => NOT_FOUND.json(),
        }
    }

    /// Decides on a request for a page.
    #[must_use]
    pub fn page(&self, served: &ServedSite, head: &RequestHead, peer: Option<IpAddr>) -> Decided {
        page(&self.satellite, &self.env, served, head, peer)
    }

    /// Decides on a request for a page whose token is being claimed.
    pub async fn after_claim(&self, served: &ServedSite, waiting: Waiting) -> Page {
        waiting.page(&self.satellite, &self.env, served).await
    }

    /// Answers for an address below our prefix that is nothing, or not with that method.
    #[must_use]
    pub fn refuse(allowed: Option<&'static str>) -> HttpResponse {
        match allowed {
            None => NOT_FOUND.json(),
            Some(methods) => {
                let mut answer = WRONG_METHOD.json();
                answer.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(methods));
                answer
            }
        }
    }

    fn health(&self, served: &ServedSite) -> HttpResponse {
        let can_sign = served.keys.load().signing_key(self.env.clock.now()).is_some();
        let is_broker = served.site.role == Role::Primary;
        let broker = (!is_broker).then(|| self.satellite.breaker.circuit().as_str().to_owned());
        let (status, word) = match (self.ending.is_near(), can_sign) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, Health::LEAVING),
            (false, false) => (StatusCode::SERVICE_UNAVAILABLE, Health::UNABLE),
            (false, true) => (StatusCode::OK, Health::OK),
        };
        let store = self.satellite.keeper.as_ref().filter(|_| is_broker).map(|keeper| {
            let WriterState { status, waiting, lost, written: _, set_aside } = keeper.writer().state();
            StoreHealth { status: status.as_str().to_owned(), waiting, lost, set_aside }
        });
        let api_key = self.satellite.access.is_refused(&served.site.origin).then(|| Health::REFUSED.to_owned());
        let sites = self.roles().broker.as_ref().filter(|_| is_broker).map(|broker| broker.registry_digest().to_owned());
        let replay = self.satellite.replay.is_shared_one_ready().filter(|_| !is_broker);
        let replay = replay.map(|is_ready| if is_ready { Health::OK } else { Health::DOWN }.to_owned());
        let siblings = self.satellite.siblings.load();
        let registered = siblings.is_registered(&served.site.origin).filter(|_| !is_broker);
        let siblings_age_seconds = siblings.restored_from().map(|at| self.env.clock.now().since(at).as_secs());
        let health = Health {
            status: word.into(),
            broker,
            api_key,
            revocations_read: store.is_some().then(|| self.env.revoked.read_until()),
            store,
            replay,
            sites,
            registered,
            siblings_age_seconds,
            revocations: Some(self.env.revoked.health(self.env.clock.now())),
        };
        json(status, &health, None)
    }

    /// Starts the background tasks on the calling thread's runtime: the watch over the broker, and over the key files.
    /// They end with the runtime.
    pub fn spawn_watches(self: &Arc<Self>, outbound: &Outbound, ended_list: &Arc<EndedList>, pace: Pace) {
        // On a broker node too: the primary's own `go` links need to know the other sites, and the watch over those waits
        // until the broker is well.
        let (satellite, to, ending) = (Arc::clone(&self.satellite), outbound.clone(), self.ending.clone());
        supervise("health", move || {
            let (satellite, to, ending) = (Arc::clone(&satellite), to.clone(), ending.clone());
            async move { ending.stops(watch_health(satellite, to, pace)).await }
        });
        let clock = Arc::clone(&self.env.clock);
        let (node, satellite, to) = (Arc::clone(self), Arc::clone(&self.satellite), outbound.clone());
        let ending = self.ending.clone();
        supervise("siblings", move || {
            let node = Arc::clone(&node);
            let configured = move || node.configured_origins();
            let watch = watch_siblings(Arc::clone(&satellite), configured, to.clone(), Arc::clone(&clock), pace);
            let ending = ending.clone();
            async move { ending.stops(watch).await }
        });
        let node = Arc::clone(self);
        supervise("key files", move || watch_key_files(Arc::clone(&node)));
        let (list, satellite) = (Arc::clone(ended_list), Arc::clone(&self.satellite));
        supervise("revocations", move || watch_revocations(Arc::clone(&list), Arc::clone(&satellite), pace));
        let list = Arc::clone(ended_list);
        supervise("ended IDs on disk", move || {
            let list = Arc::clone(&list);
            async move { list.keep_news().await }
        });
        let (node, satellite) = (Arc::clone(self), Arc::clone(&self.satellite));
        supervise("API keys", move || {
            let node = Arc::clone(&node);
            watch_access(Arc::clone(&satellite), move || node.sites(), pace)
        });
        let satellite = Arc::clone(&self.satellite);
        supervise("reports", move || deliver(Arc::clone(&satellite)));
    }

    /// Waits, but not for ever, until nothing is left to be written or reported. What is left then is lost, and told of.
    pub async fn finish_writing(&self) {
        let begun = self.env.clock.uptime();
        let left = || {
            let writes = self.satellite.keeper.as_ref().map_or(0, |keeper| keeper.writer().state().waiting);
            (writes, self.satellite.outbox.len())
        };
        while left() != (0, 0) && self.env.clock.uptime().saturating_sub(begun) < WRITING_TIME_MAX {
            actix_web::rt::time::sleep(Duration::from_millis(20)).await;
        }
        let (writes, reports) = left();
        if writes > 0 || reports > 0 {
            tracing::error!(writes, reports, "the process ends; what the store or the broker did not take in time is lost");
        }
    }
}

/// Runs a task that never ends; should a fault of ours end it all the same, it is said, and begun anew.
pub(super) fn supervise<F: Future<Output = ()> + 'static>(name: &'static str, task: impl Fn() -> F + 'static) {
    actix_web::rt::spawn(async move {
        while actix_web::rt::spawn(task()).await.is_err() {
            tracing::error!(task = name, "a background task failed, by a fault of this program; it begins anew");
            actix_web::rt::time::sleep(Duration::from_secs(1)).await;
        }
    });
}
