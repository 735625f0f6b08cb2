//! The scanner: validates JSON in one pass from left to right, without recursion and without allocation.
//!
//! Values of no interest are passed over by [`Reader::walk`]; `members.rs` reads objects and arrays step by step on top
//! of it. The encoding is checked once for the whole document, so that no later step has to.

use super::members::Member;
use super::text::{Spelling, Text};
use super::{Fault, JsonError, Span};
use std::borrow::Cow;

/// The depth of nesting above which a document is refused. Bedrock's own shapes need about ten levels and tool schemas
/// some tens; a fixed bound lets the scanner keep its whole stack in 128 bytes.
pub const MAX_DEPTH: usize = 1024;

/// The number of members above which an object that is read member by member is refused. Requests have some twenty at the
/// most; the bound keeps the search for duplicates linear in the body.
pub const MAX_MEMBERS: usize = 64;

/// Reads a document from left to right.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The unescaped names of the objects now being read, outermost first: one allocation serves all of them. Unescaped
    /// once, because comparing escaped names anew for each pair would let a hostile body cost sixty times its size.
    pub(super) names: Vec<Cow<'a, str>>,
}

/// What a value is, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// `null`
    Null,
    /// A number, `true`, `false`, or nothing that JSON knows.
    Other,
}

impl<'a> Reader<'a> {
    /// A reader at the start of a document. Checks the encoding.
    pub fn new(document: &'a [u8]) -> Result<Self, JsonError> {
        match std::str::from_utf8(document) {
            Ok(text) => Ok(Self::starting_at(text, 0)),
            Err(error) => Err(JsonError { fault: Fault::Encoding, at: error.valid_up_to() }),
        }
    }

    pub(super) const fn starting_at(text: &'a str, at: usize) -> Self {
        Self { text, at, names: Vec::new() }
    }

