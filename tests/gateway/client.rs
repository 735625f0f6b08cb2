//! HTTP clients that hide nothing: one connection a request, every header and byte as it came.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What is spoken on a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Http1,
    /// With prior knowledge, or after ALPN.
    Http2,
}

/// An answer, whole or as far as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Why the body broke off.
    pub(crate) broke: Option<String>,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status, AWS's error type and Tollgate's reason.
    pub(crate) fn refusal(&self) -> (u16, &str, &str) {
        let header = |name| self.header(name).unwrap_or_default();
        (self.status.as_u16(), header("x-amzn-errortype"), header("x-tollgate-reason"))
    }

    /// What the person at the keyboard reads.
    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }

    /// The payloads of an event stream by event or exception type; the rest after the last whole message is not looked at.
    pub(crate) fn events(&self) -> Vec<(String, Bytes)> {
        events(&self.body)
    }
}

/// Decodes an event stream with AWS's own decoder.
pub(crate) fn events(bytes: &[u8]) -> Vec<(String, Bytes)> {
    use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
    let mut decoder = MessageFrameDecoder::new();
    let mut rest = Bytes::copy_from_slice(bytes);
    let mut events = Vec::new();
    while let Ok(DecodedFrame::Complete(message)) = decoder.decode_frame(&mut rest) {
        let header = |name: &str| {
            let found = message.headers().iter().find(|header| header.name().as_str() == name)?;
            found.value().as_string().ok().map(|text| text.as_str().to_owned())
        };
        let kind = header(":event-type").or_else(|| header(":exception-type")).unwrap_or_default();
        events.push((kind, message.payload().clone()));
    }
    events
}

/// Opens a connection, sends, and reads the answer to its end.
pub(crate) async fn send<B>(address: SocketAddr, wire: Wire, request: Request<B>) -> Answer
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let response = open(address, wire, request).await;
    in_time(collect(response)).await
}

/// Opens a connection, sends, and reads the answer's head.
pub(crate) async fn open<B>(address: SocketAddr, wire: Wire, request: Request<B>) -> Response<Incoming>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    open_on(TcpStream::connect(address).await.unwrap(), wire, &address.to_string(), request).await.unwrap()
}

/// Sends on a connection and reads the answer's head.
pub(crate) async fn open_on<I, B>(
    io: I,
    wire: Wire,
    host: &str,
    request: Request<B>,
) -> hyper::Result<Response<Incoming>>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut request = request;
    match wire {
        Wire::Http1 => {
            if !request.headers().contains_key("host") {
                request.headers_mut().insert("host", host.parse().unwrap());
            }
            let (mut sender, driver) = http1::handshake(TokioIo::new(io)).await?;
            tokio::spawn(driver);
            in_time(sender.send_request(request)).await
        }
        Wire::Http2 => {
            let path = request.uri().path_and_query().unwrap().to_string();
            *request.uri_mut() = format!("http://{host}{path}").parse().unwrap();
            let (mut sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await?;
            tokio::spawn(driver);
            in_time(sender.send_request(request)).await
        }
    }
}

/// Reads an answer to its end.
pub(crate) async fn collect(response: Response<Incoming>) -> Answer {
    let (head, mut incoming) = response.into_parts();
    let (mut body, mut broke) = (BytesMut::new(), None);
    while let Some(frame) = incoming.frame().await {
        match frame {
            Ok(frame) => body.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Err(error) => {
                broke = Some(error.to_string());
                break;
            }
        }
    }
    Answer { status: head.status, version: head.version, headers: head.headers, body: body.freeze(), broke }
}

/// A TLS connection that offers these protocols.
pub(crate) async fn tls(address: SocketAddr, ca: &Path, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let tcp = TcpStream::connect(address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
}

/// Writes bytes as they are, and gives all that comes back before the other side closes. The write side is left open.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    // The other side may have closed before all was written; what it said until then is what counts.
    let _ = tcp.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = in_time(tcp.read_to_end(&mut answer)).await;
    answer
}

/// Reads until what has come satisfies a condition.
pub(crate) async fn read_until<I>(io: &mut I, mut enough: impl FnMut(&[u8]) -> bool) -> Vec<u8>
where
    I: AsyncRead + Unpin,
{
    let mut seen = Vec::new();
    while !enough(&seen) {
        let read = in_time(io.read_buf(&mut seen)).await.unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&seen));
    }
    seen
}

/// A minute at most; a test that hangs says where.
#[track_caller]
pub(crate) fn in_time<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let here = std::panic::Location::caller();
    async move { tokio::time::timeout(Duration::from_mins(1), future).await.unwrap_or_else(|_| panic!("hangs at {here}")) }
}
