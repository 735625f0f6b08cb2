//! What is wrong with a file, where, and what to do about it.
//!
//! A [`Report`] collects while the file is read; [`Diagnostics`] is what a caller sees: in the order of the file, errors apart
//! from warnings. A message never quotes more than a short piece of a value.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Everything that was found in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostics {
    /// The file, as it was named.
    pub file: PathBuf,
    /// What keeps the file from being used, in the file's order.
    pub errors: Vec<Diagnostic>,
    /// What is allowed and probably not meant, in the file's order.
    pub warnings: Vec<Diagnostic>,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The line and column, where there is one.
    #[serde(flatten)]
    pub position: Option<Position>,
    /// The path of the key, such as `profiles[2].arn` (elements are counted from 0); empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A place in the file. Both are counted from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used.
    Warning,
}

impl Diagnostics {
    /// A file that could not be looked into at all.
    pub(super) fn of_file(file: &Path, wrong: Wrong) -> Self {
        let error = Diagnostic { position: None, key: String::new(), message: wrong.message, hint: wrong.hint };
        Self { file: file.to_owned(), errors: vec![error], warnings: Vec::new() }
    }

    /// Everything with its severity, errors first.
    pub fn iter(&self) -> impl Iterator<Item = (Severity, &Diagnostic)> {
        let errors = self.errors.iter().map(|found| (Severity::Error, found));
        errors.chain(self.warnings.iter().map(|found| (Severity::Warning, found)))
    }
}

impl fmt::Display for Diagnostics {
    /// One paragraph each, `file:line:column: [warning: ]key: message` and a line with the hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (severity, found)) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:", self.file.display())?;
            if let Some(Position { line, column }) = found.position {
                write!(f, "{line}:{column}:")?;
            }
            match severity {
                Severity::Error => f.write_str(" ")?,
                Severity::Warning => f.write_str(" warning: ")?,
            }
            found.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n    {hint}")?;
        }
        Ok(())
    }
}

/// A message and its remedy, before it is known where they belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Wrong {
    /// What is wrong: the text of an error, or a sentence of one's own.
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), hint: None }
    }

    /// What to do about it.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// What to do about it, if anything is known.
    pub(super) fn maybe_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }
}

/// Where a value stands: its key path and its offset in the file. The place of what is absent is that of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) key: String,
    pub(super) offset: usize,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl Place {
    /// The file as a whole.
    pub(super) const fn root() -> Self {
        Self { key: String::new(), offset: 0 }
    }

    /// The same key at another offset.
    pub(super) fn moved_to(self, offset: usize) -> Self {
        Self { offset, ..self }
    }

    /// A key below this one.
    pub(super) fn key(&self, name: &str, offset: usize) -> Self {
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        let dot = if self.key.is_empty() { "" } else { "." };
        let key = if plain { format!("{}{dot}{name}", self.key) } else { format!("{}{dot}{}", self.key, quoted(name)) };
        Self { key, offset }
    }

    /// An element of this array.
    pub(super) fn element(&self, index: usize, offset: usize) -> Self {
        Self { key: format!("{}[{index}]", self.key), offset }
    }
}

/// Collects what is wrong while a file is read.
pub(super) struct Report {
    file: PathBuf,
    source: String,
    found: Vec<(usize, Severity, Diagnostic)>,
}

impl Report {
    /// Nothing found yet.
    pub(super) fn new(file: &Path, source: &str) -> Self {
        Self { file: file.to_owned(), source: source.to_owned(), found: Vec::new() }
    }

    /// Something that keeps the file from being used.
    pub(super) fn error(&mut self, place: &Place, wrong: Wrong) {
        self.add(Severity::Error, place, wrong);
    }

    /// Something that is allowed and probably not meant.
    pub(super) fn warning(&mut self, place: &Place, wrong: Wrong) {
        self.add(Severity::Warning, place, wrong);
    }

    /// Whether the file cannot be used.
    pub(super) fn has_errors(&self) -> bool {
        self.found.iter().any(|(_, severity, _)| *severity == Severity::Error)
    }

    /// The line of a place, for messages that point at another one.
    pub(super) fn line(&self, place: &Place) -> usize {
        self.position(place.offset).line
    }

    /// Reads a text, and reports it where it cannot be read. What is absent stays absent.
    pub(super) fn read<T>(
        &mut self,
        found: Option<Placed<&str>>,
        read: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let found = found?;
        read(found.value).map_err(|wrong| self.error(&found.place, wrong)).ok()
    }

    /// All that was found, in the file's order.
    pub(super) fn finish(mut self) -> Diagnostics {
        // A stable sort: what stands at one place keeps the order in which it was found.
        self.found.sort_by_key(|(offset, _, _)| *offset);
        let mut diagnostics = Diagnostics { file: self.file, errors: Vec::new(), warnings: Vec::new() };
        for (_, severity, diagnostic) in self.found {
            match severity {
                Severity::Error => diagnostics.errors.push(diagnostic),
                Severity::Warning => diagnostics.warnings.push(diagnostic),
            }
        }
        diagnostics
    }

    fn add(&mut self, severity: Severity, place: &Place, wrong: Wrong) {
        let position = Some(self.position(place.offset));
        let Wrong { message, hint } = wrong;
        self.found.push((place.offset, severity, Diagnostic { position, key: place.key.clone(), message, hint }));
    }

    fn position(&self, offset: usize) -> Position {
        let before = self.source.get(..offset).unwrap_or(&self.source);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Position { line: before.matches('\n').count() + 1, column }
    }
}

/// A value as it is shown in a message: quoted, escaped, and cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{:?}", start + "…")
}
