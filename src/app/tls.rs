//! The certificate of the server, which may be replaced while it serves.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_cert::der::Decode as _;

use crate::base::clock::UnixSeconds;
use crate::config::TlsFiles;
use crate::token::keyfile::read_secret_file;

use super::launch::LaunchFailure;

/// The certificate in use. New connections get the one that was read last.
#[derive(Debug)]
pub struct Certificate(ArcSwap<CertifiedKey>);

impl Certificate {
    /// Reads it.
    pub(super) fn read(files: &TlsFiles) -> Result<Self, LaunchFailure> {
        certified_key(files).map(|key| Self(ArcSwap::from_pointee(key)))
    }

    /// Reads it again. When that fails, the one in use stays.
    pub(super) fn renew(&self, files: &TlsFiles) -> Result<(), LaunchFailure> {
        certified_key(files).map(|key| self.0.store(Arc::new(key)))
    }

    /// When the first certificate of the chain expires: from then on, browsers refuse the site. `None` if none can be read.
    pub(super) fn not_after(&self) -> Option<UnixSeconds> {
        let certificates = self.0.load();
        let ends = certificates.cert.iter().filter_map(|certificate| x509_cert::Certificate::from_der(certificate).ok());
        ends.map(|read| UnixSeconds(read.tbs_certificate.validity.not_after.to_unix_duration().as_secs())).min()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// The TLS of a server with `certificate`.
pub(super) fn server_tls(certificate: Arc<Certificate>) -> Result<rustls::ServerConfig, LaunchFailure> {
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let config = config.map_err(|error| LaunchFailure::new(format!("TLS cannot be set up ({error})")))?;
    let mut config = config.with_no_client_auth().with_cert_resolver(certificate);
    // Tickets work for both versions, and need no memory here. rustls replaces their key every six hours. Early data stays off:
    // rule R7 is about what a proxy lets through, and this server must not add to it.
    config.ticketer = Ticketer::new().map_err(|error| LaunchFailure::new(format!("TLS tickets cannot be set up ({error})")))?;
    Ok(config)
}

fn certified_key(files: &TlsFiles) -> Result<CertifiedKey, LaunchFailure> {
    let chain = read_certificates(&files.certificate)?;
    let pem = read_secret_file(&files.key).map_err(|mistake| LaunchFailure::new(mistake.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| LaunchFailure::new(format!("{}: no private key in PEM ({error})", files.key.display())))?;
    CertifiedKey::from_der(chain, key, &default_provider())
        .map_err(|error| LaunchFailure::new(format!("{}: cannot be used ({error})", files.certificate.display())))
}

/// The certificates of a PEM file.
///
/// # Errors
/// When it cannot be read, or holds something else.
pub fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, LaunchFailure> {
    let failed = |error: rustls::pki_types::pem::Error| {
        LaunchFailure::new(format!("{}: no certificates in PEM ({error})", file.display()))
    };
    CertificateDer::pem_file_iter(file).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::token::keyfile::write_secret_file;

    fn write(files: &TlsFiles, name: &str) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        write_secret_file(&files.key, &made.signing_key.serialize_pem()).unwrap();
    }

    #[test]
    fn a_renewed_certificate_counts_and_a_broken_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
        write(&files, "shop.example");
        let certificate = Certificate::read(&files).unwrap();
        let first = certificate.0.load_full().cert[0].clone();
        write(&files, "shop.example");
        certificate.renew(&files).unwrap();
        let second = certificate.0.load_full().cert[0].clone();
        assert_ne!(first, second);
        // The new certificate has come, its key has not.
        let other = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
        std::fs::write(&files.certificate, other.cert.pem()).unwrap();
        assert!(certificate.renew(&files).unwrap_err().to_string().contains("cannot be used"));
        assert_eq!(certificate.0.load_full().cert[0], second);
    }

    #[test]
    fn k4_a_private_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
        write(&files, "shop.example");
        let certificate = Certificate::read(&files).unwrap();
        for mode in [0o644, 0o640, 0o604, 0o660, 0o620] {
            std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(mode)).unwrap();
            let failure = certificate.renew(&files).unwrap_err().to_string();
            assert!(failure.contains("key.pem") && failure.contains("chmod 600"), "{mode:o}: {failure}");
        }
        std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o400)).unwrap();
        certificate.renew(&files).unwrap();
    }

    #[test]
    fn the_end_of_a_chain_is_that_of_its_first_certificate_to_expire() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
        write(&files, "shop.example");
        let certificate = Certificate::read(&files).unwrap();
        // The far end that rcgen gives a certificate: the first of January 4096.
        assert_eq!(certificate.not_after(), Some(UnixSeconds(67_090_118_400)));
        let mut parameters = rcgen::CertificateParams::new(vec!["authority.example".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2027, 1, 2);
        let soon = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let chain = std::fs::read_to_string(&files.certificate).unwrap() + &soon.pem();
        std::fs::write(&files.certificate, chain).unwrap();
        certificate.renew(&files).unwrap();
        assert_eq!(certificate.not_after(), Some(UnixSeconds(1_798_848_000)));
    }
}
