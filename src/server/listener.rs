//! Accepts connections until told to stop, then lets the open ones finish.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::drive;
use super::tls::LiveTls;
use crate::gateway::Gateway;
use crate::identity::certificates::ClientCertificate;
use crate::identity::{Origin, Principal, Source};

/// Bounds on what a listener holds.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Connections open at once. One more waits in the kernel's queue until another closes.
    pub max_connections: usize,
    /// For the TLS handshake, and for each request's head, the wait for it included.
    pub header_timeout: Duration,
    /// How long open streams may go on once the listener has been told to stop.
    pub drain_timeout: Duration,
}

/// Who may speak without TLS on a listener that has a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plaintext {
    /// Callers on this machine only.
    #[default]
    Loopback,
    /// Nobody.
    Refuse,
    /// Anybody: something before the listener ends TLS.
    Allow,
}

/// Where connections come in.
#[derive(Debug)]
pub enum Listener {
    /// An address and a port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// A connection that has come in.
enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    /// Listens on a Unix socket. A socket that nobody listens on any more is replaced; one that somebody does is not.
    pub fn unix(path: &Path) -> io::Result<Self> {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => {
                let why = format!("somebody listens on {} already", path.display());
                return Err(io::Error::new(io::ErrorKind::AddrInUse, why));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
                    let why = format!("{} is there already, and no socket", path.display());
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
                }
                std::fs::remove_file(path)?;
            }
            Err(_) => {}
        }
        UnixListener::bind(path).map(Self::Unix)
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, peer)| Accepted::Tcp(stream, peer)),
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }
}

impl Drop for Listener {
    /// A socket that nobody listens on is not left behind.
    fn drop(&mut self) {
        if let Self::Unix(listener) = self
            && let Ok(address) = listener.local_addr()
            && let Some(path) = address.as_pathname()
        {
            drop(std::fs::remove_file(path));
        }
    }
}

/// What a listener asks of its callers.
#[derive(Clone, Debug, Default)]
pub struct Welcome {
    /// TLS, and who may do without.
    pub tls: Option<(Arc<LiveTls>, Plaintext)>,
    /// Whoever connects is this principal.
    pub trusted_as: Option<Arc<Principal>>,
}

/// Serves `doors` until `stop` is cancelled and the open streams have ended or run out of time.
pub async fn serve(
    doors: Vec<(Listener, Welcome)>,
    gateway: Arc<Gateway>,
    limits: ServerLimits,
    stop: CancellationToken,
) {
    let floor = Floor {
        slots: Arc::new(Semaphore::new(limits.max_connections)),
        connections: TaskTracker::new(),
        gateway,
        limits,
        stop,
        cut: CancellationToken::new(),
    };
    let open = TaskTracker::new();
    for (listener, welcome) in doors {
        open.spawn(accept_at(listener, welcome, floor.clone()));
    }
    open.close();
    open.wait().await;
    let Floor { connections, limits, cut, .. } = floor;
    connections.close();
    if tokio::time::timeout(limits.drain_timeout, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "the drain timeout has passed: open streams are cut");
        cut.cancel();
        connections.wait().await;
    }
}

/// What all listeners of a server share.
#[derive(Clone)]
struct Floor {
    slots: Arc<Semaphore>,
    connections: TaskTracker,
    gateway: Arc<Gateway>,
    limits: ServerLimits,
    stop: CancellationToken,
    cut: CancellationToken,
}

/// Accepts at one listener until the server stops.
async fn accept_at(listener: Listener, welcome: Welcome, floor: Floor) {
    let Floor { slots, connections, gateway, limits, stop, cut } = floor;
    loop {
        // The wait for a slot ends with the server too: open streams that hold every slot must not keep it from draining.
        let slot = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let Ok(slot) = slot else { break };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or a connection that was gone before it was accepted: go on, but do not spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let (gateway, welcome, stop, cut) = (Arc::clone(&gateway), welcome.clone(), stop.clone(), cut.clone());
        connections.spawn(async move {
            let _slot = slot;
            let _open = gateway.metrics().connection_opened();
            tokio::select! {
                () = cut.cancelled() => {}
                ended = one(accepted, welcome, gateway, limits, stop) => if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                },
            }
        });
    }
}

async fn one(
    accepted: Accepted,
    welcome: Welcome,
    gateway: Arc<Gateway>,
    limits: ServerLimits,
    stop: CancellationToken,
) -> io::Result<()> {
    let Welcome { tls, trusted_as } = welcome;
    let origin = |source| Arc::new(Origin { trusted_as, ..Origin::from(source) });
    let (tcp, peer) = match accepted {
        Accepted::Tcp(tcp, peer) => (tcp, peer),
        Accepted::Unix(stream) => return drive(stream, gateway, origin(Source::Local), limits, stop).await,
    };
    let origin = origin(Source::from(peer.ip()));
    tcp.set_nodelay(true)?;
    // A caller whose machine went away without a word would hold its stream, and its reservation, for ever.
    socket2::SockRef::from(&tcp).set_tcp_keepalive(&KEEPALIVE)?;
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no handshake in time");
    let Some((live, plaintext)) = tls else { return drive(tcp, gateway, origin, limits, stop).await };
    let mut first = [0];
    let seen = tokio::time::timeout(limits.header_timeout, tcp.peek(&mut first)).await.map_err(|_| late())??;
    if seen == 1 && first != [TLS_HANDSHAKE] {
        return match plaintext {
            Plaintext::Allow => drive(tcp, gateway, origin, limits, stop).await,
            Plaintext::Loopback if peer.ip().to_canonical().is_loopback() => {
                drive(tcp, gateway, origin, limits, stop).await
            }
            Plaintext::Loopback | Plaintext::Refuse => {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "plain text on a TLS listener"))
            }
        };
    }
    let accepting = TlsAcceptor::from(live.config()).accept(tcp);
    let shaken = tokio::time::timeout(limits.header_timeout, accepting).await.map_err(|_| late()).flatten();
    let stream = shaken.inspect_err(|_| gateway.metrics().handshake_failed())?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let certificate = certificate.and_then(|certificate| ClientCertificate::read(certificate));
    let origin = Arc::new(Origin { certificate, ..Origin::clone(&origin) });
    drive(stream, gateway, origin, limits, stop).await
}

/// A dead peer is noticed after two minutes: one of silence, then three probes.
const KEEPALIVE: socket2::TcpKeepalive = socket2::TcpKeepalive::new()
    .with_time(Duration::from_mins(1))
    .with_interval(Duration::from_secs(20))
    .with_retries(3);

/// The first byte of a TLS connection: a record that carries a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

#[cfg(test)]
mod tests {
    //! What becomes of what is there already.

    use super::*;

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("precious.json");
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(Listener::unix(&file).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&file).unwrap(), b"{}");

        let socket = folder.path().join("tollgate.sock");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let listener = Listener::unix(&socket).unwrap();
        assert_eq!(Listener::unix(&socket).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        assert!(!socket.exists());
    }
}
