//! The way to a host: its name, its address, its certificate.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{CertificateError, ClientConnection, RootCertStore};

use crate::app::tls::read_certificates;
use crate::base::clock::Clock;
use crate::base::origin::{Origin, is_localhost_name};
use crate::cli::Failure;
use crate::cli::checkup::Checkup;
use crate::http::client::{Outbound, trusted};

use super::names::{DNS, TLS};
use super::party::Party;

/// A certificate that ends so soon should have been renewed.
const DAYS_MIN: u64 = 14;

/// Longer than any certificate that browsers take.
const DAYS_MAX: u64 = 825;

/// An address that is used in place of DNS, as curl's `--resolve` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    host: String,
    port: u16,
    address: IpAddr,
}

impl Resolved {
    /// Reads `host:port:address`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not host:port:address; write one such as \"shop.example:443:192.0.2.1\"");
        let mut parts = text.splitn(3, ':');
        let (Some(host), Some(port), Some(address)) = (parts.next(), parts.next(), parts.next()) else { return Err(wrong()) };
        let address = address.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| wrong())?;
        Ok(Self { host: host.to_ascii_lowercase(), port: port.parse().map_err(|_| wrong())?, address })
    }
}

/// How hosts are reached.
pub(super) struct Means {
    resolved: Vec<Resolved>,
    outbound: Outbound,
    roots: Arc<RootCertStore>,
    timeout: Duration,
}

/// Why there is no connection over TLS.
enum Unsafe {
    Certificate(CertificateError),
    Other(String),
}

impl Means {
    /// `configured` comes from a configuration file, `resolved` and `ca_file` from the command line.
    pub(super) fn new(
        configured: Option<&crate::config::Outbound>,
        resolved: Vec<Resolved>,
        ca_file: Option<&Path>,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let mut extra = Vec::new();
        for file in ca_file.into_iter().chain(configured.and_then(|outbound| outbound.ca_file.as_deref())) {
            extra.extend(read_certificates(file).map_err(Failure::mistake)?);
        }
        let hosts = configured.map(|outbound| outbound.resolve.clone()).unwrap_or_default();
        let roots = Arc::new(trusted(extra.clone()).map_err(Failure::mistake)?);
        Ok(Self { resolved, outbound: Outbound::new(hosts, extra).map_err(Failure::mistake)?, roots, timeout })
    }

    /// Looks for the way to `origin`.
    pub(super) fn reach(&self, origin: &Origin, clock: &dyn Clock, checkup: &mut Checkup) -> Option<Party> {
        let addresses = match self.addresses(origin) {
            Ok(addresses) => addresses,
            Err(error) => {
                let advice = "Add an A or AAAA record for this name, or give --resolve where it is private.";
                checkup.fail(DNS, origin, format!("the name cannot be resolved ({error})"), advice);
                return None;
            }
        };
        let list = addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ");
        let connect = |address: &SocketAddr| TcpStream::connect_timeout(address, self.timeout).map(|stream| (*address, stream));
        let mut last = None;
        let connected = addresses.iter().find_map(|address| connect(address).map_err(|error| last = Some(error)).ok());
        let Some((address, stream)) = connected else {
            let seen = format!("{list}, where nobody answers on port {} ({})", origin.port(), why(last.as_ref()));
            checkup.fail(DNS, origin, seen, "Start the server there, open its port, or correct the record.");
            return None;
        };
        checkup.ok(DNS, origin, list);
        if origin.is_https() {
            self.look_at_certificate(origin, stream, clock, checkup)?;
        } else {
            checkup.skip(TLS, origin, "plain http, which only this machine may have");
        }
        let resolve = [(origin.host().to_owned(), address)].into();
        let client = Outbound { resolve, ..self.outbound.clone() }.bare_client(self.timeout);
        Some(Party { origin: origin.clone(), client, timeout: self.timeout })
    }

    fn addresses(&self, origin: &Origin) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = (origin.host(), origin.port());
        if let Some(resolved) = self.resolved.iter().find(|resolved| resolved.host == host && resolved.port == port) {
            return Ok(vec![SocketAddr::new(resolved.address, port)]);
        }
        if let Some(address) = self.outbound.resolve.get(host) {
            return Ok(vec![*address]);
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        if is_localhost_name(host) {
            let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            return Ok(both.map(|address| SocketAddr::new(address, port)).into());
        }
        let found: Vec<_> = (host, port).to_socket_addrs()?.collect();
        if found.is_empty() { Err(io::Error::other("it has no address")) } else { Ok(found) }
    }

