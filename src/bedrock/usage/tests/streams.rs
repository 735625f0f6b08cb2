//! The two event streams.

use super::*;
use crate::types::ServiceTier;

const METRICS: &str = r#""amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":13,"invocationLatency":3037,"firstByteLatency":2635,"cacheReadInputTokenCount":2,"cacheWriteInputTokenCount":11}"#;
const CLAUDE_START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","content":[],"usage":{"input_tokens":3,"cache_creation_input_tokens":11,"cache_read_input_tokens":2,"cache_creation":{"ephemeral_5m_input_tokens":5,"ephemeral_1h_input_tokens":6},"output_tokens":1}}}"#;
const CLAUDE_TEXT: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Why"}}"#;
const CLAUDE_DELTA: &str =
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":13}}"#;
const NOVA_TEXT: &str = r#"{"contentBlockDelta":{"delta":{"text":"Sure"},"contentBlockIndex":0}}"#;
const NOVA_METADATA: &str =
    r#""metadata":{"usage":{"inputTokens":3,"outputTokens":13,"cacheReadInputTokenCount":0},"metrics":{},"trace":{}}"#;
const INTERVENED: &str = r#""amazon-bedrock-guardrailAction":"INTERVENED""#;

fn claude_stop() -> String {
    format!(r#"{{"type":"message_stop",{METRICS}}}"#)
}

pub(super) fn claude() -> Vec<Vec<u8>> {
    [
        CLAUDE_START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"ping"}"#,
    ]
    .into_iter()
    .chain([CLAUDE_TEXT; 5])
    .chain([r#"{"type":"content_block_stop","index":0}"#, CLAUDE_DELTA, &claude_stop()])
    .map(chunk)
    .collect()
}

pub(super) fn nova() -> Vec<Vec<u8>> {
    [r#"{"messageStart":{"role":"assistant"}}"#]
        .into_iter()
        .chain([NOVA_TEXT; 5])
        .chain([r#"{"messageStop":{"stopReason":"end_turn"}}"#, &format!("{{{NOVA_METADATA},{METRICS}}}")])
        .map(chunk)
        .collect()
}

pub(super) fn converse() -> Vec<Vec<u8>> {
    let metadata = format!(
        r#"{{"metrics":{{"latencyMs":821}},"p":"abc","serviceTier":{{"type":"priority"}},{},"usage":{{"inputTokens":54,"outputTokens":18,"totalTokens":72}}}}"#,
        converse_trace()
    );
    vec![
        event("messageStart", r#"{"p":"abcdef","role":"assistant"}"#),
        event("contentBlockStart", r#"{"contentBlockIndex":0,"start":{"toolUse":{"name":"x"}}}"#),
        event(
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":"\"usage\":{\"inputTokens\":1}"},"p":"ab"}"#,
        ),
        event("contentBlockStop", r#"{"contentBlockIndex":0,"p":"a"}"#),
        event("messageStop", r#"{"p":"ab","stopReason":"guardrail_intervened"}"#),
        event("metadata", &metadata),
    ]
}

fn invoke(documents: &[&str]) -> Reading {
    read(Operation::InvokeModelWithResponseStream, &[STREAM], &chunks(documents))
}

#[test]
fn the_invocation_metrics_and_the_models_own_usage_are_merged() {
    let reading = read(Operation::InvokeModelWithResponseStream, &[STREAM], &claude().concat());
    assert_eq!(reading.ending, Ending::Complete);
    let split = TokenUsage { cache_read: 2, cache_write_5m: 5, cache_write_1h: 6, ..tokens(3, 13) };
    assert_eq!(reading.exact_usage(), Some(split));
    assert_eq!(reading.cache_write_split, CacheWriteSplit::Known);

    let reading = read(Operation::InvokeModelWithResponseStream, &[STREAM], &nova().concat());
    assert_eq!(reading.exact_usage(), Some(TokenUsage { cache_read: 2, cache_write_5m: 11, ..tokens(3, 13) }));
    assert_eq!(reading.cache_write_split, CacheWriteSplit::Unknown);

    // Two counters that disagree on what was written: the split cannot be trusted.
    let start = CLAUDE_START.replace(r#""ephemeral_1h_input_tokens":6"#, r#""ephemeral_1h_input_tokens":7"#);
    let reading = invoke(&[&start, CLAUDE_DELTA, &claude_stop()]);
    assert_eq!(reading.exact_usage(), Some(TokenUsage { cache_read: 2, cache_write_5m: 11, ..tokens(3, 13) }));
    assert_eq!(reading.cache_write_split, CacheWriteSplit::Unknown);
}

#[test]
fn the_last_word_of_a_cumulative_count_holds() {
    let first = r#"{"type":"message_delta","usage":{"output_tokens":5}}"#;
    let second = r#"{"type":"message_delta","usage":{"input_tokens":4,"output_tokens":13}}"#;
    let reading = invoke(&[CLAUDE_START, first, second, r#"{"type":"message_stop"}"#]);
    assert_eq!(reading.ending, Ending::Complete);
    let expected = TokenUsage { cache_read: 2, cache_write_5m: 5, cache_write_1h: 6, ..tokens(4, 13) };
    assert_eq!(reading.exact_usage(), Some(expected));
}

#[test]
fn models_without_events_of_their_own_are_counted_by_the_metrics() {
    let cases = [
        [
            r#"{"outputText":"a","index":0,"inputTextTokenCount":3}"#,
            r#"{"outputText":"b","totalOutputTextTokenCount":13"#,
        ],
        [
            r#"{"generation":"a","prompt_token_count":3,"generation_token_count":1}"#,
            r#"{"generation":"","generation_token_count":13"#,
        ],
        [r#"{"outputs":[{"text":"a","stop_reason":null}]}"#, r#"{"outputs":[{"text":"b","stop_reason":"stop"}]"#],
        [
            r#"{"choices":[{"delta":{"content":"a"}}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":9}"#,
        ],
    ];
    for [first, last] in cases {
        let reading = invoke(&[first, &format!("{last},{METRICS}}}")]);
        assert_eq!(reading.ending, Ending::Complete, "{last}");
        assert_eq!(reading.exact_usage().map(|usage| (usage.input, usage.output)), Some((3, 13)), "{last}");
        let reading = invoke(&[first, &format!("{last}}}")]);
        assert_eq!((reading.ending.as_str(), reading.exact_usage()), ("no_counts", None), "{last}");
    }
}

#[test]
fn a_stream_without_its_metrics_is_counted_only_by_final_counts() {
    let stop = r#"{"type":"message_stop"}"#;
    let nova_usage = format!("{{{NOVA_METADATA}}}");
    let cases: [(&[&str], &str); 9] = [
        (&[CLAUDE_START, CLAUDE_TEXT, CLAUDE_DELTA, stop], "complete"),
        (&[CLAUDE_START, CLAUDE_TEXT, stop], "no_counts"),
        (&[CLAUDE_TEXT, CLAUDE_DELTA, stop], "no_counts"),
        (&[CLAUDE_START, CLAUDE_TEXT, CLAUDE_DELTA], "truncated"),
        (&[CLAUDE_START, CLAUDE_TEXT], "truncated"),
        (&[NOVA_TEXT, &nova_usage], "complete"),
        (&[NOVA_TEXT, r#"{"metadata":{"usage":{"inputTokens":3}}}"#], "no_counts"),
        (&[NOVA_TEXT, r#"{"messageStop":{"stopReason":"end_turn"}}"#], "truncated"),
        (&[], "truncated"),
    ];
    for (documents, expected) in cases {
        let reading = invoke(documents);
        assert_eq!(reading.ending.as_str(), expected, "{documents:?}");
        assert_eq!(reading.exact_usage().is_some(), expected == "complete", "{documents:?}");
    }
}

#[test]
fn an_exception_keeps_what_was_said_before_it() {
    let mut stream = chunks(&[CLAUDE_START, CLAUDE_TEXT]);
    stream.extend(exception("modelStreamErrorException"));
    let reading = read(Operation::InvokeModelWithResponseStream, &[STREAM], &stream);
    assert_eq!(reading.ending, Ending::Exception("modelStreamErrorException".to_owned()));
    assert_eq!(reading.usage.map(|usage| usage.input), Some(3));
    assert_eq!(reading.exact_usage(), None);

    let reading = read(Operation::ConverseStream, &[STREAM], &exception("throttlingException"));
    assert_eq!((reading.ending, reading.usage), (Ending::Exception("throttlingException".to_owned()), None));

    let error = message(&[(":message-type", "error"), (":error-code", "InternalFailure")], b"");
    let reading = read(Operation::ConverseStream, &[STREAM], &error);
    assert_eq!(reading.ending, Ending::Exception("InternalFailure".to_owned()));
}

#[test]
fn the_converse_stream_says_it_in_its_metadata() {
    let reading = read(Operation::ConverseStream, &[STREAM], &converse().concat());
    assert_eq!(reading.ending, Ending::Complete);
    assert_eq!(reading.exact_usage(), Some(tokens(54, 18)));
    assert_eq!(reading.tier, Some(ServiceTier::Priority));
    assert_eq!(reading.guardrail, Some(four_policies(3)));
    assert_eq!(reading.intervention, Intervention::Intervened);

    let blocked = [
        event("messageStop", r#"{"stopReason":"guardrail_intervened"}"#),
        event("metadata", r#"{"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0}}"#),
    ];
    let reading = read(Operation::ConverseStream, &[STREAM], &blocked.concat());
    assert_eq!((reading.ending, reading.usage), (Ending::GuardrailBlockedInput, Some(TokenUsage::default())));

    let uncounted = read(Operation::ConverseStream, &[STREAM], &converse()[..5].concat());
    assert_eq!((uncounted.ending.as_str(), uncounted.exact_usage()), ("no_counts", None));
    let cut = read(Operation::ConverseStream, &[STREAM], &converse()[..4].concat());
    assert_eq!((cut.ending.as_str(), cut.exact_usage()), ("truncated", None));
}

#[test]
fn a_blocked_prompt_is_told_from_a_masked_answer_that_was_cut() {
    let titan = |more: &str| format!(r#"{{"outputText":"Input blocked","index":0.0,{more}{INTERVENED}}}"#);
    let canned = r#""totalOutputTextTokenCount":3.0,"inputTextTokenCount":6.0,"#;
    let blocked = titan(&format!("{canned}{},", invoke_trace(false)));
    let reading = invoke(&[&blocked]);
    assert_eq!((&reading.ending, reading.usage), (&Ending::GuardrailBlockedInput, Some(TokenUsage::default())));
    assert_eq!(reading.guardrail, Some(four_policies(1)));
    assert_eq!(reading.intervention, Intervention::Intervened);

    let masked_nova = format!(r#"{{"contentBlockDelta":{{"delta":{{"text":"Sure"}}}},{INTERVENED}}}"#);
    let cases = [
        (vec![titan(canned)], "guardrail_blocked_input"),
        (vec![titan("")], "no_counts"),
        (vec![titan(""), titan(canned)], "no_counts"),
        (vec![titan(&format!("{canned}{},", invoke_trace(true)))], "no_counts"),
        (vec![masked_nova.clone()], "truncated"),
        (vec![masked_nova.clone(), format!("{{{NOVA_METADATA},{INTERVENED}}}")], "no_counts"),
        (vec![masked_nova.clone(), format!("{{{NOVA_METADATA},{INTERVENED},{}}}", invoke_trace(true))], "no_counts"),
        (
            vec![masked_nova.clone(), format!("{{{NOVA_METADATA},{INTERVENED},{}}}", invoke_trace(false))],
            "guardrail_blocked_input",
        ),
        // The intervention shows on the text alone: the model's own count is not believed either.
        (vec![masked_nova, format!("{{{NOVA_METADATA}}}")], "no_counts"),
    ];
    for (documents, expected) in cases {
        let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
        let reading = invoke(&documents);
        assert_eq!(reading.ending.as_str(), expected, "{documents:?}");
        assert_eq!(reading.exact_usage().is_some(), expected == "guardrail_blocked_input", "{documents:?}");
    }
}

#[test]
fn a_masked_answer_is_billed_by_its_metrics() {
    let last = format!(
        r#"{{"outputText":"b","totalOutputTextTokenCount":188.0,{INTERVENED},{},{METRICS}}}"#,
        invoke_trace(true)
    );
    let reading = invoke(&[&format!(r#"{{"outputText":"a","inputTextTokenCount":28.0,{INTERVENED}}}"#), &last]);
    assert_eq!(reading.ending, Ending::Complete);
    assert_eq!(reading.exact_usage().map(|usage| (usage.input, usage.output)), Some((3, 13)));
    assert_eq!(reading.guardrail, Some(four_policies(2)));
}

#[test]
fn unknown_events_are_counted_and_change_nothing() {
    let mut stream = event("contentBlockTick", "{}");
    stream.extend(message(&[], b"?"));
    stream.extend(converse().concat());
    let reading = read(Operation::ConverseStream, &[STREAM], &stream);
    assert_eq!((reading.ending.as_str(), reading.unknown_events), ("complete", 2));
    let reading = read(Operation::InvokeModelWithResponseStream, &[STREAM], &converse().concat());
    assert_eq!((reading.ending.as_str(), reading.unknown_events), ("truncated", 6));
}
