//! The body of Bedrock's response: hyper's own, with a bound on silence and the connection's way back to the pool.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::error::{Phase, UpstreamError};
use super::pool::Lease;

/// A response body from Bedrock. Frames are passed on as they came.
pub struct UpstreamBody {
    incoming: Incoming,
    lease: Option<Lease>,
    idle_timeout: Duration,
    silence: Pin<Box<Sleep>>,
    waiting: Waiting,
}

/// Whether the clock of the idle timeout runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    No,
    Since,
}

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, lease: Lease, idle_timeout: Duration) -> Self {
        let mut body = Self {
            incoming,
            lease: Some(lease),
            idle_timeout,
            silence: Box::pin(sleep(idle_timeout)),
            waiting: Waiting::No,
        };
        if body.incoming.is_end_stream() {
            body.done();
        }
        body
    }

    fn done(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let mut polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if polled.is_pending()
            && let Some(lease) = &mut self.lease
        {
            // Nothing is here yet: move the connection's bytes in this very task, and look again.
            lease.drive(cx);
            polled = Pin::new(&mut self.incoming).poll_frame(cx);
        }
        if let Poll::Ready(frame) = polled {
            self.waiting = Waiting::No;
            if frame.is_none() || self.incoming.is_end_stream() {
                self.done();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(UpstreamError::Reset)));
        }
        if self.waiting == Waiting::No {
            let until = Instant::now() + self.idle_timeout;
            self.silence.as_mut().reset(until);
            self.waiting = Waiting::Since;
        }
        ready!(self.silence.as_mut().poll(cx));
        self.lease = None;
        Poll::Ready(Some(Err(UpstreamError::Timeout(Phase::Idle))))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody").finish_non_exhaustive()
    }
}
