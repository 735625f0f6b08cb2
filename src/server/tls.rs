//! Reads a certificate and its key from PEM files and makes the TLS configuration of a listener from them.
//!
//! A pair that does not belong together, or a file that holds something else, is told apart from one that is absent, in
//! words that say what to do. The crypto provider is named explicitly (aws-lc-rs, which the AWS SDK links anyway), never
//! taken from the process's default, because that default panics when there are two.

mod clients;
mod live;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

pub use clients::ClientAuthorities;
pub use live::{CertificateSource, LiveTls};

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no PEM, or holds broken PEM.
    #[error("{} is not valid PEM: {detail}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// There is no certificate where one should be.
    #[error("{} holds no certificate; it should begin with -----BEGIN CERTIFICATE-----{hint}", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What may have happened.
        hint: &'static str,
    },
    /// There is no private key where one should be.
    #[error("{} holds no private key{hint}", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What may have happened.
        hint: &'static str,
    },
    /// A certificate that cannot be parsed, or a key of a kind that cannot be used.
    #[error("the certificate in {} and the key in {} cannot be used", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The key is another certificate's.
    #[error(
        "the key in {} does not belong to the first certificate in {} (the server's own certificate comes first, then \
         the ones that signed it)",
        key.display(),
        certificate.display()
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The provider lacks what TLS 1.2 and 1.3 need.
    #[error("TLS cannot be set up")]
    Provider(#[from] rustls::Error),
}

/// Reads a certificate chain, the server's own certificate first, and its private key (PKCS #8, PKCS #1 or SEC 1).
pub fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = read_chain(certificate)?;
    let secret = read_key(key)?;
    CertifiedKey::from_der(chain, secret, &provider()).map_err(|source| {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        if matches!(source, rustls::Error::InconsistentKeys(_)) {
            TlsError::Mismatch { certificate, key }
        } else {
            TlsError::Unusable { certificate, key, source }
        }
    })
}

/// The configuration of a listener that shows this certificate, asks for those of these authorities, and speaks HTTP/2 and
/// HTTP/1.1, in that order.
pub fn server_config(certified: CertifiedKey, clients: Option<&ClientAuthorities>) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(clients.verifier()?),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    if clients.is_some() {
        // A session that is taken up again brings its certificate along unverified: one that was revoked meanwhile, too.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The one crypto provider.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Every certificate of a PEM file, at least one.
pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|e| broken(path, &e))?;
    if chain.is_empty() {
        let hint = if PrivateKeyDer::from_pem_slice(&text).is_ok() {
            ". It holds a private key: are `certificate` and `key` swapped?"
        } else {
            ""
        };
        return Err(TlsError::NoCertificate { path: path.to_owned(), hint });
    }
    Ok(chain)
}

/// The first private key of a PEM file.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => {
            let hint = if memchr::memmem::find(&text, b"ENCRYPTED").is_some() {
                " that can be read without a passphrase; `openssl pkey -in <encrypted> -out <plain>` takes it off"
            } else if CertificateDer::from_pem_slice(&text).is_ok() {
                ". It holds a certificate: are `certificate` and `key` swapped?"
            } else {
                "; it should begin with -----BEGIN PRIVATE KEY-----"
            };
            Err(TlsError::NoKey { path: path.to_owned(), hint })
        }
        Err(error) => Err(broken(path, &error)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn broken(path: &Path, error: &pem::Error) -> TlsError {
    TlsError::Pem { path: path.to_owned(), detail: error.to_string() }
}

#[cfg(test)]
mod tests;
