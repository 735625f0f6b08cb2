//! How many instructions the hot path takes, and how many allocations it makes. `scripts/instructions` runs it under valgrind and compares
//! with `benches/instructions/baseline.json`; alone it does nothing:
//!
//!     instructions NAME       does its work once, within `counted`, and prints how often that allocated

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench prints, and fails by panicking"
)]

use std::alloc::System;
use std::future::poll_fn;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tempfile::TempDir;
use tollgate::bedrock::Operation;
use tollgate::bedrock::usage::UsageReader;
use tollgate::config::assembly::{AwsIdentity, assemble};
use tollgate::config::{Settings, Surroundings};
use tollgate::gateway::{Body, Gateway};
use tollgate::http1::{self, Chunks, Next};
use tollgate::identity::keys::{Key, KeyFile, KeyRecord};
use tollgate::identity::{Origin, Principal, Source};
use tollgate::sigv4::{AwsCredentials, CanonicalRequest, Payload, Signer};
use tollgate::types::{ModelName, Secret, SystemClock, Tags};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PIECES: usize = 1_000;
/// How many times pieces are counted, a part of them at a time.
const BATCHES: usize = 5;
const CALLS: usize = 100;
const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n";
const CONVERSE: &str = r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}],"inferenceConfig":{"maxTokens":64}}"#;

fn main() {
    let Some(name) = std::env::args().nth(1) else { return };
    match name.as_str() {
        "pieces_passed_on" => pieces(),
        "call_2_kb" => calls(),
        "chunks_metered" => chunks(),
        "request_head" => request_head(),
        "answer_head" => answer_head(),
        "signature_2_kb" => signature(2_000),
        "signature_100_kb" => signature(100_000),
        "profile_resolved" => stages(Stage::Resolve),
        "guardrail_spliced" => stages(Stage::Guard),
        "usage_of_json" => usage_of_json(),
        // What `cargo test --all-targets` and nextest say to a bench.
        _ => {}
    }
}

/// What is done within is what is counted: valgrind looks for this function by its name.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}

/// Does the work once before it counts, so that what is kept is there.
fn count(mut work: impl FnMut()) {
    work();
    let region = Region::new(ALLOCATOR);
    counted(&mut work);
    told(&region);
}

fn told(region: &Region<'_, System>) {
    let change = region.change();
    println!("allocations {}", change.allocations + change.reallocations);
}

/// One message of a model's stream, in a chunk of its own.
fn piece() -> Vec<u8> {
    let json = r#"{"bytes":"eyJ0eXBlIjoiY29udGVudF9ibG9ja19kZWx0YSIsImluZGV4IjowLCJkZWx0YSI6eyJ0eXBlIjoidGV4dF9kZWx0YSIsInRleHQiOiJhIn19","p":"abcdefgh"}"#;
    let text = |value: &'static str| HeaderValue::String(value.into());
    let message = Message::new(json)
        .add_header(Header::new(":event-type", text("chunk")))
        .add_header(Header::new(":content-type", text("application/json")))
        .add_header(Header::new(":message-type", text("event")));
    let mut encoded = Vec::new();
    write_message_to(&message, &mut encoded).unwrap();
    [format!("{:x}\r\n", encoded.len()).as_bytes(), &encoded, b"\r\n"].concat()
}

/// The framing and the meter alone, of a thousand pieces that come in buffers of ten.
fn chunks() {
    let wire = piece().repeat(10);
    let operation = Operation::InvokeModelWithResponseStream;
    let mut meter = UsageReader::new(operation, StatusCode::OK, &HeaderMap::new());
    let mut framing = Chunks::default();
    count(|| {
        for _ in 0..PIECES / 10 {
            let mut rest = black_box(&wire[..]);
            while !rest.is_empty() {
                let step = framing.step(rest);
                rest = &rest[step.framing..];
                match step.next {
                    Next::Data(bytes) => {
                        meter.observe(&rest[..bytes]);
                        rest = &rest[bytes..];
                    }
                    Next::More => {}
                    Next::Trailers | Next::End | Next::Wrong(_) => panic!("{step:?}"),
                }
            }
        }
    });
}

