//! The TLS of a listener while it runs: made anew when one of its files changes, for the connections that come then.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::sign::CertifiedKey;

use super::{ClientAuthorities, TlsError, load, server_config};

/// TLS that follows its files.
#[derive(Debug)]
pub struct LiveTls {
    config: ArcSwap<ServerConfig>,
    certificate: CertificateSource,
    clients: Option<ClientAuthorities>,
    looked: Mutex<Looked>,
}

/// What the last look brought.
#[derive(Debug)]
struct Looked {
    /// How the files looked that are in force.
    seen: Vec<Option<Stamp>>,
    /// Why those that are there now are not, where that has been told.
    failed: Option<String>,
}

/// Where the server's certificate comes from.
#[derive(Clone, Debug)]
pub enum CertificateSource {
    /// Two PEM files.
    Files {
        /// The chain, the server's own certificate first.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// One that stays as it is.
    Kept(CertifiedKey),
}

/// Which file it is, and when it last changed.
type Stamp = (u64, u64, i64, i64, u64);

impl LiveTls {
    /// Reads the files. What is wrong with them is an error.
    pub fn new(certificate: CertificateSource, clients: Option<ClientAuthorities>) -> Result<Self, TlsError> {
        // Looked at first: a change in between is seen at the next look.
        let looked = Mutex::new(Looked { seen: stamps(&certificate, clients.as_ref()), failed: None });
        let config = ArcSwap::from_pointee(made(&certificate, clients.as_ref())?);
        Ok(Self { config, certificate, clients, looked })
    }

    /// What is in force.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// Looks whether a file has changed, and takes it up if so. Where that fails, what was in force stays, and it is tried
    /// again at the next look: what was in the way may leave no trace in the files when it goes. An error is told once.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let now = stamps(&self.certificate, self.clients.as_ref());
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let Looked { seen, failed } = &mut *looked;
        if *seen == now {
            return Ok(false);
        }
        match made(&self.certificate, self.clients.as_ref()) {
            Ok(config) => {
                self.config.store(Arc::new(config));
                *seen = now;
                *failed = None;
                Ok(true)
            }
            Err(error) if failed.as_ref() == Some(&error.to_string()) => Ok(false),
            Err(error) => {
                *failed = Some(error.to_string());
                Err(error)
            }
        }
    }
}

fn made(certificate: &CertificateSource, clients: Option<&ClientAuthorities>) -> Result<ServerConfig, TlsError> {
    let certified = match certificate {
        CertificateSource::Files { certificate, key } => load(certificate, key)?,
        CertificateSource::Kept(certified) => certified.clone(),
    };
    server_config(certified, clients)
}

fn stamps(certificate: &CertificateSource, clients: Option<&ClientAuthorities>) -> Vec<Option<Stamp>> {
    let own: &[&Path] = match certificate {
        CertificateSource::Files { certificate, key } => &[certificate, key],
        CertificateSource::Kept(_) => &[],
    };
    let all = own.iter().copied().chain(clients.into_iter().flat_map(ClientAuthorities::files));
    all.map(|path| std::fs::metadata(path).ok().map(|metadata| stamp(&metadata))).collect()
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec(), metadata.size())
}
