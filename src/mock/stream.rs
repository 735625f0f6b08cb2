//! How an answer's bytes are handed over: event-stream messages, pieces, pauses, and the ways to end badly.
//!
//! Messages are encoded by `aws-smithy-eventstream`, which every other AWS client decodes with. What does not differ from
//! call to call is rendered once and sent again, so that an unpaced stream costs little more than its writes.

use std::collections::{HashMap, VecDeque};
use std::future::Future as _;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;

use super::account::{Account, Ended};
use super::answer::Event;
use super::faults::{Directives, Fault};

/// A message of an event stream.
pub(super) fn message(event: &Event) -> Bytes {
    let mut buffer = BytesMut::new();
    encode(&mut buffer, (":event-type", event.0), "event", event.1.as_bytes());
    buffer.freeze()
}

/// A modelled exception inside an event stream.
pub(super) fn exception(member: &'static str, text: &str) -> Bytes {
    let payload = serde_json::json!({ "message": text }).to_string();
    let mut buffer = BytesMut::new();
    encode(&mut buffer, (":exception-type", member), "exception", payload.as_bytes());
    buffer.freeze()
}

fn encode(buffer: &mut BytesMut, kind: (&'static str, &'static str), message_type: &'static str, payload: &[u8]) {
    let header = |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
    let headers = vec![
        header(kind.0, kind.1),
        header(":content-type", "application/json"),
        header(":message-type", message_type),
    ];
    let message = Message::new_from_parts(headers, Bytes::copy_from_slice(payload));
    #[expect(clippy::expect_used, reason = "only lengths beyond the format's limits fail, and answers are bounded")]
    write_message_to(&message, buffer).expect("an answer is bounded far below the format's limits");
}

/// Messages in one allocation.
#[derive(Debug)]
pub(super) struct Rendered(Vec<Bytes>);

impl Rendered {
    fn new(events: &[Event]) -> Self {
        let mut buffer = BytesMut::new();
        let messages = events.iter().map(|event| {
            encode(&mut buffer, (":event-type", event.0), "event", event.1.as_bytes());
            buffer.split().freeze()
        });
        Self(messages.collect())
    }
}

/// Streams that were rendered before.
#[derive(Debug)]
pub(super) struct Kept<K>(Mutex<HashMap<K, Arc<Rendered>>>);

/// Past this many, all are forgotten; tests and benches ask for few different ones.
const MOST_KEPT: usize = 64;
/// A stream of more messages is not kept.
const LONGEST_KEPT: usize = 20_000;

impl<K: Hash + Eq> Kept<K> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// The stream of a key, rendered if it was not yet. `None` is for streams that are not to be kept.
    pub(super) fn render(&self, key: Option<K>, events: impl FnOnce() -> Vec<Event>) -> Arc<Rendered> {
        let Some(key) = key else { return Arc::new(Rendered::new(&events())) };
        if let Some(kept) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(kept);
        }
        let rendered = Arc::new(Rendered::new(&events()));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        if rendered.0.len() <= LONGEST_KEPT {
            kept.insert(key, Arc::clone(&rendered));
        }
        rendered
    }
}

/// What an answer's body consists of, before faults and pieces.
#[derive(Debug)]
pub(super) enum Content {
    /// A body with a length.
    Whole(Bytes),
    /// An event stream.
    Messages { opening: Option<Bytes>, rest: Arc<Rendered> },
}

impl Content {
    /// Plans the body as directives want it, `interval` apart where they say nothing.
    pub(super) fn planned(self, directives: &Directives, interval: Duration) -> Plan {
        let interval = directives.drip.unwrap_or(interval);
        let faultless = matches!(directives.fault, None | Some(Fault::NoCounts));
        if let (Self::Messages { opening, rest }, true, None) = (&self, faultless, directives.chunk_bytes) {
            let pieces = Pieces::Kept { opening: opening.clone(), rest: Arc::clone(rest), next: 0 };
            return Plan { pieces, then: Then::End(Ended::Complete), interval, length: None };
        }
        let (length, messages, then) = match self {
            Self::Whole(body) => faulted_body(body, directives.fault.as_ref()),
            Self::Messages { opening, rest } => {
                let messages = opening.into_iter().chain(rest.0.iter().cloned()).collect();
                let (messages, then) = faulted_stream(messages, directives);
                (None, messages, then)
            }
        };
        let pieces = match directives.chunk_bytes {
            Some(size) => cut_up(&messages, size.get()),
            None => messages.into(),
        };
        Plan { pieces: Pieces::Cut(pieces), then, interval, length }
    }
}

/// A body under a fault: half of it arrives. A cut or a stall leaves its declared length unmet.
fn faulted_body(body: Bytes, fault: Option<&Fault>) -> (Option<u64>, Vec<Bytes>, Then) {
    let half = body.slice(..body.len() / 2);
    let (declared, sent, then) = match fault {
        Some(Fault::Cut) => (body.len(), half, Then::Cut),
        Some(Fault::Stall) => (body.len(), half, Then::Stall),
        Some(Fault::Garbage | Fault::Truncate) => (half.len(), half, Then::End(Ended::Fault)),
        _ => (body.len(), body, Then::End(Ended::Complete)),
    };
    (Some(declared as u64), if sent.is_empty() { Vec::new() } else { vec![sent] }, then)
}

