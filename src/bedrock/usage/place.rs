//! The map of an answer: at which path in which document which fact stands.
//!
//! A count is believed only at its own path, so text that looks like usage, wherever a model wrote it, is never taken
//! for it. Paths that are not on this map are skipped unread.

use super::counts::Tokens;

/// A path in an answer, as far as metering cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Anything that is not on the map.
    Nowhere,

    /// The body of `InvokeModel`, whichever model's.
    InvokeAnswer,
    /// What a `chunk` of `InvokeModelWithResponseStream` holds, whichever model's.
    InvokeChunk,
    /// The body of `Converse`, and the events of its stream: the members have the same names.
    ConverseAnswer,
    /// The body of `ApplyGuardrail`.
    GuardrailAnswer,

    /// Anthropic's `message_start.message`.
    Message,
    /// Nova's last chunk.
    Metadata,
    /// `usage`, in the words of Anthropic, Nova, Converse, or OpenAI (imported models).
    Usage,
    /// Anthropic's `usage.cache_creation`.
    CacheCreation,
    /// Converse's `usage.cacheDetails`.
    CacheDetails,
    CacheDetail,
    /// `amazon-bedrock-invocationMetrics`.
    Metrics,
    /// Titan's `results`.
    Results,
    Result,
    ServiceTier,
    /// `trace`, or `amazon-bedrock-trace`.
    Trace,
    TraceGuardrail,
    /// Assessments by guardrail: an object by id (Converse, and Invoke's input) or a list of such (Invoke's outputs).
    Assessments(Side),
    /// One guardrail's assessment, or its list of them.
    Assessment,
    AssessmentMetrics,
    Units,

    Count(Tokens),
    Metric(Tokens),
    ResultTokens,
    DetailTtl,
    DetailTokens,
    Unit(Unit),
    EventName,
    StopReason,
    Action,
    TierName,
    /// A member that, once it is not null, says that a chunk is the last one with text.
    Finish,

    /// Seeing the name is enough: an embedding has no output tokens.
    Embedding,
    /// Seeing the name is enough: the model has run.
    ModelOutput,
}

/// Which side of the model a guardrail looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Input,
    Output,
}

/// A kind of guardrail unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Content,
    ContentImage,
    Topic,
    Word,
    SensitiveInformation,
    ContextualGrounding,
    AutomatedReasoning,
}

impl Place {
    /// Where the member of this name of an object at this place leads, with its number among the names that matter
    /// there (for spotting duplicates).
    pub(super) fn member(self, name: &[u8]) -> (Self, Option<u32>) {
        if let Self::Assessments(_) = self {
            return (Self::Assessment, None);
        }
        (0_u32..)
            .zip(self.members())
            .find(|(_, (known, _))| known.as_bytes() == name)
            .map_or((Self::Nowhere, None), |(number, (_, place))| (*place, Some(number)))
    }

    /// Where the elements of an array at this place lead.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the map is sparse: few places are lists")]
    pub(super) const fn element(self) -> Self {
        match self {
            Self::CacheDetails => Self::CacheDetail,
            Self::Results => Self::Result,
            Self::Assessments(_) | Self::Assessment => self,
            _ => Self::Nowhere,
        }
    }

    /// Whether an object here has members that matter.
    pub(super) const fn is_object(self) -> bool {
        matches!(self, Self::Assessments(_)) || !self.members().is_empty()
    }

    /// Whether an array here has elements that matter.
    pub(super) const fn is_array(self) -> bool {
        !matches!(self.element(), Self::Nowhere)
    }

    /// Whether a string or a number here is a fact.
    pub(super) const fn is_leaf(self) -> bool {
        matches!(
            self,
            Self::Count(_)
                | Self::Metric(_)
                | Self::ResultTokens
                | Self::DetailTtl
                | Self::DetailTokens
                | Self::Unit(_)
                | Self::EventName
                | Self::StopReason
                | Self::Action
                | Self::TierName
                | Self::Finish
        )
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the map is sparse: what is not named has no members")]
    const fn members(self) -> &'static [(&'static str, Self)] {
        match self {
            Self::InvokeAnswer => INVOKE_ANSWER,
            Self::InvokeChunk => INVOKE_CHUNK,
            Self::ConverseAnswer => CONVERSE_ANSWER,
            Self::GuardrailAnswer => GUARDRAIL_ANSWER,
            Self::Message | Self::Metadata => &[("usage", Self::Usage)],
            Self::Usage => USAGE,
            Self::CacheCreation => CACHE_CREATION,
            Self::CacheDetail => &[("ttl", Self::DetailTtl), ("inputTokens", Self::DetailTokens)],
            Self::Metrics => METRICS,
            Self::Result => &[("tokenCount", Self::ResultTokens)],
            Self::ServiceTier => &[("type", Self::TierName)],
            Self::Trace => &[("guardrail", Self::TraceGuardrail)],
            Self::TraceGuardrail => TRACE_GUARDRAIL,
            Self::Assessment => &[("invocationMetrics", Self::AssessmentMetrics)],
            Self::AssessmentMetrics => &[("usage", Self::Units)],
            Self::Units => UNITS,
            _ => &[],
        }
    }
}

