//! LiteLLM's `model_prices_and_context_window.json`: a map of ids to rows, in dollars per token as JSON numbers.
//!
//! Kept are chat and embedding models of Bedrock that are priced by the token alone, under the id that an application
//! inference profile can be made from. What is priced by the image, second or query is left out: a model without a row has no
//! price, and a price that covers half of a call is worse than none. Batch, commitment and "ultrafast" prices are left
//! out too: no call through the gateway can incur them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::decimal::shifted;
use super::{Imported, Left};
use crate::profiles::price::list::PriceList;
use crate::profiles::price::row::{AboveRow, PriceRow, RatesRow};
use crate::types::{ModelId, Region};

type Row = BTreeMap<String, Box<RawValue>>;

/// Whether a text is such a list, by its first Bedrock row.
pub(super) fn is_one(rows: &BTreeMap<String, Box<RawValue>>) -> bool {
    rows.values().any(|row| row.get().contains("\"litellm_provider\""))
}

pub(super) fn read(rows: &BTreeMap<String, Box<RawValue>>, taken: &str) -> Imported {
    let mut list = PriceList { taken: taken.to_owned(), source: SOURCE.to_owned(), ..PriceList::default() };
    let mut left = Vec::new();
    for (key, text) in rows {
        let Ok(row) = serde_json::from_str::<Row>(text.get()) else { continue };
        if !matches!(word(&row, "litellm_provider").as_deref(), Some("bedrock" | "bedrock_converse")) {
            continue;
        }
        if key == "bedrock/guardrails" {
            list.guardrail = guardrail(&row).unwrap_or_default();
            continue;
        }
        let (Some((region, model)), Some("chat" | "embedding")) = (place(key), word(&row, "mode").as_deref()) else {
            continue;
        };
        match price_row(&row) {
            Ok(row) => _ = list.rows_of(region).insert(model.to_owned(), row),
            Err(why) => left.push(Left { what: key.clone(), why }),
        }
    }
    Imported { list, left, whole: true }
}

/// Where a row belongs; `None` where it is none of ours.
fn place(key: &str) -> Option<(Option<&str>, &str)> {
    let known = |model: &str| model.parse::<ModelId>().is_ok();
    match key.split('/').collect::<Vec<_>>().as_slice() {
        [model] if known(model) => Some((None, model)),
        ["bedrock", region, model] if region.parse::<Region>().is_ok() && known(model) => Some((Some(region), model)),
        _ => None,
    }
}

fn price_row(row: &Row) -> Result<PriceRow, String> {
    if let Some(other) = other_unit(row) {
        return Err(format!("{other} is no price by the token"));
    }
    let standard = rates(row, "")?.ok_or("no price by the token")?;
    let tokens = |key: &str| row.get(key).and_then(|tokens| whole(tokens.get()));
    let mut thresholds = BTreeSet::new();
    for (field, length) in row.keys().filter_map(|field| Some((field, field.split_once("_above_")?.1))) {
        // An hour in the cache is no length, and batches are not made here.
        if length.starts_with("1hr") || field.contains("batch") {
            continue;
        }
        let thousands = length.split('_').next().and_then(|length| length.strip_suffix('k')?.parse::<u64>().ok());
        thresholds.insert(thousands.ok_or_else(|| format!("{field} is no price that is known"))?);
    }
    let above = match thresholds.iter().collect::<Vec<_>>().as_slice() {
        [] => None,
        [thousands] => {
            let rates = rates(row, &format!("_above_{thousands}k_tokens"))?.ok_or("half of a long-context price")?;
            let RatesRow { input, output, cache_read, cache_write_5m, cache_write_1h } = rates;
            let tokens = thousands.saturating_mul(1_000);
            Some(AboveRow { tokens, input, output, cache_read, cache_write_5m, cache_write_1h })
        }
        _ => return Err("more than one long-context threshold".to_owned()),
    };
    let embedding = word(row, "mode").as_deref() == Some("embedding");
    Ok(PriceRow {
        input: standard.input,
        output: standard.output,
        cache_read: standard.cache_read,
        cache_write_5m: standard.cache_write_5m,
        cache_write_1h: standard.cache_write_1h,
        max_input: tokens("max_input_tokens"),
        max_output: if embedding { Some(0) } else { tokens("max_output_tokens") },
        flex: rates(row, "_flex")?,
        priority: rates(row, "_priority")?,
        above,
        // The list has none.
        latency_optimized: None,
    })
}

