//! Bedrock's answer on its way to the caller.
//!
//! [`MeteredBody`] hands on the very `Bytes` that came from upstream and shows the meter a borrow of them. However it ends, and
//! also when it is dropped half-way or its caller stops reading, the exchange behind it is settled exactly once.
//!
//! A body is only looked at when its caller is ready for more. So what it holds lies in a [`Flow`], from which
//! [`Drains::watch`] can take it: the lock is taken once a piece and contended by nobody else.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::io::AsyncWrite;
use tokio::time::{Sleep, sleep};

use super::drains::{Drains, OnDisconnect, Watched};
use super::exchange::{Closing, Exchange, fault};
use crate::budget::ReservedReason;
use crate::eventstream;
use crate::http1::Framing;
use crate::telemetry::Downstream;
use crate::upstream::{Phase, UpstreamBody, UpstreamError};

/// An answer's body, metered.
#[derive(Debug)]
pub struct MeteredBody {
    flow: Arc<Flow>,
    framing: Framing,
    drains: Drains,
    _watched: Watched,
}

/// What is left of an answer, and whose turn it is.
#[derive(Debug)]
pub(super) struct Flow(Mutex<Course>);

#[derive(Debug)]
struct Course {
    state: State,
    /// How often in a row the watch has found the caller not to take what is there.
    idle_looks: u32,
    /// How many bytes have been written to the caller as they stand on the wire.
    passed: u64,
}

#[derive(Debug)]
enum State {
    /// More may come.
    Open(Box<(UpstreamBody, Exchange)>, Turn),
    /// It broke off within a message and is settled: what has been passed on leaves first, then the connection is cut.
    Parting(Option<UpstreamError>, Pin<Box<Sleep>>),
    /// It has ended and is settled; this is still to be written.
    Last(Bytes),
    /// It has ended, and is settled.
    Ended,
    /// The caller did not read on, and it was taken from them.
    Taken,
}

/// Who is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Upstream,
    Caller,
}

impl MeteredBody {
    pub(super) fn new(upstream: UpstreamBody, exchange: Exchange, drains: Drains) -> Self {
        let framing = upstream.framing();
        let state = if upstream.is_end_stream() {
            exchange.conclude(Closing::End);
            State::Ended
        } else {
            State::Open(Box::new((upstream, exchange)), Turn::Caller)
        };
        let flow = Arc::new(Flow(Mutex::new(Course { state, idle_looks: 0, passed: 0 })));
        let watched = drains.watched(&flow);
        Self { flow, framing, drains, _watched: watched }
    }

    /// Where the body ends on the wire, as [`MeteredBody::poll_pass`] writes it.
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// Writes `head`, and after it the body as it stands on Bedrock's wire, framing included. Ready once all is written.
    pub fn poll_pass<W>(&self, cx: &mut Context<'_>, head: &mut Bytes, out: &mut W) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
    {
        self.flow.lock().poll_pass(cx, head, out)
    }

    /// How many bytes have been written, and whether what is left to write is all there is.
    pub fn progress(&self) -> (u64, bool) {
        let course = self.flow.lock();
        (course.passed, !matches!(course.state, State::Open(..)))
    }
}

impl Course {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        self.idle_looks = 0;
        let (upstream, exchange) = match &mut self.state {
            State::Open(open, turn) => {
                *turn = Turn::Upstream;
                (&mut open.0, &mut open.1)
            }
            State::Parting(error, wait) => {
                ready!(wait.as_mut().poll(cx));
                return Poll::Ready(error.take().map(Err));
            }
            State::Last(_) | State::Ended => return Poll::Ready(None),
            // A clean end would be taken for a whole answer.
            State::Taken => return Poll::Ready(Some(Err(UpstreamError::Timeout(Phase::Idle)))),
        };
        let frame = match ready!(Pin::new(&mut *upstream).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                return match self.broke(error, true) {
                    Some(last_words) => Poll::Ready(Some(Ok(Frame::data(last_words)))),
                    None => self.poll(cx),
                };
            }
            None => {
                self.close(Closing::End);
                return Poll::Ready(None);
            }
        };
        if let Some(data) = frame.data_ref() {
            exchange.observe(data);
            exchange.sent(data.len());
        }
        if upstream.is_end_stream() {
            self.close(Closing::End);
        } else if let State::Open(_, turn) = &mut self.state {
            *turn = Turn::Caller;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn poll_pass<W>(&mut self, cx: &mut Context<'_>, head: &mut Bytes, out: &mut W) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
    {
        loop {
            let waits = self.look(cx).is_pending();
            let body = match &self.state {
                State::Open(open, _) => open.0.wire(),
                State::Last(last) => last,
                State::Parting(..) | State::Ended => &[],
                State::Taken => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            };
            if head.is_empty() && body.is_empty() {
                let flushed = Pin::new(&mut *out).poll_flush(cx)?;
                match &mut self.state {
                    State::Last(_) | State::Ended => return flushed.map(Ok),
                    State::Parting(_, wait) => {
                        ready!(wait.as_mut().poll(cx));
                        return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                    }
                    State::Open(..) | State::Taken if waits => return Poll::Pending,
                    State::Open(..) | State::Taken => continue,
                }
            }
            let both = [IoSlice::new(head), IoSlice::new(body)];
            let written = match Pin::new(&mut *out).poll_write_vectored(cx, &both) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(written) => written?,
                Poll::Pending => {
                    if let State::Open(_, turn) = &mut self.state {
                        *turn = Turn::Caller;
                    }
                    return Poll::Pending;
                }
            };
            self.idle_looks = 0;
            self.passed += written as u64;
            let of_head = written.min(head.len());
            head.advance(of_head);
            match &mut self.state {
                State::Open(open, _) => open.0.passed(written - of_head),
                State::Last(last) => last.advance(written - of_head),
                State::Parting(..) | State::Ended | State::Taken => {}
            }
        }
    }

    /// Looks for more of the body once all that was there has been written.
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Open(open, turn) = &mut self.state else { return Poll::Ready(()) };
        let (upstream, exchange) = &mut **open;
        if !upstream.wire().is_empty() {
            return Poll::Ready(());
        }
        *turn = Turn::Upstream;
        let meter = |payload: &[u8]| {
            exchange.observe(payload);
            exchange.sent(payload.len());
        };
        match ready!(upstream.poll_more(cx, meter)) {
            Ok(None) => {}
            Ok(Some(last)) => {
                self.close(Closing::End);
                self.state = State::Last(last);
            }
            Err(error) => {
                let (between, chunked) = (upstream.is_between_chunks(), upstream.framing() == Framing::Chunked);
                if let Some(last_words) = self.broke(error, between) {
                    self.state = State::Last(if chunked { last_chunk(&last_words) } else { last_words });
                }
            }
        }
        Poll::Ready(())
    }

