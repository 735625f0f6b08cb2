//! What a call can use at most, derived from its request and its model's price before it is made.
//!
//! Input: every token encodes at least one byte of the request's text, so the body's length bounds the text; what is not
//! text has documented bounds of its own, and the model's own wrapping (turn markers, the tool-use prompt) a small
//! constant. Of a prompt of Prompt management, whose text is not in the request, the configuration says how long it is. Output: `max_tokens`, or the model's maximum. Price: the dearest kind of input that the request can cause,
//! the dearest tier it can ask for, the long-context price where the bound is long. What is charged by the piece is counted in the request; a model
//! that is charged by nothing else uses no tokens. Nothing is tokenised here.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::profiles::price::{CacheLifetime, GuardrailPrice, ModelPrice, Pieces};
use crate::types::{ModelId, Money, ServiceTier};

use super::rule::Reserve;
use super::store::{Unit, nanodollars};

/// What an estimate needs to know of a request. The default of each field but the first is the one to choose where the
/// request was not looked into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The body's length; where what it fills in comes more than once, so many times that.
    pub body_bytes: u64,
    /// Input tokens that the request does not hold: those of a prompt of Prompt management.
    pub prompt_tokens: u64,
    /// The most output tokens that the request allows; `None` leaves it to the model.
    pub max_tokens: Option<u64>,
    /// What the prompt holds beside text.
    pub attachments: Attachments,
    /// How long the prompt cache is asked to keep what it holds.
    pub cache: CacheLifetime,
    /// The service tier asked for ([`ServiceTier::Default`] where none is); `None` where that is not known.
    pub tier: Option<ServiceTier>,
    /// What is charged by the piece, where the model is.
    pub pieces: Pieces,
}

/// What a prompt holds beside text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attachments {
    /// Nothing.
    None,
    /// Images, inline as base64.
    Images {
        /// How many.
        count: u64,
        /// How many bytes of the body are their base64 (0 where that was not measured).
        base64_bytes: u64,
    },
    /// Documents, video, audio, or anything by reference: the request does not tell their length, so they are taken to
    /// fill the model's context.
    #[default]
    Unmeasurable,
}

/// What a call can use at most.
#[derive(Clone, Debug)]
pub struct Estimate {
    subject: Subject,
    guardrail: Option<Guarding>,
}

#[derive(Clone, Debug)]
enum Subject {
    Free,
    Guardrail,
    Model { facts: RequestFacts, model: ModelId, price: Option<Arc<ModelPrice>> },
}

#[derive(Clone, Copy, Debug)]
struct Guarding {
    price: GuardrailPrice,
    text_bytes: u64,
    images: u64,
}

/// An amount to hold. `cost` is `None` where the model has no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Dollars.
    pub cost: Option<Money>,
    /// Calls that can cost something: one or none.
    pub requests: u64,
}

impl Hold {
    /// Tokens of all kinds.
    pub const fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// The amount of a unit, as counts count it; `None` for dollars without a price.
    pub(super) fn of(&self, unit: Unit) -> Option<u64> {
        match unit {
            Unit::Usd => self.cost.map(nanodollars),
            Unit::Tokens => Some(self.tokens()),
            Unit::InputTokens => Some(self.input_tokens),
            Unit::OutputTokens => Some(self.output_tokens),
            Unit::Requests => Some(self.requests),
        }
    }
}

impl Estimate {
    /// A call that costs nothing, such as CountTokens. It passes an exhausted budget.
    pub const fn free() -> Self {
        Self { subject: Subject::Free, guardrail: None }
    }

    /// A call of a model. `model` is the source whose price was looked for; a refusal names it.
    pub const fn model(facts: RequestFacts, model: ModelId, price: Option<Arc<ModelPrice>>) -> Self {
        Self { subject: Subject::Model { facts, model, price }, guardrail: None }
    }

    /// A call of ApplyGuardrail with a body of this length and so many images.
    pub const fn guardrail(body_bytes: u64, images: u64, price: GuardrailPrice) -> Self {
        Self { subject: Subject::Guardrail, guardrail: Some(Guarding { price, text_bytes: body_bytes, images }) }
    }

