//! What answers look like, by provider family: bodies, the JSON inside stream messages, and the headers with the counts.
//!
//! Shapes are those that were recorded from Bedrock; where a family's shape was never recorded (streams of Llama, Mistral
//! and Cohere; inputs blocked on other families than Titan) it is the documented one.

mod anthropic;
mod cohere;
mod converse;
pub(super) mod guardrail;
mod llama;
mod mistral;
mod nova;
mod pieces;
mod titan;

use std::fmt::Write as _;

use serde_json::Value;

use self::guardrail::{Action, Guard};
use super::tokens::words;
use crate::bedrock::Operation;
use crate::types::{ModelId, ServiceTier, TokenUsage};

/// Models whose requests and answers have the same shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Family {
    Anthropic,
    Nova,
    Titan,
    TitanEmbed,
    Llama,
    Mistral,
    CohereCommand,
    CohereChat,
    CohereEmbed,
    Images,
    Rerank,
}

impl Family {
    /// The family of a foundation model or system-defined profile; `None` for models that are not imitated.
    pub(super) fn of(id: &ModelId) -> Option<Self> {
        let base = id.base();
        let (provider, name) = base.as_str().split_once('.')?;
        match provider {
            "anthropic" => Some(Self::Anthropic),
            "meta" => Some(Self::Llama),
            "mistral" => Some(Self::Mistral),
            "stability" => Some(Self::Images),
            "amazon" if name.starts_with("nova-canvas") || name.starts_with("titan-image") => Some(Self::Images),
            "amazon" | "cohere" if name.starts_with("rerank") => Some(Self::Rerank),
            "amazon" if name.starts_with("nova-") => Some(Self::Nova),
            "amazon" if name.starts_with("titan-embed") => Some(Self::TitanEmbed),
            "amazon" if name.starts_with("titan-") => Some(Self::Titan),
            "cohere" if name.starts_with("embed") => Some(Self::CohereEmbed),
            "cohere" if name.starts_with("command-r") => Some(Self::CohereChat),
            "cohere" => Some(Self::CohereCommand),
            _ => None,
        }
    }

    /// Whether it answers with text, rather than with vectors, images or ranks.
    pub(super) const fn generates_text(self) -> bool {
        !matches!(self, Self::TitanEmbed | Self::CohereEmbed) && self.counts_tokens()
    }

    /// Whether it is billed by the token, and its answers say how many.
    pub(super) const fn counts_tokens(self) -> bool {
        !matches!(self, Self::Images | Self::Rerank)
    }

    /// What an InvokeModel body must have.
    pub(super) const fn required(self) -> &'static [&'static str] {
        match self {
            Self::Anthropic => &["max_tokens", "messages"],
            Self::Nova => &["messages"],
            Self::Titan | Self::TitanEmbed => &["inputText"],
            Self::Llama | Self::CohereCommand => &["prompt"],
            Self::CohereChat => &["message"],
            // Mistral takes a prompt or a chat, Cohere's embedder texts or images.
            Self::Mistral | Self::CohereEmbed | Self::Images => &[],
            Self::Rerank => &["query", "documents"],
        }
    }

    /// Whether Bedrock caches prompts for the model, and so tells cache counts of it.
    pub(super) fn caches(self, model: &str) -> bool {
        const WITHOUT: [&str; 6] = [
            "anthropic.claude-v2",
            "anthropic.claude-instant",
            "anthropic.claude-3-haiku",
            "anthropic.claude-3-sonnet",
            "anthropic.claude-3-opus",
            "anthropic.claude-3-5-sonnet-20240620",
        ];
        self == Self::Nova || (self == Self::Anthropic && !WITHOUT.iter().any(|without| model.starts_with(without)))
    }
}

/// Why the text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stop {
    EndTurn,
    MaxTokens,
}

/// Whether the answer says what it cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Counts {
    Told,
    Withheld,
}

/// All that decides what an answer says.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    pub(super) operation: Operation,
    pub(super) family: Family,
    /// The foundation model's id.
    pub(super) model: &'a str,
    pub(super) request: &'a Value,
    /// The `x-amzn-RequestId`, from which other ids are made.
    pub(super) request_id: &'a str,
    /// The counts as the answer tells them.
    pub(super) usage: TokenUsage,
    pub(super) stop: Stop,
    pub(super) counts: Counts,
    pub(super) tier: Option<ServiceTier>,
    pub(super) guard: Option<Guard>,
    pub(super) tokens_per_chunk: u64,
    pub(super) latency_ms: u64,
    pub(super) first_byte_ms: u64,
}

/// What a message of a stream carries besides the model's own JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extras {
    /// Nothing.
    None,
    /// The guardrail's action, where there is a guardrail.
    Action,
    /// The action, the trace and the invocation metrics: the last message.
    Final,
}

/// One message of an InvokeModelWithResponseStream answer, before it is put into an envelope.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) json: String,
    pub(super) extras: Extras,
}

