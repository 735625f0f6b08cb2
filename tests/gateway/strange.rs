//! Upstreams that speak HTTP/1.1 strangely, or break off, or say what nobody asked for: what reaches the caller byte by byte, and what
//! stands on the bill.

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::byte_identity::message;
use crate::client::{Wire, read_until, send};
use crate::harness::{Plan, Scene, converse};
use crate::upstream::{Canned, Then};

pub(crate) const STREAMED: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A whole stream, message by message.
pub(crate) fn messages() -> [Vec<u8>; 3] {
    [
        message("messageStart", &json!({"role": "assistant"})),
        message("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": "hello"}})),
        message("metadata", &json!({"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}, "metrics": {}})),
    ]
}

pub(crate) fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// The chunks of [`messages`], without an end.
fn chunks() -> Vec<u8> {
    messages().map(|message| chunk(&message)).concat()
}

async fn before(answers: Vec<Vec<u8>>, then: Then) -> (Scene, Canned) {
    let upstream = Canned::start(answers, then).await;
    (Plan::default().endpoint(upstream.address).open().await, upstream)
}

fn request(scene: &Scene) -> String {
    let body = converse("hello");
    let (key, length) = (scene.key("alice"), body.len());
    format!(
        "POST /model/sonnet/converse-stream HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// Sends an answer's body cut at every place, the second part only when all that can be told of the first has come through. Gives what
/// the caller read of it each time, as it stood on the wire.
async fn cut_everywhere(body: &[u8], come: impl Fn(usize) -> usize, whole: &[u8]) -> Scene {
    let answers = (0..=body.len()).map(|cut| {
        let (one, other) = body.split_at(cut);
        vec![[STREAMED.as_bytes(), one].concat(), other.to_vec()]
    });
    let upstream = Canned::in_pieces(answers.collect(), Then::KeepAlive).await;
    let scene = Plan::default().endpoint(upstream.address).open().await;
    let mut tcp = TcpStream::connect(scene.data).await.unwrap();
    for cut in 0..=body.len() {
        tcp.write_all(request(&scene).as_bytes()).await.unwrap();
        let head = |seen: &[u8]| memchr::memmem::find(seen, b"\r\n\r\n").map(|end| end + 4);
        let first = read_until(&mut tcp, |seen| head(seen).is_some_and(|end| seen.len() >= end + come(cut))).await;
        let end = head(&first).unwrap();
        assert!(first.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&first));
        let mut seen = first[end..].to_vec();
        upstream.go_on(1);
        let missing = whole.len() - seen.len();
        if missing > 0 {
            seen.extend(read_until(&mut tcp, |seen| seen.len() >= missing).await);
        }
        assert!(seen == whole, "cut at {cut}: {}", String::from_utf8_lossy(&seen));
    }
    let calls = body.len() as u64 + 1;
    let (outcome, input, output, _) = scene.bill_of(calls).await.only();
    assert_eq!((outcome.as_str(), input, output), ("complete", 3 * calls, 4 * calls));
    assert_eq!(upstream.connections(), 1, "a connection is kept");
    scene
}

#[tokio::test]
async fn chunks_cut_anywhere_come_through_as_they_stand_and_nothing_is_held_back() {
    let body = [&chunks()[..], b"0\r\n\r\n"].concat();
    // Only the line break that ends the body waits for its second half: it could be a trailer's beginning.
    cut_everywhere(&body, |cut| if cut == body.len() - 1 { cut - 1 } else { cut }, &body).await;
}

#[tokio::test]
async fn trailers_are_dropped_and_the_body_ends_well_wherever_they_are_cut() {
    let before = [&chunks()[..], b"000\r\n"].concat();
    let body = [&before[..], b"x-checksum: abc\r\nx-empty:\r\n\r\n"].concat();
    cut_everywhere(&body, |cut| cut.min(before.len()), &[&before[..], b"\r\n"].concat()).await;
}

/// What the caller is to see of an answer that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// The messages that came, and then an exception.
    Exception,
    /// A connection that is cut.
    Cut,
}

/// Asks with an answer that goes wrong after what is right about it, and looks at the end.
async fn goes_wrong(name: &str, body: &[u8], whole_messages: usize, own: Seen) {
    for wire in [Wire::Http1, Wire::Http2] {
        let (scene, upstream) = before(vec![[STREAMED.as_bytes(), body].concat()], Then::Close).await;
        let answer = send(scene.data, wire, scene.post("alice", "/model/sonnet/converse-stream", converse("hi"))).await;
        let mut events = answer.events();
        // By HTTP/2 a message of ours stands in a frame of its own, whatever the chunks were.
        let exception = events.pop_if(|(kind, _)| kind == "serviceUnavailableException");
        assert_eq!(events.len(), whole_messages, "{name} {wire:?}");
        match (own, wire) {
            (Seen::Exception, _) => {
                assert!(exception.is_some() && answer.broke.is_none(), "{name} {wire:?}: {answer:?}");
            }
            (Seen::Cut, Wire::Http1) => assert!(exception.is_none() && answer.broke.is_some(), "{name}: {answer:?}"),
            (Seen::Cut, Wire::Http2) => assert!(exception.is_some() || answer.broke.is_some(), "{name}: {answer:?}"),
        }
        let bill = scene.bill_of(1).await;
        let (outcome, _, output, cost) = bill.only();
        // Where the counts have come, the call is settled by them, whatever became of the rest.
        if whole_messages == 3 {
            assert_eq!((outcome.as_str(), output), ("complete", 4), "{name} {wire:?}");
        } else {
            assert_eq!((outcome.as_str(), output, cost.nanos() > 0), ("upstream_lost", 0, true), "{name} {wire:?}");
        }
        assert_eq!(upstream.received().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_ends_by_what_may_still_follow_it() {
    let [one, two, _] = messages();
    let (first, second) = (chunk(&one), chunk(&two));
    let joined = [&one[..], &two[..10]].concat();
    for (name, body, whole, own) in [
        ("before anything", vec![], 0, Seen::Exception),
        ("between chunks", first.clone(), 1, Seen::Exception),
        ("in a size", [&first[..], &second[..1]].concat(), 1, Seen::Cut),
        ("in a size's line break", [&first[..], &second[..3]].concat(), 1, Seen::Cut),
        ("after a size", [&first[..], &second[..4]].concat(), 1, Seen::Cut),
        ("within a message", [&first[..], &second[..20]].concat(), 1, Seen::Cut),
        ("after a chunk's data", first[..first.len() - 2].to_vec(), 1, Seen::Cut),
        ("in the line break after data", first[..first.len() - 1].to_vec(), 1, Seen::Cut),
        ("between chunks within a message", chunk(&joined), 1, Seen::Cut),
        ("between messages within a chunk", [b"fff\r\n", &one[..]].concat(), 1, Seen::Cut),
        ("after the last chunk's line", [&chunks()[..], b"0\r\n"].concat(), 3, Seen::Cut),
        ("in the end's line break", [&chunks()[..], b"0\r\n\r"].concat(), 3, Seen::Cut),
        ("in a trailer", [&chunks()[..], b"0\r\nx: y\r\n"].concat(), 3, Seen::Cut),
    ] {
        goes_wrong(name, &body, whole, own).await;
    }
}

#[tokio::test]
async fn what_is_no_chunk_ends_the_answer_after_what_was_right_about_it() {
    let [one, two, _] = messages();
    let first = chunk(&one);
    let size = format!("{:x}", two.len());
    let with = |rest: &str| [&first[..], rest.as_bytes(), &two[..], b"\r\n0\r\n\r\n"].concat();
    for (name, body, own) in [
        ("no number", with("zz\r\n"), Seen::Exception),
        ("a sign", with(&format!("+{size}\r\n")), Seen::Exception),
        ("an empty size", with("\r\n"), Seen::Exception),
        ("a blank before the size", with(&format!(" {size}\r\n")), Seen::Exception),
        ("0x", with(&format!("0x{size}\r\n")), Seen::Cut),
        ("a blank after the size", with(&format!("{size} \r\n")), Seen::Cut),
        ("an extension", with(&format!("{size};a=b\r\n")), Seen::Cut),
        ("a bare LF", with(&format!("{size}\n")), Seen::Cut),
        ("a bare CR", with(&format!("{size}\rx")), Seen::Cut),
        ("a size that overflows", with("10000000000000000\r\n"), Seen::Cut),
        ("no line break after data", [&first[..first.len() - 2], &first[..]].concat(), Seen::Cut),
        ("half a line break after data", [&first[..first.len() - 1], &first[..]].concat(), Seen::Cut),
        ("a folded trailer", [&first[..], b"0\r\n x: y\r\n\r\n"].concat(), Seen::Cut),
    ] {
        goes_wrong(name, &body, 1, own).await;
    }
}

#[tokio::test]
async fn what_follows_an_answer_is_never_taken_for_another() {
    let evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let body = "{ \"usage\" : {\"inputTokens\":1, \"outputTokens\":2, \"totalTokens\":3} }";
    let json = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    // A buffer that has grown is given up between two calls.
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n{body:60000}");
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let both = chunked.replacen("\r\n", "\r\ncontent-length: 5\r\n", 1);
    let none = "HTTP/1.1 204 No Content\r\ncontent-length: 9\r\n\r\n".to_owned();
    for (name, answer) in [
        ("a length", format!("{json}{evil}")),
        ("a large one", format!("{large}{evil}")),
        ("chunks", format!("{chunked}{evil}")),
        ("both", both.clone()),
        ("no content", none),
        ("connection: close", json.replacen("\r\n", "\r\nconnection: close\r\n", 1)),
        ("HTTP/1.0", json.replacen("1.1", "1.0", 1)),
    ] {
        let (scene, upstream) = before(vec![answer.into_bytes()], Then::KeepAlive).await;
        for _ in 0..3 {
            let answer = scene.converse("alice", "sonnet", "hello").await;
            assert_eq!(answer.broke, None, "{name}");
            assert_eq!(String::from_utf8_lossy(&answer.body).trim_end(), if name == "no content" { "" } else { body });
            assert!(answer.headers.get_all("content-length").iter().count() <= 1);
        }
        assert_eq!(upstream.connections(), 3, "{name}: the connection is not used again");
    }
}

#[tokio::test]
async fn answers_that_end_otherwise_come_through_whole() {
    let body = "{ \"usage\" : {\"inputTokens\":1, \"outputTokens\":2, \"totalTokens\":3} }";
    let length = format!("content-length: {}\r\n", body.len());
    let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    for (name, answer) in [
        ("until the connection closes", format!("HTTP/1.1 200 OK\r\n\r\n{body}")),
        ("HTTP/1.0 until it closes", format!("HTTP/1.0 200 OK\r\n\r\n{body}")),
        ("HTTP/1.0 with a length", format!("HTTP/1.0 200 OK\r\n{length}\r\n{body}")),
        ("HTTP/1.0 that is kept", format!("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n{length}\r\n{body}")),
        ("the same length twice", format!("HTTP/1.1 200 OK\r\n{length}{length}\r\n{body}")),
        ("hints before it", format!("{hints}HTTP/1.1 200 OK\r\n{length}\r\n{body}")),
    ] {
        for wire in [Wire::Http1, Wire::Http2] {
            let (scene, _) = before(vec![answer.clone().into_bytes()], Then::Close).await;
            let mut tcp = TcpStream::connect(scene.data).await.unwrap();
            let answer = send(scene.data, wire, scene.post("alice", "/model/sonnet/converse", converse("hi"))).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.broke, &answer.body[..]),
                (200, &None, body.as_bytes()),
                "{name}"
            );
            assert!(answer.headers.get_all("content-length").iter().count() <= 1, "{name}: {:?}", answer.headers);
            assert_eq!(answer.header("link"), None);
            assert_eq!(scene.bill_of(1).await.only().2, 2, "{name} {wire:?}");
            tcp.shutdown().await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_answer_that_can_be_cut_in_two_ways_is_refused() {
    for (name, head) in [
        ("two lengths", "content-length: 2\r\ncontent-length: 3\r\n"),
        ("two in one", "content-length: 2, 3\r\n"),
        ("a signed length", "content-length: +2\r\n"),
        ("another coding", "transfer-encoding: gzip\r\n"),
        ("a coding before", "transfer-encoding: gzip, chunked\r\n"),
        ("chunked twice", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
        ("a folded header", "x: a\r\n b\r\ncontent-length: 2\r\n"),
        ("a blank before the colon", "content-length : 2\r\n"),
    ] {
        for wire in [Wire::Http1, Wire::Http2] {
            let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n{{}}").into_bytes();
            let (scene, upstream) = before(vec![answer], Then::KeepAlive).await;
            let answer = send(scene.data, wire, scene.post("alice", "/model/sonnet/converse", converse("hi"))).await;
            assert_eq!(answer.refusal(), (502, "ServiceUnavailableException", "upstream_reset"), "{name}");
            assert_eq!(scene.bill_of(1).await.at_reservation(), ["upstream_lost"], "{name}");
            assert_eq!(upstream.received().len(), 1, "{name}: no request is sent twice");
        }
    }
}
