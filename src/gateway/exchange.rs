//! One call under way: the meter, the reservation and the record, and the one place where they are brought to an end.
//!
//! The rule: what Bedrock counted is what is settled; where it did not count to the end, what was reserved is. Nothing is
//! settled at zero because a count is missing.

use std::sync::Arc;

use http::StatusCode;

use crate::bedrock::usage::{CacheWriteSplit, Ending, Intervention, Reading, UsageReader};
use crate::budget::{Actual, Outcome, Reservation, ReservedReason};
use crate::limits::Admitted;
use crate::profiles::price::{CacheLifetime, ModelPrice, Pieces, PriceTable};
use crate::telemetry::{
    Conclusion, Downstream, Ended, FaultKind, FaultName, Forwarded, Guardrail, Held, Metrics, Record, Settlement,
};
use crate::types::{Money, ServiceTier, TokenUsage};
use crate::upstream::{Phase, UpstreamError};

/// Everything that has to be brought to an end when a call ends.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) meter: UsageReader,
    pub(super) admitted: Admitted,
    pub(super) reservation: Reservation,
    pub(super) tariff: Tariff,
    pub(super) record: Record,
    pub(super) answer: Answer,
    /// Counts this call among the open streams for as long as it is one.
    pub(super) open: Option<Held>,
    pub(super) metrics: Arc<Metrics>,
}

/// What Bedrock's answer said in its head.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) fault: FaultName,
    pub(super) upstream_request_id: Option<String>,
    pub(super) downstream: Downstream,
}

/// How a call's answer ended on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// Upstream's own end.
    End,
    /// Upstream broke.
    Failed(FaultKind),
    /// Nobody reads it any more, and reading on was refused or took too long.
    GivenUp(ReservedReason),
}

/// The prices of one call.
#[derive(Clone, Debug)]
pub(super) struct Tariff {
    pub(super) model: Option<Arc<ModelPrice>>,
    pub(super) table: Arc<PriceTable>,
    /// The longest cache lifetime that the request asked for: it prices writes that Bedrock does not tell apart.
    pub(super) cache: CacheLifetime,
    /// What is charged by the piece, by the request.
    pub(super) pieces: Pieces,
}

impl Exchange {
    /// Shows the meter a piece of the answer.
    pub(super) fn observe(&mut self, data: &[u8]) {
        self.meter.observe(data);
    }

    /// So many bytes went to the caller.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.record.sent(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// The caller left.
    pub(super) fn left(&mut self, downstream: Downstream) {
        self.answer.downstream = downstream;
        self.open = None;
    }

    /// Counts the drain for as long as what is returned lives.
    pub(super) fn draining(&self) -> Held {
        self.metrics.drain_started()
    }

    /// Whether the answer is an event stream that stands between two messages.
    pub(super) fn is_between_messages(&self) -> bool {
        self.meter.is_between_messages()
    }

    /// Settles the reservation, gives the place among the running calls back, and finishes the record.
    pub(super) fn conclude(self, closing: Closing) {
        let reading = self.tariff.by_piece(self.meter.finish());
        // Tokens may be known where a price is not. What is not known stays as it was taken.
        match reading.exact_usage() {
            Some(usage) => self.admitted.settle(usage.total()),
            None => drop(self.admitted),
        }
        let settlement = match self.tariff.cost(&reading) {
            Ok(cost) => {
                let outcome = self.answer.outcome(&reading.ending);
                let usage = reading.exact_usage().unwrap_or_default();
                self.reservation.settle(Actual { usage, cost: Some(cost), outcome });
                if cost == Money::ZERO { Settlement::Free } else { Settlement::Metered(cost) }
            }
            Err(unread) => {
                let reason = closing.reason().unwrap_or(unread);
                let held = self.reservation.held_cost().unwrap_or(Money::ZERO);
                self.reservation.settle_at_reservation(reason);
                Settlement::AtReservation(held, reason)
            }
        };
        let guardrail = match reading.intervention {
            Intervention::Intervened => Guardrail::Intervened,
            Intervention::None => Guardrail::None,
        };
        self.record.finish(&Conclusion::Forwarded(Forwarded {
            status: self.answer.status,
            upstream_request_id: self.answer.upstream_request_id,
            ending: ended(closing, &reading.ending, self.answer.fault),
            downstream: self.answer.downstream,
            // What was said before an answer broke off is not what was used: metrics, log and bill show the same.
            usage: reading.usage.filter(|_| !matches!(settlement, Settlement::AtReservation(..))),
            tier: reading.tier,
            settlement,
            guardrail,
        }));
    }
}

