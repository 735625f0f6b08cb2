//! The payload of a `chunk` of `InvokeModelWithResponseStream`: `{"bytes":"<base64 of the model's own JSON>","p":"…"}`.
//!
//! A long answer comes in thousands of these, of which two or three say what it used. To find those without decoding
//! the others, the base64 text is compared with the base64 of what the interesting ones begin with or hold. Nothing is
//! concluded from such a match but that the chunk is worth decoding; one that is passed over can only make counts
//! missing, never wrong. Decoding goes through a buffer on the stack into the scanner: no copy, no allocation.

use std::borrow::Cow;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use memchr::memmem::Finder;
use serde::Deserialize;

use super::facts::{Facts, Unreadable};
use super::place::Place;
use super::scan::{Outcome, Scanner};

/// Whose stream it is, as far as that shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// Neither of those below, or nothing was seen yet. Its end cannot be told but by its counts.
    #[default]
    Other,
    /// `{"type":"message_start"…`, ending in `message_stop`.
    Anthropic,
    /// `{"messageStart":…`, ending in `metadata`.
    Nova,
}

/// What a look at a chunk's payload showed.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives for a moment on the stack, and boxing would allocate")]
pub(super) enum Look {
    /// It can hold nothing that matters.
    Skipped(Shape),
    /// It was decoded.
    Read(Shape, Facts),
    /// It is not what a chunk's payload is.
    Malformed,
}

/// Looks at the payload of the chunk of this number (from zero), and decodes it if it may matter.
pub(super) fn look(payload: &[u8], number: u64) -> Look {
    // The order of the members and the absence of escapes are Bedrock's habit, not its promise: anything else is read
    // the long way.
    let Some(text) = payload.strip_prefix(b"{\"bytes\":\"") else {
        return look_closely(payload);
    };
    if number >= WATCHED_CHUNKS {
        if begins(text, ANTHROPIC_TEXT) {
            return Look::Skipped(Shape::Anthropic);
        }
        if begins(text, NOVA_TEXT) {
            return Look::Skipped(Shape::Nova);
        }
    }
    let Some((encoded, rest)) = memchr::memchr(b'"', text).and_then(|end| text.split_at_checked(end)) else {
        return Look::Malformed;
    };
    let shape = shape_of(encoded);
    if !begins(encoded, ANTHROPIC_MESSAGE) && !begins(encoded, NOVA_MESSAGE) && !mentions_bedrock(encoded) {
        return Look::Skipped(shape);
    }
    if is_padding(rest) { decode(shape, encoded) } else { look_closely(payload) }
}

/// The first chunks are searched for Bedrock's own members even if they are text: a guardrail's intervention, which is
/// repeated on most chunks, decides whether the model's own counts are to be believed.
const WATCHED_CHUNKS: u64 = 4;

fn look_closely(payload: &[u8]) -> Look {
    #[derive(Deserialize)]
    struct Payload<'a> {
        #[serde(borrow)]
        bytes: Cow<'a, str>,
    }
    serde_json::from_slice::<Payload<'_>>(payload).map_or(Look::Malformed, |payload| {
        let encoded = payload.bytes.as_bytes();
        decode(shape_of(encoded), encoded)
    })
}

fn shape_of(encoded: &[u8]) -> Shape {
    if begins(encoded, ANTHROPIC_TEXT) || begins(encoded, ANTHROPIC_MESSAGE) {
        Shape::Anthropic
    } else if begins(encoded, NOVA_TEXT) || begins(encoded, NOVA_MESSAGE) {
        Shape::Nova
    } else {
        Shape::Other
    }
}

fn begins(text: &[u8], beginnings: &[&[u8]]) -> bool {
    beginnings.iter().any(|beginning| text.starts_with(beginning))
}

fn mentions_bedrock(encoded: &[u8]) -> bool {
    BEDROCK_MEMBER.iter().any(|finder| finder.find(encoded).is_some())
}

/// Whether what follows the value of `bytes` is the end of the payload, with or without `p`.
fn is_padding(rest: &[u8]) -> bool {
    let padding = rest.strip_prefix(b"\",\"p\":\"").and_then(|rest| rest.strip_suffix(b"\"}"));
    rest == b"\"}" || padding.is_some_and(|padding| padding.iter().all(u8::is_ascii_alphanumeric))
}

fn decode(shape: Shape, encoded: &[u8]) -> Look {
    let mut scanner = Scanner::new(Place::InvokeChunk);
    match decode_into(&mut scanner, encoded) {
        Ok(()) if scanner.outcome() == Outcome::Whole => Look::Read(shape, scanner.into_facts()),
        _ => Look::Malformed,
    }
}

