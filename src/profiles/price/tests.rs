//! Prices against exact decimals, and the bounds that budgets rely on.

use std::sync::Arc;

use proptest::prelude::*;

use super::{CacheLifetime, ModelPrice, PriceRow, PriceTable, Rates};
use crate::types::{Geography, GuardrailUnits, ModelId, Money, Region, ServiceTier, TokenPrice, TokenUsage};

fn id(text: &str) -> ModelId {
    text.parse().unwrap()
}

fn region(text: &str) -> Region {
    text.parse().unwrap()
}

fn price(source: &str, place: &str) -> Option<Arc<ModelPrice>> {
    PriceTable::shipped().price(&id(source), &region(place))
}

/// Input, output, cache read, cache write for five minutes, for an hour.
fn usage(tokens: [u64; 5]) -> TokenUsage {
    TokenUsage {
        input: tokens[0],
        output: tokens[1],
        cache_read: tokens[2],
        cache_write_5m: tokens[3],
        cache_write_1h: tokens[4],
    }
}

fn dollars(text: &str) -> TokenPrice {
    TokenPrice::per_million(text).unwrap()
}

#[test]
fn latency_optimised_calls_cost_at_least_what_others_do() {
    let rates = |input, output| Rates::new(dollars(input), dollars(output));
    let plain = ModelPrice::new(rates("1", "20")).with_tiers(None, Some(rates("2", "4")));
    assert_eq!(plain.latency_optimized(), None);
    let optimized = plain.with_latency_optimized(Some(rates("3", "6"))).latency_optimized().unwrap();
    let million = usage([1_000_000, 1_000_000, 0, 0, 0]);
    for tier in [ServiceTier::Default, ServiceTier::Priority, ServiceTier::Flex] {
        assert_eq!(optimized.cost(&million, tier), "23".parse::<Money>().unwrap());
    }
}

#[test]
fn every_shipped_row_is_read_and_covers_the_providers_that_are_promised() {
    let table = PriceTable::from_json(include_str!("bedrock-prices.json")).unwrap();
    let sources: Vec<_> = table.sources().collect();
    assert!(sources.len() > 250, "{}", sources.len());
    for start in [
        "anthropic.claude-haiku-4-5",
        "anthropic.claude-sonnet-4-5",
        "anthropic.claude-opus-4-5",
        "amazon.nova-micro",
        "amazon.nova-2-lite",
        "amazon.titan-embed-text-v2",
        "amazon.titan-text",
        "meta.llama4",
        "mistral.mistral-large",
        "cohere.embed",
        "cohere.command",
        "ai21.jamba",
        "deepseek.",
        "qwen.",
        "openai.gpt-oss",
    ] {
        assert!(sources.iter().any(|source| source.base().as_str().starts_with(start)), "{start}");
    }
    assert_eq!(table.taken(), "2026-11-27");
}

// The amounts were calculated apart from this code, with Python's decimal module, from the file's own strings.
#[test]
fn calls_cost_what_exact_decimals_say() {
    use ServiceTier::{Default, Flex, Priority};
    let sonnet = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    for (source, tier, tokens, nanos) in [
        (sonnet, Default, [1234, 567, 89012, 3456, 789], 62_265_060),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", Default, [1234, 567, 89012, 3456, 789], 56_604_600),
        (sonnet, Default, [200_000, 10, 0, 0, 0], 660_165_000),
        (sonnet, Default, [200_001, 10, 0, 0, 0], 1_320_254_100),
        (sonnet, Default, [1, 10, 150_000, 40_000, 10_000], 561_254_100),
        ("amazon.nova-micro-v1:0", Default, [1, 1, 1, 0, 0], 184),
        ("us.amazon.nova-2-lite-v1:0", Priority, [777, 333, 11, 0, 0], 2_052_869),
        ("amazon.nova-pro-v1:0", Flex, [101, 7, 3, 0, 0], 51_900),
        ("us.meta.llama3-2-1b-instruct-v1:0", Default, [3, 5, 0, 0, 0], 800),
        ("mistral.mistral-7b-instruct-v0:2", Default, [41, 43, 0, 0, 0], 14_750),
        ("amazon.titan-embed-text-v2:0", Default, [29, 0, 0, 0, 0], 580),
    ] {
        let cost = price(source, "us-east-1").unwrap().cost(&usage(tokens), tier);
        assert_eq!(cost, Money::from_nanos(nanos), "{source} {tier} {tokens:?}");
    }
}

#[test]
fn a_geography_that_is_told_of_costs_what_the_dearest_does() {
    let (table, region) = (PriceTable::shipped(), "mx-central-1".parse().unwrap());
    let untold: ModelId = "mx.anthropic.claude-sonnet-4-5-20250929-v1:0".parse().unwrap();
    assert_eq!(table.price(&untold, &region), None);
    let known: ModelId = "ca.anthropic.claude-sonnet-4-5-20250929-v1:0".parse().unwrap();
    let told = untold.with_geographies(&["mx".to_owned()]);
    assert!(table.price(&told, &region).is_some());
    assert_eq!(table.price(&told, &region), table.price(&known, &region));
}

