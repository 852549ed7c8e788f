//! The server: what actix-web's `HttpServer` is made of, put together so that every connection ends (rule A9).
//!
//! `HttpServer` has a timeout for the first head of a connection and one for keep-alive. An unfinished chunked body, HTTP/2 with
//! pings and a client that does not read are under neither of them, and nothing outside can end a connection of it. Here, each
//! connection is in the registry of [`Connections`], its stream and its requests tell it how they get on, and its task ends when
//! the registry says so.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::available_parallelism;
use std::time::Duration;

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol, Request, Response};
use actix_server::{Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, apply_fn_factory, fn_service, map_config,
};
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_tls::accept::{TlsError, max_concurrent_tls_connect};
use actix_web::Error;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use pin_project_lite::pin_project;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, InService};
use super::connections::{Connections, Open, keep_looking};
use super::node::supervise;
use super::stream::Stream;

/// How many connections wait in the system until a worker takes them.
const BACKLOG: i32 = 1024;

/// `ServerBuilder` panics above this.
const WORKERS_MAX: usize = 512;

/// How many bytes may wait unsent in the system. With the default, megabytes wait there, and a slow reader looks like a client that
/// has stopped reading.
#[cfg(target_os = "linux")]
const UNSENT_MAX: u32 = 32 * 1024;

/// The longest TLS handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(3);

/// How long the server reads on from a connection that it closes, so that the client sees the answer and not a reset.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

/// The settings of a server.
pub struct Serving {
    /// The registry of its connections.
    pub connections: Arc<Connections>,
    /// Says for which peers there is no limit of their own: all visitors of a proxy come from its address.
    pub is_proxy: Arc<dyn Fn(SocketAddr) -> bool + Send + Sync>,
    /// Refuses a request before its body is asked for with `100 Continue`.
    pub refuse_body: RefuseBody,
    /// TLS, where it is served.
    pub tls: Option<rustls::ServerConfig>,
    /// How long a client may take over the head of its first request.
    pub head_time_max: Duration,
    /// How long requests may take after the server is asked to stop.
    pub shutdown_seconds: u64,
    /// How many threads there are; by default, one for each processor.
    pub workers: Option<usize>,
}

/// Answers in place of `100 Continue`, or not.
pub type RefuseBody = Arc<dyn Fn(&Request) -> Option<Response<BoxBody>> + Send + Sync>;

impl Serving {
    /// Listens, inside an actix system. The server begins to serve when it is first polled; it follows no signals.
    ///
    /// # Errors
    /// With the address that cannot be bound.
    pub fn listen<F, I, S, B>(
        self,
        addresses: &[SocketAddr],
        application: F,
    ) -> Result<(Server, Vec<SocketAddr>), (SocketAddr, io::Error)>
    where
        F: Fn() -> I + Send + Clone + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Error: Into<Error> + 'static,
        S::InitError: fmt::Debug,
        S::Response: Into<Response<B>> + 'static,
        <S::Service as Service<Request>>::Future: 'static,
        S::Service: 'static,
        B: MessageBody + 'static,
    {
        // The registry limits handshakes as it does all connections. With a limit of their own, silent handshakes
        // could fill it and block all clients for some seconds.
        max_concurrent_tls_connect(usize::MAX >> 1);
        let workers = self.workers.or_else(|| available_parallelism().ok().map(NonZeroUsize::get)).unwrap_or(1).min(WORKERS_MAX);
        let accepted = self.connections.accepted_max().div_ceil(workers);
        let builder = ServerBuilder::default().disable_signals().shutdown_timeout(self.shutdown_seconds);
        let mut builder = builder.workers(workers).max_concurrent_connections(accepted);
        let ending = builder.graceful_shutdown_signal();
        let mut bound = Vec::with_capacity(addresses.len());
        for &address in addresses {
            let failed = |error| (address, error);
            let listener = bind(address).map_err(failed)?;
            bound.push(listener.local_addr().map_err(failed)?);
            let name = format!("throughline-{address}");
            let parts = Parts {
                connections: Arc::clone(&self.connections),
                is_proxy: Arc::clone(&self.is_proxy),
                refuse_body: Arc::clone(&self.refuse_body),
                head_time_max: self.head_time_max,
                ending: ending.clone(),
            };
            let application = application.clone();
            builder = match self.tls.clone() {
                None => builder.listen(name, listener, move || parts.clone().plain(application())),
                Some(tls) => builder.listen(name, listener, move || parts.clone().secured(application(), tls.clone())),
            }
            .map_err(failed)?;
        }
        let connections = self.connections;
        supervise("connections", move || keep_looking(Arc::clone(&connections)));
        Ok((builder.run(), bound))
    }
}

/// What each worker's service is made of.
#[derive(Clone)]
struct Parts {
    connections: Arc<Connections>,
    is_proxy: Arc<dyn Fn(SocketAddr) -> bool + Send + Sync>,
    refuse_body: RefuseBody,
    head_time_max: Duration,
    ending: actix_server::GracefulShutdownSignal,
}

impl Parts {
    fn plain<I, S, B>(
        self,
        application: I,
    ) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()>
    where
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Error: Into<Error> + 'static,
        S::InitError: fmt::Debug,
        S::Response: Into<Response<B>> + 'static,
        <S::Service as Service<Request>>::Future: 'static,
        S::Service: 'static,
        B: MessageBody + 'static,
    {
        let http = self.http(application, |stream: &Stream| &stream.connection);
        let service = fn_service(|(stream, peer): (Stream, _)| async move { Ok((stream, Protocol::Http1, peer)) }).and_then(http);
        self.registered(service, is_unreadable)
    }

