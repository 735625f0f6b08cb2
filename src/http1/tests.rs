//! Tables of heads, chunks cut anywhere, and hostile bytes.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

fn taken(text: &str) -> (Request, BytesMut) {
    let mut buffer = BytesMut::from(text);
    (Request::take(&mut buffer), buffer)
}

#[test]
fn ordinary_requests_are_taken_and_what_follows_stays() {
    for (text, length, keep_alive) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 0, true),
        ("POST /model/x/invoke HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n", 12, true),
        ("POST /a?b=c HTTP/1.1\r\ncontent-length: 0\r\nConnection: Close\r\n\r\n", 0, false),
        ("POST /a HTTP/1.1\r\ncontent-length:\t007 \r\nconnection: Keep-Alive\r\n\r\n", 7, true),
        ("\r\nGET /a HTTP/1.1\nhost: a\n\n", 0, true),
    ] {
        let (request, rest) = taken(&format!("{text}rest"));
        let Request::Plain(head) = request else { panic!("{text}: {request:?}") };
        assert_eq!((head.length, head.keep_alive), (length, keep_alive), "{text}");
        assert_eq!(&rest[..], b"rest", "{text}");
    }
    let (request, _) = taken("POST /a%20b?c HTTP/1.1\r\nX-One: 1\r\nx-one: \u{e9}\r\nhost: h\r\n\r\n");
    let Request::Plain(head) = request else { panic!("{request:?}") };
    assert_eq!(head.parts.uri.path_and_query().unwrap().as_str(), "/a%20b?c");
    let values: Vec<_> = head.parts.headers.get_all("x-one").iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(values, ["1".as_bytes(), "\u{e9}".as_bytes()]);
}

#[test]
fn everything_else_is_left_as_it_was() {
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(LARGEST_HEAD));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: 1\r\n".repeat(MOST_HEADERS + 1));
    for text in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "POST / HTTP/1.0\r\n\r\n",
        "HEAD / HTTP/1.1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\n\r\n",
        "POST http://a/b HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-length: 3\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 3, 3\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: +3\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: \r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length : 3\r\n\r\n",
        "POST / HTTP/1.1\r\nexpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\nupgrade: h2c\r\n\r\n",
        "POST / HTTP/1.1\r\nconnection: content-length\r\n\r\n",
        "POST / HTTP/1.1\r\nx: a\r\n b\r\n\r\n",
        "POST / HTTP/1.1\r\nx: a\0b\r\n\r\n",
        "POST /a b HTTP/1.1\r\n\r\n",
        "\x16\x03\x01",
        &long,
        &many,
    ] {
        let (request, rest) = taken(text);
        assert!(matches!(request, Request::Unusual), "{text:.60}: {request:?}");
        assert_eq!(&rest[..], text.as_bytes());
    }
    for text in ["", "P", "POST / HTTP/1.1\r\nhost: a\r\n"] {
        assert!(matches!(taken(text).0, Request::Partial), "{text}");
    }
}

#[test]
fn answers_end_where_their_heads_say() {
    for (text, framing, keep_alive) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Framing::Length(5), true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n", Framing::Length(5), true),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n", Framing::Chunked, true),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n", Framing::Chunked, false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: x, close\r\n\r\n", Framing::Length(5), false),
        ("HTTP/1.1 200 OK\r\n\r\n", Framing::UntilClose, false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", Framing::Length(5), false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n", Framing::Length(5), true),
        ("HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n", Framing::Length(0), false),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", Framing::Length(0), false),
        ("HTTP/1.1 204 No Content\r\n\r\n", Framing::Length(0), true),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", Framing::Length(0), true),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\na: b\r\n\r\nHTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
            Framing::Length(0),
            true,
        ),
    ] {
        let mut buffer = BytesMut::from(&*format!("{text}rest"));
        let head = response(&mut buffer).unwrap().unwrap();
        assert_eq!((head.framing, head.keep_alive), (framing, keep_alive), "{text}");
        assert!(head.parts.headers.get_all("content-length").iter().count() <= 1, "{text}");
        assert_eq!(&buffer[..], b"rest", "{text}");
    }
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n",
        "HTTP/1.1 99 ?\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n",
    ] {
        assert!(response(&mut BytesMut::from(text)).is_err(), "{text}");
    }
    assert!(response(&mut BytesMut::from("HTTP/1.1 200 OK\r\n")).unwrap().is_none());
}

/// The payload of a chunked body that comes in `pieces`, and how many bytes the whole of it had.
fn dechunked(pieces: &[&[u8]]) -> Result<Option<(Vec<u8>, usize)>, Malformed> {
    let (mut chunks, mut payload, mut taken) = (Chunks::default(), Vec::new(), 0);
    for piece in pieces {
        let mut at = 0;
        while at < piece.len() {
            let step = chunks.step(&piece[at..]);
            at += step.framing;
            match step.next {
                Next::Data(bytes) => {
                    payload.extend_from_slice(&piece[at..at + bytes]);
                    at += bytes;
                }
                Next::More => assert_eq!(at, piece.len()),
                Next::Trailers => assert!(chunks.is_in_trailers()),
                Next::End => return Ok(Some((payload, taken + at))),
                Next::Wrong(fault) => return Err(fault),
            }
        }
        taken += piece.len();
    }
    Ok(None)
}

#[test]
fn chunks_that_are_none_are_told_from_those_that_are() {
    for (text, payload) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("0005\r\nhello\r\n000\r\n\r\n", "hello"),
        ("A\r\n0123456789\r\n0\r\nx: y\r\nz: \r\n\r\n", "0123456789"),
    ] {
        let whole = dechunked(&[format!("{text}rest").as_bytes()]).unwrap().unwrap();
        assert_eq!(whole, (payload.into(), text.len()), "{text}");
    }
    let long = format!("0\r\nx: {}\r\n\r\n", "a".repeat(17 * 1_024));
    for text in [
        "zz\r\n",
        "-5\r\nhello",
        "+5\r\n",
        "0x5\r\n",
        "\r\n",
        "5 \r\nhello",
        "5;a=b\r\nhello",
        "5\nhello",
        "5\rXhello",
        "5\r\nhelloX",
        "5\r\nhello\rX",
        "10000000000000000\r\n",
        "0\r\n x: y\r\n",
        "0\r\n\rX",
        &long,
    ] {
        assert!(dechunked(&[text.as_bytes()]).is_err(), "{text:.40}");
    }
}

proptest! {
    #[test]
    fn a_body_is_the_same_wherever_it_is_cut(
        data in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
        cuts in proptest::collection::vec(0_usize..600, 0..12),
    ) {
        let mut wire: Vec<u8> = Vec::new();
        for chunk in &data {
            wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(wire.len())).collect();
        cuts.extend([0, wire.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &wire[pair[0]..pair[1]]).collect();
        prop_assert_eq!(dechunked(&pieces), Ok(Some((data.concat(), wire.len()))));
    }

    #[test]
    fn whatever_comes_is_read_within_its_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = dechunked(&[&bytes]);
        let _ = response(&mut BytesMut::from(&bytes[..]));
        let mut buffer = BytesMut::from(&bytes[..]);
        if !matches!(Request::take(&mut buffer), Request::Plain(_)) {
            prop_assert_eq!(&buffer[..], &bytes[..]);
        }
    }
}
