//! The connections to Bedrock: opened on demand, kept while idle, bounded in number.
//!
//! A connection carries one call at a time. It comes back when its response has been read to the end; one whose response
//! was dropped half-way is closed. A request that a kept connection gives back unwritten (Bedrock had closed it meanwhile)
//! is sent on a fresh one; a request of which a single byte was written is never sent again.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::body::UpstreamBody;
use super::connector::Connector;
use super::endpoint::Endpoint;
use super::error::{Phase, UpstreamError};
use super::line::Line;

/// Bounds in time and number.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections open at once, over all endpoints.
    pub max_connections: usize,
    /// How long a call waits for a free connection or a new one.
    pub connect_timeout: Duration,
    /// From the request written to the response's head. Models that answer in one piece think before it.
    pub first_byte_timeout: Duration,
    /// Between two pieces of a response.
    pub idle_timeout: Duration,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
}

/// What the pool has done, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolCounts {
    /// Connections open now, in use or idle.
    pub open: u64,
    /// Connections ever opened.
    pub opened: u64,
    /// Calls that found a kept connection.
    pub reused: u64,
}

/// The pool.
#[derive(Debug)]
pub struct Pool {
    connector: Connector,
    limits: Limits,
    permits: Arc<Semaphore>,
    idle: Mutex<HashMap<Arc<Endpoint>, Vec<Idle>>>,
    /// Rung when a connection has come back: an idle one keeps its permit, so a call that waits for a permit would not see it.
    returned: Notify,
    opened: AtomicU64,
    reused: AtomicU64,
}

#[derive(Debug)]
struct Idle {
    line: Line,
    permit: OwnedSemaphorePermit,
    since: Instant,
}

/// A connection in use, and the way back.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Arc<Pool>,
    endpoint: Arc<Endpoint>,
    line: Line,
    permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Moves the connection's bytes, as far as they go now.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        self.line.drive(cx);
    }

    /// Gives the connection back; its response has been read to the end.
    pub(super) fn give_back(self) {
        if self.line.is_closed() {
            return;
        }
        let idle = Idle { line: self.line, permit: self.permit, since: Instant::now() };
        self.pool.idle().entry(self.endpoint).or_default().push(idle);
        self.pool.returned.notify_one();
    }
}

