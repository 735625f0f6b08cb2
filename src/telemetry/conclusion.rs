//! The ways in which a request can end, and what each means for the metrics.
//!
//! The outcome, the fault and the gap in the meter are derived here from what happened, in one place; whoever ends a
//! request only says what happened.

use http::StatusCode;

use super::labels::{FaultKind, FaultName, Outcome, words};
use super::reason::{RefusalReason, Unmetered};
use crate::budget::ReservedReason;
use crate::types::{Money, ServiceTier, TokenUsage};

/// How a request ended.
#[derive(Clone, Debug)]
pub enum Conclusion {
    /// Tollgate answered in Bedrock's place.
    Refused {
        /// The status sent.
        status: StatusCode,
        /// Why.
        reason: RefusalReason,
    },
    /// Tollgate answered from the caller's own map.
    Answered {
        /// The status sent.
        status: StatusCode,
    },
    /// Bedrock answered, and the answer has ended one way or another.
    Forwarded(Forwarded),
    /// The client went away before there was an answer.
    Abandoned,
}

/// A call that reached Bedrock.
#[derive(Clone, Debug)]
pub struct Forwarded {
    /// Bedrock's status.
    pub status: StatusCode,
    /// Bedrock's own request id.
    pub upstream_request_id: Option<String>,
    /// How its answer ended.
    pub ending: Ended,
    /// Whether the client was there to the end.
    pub downstream: Downstream,
    /// The tokens it reported.
    pub usage: Option<TokenUsage>,
    /// The tier that served it.
    pub tier: Option<ServiceTier>,
    /// What it was settled at.
    pub settlement: Settlement,
    /// What the guardrail did.
    pub guardrail: Guardrail,
}

/// How Bedrock's answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Whole.
    Complete,
    /// An exception in place of an answer.
    Fault(FaultName),
    /// An exception message within the stream.
    Exception(FaultName),
    /// Before its end.
    Truncated,
    /// With bytes that do not parse.
    Malformed,
    /// Whole, but without token counts.
    NoCounts,
    /// The guardrail blocked the input, so no model ran.
    GuardrailBlockedInput,
    /// The connection broke.
    Reset,
    /// Nothing more came for too long.
    IdleTimeout,
}

words! {
    /// Whether the client took the whole answer.
    pub enum Downstream {
        /// It did.
        Stayed => "stayed",
        /// It hung up.
        Gone => "gone",
    }
}

words! {
    /// What the guardrail did.
    pub enum Guardrail {
        /// Nothing, or there was none.
        None => "none",
        /// It blocked or masked something.
        Intervened => "intervened",
    }
}

/// What a call was settled at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Nothing: no charge is made for it.
    Free,
    /// What it cost, from Bedrock's own counts.
    Metered(Money),
    /// What had been reserved, because what it cost is unknown.
    AtReservation(Money, ReservedReason),
}

impl Conclusion {
    /// The outcome in one word. A fault stays a fault when the client left meanwhile; a client that left ahead of a
    /// broken connection is not the connection's story.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Refused { reason, .. } => reason.outcome(),
            Self::Answered { .. } => Outcome::Ok,
            Self::Abandoned => Outcome::ClientGone,
            Self::Forwarded(call) => match (call.ending, call.downstream) {
                (Ended::Fault(_) | Ended::Exception(_), _) => Outcome::Fault,
                (_, Downstream::Gone) => Outcome::ClientGone,
                (Ended::Complete | Ended::NoCounts | Ended::GuardrailBlockedInput, _) => Outcome::Ok,
                (Ended::Truncated | Ended::Malformed | Ended::Reset | Ended::IdleTimeout, _) => Outcome::UpstreamFailed,
            },
        }
    }

    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } | Self::Answered { status } => Some(*status),
            Self::Forwarded(call) => Some(call.status),
            Self::Abandoned => None,
        }
    }

    pub(super) fn reason(&self) -> Option<RefusalReason> {
        match self {
            Self::Refused { reason, .. } => Some(*reason),
            Self::Answered { .. } | Self::Forwarded(_) | Self::Abandoned => None,
        }
    }

    pub(super) fn fault(&self) -> Option<FaultKind> {
        match self {
            Self::Refused { reason: RefusalReason::UpstreamConnect, .. } => Some(FaultKind::Connect),
            Self::Refused { reason: RefusalReason::UpstreamTimeout, .. } => Some(FaultKind::Timeout),
            Self::Refused { reason: RefusalReason::UpstreamReset, .. } => Some(FaultKind::Reset),
            Self::Refused { .. } | Self::Answered { .. } | Self::Abandoned => None,
            Self::Forwarded(call) => match call.ending {
                Ended::Fault(name) => Some(FaultKind::Answered(name)),
                Ended::Exception(name) => Some(FaultKind::Exception(name)),
                Ended::Truncated => Some(FaultKind::Truncated),
                Ended::Reset => Some(FaultKind::Reset),
                Ended::IdleTimeout => Some(FaultKind::Timeout),
                Ended::Complete | Ended::Malformed | Ended::NoCounts | Ended::GuardrailBlockedInput => None,
            },
        }
    }
}

impl Forwarded {
    /// What the meter missed: in the answer, and in the price table.
    pub(super) fn unmetered(&self) -> [Option<Unmetered>; 2] {
        let answer = match self.ending {
            Ended::Malformed => Some(Unmetered::MalformedMessage),
            Ended::Truncated | Ended::Reset | Ended::IdleTimeout => Some(Unmetered::Truncated),
            Ended::NoCounts => Some(Unmetered::NoCounts),
            Ended::Complete | Ended::Fault(_) | Ended::Exception(_) | Ended::GuardrailBlockedInput => None,
        };
        let unpriced = matches!(self.settlement, Settlement::AtReservation(_, ReservedReason::PriceUnknown));
        [answer, unpriced.then_some(Unmetered::PriceUnknown)]
    }
}

impl Ended {
    /// The word for it in the log.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Fault(_) => "fault",
            Self::Exception(_) => "exception",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::NoCounts => "no_counts",
            Self::GuardrailBlockedInput => "guardrail_blocked_input",
            Self::Reset => "reset",
            Self::IdleTimeout => "idle_timeout",
        }
    }
}
