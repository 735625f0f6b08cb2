//! HTTP/1.1 as ordinary callers speak it: requests with a plain length, answers passed on as they stand on Bedrock's wire.
//!
//! What is anything but ordinary is not answered here. A head that [`crate::http1`] does not call plain leaves the connection to hyper, with
//! every byte that has been read of it, for the rest of its life: HTTP/2, chunked requests, `Expect`, `HEAD`, and whatever is wrong.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::response::Parts;
use http::{StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::io::{poll_read_buf, poll_write_buf};
use tokio_util::sync::CancellationToken;

use super::connection::IDLE;
use super::listener::ServerLimits;
use super::prefixed::Prefixed;
use crate::gateway::{Body, Gateway, MeteredBody};
use crate::http1::{Framing, LARGEST_HEAD, Request, RequestHead};
use crate::identity::Origin;

/// Answers the requests of a connection until it ends, or until one comes that is not ordinary: then the connection is given back.
pub(super) async fn serve<I>(
    io: I,
    gateway: &Arc<Gateway>,
    origin: &Origin,
    limits: ServerLimits,
    stop: &CancellationToken,
) -> io::Result<Option<Prefixed<I>>>
where
    I: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut caller = Mutex::new(Caller { io, buffer: BytesMut::new(), left: 0 });
    let mut clock = pin!(sleep(limits.header_timeout));
    let mut stopped = pin!(stop.cancelled());
    let mut stopping = false;
    loop {
        let own = caller.get_mut().unwrap_or_else(PoisonError::into_inner);
        clock.as_mut().reset(Instant::now() + limits.header_timeout);
        let head = tokio::select! {
            biased;
            () = stopped.as_mut(), if !stopping => {
                stopping = true;
                if own.buffer.is_empty() {
                    break;
                }
                continue;
            }
            head = own.head() => head?,
            () = clock.as_mut() => return Err(late("no request in time")),
        };
        let head = match head {
            Arrived::Head(head) => head,
            Arrived::End => return Ok(None),
            Arrived::Unusual => {
                let Caller { io, buffer, .. } = caller.into_inner().unwrap_or_else(PoisonError::into_inner);
                return Ok(Some(Prefixed::new(buffer.freeze(), io)));
            }
        };
        let RequestHead { parts, length, keep_alive } = *head;
        own.left = length;
        let request = http::Request::from_parts(parts, Incoming(&caller));
        // Freed as soon as there is an answer: it is large, and an answer may take long.
        let mut handling = Box::pin(Arc::clone(gateway).handle(request, origin));
        let answered = poll_fn(|cx| match handling.as_mut().poll(cx) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending if lock(&caller).is_gone(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        let answered = answered.await;
        drop(handling);
        let Some(response) = answered else { return Ok(None) };
        let own = caller.get_mut().unwrap_or_else(PoisonError::into_inner);
        if own.buffer.is_empty() {
            own.buffer = BytesMut::new();
        }
        let (parts, body) = response.into_parts();
        let keep_alive = keep_alive && own.left == 0 && !stopping && !stop.is_cancelled();
        let keep_alive = match body {
            Body::Whole(whole) => {
                let whole = whole.unwrap_or_default();
                let head = on_wire(&parts, Framing::Length(whole.len() as u64), keep_alive);
                drop(parts);
                own.write(head, whole).await?;
                keep_alive
            }
            Body::Metered(body) => {
                let counted = body.framing() != Framing::UntilClose;
                let head = on_wire(&parts, if counted { body.framing() } else { Framing::Chunked }, keep_alive);
                drop(parts);
                if counted {
                    own.pass(head, body, clock.as_mut()).await?;
                } else {
                    own.pass_in_chunks(head, body).await?;
                }
                keep_alive
            }
        };
        if !keep_alive {
            break;
        }
    }
    let own = caller.get_mut().unwrap_or_else(PoisonError::into_inner);
    timeout(limits.header_timeout, own.io.shutdown()).await.map_err(|_| late("no end in time"))??;
    Ok(None)
}

/// The caller's side of a connection.
struct Caller<I> {
    io: I,
    /// What has been read and not taken yet.
    buffer: BytesMut,
    /// How much of the request's body has not been taken yet.
    left: u64,
}

/// What has come.
enum Arrived {
    Head(Box<RequestHead>),
    Unusual,
    End,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Caller<I> {
    /// Waits for a request's head.
    async fn head(&mut self) -> io::Result<Arrived> {
        let mut looked = 0;
        loop {
            // A head that comes byte by byte is not read anew for each of them: only the end of a line can complete it.
            let fresh = self.buffer.get(looked..).unwrap_or_default();
            if looked == 0 || self.buffer.len() >= LARGEST_HEAD || memchr::memchr(b'\n', fresh).is_some() {
                match Request::take(&mut self.buffer) {
                    Request::Plain(head) => return Ok(Arrived::Head(head)),
                    Request::Unusual => return Ok(Arrived::Unusual),
                    Request::Partial => looked = self.buffer.len(),
                }
            }
            if poll_fn(|cx| self.poll_read(cx, ROOM)).await? == 0 {
                return Ok(Arrived::End);
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        self.buffer.reserve(room);
        poll_read_buf(Pin::new(&mut self.io), cx, &mut self.buffer)
    }

    /// Whether the caller has hung up. What they send ahead meanwhile is kept, within bounds.
    fn is_gone(&mut self, cx: &mut Context<'_>) -> bool {
        // While the body is being read, its reader sees the end.
        while self.left == 0 && self.buffer.len() < LARGEST_HEAD {
            match self.poll_read(cx, AHEAD) {
                Poll::Ready(Ok(0) | Err(_)) => return true,
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => return false,
            }
        }
        false
    }

    /// Writes an answer of our own, or a chunk.
    async fn write(&mut self, head: Bytes, body: Bytes) -> io::Result<()> {
        let mut answer = head.chain(body);
        let writing = async {
            while answer.has_remaining() {
                if poll_fn(|cx| poll_write_buf(Pin::new(&mut self.io), cx, &mut answer)).await? == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
            }
            self.io.flush().await
        };
        timeout(IDLE, writing).await.map_err(|_| late("the answer was not taken"))?
    }

    /// Passes on an answer that Bedrock ends by closing. The caller's connection is not closed for that: what came is put in chunks.
    async fn pass_in_chunks(&mut self, head: Bytes, body: MeteredBody) -> io::Result<()> {
        let (mut head, mut body) = (head, body);
        loop {
            let data = {
                let mut next = pin!(next(&mut body));
                poll_fn(|cx| match next.as_mut().poll(cx) {
                    Poll::Pending if self.is_gone(cx) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
                    polled @ (Poll::Ready(_) | Poll::Pending) => polled,
                })
                .await?
            };
            let Some(data) = data else { break };
            let line = [&head, format!("{:x}\r\n", data.len()).as_bytes()].concat();
            head = Bytes::from_static(b"\r\n");
            self.write(line.into(), data).await?;
        }
        self.write(head, Bytes::from_static(b"0\r\n\r\n")).await
    }

    /// Passes Bedrock's answer on as it stands on the wire.
    async fn pass(&mut self, head: Bytes, body: MeteredBody, mut clock: Pin<&mut Sleep>) -> io::Result<()> {
        let (mut head, mut seen) = (head, 0);
        clock.as_mut().reset(Instant::now() + IDLE);
        poll_fn(|cx| {
            if let Poll::Ready(passed) = body.poll_pass(cx, &mut head, &mut self.io) {
                return Poll::Ready(passed);
            }
            if self.is_gone(cx) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            // An answer that is under way is watched by the gateway. What is left of one that has ended is not.
            while clock.as_mut().poll(cx).is_ready() {
                let (passed, ended) = body.progress();
                if ended && passed == seen {
                    return Poll::Ready(Err(late("the end of the answer was not taken")));
                }
                seen = passed;
                clock.as_mut().reset(Instant::now() + IDLE);
            }
            Poll::Pending
        })
        .await
    }
}

/// The frames of a body that does not say where it ends.
async fn next(body: &mut MeteredBody) -> io::Result<Option<Bytes>> {
    let frame = body.frame().await.transpose().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(frame.and_then(|frame| frame.into_data().ok()))
}

/// The body of a request, in pieces of [`PIECE`]: most are one, and nobody has to put them together.
struct Incoming<'a, I>(&'a Mutex<Caller<I>>);

impl<I: AsyncRead + AsyncWrite + Unpin> HttpBody for Incoming<'_, I> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut own = lock(self.0);
        if own.left == 0 {
            return Poll::Ready(None);
        }
        let want = usize::try_from(own.left).unwrap_or(usize::MAX).min(PIECE);
        while own.buffer.len() < want {
            let room = want - own.buffer.len();
            match ready!(own.poll_read(cx, room)) {
                Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        own.left -= want as u64;
        Poll::Ready(Some(Ok(Frame::data(own.buffer.split_to(want).freeze()))))
    }

    fn is_end_stream(&self) -> bool {
        lock(self.0).left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(lock(self.0).left)
    }
}

// What a panic under the lock leaves behind is a connection that ends.
fn lock<I>(caller: &Mutex<Caller<I>>) -> MutexGuard<'_, Caller<I>> {
    caller.lock().unwrap_or_else(PoisonError::into_inner)
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

/// The head of an answer as it stands on the wire.
fn on_wire(parts: &Parts, framing: Framing, keep_alive: bool) -> Bytes {
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(parts.status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(parts.status.canonical_reason().unwrap_or_default().as_bytes());
    head.extend_from_slice(b"\r\n");
    let mut line = |name: &header::HeaderName, value: &[u8]| {
        for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
            head.extend_from_slice(part);
        }
    };
    for (name, value) in &parts.headers {
        if *name != header::CONTENT_LENGTH {
            line(name, value.as_bytes());
        }
    }
    match framing {
        Framing::Length(_) if matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => {}
        Framing::Length(bytes) => line(&header::CONTENT_LENGTH, bytes.to_string().as_bytes()),
        Framing::Chunked => line(&header::TRANSFER_ENCODING, b"chunked"),
        Framing::UntilClose => {}
    }
    if !parts.headers.contains_key(header::DATE)
        && let Ok(date) =
            jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&jiff::Timestamp::now())
    {
        line(&header::DATE, date.as_bytes());
    }
    if !keep_alive {
        line(&header::CONNECTION, b"close");
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}

/// The room of a read: most requests of a person's fit.
const ROOM: usize = 4 * 1_024;

/// The most of a body that is read at a time. It is all that a caller who is refused can have the gateway hold: what they send is forgotten
/// piece by piece.
const PIECE: usize = 256 * 1_024;

/// The room for what is sent ahead: most often nothing is.
const AHEAD: usize = 64;

#[cfg(test)]
mod tests;
