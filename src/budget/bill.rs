//! The bill: who called what, how it ended, what it cost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::bedrock::Operation;
use crate::types::{ModelId, Money, TokenUsage};

/// What a call is, as far as the bill cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The request's id, by which a single call is found in logs.
    pub request_id: Arc<str>,
    /// The operation.
    pub operation: Operation,
    /// The source of the profile it goes through; `None` for operations without a model.
    pub model: Option<ModelId>,
    /// The profile's name; `None` for operations without one.
    pub profile: Option<Arc<str>>,
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
    /// Every outcome, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Complete, Self::Drained, Self::GuardrailBlocked, Self::Fault];

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
    /// The caller hung up, and the configuration says that nothing is read on.
    Cancelled,
    /// The gateway stopped before the answer ended.
    Shutdown,
    /// The reservation was dropped unsettled, by a panic or a bug.
    Dropped,
    /// The gateway was killed while the call ran.
    Crashed,
}

impl ReservedReason {
    /// Every reason, in the order of their declaration.
    pub const ALL: [Self; 12] = [
        Self::Truncated,
        Self::Malformed,
        Self::NoCounts,
        Self::Exception,
        Self::UpstreamLost,
        Self::PriceUnknown,
        Self::DrainRefused,
        Self::DrainTimedOut,
        Self::Cancelled,
        Self::Shutdown,
        Self::Dropped,
        Self::Crashed,
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
            Self::Cancelled => "cancelled",
            Self::Shutdown => "shutdown",
            Self::Dropped => "dropped",
            Self::Crashed => "crashed",
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
    pub principal: Arc<str>,
    /// The first of their groups; empty where there is none.
    pub group: Arc<str>,
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
    pub principal: Arc<str>,
    /// The source of the profile.
    pub model: Option<ModelId>,
    /// The profile's name.
    pub profile: Option<Arc<str>>,
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
    pub request_id: Arc<str>,
    /// Who made it.
    pub principal: Arc<str>,
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

/// A row of the bill for one hour, with the group of who called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// The hour's first instant.
    pub hour: SystemTime,
    /// The first of the principal's groups; empty where there is none.
    pub group: Arc<str>,
    /// What the calls of that hour come to.
    pub row: BillRow,
}

/// The hour that holds an instant, by UTC.
pub(super) fn hour_of(instant: SystemTime) -> SystemTime {
    let seconds = instant.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds - seconds % 3_600)
}

/// The bill while it grows: bounded by the number of hours and headings, and a fixed list.
#[derive(Debug, Default)]
pub(super) struct Book {
    rows: BTreeMap<(SystemTime, Arc<str>, Heading), BillRow>,
    at_reservation: VecDeque<ReservedCall>,
    unlisted: u64,
}

impl Entry {
    /// A call whose gateway died while it ran.
    pub(super) fn crashed(principal: Arc<str>, group: Arc<str>, item: Item, held_cost: Option<Money>) -> Self {
        let settled = Settled::AtReservation(ReservedReason::Crashed);
        Self { principal, group, item, settled, usage: TokenUsage::default(), cost: held_cost }
    }

    /// The row that this entry is added to.
    pub(super) fn heading(&self) -> Heading {
        Heading {
            principal: Arc::clone(&self.principal),
            model: self.item.model.clone(),
            profile: self.item.profile.clone(),
            operation: self.item.operation,
            settled: self.settled,
        }
    }

    /// The line in the list of calls settled at the reservation, if it belongs there.
    pub(super) fn reserved_call(&self) -> Option<ReservedCall> {
        let Settled::AtReservation(reason) = self.settled else { return None };
        let (request_id, principal) = (Arc::clone(&self.item.request_id), Arc::clone(&self.principal));
        Some(ReservedCall { request_id, principal, reason, cost: self.cost })
    }
}

impl BillRow {
    pub(super) const fn empty(heading: Heading) -> Self {
        let usage = TokenUsage { input: 0, output: 0, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0 };
        Self { heading, calls: 0, unpriced: 0, usage, cost: Money::ZERO }
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        self.calls += 1;
        self.unpriced += u64::from(entry.cost.is_none());
        self.usage = self.usage + entry.usage;
        self.cost = self.cost + entry.cost.unwrap_or_default();
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.unpriced += other.unpriced;
        self.usage = self.usage + other.usage;
        self.cost = self.cost + other.cost;
    }
}

/// The bill of rows by the hour: one row a heading, in the headings' order.
pub(super) fn sum_up<'a>(rows: impl IntoIterator<Item = &'a BillRow>) -> Vec<BillRow> {
    let mut sums: BTreeMap<&Heading, BillRow> = BTreeMap::new();
    for row in rows {
        sums.entry(&row.heading).or_insert_with(|| BillRow::empty(row.heading.clone())).merge(row);
    }
    sums.into_values().collect()
}

impl Book {
    pub(super) fn add(&mut self, entry: &Entry, now: SystemTime) {
        if let Some(call) = entry.reserved_call() {
            if self.at_reservation.len() == LISTED_CALLS {
                self.at_reservation.pop_front();
                self.unlisted += 1;
            }
            self.at_reservation.push_back(call);
        }
        let hour = hour_of(now);
        // In memory a year of hours is enough for anybody.
        while let Some((oldest, ..)) = self.rows.keys().next()
            && *oldest + KEPT_IN_MEMORY < hour
        {
            self.rows.pop_first();
        }
        let heading = entry.heading();
        let key = (hour, Arc::clone(&entry.group), heading);
        self.rows.entry(key).or_insert_with_key(|(_, _, heading)| BillRow::empty(heading.clone())).add(entry);
    }

    pub(super) fn bill(&self) -> Bill {
        let at_reservation = self.at_reservation.iter().cloned().collect();
        Bill { rows: sum_up(self.rows.values()), at_reservation, unlisted: self.unlisted }
    }

    pub(super) fn usage(&self, since: SystemTime) -> Vec<UsageRow> {
        let first = hour_of(since);
        let rows = self.rows.iter().filter(|((hour, ..), _)| *hour >= first);
        rows.map(|((hour, group, _), row)| UsageRow { hour: *hour, group: Arc::clone(group), row: row.clone() })
            .collect()
    }
}

/// How many calls settled at the reservation are listed one by one.
pub(super) const LISTED_CALLS: usize = 1_000;

const KEPT_IN_MEMORY: Duration = Duration::from_hours(400 * 24);