/// A stream under a fault, which always comes before the end of the last message.
fn faulted_stream(mut messages: Vec<Bytes>, directives: &Directives) -> (Vec<Bytes>, Then) {
    const AFTER: usize = 2;
    let last = messages.len().saturating_sub(1);
    let after = directives.after.unwrap_or(AFTER).min(last);
    let then = match &directives.fault {
        None | Some(Fault::NoCounts | Fault::Answered(_)) => Then::End(Ended::Complete),
        Some(Fault::Exception(modelled)) => {
            messages.truncate(after);
            messages.push(exception(modelled.member, modelled.message()));
            Then::End(Ended::Fault)
        }
        Some(fault @ (Fault::Cut | Fault::Stall)) => {
            messages.truncate(after);
            if *fault == Fault::Cut { Then::Cut } else { Then::Stall }
        }
        Some(Fault::Garbage) => {
            if let Some(message) = messages.get_mut(after) {
                let mut spoilt = BytesMut::from(&message[..]);
                if let Some(byte) = spoilt.last_mut() {
                    *byte ^= 0xFF;
                }
                *message = spoilt.freeze();
            }
            Then::End(Ended::Fault)
        }
        Some(Fault::Truncate) => {
            if let Some(message) = messages.last_mut() {
                message.truncate(message.len() / 2);
            }
            Then::End(Ended::Fault)
        }
    };
    (messages, then)
}

fn cut_up(messages: &[Bytes], size: usize) -> VecDeque<Bytes> {
    let mut whole = Bytes::from(messages.concat());
    let mut pieces = VecDeque::new();
    while !whole.is_empty() {
        pieces.push_back(whole.split_to(size.min(whole.len())));
    }
    pieces
}

/// What is sent, and what happens after it.
#[derive(Debug)]
pub(super) struct Plan {
    pieces: Pieces,
    then: Then,
    interval: Duration,
    length: Option<u64>,
}

#[derive(Debug)]
enum Pieces {
    Kept { opening: Option<Bytes>, rest: Arc<Rendered>, next: usize },
    Cut(VecDeque<Bytes>),
}

impl Pieces {
    fn take(&mut self) -> Option<Bytes> {
        match self {
            Self::Kept { opening, rest, next } => opening.take().or_else(|| {
                let piece = rest.0.get(*next).cloned();
                *next += 1;
                piece
            }),
            Self::Cut(pieces) => pieces.pop_front(),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Kept { opening, rest, next } => opening.is_none() && *next >= rest.0.len(),
            Self::Cut(pieces) => pieces.is_empty(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    End(Ended),
    Cut,
    Stall,
}

/// The body of every answer.
#[derive(Debug)]
pub(super) struct AnswerBody {
    plan: Plan,
    pause: Option<Pin<Box<Sleep>>>,
    witness: Option<Witness>,
}

impl AnswerBody {
    /// A body that nobody keeps account of.
    pub(super) fn plain(body: impl Into<Bytes>) -> Self {
        let plan = Content::Whole(body.into()).planned(&Directives::default(), Duration::ZERO);
        Self { plan, pause: None, witness: None }
    }

    /// A body whose end is added to the record `id`.
    pub(super) fn witnessed(plan: Plan, account: Arc<Account>, id: u64) -> Self {
        Self { plan, pause: None, witness: Some(Witness { account, id, sent: 0, ended: Ended::ClientGone }) }
    }
}

/// The connection was cut because a directive asked for it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("cut, as a directive asked")]
pub(super) struct Severed;

/// How long what was sent before a cut has to leave the socket's buffers.
const FLUSH: Duration = Duration::from_millis(10);

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Severed;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Severed>>> {
        let this = self.get_mut();
        let paused = this.pause.is_some();
        if let Some(pause) = &mut this.pause {
            ready!(pause.as_mut().poll(cx));
            this.pause = None;
        }
        match this.plan.pieces.take() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(this.hand_over(piece))))),
            None => this.wind_up(paused, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.plan.pieces.is_empty() && matches!(self.plan.then, Then::End(_))
    }

    fn size_hint(&self) -> SizeHint {
        self.plan.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl AnswerBody {
    /// Counts a piece and sets the pause after it. The account knows of the end before the client can.
    fn hand_over(&mut self, piece: Bytes) -> Bytes {
        if let Some(witness) = &mut self.witness {
            witness.sent += piece.len() as u64;
        }
        if let (Then::End(ended), true) = (self.plan.then, self.plan.pieces.is_empty()) {
            self.finish(ended);
        } else if self.plan.interval > Duration::ZERO {
            self.pause = Some(Box::pin(tokio::time::sleep(self.plan.interval)));
        }
        piece
    }

    /// What comes after the last piece.
    fn wind_up(&mut self, paused: bool, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Severed>>> {
        match self.plan.then {
            Then::End(ended) => {
                self.finish(ended);
                Poll::Ready(None)
            }
            Then::Cut if paused => {
                self.finish(Ended::Fault);
                Poll::Ready(Some(Err(Severed)))
            }
            Then::Cut => {
                let mut pause = Box::pin(tokio::time::sleep(FLUSH));
                if pause.as_mut().poll(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
                self.pause = Some(pause);
                Poll::Pending
            }
            Then::Stall => {
                if let Some(witness) = &mut self.witness {
                    witness.ended = Ended::Fault;
                }
                // Nothing will ever wake this; the connection ends it when the client gives up.
                Poll::Pending
            }
        }
    }

    fn finish(&mut self, ended: Ended) {
        if let Some(mut witness) = self.witness.take() {
            witness.ended = ended;
        }
    }
}

/// Tells the account how an answer ended, whichever way it is dropped.
#[derive(Debug)]
struct Witness {
    account: Arc<Account>,
    id: u64,
    sent: u64,
    ended: Ended,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.account.end(self.id, self.ended, self.sent);
    }
}