impl Answer {
    /// How the bill calls a call whose usage is known.
    const fn outcome(&self, ending: &Ending) -> Outcome {
        match (ending, self.downstream) {
            (Ending::Fault, _) => Outcome::Fault,
            (Ending::GuardrailBlockedInput, _) => Outcome::GuardrailBlocked,
            (_, Downstream::Gone) => Outcome::Drained,
            (_, Downstream::Stayed) => Outcome::Complete,
        }
    }
}

impl Closing {
    /// Why a call without counts is settled at its reservation, where the wire says more than the meter can.
    const fn reason(self) -> Option<ReservedReason> {
        match self {
            Self::End => None,
            Self::Failed(_) => Some(ReservedReason::UpstreamLost),
            Self::GivenUp(reason) => Some(reason),
        }
    }
}

impl Tariff {
    /// A model that is charged by the piece alone counts no tokens: an answer of it is whole without them.
    fn by_piece(&self, reading: Reading) -> Reading {
        let by_piece = self.model.as_ref().is_some_and(|price| price.is_by_piece());
        if by_piece && matches!(reading.ending, Ending::Complete | Ending::NoCounts) {
            return Reading { ending: Ending::Complete, usage: None, ..reading };
        }
        reading
    }

    /// What a call cost, or why that is not known.
    fn cost(&self, reading: &Reading) -> Result<Money, ReservedReason> {
        let usage = match &reading.ending {
            Ending::Complete | Ending::Fault | Ending::GuardrailBlockedInput => reading.usage.unwrap_or_default(),
            Ending::Exception(_) => return Err(ReservedReason::Exception),
            Ending::Truncated => return Err(ReservedReason::Truncated),
            Ending::Malformed => return Err(ReservedReason::Malformed),
            Ending::NoCounts => return Err(ReservedReason::NoCounts),
        };
        let guardrail = self.table.guardrail().cost(&reading.guardrail.unwrap_or_default());
        // Nothing ran where a guardrail stopped the prompt or Bedrock refused the call.
        let pieces = match (&reading.ending, &self.model) {
            (Ending::Complete, Some(price)) => price.pieces(&self.pieces),
            _ => Money::ZERO,
        };
        if usage == TokenUsage::default() {
            return Ok(pieces + guardrail);
        }
        let unsplit = reading.cache_write_split == CacheWriteSplit::Unknown && self.cache == CacheLifetime::OneHour;
        let priced = if unsplit {
            TokenUsage { cache_write_5m: 0, cache_write_1h: usage.cache_write_5m + usage.cache_write_1h, ..usage }
        } else {
            usage
        };
        // A tier that is not known is priced as the dearest that is.
        let tier =
            if reading.unknown_tier.is_some() { ServiceTier::Priority } else { reading.tier.unwrap_or_default() };
        let price = self.model.as_ref().ok_or(ReservedReason::PriceUnknown)?;
        Ok(price.cost(&priced, tier) + pieces + guardrail)
    }
}

/// What kind of fault an error of upstream's is, in the middle of an answer.
pub(super) const fn fault(error: &UpstreamError) -> FaultKind {
    match error {
        UpstreamError::Timeout(Phase::Connect) | UpstreamError::Connect { .. } => FaultKind::Connect,
        UpstreamError::Timeout(Phase::FirstByte | Phase::Idle) => FaultKind::Timeout,
        UpstreamError::Reset(_)
        | UpstreamError::Credentials(_)
        | UpstreamError::Untaggable(_)
        | UpstreamError::Overloaded(_)
        | UpstreamError::Malformed(_) => FaultKind::Reset,
    }
}

fn ended(closing: Closing, ending: &Ending, fault: FaultName) -> Ended {
    match (ending, closing) {
        (Ending::Complete, _) => Ended::Complete,
        (Ending::GuardrailBlockedInput, _) => Ended::GuardrailBlockedInput,
        (Ending::Fault, _) => Ended::Fault(fault),
        (Ending::Exception(name), _) => Ended::Exception(FaultName::from_wire(name)),
        (_, Closing::Failed(FaultKind::Timeout)) => Ended::IdleTimeout,
        (_, Closing::Failed(_)) => Ended::Reset,
        (Ending::Malformed, _) => Ended::Malformed,
        (Ending::NoCounts, _) => Ended::NoCounts,
        (Ending::Truncated, _) => Ended::Truncated,
    }
}
