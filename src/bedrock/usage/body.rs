//! Meters the answers that are one JSON document: `InvokeModel`, `Converse`, `ApplyGuardrail`.
//!
//! The body of `InvokeModel` is the model's own; its counts come from Bedrock's response headers, and the body fills in
//! what they leave out (for how long cache writes are kept) or takes their place where they are absent. The body is
//! scanned as it passes, never kept, so its length does not matter.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};

use super::counts::{Counts, Tokens, parse_count};
use super::facts::{Facts, Mark, Unreadable};
use super::place::Place;
use super::reading::{Ending, Reading};
use super::scan::{Outcome, Scanner};

/// Which answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Invoke,
    Converse,
    Guardrail,
}

/// The meter of one body.
#[derive(Debug)]
pub(super) struct BodyMeter {
    answer: Answer,
    /// What the headers say; `Err` if one of them is no count, or there twice with different values.
    headers: Result<Counts, Unreadable>,
    /// `None` where the headers say that the body is no plain JSON, such as an image.
    scanner: Option<Scanner>,
}

impl BodyMeter {
    pub(super) fn new(answer: Answer, headers: &HeaderMap) -> Self {
        let document = match answer {
            Answer::Invoke => Place::InvokeAnswer,
            Answer::Converse => Place::ConverseAnswer,
            Answer::Guardrail => Place::GuardrailAnswer,
        };
        Self {
            answer,
            headers: if answer == Answer::Invoke { header_counts(headers) } else { Ok(Counts::default()) },
            scanner: is_plain_json(headers).then(|| Scanner::new(document)),
        }
    }

    pub(super) fn observe(&mut self, chunk: &[u8]) {
        if let Some(scanner) = &mut self.scanner {
            scanner.feed(chunk);
        }
    }

    pub(super) fn finish(self) -> Reading {
        let outcome = self.scanner.as_ref().map(Scanner::outcome);
        let facts = self.scanner.map(Scanner::into_facts).unwrap_or_default();
        let Ok(headers) = self.headers else {
            return Reading::of(Ending::Malformed, facts.usage, facts);
        };
        if headers.is_whole() {
            return by_headers(headers, outcome, facts);
        }
        let counts = headers.or(facts.usage);
        let ending = match outcome {
            None => Ending::NoCounts,
            Some(Outcome::Malformed) => Ending::Malformed,
            Some(Outcome::Unfinished) => Ending::Truncated,
            Some(Outcome::Whole) => match self.answer {
                Answer::Invoke => invoke_ending(headers, counts, &facts),
                Answer::Converse => converse_ending(counts, &facts),
                Answer::Guardrail if facts.units.is_some() => Ending::Complete,
                Answer::Guardrail => Ending::NoCounts,
            },
        };
        Reading::of(ending, with_embedding(counts, &facts), facts)
    }
}

/// Bedrock's own counts make the bill, whatever became of the body; a body that was not read to its end only adds
/// nothing to them.
fn by_headers(headers: Counts, outcome: Option<Outcome>, facts: Facts) -> Reading {
    let said = if outcome == Some(Outcome::Whole) { facts.usage } else { Counts::default() };
    let is_blocked = facts.has(Mark::Intervened) && headers.is_nothing();
    let ending = if is_blocked { Ending::GuardrailBlockedInput } else { Ending::Complete };
    Reading::of(ending, headers.or(said), facts)
}

fn invoke_ending(headers: Counts, counts: Counts, facts: &Facts) -> Ending {
    if facts.has(Mark::Intervened) {
        // The counts in the body may be those of the canned text.
        let is_blocked = headers.is_silent() && facts.has(Mark::InputAssessed) && !facts.has(Mark::ModelRan);
        return if is_blocked { Ending::GuardrailBlockedInput } else { Ending::NoCounts };
    }
    if with_embedding(counts, facts).is_whole() { Ending::Complete } else { Ending::NoCounts }
}

fn converse_ending(counts: Counts, facts: &Facts) -> Ending {
    if facts.has(Mark::Intervened) && counts.is_nothing() {
        Ending::GuardrailBlockedInput
    } else if counts.is_whole() {
        Ending::Complete
    } else {
        Ending::NoCounts
    }
}

/// An embedding has no output to count.
fn with_embedding(mut counts: Counts, facts: &Facts) -> Counts {
    if facts.has(Mark::Embedding) && counts.input.is_some() {
        counts.output = counts.output.or(Some(0));
    }
    counts
}

fn is_plain_json(headers: &HeaderMap) -> bool {
    let is_json = headers.get(CONTENT_TYPE).is_none_or(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
    });
    is_json && headers.get(CONTENT_ENCODING).is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn header_counts(headers: &HeaderMap) -> Result<Counts, Unreadable> {
    let mut counts = Counts::default();
    for (name, kind) in &COUNT_HEADERS {
        let mut values = headers.get_all(name).iter();
        if let Some(first) = values.next() {
            if values.any(|other| other != first) {
                return Err(Unreadable);
            }
            counts.note(*kind, parse_count(first.as_bytes().trim_ascii()).ok_or(Unreadable)?);
        }
    }
    Ok(counts)
}

static COUNT_HEADERS: [(HeaderName, Tokens); 4] = [
    (HeaderName::from_static("x-amzn-bedrock-input-token-count"), Tokens::Input),
    (HeaderName::from_static("x-amzn-bedrock-output-token-count"), Tokens::Output),
    (HeaderName::from_static("x-amzn-bedrock-cache-read-input-token-count"), Tokens::CacheRead),
    (HeaderName::from_static("x-amzn-bedrock-cache-write-input-token-count"), Tokens::CacheWrite),
];
