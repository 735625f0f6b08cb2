//! The connections to Bedrock: opened on demand, kept while idle, bounded in number.
//!
//! A connection carries one call at a time. It comes back when its response has been read to the end; one whose response
//! was dropped half-way is closed. A request that a kept connection gives back unwritten (Bedrock had closed it meanwhile)
//! is sent on a fresh one; a request of which a single byte was written is never sent again.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::unconstrained;
use tokio::time::{Instant, timeout};

use super::body::UpstreamBody;
use super::connector::Connector;
use super::endpoint::Endpoint;
use super::error::{Phase, UpstreamError};
use super::line::{Line, SendError};
use crate::http1::ResponseHead;
use crate::types::{QuickMap, Segments};

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
    idle: Mutex<QuickMap<Arc<Endpoint>, Vec<Idle>>>,
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
    pub(super) line: Line,
    permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Gives the connection back; its response has been read to the end.
    pub(super) fn give_back(mut self) {
        if !self.line.rest() {
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
            connections.retain(|idle| idle.since.elapsed() < kept_for);
        }
    }

    /// Sends a request and waits for the response's head.
    pub(super) async fn send(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        request: Request<Segments>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        loop {
            let (mut lease, origin) = self.lease(endpoint).await?;
            match (timeout(self.limits.first_byte_timeout, lease.line.send(&request)).await, origin) {
                (Ok(Ok(ResponseHead { parts, framing, keep_alive })), _) => {
                    let body = UpstreamBody::new(lease, framing, keep_alive, self.limits.idle_timeout);
                    return Ok(Response::from_parts(parts, body));
                }
                (Ok(Err(SendError::Unwritten)), Origin::Kept) => {}
                (Ok(Err(SendError::Unwritten)), Origin::Fresh) => {
                    return Err(UpstreamError::Connect {
                        endpoint: endpoint.to_string(),
                        reason: "the connection was closed as soon as it was open".to_owned(),
                    });
                }
                (Ok(Err(SendError::Broke(error))), _) => return Err(UpstreamError::Reset(error)),
                (Err(_), _) => return Err(UpstreamError::Timeout(Phase::FirstByte)),
            }
        }
    }

    /// A kept connection, or a new one, or whichever of the two another call leaves first.
    async fn lease(self: &Arc<Self>, endpoint: &Arc<Endpoint>) -> Result<(Lease, Origin), UpstreamError> {
        let deadline = Instant::now() + self.limits.connect_timeout;
        loop {
            // Listened for before looking, so that one which comes back in between is not missed.
            let mut returned = pin!(self.returned.notified());
            returned.as_mut().enable();
            // Unconstrained, because a task that has used its turn up would take every connection for one on which nothing has come.
            if let Some(lease) = unconstrained(poll_fn(|cx| Poll::Ready(self.kept(cx, endpoint)))).await {
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
    fn kept(self: &Arc<Self>, cx: &mut Context<'_>, endpoint: &Arc<Endpoint>) -> Option<Lease> {
        loop {
            let Idle { mut line, permit, since } = self.idle().get_mut(endpoint)?.pop()?;
            if since.elapsed() < self.limits.pool_idle_timeout && line.is_good(cx) {
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
        let line = Line::new(connection);
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

    fn idle(&self) -> std::sync::MutexGuard<'_, QuickMap<Arc<Endpoint>, Vec<Idle>>> {
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

#[cfg(test)]
mod tests;