    fn look_at_certificate(&self, origin: &Origin, stream: TcpStream, clock: &dyn Clock, checkup: &mut Checkup) -> Option<()> {
        match self.days_left(origin, stream, clock) {
            Ok(days) if days < DAYS_MIN => {
                let advice = "Renew the certificate, and see why it was not renewed by itself.";
                checkup.warn(TLS, origin, format!("the certificate ends in {days} days"), advice);
            }
            Ok(days) => {
                checkup.ok(TLS, origin, format!("the certificate is good for {days} days"));
            }
            Err(problem) => {
                let (seen, advice) = told(problem);
                checkup.fail(TLS, origin, seen, advice);
                return None;
            }
        }
        Some(())
    }

    /// Shakes hands, and asks for how many days from now the chain that came would still be believed.
    fn days_left(&self, origin: &Origin, mut stream: TcpStream, clock: &dyn Clock) -> Result<u64, Unsafe> {
        let other = |what: &dyn std::fmt::Display| Unsafe::Other(what.to_string());
        let bare = origin.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare).map_err(|error| other(&error))?;
        let times = [stream.set_read_timeout(Some(self.timeout)), stream.set_write_timeout(Some(self.timeout))];
        times.into_iter().collect::<Result<(), _>>().map_err(|error| other(&error))?;
        let mut connection =
            ClientConnection::new(Arc::clone(&self.outbound.tls), name.clone()).map_err(|error| other(&error))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).map_err(|error| {
                match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                    Some(rustls::Error::InvalidCertificate(problem)) => Unsafe::Certificate(problem.clone()),
                    _ => other(&error),
                }
            })?;
        }
        let Some([leaf, chain @ ..]) = connection.peer_certificates() else { return Err(other(&"it shows no certificate")) };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), provider).build();
        let verifier = verifier.map_err(|error| other(&error))?;
        let is_good = |days: u64| {
            let then = UnixTime::since_unix_epoch(Duration::from_secs(clock.now().0 + days * 86_400));
            verifier.verify_server_cert(leaf, chain, &name, &[], then).is_ok()
        };
        Ok((1..=DAYS_MAX).find(|days| !is_good(*days)).map_or(DAYS_MAX, |days| days - 1))
    }
}

fn why(error: Option<&io::Error>) -> String {
    match error.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".into(),
        Some(io::ErrorKind::TimedOut) => "no answer in time".into(),
        _ => error.map_or_else(|| "no address".into(), ToString::to_string),
    }
}

fn told(problem: Unsafe) -> (String, &'static str) {
    use CertificateError as E;
    let problem = match problem {
        Unsafe::Certificate(problem) => problem,
        Unsafe::Other(what) => {
            let advice = "See that this port speaks TLS 1.2 or 1.3, and look into the server's log.";
            return (format!("no handshake ({what})"), advice);
        }
    };
    let (seen, advice) = match problem {
        E::Expired | E::ExpiredContext { .. } => {
            ("the certificate has expired", "Renew the certificate, and see why it was not renewed by itself.")
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            ("the certificate is not valid yet", "Set the clocks right: this machine's, or that of who issued the certificate.")
        }
        E::UnknownIssuer => (
            "the certificate is from an unknown authority",
            "Send the whole chain, with the intermediates, from an authority that browsers know; for a private one give --ca-file.",
        ),
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            ("the certificate is for other names", "Get one that names this host, and see that the server picks it by SNI.")
        }
        other => {
            let advice = "Get a new one, from an authority that browsers know.";
            return (format!("the certificate is not good ({other})"), advice);
        }
    };
    (seen.to_owned(), advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolve_is_spelled_as_curl_has_it() {
        let parsed = Resolved::parse("Shop.example:443:192.0.2.1").unwrap();
        assert_eq!((parsed.host.as_str(), parsed.port, parsed.address.to_string().as_str()), ("shop.example", 443, "192.0.2.1"));
        assert_eq!(Resolved::parse("shop.example:8443:[::1]").unwrap().address.to_string(), "::1");
        for wrong in ["", "shop.example", "shop.example:443", "shop.example:x:1.2.3.4", "shop.example:443:there"] {
            assert!(Resolved::parse(wrong).unwrap_err().contains("host:port:address"), "{wrong}");
        }
    }
}