/// The prices of one tier; `None` where the row has none.
fn rates(row: &Row, suffix: &str) -> Result<Option<RatesRow>, String> {
    let price = |name: &str| {
        let field = format!("{name}{suffix}");
        let Some(text) = row.get(&field).map(|price| price.get()).filter(|text| *text != "null") else {
            return Ok(None);
        };
        shifted(text, PER_MILLION).map(Some).ok_or_else(|| format!("{field} = {text} is no price"))
    };
    let (input, output) = match (price("input_cost_per_token")?, price("output_cost_per_token")?) {
        (Some(input), Some(output)) => (input, output),
        (None, None) => return Ok(None),
        _ => return Err(format!("it has half of a price{suffix}")),
    };
    Ok(Some(RatesRow {
        input,
        output,
        cache_read: price("cache_read_input_token_cost")?,
        cache_write_5m: price("cache_creation_input_token_cost")?,
        cache_write_1h: price("cache_creation_input_token_cost_above_1hr")?,
    }))
}

/// A price that is not by the token. Web search has prices of the providers' own APIs, of which Bedrock has none, and tokens
/// of images that cost what tokens of text cost are tokens.
fn other_unit(row: &Row) -> Option<&str> {
    let amount = |text: &str| shifted(text, PER_MILLION);
    let text = row.get("input_cost_per_token").and_then(|price| amount(price.get()));
    let units = ["cost_per_image", "cost_per_video", "cost_per_audio", "cost_per_query", "cost_per_second"];
    let other = row.iter().find(|(field, price)| {
        let priced = amount(price.get());
        units.iter().any(|unit| field.contains(unit))
            && field.as_str() != "search_context_cost_per_query"
            && !(field.ends_with("_token") && priced == text)
            && !matches!(price.get(), "null" | "0" | "0.0")
            && priced.as_deref() != Some("0")
    });
    other.map(|(field, _)| field.as_str())
}

#[derive(Deserialize)]
struct GuardrailUnits<'a>(#[serde(borrow)] BTreeMap<String, &'a RawValue>);

fn guardrail(row: &Row) -> Option<BTreeMap<String, String>> {
    let GuardrailUnits(units) = serde_json::from_str(row.get("guardrail_cost_per_unit")?.get()).ok()?;
    let prices =
        GUARDRAIL.iter().map(|(ours, theirs)| Some(((*ours).to_owned(), shifted(units.get(*theirs)?.get(), 0)?)));
    prices.collect()
}

fn word(row: &Row, key: &str) -> Option<String> {
    serde_json::from_str(row.get(key)?.get()).ok()
}

/// A whole number, also where it is written as `200000.0`.
fn whole(text: &str) -> Option<u64> {
    shifted(text, 0)?.parse().ok()
}

const SOURCE: &str = "LiteLLM, model_prices_and_context_window.json";
/// From dollars per token to dollars per million.
const PER_MILLION: i32 = 6;
const GUARDRAIL: [(&str, &str); 7] = [
    ("content_policy", "contentPolicyUnits"),
    ("topic_policy", "topicPolicyUnits"),
    ("word_policy", "wordPolicyUnits"),
    ("sensitive_information_policy", "sensitiveInformationPolicyUnits"),
    ("contextual_grounding_policy", "contextualGroundingPolicyUnits"),
    ("automated_reasoning_policy", "automatedReasoningPolicyUnits"),
    ("content_policy_image", "contentPolicyImageUnits"),
];
