//! Real exchanges with Bedrock, and some of our own, through the whole gateway: every byte of the body, the status and the
//! headers come through unchanged, both ways, and the bill has Bedrock's own counts.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::AsyncWrite;
use tollgate::eventstream;
use tollgate::gateway::Body;
use tollgate::identity::{Origin, Source};

use crate::client::{Answer, Wire, send};
use crate::harness::{Plan, Scene};
use crate::upstream::{Canned, Request, Then};

/// What was asked and what Bedrock answered.
#[derive(Clone, Debug)]
struct Exchange {
    name: String,
    verb: String,
    /// What the profile is said to be made from.
    model: String,
    request: Vec<u8>,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Exchange {
    /// The answer as it goes over the wire, a chunked body in pieces of an odd size.
    fn on_the_wire(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Whatever\r\n", self.status);
        let mut chunked = false;
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
            chunked |= name.eq_ignore_ascii_case("transfer-encoding");
        }
        head += "\r\n";
        let mut bytes = head.into_bytes();
        if chunked {
            for piece in self.body.chunks(997) {
                bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                bytes.extend(piece);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(&self.body);
        }
        bytes
    }

    /// The headers that the caller must see, and the only ones.
    fn end_to_end(&self) -> Vec<(String, String)> {
        const OF_THE_CONNECTION: [&str; 2] = ["connection", "transfer-encoding"];
        let lower = self.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        let mut kept: Vec<_> = lower.filter(|(name, _)| !OF_THE_CONNECTION.contains(&name.as_str())).collect();
        kept.sort();
        kept
    }
}

fn profile_arn(index: usize) -> String {
    format!("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/exchange{index}")
}

/// A gateway before an upstream that plays these answers; a profile for each exchange, so that each has a row on the bill.
async fn scene_of(exchanges: &[Exchange], tables: &str) -> (Scene, Canned) {
    let upstream = Canned::start(exchanges.iter().map(Exchange::on_the_wire).collect(), Then::KeepAlive).await;
    let (mut profiles, mut priced) = (String::new(), Vec::new());
    for (index, exchange) in exchanges.iter().enumerate() {
        let (arn, source) = (profile_arn(index), &exchange.model);
        let table =
            format!("[[profiles]]\nname = \"x{index}\"\narn = \"{arn}\"\nsource = \"{source}\"\neveryone = true");
        writeln!(profiles, "{table}").unwrap();
        if !priced.contains(source) {
            writeln!(profiles, "[prices.\"{source}\"]\ninput = \"1\"\noutput = \"2\"").unwrap();
            priced.push(source.clone());
        }
    }
    let scene = Plan::default().profiles(&profiles).with(tables).endpoint(upstream.address).open().await;
    (scene, upstream)
}

async fn ask(scene: &Scene, index: usize, exchange: &Exchange, wire: Wire) -> Answer {
    let request = scene.post("alice", &format!("/model/x{index}/{}", exchange.verb), exchange.request.clone());
    send(scene.data, wire, request).await
}

fn path_of(index: usize, exchange: &Exchange) -> String {
    let arn = profile_arn(index).replace(':', "%3A").replace('/', "%2F");
    format!("POST /model/{arn}/{} HTTP/1.1", exchange.verb)
}

fn assert_came_through(answer: &Answer, exchange: &Exchange) {
    let name = &exchange.name;
    assert_eq!(answer.status.as_u16(), exchange.status, "{name}");
    assert_eq!(answer.broke, None, "{name}");
    assert!(answer.body == exchange.body, "{name}: the answer's bytes differ");
    let seen =
        answer.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()));
    let mut seen: Vec<_> = seen.filter(|(name, _)| name != "transfer-encoding").collect();
    seen.sort();
    assert_eq!(seen, exchange.end_to_end(), "{name}");
}

async fn come_through_unchanged(exchanges: &[Exchange], wire: Wire) -> (Scene, Vec<Request>) {
    let (scene, upstream) = scene_of(exchanges, "").await;
    for (index, exchange) in exchanges.iter().enumerate() {
        let answer = ask(&scene, index, exchange, wire).await;
        assert_came_through(&answer, exchange);
    }
    let received = upstream.received();
    assert_eq!(received.len(), exchanges.len());
    for (index, (received, exchange)) in received.iter().zip(exchanges).enumerate() {
        assert_eq!(received.line, path_of(index, exchange));
        assert!(received.body == exchange.request, "{}: the request's bytes differ", exchange.name);
    }
    (scene, received)
}

