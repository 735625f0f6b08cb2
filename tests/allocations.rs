//! What a streamed piece costs in heap allocations: nothing. A gateway with everything on stands between an upstream and a caller that
//! allocate nothing themselves while the allocator counts.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio_util::sync::CancellationToken;
use tollgate::config::assembly::{AwsIdentity, assemble};
use tollgate::config::{Settings, Surroundings};
use tollgate::identity::keys::{Key, KeyFile, KeyRecord};
use tollgate::sigv4::AwsCredentials;
use tollgate::types::{Secret, SystemClock};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Pieces after which buffers have their size.
const WARM_UP: usize = 64;
/// Pieces that are counted at a time, and how often.
const COUNTED: usize = 200;
const TIMES: usize = 5;

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n";

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

/// Answers one call, a piece whenever a byte comes through `asked`.
fn upstream(mut asked: TcpStream) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        tcp.set_nodelay(true).unwrap();
        let mut request = vec![0; 16 * 1_024];
        let mut read = 0;
        while !request[..read].ends_with(b"}]}") {
            read += tcp.read(&mut request[read..]).unwrap();
        }
        tcp.write_all(HEAD).unwrap();
        let piece = piece();
        while asked.read(&mut [0]).unwrap() == 1 {
            tcp.write_all(&piece).unwrap();
        }
        tcp.write_all(b"0\r\n\r\n").unwrap();
        drop(tcp.read(&mut [0]));
    });
    address
}

/// A gateway on a thread of its own, and a key to it.
fn gateway(folder: &Path, upstream: SocketAddr) -> (SocketAddr, String) {
    let key = Key::generate().unwrap();
    let keyfile = KeyFile::new(folder.join("keys.json"));
    let record = KeyRecord::of(&key, "alice", jiff::Timestamp::now());
    keyfile.add(vec![record]).unwrap();
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
    let around = Surroundings { folder, price_known: &tollgate::cli::price_known };
    let (settings, _) = Settings::parse(&text, Path::new("tollgate.toml"), &around).unwrap();
    let (told, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let aws = AwsCredentials {
                access_key_id: "AKIDEXAMPLE".to_owned(),
                secret_access_key: Secret::new("secret"),
                session_token: None,
            };
            let assembled =
                Box::pin(assemble(&settings, AwsIdentity::Fixed(aws), Arc::new(SystemClock))).await.unwrap();
            let bound = assembled.bind().await.unwrap();
            told.send(bound.data_address().unwrap()).unwrap();
            bound.run(CancellationToken::new()).await;
        });
    });
    (address.recv().unwrap(), key.expose().to_owned())
}

#[test]
fn a_streamed_piece_is_passed_on_and_metered_without_an_allocation() {
    let folder = tempfile::tempdir().unwrap();
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut ask = TcpStream::connect(door.local_addr().unwrap()).unwrap();
    ask.set_nodelay(true).unwrap();
    let (address, key) = gateway(folder.path(), upstream(door.accept().unwrap().0));

    let mut caller = TcpStream::connect(address).unwrap();
    let body =
        r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    let request = format!(
        "POST /model/sonnet/invoke-with-response-stream HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    caller.write_all(request.as_bytes()).unwrap();
    let mut answer = vec![0; 16 * 1_024];
    let mut read = 0;
    while !answer[..read].ends_with(b"\r\n\r\n") {
        read += caller.read(&mut answer[read..]).unwrap();
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer[..read]));

    let expected = piece();
    let mut come = vec![0; expected.len()];
    let mut pass = |pieces: usize| {
        for _ in 0..pieces {
            ask.write_all(b".").unwrap();
            caller.read_exact(&mut come).unwrap();
            assert!(come == expected);
        }
    };
    pass(WARM_UP);
    // What else the gateway does now and then, such as looking for new keys, is not the stream's: the quietest time is the stream alone.
    let allocations = (0..TIMES).map(|_| {
        let region = Region::new(ALLOCATOR);
        pass(COUNTED);
        let change = region.change();
        change.allocations + change.reallocations
    });
    assert_eq!(allocations.min(), Some(0), "allocations in {COUNTED} pieces");
}
