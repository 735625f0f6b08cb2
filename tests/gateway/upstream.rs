//! An upstream that says exactly what it is told to, byte for byte, and keeps what it received.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

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
    play: Arc<Play>,
}

struct Play {
    answers: Vec<Vec<Vec<u8>>>,
    then: Then,
    received: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    next: Semaphore,
}

impl Canned {
    pub(crate) async fn start(answers: Vec<Vec<u8>>, then: Then) -> Self {
        Self::in_pieces(answers.into_iter().map(|answer| vec![answer]).collect(), then).await
    }

    /// Answers in pieces, of which each but the first waits for [`Canned::go_on`].
    pub(crate) async fn in_pieces(answers: Vec<Vec<Vec<u8>>>, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (received, connections) = (Mutex::default(), AtomicUsize::new(0));
        let play = Arc::new(Play { answers, then, received, connections, next: Semaphore::new(0) });
        let played = Arc::clone(&play);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                played.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(tcp, Arc::clone(&played)));
            }
        });
        Self { address, play }
    }

    pub(crate) fn received(&self) -> Vec<Request> {
        self.play.received.lock().unwrap().clone()
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.play.connections.load(Ordering::Relaxed)
    }

    /// Lets so many more pieces leave.
    pub(crate) fn go_on(&self, pieces: usize) {
        self.play.next.add_permits(pieces);
    }
}

async fn serve(mut tcp: TcpStream, play: Arc<Play>) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let request = read(&mut tcp, &mut buffer).await?;
        let answer = {
            let mut received = play.received.lock().unwrap();
            received.push(request);
            play.answers.get(received.len() - 1).or(play.answers.last())?
        };
        for (index, piece) in answer.iter().enumerate() {
            if index > 0 {
                play.next.acquire().await.unwrap().forget();
            }
            tcp.write_all(piece).await.ok()?;
        }
        if play.then == Then::Close || !is_framed(&answer.concat()) {
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
