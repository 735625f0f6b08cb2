//! Floor 1: HTTP/1.1 as it stands on the wire (RFC 9112): heads, and where a body ends. Bytes in, facts out; no sockets.
//!
//! This is the way of ordinary messages alone. A request that is anything but ordinary is not interpreted here at all but left to hyper,
//! byte for byte ([`Request::Unusual`]). An answer of Bedrock's that could be cut in two ways is an error: it is nobody's to repair.
//! What is accepted here has one reading: a length in plain digits or `chunked` alone, never both, and no line that is folded.

mod chunked;
mod request;
mod response;

#[cfg(test)]
mod tests;

pub use chunked::{Chunks, Next, Step};
pub use request::{Request, RequestHead};
pub use response::{Framing, ResponseHead, response};

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The largest head that is read.
pub const LARGEST_HEAD: usize = 64 * 1_024;

/// The most header lines of a head. Clients send about twenty; Bedrock itself is said to take a few more.
pub const MOST_HEADERS: usize = 100;

/// Bytes that are no HTTP/1.1 message, or one that could be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(crate) &'static str);

/// Where the header lines of a head lie: each name and each value.
type Lines = Vec<(Range<usize>, Range<usize>)>;

/// Where the lines of `headers`, which lie in `head`, are.
fn lines(head: &[u8], headers: &[httparse::Header<'_>]) -> Lines {
    let within = |part: &[u8]| {
        let from = (part.as_ptr() as usize).saturating_sub(head.as_ptr() as usize);
        from..from + part.len()
    };
    headers.iter().map(|header| (within(header.name.as_bytes()), within(header.value))).collect()
}

/// The map of `lines`; the values are slices of `head`, not copies.
fn map(head: &Bytes, lines: &[(Range<usize>, Range<usize>)]) -> Result<HeaderMap, Malformed> {
    let mut headers = HeaderMap::with_capacity(lines.len() + 4);
    for (name, value) in lines {
        let name = head.get(name.clone()).and_then(|name| HeaderName::from_bytes(name).ok());
        let value = HeaderValue::from_maybe_shared(head.slice(value.clone()));
        let (Some(name), Ok(value)) = (name, value) else { return Err(Malformed("a header that is none")) };
        headers.append(name, value);
    }
    Ok(headers)
}

/// A length as RFC 9110 writes it: digits and nothing else.
fn length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}
