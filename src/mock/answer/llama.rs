//! Meta Llama.

use super::{Chunk, Extras, Reply, Stop, quoted};

pub(super) fn body(reply: &Reply<'_>) -> String {
    let told = if reply.tells() {
        format!(r#""prompt_token_count":{},"generation_token_count":{},"#, reply.usage.input, reply.usage.output)
    } else {
        String::new()
    };
    format!(r#"{{"generation":{},{told}"stop_reason":"{}"}}"#, quoted(&reply.text()), reason(reply.stop))
}

/// Each chunk tells the tokens generated so far; only the first tells the prompt's.
pub(super) fn chunks(reply: &Reply<'_>) -> Vec<Chunk> {
    let pieces = reply.pieces();
    let last = pieces.len().saturating_sub(1);
    let mut generated = 0;
    let mut chunks = Vec::with_capacity(pieces.len());
    for (at, piece) in pieces.iter().enumerate() {
        generated = (generated + reply.tokens_per_chunk.max(1)).min(reply.usage.output);
        let told = if reply.tells() {
            let prompt = if at == 0 { reply.usage.input.to_string() } else { "null".to_owned() };
            format!(r#""prompt_token_count":{prompt},"generation_token_count":{generated},"#)
        } else {
            String::new()
        };
        let stop = if at == last { format!(r#""{}""#, reason(reply.stop)) } else { "null".to_owned() };
        let json = format!(r#"{{"generation":{},{told}"stop_reason":{stop}}}"#, quoted(piece));
        chunks.push(Chunk { json, extras: if at == last { Extras::Final } else { Extras::Action } });
    }
    chunks
}

fn reason(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn => "stop",
        Stop::MaxTokens => "length",
    }
}
