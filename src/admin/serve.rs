//! The admin listener: HTTP/1.1, few connections, short patience.
//!
//! Every connection is bounded: in number, in the time for a request's head, and in its whole life, so that nobody who
//! can reach the port can hold the gateway's memory.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pages::{AdminSources, action, answer, change};

/// Answers operators until `stop` is cancelled, and returns when the last answer under way has been sent.
///
/// Keep it running while the gateway drains: `/readyz` has to say so, and the last requests want to be scraped.
pub async fn serve(listener: TcpListener, sources: AdminSources, stop: CancellationToken) {
    let sources = Arc::new(sources);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let permit = tokio::select! {
            () = stop.cancelled() => break,
            permit = Arc::clone(&room).acquire_owned() => permit,
        };
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match (permit, stream) {
            (Ok(permit), Ok((stream, _))) => {
                let (sources, stop) = (Arc::clone(&sources), stop.clone());
                connections.spawn(async move {
                    connection(stream, sources, stop).await;
                    drop(permit);
                });
            }
            (_, Err(error)) => wait_out(&error).await,
            (Err(_), Ok(_)) => break,
        }
    }
    connections.close();
    connections.wait().await;
}

async fn connection(stream: TcpStream, sources: Arc<AdminSources>, stop: CancellationToken) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let sources = Arc::clone(&sources);
        async move {
            let (head, body) = request.into_parts();
            let answered = match action(&head.method, head.uri.path()) {
                Some(action) => change(&sources, action, &head.headers, body).await,
                None => answer(&sources, &head.method, head.uri.path(), head.uri.query()).await,
            };
            Ok::<_, Infallible>(answered)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(64)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(stream), service)
    );
    // An error here is the client's (it hung up, it was too slow, it does not speak HTTP), and of interest to nobody.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = sleep(LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(LAST_ANSWER, connection).await;
}

/// Out of file descriptors, most likely: a loop that retries at once would burn a core until one is free.
async fn wait_out(error: &io::Error) {
    tracing::warn!(%error, "the admin listener could not accept a connection");
    sleep(ACCEPT_PAUSE).await;
}

/// A scraper or two, the orchestrator's probes, a person.
const CONNECTIONS: usize = 64;
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than every usual scrape interval, so that a scraper keeps its connection for a while.
const LIFE: Duration = Duration::from_mins(10);
const LAST_ANSWER: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
