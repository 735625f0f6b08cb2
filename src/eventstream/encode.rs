//! Writes the one message that Tollgate itself ever puts into a stream: the exception that ends it.
//!
//! Every client takes a clean end without a terminal event for a finished answer, and the AI SDK ignores
//! `:message-type: error`; an exception with a modelled name is what all of them raise.

use bytes::{BufMut, Bytes, BytesMut};

/// A whole `:message-type: exception` message whose payload is `{"message":…}`.
///
/// `name` is the lower-camel member of the operation's stream, such as `throttlingException`. A name above 128 bytes or
/// a message above 8 KiB is cut at a character: both are Tollgate's own texts, and the format bounds them.
pub fn exception(name: &str, message: &str) -> Bytes {
    let payload = serde_json::json!({ "message": shortened(message, MAX_TEXT_BYTES) }).to_string();
    let mut headers = BytesMut::new();
    put_header(&mut headers, b"\x0f:exception-type\x07", shortened(name, MAX_NAME_BYTES));
    put_header(&mut headers, b"\x0d:content-type\x07", "application/json");
    put_header(&mut headers, b"\x0d:message-type\x07", "exception");

    let total = PRELUDE_AND_CRC_BYTES + headers.len() + payload.len();
    let mut out = BytesMut::with_capacity(total);
    out.put_u32(length(total));
    out.put_u32(length(headers.len()));
    out.put_u32(crc32fast::hash(&out));
    out.put_slice(&headers);
    out.put_slice(payload.as_bytes());
    out.put_u32(crc32fast::hash(&out));
    out.freeze()
}

const MAX_NAME_BYTES: usize = 128;
const MAX_TEXT_BYTES: usize = 8 * 1024;
const PRELUDE_AND_CRC_BYTES: usize = 16;

fn shortened(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

/// `head` is the name behind its length and before the type of a string, as they are on the wire.
fn put_header(out: &mut BytesMut, head: &[u8], value: &str) {
    out.put_slice(head);
    out.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
    out.put_slice(value.as_bytes());
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
