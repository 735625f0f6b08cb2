//! Requests that two readers could cut in two ways. Each is refused or read in the one way of RFC 9112; none becomes two
//! requests upstream.

use crate::client::raw;
use crate::harness::{Scene, converse};

/// A request that must not reach Bedrock by itself: it asks for another operation.
fn smuggled(key: &str) -> String {
    let body = r#"{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"smuggled"}]}]}}}"#;
    format!(
        "POST /model/sonnet/count-tokens HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends bytes, waits for the gateway to close, and gives the first status of what came back.
async fn status_of(scene: &Scene, bytes: &[u8]) -> Option<u16> {
    let answer = raw(scene.data, bytes).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.strip_prefix("HTTP/1.1 ").or(text.strip_prefix("HTTP/1.0 "))?.get(..3)?.parse().ok()
}

#[tokio::test]
async fn heads_that_say_two_lengths_are_refused() {
    let scene = Scene::new().await;
    let (key, body) = (scene.key("alice"), converse("hello"));
    let length = body.len();
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    for (name, framing, sent) in [
        ("two different lengths", format!("content-length: {length}\r\ncontent-length: 5\r\n"), &body),
        ("two lengths in one header", format!("content-length: {length}, 5\r\n"), &body),
        ("a length with a sign", format!("content-length: +{length}\r\n"), &body),
        ("a negative length", "content-length: -1\r\n".to_owned(), &body),
        ("a length in hex", format!("content-length: 0x{length:x}\r\n"), &body),
        ("a length that overflows", "content-length: 99999999999999999999999\r\n".to_owned(), &body),
        ("no number", "content-length: abc\r\n".to_owned(), &body),
        ("an empty length", "content-length: \r\n".to_owned(), &body),
        ("identity after chunked", "transfer-encoding: chunked, identity\r\n".to_owned(), &chunked),
        ("a coding that is not chunked", "transfer-encoding: gzip\r\n".to_owned(), &chunked),
        ("a coding that looks like chunked", "transfer-encoding: xchunked\r\n".to_owned(), &chunked),
        ("chunked with a vertical tab", "transfer-encoding: \x0bchunked\r\n".to_owned(), &chunked),
        ("a blank before the colon", format!("content-length : {length}\r\n"), &body),
        ("chunked with a blank before the colon", "transfer-encoding : chunked\r\n".to_owned(), &chunked),
        ("a folded header", format!("x-folded: a\r\n b\r\ncontent-length: {length}\r\n"), &body),
        ("a folded transfer-encoding", "transfer-encoding:\r\n chunked\r\n".to_owned(), &chunked),
        ("NUL in a value", format!("x-nul: a\0b\r\ncontent-length: {length}\r\n"), &body),
        ("CR in a value", format!("x-cr: a\rb\r\ncontent-length: {length}\r\n"), &body),
        ("a name that is no token", format!("x(bad): 1\r\ncontent-length: {length}\r\n"), &body),
        ("a header without a colon", format!("nocolon\r\ncontent-length: {length}\r\n"), &body),
    ] {
        let request = format!(
            "POST /model/sonnet/converse HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n{framing}\r\n{sent}{}",
            smuggled(key)
        );
        assert_eq!(status_of(&scene, request.as_bytes()).await, Some(400), "{name}");
    }
    assert!(scene.mock.received().is_empty(), "{:?}", scene.mock.received());
}

#[tokio::test]
async fn where_chunked_and_a_length_meet_nothing_is_smuggled() {
    for (name, framing) in [
        ("length first", "content-length: 5\r\ntransfer-encoding: chunked\r\n"),
        ("chunked first", "transfer-encoding: chunked\r\ncontent-length: 5\r\n"),
        ("upper case", "CONTENT-LENGTH: 5\r\nTRANSFER-ENCODING: CHUNKED\r\n"),
        ("mixed case", "Transfer-Encoding: cHuNkEd\r\n"),
        ("chunked twice", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
        ("chunked twice in one", "transfer-encoding: chunked, chunked\r\n"),
        ("named by connection", "connection: content-length, transfer-encoding\r\ntransfer-encoding: chunked\r\n"),
    ] {
        let scene = Scene::new().await;
        let (key, body) = (scene.key("alice"), converse("hello"));
        let request = format!(
            "POST /model/sonnet/converse HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\nconnection: close\r\n{framing}\r\n\
             {:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        let status = status_of(&scene, request.as_bytes()).await;
        let received = scene.mock.received();
        match status {
            Some(200) => {
                assert_eq!(received.len(), 1, "{name}");
                assert_eq!(scene.mock.body(received[0].id).unwrap(), body, "{name}");
            }
            Some(400) | None => assert!(received.is_empty(), "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        for received in received {
            let framing: Vec<_> = received.headers.iter().filter(|(own, _)| own == "transfer-encoding").collect();
            assert!(framing.is_empty(), "{name}: {framing:?}");
        }
    }
}

#[tokio::test]
async fn chunks_that_are_none_are_refused_and_bedrock_hears_nothing() {
    let scene = Scene::new().await;
    let (key, body) = (scene.key("alice"), converse("hello"));
    let size = format!("{:x}", body.len());
    for (name, chunks) in [
        ("no number", format!("zz\r\n{body}\r\n0\r\n\r\n")),
        ("a sign", format!("-{size}\r\n{body}\r\n0\r\n\r\n")),
        ("0x", format!("0x{size}\r\n{body}\r\n0\r\n\r\n")),
        ("an empty size", format!("\r\n{body}\r\n0\r\n\r\n")),
        ("a size that overflows", format!("fffffffffffffffff\r\n{body}\r\n0\r\n\r\n")),
        ("too short a size", format!("5\r\n{body}\r\n0\r\n\r\n")),
        ("no line break after the data", format!("{size}\r\n{body}0\r\n\r\n")),
        ("a bare CR in the size line", format!("{size}\rX\n{body}\r\n0\r\n\r\n")),
    ] {
        let request = format!(
            "POST /model/sonnet/converse HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\
             transfer-encoding: chunked\r\n\r\n{chunks}{}",
            smuggled(key)
        );
        assert_eq!(status_of(&scene, request.as_bytes()).await, Some(400), "{name}");
    }
    assert!(scene.mock.received().is_empty(), "{:?}", scene.mock.received());
}

#[tokio::test]
async fn request_lines_of_other_kinds_are_refused_or_read_alike() {
    let scene = Scene::new().await;
    let (key, body) = (scene.key("alice"), converse("hello"));
    let rest =
        format!("authorization: Bearer {key}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let path = "/model/sonnet/converse";
    for (line, status) in [
        (format!("POST http://gateway{path} HTTP/1.1\r\nhost: gateway\r\n"), Some(200)),
        (format!("POST http://elsewhere.example{path} HTTP/1.1\r\nhost: gateway\r\n"), Some(200)),
        (format!("POST {path} HTTP/1.0\r\n"), Some(200)),
        (format!("POST {path}\r\n"), Some(400)),
        (format!("POST {path} HTTP/9.9\r\nhost: gateway\r\n"), Some(400)),
        (format!("POST  {path} HTTP/1.1\r\nhost: gateway\r\n"), Some(400)),
        (format!("POST {path} {path} HTTP/1.1\r\nhost: gateway\r\n"), Some(400)),
        (format!("PO ST {path} HTTP/1.1\r\nhost: gateway\r\n"), Some(400)),
        ("POST * HTTP/1.1\r\nhost: gateway\r\n".to_owned(), Some(404)),
        ("CONNECT gateway:443 HTTP/1.1\r\nhost: gateway\r\n".to_owned(), Some(404)),
        (format!("post {path} HTTP/1.1\r\nhost: gateway\r\n"), Some(404)),
        (format!("TRACE {path} HTTP/1.1\r\nhost: gateway\r\n"), Some(404)),
    ] {
        let before = scene.mock.received().len();
        let seen = status_of(&scene, format!("{line}{rest}").as_bytes()).await;
        assert_eq!(seen, status, "{line}");
        let calls = usize::from(status == Some(200));
        let received = scene.mock.received();
        assert_eq!(received.len(), before + calls, "{line}");
        if let (Some(last), true) = (received.last(), calls == 1) {
            assert_eq!(last.headers.iter().find(|(name, _)| name == "host").unwrap().1, scene.mock.addr().to_string());
        }
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let scene = Scene::new().await;
    let key = scene.key("alice");
    let long = "a".repeat(100_000);
    let many = "x-many: 1\r\n".repeat(200);
    for head in [
        format!(
            "POST /model/sonnet/converse HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\nx-long: {long}\r\n\r\n"
        ),
        format!("POST /model/{long}/converse HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\r\n"),
        format!("POST /model/sonnet/converse HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n{many}\r\n"),
    ] {
        let answer = raw(scene.data, head.as_bytes()).await;
        // The reset of a connection that was closed while bytes were still coming can overtake the answer.
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(scene.mock.received().is_empty());
}

#[tokio::test]
async fn pipelined_requests_are_answered_one_by_one_in_order() {
    let scene = Scene::new().await;
    let (key, body) = (scene.key("alice"), converse("hello"));
    let whole = format!(
        "POST /model/sonnet/converse HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let request = whole.clone() + &smuggled(key) + &whole.replacen("host:", "connection: close\r\nhost:", 1);
    let answer = raw(scene.data, request.as_bytes()).await;
    let answers = memchr::memmem::find_iter(&answer, b"HTTP/1.1 200 OK\r\n").count();
    assert_eq!(answers, 3, "{}", String::from_utf8_lossy(&answer));
    let operations: Vec<_> = scene.received(3).await.iter().map(|received| received.operation.unwrap()).collect();
    assert_eq!(operations, ["Converse", "CountTokens", "Converse"]);
}
