//! What is spent and what is held, in memory: the arithmetic behind every store of one process.
//!
//! No lock, no clock and no file: whoever owns the counts tells the time and writes down what has changed. Memory is
//! bounded: a slice that no longer counts and in which nothing is held is dropped, at the latest at the next sweep; ids are
//! held while their calls run.

use std::collections::hash_map::Entry as Slot;
use std::time::{Duration, SystemTime};

use super::store::{
    Booking, Charge, CounterId, CounterState, Enforcement, Line, ReservationId, ReserveError, Shortfall, StoreError,
};
use super::window::{Schedule, Span};
use crate::types::{QuickMap, Subject};

/// Counts by counter and slice, and the calls that run.
#[derive(Debug, Default)]
pub(super) struct Counts {
    slices: QuickMap<CounterId, Vec<Slice>>,
    held: QuickMap<ReservationId, Held>,
    reservations_since_sweep: u32,
}

/// A count in one slice of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slice {
    span: Span,
    /// When it no longer counts.
    leaves: SystemTime,
    spent: u64,
    reserved: u64,
    /// How many reservations still refer to it. Not the same as `reserved > 0`: a line may hold nothing.
    open: u32,
}

/// A call that runs.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// The call, without its lines.
    pub(super) booking: Booking,
    /// What is held where.
    pub(super) lines: Vec<HeldLine>,
}

/// What is held in one slice of a counter.
#[derive(Clone, Debug)]
pub(super) struct HeldLine {
    pub(super) counter: CounterId,
    pub(super) schedule: Schedule,
    pub(super) slice: Span,
    pub(super) amount: u64,
}

/// The count of one slice as it stands, for whoever writes it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) counter: CounterId,
    pub(super) slice: Span,
    pub(super) leaves: SystemTime,
    pub(super) amount: u64,
}

impl Counts {
    /// Holds every line of a booking or none. An id that is held already stays as it is.
    pub(super) fn reserve(&mut self, mut booking: Booking, now: SystemTime) -> Result<Vec<CounterState>, ReserveError> {
        self.sweep_now_and_then(now);
        if let Some(held) = self.held.get(&booking.id) {
            return held.lines.iter().map(|line| self.state(&line.counter, &line.schedule, now)).collect();
        }
        let lines = std::mem::take(&mut booking.lines);
        let (mut slots, mut shortfalls) = (Vec::with_capacity(lines.len()), Vec::new());
        for (place, line) in lines.iter().enumerate() {
            let slot = line.schedule.slot(now).ok_or_else(beyond)?;
            slots.push(slot);
            let state = self.state_in(&line.counter, slot.window);
            if !fits(line, &state) {
                shortfalls.push(Shortfall { line: place, state });
            }
        }
        if !shortfalls.is_empty() {
            return Err(ReserveError::Exhausted(shortfalls));
        }
        let mut held = Vec::with_capacity(lines.len());
        for (Line { counter, schedule, amount, .. }, slot) in lines.into_iter().zip(&slots) {
            let slice = slot.slice;
            let leaves = schedule.leaves(slice);
            let count = self.slice(&counter, slice, leaves, now);
            count.reserved = count.reserved.saturating_add(amount);
            count.open += 1;
            held.push(HeldLine { counter, schedule, slice, amount });
        }
        let states = held.iter().zip(slots).map(|(line, slot)| self.state_in(&line.counter, slot.window)).collect();
        self.held.insert(booking.id, Held { booking, lines: held });
        Ok(states)
    }

    /// Settles an id that is held; `None` where it is not. What is returned had been held.
    pub(super) fn settle(&mut self, id: ReservationId, charge: Charge) -> Option<Held> {
        let held = self.held.remove(&id)?;
        for line in &held.lines {
            let charged = charge.of(line.counter.unit, line.amount);
            let slices = self.slices.get_mut(&line.counter).into_iter().flatten();
            for slice in slices.filter(|slice| slice.span == line.slice) {
                slice.reserved = slice.reserved.saturating_sub(line.amount);
                slice.spent = slice.spent.saturating_add(charged);
                slice.open = slice.open.saturating_sub(1);
            }
        }
        Some(held)
    }

    /// What is held under an id.
    pub(super) fn held(&self, id: ReservationId) -> Option<&Held> {
        self.held.get(&id)
    }

    /// How many calls run.
    pub(super) fn running(&self) -> u64 {
        self.held.len() as u64
    }

    /// What is spent in one slice.
    pub(super) fn spent(&self, counter: &CounterId, slice: Span) -> Option<Written> {
        let found = self.slices.get(counter)?.iter().find(|own| own.span == slice)?;
        Some(Written { counter: counter.clone(), slice, leaves: found.leaves, amount: found.spent })
    }

