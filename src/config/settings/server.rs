//! `[server]`, `[server.tls]` and `[[server.listeners]]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Choice;

/// The callers' side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where callers connect: what `[server]` itself says first, then each of `[[server.listeners]]`.
    pub listeners: Vec<ListenerSettings>,
    /// What stands before every path: empty, or `/prefix` without a slash at its end.
    pub base_path: String,
    /// The largest request body.
    pub max_body_bytes: usize,
    /// How long a request's head may take.
    pub header_timeout: Duration,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// How long open streams are waited for at shutdown.
    pub drain_timeout: Duration,
    /// How many connections are held at once, by all listeners together.
    pub max_connections: usize,
}

/// One place where callers connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Where.
    pub listen: Listen,
    /// Whoever may connect is this principal, and proves nothing.
    pub principal: Option<String>,
    /// Its `tls`.
    pub tls: TlsSettings,
    /// `client_ca` there, and what goes with it.
    pub clients: Option<ClientCertificates>,
}

/// Which certificates of callers are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The authorities that issue them.
    pub ca: PathBuf,
    /// Their lists of those that are revoked.
    pub crl: Option<PathBuf>,
    /// Whether a connection without one is taken.
    pub presence: Presence,
}

/// Whether something has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It may be absent.
    Optional,
    /// It must be there.
    Required,
}

impl Choice for Presence {
    const WORDS: &'static [(&'static str, Self)] = &[("optional", Self::Optional), ("required", Self::Required)];
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Whether only this machine can connect.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl std::fmt::Display for Listen {
    /// As the configuration has it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where the server's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSettings {
    /// No TLS.
    Off,
    /// PEM files.
    Files {
        /// The chain, leaf first.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// A certificate authority of Tollgate's own, made on first use.
    LocalCa {
        /// The folder that holds it.
        dir: PathBuf,
    },
}
