//! AWS's price list of one offer: `AmazonBedrock`, `AmazonBedrockService` or `AmazonBedrockFoundationModels`, of one Region or of
//! all, as `https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/OFFER/current/REGION/index.json` has it.
//!
//! The list names models as people do ("Claude Sonnet 4.5"). A name is matched with the ids that are known already; where none
//! or several match, the row is left out and told of. What is read: on-demand prices of input, output and the prompt
//! cache, in the tiers `default`, `flex` and `priority` and latency-optimised, of a Region and of `global` profiles. What no call through the
//! gateway can incur (batch, customisation, provisioned throughput) is passed over.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::decimal::shifted;
use super::{Imported, Left};
use crate::profiles::price::list::PriceList;
use crate::profiles::price::row::{AboveRow, PriceRow, RatesRow};
use crate::types::{ModelId, Region, TokenPrice};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Offer {
    #[serde(default)]
    publication_date: String,
    #[serde(default, rename = "offerCode")]
    code: String,
    products: BTreeMap<String, Product>,
    terms: Terms,
}

#[derive(Deserialize)]
struct Product {
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Attributes {
    model: String,
    servicename: String,
    inference_type: String,
    usagetype: String,
    feature: String,
    region_code: String,
}

#[derive(Deserialize)]
struct Terms {
    #[serde(rename = "OnDemand", default)]
    on_demand: BTreeMap<String, BTreeMap<String, Term>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Term {
    #[serde(default)]
    price_dimensions: BTreeMap<String, Dimension>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dimension {
    #[serde(default)]
    unit: String,
    #[serde(default)]
    price_per_unit: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Input,
    Output,
    CacheRead,
    CacheWrite5m,
    CacheWrite1h,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    Standard,
    Flex,
    Priority,
    LatencyOptimized,
}

/// Where and for what a price holds: a Region, or `global` profiles.
type Place = (Option<String>, String);

pub(super) fn read(offer: &Offer, known: &PriceList) -> Imported {
    let names = Names::of(known);
    let (mut found, mut left) = (BTreeMap::<Place, BTreeMap<(Tier, Kind), String>>::new(), BTreeSet::new());
    for (sku, product) in &offer.products {
        let attributes = &product.attributes;
        let meaning = meaning(attributes);
        let name = [attributes.model.as_str(), &attributes.servicename].into_iter().find(|name| !name.is_empty());
        let Some(name) = name else { continue };
        let mut leave = |why: &str| _ = left.insert((name.to_owned(), why.to_owned()));
        let (kind, tier, global) = match meaning {
            Meaning::Price(kind, tier, global) => (kind, tier, global),
            Meaning::LongContext => {
                leave("its long-context price is not read: the one that is known is carried over");
                continue;
            }
            Meaning::Nothing => continue,
        };
        let id = match names.id(name) {
            Ok(id) => id,
            Err(why) => {
                leave(why);
                continue;
            }
        };
        let place = if global {
            (None, format!("global.{id}"))
        } else if attributes.region_code.parse::<Region>().is_ok() {
            (Some(attributes.region_code.clone()), id.to_owned())
        } else {
            leave("it names no Region");
            continue;
        };
        for dimension in
            offer.terms.on_demand.get(sku).into_iter().flatten().flat_map(|(_, term)| term.price_dimensions.values())
        {
            match price(dimension) {
                Ok(price) => {
                    let prices = found.entry(place.clone()).or_default();
                    // Where a list has two prices of one thing, the dearer counts.
                    let dearer = prices.get(&(tier, kind)).is_none_or(|other| compare(other, &price).is_lt());
                    if dearer {
                        prices.insert((tier, kind), price);
                    }
                }
                Err(why) => leave(&why),
            }
        }
    }
    let mut list = PriceList {
        source: format!("AWS's price list, {}", if offer.code.is_empty() { "Bedrock" } else { &offer.code }),
        taken: offer.publication_date.chars().take(10).collect(),
        ..PriceList::default()
    };
    for ((region, id), prices) in found {
        let zero = prices.iter().any(|((_, kind), price)| *kind == Kind::Input && price == "0");
        match row(&prices, &known.rows_like(region.as_deref(), &id)) {
            _ if zero => _ = left.insert((id, "its input costs nothing".to_owned())),
            Some(row) => _ = list.rows_of(region.as_deref()).insert(id, row),
            None => _ = left.insert((id, "it has a price of input or output alone".to_owned())),
        }
    }
    let left = left.into_iter().map(|(what, why)| Left { what, why }).collect();
    Imported { list, left, whole: false }
}

/// A row of what the list says. What it does not say of a model (kinds of the cache, tiers, long context) is carried over from
/// the rows that are known, and where the list is dearer than those, dearer by as much: a list that is silent makes nothing
/// cheaper.
fn row(prices: &BTreeMap<(Tier, Kind), String>, known: &[&PriceRow]) -> Option<PriceRow> {
    let listed = |tier, kind| prices.get(&(tier, kind)).cloned();
    let (input, output) = (listed(Tier::Standard, Kind::Input)?, listed(Tier::Standard, Kind::Output)?);
    let carry = |before: &PriceRow, price: &str| carried(price, &before.input, &input);
    let cache = |kind, of: fn(&PriceRow) -> Option<&String>| {
        listed(Tier::Standard, kind).or_else(|| known.iter().find_map(|row| carry(row, of(row)?)))
    };
    let tier = |tier, of: fn(&PriceRow) -> Option<&RatesRow>| {
        let before = known.iter().find_map(|row| Some((*row, of(row)?)));
        let kind = |kind, of: fn(&RatesRow) -> Option<&String>| {
            listed(tier, kind).or_else(|| before.and_then(|(row, rates)| carry(row, of(rates)?)))
        };
        Some(RatesRow {
            input: kind(Kind::Input, |rates| Some(&rates.input))?,
            output: kind(Kind::Output, |rates| Some(&rates.output))?,
            cache_read: kind(Kind::CacheRead, |rates| rates.cache_read.as_ref()),
            cache_write_5m: kind(Kind::CacheWrite5m, |rates| rates.cache_write_5m.as_ref()),
            cache_write_1h: kind(Kind::CacheWrite1h, |rates| rates.cache_write_1h.as_ref()),
        })
    };
    let above = known.iter().find_map(|row| {
        let before = row.above.as_ref()?;
        let kind = |price: &Option<String>| price.as_ref().and_then(|price| carry(row, price));
        Some(AboveRow {
            tokens: before.tokens,
            input: carry(row, &before.input)?,
            output: carry(row, &before.output)?,
            cache_read: kind(&before.cache_read),
            cache_write_5m: kind(&before.cache_write_5m),
            cache_write_1h: kind(&before.cache_write_1h),
        })
    });
    Some(PriceRow {
        cache_read: cache(Kind::CacheRead, |row| row.cache_read.as_ref()),
        cache_write_5m: cache(Kind::CacheWrite5m, |row| row.cache_write_5m.as_ref()),
        cache_write_1h: cache(Kind::CacheWrite1h, |row| row.cache_write_1h.as_ref()),
        max_input: known.iter().filter_map(|row| row.max_input).max(),
        max_output: known.iter().filter_map(|row| row.max_output).max(),
        flex: tier(Tier::Flex, |row| row.flex.as_ref()),
        priority: tier(Tier::Priority, |row| row.priority.as_ref()),
        above,
        latency_optimized: tier(Tier::LatencyOptimized, |row| row.latency_optimized.as_ref()),
        per_image: known.iter().find_map(|row| row.per_image.clone()),
        per_input_image: known.iter().find_map(|row| row.per_input_image.clone()),
        per_query: known.iter().find_map(|row| row.per_query.clone()),
        input,
        output,
    })
}

/// A price as it was, or higher by as much as input is.
fn carried(price: &str, input_before: &str, input: &str) -> Option<String> {
    let nanos = |text: &str| TokenPrice::per_million(text).ok().map(TokenPrice::nanos_per_million);
    let (price, before, now) = (nanos(price)?, nanos(input_before)?, nanos(input)?);
    let higher = if before > 0 && now > before {
        (i128::from(price) * i128::from(now) + i128::from(before) - 1).div_euclid(i128::from(before))
    } else {
        i128::from(price)
    };
    Some(TokenPrice::from_nanos_per_million(i64::try_from(higher).ok()?).to_string())
}

/// What a product is.
enum Meaning {
    /// A price, of `global` profiles or not.
    Price(Kind, Tier, bool),
    /// A price of calls with long input.
    LongContext,
    /// Nothing that a call through the gateway can incur.
    Nothing,
}

fn meaning(attributes: &Attributes) -> Meaning {
    let feature = attributes.feature.to_ascii_lowercase();
    if !feature.is_empty() && !feature.contains("on-demand") {
        return Meaning::Nothing;
    }
    // "USE1-MP:USE1_InputTokenCount_Global-Units", "USE1-NovaLite-input-tokens-cross-region-global", "Input tokens flex"
    let usage = attributes.usagetype.to_ascii_lowercase().replace(['-', '_'], "");
    let words = attributes.inference_type.to_ascii_lowercase().replace([' ', '-'], "");
    let either = |word: &str| usage.contains(word) || words.contains(word);
    let other =
        ["batch", "custom", "provisioned", "longcontext", "lctx", "image", "video", "audio", "speech", "reserved"];
    if other.iter().any(|word| either(word)) {
        return Meaning::Nothing;
    }
    if either("longcontext") || either("lctx") {
        return Meaning::LongContext;
    }
    // Where there is a word for the kind it says it; otherwise the usage type does.
    let said = if words.is_empty() { &usage } else { &words };
    let kind = if said.contains("cache") {
        if said.contains("read") {
            Kind::CacheRead
        } else if said.contains("write1h") || words.contains("1h") {
            Kind::CacheWrite1h
        } else if said.contains("write") {
            Kind::CacheWrite5m
        } else {
            return Meaning::Nothing;
        }
    } else if said.contains("inputtoken") {
        Kind::Input
    } else if said.contains("outputtoken") || said.contains("responsetoken") {
        Kind::Output
    } else {
        return Meaning::Nothing;
    };
    let tier = if either("latency") {
        Tier::LatencyOptimized
    } else if either("flex") {
        Tier::Flex
    } else if either("priority") {
        Tier::Priority
    } else {
        Tier::Standard
    };
    Meaning::Price(kind, tier, either("global"))
}

fn price(dimension: &Dimension) -> Result<String, String> {
    let amount = dimension.price_per_unit.get("USD").ok_or("it has no price in dollars")?;
    let shift = match dimension.unit.to_ascii_lowercase().as_str() {
        "1k tokens" => 3,
        // The usage types of the marketplace count in millions and call them units.
        "1m tokens" | "units" => 0,
        _ => return Err(format!("it is priced by {:?}", dimension.unit)),
    };
    shifted(amount, shift).ok_or_else(|| format!("{amount:?} is no price"))
}

/// Two plain decimals by their amount.
fn compare(one: &str, other: &str) -> std::cmp::Ordering {
    let parts = |text: &str| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        (whole.len(), whole.to_owned(), format!("{fraction:0<9}"))
    };
    parts(one).cmp(&parts(other))
}

/// Ids by what is left of them without provider, date and version, so that a name as people write it finds them.
struct Names(BTreeMap<String, BTreeSet<String>>);

impl Names {
    fn of(known: &PriceList) -> Self {
        let mut names = BTreeMap::<_, BTreeSet<_>>::new();
        for id in known.ids().filter_map(|id| id.parse::<ModelId>().ok()) {
            let base = id.base().to_string();
            let Some((provider, rest)) = base.split_once('.') else { continue };
            let rest = rest.split(':').next().unwrap_or(rest);
            let words: Vec<_> = rest.split('-').filter(|word| !is_date(word) && !is_version(word)).collect();
            if words.is_empty() {
                continue;
            }
            for name in [words.concat(), format!("{provider}{}", words.concat())] {
                names.entry(plain(&name)).or_default().insert(base.clone());
            }
        }
        Self(names)
    }

    /// The one id of a name.
    fn id(&self, name: &str) -> Result<&str, &'static str> {
        let name = name.split(" (Amazon Bedrock Edition)").next().unwrap_or(name);
        let ids = self.0.get(&plain(name)).ok_or("no id that is known is called so")?;
        let mut ids = ids.iter();
        match (ids.next(), ids.next()) {
            (Some(id), None) => Ok(id),
            _ => Err("several ids that are known are called so"),
        }
    }
}

fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace(".0", "").replace('+', "plus");
    name.chars().filter(char::is_ascii_alphanumeric).collect()
}

fn is_date(word: &str) -> bool {
    word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_version(word: &str) -> bool {
    word.strip_prefix('v').is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
