//! The canned upstream: answers by what the request's body asks for, with bytes made beforehand. It verifies nothing, so that
//! it costs next to nothing; the strict fake is `tollgate mock`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::load::{Answer, WORKS, Work};

/// Starts it on a free port.
pub(crate) async fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let canned: Arc<Vec<(Work, Canned)>> = Arc::new(WORKS.into_iter().map(|work| (work, Canned::of(&work))).collect());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let canned = Arc::clone(&canned);
            tokio::spawn(async move {
                let _ = serve(tcp, &canned).await;
            });
        }
    });
    Ok(address)
}

/// A response: its head, and its body in the pieces that are written one at a time.
struct Canned {
    head: Vec<u8>,
    pieces: Vec<Vec<u8>>,
    every: Duration,
}

impl Canned {
    fn of(work: &Work) -> Self {
        match work.answer {
            Answer::Json { bytes } => {
                let usage = r#""usage":{"input_tokens":10,"output_tokens":20}}"#;
                let opening = r#"{"type":"message","content":[{"type":"text","text":""#;
                let text = "x".repeat(bytes.saturating_sub(opening.len() + usage.len() + 4));
                let body = format!("{opening}{text}\"}}],{usage}");
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-amzn-RequestId: 1\r\n\
                     X-Amzn-Bedrock-Input-Token-Count: 10\r\nX-Amzn-Bedrock-Output-Token-Count: 20\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                Self { head: head.into_bytes(), pieces: vec![body.into_bytes()], every: Duration::ZERO }
            }
            Answer::Stream { chunks, chunk_bytes, every } => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n\
                            X-Amzn-Bedrock-Content-Type: application/json\r\nx-amzn-RequestId: 1\r\n\
                            Transfer-Encoding: chunked\r\n\r\n";
                let mut framed: Vec<Vec<u8>> = (0..chunks).map(|n| in_chunk(&event(n, chunks, chunk_bytes))).collect();
                framed.push(b"0\r\n\r\n".to_vec());
                let pieces = if every.is_zero() { vec![framed.concat()] } else { framed };
                Self { head: head.as_bytes().to_vec(), pieces, every }
            }
        }
    }
}

/// One event of an Anthropic stream, its payload padded to `bytes`.
fn event(number: usize, of: usize, bytes: usize) -> Vec<u8> {
    let json = if number == 0 {
        r#"{"type":"message_start","message":{"usage":{"input_tokens":10,"output_tokens":1}}}"#.to_owned()
    } else if number + 1 == of {
        r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":10,"outputTokenCount":20,"invocationLatency":1,"firstByteLatency":1}}"#.to_owned()
    } else {
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#.to_owned()
    };
    let encoded = base64::engine::general_purpose::STANDARD.encode(json);
    let padding = "p".repeat(bytes.saturating_sub(encoded.len() + 19));
    let payload = format!(r#"{{"bytes":"{encoded}","p":"{padding}"}}"#);
    let message = Message::new(payload.into_bytes())
        .add_header(Header::new(":event-type", HeaderValue::String("chunk".into())))
        .add_header(Header::new(":content-type", HeaderValue::String("application/json".into())))
        .add_header(Header::new(":message-type", HeaderValue::String("event".into())));
    let mut encoded = Vec::new();
    if let Err(error) = write_message_to(&message, &mut encoded) {
        unreachable!("a small message can be written: {error}");
    }
    encoded
}

fn in_chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

async fn serve(mut tcp: TcpStream, canned: &[(Work, Canned)]) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(128 * 1_024);
    while let Some(request) = crate::load::read_message(&mut tcp, &mut buffer).await? {
        let body = String::from_utf8_lossy(buffer.get(request.body).unwrap_or_default()).into_owned();
        let (_, answer) = canned
            .iter()
            .find(|(work, _)| body.contains(&format!("\"bench\":\"{}\"", work.name)))
            .ok_or_else(|| io::Error::other("no such work"))?;
        if answer.every.is_zero() && answer.pieces.len() == 1 {
            tcp.write_all(&[answer.head.as_slice(), &answer.pieces.concat()].concat()).await?;
        } else {
            tcp.write_all(&answer.head).await?;
            let mut ticks = tokio::time::interval(answer.every);
            for piece in &answer.pieces {
                ticks.tick().await;
                tcp.write_all(piece).await?;
            }
        }
        buffer.drain(..request.end);
    }
    let _ = tcp.read(&mut [0]).await;
    Ok(())
}
