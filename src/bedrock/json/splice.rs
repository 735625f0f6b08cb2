//! Edits a document by byte spans. What no edit names stays where it is.

use super::{Followed, Opening, Span};
use crate::types::Segments;
use bytes::Bytes;

/// Edits to one document, in any order.
#[derive(Debug, Default)]
pub struct Splicer {
    edits: Vec<(Span, String)>,
}

/// Two edits overlap, or one lies outside the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two edits of one document overlap, or one lies outside it")]
pub struct Overlap;

impl Splicer {
    /// No edits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a text in place of a span.
    pub fn replace(&mut self, span: Span, text: impl Into<String>) {
        self.edits.push((span, text.into()));
    }

    /// Writes members (`"name":value`, separated by commas) at the start of an object.
    pub fn insert_members(&mut self, opening: Opening, members: impl Into<String>) {
        let mut text = members.into();
        if opening.followed == Followed::ByMember {
            text.push(',');
        }
        self.replace(Span { start: opening.at, end: opening.at }, text);
    }

    /// The edited document: the same bytes, shared, with the edits in between.
    pub fn apply(mut self, document: &Bytes) -> Result<Segments, Overlap> {
        if self.edits.is_empty() {
            return Ok(document.clone().into());
        }
        self.edits.sort_by_key(|(span, _)| span.start);
        let mut edited = Vec::with_capacity(2 * self.edits.len() + 1);
        let mut kept = 0;
        for (span, text) in self.edits {
            // `get` is `None` for a span that starts before the end of the one before it.
            let before = document.get(kept..span.start).ok_or(Overlap)?;
            edited.extend([document.slice_ref(before), text.into()]);
            kept = span.end.max(span.start);
        }
        edited.push(document.slice_ref(document.get(kept..).ok_or(Overlap)?));
        Ok(edited.into_iter().collect())
    }
}
