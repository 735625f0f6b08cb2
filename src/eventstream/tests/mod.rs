//! The splitter against the AWS crate's writer and reader, and against bytes that mean harm.

mod properties;

use aws_smithy_eventstream::frame::{read_message_from, write_message_to};
use aws_smithy_types::DateTime;
use aws_smithy_types::event_stream::{Header as OracleHeader, HeaderValue as OracleValue, Message as OracleMessage};
use bytes::Bytes;

use super::*;

#[derive(Clone, Debug, PartialEq)]
struct Seen {
    headers: Vec<(String, OracleValue)>,
    payload: Vec<u8>,
}

fn seen(message: Message<'_>) -> Seen {
    let headers = message
        .headers()
        .map(|header| {
            let header = header.expect("a header that the oracle wrote");
            let value = match header.value {
                HeaderValue::Bool(value) => OracleValue::Bool(value),
                HeaderValue::Byte(value) => OracleValue::Byte(value),
                HeaderValue::Int16(value) => OracleValue::Int16(value),
                HeaderValue::Int32(value) => OracleValue::Int32(value),
                HeaderValue::Int64(value) => OracleValue::Int64(value),
                HeaderValue::ByteArray(value) => OracleValue::ByteArray(Bytes::copy_from_slice(value)),
                HeaderValue::String(value) => OracleValue::String(value.to_owned().into()),
                HeaderValue::Timestamp(value) => OracleValue::Timestamp(DateTime::from_millis(value)),
                HeaderValue::Uuid(value) => OracleValue::Uuid(u128::from_be_bytes(value)),
            };
            (header.name.to_owned(), value)
        })
        .collect();
    Seen { headers, payload: message.payload().to_vec() }
}

fn of_oracle(message: &OracleMessage) -> Seen {
    Seen {
        headers: message
            .headers()
            .iter()
            .map(|header| (header.name().as_str().to_owned(), header.value().clone()))
            .collect(),
        payload: message.payload().to_vec(),
    }
}

fn encode(message: &OracleMessage) -> Vec<u8> {
    let mut out = Vec::new();
    write_message_to(message, &mut out).expect("a message that can be written");
    out
}

fn text(name: &str, value: &str) -> OracleHeader {
    OracleHeader::new(name.to_owned(), OracleValue::String(value.to_owned().into()))
}

fn event(event_type: &str, payload: &[u8]) -> Vec<u8> {
    encode(
        &OracleMessage::new(Bytes::copy_from_slice(payload))
            .add_header(text(":event-type", event_type))
            .add_header(text(":content-type", "application/json"))
            .add_header(text(":message-type", "event")),
    )
}

/// A message from raw parts with right checksums, whatever its lengths and headers say.
fn forged(total: u32, headers_len: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&headers_len.to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out
}

fn with_header_block(block: &[u8]) -> Vec<u8> {
    let len = u32::try_from(block.len()).unwrap();
    forged(16 + len, len, block)
}

fn feed_all<'a>(
    splitter: &mut Splitter,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Seen>, Result<(), EventStreamError>) {
    let mut messages = Vec::new();
    for chunk in chunks {
        if let Err(error) = splitter.feed(chunk, |message| messages.push(seen(message))) {
            return (messages, Err(error));
        }
    }
    (messages, Ok(()))
}

#[test]
fn messages_are_told_apart_by_type_and_name() {
    let cases = [
        (vec![text(":message-type", "event"), text(":event-type", "chunk")], Kind::Event("chunk")),
        (
            vec![text(":exception-type", "throttlingException"), text(":message-type", "exception")],
            Kind::Exception("throttlingException"),
        ),
        (vec![text(":message-type", "error"), text(":error-code", "InternalError")], Kind::Error("InternalError")),
        (vec![text(":message-type", "event")], Kind::Unknown),
        (vec![text(":message-type", "greeting"), text(":event-type", "chunk")], Kind::Unknown),
        (vec![text(":event-type", "chunk")], Kind::Unknown),
        (vec![], Kind::Unknown),
    ];
    for (headers, expected) in cases {
        let bytes = encode(&OracleMessage::new_from_parts(headers, Bytes::new()));
        let mut count = 0;
        Splitter::new()
            .feed(&bytes, |message| {
                assert_eq!(message.kind(), Ok(expected));
                count += 1;
            })
            .unwrap();
        assert_eq!(count, 1);
    }
}

