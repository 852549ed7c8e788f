//! A site over TLS, and a client that shows what the handshake was like.

use std::io::{self, Read as _, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::support::company::Company;
use crate::support::files::{Part, Setup};
use crate::support::process::{Process, wait_until};
use crate::support::wire;
use throughline::token::keyfile::write_secret_file;

const HOST: &str = "shop.localhost";

/// One process that serves TLS by itself.
pub(crate) struct TlsSite {
    company: Company,
    pub(crate) process: Process,
    certificate: CertificateDer<'static>,
}

impl TlsSite {
    pub(crate) fn start() -> Self {
        let lines = "tls_certificate = \"chain.pem\"\ntls_key = \"key.pem\"";
        let company = Company::unstarted(Setup { listen_lines: lines, workers: 2, ..Setup::default() });
        let certificate = renew(&company);
        let origins = [company.shop.replace("shop", "brand"), company.shop.clone(), company.learn.clone()];
        let mut process = Process::serve(&company.folder.configure(Part::All, company.port(), &origins));
        wait_until("it listens", || process.has_ended(), || wire::connect(company.port()).is_ok())
            .unwrap_or_else(|problem| panic!("{problem}: {}", process.stderr()));
        Self { company, process, certificate }
    }

    /// Puts another certificate in place of the one in use.
    pub(crate) fn renew_certificate(&self) {
        renew(&self.company);
    }

    /// A client that remembers its sessions.
    pub(crate) fn client(&self, versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("versions");
        let mut client = builder.with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(client)
    }

    pub(crate) fn connect(&self, alpn: &[&[u8]]) -> Secured {
        self.connect_with(&self.client(rustls::ALL_VERSIONS, alpn))
    }

    pub(crate) fn connect_with(&self, client: &Arc<ClientConfig>) -> Secured {
        let tcp = wire::connect(self.company.port()).expect("it listens");
        let name = ServerName::try_from(HOST).expect("a name");
        let mut tls = StreamOwned::new(ClientConnection::new(Arc::clone(client), name).expect("a client"), tcp);
        tls.flush().expect("a handshake");
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock).expect("a handshake");
        }
        Secured(tls)
    }

    /// Asks for a page, and says what the handshake was like.
    pub(crate) fn visit(&self, client: &Arc<ClientConfig>) -> HandshakeKind {
        let Secured(mut tls) = self.connect_with(client);
        let request = format!("GET /p.html HTTP/1.1\r\nHost: {HOST}:{}\r\nConnection: close\r\n\r\n", self.company.port());
        tls.write_all(request.as_bytes()).expect("it reads");
        let mut answer = Vec::new();
        let _ = tls.read_to_end(&mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        tls.conn.handshake_kind().expect("a handshake")
    }
}

fn renew(company: &Company) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).expect("a certificate");
    std::fs::write(company.folder.path().join("chain.pem"), made.cert.pem()).expect("a file");
    let key = company.folder.path().join("key.pem");
    write_secret_file(&key, &made.signing_key.serialize_pem()).expect("a file");
    made.cert.der().clone()
}

/// A connection.
pub(crate) struct Secured(StreamOwned<ClientConnection, TcpStream>);

impl Secured {
    /// Whether the other side has ended it, as far as can be seen without waiting.
    pub(crate) fn is_over(&mut self) -> bool {
        self.0.sock.set_nonblocking(true).expect("a socket option");
        let over = match self.0.read(&mut [0; 4096]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        self.0.sock.set_nonblocking(false).expect("a socket option");
        over
    }
}

impl Write for Secured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn a9_tls_sessions_resume_also_over_a_new_certificate() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let site = TlsSite::start();
        let client = site.client(&[version], &[b"http/1.1"]);
        assert_eq!(site.visit(&client), HandshakeKind::Full, "{version:?}");
        for _ in 0..4 {
            assert_eq!(site.visit(&client), HandshakeKind::Resumed, "{version:?}");
        }
        site.renew_certificate();
        site.process.signal("HUP");
        let is_renewed = || site.process.stderr().contains("the configuration was read again");
        wait_until("the certificate is renewed", || false, is_renewed).unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(site.visit(&client), HandshakeKind::Resumed, "{version:?}");
    }
}