    fn secured<I, S, B>(
        self,
        application: I,
        mut tls: rustls::ServerConfig,
    ) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = TlsError<io::Error, DispatchError>, InitError = ()>
    where
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Error: Into<Error> + 'static,
        S::InitError: fmt::Debug,
        S::Response: Into<Response<B>> + 'static,
        <S::Service as Service<Request>>::Future: 'static,
        S::Service: 'static,
        B: MessageBody + 'static,
    {
        let http = self.http(application, |stream: &TlsStream<Stream>| &stream.get_ref().0.connection);
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut acceptor = Acceptor::new(tls);
        acceptor.set_handshake_timeout(HANDSHAKE_TIME_MAX);
        let service = fn_service(|(stream, _): (Stream, Option<SocketAddr>)| async move { Ok(stream) })
            .and_then(acceptor)
            .map_err(TlsError::into_service_error)
            .and_then(|stream: TlsStream<Stream>| async move {
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let peer = stream.get_ref().0.peer();
                Ok((stream, if is_h2 { Protocol::Http2 } else { Protocol::Http1 }, peer))
            })
            .and_then(http.map_err(TlsError::Service));
        self.registered(service, |error| match error {
            TlsError::Service(error) => is_unreadable(error),
            TlsError::Tls(error) => error.kind() == io::ErrorKind::InvalidData,
            TlsError::Timeout => false,
        })
    }

    /// HTTP over streams that know their connection.
    fn http<T, I, S, B>(
        &self,
        application: I,
        connection: fn(&T) -> &Arc<Connection>,
    ) -> impl ServiceFactory<(T, Protocol, Option<SocketAddr>), Config = (), Response = (), Error = DispatchError, InitError = ()>
    + use<T, I, S, B>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Error: Into<Error> + 'static,
        S::InitError: fmt::Debug,
        S::Response: Into<Response<B>> + 'static,
        <S::Service as Service<Request>>::Future: 'static,
        S::Service: 'static,
        B: MessageBody + 'static,
    {
        let (ending, refuse_body) = (self.ending.clone(), Arc::clone(&self.refuse_body));
        let application = application.into_factory().map_err(|error| error.into().error_response());
        // Only the scheme and host of last resort are in it, for applications that build URLs from a request without a host.
        let application = map_config(application, |()| AppConfig::default());
        let application = apply_fn_factory(application, |request: Request, application| {
            let service = request.conn_data::<Arc<Connection>>().map(Connection::begin);
            let answering = application.call(request);
            async move { Ok(answering.await?.into().map_body(|_, body| Answering { body, service })) }
        });
        HttpService::build()
            .graceful_shutdown_signal(move || {
                let ending = ending.clone();
                async move { ending.notified().await }
            })
            .client_request_timeout(self.head_time_max)
            .client_disconnect_timeout(CLOSE_TIME_MAX)
            .expect(fn_service(move |request: Request| {
                let refusal = refuse_body(&request);
                async move { refusal.map_or(Ok(request), Err) }
            }))
            .on_connect_ext(move |stream: &T, data| drop(data.insert(Arc::clone(connection(stream)))))
            .finish(application)
    }

    /// Adds each connection to the registry, and ends it when the registry says so.
    fn registered<S, E>(
        self,
        service: S,
        is_unreadable: fn(&E) -> bool,
    ) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = E, InitError = ()>
    where
        S: ServiceFactory<(Stream, Option<SocketAddr>), Config = (), Response = (), Error = E, InitError = ()>,
    {
        apply_fn_factory(service, move |tcp: TcpStream, service| {
            let peer = tcp.peer_addr().ok();
            let client = peer.filter(|peer| !(self.is_proxy)(*peer)).map(|peer| peer.ip());
            let open = self.connections.open(client);
            let served = open.map(|open: Open| {
                prepare(&tcp);
                (service.call((Stream::new(tcp, Arc::clone(&open.connection)), peer)), open)
            });
            async move {
                let Some((answering, open)) = served else { return Ok(()) };
                let outcome = UntilEnded { answering, connection: Arc::clone(&open.connection), task: None }.await;
                if outcome.as_ref().is_err_and(is_unreadable) {
                    open.was_unreadable();
                }
                outcome
            }
        })
    }
}

/// A file's head and body are written one after the other: without `TCP_NODELAY`, the body waits up to 40 ms for the client's
/// system to acknowledge the head.
fn prepare(tcp: &TcpStream) {
    let _ = tcp.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(tcp).set_tcp_notsent_lowat(UNSENT_MAX);
}

const fn is_unreadable(error: &DispatchError) -> bool {
    matches!(error, DispatchError::Parse(_) | DispatchError::H2(_))
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

pin_project! {
    /// Serves a connection until it is over, or the registry ends it.
    struct UntilEnded<F> {
        #[pin]
        answering: F,
        connection: Arc<Connection>,
        // The waker that the connection has.
        task: Option<Waker>,
    }
}

impl<F: Future<Output = Result<(), E>>, E> Future for UntilEnded<F> {
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if !this.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            this.connection.is_served_by(Some(context.waker().clone()));
            *this.task = Some(context.waker().clone());
        }
        // Each request comes by here: one load, and no lock.
        if this.connection.has_ended() { Poll::Ready(Ok(())) } else { this.answering.poll(context) }
    }
}

pin_project! {
    /// The body of an answer, which keeps its request in service.
    struct Answering<B> {
        #[pin]
        body: B,
        service: Option<InService>,
    }
}

impl<B: MessageBody> MessageBody for Answering<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<actix_web::web::Bytes, Self::Error>>> {
        let this = self.project();
        let outcome = this.body.poll_next(context);
        if let Some(service) = this.service {
            service.waits_for_application(outcome.is_pending());
        }
        outcome
    }
}
