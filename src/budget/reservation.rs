//! The proof that a call is paid for, and its one settlement.

use std::sync::Arc;

use crate::types::{Money, TokenUsage};

use super::bill::{Entry, Item, Outcome, ReservedReason, Settled};
use super::store::{Charge, ReservationId, Settlement, Spend, Store};

/// A call that is paid for. Only [`super::Ledger::reserve`] makes one; it is settled once, by value, and where that is
/// forgotten, by its drop: at the reservation.
#[must_use = "a reservation that is dropped is settled at what was held"]
#[derive(Debug)]
pub struct Reservation {
    store: Arc<dyn Store>,
    id: ReservationId,
    held_cost: Option<Money>,
    remaining: Option<Money>,
    /// Taken by the settlement, so that the drop after it finds nothing to do.
    call: Option<Caller>,
}

/// Who made a call, and what it is.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) principal: Arc<str>,
    pub(super) group: Arc<str>,
    pub(super) item: Item,
}

/// What Bedrock says a call used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actual {
    /// Tokens by kind.
    pub usage: TokenUsage,
    /// What they cost, with guardrail units; `None` where the model has no price.
    pub cost: Option<Money>,
    /// How the call ended.
    pub outcome: Outcome,
}

impl Actual {
    /// A call that was charged nothing.
    pub fn nothing(outcome: Outcome) -> Self {
        Self { usage: TokenUsage::default(), cost: Some(Money::ZERO), outcome }
    }
}

impl Reservation {
    pub(super) const fn new(
        store: Arc<dyn Store>,
        id: ReservationId,
        call: Caller,
        held_cost: Option<Money>,
        remaining: Option<Money>,
    ) -> Self {
        Self { store, id, held_cost, remaining, call: Some(call) }
    }

    /// The lowest that any budget in dollars has left, with this call's hold taken off; `None` where no such budget
    /// applies.
    pub const fn remaining(&self) -> Option<Money> {
        self.remaining
    }

    /// The most dollars that a budget holds for this call; where none does, its worst case. `None` without a price.
    pub const fn held_cost(&self) -> Option<Money> {
        self.held_cost
    }

    /// Records the truth. Without a price, dollars are settled at the reservation and the call is listed.
    pub fn settle(mut self, actual: Actual) {
        let spend = Spend::new(&actual.usage, actual.cost);
        let (settled, cost) = match actual.cost {
            Some(cost) => (Settled::Counted(actual.outcome), Some(cost)),
            None => (Settled::AtReservation(ReservedReason::PriceUnknown), self.held_cost),
        };
        self.finish(Charge::Spent(spend), settled, actual.usage, cost);
    }

    /// Keeps what was held, because the truth is not known.
    pub fn settle_at_reservation(mut self, reason: ReservedReason) {
        self.keep(reason);
    }

    /// Gives everything back: nothing of the call has reached Bedrock. It does not appear on the bill.
    pub fn release(mut self) {
        if self.call.take().is_some() {
            self.store.settle(Settlement { id: self.id, charge: Charge::Nothing, entry: None });
        }
    }

    fn keep(&mut self, reason: ReservedReason) {
        self.finish(Charge::AsHeld, Settled::AtReservation(reason), TokenUsage::default(), self.held_cost);
    }

    fn finish(&mut self, charge: Charge, settled: Settled, usage: TokenUsage, cost: Option<Money>) {
        if let Some(Caller { principal, group, item }) = self.call.take() {
            let entry = Some(Entry { principal, group, item, settled, usage, cost });
            self.store.settle(Settlement { id: self.id, charge, entry });
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.keep(ReservedReason::Dropped);
    }
}
