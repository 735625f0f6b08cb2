//! Amazon Titan Text and Titan Embeddings.
//!
//! Under a guardrail Bedrock re-serialises Titan's answers and its integers become floats (`28.0`).

use std::fmt::Write as _;

use serde_json::Value;

use super::{Chunk, Extras, Reply, Stop, quoted};

pub(super) fn body(reply: &Reply<'_>) -> String {
    let result = format!(r#""outputText":{},"completionReason":"{}""#, quoted(&reply.text()), reason(reply.stop));
    if !reply.tells() {
        return format!(r#"{{"results":[{{{result}}}]}}"#);
    }
    format!(
        r#"{{"inputTextTokenCount":{},"results":[{{"tokenCount":{},{result}}}]}}"#,
        count(reply, reply.usage.input),
        count(reply, reply.usage.output)
    )
}

pub(super) fn chunks(reply: &Reply<'_>) -> Vec<Chunk> {
    let pieces = reply.pieces();
    let last = pieces.len().saturating_sub(1);
    let index = count(reply, 0);
    let chunk = |(at, piece): (usize, &String)| {
        let mut json = format!(r#"{{"outputText":{},"index":{index}"#, quoted(piece));
        if at == last {
            if reply.tells() {
                let _ = write!(json, r#","totalOutputTextTokenCount":{}"#, count(reply, reply.usage.output));
            }
            if !reply.is_blocked() {
                let _ = write!(json, r#","completionReason":"{}""#, reason(reply.stop));
            }
        }
        if at == 0 && reply.tells() {
            let _ = write!(json, r#","inputTextTokenCount":{}"#, count(reply, reply.usage.input));
        }
        json.push('}');
        Chunk { json, extras: if at == last { Extras::Final } else { Extras::Action } }
    };
    pieces.iter().enumerate().map(chunk).collect()
}

pub(super) fn embedding(reply: &Reply<'_>) -> String {
    let dimensions = reply.request.get("dimensions").and_then(Value::as_u64).unwrap_or(1_024).min(1_536);
    let vector = vector(dimensions);
    let told = if reply.tells() { format!(r#","inputTextTokenCount":{}"#, reply.usage.input) } else { String::new() };
    format!(r#"{{"embedding":{vector},"embeddingsByType":{{"float":{vector}}}{told}}}"#)
}

/// A made-up unit-free vector; the same for every text.
pub(super) fn vector(dimensions: u64) -> String {
    let numbers: Vec<String> = (0..dimensions).map(|at| format!("0.{:03}", at * 37 % 1_000)).collect();
    format!("[{}]", numbers.join(","))
}

fn count(reply: &Reply<'_>, count: u64) -> String {
    if reply.guard.is_some() { format!("{count}.0") } else { count.to_string() }
}

fn reason(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn => "FINISH",
        Stop::MaxTokens => "LENGTH",
    }
}
