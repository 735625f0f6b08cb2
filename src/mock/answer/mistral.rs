//! Mistral: text completion (`prompt`) and chat completion (`messages`). Neither body holds counts; the headers do.

use super::{Chunk, Extras, Reply, Stop, quoted};

pub(super) fn body(reply: &Reply<'_>) -> String {
    object(reply, &reply.text(), Some(reply.stop))
}

pub(super) fn chunks(reply: &Reply<'_>) -> Vec<Chunk> {
    let pieces = reply.pieces();
    let last = pieces.len().saturating_sub(1);
    let chunk = |(at, piece): (usize, &String)| {
        let (stop, extras) = if at == last { (Some(reply.stop), Extras::Final) } else { (None, Extras::Action) };
        Chunk { json: object(reply, piece, stop), extras }
    };
    pieces.iter().enumerate().map(chunk).collect()
}

fn object(reply: &Reply<'_>, text: &str, stop: Option<Stop>) -> String {
    let text = quoted(text);
    let stop = match stop {
        Some(Stop::EndTurn) => r#""stop""#,
        Some(Stop::MaxTokens) => r#""length""#,
        None => "null",
    };
    if reply.request.get("messages").is_some() {
        return format!(
            r#"{{"choices":[{{"index":0,"message":{{"role":"assistant","content":{text}}},"stop_reason":{stop}}}]}}"#
        );
    }
    format!(r#"{{"outputs":[{{"text":{text},"stop_reason":{stop}}}]}}"#)
}
