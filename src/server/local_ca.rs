//! A certificate authority for this machine alone, made on first use, and the server certificate that it signs.
//!
//! Some clients refuse to send a bearer key over `http://`, so a laptop needs TLS without anybody's help. The authority
//! lives in one directory:
//!
//! | file | what | mode |
//! | --- | --- | --- |
//! | `ca.pem` | the authority's certificate, 10 years; this is what clients are told to trust | 0644 |
//! | `ca-key.pem` | its key | 0600 |
//! | `server.pem` | the server's certificate, at most 825 days (Apple's limit) | 0644 |
//! | `server-key.pem` | its key | 0600 |
//!
//! Invariants: [`LocalCa::open_or_create`] returns only what a client that trusts `ca.pem` accepts today and for another
//! 30 days under every name asked for, which is proved by verifying it as such a client would. Each file is replaced
//! whole, under a lock on the directory, so that two processes that start at once end with the same authority. The
//! authority can vouch for no host name but `localhost` and the names it was made for (X.509 name constraints, RFC 5280
//! section 4.2.1.10), so whoever trusts it does not trust it with the rest of the web. Addresses are not constrained,
//! because BoringSSL, and with it Bun, refuses certificates under constraints on addresses.
//!
//! It does not install itself into any trust store, and it renews only when it is opened.

mod files;
mod issue;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore, ServerConfig};

use self::files::Existing;
use super::tls::{self, TlsError};

/// The local authority and the server certificate, both usable.
#[derive(Debug)]
pub struct LocalCa {
    directory: PathBuf,
    names: Vec<ServerName<'static>>,
    server: CertifiedKey,
    made: Made,
}

/// Under which names clients will reach the server, apart from `localhost`, `127.0.0.1` and `::1`, which are always there.
#[derive(Clone, Debug)]
pub enum Names {
    /// The ones that the certificate has already.
    Kept,
    /// These and no others: host names and addresses.
    Exactly(Vec<String>),
}

/// What had to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Nothing: everything was there.
    Nothing,
    /// The server's certificate: it was about to expire, or the names changed.
    ServerCertificate,
    /// The authority itself, where there was none.
    Authority,
    /// A new authority in place of the old one, which had expired or must not vouch for a name that is wanted. Clients
    /// that copied the old `ca.pem` need the new one.
    NewAuthority,
}

/// Why there is no usable authority.
#[derive(Debug, thiserror::Error)]
pub enum LocalCaError {
    /// The directory or a file in it cannot be used.
    #[error("{} cannot be used for the local CA", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A name that no certificate can have.
    #[error("{0:?} is neither a host name nor an address")]
    Name(String),
    /// The authority's two files are not a pair made here.
    #[error(
        "{} is not an authority made by Tollgate, or its ca-key.pem is absent or another's. Put the right ca-key.pem \
         back, or delete ca.pem to have a new authority made. A certificate of your own belongs in `certificate` and \
         `key` in place of `local_ca`",
        .0.display()
    )]
    NotOurs(PathBuf),
    /// A certificate could not be made.
    #[error("a certificate cannot be made")]
    Issue(#[from] rcgen::Error),
    /// A certificate that was just made is refused.
    #[error("the certificate just made is not accepted; is the clock of this machine right?")]
    Refused(#[source] rustls::Error),
    /// The authority's certificate cannot be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl LocalCa {
    /// Opens the authority in a directory, making or renewing whatever is absent, about to expire, or made for other names.
    pub fn open_or_create(directory: &Path, names: &Names, now: SystemTime) -> Result<Self, LocalCaError> {
        let _lock = files::lock(directory)?;
        let names = wanted(directory, names)?;
        let existing = files::existing_authority(directory, now)?;
        if let Existing::Valid(authority) = &existing
            && let Some((server, made)) = under(authority, directory, &names, now)?
        {
            return Ok(Self { directory: directory.to_owned(), names, server, made });
        }
        let authority = issue::authority(&names, now)?;
        let issued = issue::server(&authority.key, &names, now)?;
        let server = issued.certified().map_err(LocalCaError::Refused)?;
        accepted(&authority.certificate, &server, &names, now).map_err(LocalCaError::Refused)?;
        files::write_authority(directory, &authority)?;
        files::write_server(directory, &issued)?;
        let made = if matches!(existing, Existing::Absent) { Made::Authority } else { Made::NewAuthority };
        Ok(Self { directory: directory.to_owned(), names, server, made })
    }

    /// What clients are told to trust.
    pub fn ca_certificate(&self) -> PathBuf {
        self.directory.join(CA)
    }

    /// The server's certificate.
    pub fn server_certificate(&self) -> PathBuf {
        self.directory.join(SERVER)
    }

    /// The key of the server's certificate.
    pub fn server_key(&self) -> PathBuf {
        self.directory.join(SERVER_KEY)
    }

    /// The names under which the server can be reached, as text.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.names.iter().map(|name| name.to_str().into_owned())
    }

    /// What had to be made.
    pub const fn made(&self) -> Made {
        self.made
    }

    /// The configuration of a listener that shows the server's certificate.
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        tls::server_config(self.server.clone(), None)
    }

    /// The server's certificate and key.
    pub fn certified(&self) -> CertifiedKey {
        self.server.clone()
    }
}

