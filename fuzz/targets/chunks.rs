#![no_main]
//! Chunked bodies: the payload, the end and the fault are the same wherever the bytes are cut, and what is taken for a body is one to a
//! reader of another kind too.

use libfuzzer_sys::fuzz_target;
use tollgate::http1::{Chunks, Next};

/// The payload, and how the bytes ended: at the body's end with so many bytes taken, with a fault there, or open.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    payload: Vec<u8>,
    end: Option<(usize, bool)>,
    between: bool,
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Read {
    let (mut chunks, mut payload, mut taken) = (Chunks::default(), Vec::new(), 0);
    for piece in pieces {
        let mut at = 0;
        while at < piece.len() {
            let step = chunks.step(&piece[at..]);
            at += step.framing;
            assert!(at <= piece.len());
            let end = match step.next {
                Next::Data(bytes) => {
                    assert!(bytes > 0 && at + bytes <= piece.len());
                    payload.extend_from_slice(&piece[at..at + bytes]);
                    at += bytes;
                    continue;
                }
                Next::More => {
                    assert_eq!(at, piece.len());
                    continue;
                }
                Next::Trailers => {
                    assert!(chunks.is_in_trailers());
                    continue;
                }
                Next::End => (taken + at, true),
                Next::Wrong(fault) => {
                    assert_eq!(chunks.step(&piece[at..]).next, Next::Wrong(fault), "a fault stays one");
                    (taken + at, false)
                }
            };
            return Read { payload, end: Some(end), between: chunks.is_between() };
        }
        taken += piece.len();
    }
    Read { payload, end: None, between: chunks.is_between() }
}

/// The payload of a body that ends, by lines.
fn plainly(mut body: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n").expect("a size line");
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        body = &body[end + 2..];
        if size == 0 {
            assert!(body.ends_with(b"\r\n"));
            return payload;
        }
        payload.extend_from_slice(&body[..size]);
        assert_eq!(&body[size..size + 2], b"\r\n");
        body = &body[size + 2..];
    }
}

fuzz_target!(|data: &[u8]| {
    let (&step, data) = data.split_first().unwrap_or((&1, &[]));
    let whole = read(std::iter::once(data));
    assert!(whole.payload.len() <= data.len());
    assert_eq!(whole, read(data.chunks(usize::from(step % 32) + 1)));
    assert_eq!(whole, read(data.chunks(1)));
    if let Some((taken, true)) = whole.end {
        assert_eq!(whole.payload, plainly(&data[..taken]));
    }
});
