//! Where callers connect: certificates, whom a listener trusts, and the sockets themselves.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::{AssemblyError, failed};
use crate::config::settings::{Listen, ListenerSettings, Presence, TlsSettings};
use crate::identity::{Principal, Principals};
use crate::server::local_ca::{LocalCa, Names};
use crate::server::{Listener, Plaintext, Welcome, tls};

/// A listener that has all it needs and is not open yet.
#[derive(Debug)]
pub(super) struct Prepared {
    listen: Listen,
    welcome: Welcome,
    ca: Option<PathBuf>,
}

/// An open listener, as it is told of.
#[derive(Clone, Debug)]
pub struct Open {
    /// Where: the port is the real one.
    pub at: Listen,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Whether it speaks without TLS, at least to this machine.
    pub plain: bool,
    /// The certificate authority that its clients have to trust, if Tollgate made one.
    pub ca: Option<PathBuf>,
    /// Whoever connects is this principal.
    pub principal: Option<String>,
}

/// Prepares a listener: its certificates are read, and whom it trusts is looked up.
pub(super) fn prepare(settings: &ListenerSettings, principals: &Principals) -> Result<Prepared, AssemblyError> {
    let trusted_as = settings.principal.as_ref().map(|name| trusted(name, principals)).transpose()?;
    let clients = settings.clients.as_ref().map(|clients| tls::ClientAuthorities {
        ca: clients.ca.clone(),
        crl: clients.crl.clone(),
        required: clients.presence == Presence::Required,
    });
    // What needs no TLS shows no certificate.
    let plaintext = match &clients {
        Some(clients) if clients.required => Plaintext::Refuse,
        Some(_) | None => Plaintext::default(),
    };
    let (certificate, ca) = match &settings.tls {
        TlsSettings::Off => (None, None),
        TlsSettings::Files { certificate, key } => {
            (Some(tls::CertificateSource::Files { certificate: certificate.clone(), key: key.clone() }), None)
        }
        TlsSettings::LocalCa { dir } => {
            let ca = LocalCa::open_or_create(dir, &Names::Kept, std::time::SystemTime::now())
                .map_err(failed("server.tls.local_ca"))?;
            let certificate = std::path::absolute(ca.ca_certificate()).map_err(failed("server.tls.local_ca"))?;
            (Some(tls::CertificateSource::Kept(ca.certified())), Some(certificate))
        }
    };
    let live = certificate.map(|certificate| tls::LiveTls::new(certificate, clients)).transpose();
    let live = live.map_err(failed("server.tls"))?;
    let welcome = Welcome { tls: live.map(|live| (Arc::new(live), plaintext)), trusted_as };
    Ok(Prepared { listen: settings.listen.clone(), welcome, ca })
}

/// Whoever connects. Were an unknown name let pass, the listener would ask for credentials that its callers do not have.
fn trusted(name: &str, principals: &Principals) -> Result<Arc<Principal>, AssemblyError> {
    let listed = principals.named(name).map(Arc::clone);
    listed.ok_or_else(|| {
        failed("server.principal")(format!("there is no principal {name}: list it under [[principals]]"))
    })
}

impl Prepared {
    /// Opens it.
    pub(super) async fn open(self) -> Result<(Listener, Welcome, Open), AssemblyError> {
        let Self { listen, welcome, ca } = self;
        let opened = match &listen {
            Listen::Tcp(address) => TcpListener::bind(address).await.map(Listener::Tcp),
            Listen::Unix(path) => Listener::unix(path),
        };
        let at = |error: io::Error| failed("server.listen")(format!("{listen}: {error}"));
        let listener = opened.map_err(at)?;
        let at = match &listener {
            Listener::Tcp(listener) => Listen::Tcp(listener.local_addr().map_err(at)?),
            Listener::Unix(_) => listen,
        };
        let principal = welcome.trusted_as.as_ref().map(|principal| principal.name().to_owned());
        let plain = welcome.tls.as_ref().is_none_or(|(_, plaintext)| *plaintext != Plaintext::Refuse);
        let open = Open { at, tls: welcome.tls.is_some(), plain, ca, principal };
        Ok((listener, welcome, open))
    }
}
