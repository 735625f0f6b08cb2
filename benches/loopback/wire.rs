//! As much HTTP/1.1 as a bench needs, for both of its ends: where a head ends, and where a body does, decoded as it arrives, so
//! that its payload can be counted and summed without being kept. It is strict: framing that is not perfect is an error.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

/// A connection, in clear or with TLS.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {
    /// The socket below it.
    fn tcp(&self) -> &TcpStream;
}

impl Io for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Io for client::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Io for server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// What a head says.
pub(crate) struct Head {
    /// Of a response; 0 of a request.
    pub(crate) status: u16,
    pub(crate) framing: Framing,
}

/// Where a body ends.
pub(crate) enum Framing {
    Length(u64),
    Chunked(Chunk),
}

/// Where in a chunked body we are.
pub(crate) enum Chunk {
    Size,
    Data(u64),
    Crlf,
    Last,
}

const MOST_HEAD: usize = 16 * 1_024;
const READ: usize = 64 * 1_024;

/// Reads more; `false` at the end of the connection.
pub(crate) async fn fill(io: &mut (impl AsyncRead + Unpin + ?Sized), buffer: &mut BytesMut) -> io::Result<bool> {
    buffer.reserve(READ);
    Ok(io.read_buf(buffer).await? > 0)
}

/// Takes a head off the front of `buffer`, reading until it is there; `None` where the connection ends before its first byte.
pub(crate) async fn head(
    io: &mut (impl AsyncRead + Unpin + ?Sized),
    buffer: &mut BytesMut,
) -> io::Result<Option<Head>> {
    loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let found = parse(buffer.get(..end + 4).unwrap_or_default())?;
            buffer.advance(end + 4);
            return Ok(Some(found));
        }
        if buffer.len() > MOST_HEAD {
            return Err(io::Error::other("a head without an end"));
        }
        if !fill(io, buffer).await? {
            return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

fn parse(bytes: &[u8]) -> io::Result<Head> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let (status, headers) = if bytes.starts_with(b"HTTP/") {
        let mut head = httparse::Response::new(&mut headers);
        head.parse(bytes).map_err(io::Error::other)?;
        (head.code.unwrap_or(0), &*head.headers)
    } else {
        let mut head = httparse::Request::new(&mut headers);
        head.parse(bytes).map_err(io::Error::other)?;
        (0, &*head.headers)
    };
    let value = |name: &str| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|h| h.value);
    if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
        return Ok(Head { status, framing: Framing::Chunked(Chunk::Size) });
    }
    let length = value("content-length").and_then(|length| std::str::from_utf8(length).ok()?.trim().parse().ok());
    let length = length.ok_or_else(|| io::Error::other("a head that does not say where its body ends"))?;
    Ok(Head { status, framing: Framing::Length(length) })
}

impl Framing {
    /// Takes what there is of the body off the front of `buffer` and shows its payload to `seen`; `true` once the body has ended.
    pub(crate) fn take(&mut self, buffer: &mut BytesMut, mut seen: impl FnMut(&[u8])) -> io::Result<bool> {
        match self {
            Self::Length(left) => {
                *left -= shown(buffer, *left, &mut seen);
                Ok(*left == 0)
            }
            Self::Chunked(chunk) => loop {
                match chunk {
                    Chunk::Size => {
                        let Some(end) = memchr::memchr(b'\n', buffer) else { return Ok(false) };
                        let size = chunk_size(buffer.get(..end).unwrap_or_default())?;
                        buffer.advance(end + 1);
                        *chunk = if size == 0 { Chunk::Last } else { Chunk::Data(size) };
                    }
                    Chunk::Data(left) => {
                        *left -= shown(buffer, *left, &mut seen);
                        if *left > 0 {
                            return Ok(false);
                        }
                        *chunk = Chunk::Crlf;
                    }
                    Chunk::Crlf | Chunk::Last => {
                        let Some(ending) = buffer.get(..2) else { return Ok(false) };
                        if ending != b"\r\n" {
                            return Err(io::Error::other("a chunk is longer than it says, or there are trailers"));
                        }
                        buffer.advance(2);
                        if matches!(chunk, Chunk::Last) {
                            return Ok(true);
                        }
                        *chunk = Chunk::Size;
                    }
                }
            },
        }
    }
}

fn shown(buffer: &mut BytesMut, left: u64, seen: &mut impl FnMut(&[u8])) -> u64 {
    let here = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    if here > 0 {
        seen(buffer.get(..here).unwrap_or_default());
        buffer.advance(here);
    }
    here as u64
}

fn chunk_size(line: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(line).ok().and_then(|line| line.strip_suffix('\r'));
    text.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or_else(|| io::Error::other("a chunk without a size"))
}
