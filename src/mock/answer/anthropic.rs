//! Claude's Messages API as Bedrock carries it.

use super::{Chunk, Extras, Reply, Stop, quoted};

pub(super) fn body(reply: &Reply<'_>) -> String {
    format!(
        r#"{{"id":"{}","type":"message","role":"assistant","model":"{}","content":[{{"type":"text","text":{}}}],"stop_reason":"{}","stop_sequence":null{}}}"#,
        message_id(reply),
        name(reply.model),
        quoted(&reply.text()),
        stop_reason(reply.stop),
        usage(reply, reply.usage.output)
    )
}

/// The first chunk: it alone holds an id, and the cache writes split by their time to live.
pub(super) fn message_start(reply: &Reply<'_>) -> String {
    format!(
        r#"{{"type":"message_start","message":{{"id":"{}","type":"message","role":"assistant","model":"{}","content":[],"stop_reason":null,"stop_sequence":null{}}}}}"#,
        message_id(reply),
        name(reply.model),
        usage(reply, 1)
    )
}

/// Everything after `message_start`.
pub(super) fn chunks(reply: &Reply<'_>) -> Vec<Chunk> {
    let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let mut chunks = vec![plain(start), plain(r#"{"type":"ping"}"#)];
    chunks.extend(reply.pieces().iter().map(|piece| {
        let json = format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":{}}}}}"#,
            quoted(piece)
        );
        Chunk { json, extras: Extras::Action }
    }));
    chunks.push(plain(r#"{"type":"content_block_stop","index":0}"#));
    let told =
        if reply.tells() { format!(r#","usage":{{"output_tokens":{}}}"#, reply.usage.output) } else { String::new() };
    let stop = stop_reason(reply.stop);
    chunks.push(plain(&format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"{stop}","stop_sequence":null}}{told}}}"#
    )));
    chunks.push(Chunk { json: r#"{"type":"message_stop"}"#.to_owned(), extras: Extras::Final });
    chunks
}

fn plain(json: &str) -> Chunk {
    Chunk { json: json.to_owned(), extras: Extras::None }
}

fn usage(reply: &Reply<'_>, output: u64) -> String {
    if !reply.tells() {
        return String::new();
    }
    let usage = reply.usage;
    if !reply.caches() {
        return format!(r#","usage":{{"input_tokens":{},"output_tokens":{output}}}"#, usage.input);
    }
    format!(
        r#","usage":{{"input_tokens":{},"cache_creation_input_tokens":{},"cache_read_input_tokens":{},"cache_creation":{{"ephemeral_5m_input_tokens":{},"ephemeral_1h_input_tokens":{}}},"output_tokens":{output}}}"#,
        usage.input,
        reply.cache_write(),
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h
    )
}

fn stop_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn => "end_turn",
        Stop::MaxTokens => "max_tokens",
    }
}

fn message_id(reply: &Reply<'_>) -> String {
    let unique: String = reply.request_id.chars().filter(char::is_ascii_alphanumeric).take(22).collect();
    format!("msg_bdrk_01{unique}")
}

/// `anthropic.claude-3-haiku-20240307-v1:0` calls itself `claude-3-haiku-20240307`.
fn name(model: &str) -> &str {
    let name = model.strip_prefix("anthropic.").unwrap_or(model);
    match name.rsplit_once("-v") {
        Some((before, version)) if before.contains('-') && version.starts_with(|c: char| c.is_ascii_digit()) => before,
        _ => name,
    }
}