#[test]
fn a_geography_is_dearer_than_global_for_every_claude_that_has_both() {
    let table = PriceTable::shipped();
    let mut compared = 0;
    for source in table.sources().filter(|source| source.geography() == Some(Geography::Us)) {
        let global = id(&format!("global.{}", source.base()));
        if source.provider() != "anthropic" || !table.sources().any(|other| *other == global) {
            continue;
        }
        let input = |source| table.price(source, &region("us-east-1")).unwrap().standard().input.nanos_per_million();
        // Sonnet 4 came before the surcharge.
        let tenths = if source.as_str().contains("claude-sonnet-4-20250514") { 10 } else { 11 };
        assert_eq!(input(source) * 10, input(&global) * tenths, "{source}");
        compared += 1;
    }
    assert!(compared >= 5, "{compared}");
}

#[test]
fn a_source_is_priced_by_the_row_that_fits_or_by_the_dearest_that_might() {
    let sonnet = "anthropic.claude-sonnet-4-5-20250929-v1:0";
    for (source, place, input, why) in [
        (format!("eu.{sonnet}"), "eu-west-1", Some("3.3"), "its own row"),
        (format!("global.{sonnet}"), "eu-west-1", Some("3"), "its own row"),
        (sonnet.to_owned(), "us-east-1", Some("3.3"), "one Region costs what its geography costs"),
        (sonnet.to_owned(), "ap-northeast-1", Some("3.3"), "Japan's row"),
        (sonnet.to_owned(), "us-gov-west-1", Some("3.6"), "the Region's own row"),
        (format!("us-gov.{sonnet}"), "us-gov-west-1", Some("3.6"), "its own row"),
        (format!("ca.{sonnet}"), "ca-central-1", Some("3.3"), "no row for Canada: the dearest geography"),
        ("meta.llama3-70b-instruct-v1:0".to_owned(), "eu-west-2", Some("3.45"), "the Region's own row"),
        ("meta.llama3-70b-instruct-v1:0".to_owned(), "us-east-2", Some("2.65"), "the list price holds in the US"),
        ("meta.llama3-70b-instruct-v1:0".to_owned(), "ap-southeast-2", Some("4.45"), "not listed: the dearest Region"),
        ("amazon.nova-lite-v1:0".to_owned(), "us-east-1", Some("0.06"), "list price and us agree"),
        ("amazon.nova-lite-v1:0".to_owned(), "eu-west-1", Some("0.078"), "Europe's row"),
        ("amazon.nova-lite-v1:0".to_owned(), "ap-southeast-2", Some("0.063"), "Asia Pacific's row"),
        ("ca.amazon.nova-lite-v1:0".to_owned(), "ca-central-1", Some("0.078"), "the dearest geography"),
        ("mistral.mistral-large-2402-v1:0".to_owned(), "us-gov-west-1", None, "GovCloud is never guessed"),
        ("us-gov.mistral.mistral-large-2402-v1:0".to_owned(), "us-gov-west-1", None, "GovCloud is never guessed"),
        ("twelvelabs.pegasus-1-2-v1:0".to_owned(), "us-east-1", None, "priced by the second"),
        ("us.nobody.no-such-model-v1:0".to_owned(), "us-east-1", None, "no row at all"),
    ] {
        let found = price(&source, place).map(|price| price.standard().input);
        assert_eq!(found, input.map(dollars), "{source} in {place}: {why}");
    }
}

#[test]
fn an_override_holds_for_exactly_its_source() {
    let own = ModelPrice::new(Rates::new(dollars("1"), dollars("2")));
    let table = PriceTable::shipped().with_override(id("eu.amazon.nova-lite-v1:0"), own.clone());
    let find = |source: &str| table.price(&id(source), &region("eu-west-1")).unwrap();
    assert_eq!(*find("eu.amazon.nova-lite-v1:0"), own);
    assert_eq!(find("us.amazon.nova-lite-v1:0").standard().input, dollars("0.06"));
    let table = PriceTable::shipped().with_override(id("nobody.no-such-model"), own);
    assert!(table.price(&id("nobody.no-such-model"), &region("us-gov-west-1")).is_some());
}

