//! What the body of a request says that Tollgate has to know before the call: for the estimate of its cost, how long the
//! answer may get and what in it is no text; for the guardrail, what it says of guardrails.
//!
//! Everything is read in one pass. Nothing is judged and nothing is refused here: a body that cannot be read gives the
//! worst case for each fact, so that nobody lowers an estimate by sending nonsense, and the error in place of the
//! guardrail's fields. It does not count tokens, and it does not read headers (the service tier of an InvokeModel call is
//! asked for in one).

mod answer_bound;
mod guard_fields;
mod pieces;
mod survey;

pub use guard_fields::{Config, ConfigFields, Field, GuardContent, GuardFields, Suspect};

use crate::bedrock::Operation;
use crate::bedrock::json::JsonError;
use crate::types::{ModelId, ServiceTier};
use answer_bound::AnswerBound;
use pieces::Pieces;

/// The facts of one request's body.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    body_bytes: usize,
    image_bytes: usize,
    media: Media,
    cache: CacheWrites,
    tier: Option<ServiceTier>,
    latency: Latency,
    pieces: Pieces,
    bound: AnswerBound,
    guard_fields: Result<GuardFields, JsonError>,
}

/// How many parts of a request are no text. They are counted wherever they may stand; what only looks like one is counted
/// too, because the count is for a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// Images in the body. Their base64 is not part of [`RequestFacts::text_bytes`].
    pub images: u32,
    /// Documents, videos and sound in the body. Their base64 counts as text.
    pub documents: u32,
    /// Parts that only point at their content (S3, a URL): their size is unknown.
    pub referenced: u32,
}

/// How long the prompt cache is asked to keep what the call writes to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheWrites {
    /// Not asked for.
    #[default]
    None,
    /// Five minutes, the default.
    FiveMinutes,
    /// An hour, or a time that is not known here; also where the body could not be read.
    OneHour,
}

/// How fast an answer is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latency {
    /// As usual.
    #[default]
    Standard,
    /// Latency-optimised inference, which has prices of its own; also a word that is not known here.
    Optimized,
}

impl RequestFacts {
    /// Reads the facts. Never fails.
    pub fn read(operation: Operation, body: &[u8]) -> Self {
        let mut facts = Self {
            body_bytes: body.len(),
            image_bytes: 0,
            media: Media::default(),
            cache: CacheWrites::None,
            tier: None,
            latency: Latency::Standard,
            pieces: Pieces::default(),
            bound: AnswerBound::None,
            guard_fields: Ok(GuardFields::default()),
        };
        if !operation.is_converse() && !operation.is_invoke() {
            return facts;
        }
        match survey::read(operation, body) {
            Ok(survey) => survey,
            Err(error) => {
                facts.cache = CacheWrites::OneHour;
                facts.tier = Some(ServiceTier::Priority);
                facts.bound = AnswerBound::Unknown;
                facts.pieces = Pieces::unknown(body.len());
                facts.media = Media { referenced: u32::MAX, ..Media::default() };
                facts.guard_fields = Err(error);
                facts
            }
        }
    }

    /// The most output tokens that the request allows a model to produce, over all the answers it asks for; `None` where
    /// it does not say, or says it in a way that is not understood. Zero for an operation that generates nothing.
    ///
    /// Each family of models reads another member of an InvokeModel body, so the model has to be known: a body that
    /// limits itself by a name which the model ignores has no limit.
    pub fn max_output_tokens(&self, model: &ModelId) -> Option<u64> {
        self.bound.tokens(model)
    }

    /// The size of the body.
    pub const fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// The size of the body without the base64 of its images.
    pub const fn text_bytes(&self) -> usize {
        self.body_bytes.saturating_sub(self.image_bytes)
    }

    /// What in it is no text. Where the body could not be read, `referenced` is at its maximum.
    pub const fn media(&self) -> Media {
        self.media
    }

    /// What it asks of the prompt cache.
    pub const fn cache_writes(&self) -> CacheWrites {
        self.cache
    }

    /// The service tier that the body asks for; the dearest where it is one that is not known. An InvokeModel body asks for
    /// the dearest or for none: its tier stands in a header.
    pub const fn tier(&self) -> Option<ServiceTier> {
        self.tier
    }

    /// How fast the body asks for an answer (Converse only).
    pub const fn latency(&self) -> Latency {
        self.latency
    }

    /// The most images that a model of images makes: one where the body does not say.
    pub const fn images_made(&self) -> u64 {
        self.pieces.images_made()
    }

    /// The most queries that a reranker charges for the body's documents: one for every hundred, long ones counting as several.
    pub const fn queries(&self) -> u64 {
        self.pieces.queries()
    }

    /// What the body says of guardrails, or why it could not be read.
    pub const fn guard_fields(&self) -> Result<&GuardFields, JsonError> {
        match &self.guard_fields {
            Ok(fields) => Ok(fields),
            Err(error) => Err(*error),
        }
    }
}

#[cfg(test)]
mod tests;
