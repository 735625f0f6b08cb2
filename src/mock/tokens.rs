//! Deterministic token counts: what a test can work out beforehand.
//!
//! Input: four bytes of prompt text make a token, rounded up. Prompt text is every JSON string under `tools`,
//! `toolConfig`, `system`, `messages`, `prompt`, `inputText`, `message`, `chat_history`, `preamble`, `documents` and
//! `texts`, in that order, except the values of `type`, `role`, `cache_control` and `cachePoint`. Binary content (a string
//! under `data` or `bytes`) counts as 1,600 tokens, whatever its size.
//!
//! Prompt cache, for models that have one: each `cache_control` or `cachePoint` closes a prefix of that text. The longest
//! prefix of the same model that was seen before is read from the cache; what follows it, up to the last mark, is written,
//! each stretch for the time its mark says (`ttl` of `1h`, otherwise five minutes); what follows the last mark is input.
//! Nothing expires before a reset and no prefix is too short: the first call writes, every later one reads.
//!
//! Output: the words of the answer, one token each, no more than the request's maximum.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::types::TokenUsage;

const PROMPT_MEMBERS: [&str; 11] = [
    "tools",
    "toolConfig",
    "system",
    "messages",
    "prompt",
    "inputText",
    "message",
    "chat_history",
    "preamble",
    "documents",
    "texts",
];
const BYTES_PER_TOKEN: u64 = 4;
const BINARY_TOKENS: u64 = 1_600;

/// A prompt's text, measured.
#[derive(Debug, Default)]
pub(super) struct Prompt {
    /// Its length in bytes; binary content is in it at its flat rate.
    pub(super) bytes: u64,
    marks: Vec<Mark>,
}

/// The end of a cacheable prefix.
#[derive(Debug)]
struct Mark {
    bytes: u64,
    digest: [u8; 32],
    ttl: Ttl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ttl {
    FiveMinutes,
    OneHour,
}

impl Prompt {
    /// Measures a request's prompt.
    pub(super) fn measure(request: &Value) -> Self {
        let mut walk = Walk { prompt: Self::default(), hash: Sha256::new() };
        for member in PROMPT_MEMBERS {
            if let Some(value) = request.get(member) {
                walk.value(value);
            }
        }
        walk.prompt
    }

    /// All its tokens, cached or not.
    pub(super) const fn tokens(&self) -> u64 {
        tokens(self.bytes)
    }
}

const fn tokens(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

struct Walk {
    prompt: Prompt,
    hash: Sha256,
}

impl Walk {
    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                self.prompt.bytes += text.len() as u64;
                self.hash.update(text.as_bytes());
                self.hash.update([0]);
            }
            Value::Array(values) => values.iter().for_each(|value| self.value(value)),
            Value::Object(members) => self.object(members),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn object(&mut self, members: &serde_json::Map<String, Value>) {
        for (name, value) in members {
            match (name.as_str(), value) {
                ("type" | "role" | "cache_control" | "cachePoint", _) => {}
                ("data" | "bytes", Value::String(data)) => {
                    self.prompt.bytes += BINARY_TOKENS * BYTES_PER_TOKEN;
                    self.hash.update(data.as_bytes());
                    self.hash.update([0]);
                }
                _ => self.value(value),
            }
        }
        if let Some(mark) = members.get("cache_control").or_else(|| members.get("cachePoint"))
            && mark.is_object()
        {
            let one_hour = mark.get("ttl").and_then(Value::as_str) == Some("1h");
            self.prompt.marks.push(Mark {
                bytes: self.prompt.bytes,
                digest: self.hash.clone().finalize().into(),
                ttl: if one_hour { Ttl::OneHour } else { Ttl::FiveMinutes },
            });
        }
    }
}

/// The prefixes seen so far, by model.
#[derive(Debug, Default)]
pub(super) struct PromptCache(Mutex<HashSet<(String, [u8; 32])>>);

impl PromptCache {
    /// Splits a prompt into input, cache reads and cache writes, and remembers its prefixes. Of two equal calls at once,
    /// one writes and the other reads.
    pub(super) fn split(&self, model: &str, prompt: &Prompt) -> TokenUsage {
        let mut usage = TokenUsage::default();
        let Some(last) = prompt.marks.last() else {
            return TokenUsage { input: prompt.tokens(), ..usage };
        };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |mark: &&Mark| seen.contains(&(model.to_owned(), mark.digest));
        let mut upto = prompt.marks.iter().rev().find(known).map_or(0, |mark| tokens(mark.bytes));
        usage.cache_read = upto;
        for mark in &prompt.marks {
            let written = tokens(mark.bytes).saturating_sub(upto);
            upto += written;
            match mark.ttl {
                Ttl::FiveMinutes => usage.cache_write_5m += written,
                Ttl::OneHour => usage.cache_write_1h += written,
            }
            seen.insert((model.to_owned(), mark.digest));
        }
        usage.input = prompt.tokens() - tokens(last.bytes);
        usage
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

const WORDS: [&str; 32] = [
    " This",
    " answer",
    " comes",
    " from",
    " a",
    " look-alike",
    " of",
    " Amazon",
    " Bedrock:",
    " it",
    " asks",
    " no",
    " model,",
    " makes",
    " its",
    " words",
    " up",
    " and",
    " counts",
    " each",
    " of",
    " them",
    " as",
    " one",
    " token,",
    " so",
    " that",
    " a",
    " test",
    " can",
    " be",
    " exact.",
];

/// The text of so many tokens, from token `from` on. The same number gives the same text.
pub(super) fn words(from: u64, count: u64) -> String {
    let start = usize::try_from(from % WORDS.len() as u64).unwrap_or_default();
    let taken = usize::try_from(count).unwrap_or(usize::MAX);
    let text: String = WORDS.iter().cycle().skip(start).take(taken).copied().collect();
    if from == 0 { text.trim_start().to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn four_bytes_of_prompt_text_make_a_token() {
        for (request, tokens) in [
            (json!({"messages": [{"role": "user", "content": "eight by"}]}), 2),
            (json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "eight byt"}]}]}), 3),
            (json!({"prompt": "", "max_tokens": 3, "stop": ["never counted"]}), 0),
            (json!({"messages": [{"content": [{"image": {"format": "", "source": {"bytes": "AAAA"}}}]}]}), 1_600),
        ] {
            assert_eq!(Prompt::measure(&request).tokens(), tokens, "{request}");
        }
    }

    #[test]
    fn a_prefix_is_written_once_and_read_ever_after() {
        let cache = PromptCache::default();
        let request = |question: &str| {
            json!({
                "system": [{"text": "12345678", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
                "messages": [{"content": [{"text": "abcd", "cache_control": {"type": "ephemeral"}}, {"text": question}]}]
            })
        };
        let first = cache.split("m", &Prompt::measure(&request("why")));
        assert_eq!(first, TokenUsage { input: 1, cache_write_1h: 2, cache_write_5m: 1, ..TokenUsage::default() });
        let second = cache.split("m", &Prompt::measure(&request("why not")));
        assert_eq!(second, TokenUsage { input: 2, cache_read: 3, ..TokenUsage::default() });
        let elsewhere = cache.split("other", &Prompt::measure(&request("why")));
        assert_eq!(elsewhere.cache_read, 0);
    }

    #[test]
    fn a_text_is_the_sum_of_its_pieces() {
        let pieces: String = (0..10).map(|piece| words(piece * 7, 7)).collect();
        assert_eq!(pieces, words(0, 70));
    }
}
