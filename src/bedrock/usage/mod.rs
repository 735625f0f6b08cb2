//! What a call used, read from Bedrock's own answer while that passes by.
//!
//! [`UsageReader`] is made from an answer's head, is shown every chunk of its body as a borrow, and is finished when the
//! body ends, however it ends. It decides what Bedrock said and whether that can be trusted; what it costs, and what to
//! do where nothing can be trusted, is the ledger's. It never fails open: whatever is missing, cut, doubled or strange
//! has an [`Ending`] of its own, and [`Reading::exact_usage`] is silent for all of those.
//!
//! It never counts tokens itself, keeps no text of anybody's, and is bounded: a body is scanned, not kept; of a stream
//! only a message that straddles chunks is put together, in memory that is reused.

mod body;
mod chunk;
mod counts;
mod facts;
mod place;
mod reading;
mod scan;
mod stream;
mod text;

#[cfg(test)]
mod tests;

use http::{HeaderMap, StatusCode};

use crate::bedrock::{Forwarded, Operation};
use crate::types::TokenUsage;

use body::{Answer, BodyMeter};
use facts::Tier;
use stream::{Dialect, StreamMeter};

pub use reading::{CacheWriteSplit, Ending, Intervention, Reading};

/// Reads what one call used from its answer.
#[derive(Debug)]
pub struct UsageReader {
    meter: Meter,
    tier: Option<Tier>,
}

#[derive(Debug)]
enum Meter {
    /// Not a 2xx answer.
    Fault,
    /// `CountTokens`, which Bedrock does not charge for.
    Free,
    /// An operation that is not forwarded; nothing is known of how it is counted.
    Unknown,
    Body(BodyMeter),
    Stream(StreamMeter),
}

impl UsageReader {
    /// A reader for an answer to `operation` with this head.
    pub fn new(operation: Operation, status: StatusCode, headers: &HeaderMap) -> Self {
        let meter = match operation.forwarded() {
            _ if !status.is_success() => Meter::Fault,
            Some(Forwarded::Invoke) => Meter::Body(BodyMeter::new(Answer::Invoke, headers)),
            Some(Forwarded::Converse) => Meter::Body(BodyMeter::new(Answer::Converse, headers)),
            Some(Forwarded::ApplyGuardrail) => Meter::Body(BodyMeter::new(Answer::Guardrail, headers)),
            Some(Forwarded::InvokeStream) => Meter::Stream(StreamMeter::new(Dialect::Invoke)),
            Some(Forwarded::ConverseStream) => Meter::Stream(StreamMeter::new(Dialect::Converse)),
            Some(Forwarded::CountTokens) => Meter::Free,
            None => Meter::Unknown,
        };
        let tier = headers.get(TIER_HEADER).map(|value| Tier::named(&String::from_utf8_lossy(value.as_bytes())));
        Self { meter, tier }
    }

    /// Looks at the next chunk of the body. Where the chunks are cut makes no difference.
    pub fn observe(&mut self, chunk: &[u8]) {
        match &mut self.meter {
            Meter::Body(body) => body.observe(chunk),
            Meter::Stream(stream) => stream.observe(chunk),
            Meter::Fault | Meter::Free | Meter::Unknown => {}
        }
    }

    /// Whether the answer is an event stream that stands between two messages: only there may another message follow.
    pub fn is_between_messages(&self) -> bool {
        match &self.meter {
            Meter::Stream(stream) => stream.is_between_messages(),
            Meter::Body(_) | Meter::Fault | Meter::Free | Meter::Unknown => false,
        }
    }

    /// What the call used. To be called when the body has ended, or has broken off.
    pub fn finish(self) -> Reading {
        let mut reading = match self.meter {
            Meter::Fault => Reading { usage: Some(TokenUsage::default()), ..Reading::bare(Ending::Fault) },
            Meter::Free => Reading::bare(Ending::Complete),
            Meter::Unknown => Reading::bare(Ending::NoCounts),
            Meter::Body(body) => body.finish(),
            Meter::Stream(stream) => stream.finish(),
        };
        if reading.tier.is_none()
            && reading.unknown_tier.is_none()
            && let Some(tier) = self.tier
        {
            reading.set_tier(tier);
        }
        reading
    }
}

/// Names the tier that served an `InvokeModel*` call.
const TIER_HEADER: &str = "x-amzn-bedrock-service-tier";
