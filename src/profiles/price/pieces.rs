//! What is charged by the piece rather than by the token: images made, images read, queries of a reranker.

use crate::types::Money;

/// How many pieces a call comes to at most, by its request: Bedrock's answers do not count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// Images that the model is asked to make.
    pub images_made: u64,
    /// Images in the prompt.
    pub images_read: u64,
    /// Queries: every hundred chunks of documents to be ranked are one.
    pub queries: u64,
}

impl Pieces {
    /// None.
    pub const NONE: Self = Self { images_made: 0, images_read: 0, queries: 0 };
}

impl Default for Pieces {
    /// What to assume of a request that was not looked through: more than any model takes.
    fn default() -> Self {
        Self { images_made: 10, images_read: 100, queries: 100 }
    }
}

/// What a piece of each kind costs; nothing where a row does not name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PiecePrices {
    /// An image made, of the dearest size and quality.
    pub image_made: Money,
    /// An image read.
    pub image_read: Money,
    /// A query.
    pub query: Money,
}

impl PiecePrices {
    /// What so many pieces cost.
    pub fn cost(&self, pieces: &Pieces) -> Money {
        let of = |price: Money, count: u64| {
            Money::from_nanos(price.nanos().saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)))
        };
        of(self.image_made, pieces.images_made)
            + of(self.image_read, pieces.images_read)
            + of(self.query, pieces.queries)
    }

    /// Kind by kind the dearer of the two.
    #[must_use]
    pub fn dearer(self, other: Self) -> Self {
        Self {
            image_made: self.image_made.max(other.image_made),
            image_read: self.image_read.max(other.image_read),
            query: self.query.max(other.query),
        }
    }
}
