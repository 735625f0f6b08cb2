//! An upstream that says exactly what it is told to, byte for byte, and keeps what it received.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    /// Lower-case names, in the order in which they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next request on the same connection; an answer that does not say where it ends is ended by closing.
    KeepAlive,
    /// The connection is closed.
    Close,
}

/// Answers the first request with the first answer, and so on; the last one goes on for ever.
pub(crate) struct Canned {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Request>>>,
}

impl Canned {
    pub(crate) async fn start(answers: Vec<Vec<u8>>, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (kept, answers) = (Arc::clone(&received), Arc::new(answers));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, Arc::clone(&answers), Arc::clone(&kept), then));
            }
        });
        Self { address, received }
    }

    pub(crate) fn received(&self) -> Vec<Request> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(
    mut tcp: TcpStream,
    answers: Arc<Vec<Vec<u8>>>,
    kept: Arc<Mutex<Vec<Request>>>,
    then: Then,
) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let request = read(&mut tcp, &mut buffer).await?;
        let answer = {
            let mut kept = kept.lock().unwrap();
            kept.push(request);
            answers.get(kept.len() - 1).or(answers.last())?.clone()
        };
        tcp.write_all(&answer).await.ok()?;
        if then == Then::Close || !is_framed(&answer) {
            return tcp.shutdown().await.ok();
        }
    }
}

fn is_framed(answer: &[u8]) -> bool {
    let head = &answer[..memchr::memmem::find(answer, b"\r\n\r\n").unwrap_or(answer.len())];
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    head.contains("content-length:") || head.contains("transfer-encoding:")
}

async fn read(tcp: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        match memchr::memmem::find(buffer, b"\r\n\r\n") {
            Some(end) => break end,
            None if tcp.read_buf(buffer).await.ok()? == 0 => return None,
            None => {}
        }
    };
    let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next()?.to_owned();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    let headers: Vec<_> = lines.filter_map(header).collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    while buffer.len() < end + 4 + length {
        if tcp.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let rest = buffer.split_off(end + 4 + length);
    let body = std::mem::replace(buffer, rest).split_off(end + 4);
    Some(Request { line, headers, body })
}