fn decode_into(scanner: &mut Scanner, encoded: &[u8]) -> Result<(), Unreadable> {
    let mut decoded = [0; BLOCK_BYTES / 4 * 3];
    let mut blocks = encoded.chunks(BLOCK_BYTES).peekable();
    while let Some(block) = blocks.next() {
        // Only the last block may end in `=`.
        let engine = if blocks.peek().is_some() { &STANDARD_NO_PAD } else { &STANDARD };
        let len = engine.decode_slice(block, &mut decoded).map_err(|_| Unreadable)?;
        scanner.feed(decoded.get(..len).ok_or(Unreadable)?);
    }
    Ok(())
}

/// A multiple of four, so that every block but the last is whole.
const BLOCK_BYTES: usize = 1024;

/// `{"type":"content_block_…` and `{"type":"ping…`: text.
const ANTHROPIC_TEXT: &[&[u8]] = &[b"eyJ0eXBlIjoiY29udGVudF9ibG9j", b"eyJ0eXBlIjoicGluZ"];
/// `{"type":"message_…`: the beginning, the last but one, and the end.
const ANTHROPIC_MESSAGE: &[&[u8]] = &[b"eyJ0eXBlIjoibWVzc2FnZV"];
/// `{"contentBlock…`: text.
const NOVA_TEXT: &[&[u8]] = &[b"eyJjb250ZW50Qmxv"];
/// `{"messageStart…`, `{"messageStop…`, `{"metadata…`.
const NOVA_MESSAGE: &[&[u8]] = &[b"eyJtZXNzYWdlU3Rh", b"eyJtZXNzYWdlU3Rv", b"eyJtZXRhZGF0"];

/// `"amazon-bedrock-`, the beginning of every member that Bedrock adds, as it looks in base64 at each of the three
/// offsets a text can have there, without the characters that also depend on its neighbours.
static BEDROCK_MEMBER: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| [Finder::new(BEDROCK_AT_0), Finder::new(BEDROCK_AT_1), Finder::new(BEDROCK_AT_2)]);
const BEDROCK_AT_0: &[u8] = b"ImFtYXpvbi1iZWRyb2Nr";
const BEDROCK_AT_1: &[u8] = b"JhbWF6b24tYmVkcm9jay";
const BEDROCK_AT_2: &[u8] = b"iYW1hem9uLWJlZHJvY2st";

#[cfg(test)]
mod tests {
    use super::super::facts::Mark;
    use super::*;

    fn encoded(text: &str) -> String {
        STANDARD.encode(text)
    }

