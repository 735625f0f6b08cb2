//! Every key there is, and how a file is read against that list.
//!
//! The list is data (`keys`) rather than serde structs, because serde stops at the first key it does not know, and a person
//! fixing a file wants to see all that is wrong with it. It is the only place where a key's name, kind and default stand:
//! `walk` refuses what is not in it, [`Entry`] reads through it, and a test holds `config/tollgate.toml` against it.

mod entry;
mod keys;
mod remedy;
mod walk;

use toml::de::DeTable;

use super::diagnostics::{Place, Report, Wrong};

pub(super) use entry::Entry;
pub(super) use keys::ROOT;

/// A key: its name, what it holds, and what its absence means.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) absence: Absence,
}

/// What a key holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A string.
    Text,
    /// A string that holds a span of time; apart from `Text` only for its hints.
    Span,
    /// A string that holds dollars; apart from `Text` only for its hints.
    Dollars,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Flag,
    /// An array of strings.
    Texts,
    /// A table of strings under names of the writer's choice.
    Pairs,
    /// A table of known keys.
    Table(&'static [Key]),
    /// An array of such tables: `[[name]]`.
    Tables(&'static [Key]),
    /// A table of such tables under names of the writer's choice: `[name."…"]`.
    Named(&'static [Key]),
}

/// What the absence of a key means.
#[derive(Clone, Copy, Debug)]
pub(super) enum Absence {
    /// An error; the hint is a line that would do.
    Wrong(&'static str),
    /// The key has no value.
    Nothing,
    /// As if this string had been written.
    Text(&'static str),
    /// As if this number had been written.
    Integer(i64),
    /// As if this had been written.
    Flag(bool),
}

/// Reads a file: reports all that is not TOML, or else all that is not in the list of keys, and hands what is there to
/// `compile`.
pub(super) fn read<T>(
    source: &str,
    report: &mut Report,
    compile: impl FnOnce(&Entry<'_>, &mut Report) -> Option<T>,
) -> Option<T> {
    let (table, errors) = DeTable::parse_recoverable(source);
    if errors.is_empty() {
        let entry = Entry::root(table.get_ref());
        walk::check(table.get_ref(), ROOT, &Place::root(), report);
        return compile(&entry, report);
    }
    for error in errors {
        let offset = error.span().map_or(source.len(), |span| span.start);
        let wrong = Wrong::new(error.message()).hint(remedy::of_syntax(error.message()));
        report.error(&Place::root().moved_to(offset), wrong);
    }
    None
}
