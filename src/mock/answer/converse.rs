//! Converse and ConverseStream, the same for every family. Members are in alphabetical order, as Bedrock has them.

use std::fmt::Write as _;

use super::{Event, Family, Reply, Stop, padding, quoted};
use crate::mock::answer::guardrail::Action;

pub(super) fn body(reply: &Reply<'_>) -> String {
    format!(
        r#"{{"metrics":{{"latencyMs":{}}},"output":{{"message":{{"content":[{{"text":{}}}],"role":"assistant"}}}}{},"stopReason":"{}"{}{}}}"#,
        reply.latency_ms,
        quoted(&reply.text()),
        tier(reply),
        stop_reason(reply),
        trace(reply),
        usage(reply)
    )
}

pub(super) fn events(reply: &Reply<'_>) -> Vec<Event> {
    let mut events = vec![("messageStart", format!(r#"{{"p":"{}","role":"assistant"}}"#, padding(0)))];
    for (at, piece) in reply.pieces().iter().map(String::as_str).chain([""]).enumerate() {
        let (text, p) = (quoted(piece), padding(at + 1));
        let json = format!(r#"{{"contentBlockIndex":0,"delta":{{"text":{text}}},"p":"{p}"}}"#);
        events.push(("contentBlockDelta", json));
    }
    let p = |offset: usize| padding(reply.latency_ms.to_string().len() + offset);
    events.push(("contentBlockStop", format!(r#"{{"contentBlockIndex":0,"p":"{}"}}"#, p(1))));
    events.push(("messageStop", format!(r#"{{"p":"{}","stopReason":"{}"}}"#, p(2), stop_reason(reply))));
    let metadata = format!(
        r#"{{"metrics":{{"latencyMs":{}}},"p":"{}"{}{}{}}}"#,
        reply.latency_ms,
        p(3),
        tier(reply),
        trace(reply),
        usage(reply)
    );
    events.push(("metadata", metadata));
    events
}

fn tier(reply: &Reply<'_>) -> String {
    reply.tier.map_or_else(String::new, |tier| format!(r#","serviceTier":{{"type":"{tier}"}}"#))
}

fn trace(reply: &Reply<'_>) -> String {
    match &reply.guard {
        Some(guard) if guard.trace => format!(r#","trace":{}"#, guard.converse_trace(reply)),
        _ => String::new(),
    }
}

/// Claude's usage tells the cache counts always, each under two names; Nova's tells them where the cache was used. Writes
/// are split by their time to live where there are any.
fn usage(reply: &Reply<'_>) -> String {
    if !reply.tells() {
        return String::new();
    }
    let (usage, write) = (reply.usage, reply.cache_write());
    let mut members = String::new();
    if write > 0 {
        let detail = |ttl, tokens| (tokens > 0).then(|| format!(r#"{{"inputTokens":{tokens},"ttl":"{ttl}"}}"#));
        let details = [detail("5m", usage.cache_write_5m), detail("1h", usage.cache_write_1h)];
        let details: Vec<String> = details.into_iter().flatten().collect();
        let _ = write!(members, r#""cacheDetails":[{}],"#, details.join(","));
    }
    if reply.caches() && (reply.family == Family::Anthropic || usage.cache_read + write > 0) {
        let read = usage.cache_read;
        let _ = write!(
            members,
            r#""cacheReadInputTokenCount":{read},"cacheReadInputTokens":{read},"cacheWriteInputTokenCount":{write},"cacheWriteInputTokens":{write},"#
        );
    }
    format!(
        r#","usage":{{{members}"inputTokens":{},"outputTokens":{},"totalTokens":{}}}"#,
        usage.input,
        usage.output,
        usage.total()
    )
}

fn stop_reason(reply: &Reply<'_>) -> &'static str {
    match (&reply.guard, reply.stop) {
        (Some(guard), _) if guard.action != Action::None => "guardrail_intervened",
        (_, Stop::EndTurn) => "end_turn",
        (_, Stop::MaxTokens) => "max_tokens",
    }
}
