//! Bodies that real clients sent to Bedrock.

use super::*;
use std::path::PathBuf;

/// Operation and body of every recorded exchange, or nothing, said aloud, where they are absent.
fn recorded(test: &str) -> Vec<(Operation, Bytes)> {
    let file = std::env::var_os("TOLLGATE_RECORDED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/recorded/exchanges.jsonl")),
        PathBuf::from,
    );
    let Ok(lines) = std::fs::read_to_string(file) else {
        println!("skipped: {test}: ../shared/recorded is absent");
        return Vec::new();
    };
    let exchanges: Vec<_> = lines
        .lines()
        .filter_map(|line| {
            let exchange: Value = serde_json::from_str(line).unwrap();
            let operation = match exchange["operation"].as_str().unwrap() {
                "invoke" => Operation::InvokeModel,
                "invoke-with-response-stream" => Operation::InvokeModelWithResponseStream,
                "converse" => Operation::Converse,
                "converse-stream" => Operation::ConverseStream,
                _ => return None,
            };
            Some((operation, Bytes::copy_from_slice(exchange["request_body"].as_str().unwrap().as_bytes())))
        })
        .collect();
    assert!(!exchanges.is_empty());
    exchanges
}

#[test]
fn recorded_converse_bodies_leave_with_the_guardrail_and_are_otherwise_the_same() {
    let owed = owed(|rule| rule.selective = Selective::Allow);
    for (operation, body) in recorded("recorded_converse_bodies_leave_with_the_guardrail_and_are_otherwise_the_same") {
        if !operation.is_converse() {
            continue;
        }
        let original = json(&body);
        let answer = guard(operation, Some(&owed), &HeaderMap::new(), &body);
        if original.get("guardrailConfig").is_some() {
            assert_eq!(code(answer).err(), Some("guardrail_different"));
            continue;
        }
        let mut expected = original;
        expected["guardrailConfig"] = serde_json::json!({"guardrailIdentifier": "abc123", "guardrailVersion": "3"});
        let spliced = answer.unwrap().body.together();
        assert_eq!(json(&spliced), expected);
        assert!(spliced.ends_with(&body[1..]));
    }
}

#[test]
fn recorded_invoke_bodies_are_not_touched() {
    for (operation, body) in recorded("recorded_invoke_bodies_are_not_touched") {
        if operation.is_invoke() {
            let edits =
                guard(operation, Some(&owed(|rule| rule.selective = Selective::Allow)), &HeaderMap::new(), &body);
            assert_eq!(edits.unwrap().body.together().as_ptr(), body.as_ptr());
        }
    }
}

#[test]
fn recorded_bodies_say_how_long_their_answers_may_be() {
    let claude = "anthropic.claude-3-haiku-20240307-v1:0".parse().unwrap();
    for (operation, body) in recorded("recorded_bodies_say_how_long_their_answers_may_be") {
        let facts = RequestFacts::read(operation, &body);
        assert!(facts.guard_fields().is_ok());
        let value = json(&body);
        let said = if operation.is_converse() {
            value["inferenceConfig"]["maxTokens"].as_u64().filter(|_| value["additionalModelRequestFields"].is_null())
        } else {
            value["max_tokens"].as_u64().or_else(|| value["max_tokens_to_sample"].as_u64())
        };
        if said.is_some() {
            assert_eq!(facts.max_output_tokens(&claude), said);
        }
    }
}