#[test]
fn what_a_row_does_not_name_is_never_cheap() {
    let row = |text: &str| ModelPrice::try_from(&serde_json::from_str::<PriceRow>(text).unwrap()).unwrap();
    let plain = row(r#"{"input":"1","output":"4"}"#);
    let rates = plain.standard();
    assert_eq!(
        (rates.cache_read, rates.cache_write_5m, rates.cache_write_1h),
        (dollars("1"), dollars("1"), dollars("2"))
    );
    let tiered = row(
        r#"{"input":"1","output":"4","flex":{"input":"0.5","output":"2"},"above":{"tokens":10,"input":"3","output":"5"}}"#,
    );
    let million = usage([10, 1_000_000, 0, 0, 0]);
    let long = usage([11, 1_000_000, 0, 0, 0]);
    for (price, usage, tier, dollars) in [
        (&plain, million, ServiceTier::Priority, "4.00001"),
        (&plain, million, ServiceTier::Reserved, "4.00001"),
        (&tiered, million, ServiceTier::Flex, "2.000005"),
        (&tiered, million, ServiceTier::Priority, "4.00001"),
        (&tiered, long, ServiceTier::Flex, "5.000033"),
        (&tiered, usage([1, 1_000_000, 10, 0, 0]), ServiceTier::Default, "5.000033"),
    ] {
        assert_eq!(price.cost(&usage, tier), dollars.parse().unwrap(), "{usage:?} {tier}");
    }
}

#[test]
fn a_row_that_is_wrong_is_named() {
    let table = |row: &str| {
        let text = format!(
            r#"{{"source":"s","taken":"d","guardrail":{{"content_policy":"0","topic_policy":"0","word_policy":"0","sensitive_information_policy":"0","contextual_grounding_policy":"0","automated_reasoning_policy":"0","content_policy_image":"0"}},"models":{row},"regions":{{}}}}"#
        );
        PriceTable::from_json(&text).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(table(r#"{"a.b":{"input":"1","output":"2"}}"#), "");
    assert!(table(r#"{"a.b":{"input":"1e3","output":"2"}}"#).contains("a.b: input: not a decimal"));
    assert!(table(r#"{"ab":{"input":"1","output":"2"}}"#).contains("\"ab\" is no model id"));
    assert!(table(r#"{"a.b":{"input":1,"output":"2"}}"#).contains("not a price table"));
    assert!(table(r#"{"a.b":{"input":"1"}}"#).contains("output"));
}

#[test]
fn guardrail_units_cost_what_aws_lists() {
    let table = PriceTable::shipped();
    let units = GuardrailUnits {
        content_policy: 2,
        topic_policy: 3,
        word_policy: 1_000,
        sensitive_information_policy: 5,
        contextual_grounding_policy: 7,
        automated_reasoning_policy: 1,
        content_policy_image: 1,
    };
    // 2 × 0.00015 + 3 × 0.00015 + 0 + 5 × 0.0001 + 7 × 0.0001 + 0.00017 + 0.00075
    assert_eq!(table.guardrail().cost(&units), "0.00287".parse().unwrap());
    assert_eq!(table.guardrail().worst_case(1_001, 1), "0.00209".parse().unwrap());
    assert_eq!(table.guardrail().worst_case(0, 0), Money::ZERO);
}

const TIERS: [ServiceTier; 4] = [ServiceTier::Default, ServiceTier::Priority, ServiceTier::Flex, ServiceTier::Reserved];

proptest! {
    #[test]
    fn no_call_within_its_bounds_costs_more_than_the_worst_case(
        row in any::<prop::sample::Index>(),
        tier in any::<prop::sample::Index>(),
        tokens in prop::array::uniform5(0_u64..200_000),
        slack in (0_u64..150_000, 0_u64..1_000),
        asked in any::<bool>(),
    ) {
        let table = PriceTable::shipped();
        let mut sources: Vec<_> = table.sources().cloned().collect();
        sources.sort();
        let price = table.price(row.get(&sources), &region("eu-west-3")).unwrap();
        let mut usage = usage(tokens);
        let lifetime = if tokens[0] % 2 == 0 { CacheLifetime::OneHour } else { CacheLifetime::FiveMinutes };
        if lifetime == CacheLifetime::FiveMinutes {
            usage.cache_write_1h = 0;
        }
        let tier = *tier.get(&TIERS);
        let input = usage.total() - usage.output + slack.0;
        let bound = price.worst_case(input, usage.output + slack.1, asked.then_some(tier), lifetime);
        prop_assert!(price.cost(&usage, tier) <= bound);
    }

    #[test]
    fn the_dearer_of_two_prices_is_at_least_each(
        rows in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        tier in any::<prop::sample::Index>(),
        tokens in prop::array::uniform5(0_u64..150_000),
    ) {
        let table = PriceTable::shipped();
        let mut sources: Vec<_> = table.sources().cloned().collect();
        sources.sort();
        let find = |row: prop::sample::Index| table.price(row.get(&sources), &region("us-west-2")).unwrap();
        let (one, other) = (find(rows.0), find(rows.1));
        let (usage, tier) = (usage(tokens), *tier.get(&TIERS));
        let dearer = one.dearer(&other).cost(&usage, tier);
        prop_assert!(dearer >= one.cost(&usage, tier) && dearer >= other.cost(&usage, tier));
    }
}
