//! Finds the messages in chunks that know nothing of them.
//!
//! A message that lies wholly in one chunk is borrowed from it: no copy, no allocation. Only one that straddles chunks
//! is put together in a carry buffer, whose memory is kept for the next one. The lengths are checked as soon as the
//! twelve bytes of the prelude are there, so a lie about a length costs nobody memory. What is fed is never held back
//! from anyone: the splitter only looks.

use super::{EventStreamError, Message};

/// The longest message that is believed. Bedrock's own limit for a payload part is far below it.
pub const MAX_MESSAGE_BYTES: u32 = 16 * 1024 * 1024;

/// The longest header block that is believed, as the format says.
pub const MAX_HEADERS_BYTES: u32 = 128 * 1024;

/// Splits a stream of chunks into messages.
///
/// Once a chunk was found to be no event stream the splitter stays failed: the next message cannot be found any more.
#[derive(Debug, Default)]
pub struct Splitter {
    /// The beginning of a message whose end has not come yet; empty between messages.
    carry: Vec<u8>,
    /// The prelude of the message in `carry`, once its twelve bytes were there and right.
    pending: Option<Prelude>,
    failed: Option<EventStreamError>,
}

impl Splitter {
    /// A splitter at the beginning of a stream.
    pub const fn new() -> Self {
        Self { carry: Vec::new(), pending: None, failed: None }
    }

    /// Looks at the next chunk and shows each message that ends in it, in order.
    ///
    /// The messages before a broken one are still shown. After an error every further call returns the same error.
    pub fn feed(&mut self, chunk: &[u8], mut on_message: impl FnMut(Message<'_>)) -> Result<(), EventStreamError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let outcome = self.split(chunk, &mut on_message);
        if let Err(error) = outcome {
            self.failed = Some(error);
            self.pending = None;
            self.carry = Vec::new();
        }
        outcome
    }

    /// Whether everything that was fed so far ended with the end of a message.
    pub fn is_at_boundary(&self) -> bool {
        self.failed.is_none() && self.carry.is_empty()
    }

    /// How much memory the carry buffer holds on to.
    #[cfg(test)]
    pub(super) fn carry_capacity(&self) -> usize {
        self.carry.capacity()
    }

    fn split(&mut self, chunk: &[u8], on_message: &mut impl FnMut(Message<'_>)) -> Result<(), EventStreamError> {
        let mut rest = if self.carry.is_empty() { chunk } else { self.carry_on(chunk, on_message)? };
        while !rest.is_empty() {
            let Some(prelude) = Prelude::read(rest)? else {
                self.carry.extend_from_slice(rest);
                break;
            };
            let Some((whole, after)) = rest.split_at_checked(prelude.total) else {
                self.carry.extend_from_slice(rest);
                self.pending = Some(prelude);
                break;
            };
            on_message(prelude.open(whole)?);
            rest = after;
        }
        Ok(())
    }

    /// Completes the carried message with the chunk's first bytes, as far as they go, and returns those that are left.
    fn carry_on<'a>(
        &mut self,
        chunk: &'a [u8],
        on_message: &mut impl FnMut(Message<'_>),
    ) -> Result<&'a [u8], EventStreamError> {
        let mut rest = chunk;
        if self.pending.is_none() {
            rest = self.fill(rest, PRELUDE_BYTES);
            self.pending = Prelude::read(&self.carry)?;
        }
        if let Some(prelude) = self.pending {
            rest = self.fill(rest, prelude.total);
            if self.carry.len() == prelude.total {
                on_message(prelude.open(&self.carry)?);
                self.carry.clear();
                self.pending = None;
            }
        }
        Ok(rest)
    }

    /// Moves bytes into the carry buffer until it holds `len` of them; returns what was not needed.
    fn fill<'a>(&mut self, chunk: &'a [u8], len: usize) -> &'a [u8] {
        let missing = len.saturating_sub(self.carry.len()).min(chunk.len());
        let (taken, rest) = chunk.split_at_checked(missing).unwrap_or((chunk, &[]));
        self.carry.extend_from_slice(taken);
        rest
    }
}

const PRELUDE_BYTES: usize = 12;
/// Prelude and final checksum: what a message with no header and no payload is made of.
const OVERHEAD_BYTES: u32 = 16;

/// The two lengths of a message, checked.
#[derive(Clone, Copy, Debug)]
struct Prelude {
    total: usize,
    headers: usize,
}

impl Prelude {
    /// Reads the prelude that `bytes` begin with; `None` if they are too few.
    fn read(bytes: &[u8]) -> Result<Option<Self>, EventStreamError> {
        let Some(([t0, t1, t2, t3, h0, h1, h2, h3, c0, c1, c2, c3], _)) = bytes.split_first_chunk::<PRELUDE_BYTES>()
        else {
            return Ok(None);
        };
        if crc32fast::hash(&[*t0, *t1, *t2, *t3, *h0, *h1, *h2, *h3]) != u32::from_be_bytes([*c0, *c1, *c2, *c3]) {
            return Err(EventStreamError::PreludeChecksum);
        }
        let total = u32::from_be_bytes([*t0, *t1, *t2, *t3]);
        let headers = u32::from_be_bytes([*h0, *h1, *h2, *h3]);
        if total > MAX_MESSAGE_BYTES {
            return Err(EventStreamError::MessageTooLong(total));
        }
        if headers > MAX_HEADERS_BYTES {
            return Err(EventStreamError::HeadersTooLong(headers));
        }
        if total < OVERHEAD_BYTES.saturating_add(headers) {
            return Err(EventStreamError::Lengths);
        }
        Ok(Some(Self { total: total as usize, headers: headers as usize }))
    }

    /// The message in `whole`, which is as long as the prelude says, if its checksum is right.
    fn open(self, whole: &[u8]) -> Result<Message<'_>, EventStreamError> {
        let (summed, crc) = whole.split_last_chunk::<4>().ok_or(EventStreamError::Lengths)?;
        if crc32fast::hash(summed) != u32::from_be_bytes(*crc) {
            return Err(EventStreamError::MessageChecksum);
        }
        let body = summed.get(PRELUDE_BYTES..).ok_or(EventStreamError::Lengths)?;
        let (headers, payload) = body.split_at_checked(self.headers).ok_or(EventStreamError::Lengths)?;
        Ok(Message::new(headers, payload))
    }
}