    fn take(&mut self) -> Option<Box<(UpstreamBody, Exchange)>> {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Open(open, _) => Some(open),
            settled @ (State::Parting(..) | State::Last(_) | State::Ended | State::Taken) => {
                self.state = settled;
                None
            }
        }
    }

    fn close(&mut self, closing: Closing) {
        if let State::Open(open, _) = std::mem::replace(&mut self.state, State::Ended) {
            let (upstream, exchange) = *open;
            drop(upstream);
            exchange.conclude(closing);
        }
    }

    /// Upstream broke. A stream that stands between two messages is ended by an exception that every SDK raises; inside a
    /// message, or in a JSON body, only a cut connection tells the caller that something is missing.
    /// `room` is whether something may follow on the wire at all.
    fn broke(&mut self, error: UpstreamError, room: bool) -> Option<Bytes> {
        let State::Open(open, _) = &mut self.state else { return None };
        let exchange = &mut open.1;
        let closing = Closing::Failed(fault(&error));
        if !room || !exchange.is_between_messages() {
            self.close(closing);
            self.state = State::Parting(Some(error), Box::pin(sleep(PARTING)));
            return None;
        }
        let text = format!("Tollgate lost the connection to Bedrock in the middle of the answer: {error}");
        let last_words = eventstream::exception("serviceUnavailableException", &text);
        exchange.sent(last_words.len());
        self.close(closing);
        Some(last_words)
    }
}

impl Flow {
    /// Looks whether the caller has what there is for them left lying, this often in a row.
    pub(super) fn is_stuck(&self, looks: u32) -> bool {
        let mut course = self.lock();
        if !matches!(course.state, State::Open(_, Turn::Caller)) {
            return false;
        }
        course.idle_looks += 1;
        course.idle_looks > looks
    }

    /// The caller is gone, or as good as gone. Bedrock goes on and bills; so does the meter, in the background, within bounds.
    pub(super) fn leave(&self, drains: &Drains) {
        let Some(open) = self.lock().take() else { return };
        let (upstream, mut exchange) = *open;
        exchange.left(Downstream::Gone);
        if drains.policy() == OnDisconnect::Cancel {
            drop(upstream);
            exchange.conclude(Closing::GivenUp(ReservedReason::Cancelled));
            return;
        }
        let Some(place) = drains.place() else {
            drop(upstream);
            exchange.conclude(Closing::GivenUp(ReservedReason::DrainRefused));
            return;
        };
        let bounds = drains.clone();
        drains.run(async move {
            let _place = place;
            let _gauge = exchange.draining();
            let closing = tokio::select! {
                closing = read_on(upstream, &mut exchange) => closing,
                () = sleep(bounds.timeout()) => Closing::GivenUp(ReservedReason::DrainTimedOut),
                () = bounds.over() => Closing::GivenUp(ReservedReason::Shutdown),
            };
            exchange.conclude(closing);
        });
    }

    // What a panic under the lock leaves behind is still whole: the state is replaced in one step.
    fn lock(&self) -> MutexGuard<'_, Course> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for MeteredBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        self.flow.lock().poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.flow.lock().state, State::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.flow.lock().state {
            State::Open(open, _) => open.0.size_hint(),
            State::Ended => SizeHint::with_exact(0),
            State::Parting(..) | State::Last(_) | State::Taken => SizeHint::default(),
        }
    }
}

impl Drop for MeteredBody {
    fn drop(&mut self) {
        self.flow.leave(&self.drains);
    }
}

/// A connection that is cut takes along what has not left yet. This is far more than its leaving takes.
const PARTING: Duration = Duration::from_millis(50);

/// A chunk, and the end of a chunked body after it.
fn last_chunk(data: &[u8]) -> Bytes {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n0\r\n\r\n"].concat().into()
}

async fn read_on(mut upstream: UpstreamBody, exchange: &mut Exchange) -> Closing {
    while let Some(frame) = upstream.frame().await {
        match frame {
            Ok(frame) => {
                if let Some(data) = frame.data_ref() {
                    exchange.observe(data);
                }
            }
            Err(error) => return Closing::Failed(fault(&error)),
        }
    }
    Closing::End
}
