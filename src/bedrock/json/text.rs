//! A JSON string as it stands in the document: compared after unescaping, decoded only where it must be.

use std::borrow::Cow;
use std::str::Chars;

/// The text between the quotes of a JSON string whose escapes are well-formed.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    raw: &'a str,
    spelling: Spelling,
}

/// Whether a string has to be unescaped to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// No backslash in it: the bytes are the text.
    Plain,
    /// At least one escape.
    Escaped,
}

impl<'a> Text<'a> {
    pub(super) const fn new(raw: &'a str, spelling: Spelling) -> Self {
        Self { raw, spelling }
    }

    /// The bytes between the quotes, escapes and all.
    pub const fn raw(self) -> &'a str {
        self.raw
    }

    /// Whether the unescaped text is this one.
    pub fn equals(self, plain: &str) -> bool {
        match self.spelling {
            Spelling::Plain => self.raw == plain,
            Spelling::Escaped => self.characters().eq(plain.chars().map(Some)),
        }
    }

    /// Whether the unescaped text is this one but for upper and lower case, in any way that some parser might fold it
    /// (`K` may be the Kelvin sign). For refusals only: it rather says yes once too often.
    pub fn resembles(self, plain: &str) -> bool {
        if self.spelling == Spelling::Plain && self.raw.is_ascii() {
            return self.raw.eq_ignore_ascii_case(plain);
        }
        let mut own = self.characters();
        plain.chars().all(|letter| own.next().flatten().is_some_and(|own| alike(own, letter))) && own.next().is_none()
    }

    /// The unescaped text, without a copy where nothing is escaped. Half a surrogate pair becomes U+FFFD.
    pub fn decode(self) -> Cow<'a, str> {
        match self.spelling {
            Spelling::Plain => Cow::Borrowed(self.raw),
            Spelling::Escaped => {
                Cow::Owned(self.characters().map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
            }
        }
    }

    /// Whether every surrogate in it has its other half.
    pub fn is_well_formed(self) -> bool {
        self.spelling == Spelling::Plain || self.characters().all(|c| c.is_some())
    }

    const fn characters(self) -> Characters<'a> {
        Characters { rest: self.raw }
    }
}

/// The unescaped characters; `None` stands for half a surrogate pair.
struct Characters<'a> {
    rest: &'a str,
}

impl Iterator for Characters<'_> {
    type Item = Option<char>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut chars = self.rest.chars();
        let character = match chars.next()? {
            '\\' => unescape(&mut chars),
            plain => Some(plain),
        };
        self.rest = chars.as_str();
        Some(character)
    }
}

fn unescape(chars: &mut Chars<'_>) -> Option<char> {
    match chars.next()? {
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'u' => {
            let unit = code_unit(chars)?;
            if !(0xD800..=0xDBFF).contains(&unit) {
                return char::from_u32(unit);
            }
            let mut ahead = chars.clone();
            if ahead.next() != Some('\\') || ahead.next() != Some('u') {
                return None;
            }
            let low = code_unit(&mut ahead).filter(|low| (0xDC00..=0xDFFF).contains(low))?;
            *chars = ahead;
            char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
        }
        itself => Some(itself),
    }
}

fn code_unit(chars: &mut Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit << 4 | chars.next()?.to_digit(16)?))
}

/// Compares the first character of each folding only, so that `İ` (whose lower case is two characters) is like `i`.
fn alike(one: char, other: char) -> bool {
    one == other
        || one.to_lowercase().next() == other.to_lowercase().next()
        || one.to_uppercase().next() == other.to_uppercase().next()
}
