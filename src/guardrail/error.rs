//! Why the guardrail stage refuses a request. The texts are for the caller: they say what is required and what to do, and
//! repeat nothing from the body, so that they may be logged.

use crate::bedrock::Operation;
use crate::bedrock::json::{JsonError, Overlap};
use std::fmt;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardrailError {
    /// The client has to name the guardrail and does not, or not completely.
    #[error(
        "a guardrail is required for your calls and this one does not name it: send guardrail {required} \
         (guardrailConfig in a Converse body, the X-Amzn-Bedrock-GuardrailIdentifier and -GuardrailVersion headers with \
         InvokeModel)"
    )]
    Missing {
        /// The guardrail and its version.
        required: String,
    },
    /// The client names another guardrail or another version.
    #[error(
        "this call names another guardrail or version than the one required for your calls: use guardrail {required}, or name none"
    )]
    Different {
        /// The guardrail and its version.
        required: String,
    },
    /// The client applies a guardrail that is not the one they owe.
    #[error("you may not apply this guardrail{}", allowed(.required.as_deref()))]
    NotTheirs {
        /// The guardrail that they may apply, if any.
        required: Option<String>,
    },
    /// The client asks for the answer before it was evaluated.
    #[error(
        "the guardrail required for your calls must evaluate the answer before it is streamed: leave streamProcessingMode \
         out, or set it to \"{synchronous}\""
    )]
    Asynchronous {
        /// The value to send.
        synchronous: &'static str,
    },
    /// The client selects what is evaluated.
    #[error("the guardrail required for your calls must see the whole prompt: remove {0}")]
    Selective(Means),
    /// The operation has no place for a guardrail.
    #[error("{0} cannot carry a guardrail")]
    CannotCarry(Operation),
    /// The body has to be read and cannot be.
    #[error("the body of a call that a guardrail is required for must be one JSON object: {0}")]
    Body(#[from] JsonError),
    /// A member has the wrong type.
    #[error("{member} must be {expected}")]
    WrongType {
        /// The member's name.
        member: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A member's name differs from a known one in case only.
    #[error("a member of the body is almost named {0}: write the name exactly so, or remove it")]
    Misspelt(&'static str),
    /// A member stands where it does not belong.
    #[error("{0} does not belong in this place: remove it")]
    Misplaced(&'static str),
    /// A header comes more than once.
    #[error("the header {0} comes more than once")]
    RepeatedHeader(&'static str),
    /// A header has a value that it cannot have.
    #[error("the header {name} must be {expected}")]
    HeaderValue {
        /// The header's name.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The edits to the body contradict each other: a fault of Tollgate's own.
    #[error("the guardrail could not be written into the body")]
    Unspliceable(#[from] Overlap),
}

/// How a client selects what a guardrail evaluates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// `guardContent` blocks in a Converse body.
    GuardContent,
    /// `tagSuffix` in the guardrail's options.
    TagSuffix,
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GuardContent => "the guardContent blocks (send the text in plain text blocks)",
            Self::TagSuffix => "tagSuffix from amazon-bedrock-guardrailConfig",
        })
    }
}

fn allowed(required: Option<&str>) -> String {
    required.map_or_else(|| ": none is assigned to you".to_owned(), |required| format!(": yours is {required}"))
}
