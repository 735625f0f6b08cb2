//! One connection: HTTP/1.1 or HTTP/2, until it ends, goes idle, or the server stops.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::http1;
use super::listener::ServerLimits;
use crate::gateway::{Body, Gateway};
use crate::http1::{LARGEST_HEAD, MOST_HEADERS};
use crate::identity::Origin;

/// Serves a connection: by [`http1`], and by hyper from the first request that is not ordinary.
pub(super) async fn drive<I>(
    io: I,
    gateway: Arc<Gateway>,
    origin: Arc<Origin>,
    limits: ServerLimits,
    stop: CancellationToken,
) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match http1::serve(io, &gateway, &origin, limits, &stop).await? {
        // Boxed: most connections never need it.
        Some(unusual) => Box::pin(by_hyper(unusual, gateway, origin, limits, stop)).await,
        None => Ok(()),
    }
}

async fn by_hyper<I>(
    io: I,
    gateway: Arc<Gateway>,
    origin: Arc<Origin>,
    limits: ServerLimits,
    stop: CancellationToken,
) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let requests = Arc::new(Requests::default());
    let service = service_fn(|request| {
        let open = Open::new(&requests);
        let (gateway, origin) = (Arc::clone(&gateway), Arc::clone(&origin));
        async move { Ok::<_, Infallible>(gateway.handle(request, &origin).await.map(|body| Answer { body, _open: open })) }
    });
    let builder = builder(limits.header_timeout);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut look = pin!(sleep(limits.header_timeout));
    let (mut stopping, mut seen) = (false, 0);
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended.map_err(|error| io::Error::other(error.to_string())),
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            // hyper's own timeout of heads is HTTP/1.1's, and starts when the version is known. This one is for the time
            // before, and for HTTP/2, where a peer that answers pings could stay without asking for anything.
            () = look.as_mut() => {
                let begun = requests.begun.load(Ordering::Relaxed);
                if begun == seen && requests.open.load(Ordering::Relaxed) == 0 {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "no request in time"));
                }
                seen = begun;
                look.as_mut().reset(Instant::now() + IDLE.max(limits.header_timeout));
            }
        }
    }
}

/// The requests of one connection.
#[derive(Debug, Default)]
struct Requests {
    begun: AtomicU64,
    open: AtomicU64,
}

/// A request whose answer has not ended.
struct Open(Arc<Requests>);

impl Open {
    fn new(requests: &Arc<Requests>) -> Self {
        requests.begun.fetch_add(1, Ordering::Relaxed);
        requests.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(requests))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body, which keeps its request open until it is dropped.
struct Answer {
    body: Body,
    _open: Open,
}

impl HttpBody for Answer {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

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

/// How long a connection may have no request open, give or take as much. Long, because the last bytes of an answer may still
/// be on their way to a slow reader.
pub(super) const IDLE: Duration = Duration::from_mins(5);

fn builder(header_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LARGEST_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(64 * 1_024)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_send_buf_size(64 * 1_024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Streams of one HTTP/2 connection. The AWS SDK for JavaScript opens a connection for each call.
const MAX_STREAMS: u32 = 256;
