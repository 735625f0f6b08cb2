//! From a text that proves who somebody is (an ARN, a name in a certificate, the claims of a token) to a principal: a pattern
//! that takes parts of the text, and templates that put them together again.
//!
//! In a pattern `*` stands for one character or more, and `{name}` for the same under a name; neither reaches over `/` or `:`, so
//! that a pattern written for one segment cannot be satisfied by two. Everything else stands for itself. The whole text has to fit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Principal;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// One character or more, kept under a name where there is one.
    Some(Option<String>),
}

/// A text with places for parts of another: `{email}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
}

/// Who somebody is, in templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The principal's name.
    pub principal: Template,
    /// Their groups.
    pub groups: Vec<Template>,
    /// Their tags.
    pub tags: BTreeMap<String, Template>,
}

/// What is wrong with a pattern or a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A brace without its other half, or with nothing in it.
    #[error("a brace that is not closed, or holds no name")]
    Brace,
    /// Two wildcards side by side: which of them takes what?
    #[error("two wildcards without anything between them")]
    Adjacent,
    /// A name there twice.
    #[error("{{{0}}} is there twice")]
    Twice(String),
    /// More than any name has parts.
    #[error("more than {MOST_WILDCARDS} wildcards")]
    TooMany,
    /// Nothing.
    #[error("it is empty")]
    Empty,
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut pieces: Vec<Piece> = Vec::new();
        for part in Template::parse(text)?.0 {
            match part {
                Part::Field(name) => pieces.push(Piece::Some(Some(name))),
                Part::Text(text) => {
                    for (place, literal) in text.split('*').enumerate() {
                        if place > 0 {
                            pieces.push(Piece::Some(None));
                        }
                        if !literal.is_empty() {
                            pieces.push(Piece::Text(literal.to_owned()));
                        }
                    }
                }
            }
        }
        let wild = |piece: Option<&Piece>| matches!(piece, Some(Piece::Some(_)));
        if pieces.windows(2).any(|pair| wild(pair.first()) && wild(pair.last())) {
            return Err(PatternError::Adjacent);
        }
        if pieces.iter().filter(|piece| wild(Some(piece))).count() > MOST_WILDCARDS {
            return Err(PatternError::TooMany);
        }
        let mut names: Vec<_> = pieces.iter().filter_map(Piece::name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find_map(|pair| pair.first().filter(|name| pair.last() == Some(name))) {
            return Err(PatternError::Twice((*twice).to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The names that it gives.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(Piece::name)
    }

    /// The named parts of a text that fits. Each wildcard takes as little as it can, from the left.
    pub fn parts<'t>(&self, text: &'t str) -> Option<BTreeMap<&str, &'t str>> {
        if text.len() > LONGEST_TEXT {
            return None;
        }
        let mut parts = BTreeMap::new();
        let mut failed = vec![false; (self.0.len() + 1) * (text.len() + 1)];
        self.fits(0, text, 0, &mut parts, &mut failed).then_some(parts)
    }

    /// Whether the pieces from one on fit the text from a place on. What has failed once is not tried again, so that no text takes
    /// longer than its length times that of the pattern.
    fn fits<'p, 't>(
        &'p self,
        piece: usize,
        text: &'t str,
        from: usize,
        parts: &mut BTreeMap<&'p str, &'t str>,
        failed: &mut [bool],
    ) -> bool {
        let Some(rest) = text.get(from..) else { return false };
        let place = piece * (text.len() + 1) + from;
        if failed.get(place).copied().unwrap_or(true) {
            return false;
        }
        let fits = match self.0.get(piece) {
            None => rest.is_empty(),
            Some(Piece::Text(literal)) => {
                rest.starts_with(literal) && self.fits(piece + 1, text, from + literal.len(), parts, failed)
            }
            Some(Piece::Some(name)) => {
                let longest = rest.find(['/', ':']).unwrap_or(rest.len());
                (1..=longest).filter(|length| rest.is_char_boundary(*length)).any(|length| {
                    let fits = self.fits(piece + 1, text, from + length, parts, failed);
                    if let (true, Some(name), Some(taken)) = (fits, name, rest.get(..length)) {
                        parts.insert(name, taken);
                    }
                    fits
                })
            }
        };
        if !fits && let Some(failed) = failed.get_mut(place) {
            *failed = true;
        }
        fits
    }
}

