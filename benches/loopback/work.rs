//! What is asked of a proxy and what the canned upstream answers, made beforehand: both ends know every byte of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::Engine;

/// One kind of call.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) request_bytes: usize,
    pub(crate) answer: Answer,
    /// How many calls a round makes, over how many connections.
    pub(crate) calls: u32,
    pub(crate) connections: u32,
}

#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Json {
        bytes: usize,
    },
    /// Events of `chunk_bytes` of payload each, in one write or one by one.
    Stream {
        chunks: usize,
        chunk_bytes: usize,
        every: Duration,
    },
    /// An event now and one each second, until `Control::release`.
    Held,
    /// This many bytes of events, as fast as the socket takes them.
    Flood {
        bytes: u64,
    },
    /// A refusal by Bedrock.
    Fault,
    /// A stream whose connection is closed in the middle of a message.
    Cut,
}

/// The works whose cost is measured.
pub(crate) const MEASURED: [Work; 7] = [
    Work { name: "2 KB invoke", request_bytes: 2_000, answer: JSON, calls: 6_000, connections: 16 },
    Work { name: "100 KB invoke", request_bytes: 100_000, answer: JSON, calls: 2_000, connections: 16 },
    Work { name: "400 KB invoke", request_bytes: 400_000, answer: JSON, calls: 640, connections: 16 },
    Work { name: "25 MB invoke", request_bytes: 25_000_000, answer: JSON, calls: 12, connections: 4 },
    FAST_STREAM,
    Work { name: "stream 2000x200 B, as fast as it goes", answer: stream(2_000, 200, 0), calls: 160, ..FAST_STREAM },
    PACED_STREAM,
];

pub(crate) const SMALL: Work = Work { name: "2 KB invoke", ..MEASURED[0] };
pub(crate) const LARGE: Work = Work { name: "25 MB invoke", ..MEASURED[3] };
pub(crate) const FAST_STREAM: Work = Work {
    name: "stream 200x100 B, as fast as it goes",
    request_bytes: 2_000,
    answer: stream(200, 100, 0),
    calls: 800,
    connections: 16,
};
pub(crate) const PACED_STREAM: Work = Work {
    name: "stream 200x100 B, a chunk every 5 ms",
    request_bytes: 2_000,
    answer: stream(200, 100, 5),
    calls: 96,
    connections: 32,
};
/// Short ones, so that there are first bytes enough for a 99th percentile.
pub(crate) const SHORT_STREAM: Work =
    Work { name: "stream 40x100 B, a chunk every 5 ms", answer: stream(40, 100, 5), calls: 320, ..PACED_STREAM };
pub(crate) const HELD: Work = Work { name: "held stream", answer: Answer::Held, ..FAST_STREAM };
pub(crate) const FLOOD: Work = Work { name: "flood", answer: Answer::Flood { bytes: FLOOD_BYTES }, ..FAST_STREAM };
/// More than all buffers on the way hold.
pub(crate) const FLOOD_BYTES: u64 = 64_000_000;
pub(crate) const FAULT: Work = Work { name: "fault", answer: Answer::Fault, ..FAST_STREAM };
pub(crate) const CUT: Work = Work { name: "cut stream", answer: Answer::Cut, ..FAST_STREAM };

const JSON: Answer = Answer::Json { bytes: 1_000 };

const fn stream(chunks: usize, chunk_bytes: usize, every_ms: u64) -> Answer {
    Answer::Stream { chunks, chunk_bytes, every: Duration::from_millis(every_ms) }
}

impl Work {
    pub(crate) const fn is_stream(&self) -> bool {
        !matches!(self.answer, Answer::Json { .. })
    }

    /// A request of this work as bytes on the wire. Its body begins with the work's name, for the upstream.
    pub(crate) fn request(&self, host: &str, key: &str) -> Arc<[u8]> {
        let verb = if self.is_stream() { "invoke-with-response-stream" } else { "invoke" };
        let opening = format!(
            r#"{OPENING}{}","anthropic_version":"bedrock-2023-05-31","max_tokens":100,"messages":[{{"role":"user","content":""#,
            self.name
        );
        let text = "w".repeat(self.request_bytes.saturating_sub(opening.len() + 4));
        let body = format!("{opening}{text}\"}}]}}");
        let request = format!(
            "POST /model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/{verb} HTTP/1.1\r\nHost: {host}\r\n\
             Authorization: Bearer {key}\r\nContent-Type: application/json\r\nAccept: application/json\r\n\
             User-Agent: loopback-bench\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        request.into_bytes().into()
    }
}

/// How every request's body begins.
const OPENING: &str = r#"{"bench":""#;

/// The name of the work in the first bytes of a request's body, once they are all there.
pub(crate) fn name_in(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body.get(..body.len().min(100))?).ok()?;
    text.strip_prefix(OPENING)?.split_once('"').map(|(name, _)| name)
}