fn request_head() {
    let head = b"POST /model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream HTTP/1.1\r\nHost: gateway.example.com\r\n\
        Accept-Encoding: identity\r\nContent-Type: application/json\r\nUser-Agent: Boto3/1.42.0 md/Botocore#1.42.0 ua/2.1 os/linux\r\n\
        Authorization: Bearer tg_AAAAAAAAAAAA_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\namz-sdk-invocation-id: 0a1b2c3d\r\n\
        amz-sdk-request: attempt=1\r\nContent-Length: 91\r\n\r\n";
    count(|| {
        for _ in 0..100 {
            let mut buffer = BytesMut::from(black_box(&head[..]));
            let taken = http1::Request::take(&mut buffer);
            assert!(matches!(black_box(taken), http1::Request::Plain(_)));
        }
    });
}

fn answer_head() {
    let head = b"HTTP/1.1 200 OK\r\nDate: Tue, 25 Feb 2025 08:56:15 GMT\r\nContent-Type: application/vnd.amazon.eventstream\r\n\
        Transfer-Encoding: chunked\r\nConnection: keep-alive\r\nx-amzn-RequestId: 9a2c1f5e-3d41-4e33-a1f2-000000000000\r\n\r\n";
    count(|| {
        for _ in 0..100 {
            let mut buffer = BytesMut::from(black_box(&head[..]));
            assert!(black_box(http1::response(&mut buffer)).unwrap().is_some());
        }
    });
}

fn credentials() -> AwsCredentials {
    let secret_access_key = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    AwsCredentials { access_key_id: "AKIDEXAMPLE".to_owned(), secret_access_key, session_token: None }
}

/// Hashing a body and signing its request, the key derived before.
fn signature(bytes: usize) {
    let (signer, credentials) = (Signer::default(), credentials());
    let region = "us-east-1".parse().unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_401);
    let body = Bytes::from(vec![b'a'; bytes]);
    count(|| {
        let payload = Payload::of(black_box(body.clone()));
        let date = Signer::amz_date(now);
        let headers = [
            ("content-type", "application/json"),
            ("host", "bedrock-runtime.us-east-1.amazonaws.com"),
            ("x-amz-date", &date),
        ];
        let path =
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fsonnet/converse";
        let payload_sha256 = payload.sha256();
        let request = CanonicalRequest { method: "POST", path, query: "", headers: &headers, payload_sha256 };
        black_box(signer.sign(&request, &date, now, &credentials, &region));
    });
}

fn usage_of_json() {
    let text = "a".repeat(2_000);
    let body = format!(
        r#"{{"metrics":{{"latencyMs":551}},"output":{{"message":{{"content":[{{"text":"{text}"}}],"role":"assistant"}}}},"stopReason":"end_turn","usage":{{"inputTokens":13,"outputTokens":5,"totalTokens":18}}}}"#
    );
    count(|| {
        let mut meter = UsageReader::new(Operation::Converse, StatusCode::OK, &HeaderMap::new());
        meter.observe(black_box(body.as_bytes()));
        assert_eq!(meter.finish().exact_usage().unwrap().total(), 18);
    });
}

