//! What is known of foundation models by their ids, in AWS's words: `ListFoundationModels` as of 2026.
//!
//! A model that is not in these lists is a model all the same; nothing is guessed of it.

use serde::Serialize;

use crate::types::ModelId;

/// What goes into a model and what comes out of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Modalities {
    #[serde(rename = "inputModalities")]
    pub(super) input: &'static [&'static str],
    #[serde(rename = "outputModalities")]
    pub(super) output: &'static [&'static str],
    pub(super) response_streaming_supported: bool,
}

/// The name that AWS gives the maker of a model.
pub(super) fn provider(model: &ModelId) -> Option<&'static str> {
    PROVIDERS.iter().find(|(word, _)| *word == model.provider()).map(|(_, name)| *name)
}

/// What a model takes and gives; the first line that its id begins with tells.
pub(super) fn modalities(model: &ModelId) -> Option<Modalities> {
    let known = MODALITIES.iter().find(|(start, ..)| model.as_str().starts_with(start));
    known.map(|(_, input, output, streams)| Modalities { input, output, response_streaming_supported: *streams })
}

/// The name of a model of those two families whose names AWS makes of their ids: words in capitals, the numbers of a version with
/// dots, and of several editions that after the first (`Claude 3.5 Sonnet v2`).
pub(super) fn name(model: &ModelId) -> Option<String> {
    let (_, id) = model.as_str().split_once('.')?;
    if !NAMED.iter().any(|family| id.starts_with(family)) {
        return None;
    }
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (mut name, mut after_number, mut dated) = (String::new(), false, false);
    for part in id.split(':').next()?.split('-') {
        let edition = part.strip_prefix('v').filter(|edition| digits(edition));
        if digits(part) && part.len() == DATE {
            dated = true;
            continue;
        }
        if edition.is_some_and(|edition| !dated || edition == "1") {
            continue;
        }
        let joined = if name.is_empty() {
            ""
        } else if after_number && digits(part) {
            "."
        } else {
            " "
        };
        name.push_str(joined);
        let (first, rest) = part.split_at_checked(1)?;
        name.push_str(&if edition.is_some() { first.to_owned() } else { first.to_ascii_uppercase() });
        name.push_str(rest);
        after_number = digits(part);
    }
    Some(name)
}

/// Digits of a date.
const DATE: usize = 8;

const NAMED: [&str; 6] = ["claude-", "nova-2-lite", "nova-lite", "nova-micro", "nova-premier", "nova-pro"];

const PROVIDERS: [(&str, &str); 14] = [
    ("ai21", "AI21 Labs"),
    ("amazon", "Amazon"),
    ("anthropic", "Anthropic"),
    ("cohere", "Cohere"),
    ("deepseek", "DeepSeek"),
    ("google", "Google"),
    ("luma", "Luma AI"),
    ("meta", "Meta"),
    ("mistral", "Mistral AI"),
    ("openai", "OpenAI"),
    ("qwen", "Qwen"),
    ("stability", "Stability AI"),
    ("twelvelabs", "TwelveLabs"),
    ("writer", "Writer"),
];

type Words = &'static [&'static str];

const TEXT: Words = &["TEXT"];
const IMAGE: Words = &["IMAGE"];
const EMBEDDING: Words = &["EMBEDDING"];
const TEXT_IMAGE: Words = &["TEXT", "IMAGE"];
const TEXT_IMAGE_VIDEO: Words = &["TEXT", "IMAGE", "VIDEO"];

