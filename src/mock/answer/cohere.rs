//! Cohere Command (generations), Command R (chat) and Embed. No body holds counts; the headers do.

use serde_json::Value;

use super::{Chunk, Extras, Reply, Stop, quoted, titan};

pub(super) fn generations(reply: &Reply<'_>) -> String {
    let id = reply.request_id;
    let prompt = reply.request.get("prompt").and_then(Value::as_str).unwrap_or_default();
    format!(
        r#"{{"id":"{id}","generations":[{{"id":"{id}","text":{},"finish_reason":"{}"}}],"prompt":{}}}"#,
        quoted(&reply.text()),
        reason(reply.stop),
        quoted(prompt)
    )
}

pub(super) fn generation_chunks(reply: &Reply<'_>) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = reply.pieces().iter().map(|piece| text_chunk("", piece)).collect();
    let json = format!(r#"{{"is_finished":true,"finish_reason":"{}"}}"#, reason(reply.stop));
    chunks.push(Chunk { json, extras: Extras::Final });
    chunks
}

pub(super) fn chat(reply: &Reply<'_>) -> String {
    let text = quoted(&reply.text());
    let mut history = reply.request.get("chat_history").and_then(Value::as_array).cloned().unwrap_or_default();
    let message = reply.request.get("message").and_then(Value::as_str).unwrap_or_default();
    history.push(serde_json::json!({ "role": "USER", "message": message }));
    history.push(serde_json::json!({ "role": "CHATBOT", "message": reply.text() }));
    format!(
        r#"{{"response_id":"{id}","text":{text},"generation_id":"{id}","chat_history":{},"finish_reason":"{}"}}"#,
        Value::Array(history),
        reason(reply.stop),
        id = reply.request_id
    )
}

pub(super) fn chat_chunks(reply: &Reply<'_>) -> Vec<Chunk> {
    let kind = r#""event_type":"text-generation","#;
    let mut chunks: Vec<Chunk> = reply.pieces().iter().map(|piece| text_chunk(kind, piece)).collect();
    let stop = reason(reply.stop);
    let json = format!(
        r#"{{"event_type":"stream-end","finish_reason":"{stop}","response":{{"text":{},"finish_reason":"{stop}"}},"is_finished":true}}"#,
        quoted(&reply.text())
    );
    chunks.push(Chunk { json, extras: Extras::Final });
    chunks
}

pub(super) fn embedding(reply: &Reply<'_>) -> String {
    let texts = reply.request.get("texts").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    let count = texts.as_array().map_or(0, Vec::len);
    let vectors = vec![titan::vector(1_024); count].join(",");
    let id = reply.request_id;
    format!(r#"{{"id":"{id}","texts":{texts},"embeddings":[{vectors}],"response_type":"embeddings_floats"}}"#)
}

fn text_chunk(kind: &str, piece: &str) -> Chunk {
    let json = format!(r#"{{{kind}"text":{},"is_finished":false}}"#, quoted(piece));
    Chunk { json, extras: Extras::Action }
}

fn reason(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn => "COMPLETE",
        Stop::MaxTokens => "MAX_TOKENS",
    }
}
