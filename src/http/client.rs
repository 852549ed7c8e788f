//! The client: fetches health, metadata and keys, in the background. No request of a visitor ever waits for it (rule A1).

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_tls::connect::{Connector as TcpConnector, Resolve, Resolver};
use actix_web::http::header;

use crate::base::origin::{Origin, is_localhost_name};
use crate::base::secret::ApiKey;

/// The largest body that is read: the metadata of ten thousand sites fits.
pub const BODY_MAX: usize = 4 * 1024 * 1024;

/// How to reach others.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// Hosts that are not looked up, and where they are.
    pub resolve: HashMap<String, SocketAddr>,
    /// The authorities to trust.
    pub roots: Arc<rustls::RootCertStore>,
    /// TLS that trusts them.
    pub tls: Arc<rustls::ClientConfig>,
}

impl Outbound {
    /// Trusts Mozilla's roots and `extra`; `resolve` replaces DNS for the hosts in it.
    ///
    /// # Errors
    /// When one of the extra certificates is none.
    pub fn new(
        resolve: HashMap<String, SocketAddr>,
        extra: Vec<rustls::pki_types::CertificateDer<'static>>,
    ) -> Result<Self, rustls::Error> {
        let roots = Arc::new(trusted(extra)?);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&roots))
            .with_no_client_auth();
        Ok(Self { resolve, roots, tls: Arc::new(tls) })
    }

    /// A client for the thread that asks.
    #[must_use]
    pub fn client(&self, timeout: Duration) -> Client {
        Client { inner: self.bare_client(timeout), timeout }
    }

    /// The same without our manners: for who looks at every answer as it came. It follows no redirect.
    #[must_use]
    pub fn bare_client(&self, timeout: Duration) -> awc::Client {
        let resolver = Resolver::custom(Hosts(self.resolve.clone()));
        let connector = awc::Connector::new()
            .connector(TcpConnector::new(resolver).service())
            .rustls_0_23(Arc::clone(&self.tls))
            .timeout(timeout);
        awc::Client::builder().connector(connector).disable_redirects().timeout(timeout).finish()
    }
}

/// Whom to trust: Mozilla's roots, and `extra`.
///
/// # Errors
/// When one of the extra certificates is none.
pub fn trusted(extra: Vec<rustls::pki_types::CertificateDer<'static>>) -> Result<rustls::RootCertStore, rustls::Error> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in extra {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// Why a fetch brought nothing.
#[derive(Debug)]
pub enum FetchFailure {
    /// No answer in time.
    TimedOut,
    /// No connection, or a broken answer.
    Failed(String),
    /// Another status than 200.
    Status(u16),
}

impl fmt::Display for FetchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Failed(error) => f.write_str(error),
            Self::Status(status) => write!(f, "it answered {status}"),
        }
    }
}

/// Fetches from other nodes.
pub struct Client {
    inner: awc::Client,
    timeout: Duration,
}

/// A request that is more than a `GET` of a public document.
#[derive(Debug)]
pub struct Ask {
    /// Its method.
    pub method: awc::http::Method,
    /// Its path and query.
    pub path: String,
    /// The key that it shows.
    pub key: ApiKey,
    /// The version that it is about.
    pub if_match: Option<u64>,
    /// Its JSON.
    pub body: String,
}

impl Client {
    /// Sends `ask` to `origin`: the status, and the body.
    ///
    /// # Errors
    /// When there is no whole answer in time.
    pub async fn ask(&self, origin: &Origin, ask: Ask) -> Result<(u16, actix_web::web::Bytes), FetchFailure> {
        let Ask { method, path, key, if_match, body } = ask;
        let send = async {
            let mut request = self
                .inner
                .request(method, format!("{origin}{path}"))
                .insert_header((header::ACCEPT, "application/json"))
                .insert_header((header::CONTENT_TYPE, "application/json"))
                .insert_header((header::AUTHORIZATION, format!("Bearer {}", key.as_str())));
            if let Some(version) = if_match {
                request = request.insert_header((header::IF_MATCH, format!("\"{version}\"")));
            }
            let failed = |error: String| FetchFailure::Failed(error);
            let mut response = request.send_body(body).await.map_err(|error| failed(error.to_string()))?;
            let status = response.status().as_u16();
            let body = response.body().limit(BODY_MAX).await.map_err(|error| failed(error.to_string()))?;
            Ok((status, body))
        };
        actix_web::rt::time::timeout(self.timeout, send).await.map_err(|_| FetchFailure::TimedOut)?
    }

    /// Posts JSON to a service of the operator's own, which may be at any address.
    ///
    /// # Errors
    /// When there is no answer in time, or one that does not say success.
    pub async fn post_json(&self, url: &str, body: String) -> Result<(), FetchFailure> {
        let send = async {
            let request = self.inner.post(url).insert_header((header::CONTENT_TYPE, "application/json"));
            let response = request.send_body(body).await.map_err(|error| FetchFailure::Failed(error.to_string()))?;
            if response.status().is_success() { Ok(()) } else { Err(FetchFailure::Status(response.status().as_u16())) }
        };
        actix_web::rt::time::timeout(self.timeout, send).await.map_err(|_| FetchFailure::TimedOut)?
    }

    /// The body of `path` on `origin`. Redirects are not followed: nothing of ours is elsewhere.
    ///
    /// # Errors
    /// When there is no whole 200 answer in time.
    pub async fn get(&self, origin: &Origin, path: &str) -> Result<actix_web::web::Bytes, FetchFailure> {
        self.fetch(self.inner.get(format!("{origin}{path}"))).await
    }

    /// The same of the server at `address`, without TLS: as a proxy asks it that stands before `origin` and ends TLS.
    ///
    /// # Errors
    /// When there is no whole 200 answer in time.
    pub async fn get_behind_proxy(
        &self,
        address: SocketAddr,
        origin: &Origin,
        path: &str,
    ) -> Result<actix_web::web::Bytes, FetchFailure> {
        let request = self.inner.get(format!("http://{address}{path}"));
        self.fetch(request.insert_header((header::HOST, origin.authority()))).await
    }

    async fn fetch(&self, request: awc::ClientRequest) -> Result<actix_web::web::Bytes, FetchFailure> {
        let fetch = async {
            let request = request.insert_header((header::ACCEPT, "application/json"));
            let mut response = request.send().await.map_err(|error| FetchFailure::Failed(error.to_string()))?;
            if response.status() != awc::http::StatusCode::OK {
                return Err(FetchFailure::Status(response.status().as_u16()));
            }
            response.body().limit(BODY_MAX).await.map_err(|error| FetchFailure::Failed(error.to_string()))
        };
        // One limit over everything: a peer that dribbles is as good as silent.
        actix_web::rt::time::timeout(self.timeout, fetch).await.map_err(|_| FetchFailure::TimedOut)?
    }
}

/// Finds hosts: the configured ones, then names under `localhost` without asking anyone (RFC 6761 section 6.3), then by
/// the system.
struct Hosts(HashMap<String, SocketAddr>);

impl Resolve for Hosts {
    fn lookup<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<SocketAddr>, Box<dyn StdError>>> + 'a>> {
        Box::pin(async move {
            if let Some(&address) = self.0.get(host) {
                return Ok(vec![address]);
            }
            if is_localhost_name(host) {
                let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
                return Ok(addresses.map(|address| SocketAddr::new(address, port)).into());
            }
            let host = host.to_owned();
            let found =
                actix_web::rt::task::spawn_blocking(move || std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), port)));
            Ok(found.await??.collect())
        })
    }
}
