//! Reads a JSON document where it lies and edits it by byte spans, so that every byte that is not edited stays as it was.
//!
//! Invariant: what is accepted is one whole JSON document by RFC 8259 in UTF-8, nested at most [`MAX_DEPTH`] deep, and no
//! object read member by member holds two members whose names are equal **after unescaping**
//! (`"guardrailC\u006fnfig"` is `guardrailConfig`). A second parser behind us therefore sees the same members.
//!
//! The scanner is our own rather than `serde_json`'s `RawValue` because names have to be seen at any depth without
//! recursion and without a buffer; `serde_json` is its oracle in the tests. It does not build values, does not read
//! numbers, and does not judge text inside strings: a lone surrogate in a value passes (as `serde_json` passes over it),
//! in the name of a member that is read it is refused.

mod members;
mod reader;
mod splice;
mod text;

pub use members::Member;
pub use reader::{Kind, MAX_DEPTH, MAX_MEMBERS, Reader, is_plain};
pub use splice::{Overlap, Splicer};
pub use text::Text;

use std::fmt;

/// A range of bytes in the document, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes of the span, or `None` where the document is shorter.
    pub fn of(self, document: &[u8]) -> Option<&[u8]> {
        document.get(self.start..self.end)
    }

    /// The number of bytes.
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether it spans nothing.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// The place right after an object's `{`, where a first member can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The offset of the byte after `{`.
    pub at: usize,
    /// Whether a comma has to follow what is written there.
    pub followed: Followed,
}

/// What follows an object's `{`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// A member.
    ByMember,
    /// The object's end.
    ByEnd,
}

/// Why a document is refused, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}, at byte {at}")]
pub struct JsonError {
    /// What is wrong.
    pub fault: Fault,
    /// The offset at which reading stopped.
    pub at: usize,
}

/// What can be wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not UTF-8.
    Encoding,
    /// Something else was expected; the text says what.
    Expected(&'static str),
    /// The document is valid JSON so far but no object.
    NotAnObject,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// An object that is read member by member has more than [`MAX_MEMBERS`].
    TooManyMembers,
    /// Two members of one object have the same name once unescaped.
    DuplicateMember,
    /// A member's name holds half of a surrogate pair.
    UnpairedSurrogate,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding => f.write_str("not UTF-8"),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::NotAnObject => f.write_str("expected a JSON object"),
            Self::TooDeep => write!(f, "nested deeper than {MAX_DEPTH} levels"),
            Self::TooManyMembers => write!(f, "an object with more than {MAX_MEMBERS} members"),
            Self::DuplicateMember => f.write_str("an object names the same member twice"),
            Self::UnpairedSurrogate => f.write_str("a member's name holds half of a surrogate pair"),
        }
    }
}

#[cfg(test)]
mod tests;
