//! A body in segments.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Bytes that are sent one after another without having been put together: what is spliced into a large body copies nothing of it.
#[derive(Clone, Debug, Default)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub struct Segments {
    first: Bytes,
    /// Most bodies are one segment.
    others: VecDeque<Bytes>,
}

impl Segments {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.iter().map(Bytes::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.iter().all(Bytes::is_empty)
    }

    /// Each segment in its turn.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// All of it, where it is one segment.
    pub fn as_one(&self) -> Option<&Bytes> {
        self.others.is_empty().then_some(&self.first)
    }
}

#[cfg(test)]
impl Segments {
    /// All of it, put together where it is not.
    pub(crate) fn together(&self) -> Bytes {
        self.as_one().cloned().unwrap_or_else(|| self.iter().flatten().copied().collect())
    }
}

impl From<Bytes> for Segments {
    fn from(first: Bytes) -> Self {
        Self { first, others: VecDeque::new() }
    }
}

impl FromIterator<Bytes> for Segments {
    fn from_iter<I: IntoIterator<Item = Bytes>>(segments: I) -> Self {
        let mut segments = segments.into_iter().filter(|segment| !segment.is_empty());
        Self { first: segments.next().unwrap_or_default(), others: segments.collect() }
    }
}

impl Buf for Segments {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.first
    }

    fn chunks_vectored<'a>(&'a self, places: &mut [IoSlice<'a>]) -> usize {
        let filled = places.iter_mut().zip(self.iter().filter(|segment| !segment.is_empty()));
        filled.map(|(place, segment)| *place = IoSlice::new(segment)).count()
    }

    fn advance(&mut self, bytes: usize) {
        let mut left = bytes;
        while left > self.first.len() {
            left -= self.first.len();
            match self.others.pop_front() {
                Some(next) => self.first = next,
                // As every `Buf`: nobody may advance beyond what remains.
                None => left = self.first.len(),
            }
        }
        self.first.advance(left);
        if self.first.is_empty()
            && let Some(next) = self.others.pop_front()
        {
            self.first = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segments(texts: &[String]) -> Segments {
        texts.iter().map(|text| Bytes::from(text.clone())).collect()
    }

    proptest! {
        #[test]
        fn they_are_taken_as_what_they_are_together(
            texts in proptest::collection::vec("[a-z]{0,5}", 0..6),
            steps in proptest::collection::vec(0_usize..7, 0..12),
        ) {
            let (mut own, whole) = (segments(&texts), Bytes::from(texts.concat()));
            prop_assert_eq!(own.as_one().is_some(), texts.iter().filter(|text| !text.is_empty()).count() < 2);
            let mut rest = whole;
            for step in steps {
                prop_assert_eq!((own.remaining(), own.is_empty()), (rest.len(), rest.is_empty()));
                prop_assert_eq!(own.chunk().is_empty(), rest.is_empty());
                let mut places = [IoSlice::new(&[]); 4];
                let filled = own.chunks_vectored(&mut places);
                let shown: Vec<u8> = places[..filled].iter().flat_map(|place| place.to_vec()).collect();
                prop_assert!(rest.starts_with(&shown) && shown.is_empty() == rest.is_empty());
                let step = step.min(rest.len());
                own.advance(step);
                rest.advance(step);
            }
            prop_assert_eq!(own.iter().flatten().copied().collect::<Vec<_>>(), rest);
        }
    }
}
