//! Reads a JSON document that arrives in pieces, and takes from it only what is on the map of [`Place`]s.
//!
//! Nothing is buffered but the name or number at hand, so a body of any size costs the same few hundred bytes and there
//! is no length above which counts are missed or guessed. On the paths of the map the grammar is checked strictly and a
//! name that is there twice is an error; everything else is skipped by its brackets and strings alone, which is all
//! that is needed for text not to be taken for structure. Not checked: UTF-8, and the grammar of what is skipped.

use memchr::memchr2;

use super::facts::Facts;
use super::place::Place;
use super::text::Text;

/// A reader in the middle of one document.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    stack: [Level; MAX_DEPTH],
    depth: usize,
    text: Text,
    facts: Facts,
}

/// How far a document was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// To its end.
    Whole,
    /// It ended too early, or never began.
    Unfinished,
    /// It is no JSON, a name stands twice where it matters, or a count is no count.
    Malformed,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// A value comes next; right after `[` the array may also end.
    Value {
        place: Place,
        may_end: bool,
    },
    /// A name comes next; right after `{` the object may also end.
    Name {
        may_end: bool,
    },
    /// In a name, or in a string that is a fact.
    Text {
        of: TextOf,
        escape: Escape,
    },
    /// The colon comes next.
    Colon {
        place: Place,
    },
    /// In a number or a word.
    Scalar {
        place: Place,
    },
    /// In something that is not on the map, this many brackets deep.
    Skip {
        nesting: u64,
        quote: Quote,
    },
    /// A comma or the end of the object or array comes next.
    After,
    Done,
    Failed,
}

#[derive(Clone, Copy, Debug)]
enum TextOf {
    Name,
    Value(Place),
}

#[derive(Clone, Copy, Debug)]
enum Escape {
    None,
    Backslash,
    Unicode { digits: u8, value: u32 },
}

#[derive(Clone, Copy, Debug)]
enum Quote {
    Outside,
    Inside,
    Escaped,
}

/// An open object or array on the map.
#[derive(Clone, Copy, Debug)]
struct Level {
    place: Place,
    kind: Bracket,
    /// One bit for each name of the map that was seen in this object.
    seen: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bracket {
    Object,
    Array,
}

/// The map is eight levels deep; what is nested deeper in its lists is skipped.
const MAX_DEPTH: usize = 12;

impl Scanner {
    /// A reader at the beginning of a document that is `document`.
    pub(super) fn new(document: Place) -> Self {
        Self {
            state: State::Value { place: document, may_end: false },
            stack: [Level { place: Place::Nowhere, kind: Bracket::Object, seen: 0 }; MAX_DEPTH],
            depth: 0,
            text: Text::default(),
            facts: Facts::default(),
        }
    }

