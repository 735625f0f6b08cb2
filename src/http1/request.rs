//! The head of a request.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{Method, Uri, header};

use super::{LARGEST_HEAD, MOST_HEADERS, length, lines, map};

/// What lies at the beginning of a buffer.
#[derive(Debug)]
pub enum Request {
    /// An ordinary request's head, taken from the buffer.
    Plain(Box<RequestHead>),
    /// The beginning of a head. More is needed to tell.
    Partial,
    /// Something else: another version or method, a body without a plain length, an upgrade, a head that is wrong. The buffer is as it was.
    Unusual,
}

/// The head of a request whose body has `length` bytes.
#[derive(Debug)]
pub struct RequestHead {
    /// Method, target, version and headers.
    pub parts: Parts,
    /// How many bytes of body follow.
    pub length: u64,
    /// Whether the connection is to be used for another request.
    pub keep_alive: bool,
}

impl Request {
    /// Looks at a buffer, and takes an ordinary head from it.
    pub fn take(buffer: &mut BytesMut) -> Self {
        if buffer.is_empty() {
            return Self::Partial;
        }
        let mut room = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        let (end, plain) = match request.parse_with_uninit_headers(buffer, &mut room) {
            Ok(httparse::Status::Complete(end)) if end <= LARGEST_HEAD => (end, Plain::of(&request, buffer)),
            Ok(httparse::Status::Partial) if buffer.len() < LARGEST_HEAD => return Self::Partial,
            Ok(httparse::Status::Complete(_) | httparse::Status::Partial) | Err(_) => return Self::Unusual,
        };
        let Some(plain) = plain else { return Self::Unusual };
        let head = buffer.split_to(end).freeze();
        if let Some(head) = plain.head(&head) {
            return Self::Plain(Box::new(head));
        }
        // Rare, and only for words that the two libraries see differently: the bytes go back to where they were.
        let rest = std::mem::take(buffer);
        buffer.extend_from_slice(&head);
        buffer.extend_from_slice(&rest);
        Self::Unusual
    }
}

/// What is known of an ordinary head, by its places in the buffer.
struct Plain {
    method: Method,
    target: std::ops::Range<usize>,
    lines: super::Lines,
    length: u64,
    keep_alive: bool,
}

impl Plain {
    fn of(request: &httparse::Request<'_, '_>, buffer: &[u8]) -> Option<Self> {
        let method = match request.method? {
            "POST" => Method::POST,
            "GET" => Method::GET,
            _ => return None,
        };
        let target = request.path?.as_bytes();
        if request.version != Some(1) || target.first() != Some(&b'/') {
            return None;
        }
        let (mut declared, mut keep_alive) = (None, true);
        for header in request.headers.iter() {
            let is = |name: header::HeaderName| header.name.eq_ignore_ascii_case(name.as_str());
            if is(header::CONTENT_LENGTH) {
                if declared.is_some() {
                    return None;
                }
                declared = Some(length(header.value)?);
            } else if is(header::CONNECTION) {
                if header.value.eq_ignore_ascii_case(b"close") {
                    keep_alive = false;
                } else if !header.value.eq_ignore_ascii_case(b"keep-alive") {
                    return None;
                }
            } else if is(header::TRANSFER_ENCODING) || is(header::EXPECT) || is(header::UPGRADE) || is(header::TE) {
                return None;
            }
        }
        let from = (target.as_ptr() as usize).checked_sub(buffer.as_ptr() as usize)?;
        let lines = lines(buffer, request.headers);
        Some(Self { method, target: from..from + target.len(), lines, length: declared.unwrap_or(0), keep_alive })
    }

    fn head(self, head: &Bytes) -> Option<RequestHead> {
        let mut parts = http::Request::new(()).into_parts().0;
        parts.method = self.method;
        parts.uri = Uri::from_maybe_shared(head.slice(self.target)).ok()?;
        parts.headers = map(head, &self.lines).ok()?;
        Some(RequestHead { parts, length: self.length, keep_alive: self.keep_alive })
    }
}