impl Pool {
    /// A pool that connects by `connector`.
    pub fn new(connector: Connector, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            connector,
            limits,
            permits: Arc::new(Semaphore::new(limits.max_connections)),
            idle: Mutex::default(),
            returned: Notify::new(),
            opened: AtomicU64::new(0),
            reused: AtomicU64::new(0),
        })
    }

    /// What it has done so far.
    pub fn counts(&self) -> PoolCounts {
        let free = self.permits.available_permits();
        PoolCounts {
            open: u64::try_from(self.limits.max_connections.saturating_sub(free)).unwrap_or(u64::MAX),
            opened: self.opened.load(Ordering::Relaxed),
            reused: self.reused.load(Ordering::Relaxed),
        }
    }

    /// Closes connections that have been idle for too long.
    pub fn close_idle(&self) {
        let kept_for = self.limits.pool_idle_timeout;
        for connections in self.idle().values_mut() {
            connections.retain(|idle| idle.since.elapsed() < kept_for && !idle.line.is_closed());
        }
    }

    /// Sends a request and waits for the response's head.
    pub(super) async fn send(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let mut request = request;
        loop {
            let (mut lease, origin) = self.lease(endpoint).await?;
            match (self.try_on(&mut lease, request).await, origin) {
                (Ok(response), _) => return Ok(self.leased(response, lease)),
                (Err(TrySend::Unwritten(unwritten)), Origin::Kept) => request = *unwritten,
                (Err(TrySend::Unwritten(_)), Origin::Fresh) => {
                    return Err(UpstreamError::Connect {
                        endpoint: endpoint.to_string(),
                        reason: "the connection was closed as soon as it was open".to_owned(),
                    });
                }
                (Err(TrySend::Failed(error)), _) => return Err(error),
            }
        }
    }

    fn leased(&self, response: Response<hyper::body::Incoming>, lease: Lease) -> Response<UpstreamBody> {
        response.map(|body| UpstreamBody::new(body, lease, self.limits.idle_timeout))
    }

    async fn try_on(
        &self,
        lease: &mut Lease,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<hyper::body::Incoming>, TrySend> {
        match timeout(self.limits.first_byte_timeout, lease.line.send(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut error)) => Err(match error.take_message() {
                Some(unwritten) => TrySend::Unwritten(Box::new(unwritten)),
                None => TrySend::Failed(UpstreamError::Reset(error.into_error())),
            }),
            Err(_) => Err(TrySend::Failed(UpstreamError::Timeout(Phase::FirstByte))),
        }
    }

    /// A kept connection, or a new one, or whichever of the two another call leaves first.
    async fn lease(self: &Arc<Self>, endpoint: &Arc<Endpoint>) -> Result<(Lease, Origin), UpstreamError> {
        let deadline = Instant::now() + self.limits.connect_timeout;
        loop {
            // Listened for before looking, so that one which comes back in between is not missed.
            let mut returned = pin!(self.returned.notified());
            returned.as_mut().enable();
            if let Some(lease) = self.kept(endpoint).await {
                return Ok((lease, Origin::Kept));
            }
            let permit = if let Some(permit) = self.permit() {
                permit
            } else {
                tokio::select! {
                    permit = Arc::clone(&self.permits).acquire_owned() => permit.map_err(|_| self.overloaded())?,
                    () = returned => continue,
                    () = tokio::time::sleep_until(deadline) => return Err(self.overloaded()),
                }
            };
            return Ok((self.open(endpoint, permit, deadline).await?, Origin::Fresh));
        }
    }

    /// The connection that was used last: the others may then grow old and close.
    async fn kept(self: &Arc<Self>, endpoint: &Arc<Endpoint>) -> Option<Lease> {
        loop {
            let Idle { mut line, permit, since } = self.idle().get_mut(endpoint)?.pop()?;
            // Ready at once, but for the moment in which its last response is being put to rest.
            let good = async { matches!(timeout(self.limits.connect_timeout, line.is_good()).await, Ok(true)) };
            if since.elapsed() < self.limits.pool_idle_timeout && good.await {
                self.reused.fetch_add(1, Ordering::Relaxed);
                return Some(Lease { pool: Arc::clone(self), endpoint: Arc::clone(endpoint), line, permit });
            }
        }
    }

    async fn open(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        permit: OwnedSemaphorePermit,
        deadline: Instant,
    ) -> Result<Lease, UpstreamError> {
        let failed = |reason: String| UpstreamError::Connect { endpoint: endpoint.to_string(), reason };
        let connection = tokio::time::timeout_at(deadline, self.connector.connect(endpoint))
            .await
            .map_err(|_| UpstreamError::Timeout(Phase::Connect))?
            .map_err(|error| failed(error.to_string()))?;
        let line = Line::new(connection).await.map_err(|error| failed(error.to_string()))?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Lease { pool: Arc::clone(self), endpoint: Arc::clone(endpoint), line, permit })
    }

    /// The right to open a connection, if there is one: a free one, or that of the connection which has been idle longest.
    /// Whoever asks found none of its own endpoint's, so that one leads elsewhere.
    fn permit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(permit);
        }
        let mut idle = self.idle();
        let oldest = idle.values_mut().filter(|connections| !connections.is_empty());
        let connections = oldest.min_by_key(|connections| connections.first().map(|idle| idle.since))?;
        Some(connections.remove(0).permit)
    }

    const fn overloaded(&self) -> UpstreamError {
        UpstreamError::Overloaded(self.limits.max_connections)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<Endpoint>, Vec<Idle>>> {
        // The map is whole between any two of its operations, so a panic elsewhere does not spoil it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// It has answered before, and may have been closed since.
    Kept,
    /// It was opened for this call.
    Fresh,
}

enum TrySend {
    Unwritten(Box<Request<Full<Bytes>>>),
    Failed(UpstreamError),
}

#[cfg(test)]
mod tests;