#[test]
fn the_common_header_blocks_are_what_the_aws_crate_writes() {
    for (block, name) in message::COMMON_EVENTS {
        let bytes = event(name, b"{}");
        assert_eq!(&bytes[12..12 + block.len()], block);
        assert_eq!(bytes.len(), 12 + block.len() + 2 + 4);
        Splitter::new().feed(&bytes, |message| assert_eq!(message.kind(), Ok(Kind::Event(name)))).unwrap();
    }
}

#[test]
fn a_header_is_found_by_its_name() {
    let bytes = event("metadata", b"{}");
    let mut count = 0;
    Splitter::new()
        .feed(&bytes, |message| {
            assert_eq!(message.event_type(), Some("metadata"));
            assert_eq!(message.message_type(), Some("event"));
            assert_eq!(message.exception_type(), None);
            assert_eq!(message.header(":content-type"), Some(HeaderValue::String("application/json")));
            count += 1;
        })
        .unwrap();
    assert_eq!(count, 1);
}

#[test]
fn a_payload_that_lies_in_the_chunk_is_borrowed_from_it() {
    let bytes = event("chunk", b"0123456789");
    let range = bytes.as_ptr_range();
    let mut splitter = Splitter::new();
    splitter.feed(&bytes, |message| assert!(range.contains(&message.payload().as_ptr()))).unwrap();
    assert_eq!(splitter.carry_capacity(), 0);
}

#[test]
fn the_carry_buffer_is_kept_for_the_next_straddling_message() {
    let stream: Vec<u8> = (0..50).flat_map(|_| event("chunk", b"0123456789")).collect();
    let mut splitter = Splitter::new();
    let mut capacities = Vec::new();
    for chunk in stream.chunks(100) {
        splitter.feed(chunk, |_| {}).unwrap();
        capacities.push(splitter.carry_capacity());
    }
    assert!(splitter.is_at_boundary());
    let settled = &capacities[capacities.len() / 2..];
    assert!(settled.iter().all(|capacity| *capacity == settled[0]), "{capacities:?}");
}

#[test]
fn a_debug_print_shows_no_payload() {
    let bytes = event("chunk", b"the secret plan");
    Splitter::new()
        .feed(&bytes, |message| {
            assert!(!format!("{message:?}").contains("secret") && format!("{message:?}").contains("15"));
        })
        .unwrap();
}

#[test]
fn a_stream_is_at_a_boundary_only_between_messages() {
    let bytes = event("chunk", b"abc");
    for cut in 0..=bytes.len() {
        let mut splitter = Splitter::new();
        splitter.feed(&bytes[..cut], |_| {}).unwrap();
        assert_eq!(splitter.is_at_boundary(), cut == 0 || cut == bytes.len(), "cut at {cut}");
    }
}

#[test]
fn lies_about_lengths_are_found_with_the_prelude_alone() {
    let cases = [
        (MAX_MESSAGE_BYTES + 1, 0, EventStreamError::MessageTooLong(MAX_MESSAGE_BYTES + 1)),
        (u32::MAX, 0, EventStreamError::MessageTooLong(u32::MAX)),
        (MAX_MESSAGE_BYTES, MAX_HEADERS_BYTES + 1, EventStreamError::HeadersTooLong(MAX_HEADERS_BYTES + 1)),
        (MAX_MESSAGE_BYTES, u32::MAX, EventStreamError::HeadersTooLong(u32::MAX)),
        (15, 0, EventStreamError::Lengths),
        (0, 0, EventStreamError::Lengths),
        (20, 5, EventStreamError::Lengths),
    ];
    for (total, headers, expected) in cases {
        let prelude = &forged(total, headers, b"")[..12];
        let mut whole = Splitter::new();
        assert_eq!(whole.feed(prelude, |_| {}), Err(expected), "{total} {headers}");
        let mut split = Splitter::new();
        split.feed(&prelude[..7], |_| {}).unwrap();
        assert_eq!(split.feed(&prelude[7..], |_| {}), Err(expected), "{total} {headers} in two parts");
    }
}

