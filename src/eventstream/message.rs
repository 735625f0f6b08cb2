//! One message, borrowed from wherever its bytes lie.

use std::fmt;

use super::{EventStreamError, HeaderValue, Headers};

/// A message whose lengths and checksums are right. Its headers are read when they are asked for.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    headers: &'a [u8],
    payload: &'a [u8],
}

/// What a message is, from `:message-type` and the header that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// An event with its `:event-type`.
    Event(&'a str),
    /// A modelled exception with its `:exception-type`, such as `throttlingException`.
    Exception(&'a str),
    /// An error that is not modelled, with its `:error-code`.
    Error(&'a str),
    /// No `:message-type`, one that is not known, or one without its name.
    Unknown,
}

impl<'a> Message<'a> {
    pub(super) const fn new(headers: &'a [u8], payload: &'a [u8]) -> Self {
        Self { headers, payload }
    }

    /// The payload, as it is on the wire.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The headers, in order.
    pub const fn headers(&self) -> Headers<'a> {
        Headers::new(self.headers)
    }

    /// The first header of this name; `None` also where the block cannot be read up to it.
    pub fn header(&self, name: &str) -> Option<HeaderValue<'a>> {
        self.headers().map_while(Result::ok).find(|header| header.name == name).map(|header| header.value)
    }

    /// `:message-type`: `event`, `exception` or `error`.
    pub fn message_type(&self) -> Option<&'a str> {
        self.header(MESSAGE_TYPE)?.as_str()
    }

    /// `:event-type`, such as `chunk` or `metadata`.
    pub fn event_type(&self) -> Option<&'a str> {
        self.header(EVENT_TYPE)?.as_str()
    }

    /// `:exception-type`, such as `throttlingException`.
    pub fn exception_type(&self) -> Option<&'a str> {
        self.header(EXCEPTION_TYPE)?.as_str()
    }

    /// What the message is, in one walk over its headers, all of which must be readable. Of a name that is there twice
    /// the first counts.
    pub fn kind(&self) -> Result<Kind<'a>, EventStreamError> {
        // Nearly every message of a stream has one of two header blocks, to the byte: comparing is half the work of
        // walking.
        match COMMON_EVENTS.iter().find(|(block, _)| *block == self.headers) {
            Some((_, event)) => Ok(Kind::Event(event)),
            None => self.walk(),
        }
    }

    fn walk(&self) -> Result<Kind<'a>, EventStreamError> {
        let (mut message_type, mut event, mut exception, mut error) = (None, None, None, None);
        for header in self.headers() {
            let header = header?;
            let slot = match header.name {
                MESSAGE_TYPE => &mut message_type,
                EVENT_TYPE => &mut event,
                EXCEPTION_TYPE => &mut exception,
                ERROR_CODE => &mut error,
                _ => continue,
            };
            *slot = slot.or(header.value.as_str());
        }
        let kind = match message_type {
            Some("event") => event.map(Kind::Event),
            Some("exception") => exception.map(Kind::Exception),
            Some("error") => error.map(Kind::Error),
            _ => None,
        };
        Ok(kind.unwrap_or(Kind::Unknown))
    }
}

/// Lengths only: a payload is somebody's prompt or answer and belongs in no log.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("headers_bytes", &self.headers.len())
            .field("payload_bytes", &self.payload.len())
            .finish()
    }
}

/// The header blocks of the events that carry text, as Bedrock writes them, with the event's name.
pub(super) const COMMON_EVENTS: [(&[u8], &str); 2] = [
    (
        b"\x0b:event-type\x07\x00\x05chunk\x0d:content-type\x07\x00\x10application/json\x0d:message-type\x07\x00\x05event",
        "chunk",
    ),
    (
        b"\x0b:event-type\x07\x00\x11contentBlockDelta\x0d:content-type\x07\x00\x10application/json\x0d:message-type\x07\x00\x05event",
        "contentBlockDelta",
    ),
];

const MESSAGE_TYPE: &str = ":message-type";
const EVENT_TYPE: &str = ":event-type";
const EXCEPTION_TYPE: &str = ":exception-type";
const ERROR_CODE: &str = ":error-code";
