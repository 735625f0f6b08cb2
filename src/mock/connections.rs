//! Accepts connections and speaks HTTP/1.1 or HTTP/2 on them, whichever the client begins with.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::calls::Calls;

/// A listener and what its connections need.
pub(super) struct Door {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Door {
    /// Accepts until stopped.
    pub(super) async fn serve(self, calls: Arc<Calls>) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors, most likely: wait for some to be closed.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let (calls, stop, tls) = (Arc::clone(&calls), self.stop.clone(), self.tls.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = Box::pin(connection(stream, tls, calls)) => {}
                }
            });
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, calls: Arc<Calls>) {
    // Latency only; without it the connection works as well.
    let _ = stream.set_nodelay(true);
    match tls {
        None => exchange(stream, calls).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                exchange(stream, calls).await;
            }
        }
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + 'static>(stream: S, calls: Arc<Calls>) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let calls = Arc::clone(&calls);
        async move { calls.answer(request).await }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(1_000);
    // What a connection ends with is the client's affair; how each answer ended is in the account.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}