    /// The base64 characters that depend on `text` alone if `before` bytes stand before it.
    fn certain(text: &str, before: usize) -> String {
        let padded = format!("{}{text}", "\0".repeat(before));
        let whole = encoded(&padded);
        let first = (before * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        whole[first..last].to_owned()
    }

    #[test]
    fn the_beginnings_are_the_base64_of_what_they_are_said_to_be() {
        let cases = [
            (ANTHROPIC_TEXT, vec!["{\"type\":\"content_block_", "{\"type\":\"ping"]),
            (ANTHROPIC_MESSAGE, vec!["{\"type\":\"message_"]),
            (NOVA_TEXT, vec!["{\"contentBlock"]),
            (NOVA_MESSAGE, vec!["{\"messageStart", "{\"messageStop", "{\"metadata"]),
        ];
        for (beginnings, texts) in cases {
            assert_eq!(beginnings.len(), texts.len());
            for (beginning, text) in beginnings.iter().zip(texts) {
                assert!(certain(text, 0).as_bytes().starts_with(beginning), "{text}: {}", certain(text, 0));
                assert!(beginning.len() * 3 / 4 + 2 >= text.len(), "{text} is longer than what is compared");
            }
        }
        for (before, needle) in [BEDROCK_AT_0, BEDROCK_AT_1, BEDROCK_AT_2].into_iter().enumerate() {
            let certain = certain("\"amazon-bedrock-", before);
            assert!(certain.as_bytes().starts_with(needle), "at {before}: {certain}");
        }
    }

    #[test]
    fn a_member_of_bedrocks_is_found_at_every_offset() {
        for before in 0..20 {
            for after in 0..5 {
                let text = format!("{}\"amazon-bedrock-guardrailAction\"{}", "x".repeat(before), "y".repeat(after));
                assert!(mentions_bedrock(encoded(&text).as_bytes()), "{before} {after}");
            }
        }
        assert!(!mentions_bedrock(encoded("\"amazon-bedroom-guardrailAction\"").as_bytes()));
    }

    #[test]
    fn a_chunk_is_decoded_only_if_it_may_matter() {
        let cases = [
            (r#"{"type":"content_block_delta","index":0,"delta":{"text":"\"amazon-bedrock-"}}"#, "skipped Anthropic"),
            (r#"{"type":"ping"}"#, "skipped Anthropic"),
            (r#"{"type":"message_start","message":{}}"#, "read Anthropic"),
            (r#"{"contentBlockDelta":{"delta":{"text":"x"}},"amazon-bedrock-guardrailAction":"NONE"}"#, "skipped Nova"),
            (r#"{"messageStop":{"stopReason":"end_turn"}}"#, "read Nova"),
            (r#"{"metadata":{}}"#, "read Nova"),
            (r#"{"outputText":"hello","index":0}"#, "skipped Other"),
            (r#"{"outputText":"hello","index":0,"amazon-bedrock-invocationMetrics":{}}"#, "read Other"),
            (r#"{"outputText":"say \"amazon-bedrock-\" twice","index":0}"#, "read Other"),
            (r#"{"outputText":"not JSON,"amazon-bedrock-invocationMetrics":{}"#, "malformed"),
        ];
        for (text, expected) in cases {
            for payload in [
                format!(r#"{{"bytes":"{}"}}"#, encoded(text)),
                format!(r#"{{"bytes":"{}","p":"abcdefABC01"}}"#, encoded(text)),
            ] {
                let seen = match look(payload.as_bytes(), 9) {
                    Look::Skipped(shape) => format!("skipped {shape:?}"),
                    Look::Read(shape, _) => format!("read {shape:?}"),
                    Look::Malformed => "malformed".to_owned(),
                };
                assert_eq!(seen, expected, "{text}");
            }
        }
    }

    #[test]
    fn an_intervention_on_the_first_text_is_seen() {
        for text in [
            r#"{"type":"content_block_delta","delta":{"text":"x"},"amazon-bedrock-guardrailAction":"INTERVENED"}"#,
            r#"{"contentBlockDelta":{"delta":{"text":"x"}},"amazon-bedrock-guardrailAction":"INTERVENED"}"#,
        ] {
            let payload = format!(r#"{{"bytes":"{}"}}"#, encoded(text));
            let Look::Read(_, facts) = look(payload.as_bytes(), 2) else { panic!("not read: {text}") };
            assert!(facts.has(Mark::Intervened));
            assert!(matches!(look(payload.as_bytes(), 4), Look::Skipped(_)));
        }
    }

    #[test]
    fn an_unusual_payload_is_read_the_long_way() {
        let inner = encoded(r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":5}}"#);
        let slashed = inner.replace('M', "\\u004d");
        for payload in [
            format!(r#"{{"p":"abc","bytes":"{inner}"}}"#),
            format!(r#" {{ "bytes" : "{inner}" , "p" : "abc" }} "#),
            format!(r#"{{"bytes":"{inner}","p":"abc","q":[1,2]}}"#),
            format!(r#"{{"p":"","bytes":"{slashed}"}}"#),
        ] {
            let Look::Read(Shape::Anthropic, facts) = look(payload.as_bytes(), 0) else {
                panic!("not read: {payload}");
            };
            assert_eq!(facts.metrics.input, Some(5), "{payload}");
        }
    }

    #[test]
    fn what_is_no_payload_is_malformed() {
        let inner = encoded(r#"{"type":"message_stop"}"#);
        for payload in [
            String::new(),
            "{}".to_owned(),
            r#"{"bytes":"eyJ0eXBlIjoibWVzc2FnZV9zdG9w"#.to_owned(),
            format!(r#"{{"bytes":"{inner}","bytes":"{inner}"}}"#),
            format!(r#"{{"bytes":"{inner}""#),
            r#"{"bytes":7}"#.to_owned(),
            r#"{"bytes":"eyJ0eXBlIjoibWVzc2FnZV9zd*9w"}"#.to_owned(),
            r#"{"bytes":"eyJ0eXBlIjoibWVzc2FnZV9z"}"#.to_owned(),
        ] {
            assert!(matches!(look(payload.as_bytes(), 0), Look::Malformed), "{payload}");
        }
    }

    #[test]
    fn a_document_longer_than_a_block_is_decoded_whole() {
        for filler in [700, 750, 766, 767, 768, 769, 1_000, 5_000] {
            let text = format!(
                r#"{{"type":"message_delta","x":"{}","usage":{{"output_tokens":{filler}}}}}"#,
                "x".repeat(filler)
            );
            let payload = format!(r#"{{"bytes":"{}","p":"ab"}}"#, encoded(&text));
            let Look::Read(_, facts) = look(payload.as_bytes(), 0) else { panic!("not read at {filler}") };
            assert_eq!(facts.usage.output, Some(filler as u64));
        }
    }
}