/// A gateway with everything on, in front of this upstream, and the folder that it needs.
async fn gateway(upstream: SocketAddr) -> (Arc<Gateway>, Key, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let key = Key::generate().unwrap();
    let keyfile = KeyFile::new(folder.path().join("keys.json"));
    keyfile.add(vec![KeyRecord::of(&key, "alice", jiff::Timestamp::now())]).unwrap();
    let text = format!(
        r#"
        [server]
        listen = "127.0.0.1:0"
        [admin]
        listen = "127.0.0.1:0"
        [upstream]
        region = "us-east-1"
        endpoint = "http://{upstream}"
        [identity]
        keys_file = "keys.json"
        [[principals]]
        name = "alice"
        [[profiles]]
        name = "sonnet"
        arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/sonnet"
        source = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
        principals = ["alice"]
        [[guardrails]]
        identifier = "gr1234567890"
        version = "1"
        mode = "inject"
        everyone = true
        [[budgets]]
        name = "day"
        window = "day"
        usd = "1000"
        everyone = true
        "#
    );
    let around = Surroundings { folder: folder.path(), price_known: &tollgate::cli::price_known };
    let (settings, _) = Settings::parse(&text, Path::new("tollgate.toml"), &around).unwrap();
    let assembled =
        Box::pin(assemble(&settings, AwsIdentity::Fixed(credentials()), Arc::new(SystemClock))).await.unwrap();
    let bound = assembled.bind().await.unwrap();
    (Arc::clone(bound.gateway()), key, folder)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Resolve,
    Guard,
}

/// A hundred times one stage of the way.
fn stages(stage: Stage) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (gateway, _, _folder) = runtime.block_on(gateway(SocketAddr::from(([127, 0, 0, 1], 9))));
    let alice = Arc::new(Principal::new("alice", vec![], Tags::default()));
    let text = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    let resolve = || {
        let name = ModelName::classify(black_box(text));
        gateway.directory.load().resolve(&alice, Operation::Converse, &name, text).unwrap()
    };
    let body = Bytes::from_static(CONVERSE.as_bytes());
    match stage {
        Stage::Resolve => count(|| (0..100).for_each(|_| drop(black_box(resolve())))),
        Stage::Guard => count(|| {
            for _ in 0..100 {
                let permitted = gateway.policies.authorize(Arc::clone(&alice), resolve(), Operation::Converse).unwrap();
                let guarded = gateway.guardrails.enforce(permitted, &HeaderMap::new(), black_box(&body)).unwrap();
                assert!(guarded.is_guarded());
            }
        }),
    }
}

/// Answers one call, a piece whenever it is asked, and says when that has left.
fn upstream(asked: Receiver<()>, left: Sender<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        tcp.set_nodelay(true).unwrap();
        let mut request = vec![0; 16 * 1_024];
        let mut read = 0;
        while !request[..read].ends_with(b"}}") {
            read += tcp.read(&mut request[read..]).unwrap();
        }
        tcp.write_all(HEAD).unwrap();
        let piece = piece();
        while asked.recv().is_ok() {
            tcp.write_all(&piece).unwrap();
            left.send(()).unwrap();
        }
    });
    address
}

/// A caller who takes whatever comes and only counts it.
struct Caller(usize);

