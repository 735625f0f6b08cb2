//! Amazon Nova's own shape: Converse's words without its event types.

use super::{Chunk, Extras, Reply, Stop, quoted};

pub(super) fn body(reply: &Reply<'_>) -> String {
    format!(
        r#"{{"output":{{"message":{{"content":[{{"text":{}}}],"role":"assistant"}}}},"stopReason":"{}"{}}}"#,
        quoted(&reply.text()),
        stop_reason(reply),
        usage(reply)
    )
}

/// Under a guardrail, Bedrock leaves all but the input tokens out of the body's usage (the headers have the rest).
fn usage(reply: &Reply<'_>) -> String {
    let (input, output) = (reply.usage.input, reply.usage.output);
    if !reply.tells() {
        return String::new();
    }
    if reply.guard.is_some() {
        return format!(r#","usage":{{"inputTokens":{input}}}"#);
    }
    let total = reply.usage.total();
    format!(
        r#","usage":{{"inputTokens":{input},"outputTokens":{output},"totalTokens":{total},"cacheReadInputTokenCount":{},"cacheWriteInputTokenCount":{}}}"#,
        reply.usage.cache_read,
        reply.cache_write()
    )
}

pub(super) fn chunks(reply: &Reply<'_>) -> Vec<Chunk> {
    let mut chunks = vec![plain(r#"{"messageStart":{"role":"assistant"}}"#.to_owned())];
    let pieces = reply.pieces();
    for (index, piece) in pieces.iter().map(String::as_str).chain([""]).enumerate() {
        let text = quoted(piece);
        let json = format!(r#"{{"contentBlockDelta":{{"delta":{{"text":{text}}},"contentBlockIndex":{index}}}}}"#);
        let extras = if piece.is_empty() { Extras::None } else { Extras::Action };
        chunks.push(Chunk { json, extras });
        chunks.push(plain(format!(r#"{{"contentBlockStop":{{"contentBlockIndex":{index}}}}}"#)));
    }
    chunks.push(plain(format!(r#"{{"messageStop":{{"stopReason":"{}"}}}}"#, stop_reason(reply))));
    let told = if reply.tells() {
        format!(
            r#""usage":{{"inputTokens":{},"outputTokens":{},"cacheReadInputTokenCount":{},"cacheWriteInputTokenCount":{}}},"#,
            reply.usage.input,
            reply.usage.output,
            reply.usage.cache_read,
            reply.cache_write()
        )
    } else {
        String::new()
    };
    chunks.push(Chunk {
        json: format!(r#"{{"metadata":{{{told}"metrics":{{}},"trace":{{}}}}}}"#),
        extras: Extras::Final,
    });
    chunks
}

fn plain(json: String) -> Chunk {
    Chunk { json, extras: Extras::None }
}

fn stop_reason(reply: &Reply<'_>) -> &'static str {
    match reply.stop {
        Stop::EndTurn => "end_turn",
        Stop::MaxTokens => "max_tokens",
    }
}
