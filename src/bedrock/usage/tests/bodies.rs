//! Answers that are one document.

use super::*;
use crate::types::ServiceTier;

const COUNTED: &[(&str, &str)] =
    &[JSON, ("x-amzn-bedrock-input-token-count", "17"), ("x-amzn-bedrock-output-token-count", "50")];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [COUNTED, more].concat()
}

#[test]
fn headers_make_the_bill_of_an_invoke_whatever_the_body_is() {
    let bodies = [
        r#"{"outputs":[{"text":"no counts","stop_reason":"length"}]}"#,
        r#"{"usage":{"inputTokens":30}}"#,
        r#"{"usage":{"input_tokens":1,"output_tokens":2}}"#,
        r#"{"usage":{"input_tokens":1,"input_tokens":1}}"#,
        r#"{"cut":"#,
        "not JSON",
        "",
    ];
    for body in bodies {
        let reading = read(Operation::InvokeModel, COUNTED, body.as_bytes());
        assert_eq!(reading.ending, Ending::Complete, "{body}");
        assert_eq!(reading.exact_usage(), Some(tokens(17, 50)), "{body}");
    }
}

#[test]
fn the_bodies_own_counts_are_used_where_the_headers_are_absent() {
    let cached = TokenUsage { cache_read: 7, cache_write_5m: 5, cache_write_1h: 6, ..tokens(4, 50) };
    let cases = [
        ("Claude", r#"{"type":"message","content":[],"usage":{"input_tokens":16,"output_tokens":27}}"#, tokens(16, 27)),
        (
            "Claude with both kinds of cache write",
            r#"{"usage":{"input_tokens":4,"cache_creation_input_tokens":11,"cache_read_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":5,"ephemeral_1h_input_tokens":6},"output_tokens":50}}"#,
            cached,
        ),
        (
            "Nova",
            r#"{"output":{},"usage":{"inputTokens":7,"outputTokens":53,"totalTokens":60,"cacheReadInputTokenCount":9,"cacheWriteInputTokenCount":0}}"#,
            TokenUsage { cache_read: 9, ..tokens(7, 53) },
        ),
        (
            "Titan, with the floats of a guardrail",
            r#"{"inputTextTokenCount":28.0,"results":[{"tokenCount":197.0,"outputText":"x"},{"tokenCount":3,"outputText":"y"}],"amazon-bedrock-guardrailAction":"NONE"}"#,
            tokens(28, 200),
        ),
        ("Llama", r#"{"generation":"x","prompt_token_count":158,"generation_token_count":128}"#, tokens(158, 128)),
        (
            "imported",
            r#"{"choices":[],"usage":{"prompt_tokens":6,"completion_tokens":100,"total_tokens":106}}"#,
            tokens(6, 100),
        ),
        ("Titan embeddings", r#"{"embedding":[0.25,-1.5e-3,7],"inputTextTokenCount":8}"#, tokens(8, 0)),
        ("pretty", "{\n  \"usage\" : {\r\n\t\"input_tokens\" : 1 ,\n \"output_tokens\" : 2 }\n}\n", tokens(1, 2)),
    ];
    for (name, body, expected) in cases {
        let reading = read(Operation::InvokeModel, &[JSON], body.as_bytes());
        assert_eq!(reading.ending, Ending::Complete, "{name}");
        assert_eq!(reading.exact_usage(), Some(expected), "{name}");
        assert_eq!(reading.cache_write_split, CacheWriteSplit::Known, "{name}");
    }
}

#[test]
fn an_invoke_without_whole_counts_has_no_counts() {
    let input_only = [JSON, ("x-amzn-bedrock-input-token-count", "17")];
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[JSON], r#"{"outputs":[{"text":"Mistral"}]}"#),
        (&[JSON], r#"{"images":["aGVsbG8="]}"#),
        (&[JSON], r#"{"results":[{"index":0,"relevance_score":0.9}]}"#),
        (&[JSON], r#"{"usage":{"inputTokens":30}}"#),
        (&[JSON], r#"{"usage":null,"inputTextTokenCount":null}"#),
        (&[("content-type", "image/png")], "\u{89}PNG"),
        (&input_only, r#"{"text":"half"}"#),
    ];
    for (headers, body) in cases {
        let reading = read(Operation::InvokeModel, headers, body.as_bytes());
        assert_eq!(reading.ending, Ending::NoCounts, "{body}");
        assert_eq!(reading.exact_usage(), None, "{body}");
    }
}

#[test]
fn a_half_counted_embedding_has_no_output() {
    let headers = [JSON, ("x-amzn-bedrock-input-token-count", "17")];
    for body in [r#"{"embeddings":[[0.1]],"id":"x"}"#, r#"{"embeddingsByType":{"float":[[1]]}}"#] {
        let reading = read(Operation::InvokeModel, &headers, body.as_bytes());
        assert_eq!(reading.exact_usage(), Some(tokens(17, 0)), "{body}");
    }
}

#[test]
fn the_body_splits_the_cache_writes_only_if_they_add_up() {
    let headers = with(&[
        ("x-amzn-bedrock-cache-read-input-token-count", "3"),
        ("x-amzn-bedrock-cache-write-input-token-count", "11"),
    ]);
    let known = TokenUsage { cache_read: 3, cache_write_5m: 5, cache_write_1h: 6, ..tokens(17, 50) };
    let unknown = TokenUsage { cache_write_5m: 11, cache_write_1h: 0, ..known };
    let cases = [
        (r#"{"usage":{"cache_creation":{"ephemeral_5m_input_tokens":5,"ephemeral_1h_input_tokens":6}}}"#, known),
        (
            r#"{"usage":{"cache_creation":{"ephemeral_1h_input_tokens":11}}}"#,
            TokenUsage { cache_write_5m: 0, cache_write_1h: 11, ..known },
        ),
        (r#"{"usage":{"cache_creation":{"ephemeral_5m_input_tokens":5,"ephemeral_1h_input_tokens":7}}}"#, unknown),
        (r#"{"usage":{"cache_creation":{"ephemeral_5m_input_tokens":5}}}"#, unknown),
        (r#"{"usage":{"cache_creation":{"ephemeral_5m_input_tokens":11,"ephemeral_5m_input_tokens":11}}}"#, unknown),
        (r#"{"usage":{"cache_creation":{"ephemeral_5m_input_tokens":11}}"#, unknown),
        (r#"{"content":[{"cache_creation":{"ephemeral_5m_input_tokens":11}}]}"#, unknown),
    ];
    for (body, expected) in cases {
        let reading = read(Operation::InvokeModel, &headers, body.as_bytes());
        assert_eq!(reading.exact_usage(), Some(expected), "{body}");
        let is_unknown = reading.cache_write_split == CacheWriteSplit::Unknown;
        assert_eq!(is_unknown, expected == unknown, "{body}");
    }
}

#[test]
fn headers_that_are_no_counts_are_malformed() {
    let cases: [&[(&str, &str)]; 6] = [
        &[("x-amzn-bedrock-input-token-count", "many"), ("x-amzn-bedrock-output-token-count", "50")],
        &[("x-amzn-bedrock-input-token-count", ""), ("x-amzn-bedrock-output-token-count", "50")],
        &[("x-amzn-bedrock-input-token-count", "-1"), ("x-amzn-bedrock-output-token-count", "50")],
        &[("x-amzn-bedrock-input-token-count", "99999999999999999999"), ("x-amzn-bedrock-output-token-count", "5")],
        &[("x-amzn-bedrock-input-token-count", "1e300"), ("x-amzn-bedrock-output-token-count", "50")],
        &[("x-amzn-bedrock-input-token-count", "17, 18"), ("x-amzn-bedrock-output-token-count", "50")],
    ];
    for headers in cases {
        let reading = read(Operation::InvokeModel, headers, b"{}");
        assert_eq!(reading.ending, Ending::Malformed, "{headers:?}");
        assert_eq!(reading.exact_usage(), None);
    }
    let twice = |second: &str| {
        let mut headers = header_map(COUNTED);
        headers.append("x-amzn-bedrock-input-token-count", second.parse().unwrap());
        read_in(Operation::InvokeModel, 200, &headers, &[b"{}"]).ending
    };
    assert_eq!(twice("17"), Ending::Complete);
    assert_eq!(twice("0"), Ending::Malformed);
}

#[test]
fn a_guardrails_intervention_is_seen_and_its_units_are_added_up() {
    let masked = format!(
        r#"{{"usage":{{"inputTokens":30}},{},"amazon-bedrock-guardrailAction":"INTERVENED"}}"#,
        invoke_trace(true)
    );
    let reading = read(Operation::InvokeModel, COUNTED, masked.as_bytes());
    assert_eq!(reading.exact_usage(), Some(tokens(17, 50)));
    assert_eq!(reading.guardrail, Some(four_policies(2)));
    assert_eq!(reading.intervention, Intervention::Intervened);

    let passed = format!(r#"{{{},"amazon-bedrock-guardrailAction":"NONE"}}"#, invoke_trace(true));
    let reading = read(Operation::InvokeModel, COUNTED, passed.as_bytes());
    assert_eq!(reading.guardrail, Some(four_policies(2)));
    assert_eq!(reading.intervention, Intervention::None);
}

#[test]
fn the_counts_of_canned_text_are_not_believed() {
    let titan = r#""inputTextTokenCount":6.0,"results":[{"tokenCount":3.0,"outputText":"Input blocked"}],"amazon-bedrock-guardrailAction":"INTERVENED""#;
    let zero = [JSON, ("x-amzn-bedrock-input-token-count", "0"), ("x-amzn-bedrock-output-token-count", "0")];
    let cases = [
        ("blocked", &[JSON][..], format!("{{{titan},{}}}", invoke_trace(false)), Ending::GuardrailBlockedInput),
        ("blocked, counted as nothing", &zero, format!("{{{titan}}}"), Ending::GuardrailBlockedInput),
        ("masked", &[JSON], format!("{{{titan},{}}}", invoke_trace(true)), Ending::NoCounts),
        ("blocked or masked, without a trace", &[JSON], format!("{{{titan}}}"), Ending::NoCounts),
    ];
    for (name, headers, body, expected) in cases {
        let reading = read(Operation::InvokeModel, headers, body.as_bytes());
        assert_eq!(reading.ending, expected, "{name}");
        let is_free = expected == Ending::GuardrailBlockedInput;
        assert_eq!(reading.exact_usage(), is_free.then(TokenUsage::default), "{name}");
    }
}

#[test]
fn converse_says_it_in_its_usage() {
    let cases = [
        (
            r#"{"metrics":{"latencyMs":1},"output":{},"stopReason":"end_turn","usage":{"inputTokens":553,"outputTokens":59,"totalTokens":612,"serverToolUsage":{}}}"#,
            tokens(553, 59),
        ),
        (
            r#"{"usage":{"cacheReadInputTokenCount":5,"cacheReadInputTokens":5,"cacheWriteInputTokenCount":8,"cacheWriteInputTokens":8,"cacheDetails":[{"ttl":"5m","inputTokens":2},{"inputTokens":6,"ttl":"1h"}],"inputTokens":20,"outputTokens":72,"totalTokens":105}}"#,
            TokenUsage { cache_read: 5, cache_write_5m: 2, cache_write_1h: 6, ..tokens(20, 72) },
        ),
        (
            r#"{"usage":{"cacheDetails":[{"ttl":"1h","inputTokens":2},{"inputTokens":6,"ttl":"1h"}],"inputTokens":20,"outputTokens":72}}"#,
            TokenUsage { cache_write_1h: 8, ..tokens(20, 72) },
        ),
    ];
    for (body, expected) in cases {
        let reading = read(Operation::Converse, &[JSON], body.as_bytes());
        assert_eq!(reading.ending, Ending::Complete);
        assert_eq!(reading.exact_usage(), Some(expected), "{body}");
        assert_eq!(reading.cache_write_split, CacheWriteSplit::Known);
    }
    let strange = r#"{"usage":{"cacheWriteInputTokens":8,"cacheDetails":[{"ttl":"2h","inputTokens":8}],"inputTokens":1,"outputTokens":1}}"#;
    let reading = read(Operation::Converse, &[JSON], strange.as_bytes());
    assert_eq!(reading.exact_usage(), Some(TokenUsage { cache_write_5m: 8, ..tokens(1, 1) }));
    assert_eq!(reading.cache_write_split, CacheWriteSplit::Unknown);
}

#[test]
fn converse_tells_of_guardrail_and_tier() {
    let body = format!(
        r#"{{"serviceTier":{{"type":"flex"}},"stopReason":"guardrail_intervened",{},"usage":{{"inputTokens":54,"outputTokens":18}}}}"#,
        converse_trace()
    );
    let reading = read(Operation::Converse, &[JSON], body.as_bytes());
    assert_eq!(reading.ending, Ending::Complete);
    assert_eq!(reading.exact_usage(), Some(tokens(54, 18)));
    assert_eq!(reading.guardrail, Some(four_policies(3)));
    assert_eq!(reading.intervention, Intervention::Intervened);
    assert_eq!(reading.tier, Some(ServiceTier::Flex));

    let blocked = r#"{"stopReason":"guardrail_intervened","usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0}}"#;
    let reading = read(Operation::Converse, &[JSON], blocked.as_bytes());
    assert_eq!(reading.ending, Ending::GuardrailBlockedInput);
    assert_eq!(reading.exact_usage(), Some(TokenUsage::default()));
}

#[test]
fn the_tier_is_read_from_the_header_too_and_a_strange_one_is_named() {
    let cases = [("priority", Some(ServiceTier::Priority), None), ("turbo", None, Some("turbo"))];
    for (name, tier, unknown) in cases {
        let headers = with(&[("x-amzn-bedrock-service-tier", name)]);
        let reading = read(Operation::InvokeModel, &headers, b"{}");
        assert_eq!((reading.tier, reading.unknown_tier.as_deref()), (tier, unknown));
        let body = format!(r#"{{"serviceTier":{{"type":"{name}"}},"usage":{{"inputTokens":1,"outputTokens":1}}}}"#);
        let reading = read(Operation::Converse, &[JSON], body.as_bytes());
        assert_eq!((reading.tier, reading.unknown_tier.as_deref()), (tier, unknown));
    }
}

#[test]
fn apply_guardrail_uses_units_and_no_tokens() {
    let body = format!(
        r#"{{"action":"GUARDRAIL_INTERVENED","assessments":[{{{ASSESSED}}}],"usage":{{"contentPolicyUnits":4,"topicPolicyUnits":4,"wordPolicyUnits":4,"sensitiveInformationPolicyUnits":4}}}}"#
    );
    let reading = read(Operation::ApplyGuardrail, &[JSON], body.as_bytes());
    assert_eq!(reading.ending, Ending::Complete);
    assert_eq!(reading.exact_usage(), Some(TokenUsage::default()));
    assert_eq!(reading.guardrail, Some(four_policies(4)), "assessments are parts of `usage`, not more of it");
    assert_eq!(reading.intervention, Intervention::Intervened);
    assert_eq!(read(Operation::ApplyGuardrail, &[JSON], br#"{"action":"NONE"}"#).ending, Ending::NoCounts);
    assert_eq!(
        read(Operation::ApplyGuardrail, &[JSON], br#"{"usage":{"topicPolicyUnits":1}"#).ending,
        Ending::Truncated
    );
}

#[test]
fn counting_tokens_is_free_and_a_fault_costs_nothing() {
    let reading = read(Operation::CountTokens, &[JSON], br#"{"inputTokens":123}"#);
    assert_eq!((&reading.ending, reading.usage), (&Ending::Complete, None));
    assert_eq!(reading.exact_usage(), Some(TokenUsage::default()));
    for status in [400, 403, 408, 424, 429, 500, 503, 302] {
        for operation in [Operation::InvokeModel, Operation::ConverseStream, Operation::CountTokens] {
            let reading = read_in(operation, status, &header_map(COUNTED), &[b"{\"usage\":{\"inputTokens\":9}}"]);
            assert_eq!(reading.ending, Ending::Fault);
            assert_eq!(reading.exact_usage(), Some(TokenUsage::default()));
        }
    }
}

#[test]
fn what_is_not_forwarded_is_not_taken_for_free() {
    for operation in Operation::ALL.into_iter().filter(|operation| operation.forwarded().is_none()) {
        let reading = read(operation, COUNTED, b"{}");
        assert_eq!((reading.ending.as_str(), reading.exact_usage()), ("no_counts", None), "{operation}");
    }
}