/// An answer: its head, and its body in the pieces that are written one at a time.
pub(crate) struct Canned {
    pub(crate) work: Work,
    pub(crate) head: Vec<u8>,
    /// As they are on the wire, framing included.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// What is left of the body without its framing: its length, its CRC32, and where each piece of a paced stream ends in it.
    pub(crate) payload_bytes: u64,
    pub(crate) crc: u32,
    pub(crate) ends: Vec<u64>,
}

/// Every answer by the name of its work.
pub(crate) type Catalogue = HashMap<&'static str, Arc<Canned>>;

pub(crate) fn catalogue() -> Arc<Catalogue> {
    let works = MEASURED.into_iter().chain([SHORT_STREAM, HELD, FLOOD, FAULT, CUT]);
    Arc::new(works.map(|work| (work.name, Arc::new(Canned::of(work)))).collect())
}

impl Canned {
    fn of(work: Work) -> Self {
        match work.answer {
            Answer::Json { bytes } => Self::whole(work, "200 OK", json(bytes)),
            Answer::Fault => {
                let mut canned =
                    Self::whole(work, "429 Too Many Requests", r#"{"message":"Too many requests"}"#.to_owned());
                canned.head.splice(canned.head.len() - 2.., *b"x-amzn-ErrorType: ThrottlingException\r\n\r\n");
                canned
            }
            Answer::Stream { chunks, chunk_bytes, every } => {
                let messages: Vec<_> = (0..chunks).map(|n| event(Part::of(n, chunks), chunk_bytes)).collect();
                Self::streamed(work, &messages, !every.is_zero())
            }
            Answer::Held => {
                Self::streamed(work, &[Part::Start, Part::Delta, Part::Stop].map(|part| event(part, 100)), true)
            }
            Answer::Flood { .. } => {
                Self::streamed(work, &[Part::Start, Part::Delta].map(|part| event(part, 4_000)), true)
            }
            Answer::Cut => {
                let mut canned = Self::streamed(work, &[Part::Start, Part::Delta].map(|part| event(part, 100)), true);
                if let Some(last) = canned.pieces.get_mut(1) {
                    last.truncate(60);
                }
                canned
            }
        }
    }

    fn whole(work: Work, status: &str, body: String) -> Self {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nx-amzn-RequestId: 1\r\n\
             X-Amzn-Bedrock-Input-Token-Count: 10\r\nX-Amzn-Bedrock-Output-Token-Count: 20\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let (payload_bytes, crc) = (body.len() as u64, crc32fast::hash(body.as_bytes()));
        Self { work, head: head.into_bytes(), pieces: vec![body.into_bytes()], payload_bytes, crc, ends: Vec::new() }
    }

    fn streamed(work: Work, messages: &[Vec<u8>], one_by_one: bool) -> Self {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n\
                    X-Amzn-Bedrock-Content-Type: application/json\r\nx-amzn-RequestId: 1\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        let payload = messages.concat();
        let ends = messages.iter().scan(0, |end, message| {
            *end += message.len() as u64;
            Some(*end)
        });
        let ends = if one_by_one { ends.collect() } else { Vec::new() };
        let mut pieces: Vec<Vec<u8>> = messages.iter().map(|message| in_chunk(message)).collect();
        pieces.push(b"0\r\n\r\n".to_vec());
        let pieces = if one_by_one { pieces } else { vec![pieces.concat()] };
        let (payload_bytes, crc) = (payload.len() as u64, crc32fast::hash(&payload));
        Self { work, head: head.as_bytes().to_vec(), pieces, payload_bytes, crc, ends }
    }
}

fn json(bytes: usize) -> String {
    let usage = r#""usage":{"input_tokens":10,"output_tokens":20}}"#;
    let opening = r#"{"type":"message","content":[{"type":"text","text":""#;
    let text = "x".repeat(bytes.saturating_sub(opening.len() + usage.len() + 4));
    format!("{opening}{text}\"}}],{usage}")
}

#[derive(Clone, Copy)]
enum Part {
    Start,
    Delta,
    Stop,
}

impl Part {
    const fn of(number: usize, of: usize) -> Self {
        match number {
            0 => Self::Start,
            _ if number + 1 == of => Self::Stop,
            _ => Self::Delta,
        }
    }
}

/// One event of an Anthropic stream, its payload padded to `bytes`.
fn event(part: Part, bytes: usize) -> Vec<u8> {
    let json = match part {
        Part::Start => r#"{"type":"message_start","message":{"usage":{"input_tokens":10,"output_tokens":1}}}"#,
        Part::Delta => r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#,
        Part::Stop => {
            r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":10,"outputTokenCount":20,"invocationLatency":1,"firstByteLatency":1}}"#
        }
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
