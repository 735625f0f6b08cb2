//! The body of Bedrock's response, with a bound on silence and the connection's way back to the pool.
//!
//! There are two ways to read it. As a [`Body`] it is the payload, in slices of what was read from the socket. As it stands on the wire,
//! with its framing, it is looked at by [`UpstreamBody::poll_more`] and left where it is until it has been written: neither
//! copies a byte of it.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::error::{Phase, UpstreamError};
use super::pool::Lease;
use crate::http1::{Chunks, Framing, Malformed, Next};

/// A response body from Bedrock.
pub struct UpstreamBody {
    /// The connection, until the body has ended.
    lease: Option<Lease>,
    framing: Framing,
    left: Left,
    keep_alive: bool,
    /// What is wrong with what has come, after what was right about it.
    fault: Option<Malformed>,
    /// How much of the connection's buffer may be passed on as it stands.
    ready: usize,
    /// How much of it has been looked at.
    seen: usize,
    idle_timeout: Duration,
    silence: Pin<Box<Sleep>>,
    /// Since when something is waited for.
    waiting: Option<Instant>,
}

/// What is still to come.
#[derive(Clone, Copy, Debug)]
enum Left {
    Bytes(u64),
    Chunks(Chunks),
    UntilClose,
    Nothing,
}

impl UpstreamBody {
    pub(super) fn new(lease: Lease, framing: Framing, keep_alive: bool, idle_timeout: Duration) -> Self {
        let left = match framing {
            Framing::Length(0) => Left::Nothing,
            Framing::Length(bytes) => Left::Bytes(bytes),
            Framing::Chunked => Left::Chunks(Chunks::default()),
            Framing::UntilClose => Left::UntilClose,
        };
        let silence = Box::pin(sleep(idle_timeout));
        let lease = Some(lease);
        let mut body = Self {
            lease,
            framing,
            left,
            keep_alive,
            fault: None,
            ready: 0,
            seen: 0,
            idle_timeout,
            silence,
            waiting: None,
        };
        if body.is_end_stream() {
            body.done();
        }
        body
    }

    /// Where the body ends, as its head says.
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether a message of our own could follow what has been passed on: it would not stand within a chunk or a counted body.
    pub const fn is_between_chunks(&self) -> bool {
        match &self.left {
            Left::Chunks(chunks) => chunks.is_between(),
            Left::UntilClose => true,
            Left::Bytes(_) | Left::Nothing => false,
        }
    }

    /// What has been looked at and may be passed on as it stands on the wire.
    pub fn wire(&self) -> &[u8] {
        self.lease.as_ref().and_then(|lease| lease.line.buffer.get(..self.ready)).unwrap_or_default()
    }

    /// So many bytes of [`UpstreamBody::wire`] have been passed on.
    pub fn passed(&mut self, bytes: usize) {
        if let Some(lease) = &mut self.lease {
            let bytes = bytes.min(self.ready);
            lease.line.buffer.advance(bytes);
            self.ready -= bytes;
            self.seen -= bytes;
        }
    }

