//! The load generator: keep-alive HTTP/1.1 connections that send prepared requests and check each answer for completeness.

use std::io;
use std::ops::Range;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::proxies::Proxy;

/// What is asked of a proxy, again and again.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) request_bytes: usize,
    pub(crate) answer: Answer,
    pub(crate) calls: u32,
    pub(crate) connections: u32,
}

#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Json { bytes: usize },
    Stream { chunks: usize, chunk_bytes: usize, every: Duration },
}

pub(crate) const WORKS: [Work; 5] = [
    Work {
        name: "2 KB invoke",
        request_bytes: 2_000,
        answer: Answer::Json { bytes: 1_000 },
        calls: 6_000,
        connections: 16,
    },
    Work {
        name: "100 KB invoke",
        request_bytes: 100_000,
        answer: Answer::Json { bytes: 1_000 },
        calls: 2_000,
        connections: 16,
    },
    Work {
        name: "stream 200x100 B, as fast as it goes",
        request_bytes: 2_000,
        answer: Answer::Stream { chunks: 200, chunk_bytes: 100, every: Duration::ZERO },
        calls: 1_500,
        connections: 16,
    },
    Work {
        name: "stream 2000x200 B, as fast as it goes",
        request_bytes: 2_000,
        answer: Answer::Stream { chunks: 2_000, chunk_bytes: 200, every: Duration::ZERO },
        calls: 240,
        connections: 16,
    },
    Work {
        name: "stream 200x100 B, a chunk every 5 ms",
        request_bytes: 2_000,
        answer: Answer::Stream { chunks: 200, chunk_bytes: 100, every: Duration::from_millis(5) },
        calls: 128,
        connections: 32,
    },
];

impl Work {
    pub(crate) const fn is_stream(&self) -> bool {
        matches!(self.answer, Answer::Stream { .. })
    }

    /// Payload bytes of the answer, nominally.
    pub(crate) const fn response_bytes(&self) -> usize {
        match self.answer {
            Answer::Json { bytes } => bytes,
            Answer::Stream { chunks, chunk_bytes, .. } => chunks * chunk_bytes,
        }
    }

    fn request(&self, proxy: &Proxy) -> Vec<u8> {
        let verb = if self.is_stream() { "invoke-with-response-stream" } else { "invoke" };
        let opening = format!(
            r#"{{"bench":"{}","anthropic_version":"bedrock-2023-05-31","max_tokens":100,"messages":[{{"role":"user","content":""#,
            self.name
        );
        let text = "w".repeat(self.request_bytes.saturating_sub(opening.len() + 4));
        let body = format!("{opening}{text}\"}}]}}");
        format!(
            "POST /model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/{verb} HTTP/1.1\r\nHost: {}\r\n\
             Authorization: Bearer {}\r\nContent-Type: application/json\r\nAccept: application/json\r\n\
             User-Agent: loopback-bench\r\nContent-Length: {}\r\n\r\n{body}",
            proxy.address,
            proxy.key,
            body.len()
        )
        .into_bytes()
    }
}

/// Makes all the calls of `work` through `proxy`.
pub(crate) async fn run(work: &Work, proxy: &Proxy) -> io::Result<()> {
    let request = work.request(proxy);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..work.connections {
        let (request, address, work) = (request.clone(), proxy.address, *work);
        callers.spawn(async move {
            let mut tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            let mut buffer = Vec::with_capacity(1 << 20);
            for _ in 0..work.calls / work.connections {
                tcp.write_all(&request).await?;
                let answer = read_message(&mut tcp, &mut buffer).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let got = answer.body.len();
                let head = buffer.get(..answer.body.start).unwrap_or_default();
                if !head.starts_with(b"HTTP/1.1 200") || got < work.response_bytes() {
                    let shown =
                        String::from_utf8_lossy(buffer.get(..answer.end.min(400)).unwrap_or_default()).into_owned();
                    return Err(io::Error::other(format!("incomplete ({got} bytes): {shown}")));
                }
                buffer.drain(..answer.end);
            }
            Ok(())
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.map_err(io::Error::other)??;
    }
    Ok(())
}

/// Where a message lies in the buffer. A chunked body's range holds its framing too.
pub(crate) struct Found {
    pub(crate) body: Range<usize>,
    pub(crate) end: usize,
}

/// Reads one HTTP/1.1 message, or `None` at the end of the connection.
pub(crate) async fn read_message(tcp: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Found>> {
    let mut scanned = 0;
    loop {
        if let Some(found) = find(buffer, &mut scanned) {
            return Ok(Some(found));
        }
        if tcp.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

fn find(buffer: &[u8], scanned: &mut usize) -> Option<Found> {
    let head = memchr::memmem::find(buffer, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(buffer.get(..head)?).to_ascii_lowercase();
    if text.contains("transfer-encoding: chunked") {
        // The bench's own payloads never hold this sequence, so looking for the last chunk is enough.
        let from = (*scanned).max(head).saturating_sub(5).max(head - 2);
        let last = memchr::memmem::find(buffer.get(from..)?, b"\r\n0\r\n\r\n");
        *scanned = buffer.len().saturating_sub(8);
        let end = from + last? + 7;
        return Some(Found { body: head..end, end });
    }
    let length: usize = text.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    (buffer.len() >= head + length).then_some(Found { body: head..head + length, end: head + length })
}
