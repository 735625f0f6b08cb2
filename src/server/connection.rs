//! One connection: HTTP/1.1 or HTTP/2, until it ends, goes idle, or the server stops.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::listener::ServerLimits;
use crate::gateway::Gateway;

/// Serves a connection.
pub(super) async fn drive<I>(
    io: I,
    gateway: Arc<Gateway>,
    limits: ServerLimits,
    stop: CancellationToken,
) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let spoken = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request| {
        spoken.store(true, Ordering::Relaxed);
        let gateway = Arc::clone(&gateway);
        async move { Ok::<_, Infallible>(gateway.handle(request).await) }
    });
    let builder = builder(limits.header_timeout);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut silence = pin!(tokio::time::sleep(limits.header_timeout));
    let (mut stopping, mut watched) = (false, true);
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended.map_err(|error| io::Error::other(error.to_string())),
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            // hyper's own timeout of heads starts when the version is known; until a first request there is only this one.
            () = silence.as_mut(), if watched => {
                watched = false;
                if !spoken.load(Ordering::Relaxed) {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "no request in time"));
                }
            }
        }
    }
}

fn builder(header_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
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

/// Clients send about twenty headers; Bedrock itself is said to take a few more.
const MAX_HEADERS: usize = 100;

/// The largest head, and the most that is buffered of a response whose reader is slow.
const MAX_HEAD_BYTES: usize = 64 * 1_024;

/// Streams of one HTTP/2 connection. The AWS SDK for JavaScript opens a connection for each call.
const MAX_STREAMS: u32 = 256;
