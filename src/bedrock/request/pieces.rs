//! What a body asks for that is priced by the piece: images to be made, documents to be ranked.
//!
//! Bounds, like the bound of an answer's tokens: what is not understood counts as the most that any model takes.

use super::answer_bound::Number;
use crate::bedrock::json::{JsonError, Reader};

/// What an InvokeModel body says of pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pieces {
    /// `imageGenerationConfig.numberOfImages` (Titan, Nova Canvas) or `samples` (Stability), whichever is larger.
    pub(super) images: Number,
    /// Chunks of `documents`, as rerankers take them.
    pub(super) chunks: u64,
}

/// The most images that a model makes at once.
const MOST_IMAGES: u64 = 10;

/// A document of more than 512 tokens, the query's included, counts as several; half of them may be the query's, and a token has
/// a byte at least. <https://aws.amazon.com/bedrock/pricing/>
const CHUNK_BYTES: u64 = 256;

/// A query is charged for as many chunks at once.
const CHUNKS_PER_QUERY: u64 = 100;

impl Pieces {
    /// Those of a body that could not be read.
    pub(super) fn unknown(body_bytes: usize) -> Self {
        // A document is two quotes and a comma at least.
        let bytes = u64::try_from(body_bytes).unwrap_or(u64::MAX);
        Self { images: Number::Absurd, chunks: (bytes / 3).saturating_add(bytes / CHUNK_BYTES) }
    }

    /// One document, of so many bytes.
    pub(super) fn document(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.chunks = self.chunks.saturating_add(bytes.div_ceil(CHUNK_BYTES).max(1));
    }

    /// A number of images.
    pub(super) fn image_count(&mut self, reader: &mut Reader<'_>, body: &[u8]) -> Result<(), JsonError> {
        self.images = self.images.or_larger(Number::read(reader, body)?);
        Ok(())
    }

    /// How many images a model of images makes: one where nothing is said.
    pub(super) const fn images_made(&self) -> u64 {
        match self.images {
            Number::Absent => 1,
            Number::Absurd => MOST_IMAGES,
            Number::Of(images) => images,
        }
    }

    /// How many queries a reranker charges: one at least.
    pub(super) const fn queries(&self) -> u64 {
        let queries = self.chunks.div_ceil(CHUNKS_PER_QUERY);
        if queries == 0 { 1 } else { queries }
    }
}
