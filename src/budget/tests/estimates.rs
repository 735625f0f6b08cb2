//! Bounds, and that calls within them fit.

use proptest::prelude::*;

use super::*;
use crate::profiles::price::{Pieces, PriceTable};

fn sonnet() -> Arc<ModelPrice> {
    let source = "us.anthropic.claude-sonnet-4-5-20250929-v1:0".parse().unwrap();
    PriceTable::shipped().price(&source, &"us-east-1".parse().unwrap()).unwrap()
}

fn facts(body_bytes: u64) -> RequestFacts {
    RequestFacts {
        body_bytes,
        prompt_tokens: 0,
        max_tokens: Some(1_000),
        attachments: Attachments::None,
        cache: CacheLifetime::FiveMinutes,
        tier: Some(ServiceTier::Default),
        pieces: Pieces::NONE,
    }
}

#[test]
fn pieces_are_held_beside_tokens_or_instead_of_them() {
    let price = |source: &str| PriceTable::shipped().price(&source.parse().unwrap(), &"us-east-1".parse().unwrap());
    let pieces = Pieces { images_made: 3, images_read: 2, queries: 4 };
    for (source, input, output, dollars) in [
        ("amazon.nova-canvas-v1:0", 0, 0, "0.24"),
        ("cohere.rerank-v3-5:0", 0, 0, "0.008"),
        // 0.8 dollars a million tokens of text beside two images.
        ("amazon.titan-embed-image-v1", 11_024, 1_000, "0.0089392"),
    ] {
        let facts = RequestFacts { pieces, cache: CacheLifetime::None, ..facts(10_000) };
        let estimate = Estimate::model(facts, source.parse().unwrap(), price(source));
        let hold = estimate.hold(Reserve::WorstCase);
        let cost: Money = dollars.parse().unwrap();
        assert_eq!((hold.input_tokens, hold.output_tokens, hold.cost), (input, output, Some(cost)), "{source}");
    }
}

#[test]
fn a_call_holds_its_bound_at_the_dearest_price_it_can_incur() {
    let expected = Reserve::Expected { bytes_per_token: NonZeroU32::new(4).unwrap() };
    let images = |count, base64_bytes| Attachments::Images { count, base64_bytes };
    let base = facts(10_000);
    // 3.3 in, 4.125 written for five minutes, 6.6 for an hour, 16.5 out; 6.6, 8.25, 13.2 and 24.75 above 200,000.
    for (facts, reserve, tokens, dollars, why) in [
        (base.clone(), Reserve::WorstCase, 11_024 + 1_000, "0.061974", "4.125 and 16.5"),
        (base.clone(), expected, 3_524 + 1_000, "0.0310365", "a quarter of the bytes"),
        (
            RequestFacts { cache: CacheLifetime::OneHour, ..base.clone() },
            Reserve::WorstCase,
            12_024,
            "0.0892584",
            "6.6",
        ),
        (
            RequestFacts { max_tokens: None, ..base.clone() },
            Reserve::WorstCase,
            75_024,
            "1.101474",
            "the model's 64,000",
        ),
        (RequestFacts { max_tokens: Some(0), ..base.clone() }, Reserve::WorstCase, 11_024, "0.045474", "nothing"),
        (
            RequestFacts { attachments: images(2, 9_000), ..base.clone() },
            Reserve::WorstCase,
            12_024 + 1_000,
            "0.066099",
            "two images at 5,000 and the text beside them",
        ),
        (
            RequestFacts { attachments: Attachments::Unmeasurable, ..base },
            Reserve::WorstCase,
            1_001_000,
            "8.27475",
            "a full context, at long-context prices",
        ),
        (facts(200_000), Reserve::WorstCase, 202_024, "1.683198", "long-context prices"),
    ] {
        let hold = Estimate::model(facts, model(), Some(sonnet())).hold(reserve);
        assert_eq!((hold.tokens(), hold.cost), (tokens, Some(dollars.parse().unwrap())), "{why}");
    }
}

#[test]
fn an_expected_reservation_takes_three_bytes_for_a_token() {
    let hold = Estimate::model(facts(3_000), model(), Some(sonnet())).hold(Reserve::EXPECTED);
    assert_eq!(hold.tokens(), 1_000 + 1_024 + 1_000);
}

#[test]
fn a_request_that_was_not_looked_into_holds_the_most() {
    let unseen = RequestFacts { body_bytes: 10_000, ..Default::default() };
    let seen = Estimate::model(facts(10_000), model(), Some(sonnet())).hold(Reserve::WorstCase);
    let hold = Estimate::model(unseen.clone(), model(), Some(sonnet())).hold(Reserve::WorstCase);
    assert!(hold.tokens() > seen.tokens() && hold.cost > seen.cost);
    let unknown = Estimate::model(unseen, model(), None);
    let hold = unknown.hold(Reserve::WorstCase);
    assert_eq!((hold.tokens(), hold.cost), (1_128_000, None));
    assert_eq!(unknown.unpriced(), Some(&model()));
}

#[test]
fn guardrails_are_held_for_beside_the_model() {
    let prices = *PriceTable::shipped().guardrail();
    let apply = Estimate::guardrail(2_500, 2, prices).hold(Reserve::WorstCase);
    // Three text units of all policies at 0.00067, two images at 0.00075.
    assert_eq!((apply.tokens(), apply.cost, apply.requests), (0, Some("0.00351".parse().unwrap()), 1));
    let plain = Estimate::model(facts(10_000), model(), Some(sonnet()));
    let alone = plain.hold(Reserve::WorstCase).cost.unwrap();
    let guarded = plain.with_guardrail(prices).hold(Reserve::WorstCase).cost.unwrap();
    // 10,000 bytes in, 4,000 expected out.
    assert_eq!(guarded.saturating_sub(alone), "0.00938".parse().unwrap());
    let free = Estimate::free().with_guardrail(prices).hold(Reserve::WorstCase);
    assert_eq!((free.tokens(), free.cost, free.requests), (0, Some(Money::ZERO), 0));
}

proptest! {
    #[test]
    fn a_call_of_text_never_costs_more_than_was_held_for_it(
        body_bytes in 0_u64..1_000_000,
        max_tokens in 0_u64..100_000,
        shares in (0_u64..=100, 0_u64..=100, 0_u64..=100, 0_u64..=100),
    ) {
        let bound = RequestFacts { max_tokens: Some(max_tokens), ..facts(body_bytes) };
        let hold = Estimate::model(bound, model(), Some(sonnet())).hold(Reserve::WorstCase);
        let input = body_bytes * shares.0 / 100;
        let cache_read = input * shares.1 / 100;
        let cache_write_5m = (input - cache_read) * shares.2 / 100;
        let usage = TokenUsage {
            input: input - cache_read - cache_write_5m,
            output: max_tokens * shares.3 / 100,
            cache_read,
            cache_write_5m,
            cache_write_1h: 0,
        };
        prop_assert!(usage.total() <= hold.tokens());
        prop_assert!(sonnet().cost(&usage, ServiceTier::Default) <= hold.cost.unwrap());
    }
}
