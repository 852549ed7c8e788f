//! The middleware: Throughline in front of an actix-web application.
//!
//! 1. Our own endpoints are answered here, and proxies that ask about a page of theirs.
//! 2. A request for a page of a served site is decided on: a hop, a token to use up, or the page.
//! 3. Everything else goes to the application untouched, but for `X-Throughline-*` headers from outside, which are removed
//!    (rule F2), and for our parameter, where the page is served in spite of it.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use actix_web::{App, HttpServer, Responder, web};
//! # use throughline::app::{middleware::Throughline, node::Node};
//! # use throughline::http::visitor::Visitor;
//! # async fn page(visitor: Visitor) -> impl Responder { format!("{:?}", visitor.id().is_some()) }
//! # async fn serve(node: Arc<Node>) -> std::io::Result<()> {
//! HttpServer::new(move || App::new().wrap(Throughline::new(Arc::clone(&node))).default_service(web::to(page)))
//!     .bind("127.0.0.1:8400")?
//!     .run()
//!     .await
//! # }
//! ```

use std::future::{Future, Ready, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Uri};
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, web};
use pin_project_lite::pin_project;

use crate::broker::api::Asked;
use crate::domain::contract;
use crate::http::ServedSite;
use crate::http::answer::Answer;
use crate::http::forwarded::Dialect;
use crate::http::visitor::Visitor;
use crate::satellite::page::{Decided, Page, Served};
use crate::store::mints::PendingMint;

use super::bodies::{TOO_LARGE_FOR_API, body, small_body};
use super::endpoint::{Endpoint, PostEndpoint};
use super::forward::Told;
use super::node::Node;

/// The middleware. What it wraps serves the pages.
#[derive(Clone)]
pub struct Throughline(Arc<Node>);

impl Throughline {
    /// Puts `node` in front of an application.
    #[must_use]
    pub const fn new(node: Arc<Node>) -> Self {
        Self(node)
    }
}

impl<S, B> Transform<S, ServiceRequest> for Throughline
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = Wrapped<S>;
    type InitError = ();
    type Future = Ready<Result<Wrapped<S>, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Wrapped { node: Arc::clone(&self.0), service: Rc::new(service) }))
    }
}

/// The middleware around a service.
pub struct Wrapped<S> {
    node: Arc<Node>,
    // Shared with the requests that go to it later.
    service: Rc<S>,
}

impl<S, B> Service<ServiceRequest> for Wrapped<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = Answering<S::Future, B>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.service.poll_ready(context)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        Answering { is_last: self.node.ending.is_near(), way: self.begin(request) }
    }
}

impl<S> Wrapped<S> {
    fn begin<B>(&self, mut request: ServiceRequest) -> Way<S::Future, B>
    where
        S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
        B: 'static,
    {
        strip(request.headers_mut());
        let peer = request.peer_addr().map(|address| address.ip());
        if let Some(dialect) = self.node.asked_by_proxy(request.head(), peer) {
            return self.ask(dialect, request, peer);
        }
        let roles = self.node.roles();
        let Some(served) = roles.site(request.head(), &self.node.env.proxies) else {
            return match self.node.unknown_host(request.head()) {
                Some(answer) => Way::ready(request, answer),
                None => Way::page(self.service.call(request)),
            };
        };
        let method = request.method();
        match self.node.endpoint(&served.site, method, request.path()) {
            Some(Endpoint::Get(endpoint)) => match self.node.get(endpoint, served, request.request()) {
                Answer::Now(answer) => Way::ready(request, answer),
                Answer::Later(answer) => {
                    let answer = async move { Ok(request.into_response(answer.await).map_into_right_body()) };
                    Way::Later { answer: Box::pin(answer) }
                }
            },
            Some(Endpoint::Post(endpoint)) => {
                let (request, payload) = request.into_parts();
                let answer = post(Arc::clone(&self.node), Arc::clone(served), endpoint, request, payload);
                Way::Later { answer: Box::pin(answer) }
            }
            Some(Endpoint::Api) => {
                let (request, payload) = request.into_parts();
                Way::Later { answer: Box::pin(api(Arc::clone(&self.node), request, payload)) }
            }
            Some(Endpoint::Preflight) => {
                let answer = Node::preflight(served, request.head());
                Way::ready(request, answer)
            }
            Some(Endpoint::WrongMethod(allowed)) => Way::ready(request, Node::refuse(Some(allowed))),
            Some(Endpoint::Unknown) => Way::ready(request, Node::refuse(None)),
            // The site's pages are elsewhere.
            None if served.site.satellite.is_some() => Way::page(self.service.call(request)),
            None => match self.node.page(served, request.head(), peer) {
                Decided::Now(page) => go_on(&self.node, &*self.service, request, page),
                Decided::AfterClaim(waiting) => {
                    let (node, served, service) = (Arc::clone(&self.node), Arc::clone(served), Rc::clone(&self.service));
                    let answer = async move {
                        let page = node.after_claim(&served, *waiting).await;
                        go_on(&node, &*service, request, page).await
                    };
                    Way::Later { answer: Box::pin(answer) }
                }
            },
        }
    }
}

impl<S> Wrapped<S> {
    /// Answers a proxy that asks about a page. The application behind this middleware has no part in it.
    fn ask<F, B>(&self, dialect: Dialect, mut request: ServiceRequest, peer: Option<IpAddr>) -> Way<F, B>
    where
        B: 'static,
    {
        match self.node.forwarded(dialect, request.head_mut(), peer) {
            Told::Now(answer) => Way::ready(request, answer),
            Told::AfterClaim(served, waiting) => {
                let node = Arc::clone(&self.node);
                let answer = async move {
                    let answer = node.forwarded_after_claim(dialect, &served, *waiting).await;
                    Ok(request.into_response(answer).map_into_right_body())
                };
                Way::Later { answer: Box::pin(answer) }
            }
        }
    }
}