/// How an id begins, what goes in, what comes out, and whether it streams.
const MODALITIES: [(&str, Words, Words, bool); 33] = [
    ("ai21.jamba-", TEXT, TEXT, true),
    ("amazon.nova-canvas-", TEXT_IMAGE, IMAGE, false),
    ("amazon.nova-micro-", TEXT, TEXT, true),
    ("amazon.nova-lite-", TEXT_IMAGE_VIDEO, TEXT, true),
    ("amazon.nova-pro-", TEXT_IMAGE_VIDEO, TEXT, true),
    ("amazon.nova-premier-", TEXT_IMAGE_VIDEO, TEXT, true),
    ("amazon.nova-2-lite-", TEXT_IMAGE_VIDEO, TEXT, true),
    ("amazon.titan-embed-image-", TEXT_IMAGE, EMBEDDING, false),
    ("amazon.titan-embed-", TEXT, EMBEDDING, false),
    ("amazon.titan-image-", TEXT_IMAGE, IMAGE, false),
    ("amazon.titan-text-", TEXT, TEXT, true),
    ("anthropic.claude-instant-", TEXT, TEXT, true),
    ("anthropic.claude-v", TEXT, TEXT, true),
    ("anthropic.claude-", TEXT_IMAGE, TEXT, true),
    ("cohere.command-", TEXT, TEXT, true),
    ("cohere.embed-v4", TEXT_IMAGE, EMBEDDING, false),
    ("cohere.embed-", TEXT, EMBEDDING, false),
    ("deepseek.", TEXT, TEXT, true),
    ("meta.llama3-2-11b-", TEXT_IMAGE, TEXT, true),
    ("meta.llama3-2-90b-", TEXT_IMAGE, TEXT, true),
    ("meta.llama4-", TEXT_IMAGE, TEXT, true),
    ("meta.llama", TEXT, TEXT, true),
    ("mistral.mistral-7b-", TEXT, TEXT, true),
    ("mistral.mistral-large-24", TEXT, TEXT, true),
    ("mistral.mistral-small-24", TEXT, TEXT, true),
    ("mistral.mixtral-", TEXT, TEXT, true),
    ("mistral.pixtral-", TEXT_IMAGE, TEXT, true),
    ("openai.gpt-oss-", TEXT, TEXT, true),
    ("qwen.qwen3-vl-", TEXT_IMAGE, TEXT, true),
    ("qwen.qwen3-", TEXT, TEXT, true),
    ("stability.sd3-", TEXT_IMAGE, IMAGE, false),
    ("stability.stable-image-core-", TEXT, IMAGE, false),
    ("writer.palmyra-x", TEXT, TEXT, true),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_aws_gives() {
        for (id, wanted) in [
            ("anthropic.claude-sonnet-4-5-20250929-v1:0", Some("Claude Sonnet 4.5")),
            ("anthropic.claude-3-5-sonnet-20241022-v2:0", Some("Claude 3.5 Sonnet v2")),
            ("anthropic.claude-3-haiku-20240307-v1:0", Some("Claude 3 Haiku")),
            ("anthropic.claude-opus-4-6-v1", Some("Claude Opus 4.6")),
            ("anthropic.claude-sonnet-4-20250514-v1:0", Some("Claude Sonnet 4")),
            ("anthropic.claude-v2:1", Some("Claude")),
            ("anthropic.claude-instant-v1", Some("Claude Instant")),
            ("amazon.nova-lite-v1:0", Some("Nova Lite")),
            ("amazon.nova-premier-v1:0", Some("Nova Premier")),
            ("amazon.nova-2-lite-v1:0", Some("Nova 2 Lite")),
            ("meta.llama3-3-70b-instruct-v1:0", None),
            ("newcomer.claude", None),
        ] {
            assert_eq!(name(&id.parse().unwrap()).as_deref(), wanted, "{id}");
        }
    }

    #[test]
    fn a_line_that_another_hides_is_of_no_use() {
        for (at, (start, ..)) in MODALITIES.iter().enumerate() {
            let first = MODALITIES.iter().position(|(other, ..)| start.starts_with(other));
            assert_eq!(first, Some(at), "{start}");
            let maker = start.split('.').next().unwrap();
            assert!(PROVIDERS.iter().any(|(word, _)| *word == maker), "{maker}");
        }
    }
}