/// One message of any stream: its `:event-type` and its payload.
pub(super) type Event = (&'static str, String);

impl Reply<'_> {
    /// The whole text.
    pub(super) fn text(&self) -> String {
        self.pieces().concat()
    }

    /// The text as the model wrote it, before a guardrail changed it.
    pub(super) fn unguarded_text(&self) -> String {
        words(0, self.usage.output)
    }

    /// The text, cut as a stream tells it.
    fn pieces(&self) -> Vec<String> {
        let action = self.guard.as_ref().map(|guard| guard.action);
        if action == Some(Action::Blocked) {
            return vec![guardrail::BLOCKED_TEXT.to_owned()];
        }
        let step = self.tokens_per_chunk.max(1);
        let mut pieces: Vec<String> = (0..self.usage.output)
            .step_by(usize::try_from(step).unwrap_or(usize::MAX))
            .map(|from| words(from, step.min(self.usage.output - from)))
            .collect();
        if action == Some(Action::Masked)
            && let Some(last) = pieces.last_mut()
        {
            let kept = last.rfind(' ').map_or(0, |at| at + 1);
            last.truncate(kept);
            last.push_str(guardrail::MASK);
        }
        pieces
    }

    fn is_blocked(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.action == Action::Blocked)
    }

    /// Whether the answer tells counts at all.
    fn tells(&self) -> bool {
        self.counts == Counts::Told
    }

    fn caches(&self) -> bool {
        self.family.caches(self.model)
    }

    fn cache_write(&self) -> u64 {
        self.usage.cache_write_5m + self.usage.cache_write_1h
    }

    /// The body of an answer that is no stream.
    pub(super) fn body(&self) -> String {
        if self.operation.is_converse() {
            return converse::body(self);
        }
        let json = match self.family {
            Family::Anthropic => anthropic::body(self),
            Family::Nova => nova::body(self),
            Family::Titan => titan::body(self),
            Family::TitanEmbed => titan::embedding(self),
            Family::Llama => llama::body(self),
            Family::Mistral => mistral::body(self),
            Family::CohereCommand => cohere::generations(self),
            Family::CohereChat => cohere::chat(self),
            Family::CohereEmbed => cohere::embedding(self),
            Family::Images => pieces::images(self),
            Family::Rerank => pieces::ranks(self),
        };
        self.guarded(json, Extras::Final)
    }

    /// The first message of a stream where it differs from call to call; the rest can be kept and sent again.
    pub(super) fn opening(&self) -> Option<Event> {
        let anthropic = self.operation.is_invoke() && self.family == Family::Anthropic;
        anthropic.then(|| envelope(&anthropic::message_start(self), 0))
    }

    /// The messages of a stream after its opening.
    pub(super) fn events(&self) -> Vec<Event> {
        if self.operation.is_converse() {
            return converse::events(self);
        }
        let chunks = match self.family {
            Family::Anthropic => anthropic::chunks(self),
            Family::Nova => nova::chunks(self),
            Family::Titan => titan::chunks(self),
            Family::Llama => llama::chunks(self),
            Family::Mistral => mistral::chunks(self),
            Family::CohereCommand => cohere::generation_chunks(self),
            Family::CohereChat => cohere::chat_chunks(self),
            // These do not stream; such a request was refused.
            Family::TitanEmbed | Family::CohereEmbed | Family::Images | Family::Rerank => Vec::new(),
        };
        let numbered = chunks.into_iter().enumerate();
        numbered.map(|(at, chunk)| envelope(&self.finished(chunk), at + 1)).collect()
    }

    /// The headers that tell the counts of an InvokeModel answer. An input that was blocked never reached the model.
    pub(super) fn count_headers(&self) -> Vec<(&'static str, u64)> {
        if self.operation != Operation::InvokeModel
            || !self.family.counts_tokens()
            || !self.tells()
            || self.is_blocked()
        {
            return Vec::new();
        }
        let mut headers = vec![
            ("x-amzn-bedrock-input-token-count", self.usage.input),
            ("x-amzn-bedrock-invocation-latency", self.latency_ms),
        ];
        if self.family.generates_text() {
            headers.push(("x-amzn-bedrock-output-token-count", self.usage.output));
        }
        if self.caches() {
            headers.push(("x-amzn-bedrock-cache-read-input-token-count", self.usage.cache_read));
            headers.push(("x-amzn-bedrock-cache-write-input-token-count", self.cache_write()));
        }
        headers
    }

    fn finished(&self, chunk: Chunk) -> String {
        let json = self.guarded(chunk.json, chunk.extras);
        if chunk.extras != Extras::Final || !self.tells() || self.is_blocked() {
            return json;
        }
        let mut metrics = format!(
            r#""amazon-bedrock-invocationMetrics":{{"inputTokenCount":{},"outputTokenCount":{},"invocationLatency":{},"firstByteLatency":{}"#,
            self.usage.input, self.usage.output, self.latency_ms, self.first_byte_ms
        );
        if self.caches() {
            let (read, write) = (self.usage.cache_read, self.cache_write());
            let _ = write!(metrics, r#","cacheReadInputTokenCount":{read},"cacheWriteInputTokenCount":{write}"#);
        }
        metrics.push('}');
        with_member(json, &metrics)
    }

    fn guarded(&self, json: String, extras: Extras) -> String {
        let (Some(guard), false) = (&self.guard, extras == Extras::None) else { return json };
        let json = with_member(json, &format!(r#""amazon-bedrock-guardrailAction":"{}""#, guard.action.on_invoke()));
        if extras == Extras::Final && guard.trace {
            return with_member(json, &format!(r#""amazon-bedrock-trace":{}"#, guard.invoke_trace(self)));
        }
        json
    }
}

/// Adds a member to the end of a JSON object.
fn with_member(mut object: String, member: &str) -> String {
    if object.ends_with('}') {
        object.pop();
        if !object.ends_with('{') {
            object.push(',');
        }
        object.push_str(member);
        object.push('}');
    }
    object
}

/// A model's JSON as `chunk` event.
fn envelope(json: &str, index: usize) -> Event {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.encode(json);
    ("chunk", format!(r#"{{"bytes":"{bytes}","p":"{}"}}"#, padding(index)))
}

/// Padding of a length that says nothing, as Bedrock adds it: the alphabet, cut somewhere.
fn padding(index: usize) -> &'static str {
    const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let length = 2 + (index.wrapping_mul(37) + 11) % (ALPHABET.len() - 2);
    ALPHABET.get(..length).unwrap_or(ALPHABET)
}

/// A text as JSON string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
