//! Models that are billed by the piece: images made, documents ranked. Their answers count nothing.

use serde_json::{Value, json};

use super::Reply;

/// Images as Titan and Nova Canvas answer with them, and nearly as Stability does. Each is the same transparent pixel.
pub(super) fn images(reply: &Reply<'_>) -> String {
    let asked = ["/imageGenerationConfig/numberOfImages", "/samples"];
    let count = asked.iter().find_map(|name| reply.request.pointer(name).and_then(Value::as_u64)).unwrap_or(1).min(10);
    let images: Vec<_> = (0..count).map(|_| PIXEL).collect();
    json!({ "images": images }).to_string()
}

/// The documents in the order in which they came.
pub(super) fn ranks(reply: &Reply<'_>) -> String {
    let documents = reply.request.get("documents").and_then(Value::as_array).map_or(0, Vec::len);
    let most = reply.request.get("top_n").and_then(Value::as_u64).and_then(|most| usize::try_from(most).ok());
    let ranked = most.map_or(documents, |most| most.min(documents));
    let results: Vec<_> = (0..ranked).map(|index| json!({ "index": index, "relevance_score": 0.5 })).collect();
    json!({ "results": results }).to_string()
}

const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
