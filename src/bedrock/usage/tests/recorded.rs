//! Every recorded exchange gives the counts that were derived from it by other means.

use std::path::PathBuf;

use serde_json::Value;

use super::*;

const EXPECTED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/recorded_counts.tsv"));

fn exchanges() -> Option<Vec<Value>> {
    let path = std::env::var_os("TOLLGATE_RECORDED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recorded/exchanges.jsonl"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn operation(name: &str) -> Operation {
    match name {
        "invoke" => Operation::InvokeModel,
        "invoke-with-response-stream" => Operation::InvokeModelWithResponseStream,
        "converse" => Operation::Converse,
        "converse-stream" => Operation::ConverseStream,
        other => panic!("no operation for {other}"),
    }
}

fn units(text: &str) -> Option<GuardrailUnits> {
    let numbers: Vec<u64> = text.split(',').map_while(|number| number.parse().ok()).collect();
    let [content, topic, word, sensitive, grounding, reasoning, image] = numbers[..] else { return None };
    Some(GuardrailUnits {
        content_policy: content,
        topic_policy: topic,
        word_policy: word,
        sensitive_information_policy: sensitive,
        contextual_grounding_policy: grounding,
        automated_reasoning_policy: reasoning,
        content_policy_image: image,
    })
}

#[test]
fn every_recorded_exchange_gives_the_right_counts() {
    let Some(exchanges) = exchanges() else {
        println!("skipped: every_recorded_exchange_gives_the_right_counts: ../shared/recorded is absent");
        return;
    };
    let expected: Vec<&str> = EXPECTED.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(expected.len(), exchanges.len());
    for (line, exchange) in expected.into_iter().zip(exchanges) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, ending, input, output, cache_read, cache_write, split, guardrail, intervened, source] = columns[..]
        else {
            panic!("not a line of the table: {line}");
        };
        assert_eq!(exchange["source"], source);
        let body = STANDARD.decode(exchange["body_b64"].as_str().unwrap()).unwrap();
        let headers: Vec<(&str, &str)> = exchange["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let headers = header_map(&headers);
        let status = u16::try_from(exchange["status"].as_u64().unwrap()).unwrap();
        let count = |text: &str| text.parse::<u64>().unwrap();
        for size in [1, 7, 1000, body.len()] {
            let chunks: Vec<&[u8]> = body.chunks(size).collect();
            let reading = read_in(operation(exchange["operation"].as_str().unwrap()), status, &headers, &chunks);
            assert_eq!(reading.ending.as_str(), ending, "{line}");
            let expected = TokenUsage {
                cache_read: count(cache_read),
                cache_write_5m: count(cache_write),
                ..tokens(count(input), count(output))
            };
            assert_eq!(reading.usage, Some(expected), "{line}");
            assert_eq!(reading.exact_usage(), Some(expected), "{line}");
            let is_known = reading.cache_write_split == CacheWriteSplit::Known;
            assert_eq!(is_known, split == "known", "{line}");
            assert_eq!(reading.guardrail, units(guardrail), "{line}");
            assert_eq!(reading.intervention == Intervention::Intervened, intervened == "yes", "{line}");
            assert_eq!((reading.tier, reading.unknown_tier, reading.unknown_events), (None, None, 0), "{line}");
        }
    }
}

#[test]
fn no_beginning_of_a_recorded_stream_is_taken_for_the_whole() {
    let Some(exchanges) = exchanges() else {
        println!("skipped: no_beginning_of_a_recorded_stream_is_taken_for_the_whole: ../shared/recorded is absent");
        return;
    };
    let mut streams = 0;
    for exchange in exchanges.iter().filter(|exchange| exchange["status"] == 200) {
        let operation = operation(exchange["operation"].as_str().unwrap());
        if !operation.streams() {
            continue;
        }
        streams += 1;
        let body = STANDARD.decode(exchange["body_b64"].as_str().unwrap()).unwrap();
        let headers = header_map(&[STREAM]);
        // Byte for byte at both ends; in between, where only text is, now and then.
        for cut in (0..body.len()).filter(|cut| *cut < 600 || *cut + 600 > body.len() || cut % 37 == 0) {
            let reading = read_in(operation, 200, &headers, &[&body[..cut]]);
            // No counts: a Titan stream cut between two messages, or a Converse stream cut before its last.
            let is_cut = matches!(reading.ending, Ending::Truncated | Ending::NoCounts);
            assert!(is_cut, "{} cut at {cut}: {reading:?}", exchange["source"]);
            assert_eq!(reading.exact_usage(), None);
        }
    }
    assert!(streams > 0);
}
