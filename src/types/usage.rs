//! What Bedrock says a call used: tokens by kind, the tier that served it, guardrail text units.

use std::fmt;
use std::ops::Add;

/// Tokens of one call by the kinds that are priced apart. `input` never includes cache reads or writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Input tokens that came from no cache.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Input tokens read from the prompt cache.
    pub cache_read: u64,
    /// Input tokens written to the prompt cache for five minutes.
    pub cache_write_5m: u64,
    /// Input tokens written to the prompt cache for an hour.
    pub cache_write_1h: u64,
}

impl TokenUsage {
    /// Every token that was processed, cached or not.
    pub fn total(&self) -> u64 {
        [self.input, self.output, self.cache_read, self.cache_write_5m, self.cache_write_1h]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

impl Add for TokenUsage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write_5m: self.cache_write_5m.saturating_add(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
        }
    }
}

/// The service tier that served a call; each has its own prices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceTier {
    /// On-demand, the default.
    #[default]
    Default,
    /// Faster, dearer.
    Priority,
    /// Slower, cheaper.
    Flex,
    /// Capacity that was bought beforehand.
    Reserved,
}

impl ServiceTier {
    /// Reads AWS's name of a tier, in any case. Unknown names are `None`: the caller decides what an unknown tier costs.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Default, Self::Priority, Self::Flex, Self::Reserved]
            .into_iter()
            .find(|tier| tier.as_str().eq_ignore_ascii_case(name))
    }

    /// AWS's name of the tier.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Priority => "priority",
            Self::Flex => "flex",
            Self::Reserved => "reserved",
        }
    }
}

impl fmt::Display for ServiceTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Guardrail text units by policy, as the trace of a guarded call and the answer to `ApplyGuardrail` list them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardrailUnits {
    /// Content filters.
    pub content_policy: u64,
    /// Denied topics.
    pub topic_policy: u64,
    /// Word filters (free).
    pub word_policy: u64,
    /// Sensitive information filters that are charged.
    pub sensitive_information_policy: u64,
    /// Contextual grounding.
    pub contextual_grounding_policy: u64,
    /// Automated reasoning.
    pub automated_reasoning_policy: u64,
    /// Content filters over images, per image.
    pub content_policy_image: u64,
}