    /// Reads on once all of [`UpstreamBody::wire`] has been passed on, and shows the payload of what has come to `meter`. At the body's end it gives
    /// what is left to be passed on.
    pub fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        mut meter: impl FnMut(&[u8]),
    ) -> Poll<Result<Option<Bytes>, UpstreamError>> {
        if let Some(fault) = self.fault {
            return Poll::Ready(Err(broken(fault)));
        }
        if self.lease.as_ref().is_none_or(|lease| lease.line.buffer.len() == self.seen) {
            ready!(self.poll_fill(cx))?;
        }
        self.fault = self.look(&mut meter).err();
        Poll::Ready(Ok(self.is_end_stream().then(|| self.last())))
    }

    /// Looks at all that has been read.
    fn look(&mut self, meter: &mut impl FnMut(&[u8])) -> Result<(), Malformed> {
        let Some(lease) = &self.lease else { return Ok(()) };
        let buffer: &[u8] = &lease.line.buffer;
        let unseen = |seen: usize| buffer.get(seen..).unwrap_or_default();
        match &mut self.left {
            Left::Nothing => {}
            Left::UntilClose => {
                meter(unseen(self.seen));
                (self.seen, self.ready) = (buffer.len(), buffer.len());
            }
            Left::Bytes(left) => {
                let come = unseen(self.seen);
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(come.len());
                meter(come.get(..take).unwrap_or_default());
                *left -= take as u64;
                self.seen += take;
                self.ready = self.seen;
                if *left == 0 {
                    self.left = Left::Nothing;
                }
            }
            Left::Chunks(chunks) => {
                let mut trailers = false;
                while self.seen < buffer.len() {
                    let come = unseen(self.seen);
                    let step = chunks.step(come);
                    self.seen += step.framing;
                    match step.next {
                        Next::Data(bytes) => {
                            meter(come.get(step.framing..step.framing + bytes).unwrap_or_default());
                            self.seen += bytes;
                            self.ready = self.seen;
                        }
                        // A chunk's line is passed on with what follows it, but not withheld for that.
                        Next::More if !chunks.is_in_trailers() => self.ready = self.seen,
                        Next::More => {}
                        Next::Trailers => {
                            self.ready = self.seen;
                            trailers = true;
                        }
                        Next::End => {
                            // What a trailer section says is between Bedrock and us; its end is passed on.
                            if trailers && self.seen == self.ready + CRLF.len() {
                                self.ready = self.seen;
                            }
                            self.left = Left::Nothing;
                            return Ok(());
                        }
                        // What was right up to there is passed on: a message of our own may follow it.
                        Next::Wrong(fault) => {
                            if !chunks.is_in_trailers() {
                                self.ready = self.seen;
                            }
                            return Err(fault);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// What is left of an ended body, in the one piece in which it was read.
    fn last(&mut self) -> Bytes {
        let Some(lease) = &mut self.lease else { return Bytes::new() };
        let last = lease.line.buffer.split_to(self.ready).freeze();
        let withheld = self.seen - self.ready;
        lease.line.buffer.advance(withheld);
        (self.seen, self.ready) = (0, 0);
        self.done();
        if withheld == 0 { last } else { Bytes::from([&last, CRLF].concat()) }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        let Some(lease) = &mut self.lease else { return Poll::Ready(Ok(())) };
        match lease.line.poll_fill(cx) {
            Poll::Ready(Ok(0)) if matches!(self.left, Left::UntilClose) => {
                self.left = Left::Nothing;
                self.keep_alive = false;
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Ok(0)) => {
                return Poll::Ready(Err(UpstreamError::Reset(io::ErrorKind::UnexpectedEof.into())));
            }
            Poll::Ready(Ok(_)) => {
                self.waiting = None;
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(UpstreamError::Reset(error))),
            Poll::Pending => {}
        }
        // The clock is looked at when it strikes, and not set anew for every piece.
        let since = *self.waiting.get_or_insert_with(Instant::now);
        while self.silence.as_mut().poll(cx).is_ready() {
            let until = since + self.idle_timeout;
            if until <= Instant::now() {
                self.lease = None;
                return Poll::Ready(Err(UpstreamError::Timeout(Phase::Idle)));
            }
            self.silence.as_mut().reset(until);
        }
        Poll::Pending
    }

    /// The next piece of the payload among what has been read.
    fn piece(&mut self) -> Result<Option<Bytes>, Malformed> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let Some(lease) = &mut self.lease else { return Ok(None) };
        let buffer = &mut lease.line.buffer;
        // What has been looked at as it stands on the wire is not looked at again.
        buffer.advance(std::mem::take(&mut self.seen));
        self.ready = 0;
        let take = match &mut self.left {
            Left::Nothing => 0,
            Left::UntilClose => buffer.len(),
            Left::Bytes(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= take as u64;
                if *left == 0 {
                    self.left = Left::Nothing;
                }
                take
            }
            Left::Chunks(chunks) => loop {
                let step = chunks.step(buffer);
                buffer.advance(step.framing);
                match step.next {
                    Next::Data(bytes) => break bytes,
                    Next::More => break 0,
                    Next::Trailers => {}
                    Next::Wrong(fault) => return Err(fault),
                    Next::End => {
                        self.left = Left::Nothing;
                        break 0;
                    }
                }
            },
        };
        Ok(Some(buffer.split_to(take).freeze()).filter(|piece| !piece.is_empty()))
    }

    fn give_up(&mut self) {
        (self.lease, self.left) = (None, Left::Nothing);
    }

    fn done(&mut self) {
        if let Some(lease) = self.lease.take()
            && self.keep_alive
        {
            lease.give_back();
        }
    }
}

fn broken(error: Malformed) -> UpstreamError {
    UpstreamError::Reset(io::Error::new(io::ErrorKind::InvalidData, error))
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        loop {
            match self.piece() {
                Ok(Some(piece)) => {
                    if self.is_end_stream() {
                        self.done();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Ok(None) if self.is_end_stream() => {
                    self.done();
                    return Poll::Ready(None);
                }
                Ok(None) => {
                    if let Err(error) = ready!(self.poll_fill(cx)) {
                        self.give_up();
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                Err(error) => {
                    self.give_up();
                    return Poll::Ready(Some(Err(broken(error))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.left, Left::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Left::Bytes(left) => SizeHint::with_exact(left),
            Left::Nothing => SizeHint::with_exact(0),
            Left::Chunks(_) | Left::UntilClose => SizeHint::default(),
        }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody").finish_non_exhaustive()
    }
}

const CRLF: &[u8] = b"\r\n";
