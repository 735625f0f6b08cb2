//! The bill: who called what, how it ended, what it cost.

use std::collections::{HashMap, VecDeque};

use crate::bedrock::Operation;
use crate::types::{ModelId, Money, TokenUsage};

/// What a call is, as far as the bill cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The request's id, by which a single call is found in logs.
    pub request_id: String,
    /// The operation.
    pub operation: Operation,
    /// The source of the profile it goes through; `None` for operations without a model.
    pub model: Option<ModelId>,
    /// The profile's name; `None` for operations without one.
    pub profile: Option<String>,
}

/// How a call ended whose usage is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Bedrock answered and the answer was delivered.
    Complete,
    /// The caller hung up; the answer was read to its end without them.
    Drained,
    /// The guardrail blocked the input: no model ran.
    GuardrailBlocked,
    /// Bedrock answered with an exception.
    Fault,
}

impl Outcome {
    /// The label in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Drained => "drained",
            Self::GuardrailBlocked => "guardrail_blocked",
            Self::Fault => "fault",
        }
    }
}

/// Why a call was settled at its reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReservedReason {
    /// The answer ended in the middle of a message.
    Truncated,
    /// The answer held a message that cannot be read.
    Malformed,
    /// The answer ended well but without token counts.
    NoCounts,
    /// The stream ended with an exception message.
    Exception,
    /// The connection to Bedrock broke, or fell silent, after the call had been sent.
    UpstreamLost,
    /// The counts are known, their price is not.
    PriceUnknown,
    /// The caller hung up, and too many answers were being drained already.
    DrainRefused,
    /// The caller hung up, and the answer did not end in the time allowed.
    DrainTimedOut,
    /// The gateway stopped before the answer ended.
    Shutdown,
    /// The reservation was dropped unsettled, by a panic or a bug.
    Dropped,
}

impl ReservedReason {
    /// Every reason, in the order of their declaration.
    pub const ALL: [Self; 10] = [
        Self::Truncated,
        Self::Malformed,
        Self::NoCounts,
        Self::Exception,
        Self::UpstreamLost,
        Self::PriceUnknown,
        Self::DrainRefused,
        Self::DrainTimedOut,
        Self::Shutdown,
        Self::Dropped,
    ];

    /// The label in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::NoCounts => "no_counts",
            Self::Exception => "exception",
            Self::UpstreamLost => "upstream_lost",
            Self::PriceUnknown => "price_unknown",
            Self::DrainRefused => "drain_refused",
            Self::DrainTimedOut => "drain_timed_out",
            Self::Shutdown => "shutdown",
            Self::Dropped => "dropped",
        }
    }
}

/// How a call was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Settled {
    /// At its usage.
    Counted(Outcome),
    /// At its reservation.
    AtReservation(ReservedReason),
}

impl Settled {
    /// The label in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counted(outcome) => outcome.as_str(),
            Self::AtReservation(reason) => reason.as_str(),
        }
    }
}

/// One settled call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who made it.
    pub principal: String,
    /// What it was.
    pub item: Item,
    /// How it was settled.
    pub settled: Settled,
    /// What it used; nothing where that is not known.
    pub usage: TokenUsage,
    /// What it is charged with; `None` where the model has no price.
    pub cost: Option<Money>,
}

/// What a row of the bill is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Heading {
    /// Who called.
    pub principal: String,
    /// The source of the profile.
    pub model: Option<ModelId>,
    /// The profile's name.
    pub profile: Option<String>,
    /// The operation.
    pub operation: Operation,
    /// How the calls were settled.
    pub settled: Settled,
}

/// What the calls under one heading come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillRow {
    /// What the row is about.
    pub heading: Heading,
    /// How many calls.
    pub calls: u64,
    /// How many of them had no price; `cost` is without them.
    pub unpriced: u64,
    /// What they used.
    pub usage: TokenUsage,
    /// What they cost; under [`Settled::AtReservation`], what was held for them.
    pub cost: Money,
}

/// A call that was settled at its reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedCall {
    /// The request's id.
    pub request_id: String,
    /// Who made it.
    pub principal: String,
    /// Why its usage is not known.
    pub reason: ReservedReason,
    /// What it was charged with; `None` where the model has no price.
    pub cost: Option<Money>,
}

/// What has been settled so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// One row a heading, in the headings' order.
    pub rows: Vec<BillRow>,
    /// The latest calls that were settled at the reservation, oldest first.
    pub at_reservation: Vec<ReservedCall>,
    /// How many older ones are no longer listed. The rows count them all.
    pub unlisted: u64,
}

impl Bill {
    /// What all calls cost.
    pub fn cost(&self) -> Money {
        self.rows.iter().map(|row| row.cost).sum()
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.rows.iter().map(|row| row.calls).sum()
    }
}

/// The bill while it grows: bounded by the number of headings and a fixed list.
#[derive(Debug, Default)]
pub(super) struct Book {
    rows: HashMap<Heading, BillRow>,
    at_reservation: VecDeque<ReservedCall>,
    unlisted: u64,
}

impl Book {
    pub(super) fn add(&mut self, entry: Entry) {
        if let Settled::AtReservation(reason) = entry.settled {
            if self.at_reservation.len() == LISTED_CALLS {
                self.at_reservation.pop_front();
                self.unlisted += 1;
            }
            self.at_reservation.push_back(ReservedCall {
                request_id: entry.item.request_id,
                principal: entry.principal.clone(),
                reason,
                cost: entry.cost,
            });
        }
        let heading = Heading {
            principal: entry.principal,
            model: entry.item.model,
            profile: entry.item.profile,
            operation: entry.item.operation,
            settled: entry.settled,
        };
        let row = self.rows.entry(heading).or_insert_with_key(|heading| BillRow {
            heading: heading.clone(),
            calls: 0,
            unpriced: 0,
            usage: TokenUsage::default(),
            cost: Money::ZERO,
        });
        row.calls += 1;
        row.unpriced += u64::from(entry.cost.is_none());
        row.usage = row.usage + entry.usage;
        row.cost = row.cost + entry.cost.unwrap_or_default();
    }

    pub(super) fn bill(&self) -> Bill {
        let mut rows: Vec<_> = self.rows.values().cloned().collect();
        rows.sort_by(|one, other| one.heading.cmp(&other.heading));
        Bill { rows, at_reservation: self.at_reservation.iter().cloned().collect(), unlisted: self.unlisted }
    }
}

/// How many calls settled at the reservation are listed one by one.
const LISTED_CALLS: usize = 1_000;