impl Piece {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Some(Some(name)) => Some(name),
            Self::Some(None) | Self::Text(_) => None,
        }
    }
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(PatternError::Brace)?;
            if name.is_empty() || name.contains('{') || before.contains('}') {
                return Err(PatternError::Brace);
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Field(name.to_owned()));
            rest = after;
        }
        if rest.contains('}') {
            return Err(PatternError::Brace);
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The names that it takes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Field(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The one name that it is, where it is nothing else.
    pub fn bare(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Field(name)] => Some(name),
            _ => None,
        }
    }

    /// Two neighbours that run together: without `/` or `:` between them, `a` with `b-c` is what `a-b` is with `c`.
    pub fn runs_together(&self) -> Option<(&str, &str)> {
        let (mut last, mut apart) = (None, true);
        for part in &self.0 {
            match part {
                Part::Text(text) => apart |= text.contains(SEPARATORS),
                Part::Field(name) => {
                    if let Some(last) = last.filter(|_| !apart) {
                        return Some((last, name));
                    }
                    (last, apart) = (Some(name.as_str()), false);
                }
            }
        }
        None
    }

    /// The separators that stand between its fields.
    fn separators(&self) -> Vec<char> {
        let is_field = |part: &Part| matches!(part, Part::Field(_));
        let (first, last) = (self.0.iter().position(is_field), self.0.iter().rposition(is_field));
        let between = first.zip(last).and_then(|(first, last)| self.0.get(first..last)).unwrap_or_default();
        let texts = between.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text),
            Part::Field(_) => None,
        });
        texts.flat_map(|text| text.chars()).filter(|c| SEPARATORS.contains(c)).collect()
    }

    /// The text with all places filled. The error is the name of the first part that is not there, or is empty, or holds what
    /// separates the parts, so that different parts never make the same text.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> Option<Cow<'v, str>>) -> Result<String, String> {
        let separators = self.separators();
        let fits = |value: &Cow<'_, str>| !value.is_empty() && !value.contains(separators.as_slice());
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(own) => text.push_str(own),
                Part::Field(name) => {
                    let value = value(name).filter(fits).ok_or_else(|| name.clone())?;
                    text.push_str(&value);
                }
            }
        }
        Ok(text)
    }
}

impl Person {
    /// The principal whose parts are given. The error is the name of a part that is not there, or what else is in the way.
    pub fn principal<'v>(&self, value: impl Fn(&str) -> Option<Cow<'v, str>>) -> Result<Principal, String> {
        let name = self.principal.fill(&value)?;
        let groups = self.groups.iter().map(|group| group.fill(&value)).collect::<Result<_, _>>()?;
        let tags = self.tags.iter().map(|(key, tag)| Ok((key.clone(), tag.fill(&value)?)));
        Ok(Principal::new(name, groups, tags.collect::<Result<_, String>>()?))
    }

    /// The names that it takes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.principal
            .names()
            .chain(self.groups.iter().flat_map(Template::names))
            .chain(self.tags.values().flat_map(Template::names))
    }
}

/// What keeps the parts of a text apart.
const SEPARATORS: [char; 2] = ['/', ':'];
const MOST_WILDCARDS: usize = 8;
/// Names in certificates and ARNs are far shorter.
const LONGEST_TEXT: usize = 1_024;

/// Whether a name can stand in a metric, in a log line and in a budget.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 128 && name.trim() == name && !name.chars().any(is_unseen)
}

/// Whether a character is not to be seen, or changes how those around it look: two names that look the same would be two people.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests;
