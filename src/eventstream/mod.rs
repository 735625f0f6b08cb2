//! Floor 1: `application/vnd.amazon.eventstream`, the framing of every streamed answer.
//!
//! ```text
//! [4B total length][4B headers length][4B CRC32 of those 8][headers][payload][4B CRC32 of all before it]
//! ```
//!
//! Sans-IO: [`Splitter`] is fed with the chunks as they arrive and shows each whole [`Message`] as a borrow of them. It
//! decides where a message begins and ends and whether its checksums hold; it does not know what a message means, and
//! it never changes, delays or owns the bytes that are passed on. No length is believed before its checksum was
//! compared, and none above the bounds of the format is believed at all.
//!
//! <https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html>,
//! <https://smithy.io/2.0/aws/amazon-eventstream.html>

mod encode;
mod headers;
mod message;
mod splitter;

#[cfg(test)]
mod tests;

pub use encode::exception;
pub use headers::{Header, HeaderValue, Headers};
pub use message::{Kind, Message};
pub use splitter::{MAX_HEADERS_BYTES, MAX_MESSAGE_BYTES, Splitter};

/// Why bytes are no event stream. After one of these the bounds of the messages are lost for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventStreamError {
    /// The checksum over the two lengths is wrong.
    #[error("the checksum of a message's prelude does not match")]
    PreludeChecksum,
    /// The checksum over the whole message is wrong.
    #[error("the checksum of a message does not match")]
    MessageChecksum,
    /// The message says that it is longer than [`MAX_MESSAGE_BYTES`].
    #[error("a message of {0} bytes is longer than the format allows")]
    MessageTooLong(u32),
    /// The header block says that it is longer than [`MAX_HEADERS_BYTES`].
    #[error("a header block of {0} bytes is longer than the format allows")]
    HeadersTooLong(u32),
    /// The lengths contradict each other: no message is this short with headers this long.
    #[error("the lengths in a message's prelude contradict each other")]
    Lengths,
    /// A header does not fit into its block, is not UTF-8 or is of no known type.
    #[error("a header of a message cannot be read")]
    Header,
}