impl tokio::io::AsyncWrite for Caller {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.0 += bytes.len();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The whole way of a piece: from a socket of Bedrock's under the meter to a caller, one by one, as a model says them.
fn pieces() {
    let ((ask, asked), (leaves, left)) = (channel(), channel());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (gateway, key, _folder) = runtime.block_on(gateway(upstream(asked, leaves)));
    let request =
        Request::post("/model/sonnet/converse-stream").header("authorization", format!("Bearer {}", key.expose()));
    let request = request.body(Full::from(CONVERSE)).unwrap();
    let answer = runtime.block_on(gateway.handle(request, &Origin::from(Source::Local)));
    assert_eq!(answer.status(), StatusCode::OK);
    let Body::Metered(body) = answer.into_body() else { panic!("no answer of Bedrock's") };
    let (mut caller, mut head, piece) = (Caller(0), Bytes::new(), piece().len());
    let (counting, allocations) = (std::cell::Cell::new(false), std::cell::Cell::new(0));
    let mut work = || {
        let whole = caller.0 + piece;
        let passing = poll_fn(|cx| {
            let region = counting.get().then(|| Region::new(ALLOCATOR));
            let passed = body.poll_pass(cx, &mut head, &mut caller);
            if let Some(change) = region.map(|region| region.change()) {
                allocations.set(allocations.get() + change.allocations + change.reallocations);
            }
            match passed {
                Poll::Pending if caller.0 < whole => Poll::Pending,
                ended @ (Poll::Ready(_) | Poll::Pending) => {
                    assert!(ended.is_pending(), "{ended:?}");
                    Poll::Ready(())
                }
            }
        });
        runtime.block_on(passing);
    };
    let mut pass = |times: usize, how: &dyn Fn(&mut dyn FnMut())| {
        for _ in 0..times {
            ask.send(()).unwrap();
            left.recv().unwrap();
            how(&mut work);
        }
    };
    pass(64, &|work| work());
    pass(PIECES, &|work| counted(work));
    counting.set(true);
    // The allocator counts for all threads, the store's and the channels' too: the quietest of the batches is the pieces alone.
    let batches = (0..BATCHES).map(|_| {
        allocations.set(0);
        pass(PIECES / BATCHES, &|work| work());
        allocations.get()
    });
    println!("allocations {}", batches.min().unwrap() * BATCHES);
}

/// Answers calls of so many bytes, one after another, with an answer of a model's.
fn whole_answers(request_bytes: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        tcp.set_nodelay(true).unwrap();
        let body = format!(
            r#"{{"content":[{{"type":"text","text":"{}"}}],"usage":{{"input_tokens":500,"output_tokens":200}}}}"#,
            "a".repeat(900)
        );
        let counts = "x-amzn-bedrock-input-token-count: 500\r\nx-amzn-bedrock-output-token-count: 200\r\n";
        let answer = format!(
            "HTTP/1.1 200 OK\r\nDate: Tue, 25 Feb 2025 08:56:15 GMT\r\nContent-Type: application/json\r\n\
             x-amzn-RequestId: 9a2c1f5e-3d41-4e33-a1f2-000000000000\r\n{counts}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut request = vec![0; 64 * 1_024];
        let mut read = 0;
        loop {
            match tcp.read(&mut request[read..]) {
                Ok(0) | Err(_) => return,
                Ok(bytes) => read += bytes,
            }
            let head = request[..read].windows(4).position(|end| end == b"\r\n\r\n");
            if head.is_some_and(|head| read == head + 4 + request_bytes) {
                read = 0;
                tcp.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    address
}

/// The whole way of a call with a body of 2 KB, but for reading its head: from there to the last byte of the answer.
fn calls() {
    let body = format!(
        r#"{{"anthropic_version":"bedrock-2023-05-31","max_tokens":512,"messages":[{{"role":"user","content":"{}"}}]}}"#,
        "a".repeat(1_900)
    );
    let body = Bytes::from(body);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (gateway, key, _folder) = runtime.block_on(gateway(whole_answers(body.len())));
    let authorization = format!("Bearer {}", key.expose());
    let origin = Origin::from(Source::Local);
    let mut call = || {
        let request = Request::post("/model/sonnet/invoke").header("authorization", &authorization);
        let request = request.header("content-type", "application/json").body(Full::from(body.clone())).unwrap();
        let sent = runtime.block_on(async {
            let answer = Arc::clone(&gateway).handle(request, &origin).await;
            assert_eq!(answer.status(), StatusCode::OK);
            let Body::Metered(body) = answer.into_body() else { panic!("no answer of Bedrock's") };
            let (mut caller, mut head) = (Caller(0), Bytes::new());
            poll_fn(|cx| body.poll_pass(cx, &mut head, &mut caller)).await.unwrap();
            caller.0
        });
        assert!(sent > 900);
    };
    let mut batch = |calls: usize, how: &dyn Fn(&mut dyn FnMut())| {
        let region = Region::new(ALLOCATOR);
        (0..calls).for_each(|_| how(&mut call));
        let change = region.change();
        change.allocations + change.reallocations
    };
    batch(64, &|call| call());
    batch(CALLS, &|call| counted(call));
    // As with pieces: the quietest batch is the calls alone.
    let batches = (0..BATCHES).map(|_| batch(CALLS / BATCHES, &|call| call()));
    println!("allocations {}", batches.min().unwrap() * BATCHES);
}
