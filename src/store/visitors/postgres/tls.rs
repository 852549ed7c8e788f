//! Which server a connection trusts, and how it proves itself to it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::domain::postgres_url::{TlsMode, TlsSettings};
use crate::token::keyfile::read_secret_file;

/// The client's side of TLS. Without `sslrootcert`, `roots` are trusted.
///
/// # Errors
/// When a file cannot be read or holds something else.
pub(super) fn client_tls(settings: &TlsSettings, roots: Arc<RootCertStore>) -> io::Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let own = settings.roots.as_deref().map(|file| certificates("sslrootcert", file)).transpose()?;
    let verifier = match own {
        Some(own) => Pinned::new(own, settings.mode, &provider).map(|own| Arc::new(own) as Arc<dyn ServerCertVerifier>)?,
        None if settings.mode == TlsMode::VerifyCa => Arc::new(Pinned {
            own: Vec::new(),
            roots,
            mode: settings.mode,
            algorithms: provider.signature_verification_algorithms,
        }),
        None => WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().map_err(io::Error::other)?,
    };
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let config = config.dangerous().with_custom_certificate_verifier(verifier);
    let Some((certificate, key)) = &settings.client else { return Ok(config.with_no_client_auth()) };
    let chain = certificates("sslcert", certificate)?;
    let text = read_secret_file(key).map_err(|mistake| io::Error::other(format!("sslkey: {mistake}")))?;
    let bad_key = |problem: &dyn std::fmt::Display| {
        let what = "no private key in PEM without a password";
        io::Error::other(format!("sslkey: {}: {what} ({problem})", key.display()))
    };
    let private = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| bad_key(&error))?;
    config.with_client_auth_cert(chain, private).map_err(|error| {
        io::Error::other(format!("sslcert and sslkey: {} and {} do not fit ({error})", certificate.display(), key.display()))
    })
}

fn certificates(parameter: &str, file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let none = |problem: &dyn std::fmt::Display| {
        io::Error::other(format!("{parameter}: {}: no certificates in PEM ({problem})", file.display()))
    };
    let read = CertificateDer::pem_file_iter(file).map_err(|error| none(&error))?;
    let read: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| none(&error))?;
    if read.is_empty() { Err(none(&"the file holds none")) } else { Ok(read) }
}

/// Checks a server's certificate: the chain to an authority, and its name unless the mode is `verify-ca`. The server's own
/// certificate may stand in `sslrootcert` in place of an authority's.
#[derive(Debug)]
struct Pinned {
    own: Vec<CertificateDer<'static>>,
    roots: Arc<RootCertStore>,
    mode: TlsMode,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn new(own: Vec<CertificateDer<'static>>, mode: TlsMode, provider: &CryptoProvider) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in &own {
            roots.add(certificate.clone()).map_err(|error| io::Error::other(format!("sslrootcert: {error}")))?;
        }
        Ok(Self { own, roots: Arc::new(roots), mode, algorithms: provider.signature_verification_algorithms })
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        // `openssl req -x509` makes a certificate that is an authority as well, which webpki takes for no server's.
        if !self.own.contains(end_entity) {
            verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, self.algorithms.all)?;
        }
        if self.mode != TlsMode::VerifyCa {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
