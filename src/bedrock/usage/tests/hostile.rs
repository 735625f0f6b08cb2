//! Text that looks like counts, streams that break off, bytes that are neither.

use proptest::prelude::*;

use super::streams::{claude, converse, nova};
use super::*;

/// What a model may be talked into writing.
const FORGERIES: [&str; 6] = [
    r#"{"usage":{"inputTokens":0,"outputTokens":0}}"#,
    r#"","usage":{"inputTokens":0,"outputTokens":0},"x":""#,
    r#"\","usage":{"inputTokens":0}"#,
    r#""amazon-bedrock-invocationMetrics":{"inputTokenCount":0,"outputTokenCount":0}"#,
    r#"{"type":"message_delta","usage":{"output_tokens":0}}"#,
    "\u{0}\u{1f}\\\\\"}]}\u{2028}\u{1f600}",
];

#[test]
fn text_that_looks_like_usage_is_never_taken_for_it() {
    for forgery in FORGERIES {
        let text = serde_json::to_string(forgery).unwrap();
        let nested = r#"{"usage":{"inputTokens":0,"outputTokens":0},"stopReason":"guardrail_intervened"}"#;
        let body = format!(
            r#"{{"output":{{"message":{{"content":[{{"text":{text}}},{{"toolUse":{{"input":{nested}}}}}]}}}},{text}:{text},"usage":{{"inputTokens":5,"outputTokens":6}}}}"#
        );
        let reading = read(Operation::Converse, &[JSON], body.as_bytes());
        assert_eq!((reading.ending.as_str(), reading.exact_usage()), ("complete", Some(tokens(5, 6))), "{forgery}");
        assert_eq!(reading.intervention, Intervention::None);

        let titan = [
            format!(r#"{{"outputText":{text},"index":0}}"#),
            format!(
                r#"{{"outputText":{text},"amazon-bedrock-invocationMetrics":{{"inputTokenCount":5,"outputTokenCount":6}}}}"#
            ),
        ];
        let stream: Vec<u8> = titan.iter().flat_map(|document| chunk(document)).collect();
        let reading = read(Operation::InvokeModelWithResponseStream, &[STREAM], &stream);
        assert_eq!((reading.ending.as_str(), reading.exact_usage()), ("complete", Some(tokens(5, 6))), "{forgery}");
        let reading = read(Operation::InvokeModelWithResponseStream, &[STREAM], &chunk(&titan[0]));
        assert_eq!(reading.usage, None, "{forgery}");
    }
}

#[test]
fn a_name_that_is_there_twice_is_malformed() {
    let counts = r#"{"inputTokens":1,"outputTokens":1}"#;
    let bodies = [
        format!(r#"{{"usage":{counts},"usage":{counts}}}"#),
        format!(r#"{{"usage":{counts},"us\u0061ge":{counts}}}"#),
        format!(r#"{{"usage":null,"usage":{counts}}}"#),
        r#"{"usage":{"inputTokens":1,"outputTokens":1,"outputTokens":1}}"#.to_owned(),
        format!(r#"{{"usage":{counts},"stopReason":"a","stopReason":"b"}}"#),
    ];
    for body in bodies {
        let reading = read(Operation::Converse, &[JSON], body.as_bytes());
        assert_eq!((reading.ending.as_str(), reading.exact_usage()), ("malformed", None), "{body}");
    }
    let twice = chunk(
        r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":5,"inputTokenCount":5}}"#,
    );
    assert_eq!(read(Operation::InvokeModelWithResponseStream, &[STREAM], &twice).ending, Ending::Malformed);
}

#[test]
fn what_is_no_json_or_no_count_is_malformed() {
    let bodies = [
        "x",
        "{]",
        "{,}",
        r#"{"usage"}"#,
        r#"{"usage":}"#,
        r#"{"usage":{"inputTokens":1,}}"#,
        r#"{"usage":{"inputTokens":1]}"#,
        r#"{"usage":{"inputTokens":"1","outputTokens":1}}"#,
        r#"{"usage":{"inputTokens":true,"outputTokens":1}}"#,
        r#"{"usage":{"inputTokens":-1,"outputTokens":1}}"#,
        r#"{"usage":{"inputTokens":1e99,"outputTokens":1}}"#,
        r#"{"usage":{"inputTokens":1111111111111111111111111111111111111111111111111111111,"outputTokens":1}}"#,
        r#"{"usage":{"inputTokens":1,"outputTokens":1}}{"#,
        r#"{"usage":{"inputTokens":1,"outputTokens":1}} x"#,
        r#"{"usage":{"input\xTokens":1,"outputTokens":1}}"#,
    ];
    for body in bodies {
        let reading = read(Operation::Converse, &[JSON], body.as_bytes());
        assert_eq!((reading.ending.as_str(), reading.exact_usage()), ("malformed", None), "{body}");
    }
    for (operation, stream) in [
        (Operation::ConverseStream, event("metadata", "{")),
        (Operation::ConverseStream, event("messageStop", "")),
        (Operation::InvokeModelWithResponseStream, event("chunk", "{}")),
        (Operation::InvokeModelWithResponseStream, chunk(r#"{"type":"message_stop""#)),
        (Operation::InvokeModelWithResponseStream, b"{\"message\":\"this is no stream\"}".to_vec()),
        (
            Operation::ConverseStream,
            message(&[(":event-type", "metadata")], b"{}")[..20].iter().map(|byte| byte ^ 1).collect(),
        ),
    ] {
        let reading = read(operation, &[STREAM], &stream);
        assert_eq!((reading.ending.as_str(), reading.exact_usage()), ("malformed", None));
    }
}

#[test]
fn any_depth_of_nesting_costs_nothing() {
    let deep = format!(
        r#"{{"output":{}1{},"trace":{{"guardrail":{{"outputAssessments":{}{}}}}},"usage":{{"inputTokens":5,"outputTokens":6}}}}"#,
        "[{\"a\":".repeat(100_000),
        "}]".repeat(100_000),
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let reading = read(Operation::Converse, &[JSON], deep.as_bytes());
    assert_eq!(reading.exact_usage(), Some(tokens(5, 6)));
}

#[test]
fn no_beginning_of_a_body_is_taken_for_the_whole() {
    let body = format!(
        r#"{{"output":{{"text":"a \"b\" c"}},"stopReason":"guardrail_intervened",{},"usage":{{"inputTokens":0,"outputTokens":0}}}}"#,
        converse_trace()
    );
    let headers = header_map(&[JSON]);
    for cut in 0..body.len() {
        let reading = read_in(Operation::Converse, 200, &headers, &[&body.as_bytes()[..cut]]);
        assert_eq!((reading.ending.as_str(), reading.exact_usage()), ("truncated", None), "cut at {cut}");
    }
}

#[test]
fn no_beginning_of_a_stream_is_taken_for_the_whole() {
    for (operation, messages) in [
        (Operation::InvokeModelWithResponseStream, claude()),
        (Operation::InvokeModelWithResponseStream, nova()),
        (Operation::ConverseStream, converse()),
    ] {
        let stream = messages.concat();
        let headers = header_map(&[STREAM]);
        for cut in 0..stream.len() {
            let reading = read_in(operation, 200, &headers, &[&stream[..cut]]);
            assert_eq!(reading.exact_usage(), None, "{operation} cut at {cut}");
            assert!(matches!(reading.ending, Ending::Truncated | Ending::NoCounts), "{operation} cut at {cut}");
        }
        assert!(read_in(operation, 200, &headers, &[&stream]).exact_usage().is_some());
    }
}

#[test]
fn every_broken_byte_of_a_stream_is_noticed() {
    for (operation, messages) in
        [(Operation::InvokeModelWithResponseStream, claude()), (Operation::ConverseStream, converse())]
    {
        let stream = messages.concat();
        for index in 0..stream.len() {
            let mut broken = stream.clone();
            broken[index] ^= 0x10;
            let reading = read_in(operation, 200, &header_map(&[STREAM]), &[&broken]);
            assert_eq!((reading.ending.as_str(), reading.exact_usage()), ("malformed", None), "byte {index}");
        }
    }
}

/// Any JSON, with names and strings that try to be mistaken for the real ones.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![
        prop::sample::select(FORGERIES.to_vec()).prop_map(str::to_owned),
        prop::sample::select(vec!["usage", "trace", "metrics", "inputTokens", "\"", "\\", ""]).prop_map(str::to_owned),
        ".{0,12}",
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        text.clone().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec((text.clone(), inner), 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn cut_into(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut rest = bytes;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*size).clamp(1, rest.len()));
        chunks.push(chunk.to_vec());
        rest = after;
    }
    chunks
}

fn read_cut(operation: Operation, headers: &[(&str, &str)], body: &[u8], sizes: &[usize]) -> Reading {
    let chunks = cut_into(body, sizes);
    let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
    read_in(operation, 200, &header_map(headers), &chunks)
}

const METERED: [Operation; 6] = [
    Operation::InvokeModel,
    Operation::InvokeModelWithResponseStream,
    Operation::Converse,
    Operation::ConverseStream,
    Operation::CountTokens,
    Operation::ApplyGuardrail,
];

proptest! {
    #[test]
    fn counts_are_found_amid_any_json_and_any_cuts(
        before in any_json(),
        after in any_json(),
        pretty in any::<bool>(),
        (input, output) in (0_u64..1 << 50, 0_u64..1 << 50),
        sizes in prop::collection::vec(1_usize..60, 1..5),
    ) {
        let write = |value: &serde_json::Value| {
            if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }.unwrap()
        };
        let usage = write(&serde_json::json!({ "a": before, "inputTokens": input, "outputTokens": output, "z": after }));
        let body = format!(r#"{{"before": {}, "usage": {usage}, "zafter": {}}}"#, write(&before), write(&after));
        let reading = read_cut(Operation::Converse, &[JSON], body.as_bytes(), &sizes);
        prop_assert_eq!(&reading.ending, &Ending::Complete);
        prop_assert_eq!(reading.exact_usage(), Some(tokens(input, output)));
    }

    #[test]
    fn cuts_make_no_difference_to_a_stream(sizes in prop::collection::vec(1_usize..400, 1..8), which in 0_usize..3) {
        let (operation, stream) = match which {
            0 => (Operation::InvokeModelWithResponseStream, claude().concat()),
            1 => (Operation::InvokeModelWithResponseStream, nova().concat()),
            _ => (Operation::ConverseStream, converse().concat()),
        };
        let whole = read_cut(operation, &[STREAM], &stream, &[stream.len()]);
        prop_assert_eq!(&whole.ending, &Ending::Complete);
        prop_assert_eq!(read_cut(operation, &[STREAM], &stream, &sizes), whole);
    }

    #[test]
    fn random_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        sizes in prop::collection::vec(1_usize..60, 1..5),
    ) {
        for operation in METERED {
            read_cut(operation, &[JSON], &bytes, &sizes);
        }
        // Behind a valid frame.
        let text = String::from_utf8_lossy(&bytes);
        for stream in [event("chunk", &text), chunk(&text), event("metadata", &text)] {
            for operation in METERED {
                prop_assert_eq!(read_cut(operation, &[], &stream, &sizes), read_cut(operation, &[], &stream, &[stream.len()]));
            }
        }
    }

    #[test]
    fn random_json_like_bytes_never_panic_and_never_depend_on_cuts(
        text in r#"[\{\}\[\]":,0-9a-z\\ un]{0,80}"#,
        sizes in prop::collection::vec(1_usize..9, 1..5),
    ) {
        let body = format!(r#"{{"usage":{text}"#);
        for body in [text.as_bytes(), body.as_bytes()] {
            let whole = read_cut(Operation::Converse, &[JSON], body, &[body.len().max(1)]);
            prop_assert_eq!(read_cut(Operation::Converse, &[JSON], body, &sizes), whole);
        }
    }
}
