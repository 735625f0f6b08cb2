#![no_main]
//! Heads of requests. What Tollgate takes for an ordinary one is read again here, by a reader that knows nothing but RFC 9112: both must
//! see the same method, target, headers and length, and a request's end in the same place. All else is left as it was.

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tollgate::http1::Request;

fuzz_target!(|data: &[u8]| {
    let mut buffer = BytesMut::from(data);
    let Request::Plain(head) = Request::take(&mut buffer) else {
        assert_eq!(buffer, data, "what is not taken stays");
        return;
    };
    let taken = &data[..data.len() - buffer.len()];
    assert!(data.ends_with(&buffer));
    let mut lines = Lines(taken);
    let line = std::iter::from_fn(|| lines.next()).find(|line| !line.is_empty()).expect("a request line");
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    assert_eq!(words.len(), 3);
    assert_eq!((words[0], words[2]), (head.parts.method.as_str().as_bytes(), &b"HTTP/1.1"[..]));
    let target = head.parts.uri.path_and_query().expect("a target").as_str().as_bytes();
    // A fragment is nobody's to send, and is not looked at.
    let sent = words[1].split(|byte| *byte == b'#').next().unwrap_or_default();
    assert!(target == sent && head.parts.uri.authority().is_none(), "{:?}", head.parts.uri);

    let (mut seen, mut lengths) = (Vec::new(), Vec::new());
    loop {
        let line = lines.next().expect("an empty line at the end");
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
        let (name, value) = (line[..colon].to_ascii_lowercase(), line[colon + 1..].trim_ascii());
        assert!(!name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic()), "{name:?}");
        assert!(value.iter().all(|byte| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f), "{value:?}");
        assert!(name != b"transfer-encoding" && name != b"upgrade" && name != b"expect");
        if name == b"content-length" {
            lengths.push(value.to_vec());
        }
        if name == b"connection" && value.eq_ignore_ascii_case(b"close") {
            assert!(!head.keep_alive);
        }
        seen.push((name, value.to_vec()));
    }
    assert!(lines.0.is_empty(), "the head ends where it ends");
    match lengths.as_slice() {
        [] => assert_eq!(head.length, 0),
        [one] => {
            assert!(one.iter().all(u8::is_ascii_digit));
            assert_eq!(std::str::from_utf8(one).unwrap().parse(), Ok(head.length));
        }
        more => panic!("{more:?}"),
    }
    let own = head.parts.headers.iter().map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec()));
    let mut own: Vec<_> = own.collect();
    own.sort();
    seen.sort();
    assert_eq!(own, seen);
});

/// Lines that end with LF, or CR and LF.
struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}
