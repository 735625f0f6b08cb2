//! Faults that a prompt or the admin endpoint asks for.
//!
//! A prompt that holds `[[mock:` directives `]]` is answered as they say; the last such mark in a body counts, so that the
//! next turn of a conversation can ask for something else. [`Directives`] lists the words.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;

use super::refusal::Refusal;
use crate::bedrock::Operation;

/// What an answer is asked to do, parsed from words separated by spaces:
///
/// | word | what happens |
/// | --- | --- |
/// | `throttle` | 429 `ThrottlingException`; nothing is billed |
/// | `status=503` | the error that Bedrock has for that status; nothing is billed |
/// | `exception=throttlingException` | a stream: an exception message after `after` messages, then a clean end. Otherwise that error |
/// | `cut` | the connection is cut after `after` messages (half of the body where there is no stream) |
/// | `stall` | nothing more comes after `after` messages, and the connection stays open |
/// | `garbage` | message number `after` has a wrong checksum (the body is no JSON where there is no stream) |
/// | `truncate` | the last message is cut in its middle and the answer ends cleanly |
/// | `no-counts` | the answer is whole and tells no token counts |
/// | `guardrail-intervened`, `=input` | the guardrail blocks the prompt; the model is not asked |
/// | `guardrail-intervened=output` | the guardrail masks a word of the answer |
/// | `after=3` | after how many messages of the stream (2 where absent) |
/// | `reply-tokens=500` | how many tokens the answer has, the request's maximum permitting |
/// | `chunk-bytes=7` | the body is handed over in pieces of so many bytes, across messages |
/// | `drip=50` | so many milliseconds between two pieces |
/// | `delay=500` | so many milliseconds before the answer begins |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    pub(super) fault: Option<Fault>,
    pub(super) after: Option<usize>,
    pub(super) guardrail: Option<Intervention>,
    pub(super) reply_tokens: Option<u64>,
    pub(super) chunk_bytes: Option<NonZeroUsize>,
    pub(super) drip: Option<Duration>,
    pub(super) delay: Option<Duration>,
    pub(super) text: String,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// An HTTP error in place of the answer.
    Answered(StatusCode),
    /// A modelled exception: inside the stream, or as an HTTP error.
    Exception(Modelled),
    Cut,
    Stall,
    Garbage,
    Truncate,
    NoCounts,
}

/// Where a guardrail steps in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intervention {
    Input,
    Output,
}

/// An exception that the response streams model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Modelled {
    /// As `:exception-type` has it.
    pub(super) member: &'static str,
    status: StatusCode,
}

const MODELLED: [Modelled; 6] = [
    Modelled { member: "throttlingException", status: StatusCode::TOO_MANY_REQUESTS },
    Modelled { member: "validationException", status: StatusCode::BAD_REQUEST },
    Modelled { member: "modelStreamErrorException", status: StatusCode::FAILED_DEPENDENCY },
    Modelled { member: "modelTimeoutException", status: StatusCode::REQUEST_TIMEOUT },
    Modelled { member: "internalServerException", status: StatusCode::INTERNAL_SERVER_ERROR },
    Modelled { member: "serviceUnavailableException", status: StatusCode::SERVICE_UNAVAILABLE },
];

/// A word that is no directive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[[mock:…]]: {word:?} is no directive")]
pub struct DirectiveError {
    word: String,
}

impl Directives {
    /// The directives in a body: those of its last mark, or none.
    pub(super) fn find(body: &[u8]) -> Result<Self, DirectiveError> {
        const MARK: &[u8] = b"[[mock:";
        let Some(at) = memchr::memmem::rfind(body, MARK) else { return Ok(Self::default()) };
        let rest = body.get(at + MARK.len()..).unwrap_or_default();
        let end = memchr::memmem::find(rest, b"]]").unwrap_or(rest.len().min(64));
        String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).parse()
    }

    /// Whether they leave the content of a stream as it would be for its token counts alone.
    pub(super) fn leave_content(&self) -> bool {
        self.fault.is_none() && self.guardrail.is_none() && self.drip.is_none() && self.delay.is_none()
    }

    /// The HTTP error that is asked for, where it is one.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match &self.fault {
            Some(Fault::Answered(status)) => Some(bedrock_error(*status)),
            _ => None,
        }
    }
}

impl FromStr for Directives {
    type Err = DirectiveError;

    fn from_str(text: &str) -> Result<Self, DirectiveError> {
        let mut directives = Self { text: text.trim().to_owned(), ..Self::default() };
        for word in text.split_whitespace() {
            directives.follow(word).ok_or_else(|| DirectiveError { word: word.to_owned() })?;
        }
        Ok(directives)
    }
}