    /// What the next value is.
    pub fn kind(&mut self) -> Kind {
        self.skip_whitespace();
        match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b'n') => Kind::Null,
            _ => Kind::Other,
        }
    }

    /// Validates one value and passes over it.
    pub fn skip(&mut self) -> Result<Span, JsonError> {
        self.walk(|_| {})
    }

    /// Validates one value and passes over it, showing every member of every object inside it, at any depth.
    pub fn walk(&mut self, mut on_member: impl FnMut(Member<'a>)) -> Result<Span, JsonError> {
        self.skip_whitespace();
        let start = self.at;
        if !matches!(self.peek(), Some(b'{' | b'[')) {
            self.scalar()?;
            return Ok(Span { start, end: self.at });
        }
        let mut open = Nesting::default();
        loop {
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    if self.next_is(b'}') {
                        self.at += 1;
                    } else {
                        open.enter(Container::Object).ok_or_else(|| self.error(Fault::TooDeep))?;
                        on_member(self.member()?);
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    if self.next_is(b']') {
                        self.at += 1;
                    } else {
                        open.enter(Container::Array).ok_or_else(|| self.error(Fault::TooDeep))?;
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            if !self.advance(&mut open, &mut on_member)? {
                return Ok(Span { start, end: self.at });
            }
        }
    }

    /// After a value inside containers: closes those that end here and stands at the next value, or says that none is
    /// left open.
    fn advance(&mut self, open: &mut Nesting, on_member: &mut impl FnMut(Member<'a>)) -> Result<bool, JsonError> {
        while let Some(container) = open.innermost() {
            self.skip_whitespace();
            match (container, self.peek()) {
                (Container::Object, Some(b',')) => {
                    self.at += 1;
                    on_member(self.member()?);
                    return Ok(true);
                }
                (Container::Array, Some(b',')) => {
                    self.at += 1;
                    self.skip_whitespace();
                    return Ok(true);
                }
                (Container::Object, Some(b'}')) | (Container::Array, Some(b']')) => {
                    self.at += 1;
                    open.leave();
                }
                (Container::Object, _) => return Err(self.error(Fault::Expected("`,` or `}`"))),
                (Container::Array, _) => return Err(self.error(Fault::Expected("`,` or `]`"))),
            }
        }
        Ok(false)
    }

    /// Reads a string.
    pub fn string(&mut self) -> Result<Text<'a>, JsonError> {
        self.expect(b'"', "a string")?;
        let start = self.at;
        let mut spelling = Spelling::Plain;
        loop {
            self.at += plain_bytes(self.rest());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    spelling = Spelling::Escaped;
                    self.at += 1;
                    self.escape()?;
                }
                Some(_) => return Err(self.error(Fault::Expected("no control character in a string"))),
                None => return Err(self.error(Fault::Expected("the end of a string"))),
            }
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Text::new(raw, spelling))
    }

    /// Checks that nothing but whitespace is left.
    pub fn finish(mut self) -> Result<(), JsonError> {
        self.skip_whitespace();
        if self.at == self.text.len() { Ok(()) } else { Err(self.error(Fault::Expected("the end of the document"))) }
    }

    /// Reads `"name" :` and stands at the value.
    pub(super) fn member(&mut self) -> Result<Member<'a>, JsonError> {
        self.skip_whitespace();
        if self.peek() != Some(b'"') {
            return Err(self.error(Fault::Expected("a member's name")));
        }
        let name_at = self.at;
        let name = self.string()?;
        self.skip_whitespace();
        self.expect(b':', "`:`")?;
        self.skip_whitespace();
        Ok(Member::new(name, name_at, self.text, self.at))
    }

    fn scalar(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.error(Fault::Expected("a value"))),
        }
    }

    fn literal(&mut self, word: &'static str) -> Result<(), JsonError> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.error(Fault::Expected("a value")));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits == 0 { Err(self.error(Fault::Expected("a digit"))) } else { Ok(()) }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let length = match self.rest() {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 1,
            [b'u', a, b, c, d, ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => 5,
            _ => return Err(self.error(Fault::Expected("an escape that JSON knows"))),
        };
        self.at += length;
        Ok(())
    }

    pub(super) fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.error(Fault::Expected(what)))
        }
    }

    pub(super) fn next_is(&mut self, byte: u8) -> bool {
        self.skip_whitespace();
        self.peek() == Some(byte)
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) const fn error(&self, fault: Fault) -> JsonError {
        JsonError { fault, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }
}

/// How many bytes come before the first quote, backslash or control character; many bytes at a step, because most of a
/// request is the inside of strings.
fn plain_bytes(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<64>()
        && is_plain(chunk)
    {
        rest = tail;
    }
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let stops = stops(u64::from_le_bytes(*chunk));
        if stops != 0 {
            return bytes.len() - rest.len() + (stops.trailing_zeros() / 8) as usize;
        }
        rest = tail;
    }
    let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count();
    bytes.len() - rest.len() + plain
}

/// Whether bytes can stand in a string as they are: no quote, no backslash, no control character.
pub fn is_plain(bytes: &[u8]) -> bool {
    let ends = |byte: u8| u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20);
    // Without a way out of the loop the compiler looks at sixteen bytes at a time, or more.
    bytes.iter().fold(0, |found, byte| found | ends(*byte)) == 0
}

/// The high bit of each byte that ends a run of plain ones. Borrows may set a bit too many above a true one, never
/// below it: only the lowest is to be looked at.
const fn stops(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGHS
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

/// The open containers, one bit each.
#[derive(Default)]
struct Nesting {
    objects: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Nesting {
    fn enter(&mut self, container: Container) -> Option<()> {
        let word = self.objects.get_mut(self.depth / 64)?;
        let bit = 1 << (self.depth % 64);
        match container {
            Container::Object => *word |= bit,
            Container::Array => *word &= !bit,
        }
        self.depth += 1;
        Some(())
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn innermost(&self) -> Option<Container> {
        let level = self.depth.checked_sub(1)?;
        let word = self.objects.get(level / 64)?;
        Some(if word >> (level % 64) & 1 == 1 { Container::Object } else { Container::Array })
    }
}