#[test]
fn the_prelude_checksum_is_compared_before_the_length_is_believed() {
    let mut bytes = event("chunk", b"abc");
    bytes[0] = 0xff;
    assert_eq!(Splitter::new().feed(&bytes[..12], |_| {}), Err(EventStreamError::PreludeChecksum));
}

#[test]
fn every_flipped_bit_is_an_error() {
    let bytes = event("chunk", b"{\"bytes\":\"e30=\"}");
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut broken = bytes.clone();
            broken[index] ^= 1 << bit;
            let mut shown = 0;
            let outcome = Splitter::new().feed(&broken, |_| shown += 1);
            assert_eq!(shown, 0, "byte {index}, bit {bit}");
            assert!(outcome.is_err(), "byte {index}, bit {bit}");
        }
    }
}

#[test]
fn a_failed_splitter_stays_failed_and_lets_go_of_its_memory() {
    let good = event("chunk", b"abc");
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    let mut splitter = Splitter::new();
    let mut shown = 0;
    let stream = [good.clone(), bad, good.clone()].concat();
    for chunk in stream.chunks(20) {
        let _ = splitter.feed(chunk, |_| shown += 1);
    }
    assert_eq!(shown, 1, "what came before the fault is shown, what came after it is not");
    assert_eq!(splitter.feed(&good, |_| shown += 1), Err(EventStreamError::MessageChecksum));
    assert_eq!(shown, 1);
    assert!(!splitter.is_at_boundary());
    assert_eq!(splitter.carry_capacity(), 0);
}

#[test]
fn the_longest_message_is_still_one() {
    let payload = vec![7; MAX_MESSAGE_BYTES as usize - 16];
    let bytes = encode(&OracleMessage::new(Bytes::from(payload.clone())));
    let mut splitter = Splitter::new();
    let (messages, outcome) = feed_all(&mut splitter, bytes.chunks(1 << 20));
    assert_eq!(outcome, Ok(()));
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].payload, payload);
}

#[test]
fn a_header_block_that_cannot_be_read_says_so_once() {
    let cases: [&[u8]; 9] = [
        b"\x05abc",                 // the name is cut
        b"\x03abc",                 // no type
        b"\x03abc\x0a",             // no such type
        b"\x03abc\x07\x00",         // the length is cut
        b"\x03abc\x07\x00\x05ab",   // the value is cut
        b"\x03abc\x05\x00\x00",     // the number is cut
        b"\x03abc\x09\x00",         // the UUID is cut
        b"\x01\xff\x00",            // the name is not UTF-8
        b"\x03abc\x07\x00\x01\xff", // the text is not UTF-8
    ];
    for block in cases {
        let bytes = with_header_block(block);
        let mut count = 0;
        Splitter::new()
            .feed(&bytes, |message| {
                assert_eq!(message.headers().collect::<Vec<_>>(), [Err(EventStreamError::Header)], "{block:?}");
                assert_eq!(message.kind(), Err(EventStreamError::Header));
                assert_eq!(message.header("abc"), None);
                count += 1;
            })
            .unwrap();
        assert_eq!(count, 1);
    }
}

#[test]
fn an_exception_reads_as_one_in_the_aws_crate() {
    let long = "ä".repeat(10_000);
    for (name, message) in [("throttlingException", "say \"when\"\n"), ("validationException", ""), ("x", &long)] {
        let bytes = exception(name, message);
        let read = read_message_from(bytes.clone()).unwrap();
        let header = |name: &str| {
            let found = read.headers().iter().find(|header| header.name().as_str() == name);
            found.unwrap().value().as_string().unwrap().as_str().to_owned()
        };
        assert_eq!(header(":message-type"), "exception");
        assert_eq!(header(":exception-type"), name);
        assert_eq!(header(":content-type"), "application/json");
        let payload: serde_json::Value = serde_json::from_slice(read.payload()).unwrap();
        let text = payload["message"].as_str().unwrap();
        assert!(message.starts_with(text) && (text == message || text.len() > 8_000));
        let mut splitter = Splitter::new();
        let mut shown = 0;
        splitter
            .feed(&bytes, |message| {
                assert_eq!(message.kind(), Ok(Kind::Exception(name)));
                shown += 1;
            })
            .unwrap();
        assert_eq!(shown, 1);
        assert!(splitter.is_at_boundary());
    }
}
