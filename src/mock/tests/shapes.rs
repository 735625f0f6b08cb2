//! Our answers have the members that Bedrock's recorded answers have, and no others but those that came later.

use std::collections::BTreeSet;
use std::path::PathBuf;

use base64::Engine as _;

use super::*;

fn recorded() -> Option<Vec<Value>> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recorded/exchanges.jsonl");
    let path = std::env::var_os("TOLLGATE_RECORDED").map_or(beside, PathBuf::from);
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Members that newer answers have, which were not there when the exchanges were recorded, or not for every model.
const LATER: [&str; 15] = [
    "/cache_creation",
    "/cache_creation_input_tokens",
    "/cache_read_input_tokens",
    "/cacheReadInputTokenCount",
    "/cacheReadInputTokens",
    "/cacheWriteInputTokenCount",
    "/cacheWriteInputTokens",
    "/actionReason",
    "/automatedReasoningPolicies",
    "/automatedReasoningPolicyUnits",
    "/contentPolicyImageUnits",
    "/appliedGuardrailDetails",
    "/detected",
    "/modelOutput",
    "/p",
];
/// Findings of policies that the look-alike does not play.
const OTHER_FINDINGS: [&str; 3] = ["/contextualGroundingPolicy", "/regexes", "/sensitiveInformationPolicy"];

fn paths(value: &Value, at: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                // Guardrail ids are names of members.
                let name = if at.ends_with("ssessment")
                    || at.ends_with("ssessments")
                    || at.ends_with("/input")
                    || at.ends_with("/outputs/*")
                {
                    "ID"
                } else {
                    name
                };
                let at = format!("{at}/{name}");
                into.insert(at.clone());
                paths(value, &at, into);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| paths(value, &format!("{at}/*"), into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn members(stream: bool, body: &[u8]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if stream {
        for (kind, payload) in decoded(body).unwrap() {
            // The variants of one family's chunks are told apart by their type.
            let variant = payload.get("type").and_then(Value::as_str).unwrap_or_default();
            if variant == "ping" {
                continue;
            }
            paths(&payload, &format!("{kind}{variant}"), &mut found);
        }
    } else {
        paths(&serde_json::from_slice(body).unwrap(), "", &mut found);
    }
    found
}

fn header_names<'h>(names: impl Iterator<Item = &'h str>) -> BTreeSet<String> {
    const TRANSPORT: [&str; 4] = ["connection", "content-length", "date", "transfer-encoding"];
    names
        .map(str::to_ascii_lowercase)
        .filter(|name| !TRANSPORT.contains(&name.as_str()) && !name.contains("cache-"))
        .collect()
}

#[tokio::test]
async fn our_answers_have_the_members_of_recorded_ones() {
    let Some(exchanges) = recorded() else {
        println!("skipped: our_answers_have_the_members_of_recorded_ones: ../shared/recorded is absent");
        return;
    };
    let config = MockConfig { foundation_models: FoundationModels::Allow, ..config() };
    let mock = MockBedrock::start(config).await.unwrap();
    let mut compared = BTreeSet::new();
    for exchange in exchanges {
        let field = |name: &str| exchange[name].as_str().unwrap();
        let body = base64::engine::general_purpose::STANDARD.decode(field("body_b64")).unwrap();
        let stream = field("operation").contains("stream") && exchange["status"] == 200;
        let theirs = members(stream, &body);
        let text =
            if stream { format!("{:?}", decoded(&body).unwrap()) } else { String::from_utf8_lossy(&body).into_owned() };
        let (sagemaker, ai21) = (field("model").contains("sagemaker"), field("model").starts_with("ai21"));
        let tools = ["toolUse", "tool_use"].iter().any(|word| text.contains(word));
        let completion = text.contains("completion\":") || text.contains("completion\": String");
        if sagemaker || ai21 || tools || completion {
            continue;
        }
        let guarded = text.contains("amazon-bedrock-guardrailAction");
        if text.contains("Input blocked") {
            mock.queue("guardrail-intervened", 1).unwrap();
        } else if text.contains("INTERVENED") || text.contains("guardrail_intervened") {
            mock.queue("guardrail-intervened=output", 1).unwrap();
        }
        let headers = [
            ("x-amzn-bedrock-guardrailidentifier", "gr1"),
            ("x-amzn-bedrock-guardrailversion", "1"),
            ("x-amzn-bedrock-trace", "ENABLED"),
        ];
        let reply = call(&mock, field("path"), if guarded { &headers } else { &[] }, field("request_body")).await;
        let source = field("source");
        assert_eq!(Value::from(reply.status.as_u16()), exchange["status"], "{source}: {:?}", reply.body);
        let ours = members(stream, &reply.body);
        let is_in = |list: &[&str], path: &str| {
            list.iter().any(|name| path.ends_with(name) || path.contains(&format!("{name}/")))
        };
        let missing: Vec<&String> = theirs.difference(&ours).filter(|path| !is_in(&OTHER_FINDINGS, path)).collect();
        let extra: Vec<&String> =
            ours.difference(&theirs).filter(|path| !is_in(&LATER, path) && !is_in(&OTHER_FINDINGS, path)).collect();
        assert!(missing.is_empty() && extra.is_empty(), "{source}: missing {missing:?}, extra {extra:?}");
        let names = header_names(exchange["headers"].as_object().unwrap().keys().map(String::as_str));
        assert_eq!(header_names(reply.headers.keys().map(http::HeaderName::as_str)), names, "{source}");
        compared.insert((field("operation").to_owned(), Family::of(&family_id(field("model")))));
    }
    println!("compared: {compared:?}");
    assert!(compared.len() >= 15, "{compared:?}");
}

use crate::mock::answer::Family;

fn family_id(model: &str) -> crate::types::ModelId {
    let id = model.rsplit('/').next().unwrap();
    id.parse().unwrap_or_else(|_| "nobody.none".parse().unwrap())
}
