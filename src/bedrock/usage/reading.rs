//! What the meter found out about one call.

use crate::types::{GuardrailUnits, ServiceTier, TokenUsage};

use super::counts::Counts;
use super::facts::{Facts, Mark, Tier};

/// What Bedrock said that a call used, and how far that can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// How the answer ended, as far as metering is concerned.
    pub ending: Ending,
    /// The tokens. Only where [`Reading::exact_usage`] returns them are they the whole truth; with any other ending they
    /// are what had been said until then. `None`: nothing was said, or the operation uses none.
    pub usage: Option<TokenUsage>,
    /// Whether Bedrock said for how long the cache writes in `usage` were made.
    pub cache_write_split: CacheWriteSplit,
    /// The tier that served the call; `None` where Bedrock named none (the default tier then) or one that is not known.
    pub tier: Option<ServiceTier>,
    /// The name of a tier that is not known. Its price is not known either.
    pub unknown_tier: Option<String>,
    /// Guardrail units, input and output together. `None` unless the answer carries a trace (or is `ApplyGuardrail`'s).
    pub guardrail: Option<GuardrailUnits>,
    /// Whether a guardrail changed or stopped the answer.
    pub intervention: Intervention,
    /// Messages of a kind that is not known: neither an event of the operation's stream nor an exception.
    pub unknown_events: u64,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The answer is whole and its counts are final. Also the ending of an operation that uses no tokens.
    Complete,
    /// Bedrock refused or failed the call with a status other than 2xx: nothing is charged.
    Fault,
    /// The stream ended in an exception of this name; `usage` is what was said before it.
    Exception(String),
    /// The body ended within a message, or before the event that ends every stream of its shape.
    Truncated,
    /// The body is no event stream or no JSON, a count is no count, or one is there twice.
    Malformed,
    /// The body is whole, and says nothing, or not everything, of what was used.
    NoCounts,
    /// A guardrail stopped the prompt; the model never ran. The usage is zero; the guardrail's units are not.
    GuardrailBlockedInput,
}

impl Ending {
    /// The ending's name in metrics and logs; the names of exceptions are not part of it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Fault => "fault",
            Self::Exception(_) => "exception",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::NoCounts => "no_counts",
            Self::GuardrailBlockedInput => "guardrail_blocked_input",
        }
    }
}

/// Whether the five-minute and one-hour cache writes are told apart, whose prices differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheWriteSplit {
    /// They are, or nothing was written.
    Known,
    /// Only their sum is known. All of it stands under `cache_write_5m`; whoever prices it takes the dearer of the prices
    /// that the request may have asked for.
    Unknown,
}

/// What a guardrail did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intervention {
    /// Nothing, or there was none.
    None,
    /// It masked or blocked something.
    Intervened,
}

impl Reading {
    /// The tokens to settle by, where they are certain; zero for an operation that uses none. `None` means: settle at
    /// the reservation (or at `usage`, if that is more), because the true sum is not known.
    pub fn exact_usage(&self) -> Option<TokenUsage> {
        match self.ending {
            Ending::Complete | Ending::Fault | Ending::GuardrailBlockedInput => Some(self.usage.unwrap_or_default()),
            Ending::Exception(_) | Ending::Truncated | Ending::Malformed | Ending::NoCounts => None,
        }
    }

    /// A reading with nothing in it but its ending.
    pub(super) const fn bare(ending: Ending) -> Self {
        Self {
            ending,
            usage: None,
            cache_write_split: CacheWriteSplit::Known,
            tier: None,
            unknown_tier: None,
            guardrail: None,
            intervention: Intervention::None,
            unknown_events: 0,
        }
    }

    /// A reading of what was found, with the counts that are believed of it.
    pub(super) fn of(ending: Ending, counts: Counts, facts: Facts) -> Self {
        let counts = if ending == Ending::GuardrailBlockedInput { Counts::zero() } else { counts };
        let (usage, cache_write_split) = counts.usage();
        let mut reading = Self {
            usage,
            cache_write_split,
            guardrail: facts.units,
            intervention: if facts.has(Mark::Intervened) { Intervention::Intervened } else { Intervention::None },
            ..Self::bare(ending)
        };
        if let Some(tier) = facts.tier {
            reading.set_tier(tier);
        }
        reading
    }

    pub(super) fn set_tier(&mut self, tier: Tier) {
        (self.tier, self.unknown_tier) = match tier {
            Tier::Known(tier) => (Some(tier), None),
            Tier::Unknown(name) => (None, Some(name)),
        };
    }
}
