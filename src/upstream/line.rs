//! One connection to Bedrock: HTTP/1.1 as the client speaks it, one call at a time.
//!
//! A connection has no task of its own. Whoever waits for a response reads it, in the same task that writes to the caller, so that all
//! messages of one read of the socket pass on in one go, and a caller who reads slowly slows the socket down. While it lies idle
//! nobody reads it; that Bedrock has closed it meanwhile, or has sent what nobody asked for, is seen when it is next wanted.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::buf::Chain;
use bytes::{Buf, Bytes, BytesMut};
use http::Request;
use tokio::io::AsyncWrite;
use tokio_util::io::{poll_read_buf, poll_write_buf};

use super::connector::Connection;
use crate::http1::{ResponseHead, response};
use crate::types::Segments;

/// See the module.
#[derive(Debug)]
pub(super) struct Line {
    io: Connection,
    /// What has been read and not taken yet.
    pub(super) buffer: BytesMut,
    /// How much room the next read has.
    room: usize,
    /// How many reads in a row would have had room enough with [`SMALL`].
    small_reads: u8,
    /// What is left to write of the request.
    unsent: Chain<Bytes, Segments>,
    /// Whether a byte of the request has been written.
    begun: bool,
    writing: Writing,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    /// Some of it is not written, or TLS may hold back what it has encrypted of it.
    Open,
    /// All of it has left.
    Done,
    /// The rest of it could not be written.
    Broken,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum SendError {
    /// Not a byte was written: the request may be sent on another connection.
    Unwritten,
    /// The connection broke.
    Broke(io::Error),
}

impl Line {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            io: connection,
            buffer: BytesMut::new(),
            room: SMALL,
            small_reads: 0,
            unsent: nothing(),
            begun: false,
            writing: Writing::Done,
        }
    }

    /// Sends a request and waits for the response's head.
    pub(super) async fn send(&mut self, request: &Request<Segments>) -> Result<ResponseHead, SendError> {
        self.unsent = head(request).chain(request.body().clone());
        (self.writing, self.begun) = (Writing::Open, false);
        poll_fn(|cx| {
            loop {
                match response(&mut self.buffer) {
                    Ok(Some(head)) => return Poll::Ready(Ok(head)),
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error))),
                }
                match self.poll_fill(cx) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
        .map_err(|error| if self.begun { SendError::Broke(error) } else { SendError::Unwritten })
    }

    /// Reads what has come, at least a byte; none at the connection's end. What is left of the request is written before: an answer may
    /// begin while its request is still on the way.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.writing == Writing::Open
            && let Poll::Ready(written) = self.poll_write(cx)
        {
            // The body is no longer needed, and may be large.
            self.unsent = nothing();
            match written {
                Ok(()) => self.writing = Writing::Done,
                Err(error) => {
                    self.writing = Writing::Broken;
                    // Bedrock may have answered before it closed.
                    return match self.poll_read(cx) {
                        read @ Poll::Ready(Ok(1..)) if self.begun => read,
                        Poll::Ready(_) | Poll::Pending => Poll::Ready(Err(error)),
                    };
                }
            }
        }
        self.poll_read(cx)
    }

    /// Writes what is left of the request, down to the socket.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unsent.has_remaining() {
            if ready!(poll_write_buf(Pin::new(&mut self.io), cx, &mut self.unsent))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.begun = true;
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.small_reads == MANY && self.buffer.is_empty() {
            self.shrink();
        }
        self.buffer.reserve(self.room);
        let room = self.buffer.capacity() - self.buffer.len();
        let read = ready!(poll_read_buf(Pin::new(&mut self.io), cx, &mut self.buffer))?;
        if read == room {
            self.room = LARGE;
        }
        self.small_reads =
            if read < SMALL && self.room > SMALL { self.small_reads.saturating_add(1).min(MANY) } else { 0 };
        Poll::Ready(Ok(read))
    }

    /// Lets go of the large buffer, which is empty.
    fn shrink(&mut self) {
        (self.buffer, self.room, self.small_reads) = (BytesMut::new(), SMALL, 0);
    }

    /// Makes it ready for another call, if it can take one: the whole request was written and nothing more than the answer came.
    pub(super) fn rest(&mut self) -> bool {
        let fit = self.writing == Writing::Done && self.buffer.is_empty();
        if self.room > SMALL {
            self.shrink();
        }
        fit
    }

    /// Whether it can take a request: it is still open, and nothing has come that nobody has asked for.
    pub(super) fn is_good(&mut self, cx: &mut Context<'_>) -> bool {
        self.buffer.is_empty() && self.poll_read(cx).is_pending()
    }
}

fn nothing() -> Chain<Bytes, Segments> {
    Bytes::new().chain(Segments::default())
}

/// The head of a request as it stands on the wire.
fn head(request: &Request<Segments>) -> Bytes {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    let mut head = Vec::with_capacity(target.len() + headers + 64);
    for part in [request.method().as_str(), " ", target, " HTTP/1.1\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    for (name, value) in request.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    let length = request.body().len();
    if length > 0 || request.method() == http::Method::POST {
        head.extend_from_slice(b"content-length: ");
        head.extend_from_slice(length.to_string().as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}

/// The room of a read. A stream of a model's words fits; what fills it gets [`LARGE`].
const SMALL: usize = 4 * 1_024;

/// The room of a read of a stream that comes faster than it is read.
const LARGE: usize = 64 * 1_024;

/// After so many small reads in a row a stream is slow again.
const MANY: u8 = 32;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::super::connector::Connector;
    use super::super::endpoint::Endpoint;
    use super::*;

    #[tokio::test]
    async fn a_stream_that_comes_fast_gets_a_large_buffer_and_gives_it_back_when_it_is_slow_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let connection = Connector::new(None).unwrap().connect(&endpoint).await.unwrap();
        let (mut line, (mut bedrock, _)) = (Line::new(connection), listener.accept().await.unwrap());
        let mut pass = async |bytes: usize| {
            bedrock.write_all(&vec![b'a'; bytes]).await.unwrap();
            let mut left = bytes;
            while left > 0 {
                left -= poll_fn(|cx| line.poll_read(cx)).await.unwrap();
                line.buffer.clear();
            }
            (line.room, line.buffer.capacity() >= LARGE)
        };
        assert_eq!(pass(100).await, (SMALL, false));
        assert_eq!(pass(3 * SMALL).await, (LARGE, true));
        for _ in 1..MANY {
            assert_eq!(pass(100).await, (LARGE, true));
        }
        assert_eq!(pass(SMALL).await, (LARGE, true), "one that is not small begins the count anew");
        for _ in 0..MANY {
            assert_eq!(pass(100).await, (LARGE, true));
        }
        assert_eq!(pass(100).await, (SMALL, false));
    }
}