/// Every recorded exchange, or nothing, said aloud, where they are absent.
fn recorded(test: &str) -> Vec<Exchange> {
    let file = std::env::var_os("TOLLGATE_RECORDED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/recorded/exchanges.jsonl")),
        PathBuf::from,
    );
    let Ok(lines) = std::fs::read_to_string(file) else {
        println!("skipped: {test}: ../shared/recorded is absent");
        return Vec::new();
    };
    let exchanges: Vec<_> = lines.lines().map(|line| read(&serde_json::from_str(line).unwrap())).collect();
    assert!(!exchanges.is_empty());
    exchanges
}

fn read(recorded: &Value) -> Exchange {
    let text = |name: &str| recorded[name].as_str().unwrap().to_owned();
    let model = text("model");
    // What cannot be the source of a profile (a SageMaker endpoint, a name that was none) is asked of another model's.
    let model = match model.rsplit_once("inference-profile/") {
        Some((_, id)) => id.to_owned(),
        None if model.starts_with("arn:") || !model.contains('.') => "meta.llama3-70b-instruct-v1:0".to_owned(),
        None => model,
    };
    let headers = recorded["headers"].as_object().unwrap();
    Exchange {
        name: text("source"),
        verb: text("operation"),
        model,
        request: text("request_body").into_bytes(),
        status: recorded["status"].as_u64().unwrap().try_into().unwrap(),
        headers: headers.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
        body: STANDARD.decode(text("body_b64")).unwrap(),
    }
}

const COUNTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/recorded_counts.tsv"));

#[tokio::test]
async fn every_recorded_exchange_comes_through_unchanged_and_is_billed_by_its_own_counts() {
    let exchanges = recorded("every_recorded_exchange_comes_through_unchanged_and_is_billed_by_its_own_counts");
    if exchanges.is_empty() {
        return;
    }
    let expected: Vec<&str> = COUNTS.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(expected.len(), exchanges.len());
    for wire in [Wire::Http1, Wire::Http2] {
        let (scene, _) = come_through_unchanged(&exchanges, wire).await;
        let bill = scene.bill_of(exchanges.len() as u64).await;
        assert_eq!(bill.at_reservation(), [""; 0]);
        for (index, line) in expected.iter().enumerate() {
            let columns: Vec<&str> = line.split('\t').collect();
            let name = format!("x{index}");
            let row = bill.rows().iter().find(|row| row["profile"] == name).unwrap();
            let count = |kind: &str| row["tokens"][kind].as_u64().unwrap();
            let written = count("cache_write_5m") + count("cache_write_1h");
            let seen = [count("input"), count("output"), count("cache_read"), written].map(|count| count.to_string());
            assert_eq!(seen, columns[2..6], "{line}");
            let outcome = if columns[1] == "guardrail_blocked_input" { "guardrail_blocked" } else { columns[1] };
            assert_eq!(row["outcome"], outcome, "{line}");
        }
    }
}

#[tokio::test]
async fn recorded_requests_leave_with_the_guardrail_owed_and_are_otherwise_the_same() {
    let test = "recorded_requests_leave_with_the_guardrail_owed_and_are_otherwise_the_same";
    let exchanges = recorded(test);
    if exchanges.is_empty() {
        return;
    }
    let owed = "[[guardrails]]\nidentifier = \"gr1\"\nversion = \"7\"\neveryone = true\nselective = \"allow\"";
    // What names another guardrail is refused, so its answer is never asked for.
    let (other, own): (Vec<_>, Vec<_>) = exchanges
        .into_iter()
        .partition(|exchange| memchr::memmem::find(&exchange.request, b"guardrailIdentifier").is_some());
    let (scene, upstream) = scene_of(&own, owed).await;
    for (index, exchange) in own.iter().enumerate() {
        assert_came_through(&ask(&scene, index, exchange, Wire::Http1).await, exchange);
    }
    let received = upstream.received();
    assert_eq!(received.len(), own.len());
    for (received, exchange) in received.iter().zip(&own) {
        let header = |name: &str| received.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        if exchange.verb.starts_with("invoke") {
            assert!(received.body == exchange.request, "{}", exchange.name);
            assert_eq!(header("x-amzn-bedrock-guardrailidentifier"), Some("gr1"));
            assert_eq!(header("x-amzn-bedrock-guardrailversion"), Some("7"));
            continue;
        }
        let splice = br#"{"guardrailConfig":{"guardrailIdentifier":"gr1","guardrailVersion":"7"},"#;
        assert!(received.body.starts_with(splice), "{}", exchange.name);
        assert!(received.body[splice.len()..] == exchange.request[1..], "{}", exchange.name);
        assert_eq!(header("x-amzn-bedrock-guardrailidentifier"), None);
    }
    let (scene, upstream) = scene_of(&other, owed).await;
    for (index, exchange) in other.iter().enumerate() {
        let answer = ask(&scene, index, exchange, Wire::Http1).await;
        assert_eq!(answer.refusal(), (400, "AccessDeniedException", "guardrail_different"), "{}", exchange.name);
    }
    assert!(upstream.received().is_empty());
}