/// The server certificate under an authority that is there: the present one if it serves, else a new one. `None` if the
/// authority must not vouch for the names.
fn under(
    authority: &CertificateDer<'static>,
    directory: &Path,
    names: &[ServerName<'static>],
    now: SystemTime,
) -> Result<Option<(CertifiedKey, Made)>, LocalCaError> {
    if let Ok(server) = tls::load(&directory.join(SERVER), &directory.join(SERVER_KEY))
        && files::server_names(directory).as_deref() == Some(names)
        && accepted(authority, &server, names, now).is_ok()
    {
        return Ok(Some((server, Made::Nothing)));
    }
    let key = files::authority_key(directory)?;
    let issued = issue::server(&key, names, now)?;
    let server = issued.certified().map_err(LocalCaError::Refused)?;
    match accepted(authority, &server, names, now) {
        Ok(()) => {
            files::write_server(directory, &issued)?;
            Ok(Some((server, Made::ServerCertificate)))
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            Err(LocalCaError::NotOurs(directory.join(CA)))
        }
        Err(_) => Ok(None),
    }
}

/// The names that are always there, then the others in order, each once.
fn wanted(directory: &Path, names: &Names) -> Result<Vec<ServerName<'static>>, LocalCaError> {
    let mut all: Vec<ServerName<'static>> = Vec::new();
    let mut others = match names {
        Names::Kept => files::server_names(directory).unwrap_or_default(),
        Names::Exactly(texts) => texts.iter().map(|text| parse_name(text)).collect::<Result<_, _>>()?,
    };
    others.sort_by_key(|name| name.to_str().into_owned());
    for name in ALWAYS.iter().map(|text| parse_name(text)).chain(others.into_iter().map(Ok)) {
        let name = name?;
        if !all.contains(&name) {
            all.push(name);
        }
    }
    Ok(all)
}

fn parse_name(text: &str) -> Result<ServerName<'static>, LocalCaError> {
    ServerName::try_from(text.to_ascii_lowercase()).map_err(|_| LocalCaError::Name(text.to_owned()))
}

/// Whether a client that trusts the authority takes the certificate under every name, today and until the next renewal.
fn accepted(
    authority: &CertificateDer<'static>,
    server: &CertifiedKey,
    names: &[ServerName<'static>],
    now: SystemTime,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    let certificate = ParsedCertificate::try_from(server.end_entity_cert()?)?;
    let algorithms = tls::provider().signature_verification_algorithms.all;
    for at in [now, now + RENEWED_BEFORE] {
        let at = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        verify_server_cert_signed_by_trust_anchor(&certificate, &roots, &[], at, algorithms)?;
    }
    names.iter().try_for_each(|name| verify_server_name(&certificate, name))
}

const CA: &str = "ca.pem";
const CA_KEY: &str = "ca-key.pem";
const SERVER: &str = "server.pem";
const SERVER_KEY: &str = "server-key.pem";
const ALWAYS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const RENEWED_BEFORE: Duration = Duration::from_hours(30 * 24);

#[cfg(test)]
mod tests;