    /// The same call with a guardrail in it, which looks at its input and its output.
    #[must_use]
    pub fn with_guardrail(mut self, price: GuardrailPrice) -> Self {
        if let Subject::Model { facts, price: model_price, .. } = &self.subject {
            let output = output_tokens(facts, model_price.as_deref()).saturating_mul(GUARDED_BYTES_PER_TOKEN);
            let (images, base64_bytes) = match facts.attachments {
                Attachments::Images { count, base64_bytes } => (count, base64_bytes),
                Attachments::None | Attachments::Unmeasurable => (0, 0),
            };
            let prompt = facts.prompt_tokens.saturating_mul(GUARDED_BYTES_PER_TOKEN);
            let text_bytes =
                facts.body_bytes.saturating_sub(base64_bytes).saturating_add(prompt).saturating_add(output);
            self.guardrail = Some(Guarding { price, text_bytes, images });
        }
        self
    }

    /// What to hold for the call under a rule.
    pub fn hold(&self, reserve: Reserve) -> Hold {
        let guarding = self
            .guardrail
            .map_or(Money::ZERO, |guarding| guarding.price.worst_case(guarding.text_bytes, guarding.images));
        match &self.subject {
            subject @ (Subject::Free | Subject::Guardrail) => {
                let requests = u64::from(matches!(subject, Subject::Guardrail));
                Hold { input_tokens: 0, output_tokens: 0, cost: Some(guarding), requests }
            }
            Subject::Model { facts, price, .. } => {
                let input = input_tokens(facts, price.as_deref(), reserve);
                let output = output_tokens(facts, price.as_deref());
                let cost = price.as_ref().map(|price| {
                    price.worst_case(input, output, facts.tier, facts.cache) + price.pieces(&facts.pieces) + guarding
                });
                Hold { input_tokens: input, output_tokens: output, cost, requests: 1 }
            }
        }
    }

    /// The model whose price is missing, if that is so.
    pub const fn unpriced(&self) -> Option<&ModelId> {
        match &self.subject {
            Subject::Model { model, price: None, .. } => Some(model),
            Subject::Free | Subject::Guardrail | Subject::Model { .. } => None,
        }
    }
}

fn input_tokens(facts: &RequestFacts, price: Option<&ModelPrice>, reserve: Reserve) -> u64 {
    if price.is_some_and(ModelPrice::is_by_piece) {
        return 0;
    }
    let bytes_per_token = match reserve {
        Reserve::WorstCase => NonZeroU32::MIN,
        Reserve::Expected { bytes_per_token } => bytes_per_token,
    };
    let text = |bytes: u64| bytes.div_ceil(u64::from(bytes_per_token.get())).saturating_add(WRAPPING_TOKENS);
    let told = match facts.attachments {
        Attachments::None => text(facts.body_bytes),
        Attachments::Images { count, base64_bytes } => {
            text(facts.body_bytes.saturating_sub(base64_bytes)).saturating_add(count.saturating_mul(IMAGE_TOKENS))
        }
        // No prompt is longer than the context.
        Attachments::Unmeasurable => {
            return price.and_then(ModelPrice::context_window).unwrap_or(UNKNOWN_WINDOW_TOKENS);
        }
    };
    told.saturating_add(facts.prompt_tokens)
}

fn output_tokens(facts: &RequestFacts, price: Option<&ModelPrice>) -> u64 {
    if price.is_some_and(ModelPrice::is_by_piece) {
        return 0;
    }
    facts.max_tokens.or_else(|| price.and_then(ModelPrice::max_output)).unwrap_or(UNKNOWN_OUTPUT_TOKENS)
}

/// What a model's own format adds to the text of a request: turn markers, and the system prompt that tool use brings
/// (Anthropic documents 159 to 735 tokens for it, by model and tools).
const WRAPPING_TOKENS: u64 = 1_024;

/// The most tokens of one image: Anthropic documents at most 4,784 for the models that see images in full resolution and
/// about 1,600 for the others; Nova and Llama stay below.
const IMAGE_TOKENS: u64 = 5_000;

/// The context of a model whose row does not tell it: the largest that is common.
const UNKNOWN_WINDOW_TOKENS: u64 = 1_000_000;

/// The output of a model whose row does not tell it: the largest that is common.
const UNKNOWN_OUTPUT_TOKENS: u64 = 128_000;

/// How much text a guardrail is expected to see per output token, and per token of a prompt that is not in the request. No bound: a token can be longer, and then a guarded
/// call can exceed what was held for its guardrail by fractions of a cent.
const GUARDED_BYTES_PER_TOKEN: u64 = 4;
