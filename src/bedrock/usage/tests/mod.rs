//! The usage reader against answers in every shape that Bedrock has, cut in every way, and against those it has not.
//!
//! The fixtures here are of our own making, in the shapes of real ones; `recorded` runs over real ones where they are.

mod bodies;
mod hostile;
mod recorded;
mod streams;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue as HttpValue, StatusCode};

use super::*;
use crate::types::{GuardrailUnits, TokenUsage};

const STREAM: (&str, &str) = ("content-type", "application/vnd.amazon.eventstream");
const JSON: (&str, &str) = ("content-type", "application/json");

fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HttpValue::from_str(value).unwrap()))
        .collect()
}

fn read_in(operation: Operation, status: u16, headers: &HeaderMap, chunks: &[&[u8]]) -> Reading {
    let mut reader = UsageReader::new(operation, StatusCode::from_u16(status).unwrap(), headers);
    for chunk in chunks {
        reader.observe(chunk);
    }
    reader.finish()
}

/// Reads an answer whole, in single bytes, and in sevens; all must say the same.
fn read(operation: Operation, headers: &[(&str, &str)], body: &[u8]) -> Reading {
    let headers = header_map(headers);
    let whole = read_in(operation, 200, &headers, &[body]);
    for size in [1, 7] {
        let chunks: Vec<&[u8]> = body.chunks(size).collect();
        assert_eq!(read_in(operation, 200, &headers, &chunks), whole, "in chunks of {size}");
    }
    whole
}

fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let headers = headers
        .iter()
        .map(|(name, value)| Header::new((*name).to_owned(), HeaderValue::String((*value).to_owned().into())))
        .collect();
    let mut out = Vec::new();
    write_message_to(&Message::new_from_parts(headers, payload.to_vec()), &mut out).unwrap();
    out
}

fn event(name: &str, payload: &str) -> Vec<u8> {
    message(
        &[(":event-type", name), (":content-type", "application/json"), (":message-type", "event")],
        payload.as_bytes(),
    )
}

fn exception(name: &str) -> Vec<u8> {
    crate::eventstream::exception(name, "no more").to_vec()
}

/// A chunk of an invoke stream, with the padding that Bedrock adds.
fn chunk(document: &str) -> Vec<u8> {
    let padding = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123".get(..document.len() % 50).unwrap();
    event("chunk", &format!(r#"{{"bytes":"{}","p":"{padding}"}}"#, STANDARD.encode(document)))
}

fn chunks(documents: &[&str]) -> Vec<u8> {
    documents.iter().flat_map(|document| chunk(document)).collect()
}

fn tokens(input: u64, output: u64) -> TokenUsage {
    TokenUsage { input, output, ..TokenUsage::default() }
}

/// Units of the first four policies, as a trace of `units(…)` has them.
fn four_policies(each: u64) -> GuardrailUnits {
    GuardrailUnits {
        content_policy: each,
        topic_policy: each,
        word_policy: each,
        sensitive_information_policy: each,
        ..GuardrailUnits::default()
    }
}

/// `invocationMetrics` of an assessment: one unit of each of the first four policies.
const ASSESSED: &str = r#""invocationMetrics":{"guardrailProcessingLatency":9,"usage":{"contentPolicyUnits":1,"topicPolicyUnits":1,"wordPolicyUnits":1,"sensitiveInformationPolicyUnits":1,"sensitiveInformationPolicyFreeUnits":3,"contextualGroundingPolicyUnits":0},"guardrailCoverage":{"textCharacters":{"guarded":4,"total":4}}}"#;

/// A trace as `InvokeModel*` writes it: of a prompt, and of an answer if there was one.
fn invoke_trace(has_output: bool) -> String {
    let output = if has_output {
        format!(r#","modelOutput":["{{\"usage\":{{\"inputTokens\":999}}}}"],"outputs":[{{"gr1":{{{ASSESSED}}}}}]"#)
    } else {
        String::new()
    };
    format!(r#""amazon-bedrock-trace":{{"guardrail":{{"input":{{"gr1":{{{ASSESSED}}}}}{output}}}}}"#)
}

/// A trace as Converse writes it.
fn converse_trace() -> String {
    format!(
        r#""trace":{{"guardrail":{{"inputAssessment":{{"gr1":{{{ASSESSED}}}}},"modelOutput":["x"],"outputAssessments":{{"gr1":[{{"wordPolicy":{{}},{ASSESSED}}},{{{ASSESSED}}}]}}}}}}"#
    )
}
