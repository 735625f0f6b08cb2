//! Certificates of callers: the authorities that issue them, and their lists of those that are revoked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::{TlsError, broken, provider, read, read_chain};

/// Whose certificates are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuthorities {
    /// PEM file with the authorities.
    pub ca: PathBuf,
    /// PEM file with their revocation lists. One that is out of date vouches for nobody.
    pub crl: Option<PathBuf>,
    /// Whether a connection without a certificate is refused.
    pub required: bool,
}

impl ClientAuthorities {
    pub(super) fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in read_chain(&self.ca)? {
            roots.add(authority).map_err(|source| unusable(&self.ca, &source))?;
        }
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        if let Some(crl) = &self.crl {
            let text = read(crl)?;
            let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&text)
                .collect::<Result<_, _>>()
                .map_err(|error| broken(crl, &error))?;
            if lists.is_empty() {
                let detail = "it holds no revocation list (-----BEGIN X509 CRL-----)".to_owned();
                return Err(TlsError::Pem { path: crl.clone(), detail });
            }
            builder = builder.with_crls(lists).enforce_revocation_expiration();
        }
        if !self.required {
            builder = builder.allow_unauthenticated();
        }
        builder.build().map_err(|source| unusable(&self.ca, &source))
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.ca.as_path()).chain(self.crl.as_deref())
    }
}

fn unusable(path: &Path, source: &dyn std::error::Error) -> TlsError {
    TlsError::Pem { path: path.to_owned(), detail: source.to_string() }
}