    /// What one subject has spent of a budget by an instant counts no more in the windows that were open then. The counts
    /// that changed.
    pub(super) fn reset(&mut self, budget: &str, subject: &Subject, at: SystemTime) -> Vec<(CounterId, Span)> {
        let mut changed = Vec::new();
        for (counter, slices) in &mut self.slices {
            if counter.budget.as_ref() != budget || counter.subject != *subject {
                continue;
            }
            for slice in slices.iter_mut().filter(|slice| slice.span.start <= at && at < slice.leaves) {
                slice.spent = 0;
                changed.push((counter.clone(), slice.span));
            }
        }
        changed
    }

    /// Takes up what had been written down.
    pub(super) fn restore(&mut self, written: Written) {
        let Written { counter, slice, leaves, amount } = written;
        let count = self.slice(&counter, slice, leaves, SystemTime::UNIX_EPOCH);
        count.spent = amount;
    }

    /// Every slice that still counts, or in which something is held.
    pub(super) fn states(&self, now: SystemTime) -> Vec<CounterState> {
        let all = self.slices.iter().flat_map(|(counter, slices)| slices.iter().map(move |slice| (counter, slice)));
        let live = all.filter(|(_, slice)| slice.open > 0 || (slice.span.start <= now && now < slice.leaves));
        let mut states: Vec<_> = live
            .map(|(counter, slice)| CounterState {
                counter: counter.clone(),
                span: slice.span,
                spent: slice.spent,
                reserved: slice.reserved,
            })
            .collect();
        states.sort_by(|one, other| (&one.counter, one.span).cmp(&(&other.counter, other.span)));
        states
    }

    /// A counter in the window of a schedule that is open at an instant.
    pub(super) fn state(
        &self,
        counter: &CounterId,
        schedule: &Schedule,
        now: SystemTime,
    ) -> Result<CounterState, ReserveError> {
        Ok(self.state_in(counter, schedule.slot(now).ok_or_else(beyond)?.window))
    }

    fn state_in(&self, counter: &CounterId, window: Span) -> CounterState {
        let mut state = CounterState { counter: counter.clone(), span: window, spent: 0, reserved: 0 };
        let slices = self.slices.get(counter).map(Vec::as_slice).unwrap_or_default();
        let mut eases: Option<SystemTime> = None;
        for slice in slices.iter().filter(|slice| window.start <= slice.span.start && slice.span.end <= window.end) {
            state.spent = state.spent.saturating_add(slice.spent);
            state.reserved = state.reserved.saturating_add(slice.reserved);
            if slice.spent > 0 || slice.open > 0 {
                eases = Some(eases.map_or(slice.leaves, |first| first.min(slice.leaves)));
            }
        }
        // A window that moves has no end of its own: it eases when the oldest of what counts leaves it.
        state.span.end = eases.unwrap_or(window.end);
        state
    }

    /// The count of a slice, made where there is none; what no longer counts of the same counter is dropped on the way.
    fn slice(&mut self, counter: &CounterId, span: Span, leaves: SystemTime, now: SystemTime) -> &mut Slice {
        let slices = match self.slices.entry(counter.clone()) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => slot.insert(Vec::with_capacity(1)),
        };
        slices.retain(|slice| slice.span == span || slice.is_needed(now));
        let place = slices.iter().position(|slice| slice.span == span).unwrap_or(slices.len());
        if place == slices.len() {
            slices.push(Slice { span, leaves, spent: 0, reserved: 0, open: 0 });
        }
        #[expect(clippy::indexing_slicing, reason = "the place was found, or made, in the lines above")]
        &mut slices[place]
    }

    fn sweep_now_and_then(&mut self, now: SystemTime) {
        self.reservations_since_sweep += 1;
        if self.reservations_since_sweep < RESERVATIONS_PER_SWEEP {
            return;
        }
        self.reservations_since_sweep = 0;
        self.slices.retain(|_, slices| {
            slices.retain(|slice| slice.is_needed(now));
            !slices.is_empty()
        });
    }

    /// How many counters have slices, and how many calls run.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (Vec<(&CounterId, usize)>, usize) {
        (self.slices.iter().map(|(counter, slices)| (counter, slices.len())).collect(), self.held.len())
    }
}

impl Slice {
    fn is_needed(&self, now: SystemTime) -> bool {
        self.open > 0 || self.leaves + CLOCK_STEP > now
    }
}

fn fits(line: &Line, state: &CounterState) -> bool {
    let after = state.spent.checked_add(state.reserved).and_then(|used| used.checked_add(line.amount));
    line.amount == 0 || line.enforcement == Enforcement::Soft || after.is_some_and(|after| after <= line.limit)
}

fn beyond() -> ReserveError {
    ReserveError::Store(StoreError("the clock is beyond the calendar".to_owned()))
}

/// What has left its window is kept this long, so that a clock that is set back over its end finds what was spent.
const CLOCK_STEP: Duration = Duration::from_hours(1);

/// Sweeping costs time in proportion to the number of counts; this spreads it thin.
pub(super) const RESERVATIONS_PER_SWEEP: u32 = 10_000;