impl Directives {
    fn follow(&mut self, word: &str) -> Option<()> {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let number = || value?.parse::<u64>().ok();
        match (name, value) {
            ("throttle", None) => self.fault = Some(Fault::Answered(StatusCode::TOO_MANY_REQUESTS)),
            ("status", Some(code)) => {
                let status: StatusCode = code.parse().ok()?;
                let failure = status.is_client_error() || status.is_server_error();
                self.fault = Some(Fault::Answered(failure.then_some(status)?));
            }
            ("exception", Some(member)) => {
                self.fault = Some(Fault::Exception(MODELLED.into_iter().find(|known| known.member == member)?));
            }
            ("cut", None) => self.fault = Some(Fault::Cut),
            ("stall", None) => self.fault = Some(Fault::Stall),
            ("garbage", None) => self.fault = Some(Fault::Garbage),
            ("truncate", None) => self.fault = Some(Fault::Truncate),
            ("no-counts", None) => self.fault = Some(Fault::NoCounts),
            ("guardrail-intervened", None | Some("input")) => self.guardrail = Some(Intervention::Input),
            ("guardrail-intervened", Some("output")) => self.guardrail = Some(Intervention::Output),
            ("after", _) => self.after = Some(usize::try_from(number()?).ok()?),
            ("reply-tokens", _) => self.reply_tokens = Some(number()?.clamp(1, MAX_REPLY_TOKENS)),
            ("chunk-bytes", _) => self.chunk_bytes = Some(NonZeroUsize::new(usize::try_from(number()?).ok()?)?),
            ("drip", _) => self.drip = Some(Duration::from_millis(number()?)),
            ("delay", _) => self.delay = Some(Duration::from_millis(number()?)),
            _ => return None,
        }
        Some(())
    }
}

/// A prompt cannot make the look-alike write more than this.
const MAX_REPLY_TOKENS: u64 = 200_000;

impl Modelled {
    /// Whether the stream of an operation models it; ConverseStream has no timeout.
    pub(super) fn is_modelled_by(self, operation: Operation) -> bool {
        operation == Operation::InvokeModelWithResponseStream || self.member != "modelTimeoutException"
    }

    /// The same exception where there is no stream to put it in.
    pub(super) fn refusal(self) -> Refusal {
        bedrock_error(self.status)
    }

    /// Bedrock's text for it.
    pub(super) fn message(self) -> &'static str {
        bedrock_text(self.status).1
    }
}

fn bedrock_error(status: StatusCode) -> Refusal {
    let (kind, message) = bedrock_text(status);
    Refusal::fault(status, kind, message)
}

fn bedrock_text(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        400 => ("ValidationException", "The model returned the following errors: Malformed input request."),
        403 => ("AccessDeniedException", "You don't have access to the model with the specified model ID."),
        404 => {
            ("ResourceNotFoundException", "Could not resolve the foundation model from the provided model identifier.")
        }
        408 => ("ModelTimeoutException", "Model has timed out in processing the request. Try your request again."),
        424 => (
            "ModelStreamErrorException",
            "The system encountered an unexpected error during processing. Try your request again.",
        ),
        429 => ("ThrottlingException", "Too many requests, please wait before trying again."),
        503 => ("ServiceUnavailableException", "Bedrock is unable to process your request."),
        _ => (
            "InternalServerException",
            "The system encountered an unexpected error during processing. Try your request again.",
        ),
    }
}

/// Directives for the next calls, whatever their prompts say.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<VecDeque<Directives>>);

/// More than this are not queued: a typing error in `times` must not eat the memory.
const MAX_QUEUED: usize = 100_000;

impl Queue {
    pub(super) fn push(&self, directives: &Directives, times: u32) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..times {
            if queue.len() < MAX_QUEUED {
                queue.push_back(directives.clone());
            }
        }
    }

    pub(super) fn next(&self) -> Option<Directives> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub(super) fn waiting(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|queued| queued.text.clone()).collect()
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mark_of_a_body_counts() {
        let found = Directives::find(br#"{"a":"[[mock:throttle]] then [[mock:cut after=5 drip=20]]"}"#).unwrap();
        assert_eq!(
            (found.fault, found.after, found.drip),
            (Some(Fault::Cut), Some(5), Some(Duration::from_millis(20)))
        );
        assert_eq!(Directives::find(b"{}").unwrap(), Directives::default());
    }

    #[test]
    fn a_misspelt_directive_is_named() {
        for (text, word) in [
            ("throttel", "throttel"),
            ("status=200", "status=200"),
            ("exception=nope", "exception=nope"),
            ("cut after=x", "after=x"),
            ("chunk-bytes=0", "chunk-bytes=0"),
        ] {
            assert_eq!(text.parse::<Directives>(), Err(DirectiveError { word: word.to_owned() }));
        }
    }
}