/// Exchanges of our own: bytes that a reader of JSON would write otherwise, and answers of every kind.
fn own() -> Vec<Exchange> {
    let odd = "{ \"messages\":[\t{\"role\" :\"user\",\"content\":[{\"text\":\"\\u0041\\/ \u{e9}\u{1F600} 1.0e+2\"}]}\r\n],\
               \"additionalModelRequestFields\":{\"b\":1,\"a\":1.50,\"big\":12345678901234567890}}\n\n";
    let claude = "{\"max_tokens\":5,  \"messages\":[{\"role\":\"user\",\"content\":\"a\\tb\"}]}";
    let json = |extra: &[(&str, &str)], body: &str| {
        let mut headers = vec![("Content-Type", "application/json"), ("x-amzn-RequestId", "of-bedrock")];
        headers.extend(extra);
        let length = body.len().to_string();
        headers.push(("Content-Length", &length));
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        (dated(headers), body.as_bytes().to_vec())
    };
    let stream: Vec<u8> = [
        message("messageStart", &json!({"role": "assistant"})),
        message("metadata", &json!({"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}, "metrics": {}})),
    ]
    .concat();
    let streamed = dated(
        [
            ("Content-Type", "application/vnd.amazon.eventstream"),
            ("x-amzn-RequestId", "s"),
            ("Transfer-Encoding", "chunked"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
    );
    let failed = [stream.clone(), eventstream::exception("modelStreamErrorException", "Sorry.").to_vec()].concat();
    let answered = json(&[], "{ \"usage\" : {\"inputTokens\":1, \"outputTokens\":2, \"totalTokens\":3} }\n");
    let counted = json(
        &[("X-Amzn-Bedrock-Input-Token-Count", "5"), ("X-Amzn-Bedrock-Output-Token-Count", "6"), ("X-Odd", "\"a\", b")],
        "[1,\u{a0}2]",
    );
    let throttled =
        json(&[("x-amzn-ErrorType", "ThrottlingException:http://internal/")], "{\"message\":\"Slow down.\"}");
    let gone = json(&[("x-amzn-ErrorType", "ModelNotReadyException")], "");
    let exchange =
        |name: &str, verb: &str, request: &str, status: u16, (headers, body): (Vec<(String, String)>, Vec<u8>)| {
            let (name, verb, request) = (name.to_owned(), verb.to_owned(), request.as_bytes().to_vec());
            Exchange { name, verb, model: "amazon.nova-lite-v1:0".to_owned(), request, status, headers, body }
        };
    vec![
        exchange("odd JSON", "converse", odd, 200, answered),
        exchange("a body that is no object", "invoke", claude, 200, counted),
        exchange("throttled", "invoke", claude, 429, throttled),
        exchange("an empty body", "converse", odd, 503, gone),
        exchange("a stream", "converse-stream", odd, 200, (streamed.clone(), stream)),
        exchange("a stream that fails", "converse-stream", odd, 200, (streamed, failed)),
        exchange("a body that is no JSON", "invoke", "\0\u{1}\u{2} not JSON at all", 400, json(&[], "{}")),
        exchange("no body", "invoke", "", 400, json(&[], "{}")),
    ]
}

fn dated(mut headers: Vec<(String, String)>) -> Vec<(String, String)> {
    headers.push(("Date".to_owned(), "Tue, 25 Feb 2025 08:56:15 GMT".to_owned()));
    headers
}

/// A message of an event stream, by AWS's own encoder.
pub(crate) fn message(event: &str, payload: &Value) -> Vec<u8> {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
    let header = |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
    let message = Message::new(payload.to_string().into_bytes())
        .add_header(header(":event-type", event))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", "event"));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn exchanges_of_our_own_come_through_unchanged() {
    for wire in [Wire::Http1, Wire::Http2] {
        let exchanges = own();
        let (scene, _) = come_through_unchanged(&exchanges, wire).await;
        let bill = scene.bill_of(exchanges.len() as u64).await;
        assert_eq!(bill.at_reservation(), ["exception"]);
    }
}

#[tokio::test]
async fn a_guardrail_is_written_into_converse_bodies_and_no_other_byte_moves() {
    let owed = "[[guardrails]]\nidentifier = \"gr1\"\nversion = \"7\"\neveryone = true";
    let exchanges: Vec<_> = own().into_iter().filter(|exchange| exchange.verb.starts_with("converse")).collect();
    let (scene, upstream) = scene_of(&exchanges, owed).await;
    for (index, exchange) in exchanges.iter().enumerate() {
        assert_came_through(&ask(&scene, index, exchange, Wire::Http1).await, exchange);
    }
    for (received, exchange) in upstream.received().iter().zip(&exchanges) {
        let splice = br#""guardrailConfig":{"guardrailIdentifier":"gr1","guardrailVersion":"7"},"#;
        let at = memchr::memmem::find(&received.body, splice).unwrap();
        let without = [&received.body[..at], &received.body[at + splice.len()..]].concat();
        assert!(without == exchange.request, "{}", exchange.name);
    }
}

#[tokio::test]
async fn pieces_of_an_answer_are_slices_of_the_buffer_that_was_read_and_no_copies() {
    let messages: Vec<_> =
        (0..5).map(|n| message("contentBlockDelta", &json!({"delta": {"text": "a".repeat(n)}}))).collect();
    let mut answer =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for message in &messages {
        answer.extend([format!("{:x}\r\n", message.len()).as_bytes(), message, b"\r\n"].concat());
    }
    answer.extend(b"0\r\n\r\n");
    let upstream = Canned::start(vec![answer], Then::KeepAlive).await;
    let scene = Plan::default().endpoint(upstream.address).open().await;
    let request = scene.post("alice", "/model/sonnet/converse-stream", crate::harness::converse("hello"));
    let mut body = Arc::clone(&scene.gateway).handle(request, &Origin::from(Source::Local)).await.into_body();
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        frames.push(frame.unwrap().into_data().unwrap());
    }
    assert!(frames == messages);
    for (pair, next) in frames.windows(2).zip(&messages[1..]) {
        // Between two pieces lies what frames them on the wire, and nothing else.
        let framing = format!("\r\n{:x}\r\n", next.len()).len();
        assert_eq!(pair[1].as_ptr() as usize, pair[0].as_ptr() as usize + pair[0].len() + framing);
    }
}

/// Takes a few bytes at a time and notes where they lay.
#[derive(Default)]
struct Places {
    taken: Vec<u8>,
    at: Vec<(usize, usize)>,
}

impl AsyncWrite for Places {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let few = &bytes[..bytes.len().min(97)];
        self.taken.extend_from_slice(few);
        self.at.push((few.as_ptr() as usize, few.len()));
        Poll::Ready(Ok(few.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn an_answer_is_written_from_the_buffer_into_which_it_was_read_framing_included() {
    let messages: Vec<_> =
        (0..9).map(|n| message("contentBlockDelta", &json!({"delta": {"text": "a".repeat(n)}}))).collect();
    let mut body = Vec::new();
    for message in &messages {
        body.extend([format!("{:x}\r\n", message.len()).as_bytes(), message, b"\r\n"].concat());
    }
    body.extend(b"0\r\n\r\n");
    let head =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let upstream = Canned::start(vec![[head.as_slice(), &body].concat()], Then::KeepAlive).await;
    let scene = Plan::default().endpoint(upstream.address).open().await;
    let request = scene.post("alice", "/model/sonnet/converse-stream", crate::harness::converse("hello"));
    let answer = Arc::clone(&scene.gateway).handle(request, &Origin::from(Source::Local)).await.into_body();
    let Body::Metered(metered) = answer else { panic!("{answer:?}") };
    let (mut places, mut no_head) = (Places::default(), Bytes::new());
    poll_fn(|cx| metered.poll_pass(cx, &mut no_head, &mut places)).await.unwrap();
    assert!(places.taken == body);
    // One read of the socket held all of it: every piece begins where the last one ended.
    for pair in places.at.windows(2) {
        assert_eq!(pair[1].0, pair[0].0 + pair[0].1);
    }
}
