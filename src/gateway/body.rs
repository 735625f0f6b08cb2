//! The body of every answer: a rejection's text, or Bedrock's own bytes under the meter.
//!
//! [`MeteredBody`] hands on the very `Bytes` that came from upstream and shows the meter a borrow of them. However it ends, and
//! also when it is dropped half-way, the exchange behind it is settled exactly once.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use super::drains::Drains;
use super::exchange::{Closing, Exchange, fault};
use crate::budget::ReservedReason;
use crate::eventstream;
use crate::telemetry::Downstream;
use crate::upstream::{UpstreamBody, UpstreamError};

/// An answer's body.
#[derive(Debug)]
pub enum Body {
    /// All of it is here.
    Whole(Option<Bytes>),
    /// It comes from Bedrock.
    Metered(Box<MeteredBody>),
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Metered(metered) => Pin::new(metered.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Metered(metered) => metered.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Metered(metered) => metered.size_hint(),
        }
    }
}

/// Bedrock's answer on its way to the caller.
#[derive(Debug)]
pub struct MeteredBody {
    upstream: Option<UpstreamBody>,
    exchange: Option<Exchange>,
    drains: Drains,
}

impl MeteredBody {
    pub(super) fn new(upstream: UpstreamBody, exchange: Exchange, drains: Drains) -> Self {
        let mut body = Self { upstream: Some(upstream), exchange: Some(exchange), drains };
        if body.upstream.as_ref().is_some_and(UpstreamBody::is_end_stream) {
            body.close(Closing::End);
        }
        body
    }

    fn close(&mut self, closing: Closing) {
        self.upstream = None;
        if let Some(exchange) = self.exchange.take() {
            exchange.conclude(closing);
        }
    }

    /// Upstream broke. A stream that stands between two messages is ended by an exception that every SDK raises; inside a
    /// message, or in a JSON body, only a cut connection tells the caller that something is missing.
    fn broke(&mut self, error: UpstreamError) -> Option<Result<Frame<Bytes>, UpstreamError>> {
        let exchange = self.exchange.as_mut()?;
        let closing = Closing::Failed(fault(&error));
        if !exchange.is_between_messages() {
            self.close(closing);
            return Some(Err(error));
        }
        let text = format!("Tollgate lost the connection to Bedrock in the middle of the answer: {error}");
        let last_words = eventstream::exception("serviceUnavailableException", &text);
        exchange.sent(last_words.len());
        self.close(closing);
        Some(Ok(Frame::data(last_words)))
    }
}

impl HttpBody for MeteredBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = &mut *self;
        let (Some(upstream), Some(exchange)) = (this.upstream.as_mut(), this.exchange.as_mut()) else {
            return Poll::Ready(None);
        };
        let frame = match ready!(Pin::new(&mut *upstream).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(this.broke(error)),
            None => {
                this.close(Closing::End);
                return Poll::Ready(None);
            }
        };
        if let Some(data) = frame.data_ref() {
            exchange.observe(data);
            exchange.sent(data.len());
        }
        if upstream.is_end_stream() {
            this.close(Closing::End);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.upstream.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.upstream.as_ref().map_or_else(|| SizeHint::with_exact(0), UpstreamBody::size_hint)
    }
}

impl Drop for MeteredBody {
    /// The caller hung up. Bedrock goes on and bills; so does the meter, in the background, within bounds.
    fn drop(&mut self) {
        let (Some(upstream), Some(mut exchange)) = (self.upstream.take(), self.exchange.take()) else { return };
        exchange.left(Downstream::Gone);
        let Some(place) = self.drains.place() else {
            exchange.conclude(Closing::GivenUp(ReservedReason::DrainRefused));
            return;
        };
        let timeout = self.drains.timeout();
        self.drains.run(async move {
            let _place = place;
            let _gauge = exchange.draining();
            let closing = match tokio::time::timeout(timeout, read_on(upstream, &mut exchange)).await {
                Ok(closing) => closing,
                Err(_) => Closing::GivenUp(ReservedReason::DrainTimedOut),
            };
            exchange.conclude(closing);
        });
    }
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