/// Answers, or lets the application answer.
fn go_on<S, B>(node: &Arc<Node>, service: &S, mut request: ServiceRequest, page: Page) -> Way<S::Future, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    match page {
        Page::Answer(answer) => Way::ready(request, answer),
        Page::Serve(Served { visitor, cookie, pending, clean }) => {
            if let Some(clean) = clean {
                rewrite(&mut request, &clean);
            }
            request.extensions_mut().insert::<Visitor>(visitor);
            let cookie = cookie.map(|value| LateCookie { value, pending: pending.map(|pending| (Arc::clone(node), pending)) });
            Way::Page { page: service.call(request), cookie }
        }
    }
}

/// Reads the body, which is small by nature, and answers.
async fn post<B>(
    node: Arc<Node>,
    served: Arc<ServedSite>,
    endpoint: PostEndpoint,
    request: HttpRequest,
    mut payload: Payload,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let body = small_body(&request, &mut payload, endpoint).await?;
    let answer = match body.fault {
        Some(refusal) if !endpoint.takes_any_body() => refusal.json(),
        _ => node.post(endpoint, &served, request.head(), &body).await,
    };
    Ok(ServiceResponse::new(request, answer).map_into_right_body())
}

/// The same for the server-to-server API.
async fn api<B>(node: Arc<Node>, request: HttpRequest, mut payload: Payload) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let asked = Asked::new(request.method(), request.path(), request.query_string(), request.headers());
    // Nothing is read for those who may not ask.
    let length_max = if node.may_ask(&asked) { contract::API_BODY_LENGTH_MAX } else { 0 };
    let answer = match body(&request, &mut payload, length_max, &TOO_LARGE_FOR_API).await? {
        Ok(body) => node.api(asked, body).await,
        Err(_) if length_max == 0 => node.api(asked, web::Bytes::new()).await,
        Err(refusal) => refusal.json(),
    };
    Ok(ServiceResponse::new(request, answer).map_into_right_body())
}

/// Removes what only we may tell the application, however it is spelled (rule F2).
fn strip(headers: &mut HeaderMap) {
    let ours = |name: &HeaderName| {
        let name = name.as_str().as_bytes();
        // Of all the headers of every request, few begin like ours.
        name.starts_with(b"x")
            && name.get(..contract::header::PREFIX.len()).is_some_and(|start| {
                start.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }).eq(contract::header::PREFIX.bytes())
            })
    };
    if headers.keys().any(ours) {
        let names: Vec<_> = headers.keys().filter(|name| ours(name)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}

/// Lets the application see the URL without our parameter.
fn rewrite(request: &mut ServiceRequest, path_and_query: &str) {
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = path_and_query.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
}

/// A cookie that goes with the application's answer.
struct LateCookie {
    value: HeaderValue,
    /// It is a new master cookie, which a hop of the same browser may have overtaken (rule B6).
    pending: Option<(Arc<Node>, PendingMint)>,
}

impl LateCookie {
    fn add_to(self, headers: &mut HeaderMap) {
        let is_overtaken =
            |(node, pending): (Arc<Node>, PendingMint)| !node.env.mints.may_finish(pending, node.env.clock.uptime());
        if !self.pending.is_some_and(is_overtaken) {
            add_cookie(headers, self.value);
        }
    }
}

/// Adds our cookie to the application's answer. A shared cache must not keep it, or others would be given that name, or lose
/// what they said; the application's own word on caching is replaced only where it would allow that.
fn add_cookie(headers: &mut HeaderMap, cookie: HeaderValue) {
    headers.append(header::SET_COOKIE, cookie);
    let is_private = |value: &HeaderValue| {
        let value = value.as_bytes().to_ascii_lowercase();
        [b"no-store".as_slice(), b"private"].iter().any(|word| value.windows(word.len()).any(|part| part == *word))
    };
    if !headers.get_all(header::CACHE_CONTROL).any(is_private) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
}

pin_project! {
    /// The answer on its way, and whether it is the last on its connection.
    pub struct Answering<F, B> {
        #[pin]
        way: Way<F, B>,
        is_last: bool,
    }
}

impl<F, B> Future for Answering<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = std::task::ready!(this.way.poll(context))?;
        if *this.is_last {
            answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        Poll::Ready(Ok(answer))
    }
}

pin_project! {
    // Pages are not boxed: they are the hot path.
    #[project = Step]
    enum Way<F, B> {
        Ready { answer: Option<ServiceResponse<EitherBody<B>>> },
        Page { #[pin] page: F, cookie: Option<LateCookie> },
        // What has to be waited for first: a body, or what became of a token on another machine.
        Later { answer: Pin<Box<dyn Future<Output = Result<ServiceResponse<EitherBody<B>>, Error>>>> },
    }
}

impl<F, B> Way<F, B> {
    const fn page(page: F) -> Self {
        Self::Page { page, cookie: None }
    }

    fn ready(request: ServiceRequest, answer: HttpResponse) -> Self {
        Self::Ready { answer: Some(request.into_response(answer).map_into_right_body()) }
    }
}

impl<F, B> Future for Way<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Step::Ready { answer } => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            Step::Later { answer } => answer.as_mut().poll(context),
            Step::Page { page, cookie } => {
                let mut answer = std::task::ready!(page.poll(context))?;
                if let Some(cookie) = cookie.take() {
                    cookie.add_to(answer.headers_mut());
                }
                Poll::Ready(Ok(answer.map_into_left_body()))
            }
        }
    }
}
