//! The load generator: keep-alive HTTP/1.1 connections that send prepared requests, time the answers and check that they are
//! complete, byte for byte.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::upstream::Upstream;
use crate::wire::{self, Framing, Io};
use crate::work::{Canned, Work};

/// How something is reached: a proxy, or the upstream itself.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
    pub(crate) tls: Option<TlsConnector>,
}

impl Route {
    pub(crate) fn request(&self, work: &Work) -> Arc<[u8]> {
        work.request(&self.address.to_string(), &self.key)
    }
}

/// How an answer came.
#[derive(Default)]
pub(crate) struct Seen {
    /// From the sending of the request to the first byte of the answer's body.
    pub(crate) first_byte: Duration,
    /// To its end.
    pub(crate) whole: Duration,
    /// Between the chunks of a paced stream.
    pub(crate) gaps: Vec<Duration>,
}

/// A connection that makes one call after another.
pub(crate) struct Caller {
    io: Box<dyn Io>,
    buffer: BytesMut,
    answer: Option<Framing>,
    status: u16,
    payload_bytes: u64,
    crc: crc32fast::Hasher,
}

impl Caller {
    pub(crate) async fn connect(route: &Route) -> io::Result<Self> {
        Self::over(TcpStream::connect(route.address).await?, route).await
    }

    /// With little room in its socket, so that what it does not read stays with the proxy.
    pub(crate) async fn connect_narrow(route: &Route) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(16 * 1_024)?;
        Self::over(socket.connect(route.address).await?, route).await
    }

    async fn over(tcp: TcpStream, route: &Route) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        let io: Box<dyn Io> = match &route.tls {
            None => Box::new(tcp),
            Some(tls) => Box::new(tls.connect(ServerName::from(route.address.ip()), tcp).await?),
        };
        let (buffer, crc) = (BytesMut::new(), crc32fast::Hasher::new());
        Ok(Self { io, buffer, answer: None, status: 0, payload_bytes: 0, crc })
    }

    /// Sends a request and reads the head of its answer: the status.
    pub(crate) async fn begin(&mut self, request: &[u8]) -> io::Result<u16> {
        self.io.write_all(request).await?;
        self.io.flush().await?;
        let head = wire::head(&mut self.io, &mut self.buffer).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        (self.status, self.answer) = (head.status, Some(head.framing));
        (self.payload_bytes, self.crc) = (0, crc32fast::Hasher::new());
        Ok(self.status)
    }

    /// Reads more of the answer's body, once; `true` when it has ended.
    pub(crate) async fn more(&mut self) -> io::Result<bool> {
        let Some(answer) = &mut self.answer else { return Ok(true) };
        if self.buffer.is_empty() && !wire::fill(&mut self.io, &mut self.buffer).await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (payload_bytes, crc) = (&mut self.payload_bytes, &mut self.crc);
        let before = self.buffer.len();
        let seen = |payload: &[u8]| {
            *payload_bytes += payload.len() as u64;
            crc.update(payload);
        };
        let ended = answer.take(&mut self.buffer, seen)?;
        if ended {
            self.answer = None;
        } else if self.buffer.len() == before && !wire::fill(&mut self.io, &mut self.buffer).await? {
            // A chunk's size line that has come in part.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(ended)
    }

    /// Payload bytes of the answer so far.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Reads a held stream to its end: the payload bytes that came in all.
    pub(crate) async fn finish(&mut self) -> io::Result<u64> {
        while !self.more().await? {}
        Ok(self.payload_bytes)
    }

    /// One whole call, whose answer has to be the canned one to the byte.
    pub(crate) async fn call(&mut self, request: &[u8], canned: &Canned) -> io::Result<Seen> {
        let start = Instant::now();
        let status = self.begin(request).await?;
        let mut seen = Seen::default();
        let mut ends = canned.ends.iter().peekable();
        let mut last = None;
        loop {
            let ended = self.more().await?;
            let now = Instant::now();
            if seen.first_byte.is_zero() && self.payload_bytes > 0 {
                seen.first_byte = now - start;
            }
            while ends.next_if(|end| **end <= self.payload_bytes).is_some() {
                if let Some(last) = last.replace(now) {
                    seen.gaps.push(now - last);
                }
            }
            if ended {
                seen.whole = now - start;
                break;
            }
        }
        let crc = std::mem::take(&mut self.crc).finalize();
        if status != 200 || self.payload_bytes != canned.payload_bytes || crc != canned.crc {
            return Err(io::Error::other(format!(
                "{}: not the answer that was sent: status {status}, {} bytes of {}",
                canned.work.name, self.payload_bytes, canned.payload_bytes
            )));
        }
        Ok(seen)
    }
}

/// Makes all the calls of a round over one route and tells how each answer came. One that is not complete is an error.
pub(crate) async fn run(work: &Work, route: &Route, upstream: &Upstream) -> io::Result<Vec<Seen>> {
    let (request, canned) = (route.request(work), upstream.canned(work)?);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..work.connections {
        let (request, canned, route, calls) =
            (Arc::clone(&request), Arc::clone(&canned), route.clone(), work.calls / work.connections);
        callers.spawn(async move {
            let mut caller = Caller::connect(&route).await?;
            let mut seen = Vec::new();
            for _ in 0..calls {
                seen.push(caller.call(&request, &canned).await?);
            }
            io::Result::Ok(seen)
        });
    }
    let mut seen = Vec::new();
    while let Some(caller) = callers.join_next().await {
        seen.extend(caller.map_err(io::Error::other)??);
    }
    Ok(seen)
}
