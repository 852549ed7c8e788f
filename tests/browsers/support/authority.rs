//! A certificate authority that lives for one test.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// A certificate for some names, and what is needed to serve and to trust it, all PEM.
pub(crate) struct Certificate {
    /// The authority's own certificate.
    pub(crate) authority: String,
    /// The certificate.
    pub(crate) certificate: String,
    /// Its private key.
    pub(crate) key: String,
}

/// Issues a certificate for `names`, signed by an authority of its own.
pub(crate) fn certificate_for(names: &[&str]) -> Certificate {
    let issue = || -> Result<Certificate, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "An authority for one test");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
        Ok(Certificate {
            authority: authority.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    };
    issue().expect("a certificate")
}
