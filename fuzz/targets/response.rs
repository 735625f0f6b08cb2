#![no_main]
//! Heads of answers: what is made of them leaves no two ways to see where the body ends, and does not depend on where they are cut.

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use libfuzzer_sys::fuzz_target;
use tollgate::http1::{Framing, response};

fuzz_target!(|data: &[u8]| {
    let (&cut, data) = data.split_first().unwrap_or((&0, &[]));
    let mut buffer = BytesMut::from(data);
    let whole = response(&mut buffer);
    assert!(data.ends_with(&buffer));

    let (one, other) = data.split_at(usize::from(cut).min(data.len()));
    let mut cut = BytesMut::from(one);
    let read = match response(&mut cut) {
        Ok(None) => {
            cut.extend_from_slice(other);
            response(&mut cut)
        }
        read => {
            cut.extend_from_slice(other);
            read
        }
    };
    match (&whole, &read) {
        (Ok(Some(whole)), Ok(Some(read))) => {
            assert_eq!((whole.framing, whole.keep_alive, &whole.parts.headers), (read.framing, read.keep_alive, &read.parts.headers));
            assert_eq!(buffer, cut);
        }
        (Ok(None), Ok(None)) | (Err(_), Err(_)) => {}
        other => panic!("{other:?}"),
    }
    let Ok(Some(head)) = whole else { return };
    assert!(!head.parts.status.is_informational());
    let coded = head.parts.headers.contains_key(TRANSFER_ENCODING);
    let lengths: Vec<_> = head.parts.headers.get_all(CONTENT_LENGTH).iter().collect();
    assert!(lengths.len() <= 1);
    match head.framing {
        Framing::Chunked => assert!(coded && lengths.is_empty()),
        Framing::UntilClose => assert!(!coded && lengths.is_empty() && !head.keep_alive),
        Framing::Length(told) => {
            let empty = matches!(head.parts.status.as_u16(), 204 | 304);
            assert!(empty && told == 0 || !coded && lengths.len() == 1);
            if !empty {
                assert_eq!(lengths[0].to_str().unwrap().parse(), Ok(told));
            }
        }
    }
});
