//! The header block of a message: `[1B name length][name][1B type][value]`, again and again.
//!
//! Reading is lazy and borrows everything. A block that cannot be read yields its error once and then ends; nothing
//! after the fault is guessed at.

use super::EventStreamError;

/// One header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name, with the colon where AWS put one.
    pub name: &'a str,
    /// The value, in its type.
    pub value: HeaderValue<'a>,
}

/// A header's value: the ten types of the format (`Bool` covers two).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderValue<'a> {
    /// Types 0 (true) and 1 (false).
    Bool(bool),
    /// Type 2.
    Byte(i8),
    /// Type 3.
    Int16(i16),
    /// Type 4.
    Int32(i32),
    /// Type 5.
    Int64(i64),
    /// Type 6.
    ByteArray(&'a [u8]),
    /// Type 7.
    String(&'a str),
    /// Type 8: milliseconds since the epoch.
    Timestamp(i64),
    /// Type 9.
    Uuid([u8; 16]),
}

impl<'a> HeaderValue<'a> {
    /// The text of a string header.
    pub const fn as_str(&self) -> Option<&'a str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }
}

/// The headers of a message, in order.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    pub(super) const fn new(block: &'a [u8]) -> Self {
        Self { rest: block }
    }

    fn read(&mut self) -> Option<Header<'a>> {
        let name_len = self.take::<1>()?[0];
        let name = std::str::from_utf8(self.slice(usize::from(name_len))?).ok()?;
        let value = match self.take::<1>()?[0] {
            0 => HeaderValue::Bool(true),
            1 => HeaderValue::Bool(false),
            2 => HeaderValue::Byte(i8::from_be_bytes(self.take()?)),
            3 => HeaderValue::Int16(i16::from_be_bytes(self.take()?)),
            4 => HeaderValue::Int32(i32::from_be_bytes(self.take()?)),
            5 => HeaderValue::Int64(i64::from_be_bytes(self.take()?)),
            6 => HeaderValue::ByteArray(self.counted()?),
            7 => HeaderValue::String(std::str::from_utf8(self.counted()?).ok()?),
            8 => HeaderValue::Timestamp(i64::from_be_bytes(self.take()?)),
            9 => HeaderValue::Uuid(self.take()?),
            _ => return None,
        };
        Some(Header { name, value })
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let len = u16::from_be_bytes(self.take()?);
        self.slice(usize::from(len))
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<Header<'a>, EventStreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let header = self.read();
        if header.is_none() {
            self.rest = &[];
        }
        Some(header.ok_or(EventStreamError::Header))
    }
}
