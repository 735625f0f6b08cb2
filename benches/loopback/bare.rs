//! What a proxy on hyper costs that does nothing: hyper's server, hyper's client over a pool of its own, and each frame passed on
//! as it comes. The bench starts itself again for it, so that it is a process of its own.

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::{Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Either;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsConnector;

use crate::tls::Certificate;
use crate::wire::Io;

/// The argument that starts it: the upstream's address follows, and with TLS the certificate and its key.
pub(crate) const ARGUMENT: &str = "--bare-hyper";

pub(crate) fn main(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let (address, files) = arguments.split_first().ok_or("which upstream?")?;
    let address: SocketAddr = address.parse()?;
    let certificate = match files {
        [chain, key] => Some(Certificate { chain: PathBuf::from(chain), key: PathBuf::from(key) }),
        _ => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(serve(address, certificate)))
}

async fn serve(address: SocketAddr, certificate: Option<Certificate>) -> Result<(), Box<dyn Error>> {
    let acceptor = certificate.as_ref().map(Certificate::acceptor).transpose()?;
    let connector = certificate.as_ref().map(Certificate::connector).transpose()?;
    let upstream = Rc::new(Pool { address, connector, idle: RefCell::new(Vec::new()) });
    // The backlog of std's listener is too short for thousands that connect at once.
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let listener: TcpListener = socket.listen(4_096)?;
    println!("{}", listener.local_addr()?);
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let (upstream, acceptor) = (Rc::clone(&upstream), acceptor.clone());
        spawn_local(async move {
            let io: Box<dyn Io> = match acceptor {
                None => Box::new(tcp),
                Some(tls) => Box::new(tls.accept(tcp).await?),
            };
            let service = service_fn(|request| {
                let upstream = Rc::clone(&upstream);
                async move { Ok::<_, Infallible>(pass(request, upstream).await) }
            });
            http1::Builder::new().serve_connection(TokioIo::new(io), service).await.map_err(io::Error::other)
        });
    }
}

type Answer = Response<Either<Passed, String>>;

async fn pass(mut request: Request<Incoming>, upstream: Rc<Pool>) -> Answer {
    request.headers_mut().remove(header::CONNECTION);
    match upstream.send(request).await {
        Ok(answer) => answer.map(Either::Left),
        Err(error) => {
            let mut answer = Response::new(Either::Right(error.to_string()));
            *answer.status_mut() = http::StatusCode::BAD_GATEWAY;
            answer
        }
    }
}

/// Connections to the upstream that wait for their next request.
struct Pool {
    address: SocketAddr,
    connector: Option<TlsConnector>,
    idle: RefCell<Vec<SendRequest<Incoming>>>,
}

impl Pool {
    async fn send(self: Rc<Self>, request: Request<Incoming>) -> Result<Response<Passed>, Box<dyn Error>> {
        let mut sender = self.take().await?;
        let answer = sender.send_request(request).await?;
        let back = Back { pool: self, sender: Some(sender) };
        Ok(answer.map(|body| Passed { body, _back: back }))
    }

    async fn take(&self) -> Result<SendRequest<Incoming>, Box<dyn Error>> {
        loop {
            let idle = self.idle.borrow_mut().pop();
            let Some(mut sender) = idle else { return self.connect().await };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Incoming>, Box<dyn Error>> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let io: Box<dyn Io> = match &self.connector {
            None => Box::new(tcp),
            Some(tls) => Box::new(tls.connect(ServerName::from(self.address.ip()), tcp).await?),
        };
        let (sender, connection) = handshake(TokioIo::new(io)).await?;
        spawn_local(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }
}

/// The upstream's body, frame by frame. Read to its end, its connection waits for the next request.
struct Passed {
    body: Incoming,
    /// Is there to be dropped.
    _back: Back,
}

impl Body for Passed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Gives the connection back once the body is dropped; one that still streams is waited for by whoever takes it, or closed.
struct Back {
    pool: Rc<Pool>,
    sender: Option<SendRequest<Incoming>>,
}

impl Drop for Back {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            self.pool.idle.borrow_mut().push(sender);
        }
    }
}