const INVOKE_ANSWER: &[(&str, Place)] = &[
    ("usage", Place::Usage),
    // Titan
    ("inputTextTokenCount", Place::Count(Tokens::Input)),
    ("results", Place::Results),
    // Llama
    ("prompt_token_count", Place::Count(Tokens::Input)),
    ("generation_token_count", Place::Count(Tokens::Output)),
    // Titan, Cohere and Nova embeddings
    ("embedding", Place::Embedding),
    ("embeddings", Place::Embedding),
    ("embeddingsByType", Place::Embedding),
    // Bedrock's own members
    ("amazon-bedrock-guardrailAction", Place::Action),
    ("amazon-bedrock-trace", Place::Trace),
];

const INVOKE_CHUNK: &[(&str, Place)] = &[
    ("amazon-bedrock-invocationMetrics", Place::Metrics),
    ("amazon-bedrock-guardrailAction", Place::Action),
    ("amazon-bedrock-trace", Place::Trace),
    // Anthropic
    ("type", Place::EventName),
    ("message", Place::Message),
    ("usage", Place::Usage),
    // Nova
    ("metadata", Place::Metadata),
    // What tells the last chunk: Titan (the first two), Anthropic's text completions and Llama, Mistral
    ("totalOutputTextTokenCount", Place::Finish),
    ("completionReason", Place::Finish),
    ("stop_reason", Place::Finish),
    ("stopReason", Place::Finish),
];

const CONVERSE_ANSWER: &[(&str, Place)] = &[
    ("usage", Place::Usage),
    ("trace", Place::Trace),
    ("stopReason", Place::StopReason),
    ("serviceTier", Place::ServiceTier),
];

const GUARDRAIL_ANSWER: &[(&str, Place)] = &[("usage", Place::Units), ("action", Place::Action)];

const USAGE: &[(&str, Place)] = &[
    ("input_tokens", Place::Count(Tokens::Input)),
    ("output_tokens", Place::Count(Tokens::Output)),
    ("cache_read_input_tokens", Place::Count(Tokens::CacheRead)),
    ("cache_creation_input_tokens", Place::Count(Tokens::CacheWrite)),
    ("cache_creation", Place::CacheCreation),
    ("inputTokens", Place::Count(Tokens::Input)),
    ("outputTokens", Place::Count(Tokens::Output)),
    ("cacheReadInputTokens", Place::Count(Tokens::CacheRead)),
    ("cacheReadInputTokenCount", Place::Count(Tokens::CacheRead)),
    ("cacheWriteInputTokens", Place::Count(Tokens::CacheWrite)),
    ("cacheWriteInputTokenCount", Place::Count(Tokens::CacheWrite)),
    ("cacheDetails", Place::CacheDetails),
    ("prompt_tokens", Place::Count(Tokens::Input)),
    ("completion_tokens", Place::Count(Tokens::Output)),
];

const CACHE_CREATION: &[(&str, Place)] = &[
    ("ephemeral_5m_input_tokens", Place::Count(Tokens::CacheWrite5m)),
    ("ephemeral_1h_input_tokens", Place::Count(Tokens::CacheWrite1h)),
];

const METRICS: &[(&str, Place)] = &[
    ("inputTokenCount", Place::Metric(Tokens::Input)),
    ("outputTokenCount", Place::Metric(Tokens::Output)),
    ("cacheReadInputTokenCount", Place::Metric(Tokens::CacheRead)),
    ("cacheWriteInputTokenCount", Place::Metric(Tokens::CacheWrite)),
];

const TRACE_GUARDRAIL: &[(&str, Place)] = &[
    ("input", Place::Assessments(Side::Input)),
    ("inputAssessment", Place::Assessments(Side::Input)),
    ("outputs", Place::Assessments(Side::Output)),
    ("outputAssessments", Place::Assessments(Side::Output)),
    ("modelOutput", Place::ModelOutput),
];

const UNITS: &[(&str, Place)] = &[
    ("contentPolicyUnits", Place::Unit(Unit::Content)),
    ("contentPolicyImageUnits", Place::Unit(Unit::ContentImage)),
    ("topicPolicyUnits", Place::Unit(Unit::Topic)),
    ("wordPolicyUnits", Place::Unit(Unit::Word)),
    ("sensitiveInformationPolicyUnits", Place::Unit(Unit::SensitiveInformation)),
    ("contextualGroundingPolicyUnits", Place::Unit(Unit::ContextualGrounding)),
    ("automatedReasoningPolicyUnits", Place::Unit(Unit::AutomatedReasoning)),
];
