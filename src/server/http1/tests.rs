//! What a caller can have the gateway hold, and what comes byte by byte.

use http_body_util::BodyExt;
use tokio::io::AsyncReadExt;

use super::*;

#[tokio::test]
async fn a_body_is_read_in_pieces_of_which_none_is_large_and_what_follows_it_stays() {
    for length in [1, 5_000, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
        let sent: Vec<u8> = (0..length + 9).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let (own, mut theirs) = tokio::io::duplex(60_000);
        let writing = {
            let sent = sent.clone();
            tokio::spawn(async move {
                theirs.write_all(&sent).await.unwrap();
                theirs
            })
        };
        let caller = Mutex::new(Caller { io: own, buffer: BytesMut::new(), left: length as u64 });
        let mut body = Incoming(&caller);
        let mut come = Vec::new();
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            assert_eq!(data.len(), PIECE.min(length - come.len()));
            come.extend_from_slice(&data);
            assert!(lock(&caller).buffer.capacity() <= 2 * PIECE);
        }
        assert!(come == sent[..length]);
        let mut caller = caller.into_inner().unwrap();
        while caller.buffer.len() < 9 {
            poll_fn(|cx| caller.poll_read(cx, AHEAD)).await.unwrap();
        }
        assert_eq!(caller.buffer, sent[length..]);
        drop(writing.await.unwrap());
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_a_head_and_what_is_none_is_seen_at_once() {
    for (text, plain) in [
        ("POST /a HTTP/1.1\r\ncontent-length: 3\r\n\r\n", true),
        ("\r\n\r\nGET /a HTTP/1.1\nhost: a\n\n", true),
        ("PRI * HTTP/2.0\r\n", false),
        ("POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", false),
    ] {
        let (own, mut theirs) = tokio::io::duplex(1);
        let writing = tokio::spawn(async move {
            theirs.write_all(text.as_bytes()).await.unwrap();
            theirs
        });
        let mut caller = Caller { io: own, buffer: BytesMut::new(), left: 0 };
        match caller.head().await.unwrap() {
            Arrived::Head(_) => assert!(plain && caller.buffer.is_empty(), "{text}"),
            Arrived::Unusual => {
                assert!(!plain && text.as_bytes().starts_with(&caller.buffer), "{text}");
                drop(caller);
            }
            Arrived::End => panic!("{text}"),
        }
        drop(writing.await);
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_take_an_answer_of_our_own_is_given_up() {
    let (own, mut theirs) = tokio::io::duplex(8);
    let mut caller = Caller { io: own, buffer: BytesMut::new(), left: 0 };
    let written = caller.write(Bytes::from_static(b"HTTP/1.1 200 OK\r\n\r\n"), Bytes::from_static(b"body")).await;
    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
    drop(caller);
    let mut come = Vec::new();
    theirs.read_to_end(&mut come).await.unwrap();
    assert_eq!(come, b"HTTP/1.1");
}
