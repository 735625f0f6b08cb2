//! A price as it is written down, in the snapshot and in an override: decimal strings in USD per million tokens.

use serde::{Deserialize, Serialize};

use crate::types::{Money, MoneyError, TokenPrice};

use super::model::{LongContext, ModelPrice, Rates};
use super::pieces::PiecePrices;

/// One model's row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PriceRow {
    /// Input that came from no cache.
    pub input: String,
    /// Output.
    pub output: String,
    /// Input read from the prompt cache; as dear as input where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<String>,
    /// Input written to the cache for five minutes; as dear as input where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<String>,
    /// Input written to the cache for an hour; twice as dear as input where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<String>,
    /// The largest input in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input: Option<u64>,
    /// The largest output in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    /// Prices of the flex tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flex: Option<RatesRow>,
    /// Prices of the priority tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<RatesRow>,
    /// Prices of calls with long input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<AboveRow>,
    /// Prices of latency-optimised inference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_optimized: Option<RatesRow>,
    /// Dollars for an image that the model makes, of the dearest size and quality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_image: Option<String>,
    /// Dollars for an image in the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_input_image: Option<String>,
    /// Dollars for a query of a reranker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_query: Option<String>,
}

/// The prices of one tier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RatesRow {
    /// As in [`PriceRow`].
    pub input: String,
    /// As in [`PriceRow`].
    pub output: String,
    /// As in [`PriceRow`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<String>,
    /// As in [`PriceRow`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<String>,
    /// As in [`PriceRow`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<String>,
}

/// The prices of calls whose input is longer than so many tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AboveRow {
    /// The threshold in tokens.
    pub tokens: u64,
    /// As in [`PriceRow`].
    pub input: String,
    /// As in [`PriceRow`].
    pub output: String,
    /// As in [`PriceRow`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<String>,
    /// As in [`PriceRow`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<String>,
    /// As in [`PriceRow`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<String>,
}

/// Why prices could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// Not the JSON of a price table.
    #[error("not a price table: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON of another kind.
    #[error("neither LiteLLM's list, nor one of AWS's, nor one of Tollgate's own")]
    Unknown,
    /// An id outside the grammar.
    #[error("{0:?} is no model id")]
    ModelId(String),
    /// A Region outside the grammar.
    #[error("{0:?} is no Region")]
    Region(String),
    /// An amount that is none.
    #[error("{kind}: {source}")]
    Amount {
        /// Which price of the row.
        kind: String,
        /// What is wrong with it.
        source: MoneyError,
    },
    /// A row that is wrong, by its id.
    #[error("the row of {model}: {source}")]
    Row {
        /// The id.
        model: String,
        /// What is wrong with it.
        source: Box<PriceError>,
    },
    /// A guardrail policy that is missing or unknown.
    #[error("the guardrail policy {0:?} is missing or unknown")]
    GuardrailPolicy(String),
}

impl TryFrom<&PriceRow> for ModelPrice {
    type Error = PriceError;

    fn try_from(row: &PriceRow) -> Result<Self, PriceError> {
        let tier = |row: &RatesRow| {
            rates(&row.input, &row.output, &[&row.cache_read, &row.cache_write_5m, &row.cache_write_1h])
        };
        let above = |row: &AboveRow| {
            rates(&row.input, &row.output, &[&row.cache_read, &row.cache_write_5m, &row.cache_write_1h])
                .map(|rates| LongContext { above: row.tokens, rates })
        };
        let piece = |kind: &str, text: &Option<String>| {
            let amount = text.as_deref().map_or(Ok(Money::ZERO), str::parse);
            amount.map_err(|source| PriceError::Amount { kind: kind.to_owned(), source })
        };
        let pieces = PiecePrices {
            image_made: piece("per_image", &row.per_image)?,
            image_read: piece("per_input_image", &row.per_input_image)?,
            query: piece("per_query", &row.per_query)?,
        };
        let standard = rates(&row.input, &row.output, &[&row.cache_read, &row.cache_write_5m, &row.cache_write_1h])?;
        Ok(Self::new(standard)
            .with_tiers(row.flex.as_ref().map(tier).transpose()?, row.priority.as_ref().map(tier).transpose()?)
            .with_latency_optimized(row.latency_optimized.as_ref().map(tier).transpose()?)
            .with_long_context(row.above.as_ref().map(above).transpose()?)
            .with_pieces(pieces)
            .with_limits(row.max_input, row.max_output))
    }
}

fn rates(input: &str, output: &str, cache: &[&Option<String>; 3]) -> Result<Rates, PriceError> {
    let price = |kind: &str, text: &str| {
        TokenPrice::per_million(text).map_err(|source| PriceError::Amount { kind: kind.to_owned(), source })
    };
    let known = Rates::new(price("input", input)?, price("output", output)?);
    let or = |kind: &str, text: &Option<String>, fallback: TokenPrice| {
        text.as_deref().map_or(Ok(fallback), |text| price(kind, text))
    };
    let [read, five_minutes, hour] = cache;
    Ok(Rates {
        cache_read: or("cache_read", read, known.cache_read)?,
        cache_write_5m: or("cache_write_5m", five_minutes, known.cache_write_5m)?,
        cache_write_1h: or("cache_write_1h", hour, known.cache_write_1h)?,
        ..known
    })
}
