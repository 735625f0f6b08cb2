//! LiteLLM's `model_prices_and_context_window.json`: a map of ids to rows, in dollars per token as JSON numbers.
//!
//! Kept are models of Bedrock that are priced by the token, the image or the query, under the id that an application inference
//! profile can be made from. What is priced by the second is left out: a model without a row has no price, and a price that
//! covers half of a call is worse than none. Batch, commitment and "ultrafast" prices are left out too: no call through
//! the gateway can incur them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::decimal::shifted;
use super::{Imported, Left};
use crate::profiles::price::list::PriceList;
use crate::profiles::price::row::{AboveRow, PriceRow, RatesRow};
use crate::types::{ModelId, Money, Region};

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
        let (Some((region, model)), Some("chat" | "embedding" | "image_generation" | "image_edit" | "rerank")) =
            (place(key), word(&row, "mode").as_deref())
        else {
            continue;
        };
        match price_row(model, &row, rows) {
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

fn price_row(model: &str, row: &Row, all: &BTreeMap<String, Box<RawValue>>) -> Result<PriceRow, String> {
    if let Some(other) = other_unit(row) {
        return Err(format!("{other} is no price by the token, the image or the query"));
    }
    let (per_image, per_query) = (piece(row, "output_cost_per_image")?, piece(row, "input_cost_per_query")?);
    let by_piece = || {
        let free = || "0".to_owned();
        (per_image.is_some() || per_query.is_some()).then(|| RatesRow {
            input: free(),
            output: free(),
            ..RatesRow::default()
        })
    };
    let standard = rates(row, "")?.or_else(by_piece).ok_or("no price by the token")?;
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
    let answers = word(row, "mode").as_deref() == Some("chat");
    Ok(PriceRow {
        input: standard.input,
        output: standard.output,
        cache_read: standard.cache_read,
        cache_write_5m: standard.cache_write_5m,
        cache_write_1h: standard.cache_write_1h,
        max_input: tokens("max_input_tokens"),
        max_output: if answers { tokens("max_output_tokens") } else { Some(0) },
        flex: rates(row, "_flex")?,
        priority: rates(row, "_priority")?,
        above,
        // The list has none.
        latency_optimized: None,
        per_image: per_image.map(|own| dearest_image(model, own, all)).transpose()?,
        per_input_image: piece(row, "input_cost_per_image")?,
        per_query,
    })
}

/// A price in dollars for a piece; `None` where there is none, or nothing is charged.
fn piece(row: &Row, field: &str) -> Result<Option<String>, String> {
    let Some(text) = row.get(field).map(|price| price.get()).filter(|text| *text != "null") else { return Ok(None) };
    let price = shifted(text, 0).ok_or_else(|| format!("{field} = {text} is no price"))?;
    Ok(Some(price).filter(|price| price != "0"))
}

/// The dearest of an image's sizes and qualities: of the model's own row, of the list's rows for sizes and steps
/// (`1024-x-1024/max-steps/…`), and of those that the list lacks.
fn dearest_image(model: &str, own: String, all: &BTreeMap<String, Box<RawValue>>) -> Result<String, String> {
    let base = model.parse::<ModelId>().map_err(|error| error.to_string())?.base();
    let mut dearest = own;
    let mut consider = |price: String| {
        let amount =
            |text: &str| text.parse::<Money>().map_err(|error| format!("{text} dollars for an image: {error}"));
        if amount(&price)? > amount(&dearest)? {
            dearest = price;
        }
        Ok::<_, String>(())
    };
    for (key, text) in all.iter().filter(|(key, _)| key.contains("steps/")) {
        let named = key.rsplit('/').next().is_some_and(|name| name == base.as_str());
        if let Some(row) = named.then(|| serde_json::from_str::<Row>(text.get()).ok()).flatten()
            && let Some(price) = piece(&row, "output_cost_per_image")?
        {
            consider(price)?;
        }
    }
    for (_, price) in LARGEST_IMAGES.iter().filter(|(name, _)| base.as_str().starts_with(name)) {
        consider((*price).to_owned())?;
    }
    Ok(dearest)
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

/// A price of another unit. Web search has prices of the providers' own APIs, of which Bedrock has none, and tokens
/// of images that cost what tokens of text cost are tokens.
fn other_unit(row: &Row) -> Option<&str> {
    let amount = |text: &str| shifted(text, PER_MILLION);
    let text = row.get("input_cost_per_token").and_then(|price| amount(price.get()));
    let units = ["cost_per_image", "cost_per_video", "cost_per_audio", "cost_per_query", "cost_per_second"];
    let pieces =
        ["output_cost_per_image", "input_cost_per_image", "input_cost_per_query", "search_context_cost_per_query"];
    let other = row.iter().find(|(field, price)| {
        let priced = amount(price.get());
        units.iter().any(|unit| field.contains(unit))
            && !(pieces.contains(&field.as_str()) || field.ends_with("_token") && priced == text)
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
/// Images of the premium quality and the largest size, which the list does not price. <https://aws.amazon.com/bedrock/pricing/>
const LARGEST_IMAGES: [(&str, &str); 2] = [("amazon.nova-canvas", "0.08"), ("amazon.titan-image-generator", "0.012")];
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
