//! How many output tokens a request allows: one number under a dozen names.
//!
//! The bound must never be below what the model may produce, so each family of models is read by its own names only, the
//! number is multiplied by the number of answers asked for, and whatever is not understood is no bound at all.

use crate::bedrock::json::{JsonError, Kind, Reader};
use crate::types::ModelId;

/// The bound, as far as it can be told without knowing the model.
#[derive(Clone, Debug)]
pub(super) enum AnswerBound {
    /// The operation generates nothing.
    None,
    /// Nothing is known.
    Unknown,
    /// A Converse body.
    Converse(ConverseNumbers),
    /// An InvokeModel body.
    Invoke(InvokeNumbers),
}

/// What a Converse body says.
#[derive(Clone, Debug, Default)]
pub(super) struct ConverseNumbers {
    /// `inferenceConfig.maxTokens`
    pub(super) max_tokens: Number,
    /// Whether `additionalModelRequestFields` names one of the models' own limits, which may or may not overrule it.
    pub(super) additional: Additional,
}

/// Whether the additional fields touch the bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Additional {
    #[default]
    Silent,
    Touches,
}

/// What an InvokeModel body says, by the member that says it.
#[derive(Clone, Debug, Default)]
pub(super) struct InvokeNumbers {
    pub(super) max_tokens: Number,
    pub(super) max_tokens_to_sample: Number,
    pub(super) max_completion_tokens: Number,
    pub(super) max_gen_len: Number,
    /// AI21 Jurassic's `maxTokens`.
    pub(super) max_tokens_camel: Number,
    /// Nova's `inferenceConfig.maxTokens` and `inferenceConfig.max_new_tokens`.
    pub(super) inference_config: [Number; 2],
    /// Titan's `textGenerationConfig.maxTokenCount`
    pub(super) token_count: Number,
    /// The number of answers: `n`, `num_generations`, `numResults`, whichever is larger.
    pub(super) answers: Number,
}

/// A number of tokens or answers in a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Number {
    /// Not there, or `null`.
    #[default]
    Absent,
    /// There, but no number between one and [`Number::LARGEST`].
    Absurd,
    /// There.
    Of(u64),
}

impl Number {
    /// No model produces as much in one answer; whoever says more says nothing.
    const LARGEST: u64 = 10_000_000;

    /// Reads a value of any kind.
    pub(super) fn read(reader: &mut Reader<'_>, body: &[u8]) -> Result<Self, JsonError> {
        let kind = reader.kind();
        let span = reader.skip()?;
        Ok(match kind {
            Kind::Null => Self::Absent,
            Kind::Other => span.of(body).and_then(parse).map_or(Self::Absurd, Self::Of),
            Kind::Object | Kind::Array | Kind::String => Self::Absurd,
        })
    }

    /// The larger of two; what is absurd stays so.
    pub(super) fn or_larger(self, other: Self) -> Self {
        match (self, other) {
            (Self::Absurd, _) | (_, Self::Absurd) => Self::Absurd,
            (Self::Absent, number) | (number, Self::Absent) => number,
            (Self::Of(one), Self::Of(other)) => Self::Of(one.max(other)),
        }
    }
}

/// `100`, `100.0`, `1e2`; a fraction counts as the next whole number.
fn parse(literal: &[u8]) -> Option<u64> {
    let literal = std::str::from_utf8(literal).ok()?;
    let whole = literal.parse().ok().or_else(|| {
        let number: f64 = literal.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was checked to lie in 0..=1e7")]
        (0.0..=1e7).contains(&number).then(|| number.ceil() as u64)
    })?;
    (1..=Number::LARGEST).contains(&whole).then_some(whole)
}

impl AnswerBound {
    /// The bound for a model.
    pub(super) fn tokens(&self, model: &ModelId) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Unknown => None,
            Self::Converse(numbers) => match (numbers.max_tokens, numbers.additional) {
                (Number::Of(tokens), Additional::Silent) => Some(tokens),
                _ => None,
            },
            Self::Invoke(numbers) => numbers.tokens(model),
        }
    }
}

impl InvokeNumbers {
    fn tokens(&self, model: &ModelId) -> Option<u64> {
        let base = model.base();
        let name = base.as_str().split_once('.').map_or("", |(_, name)| name);
        let [camel, snake] = self.inference_config;
        let limit = match model.provider() {
            "anthropic" => self.max_tokens.or_larger(self.max_tokens_to_sample),
            "amazon" if name.starts_with("nova") => camel.or_larger(snake),
            "amazon" => self.token_count,
            "meta" => self.max_gen_len,
            "ai21" if name.starts_with("j2") => self.max_tokens_camel,
            "openai" => self.max_tokens.or_larger(self.max_completion_tokens),
            // Some of these know OpenAI's newer name as well and some ignore it: alone it limits nothing, and beside the
            // older name the larger number counts.
            "ai21" | "cohere" | "deepseek" | "google" | "minimax" | "mistral" | "moonshot" | "moonshotai"
            | "nvidia" | "qwen" | "writer" | "zai" => {
                if matches!(self.max_tokens, Number::Absent) {
                    Number::Absent
                } else {
                    self.max_tokens.or_larger(self.max_completion_tokens)
                }
            }
            _ => Number::Absent,
        };
        match (limit, self.answers) {
            (Number::Of(tokens), Number::Absent) => Some(tokens),
            (Number::Of(tokens), Number::Of(answers)) => Some(tokens.saturating_mul(answers)),
            (Number::Absent | Number::Absurd, _) | (_, Number::Absurd) => None,
        }
    }
}

/// Whether a name is one by which some model limits its answer.
pub(super) fn is_limit(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        "max_tokens",
        "max_tokens_to_sample",
        "max_completion_tokens",
        "max_gen_len",
        "maxTokens",
        "max_new_tokens",
        "maxNewTokens",
        "maxTokenCount",
        "max_output_tokens",
        "n",
        "num_generations",
        "numResults",
    ];
    NAMES.contains(&name)
}