    /// Reads on.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((first, after)) = rest.split_first() {
            rest = match self.state {
                State::Skip { nesting, quote } => self.skip(rest, nesting, quote),
                State::Text { of, escape: Escape::None } => self.plain_text(rest, of),
                State::Scalar { place } => self.scalar(rest, place),
                State::Failed => return,
                State::Value { .. }
                | State::Name { .. }
                | State::Text { .. }
                | State::Colon { .. }
                | State::After
                | State::Done => {
                    self.step(*first);
                    after
                }
            };
        }
    }

    /// How far the document was read.
    pub(super) const fn outcome(&self) -> Outcome {
        match self.state {
            State::Done => Outcome::Whole,
            State::Failed => Outcome::Malformed,
            State::Value { .. }
            | State::Name { .. }
            | State::Text { .. }
            | State::Colon { .. }
            | State::Scalar { .. }
            | State::Skip { .. }
            | State::After => Outcome::Unfinished,
        }
    }

    /// What was found.
    pub(super) fn into_facts(self) -> Facts {
        self.facts
    }

    fn fail(&mut self) {
        self.state = State::Failed;
    }

    /// One byte between values, or of an escape.
    fn step(&mut self, byte: u8) {
        if let State::Text { of, escape } = self.state {
            return self.escaped(byte, of, escape);
        }
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            return;
        }
        match (self.state, byte) {
            (State::Value { may_end: true, .. } | State::After, b']') => self.close(Bracket::Array),
            (State::Value { place, .. }, _) => self.value(place, byte),
            (State::Name { may_end: true } | State::After, b'}') => self.close(Bracket::Object),
            (State::Name { .. }, b'"') => self.begin_text(TextOf::Name),
            (State::Colon { place }, b':') => self.state = State::Value { place, may_end: false },
            (State::After, b',') => self.next(),
            _ => self.fail(),
        }
    }

    fn value(&mut self, place: Place, byte: u8) {
        match byte {
            b'{' => self.open(place, Bracket::Object, place.is_object()),
            b'[' => self.open(place, Bracket::Array, place.is_array()),
            b'"' if place.is_leaf() => self.begin_text(TextOf::Value(place)),
            b'"' => self.state = State::Skip { nesting: 0, quote: Quote::Inside },
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                self.text.clear();
                self.text.push(&[byte]);
                self.state = State::Scalar { place };
            }
            _ => self.fail(),
        }
    }

    fn open(&mut self, place: Place, kind: Bracket, matters: bool) {
        let level = if matters { self.stack.get_mut(self.depth) } else { None };
        let Some(level) = level else {
            self.state = State::Skip { nesting: 1, quote: Quote::Outside };
            return;
        };
        *level = Level { place, kind, seen: 0 };
        self.depth += 1;
        self.facts.entered(place);
        self.state = match kind {
            Bracket::Object => State::Name { may_end: true },
            Bracket::Array => State::Value { place: place.element(), may_end: true },
        };
    }

    fn close(&mut self, kind: Bracket) {
        match self.top() {
            Some(level) if level.kind == kind => {
                let place = level.place;
                self.depth = self.depth.saturating_sub(1);
                self.facts.left(place);
                self.end_value();
            }
            _ => self.fail(),
        }
    }

    fn next(&mut self) {
        self.state = match self.top() {
            Some(Level { kind: Bracket::Object, .. }) => State::Name { may_end: false },
            Some(Level { kind: Bracket::Array, place, .. }) => State::Value { place: place.element(), may_end: false },
            None => State::Failed,
        };
    }

    fn end_value(&mut self) {
        self.state = if self.depth == 0 { State::Done } else { State::After };
    }

    fn top(&mut self) -> Option<&mut Level> {
        self.stack.get_mut(self.depth.checked_sub(1)?)
    }

    fn begin_text(&mut self, of: TextOf) {
        self.text.clear();
        self.state = State::Text { of, escape: Escape::None };
    }

    /// The bytes of a name or string up to its end or its next escape.
    fn plain_text<'a>(&mut self, bytes: &'a [u8], of: TextOf) -> &'a [u8] {
        let Some((plain, end, rest)) = memchr2(b'"', b'\\', bytes).and_then(|at| split_around(bytes, at)) else {
            self.text.push(bytes);
            return &[];
        };
        self.text.push(plain);
        if end == b'\\' {
            self.state = State::Text { of, escape: Escape::Backslash };
            return rest;
        }
        match of {
            TextOf::Name => self.name(),
            TextOf::Value(place) => {
                if self.facts.string(place, self.text.whole()).is_err() {
                    self.fail();
                } else {
                    self.end_value();
                }
            }
        }
        rest
    }

    fn name(&mut self) {
        let Some(level) = self.depth.checked_sub(1).and_then(|top| self.stack.get_mut(top)) else {
            return self.fail();
        };
        let (place, number) = self.text.whole().map_or((Place::Nowhere, None), |name| level.place.member(name));
        if let Some(bit) = number.and_then(|number| 1_u32.checked_shl(number)) {
            if level.seen & bit != 0 {
                return self.fail();
            }
            level.seen |= bit;
        }
        self.facts.met(place);
        self.state = State::Colon { place };
    }

    fn escaped(&mut self, byte: u8, of: TextOf, escape: Escape) {
        let plain = State::Text { of, escape: Escape::None };
        self.state = match (escape, byte) {
            (Escape::Backslash, b'u') => State::Text { of, escape: Escape::Unicode { digits: 0, value: 0 } },
            (Escape::Backslash, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.text.push(match byte {
                    b'b' => b"\x08",
                    b'f' => b"\x0c",
                    b'n' => b"\n",
                    b'r' => b"\r",
                    b't' => b"\t",
                    b'"' => b"\"",
                    b'\\' => b"\\",
                    _ => b"/",
                });
                plain
            }
            (Escape::Unicode { digits, value }, _) => match char::from(byte).to_digit(16) {
                None => State::Failed,
                Some(digit) if digits < 3 => {
                    State::Text { of, escape: Escape::Unicode { digits: digits + 1, value: value << 4 | digit } }
                }
                Some(digit) => {
                    self.text.push_char(value << 4 | digit);
                    plain
                }
            },
            _ => State::Failed,
        };
    }

    fn scalar<'a>(&mut self, bytes: &'a [u8], place: Place) -> &'a [u8] {
        let end = bytes.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.'));
        let (part, rest) = bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or((bytes, &[]));
        self.text.push(part);
        if end.is_some() {
            // A number too long to be kept cannot be a count; where no count is wanted nothing is read.
            let read =
                if place.is_leaf() { self.facts.scalar(place, self.text.whole().unwrap_or(b"")) } else { Ok(()) };
            if read.is_err() {
                self.fail();
            } else {
                self.end_value();
            }
        }
        rest
    }

    fn skip<'a>(&mut self, bytes: &'a [u8], nesting: u64, quote: Quote) -> &'a [u8] {
        let found = match quote {
            Quote::Inside => memchr2(b'"', b'\\', bytes),
            Quote::Outside => bytes.iter().position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')),
            Quote::Escaped => Some(0),
        };
        let Some((_, byte, rest)) = found.and_then(|at| split_around(bytes, at)) else {
            return &[];
        };
        let (nesting, quote) = match (quote, byte) {
            (Quote::Inside, b'\\') => (nesting, Quote::Escaped),
            (Quote::Inside, _) => (nesting, Quote::Outside),
            (Quote::Escaped, _) | (Quote::Outside, b'"') => (nesting, Quote::Inside),
            (Quote::Outside, b'{' | b'[') => (nesting.saturating_add(1), Quote::Outside),
            (Quote::Outside, _) => (nesting.saturating_sub(1), Quote::Outside),
        };
        if nesting == 0 && matches!(quote, Quote::Outside) {
            self.end_value();
        } else {
            self.state = State::Skip { nesting, quote };
        }
        rest
    }
}

/// What is before the byte at `at`, that byte, and what is behind it.
fn split_around(bytes: &[u8], at: usize) -> Option<(&[u8], u8, &[u8])> {
    let (before, from) = bytes.split_at_checked(at)?;
    let (byte, rest) = from.split_first()?;
    Some((before, *byte, rest))
}
