//! What guardrails cost: by text unit (up to 1,000 characters) and policy, apart from the model.

use std::collections::HashMap;

use crate::types::{GuardrailUnits, Money};

use super::row::PriceError;

/// The price of one unit of each policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardrailPrice {
    content_policy: Money,
    topic_policy: Money,
    word_policy: Money,
    sensitive_information_policy: Money,
    contextual_grounding_policy: Money,
    automated_reasoning_policy: Money,
    content_policy_image: Money,
}

impl GuardrailPrice {
    /// Reads prices in dollars per unit by the names of [`GuardrailUnits`]' fields, all of which must be there.
    pub(super) fn read(mut amounts: HashMap<String, String>) -> Result<Self, PriceError> {
        let mut take = |policy: &str| {
            let text = amounts.remove(policy).ok_or_else(|| PriceError::GuardrailPolicy(policy.to_owned()))?;
            text.parse::<Money>().map_err(|source| PriceError::Amount { kind: policy.to_owned(), source })
        };
        let price = Self {
            content_policy: take("content_policy")?,
            topic_policy: take("topic_policy")?,
            word_policy: take("word_policy")?,
            sensitive_information_policy: take("sensitive_information_policy")?,
            contextual_grounding_policy: take("contextual_grounding_policy")?,
            automated_reasoning_policy: take("automated_reasoning_policy")?,
            content_policy_image: take("content_policy_image")?,
        };
        amounts.into_keys().next().map_or(Ok(price), |policy| Err(PriceError::GuardrailPolicy(policy)))
    }

    /// What these units cost. Exact: a unit's price is a whole number of nano-dollars.
    pub fn cost(&self, units: &GuardrailUnits) -> Money {
        [
            (self.content_policy, units.content_policy),
            (self.topic_policy, units.topic_policy),
            (self.word_policy, units.word_policy),
            (self.sensitive_information_policy, units.sensitive_information_policy),
            (self.contextual_grounding_policy, units.contextual_grounding_policy),
            (self.automated_reasoning_policy, units.automated_reasoning_policy),
            (self.content_policy_image, units.content_policy_image),
        ]
        .into_iter()
        .map(|(price, count)| {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            Money::from_nanos(price.nanos().saturating_mul(count))
        })
        .sum()
    }

    /// The most that guarding so much text and so many images can cost: a guardrail that has every policy.
    pub fn worst_case(&self, text_bytes: u64, images: u64) -> Money {
        let units = text_bytes.div_ceil(BYTES_PER_TEXT_UNIT);
        self.cost(&GuardrailUnits {
            content_policy: units,
            topic_policy: units,
            word_policy: units,
            sensitive_information_policy: units,
            contextual_grounding_policy: units,
            automated_reasoning_policy: units,
            content_policy_image: images,
        })
    }
}

/// A text unit is up to 1,000 characters, and a character is at least a byte.
/// <https://aws.amazon.com/bedrock/pricing/>
const BYTES_PER_TEXT_UNIT: u64 = 1_000;
