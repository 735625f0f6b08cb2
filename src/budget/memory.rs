//! Counts in this process's memory: exact for one gateway, forgotten when it ends.
//!
//! One lock holds everything: a reservation must see all its counts at one instant, and the work under the lock is a few
//! map look-ups. Memory is bounded: a count whose window has ended and in which nothing is held is dropped, at the latest
//! at the next sweep; ids are held while their calls run.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::types::Clock;

use super::bill::{Bill, Book};
use super::store::{
    Answer, CounterId, CounterState, Line, ReservationId, ReserveError, Settlement, Shortfall, Store, StoreError,
};
use super::window::Span;

/// Counts in memory.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counts: HashMap<CounterId, Vec<Count>>,
    held: HashMap<ReservationId, Vec<Held>>,
    book: Book,
    reservations_since_sweep: u32,
}

/// A count in one window.
#[derive(Clone, Copy)]
struct Count {
    span: Span,
    spent: u64,
    reserved: u64,
    /// How many reservations still refer to the window. Not the same as `reserved > 0`: a line may hold nothing.
    open: u32,
}

struct Held {
    counter: CounterId,
    span: Span,
    amount: u64,
}

impl MemoryStore {
    /// An empty store that dates windows by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::new(State::default()) }
    }

    fn reserve_now(&self, id: ReservationId, lines: Vec<Line>) -> Result<Vec<CounterState>, ReserveError> {
        let now = self.clock.now();
        let spans = lines
            .iter()
            .map(|line| line.schedule.at(now))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| ReserveError::Store(StoreError("the clock is beyond the calendar".to_owned())))?;
        let mut state = self.lock();
        state.sweep_now_and_then(now);
        if let Some(held) = state.held.get(&id) {
            return Ok(held.iter().map(|held| state.read(&held.counter, held.span)).collect());
        }
        let shortfalls: Vec<_> = lines
            .iter()
            .zip(&spans)
            .enumerate()
            .map(|(place, (line, span))| (place, line, state.read(&line.counter, *span)))
            .filter(|(_, line, count)| !fits(line, count))
            .map(|(line, _, state)| Shortfall { line, state })
            .collect();
        if !shortfalls.is_empty() {
            return Err(ReserveError::Exhausted(shortfalls));
        }
        let held: Vec<_> = lines
            .into_iter()
            .zip(spans)
            .map(|(line, span)| Held { counter: line.counter, span, amount: line.amount })
            .collect();
        for held in &held {
            let count = state.count(&held.counter, held.span, now);
            count.reserved = count.reserved.saturating_add(held.amount);
            count.open += 1;
        }
        let counts = held.iter().map(|held| state.read(&held.counter, held.span)).collect();
        state.held.insert(id, held);
        Ok(counts)
    }

    // A panic under the lock is a bug of this file, and counts that refuse every call for ever would be a worse one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn reserve(&self, id: ReservationId, lines: Vec<Line>) -> Answer<'_, Result<Vec<CounterState>, ReserveError>> {
        Box::pin(std::future::ready(self.reserve_now(id, lines)))
    }

    fn settle(&self, settlement: Settlement) {
        let mut state = self.lock();
        let Some(held) = state.held.remove(&settlement.id) else { return };
        for held in held {
            let charged = settlement.charge.of(held.counter.unit, held.amount);
            if let Some(count) = state.counts.get_mut(&held.counter).and_then(|counts| of_span(counts, held.span)) {
                count.reserved = count.reserved.saturating_sub(held.amount);
                count.spent = count.spent.saturating_add(charged);
                count.open = count.open.saturating_sub(1);
            }
        }
        if let Some(entry) = settlement.entry {
            state.book.add(entry);
        }
    }

    fn counters(&self) -> Answer<'_, Result<Vec<CounterState>, StoreError>> {
        let now = self.clock.now();
        let state = self.lock();
        let counts = state.counts.iter().flat_map(|(counter, counts)| counts.iter().map(move |count| (counter, count)));
        let live = counts.filter(|(_, count)| count.span.holds(now) || count.open > 0);
        let mut states: Vec<_> = live.map(|(counter, count)| count.state(counter.clone())).collect();
        states.sort_by(|one, other| (&one.counter, one.span).cmp(&(&other.counter, other.span)));
        Box::pin(std::future::ready(Ok(states)))
    }

    fn bill(&self) -> Answer<'_, Result<Bill, StoreError>> {
        Box::pin(std::future::ready(Ok(self.lock().book.bill())))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl State {
    fn read(&self, counter: &CounterId, span: Span) -> CounterState {
        let counts = self.counts.get(counter);
        let known = counts.and_then(|counts| counts.iter().find(|count| count.span == span)).copied();
        known.unwrap_or(Count::new(span)).state(counter.clone())
    }

    /// The count of a window, made where there is none; past windows of the same counter are dropped on the way.
    fn count(&mut self, counter: &CounterId, span: Span, now: SystemTime) -> &mut Count {
        let counts = match self.counts.entry(counter.clone()) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => slot.insert(Vec::with_capacity(1)),
        };
        counts.retain(|count| count.span == span || count.is_needed(now));
        let place = counts.iter().position(|count| count.span == span).unwrap_or(counts.len());
        if place == counts.len() {
            counts.push(Count::new(span));
        }
        #[expect(clippy::indexing_slicing, reason = "the place was found, or made, in the lines above")]
        &mut counts[place]
    }

    fn sweep_now_and_then(&mut self, now: SystemTime) {
        self.reservations_since_sweep += 1;
        if self.reservations_since_sweep < RESERVATIONS_PER_SWEEP {
            return;
        }
        self.reservations_since_sweep = 0;
        self.counts.retain(|_, counts| {
            counts.retain(|count| count.is_needed(now));
            !counts.is_empty()
        });
    }
}

impl Count {
    const fn new(span: Span) -> Self {
        Self { span, spent: 0, reserved: 0, open: 0 }
    }

    fn is_needed(&self, now: SystemTime) -> bool {
        self.open > 0 || self.span.end + CLOCK_STEP > now
    }

    const fn state(&self, counter: CounterId) -> CounterState {
        CounterState { counter, span: self.span, spent: self.spent, reserved: self.reserved }
    }
}

fn fits(line: &Line, count: &CounterState) -> bool {
    let after = count.spent.checked_add(count.reserved).and_then(|used| used.checked_add(line.amount));
    line.amount == 0 || after.is_some_and(|after| after <= line.limit)
}

fn of_span(counts: &mut [Count], span: Span) -> Option<&mut Count> {
    counts.iter_mut().find(|count| count.span == span)
}

/// A window that has ended is kept this long, so that a clock that is set back over its end finds what was spent.
const CLOCK_STEP: Duration = Duration::from_hours(1);

/// Sweeping costs time in proportion to the number of counts; this spreads it thin.
const RESERVATIONS_PER_SWEEP: u32 = 10_000;

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::budget::{Charge, Schedule, Unit, Window};

    /// A clock that can be set back.
    #[derive(Debug)]
    struct SetClock(Mutex<u64>);

    impl SetClock {
        fn set(&self, unix_seconds: u64) {
            *self.0.lock().unwrap() = unix_seconds;
        }
    }

    impl Clock for SetClock {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_secs(*self.0.lock().unwrap())
        }
    }

    const DAY: u64 = 86_400;

    fn store() -> (Arc<SetClock>, MemoryStore) {
        let clock = Arc::new(SetClock(Mutex::new(20_000 * DAY)));
        (Arc::clone(&clock), MemoryStore::new(clock))
    }

    fn line(principal: &str) -> Line {
        let counter = CounterId { budget: Arc::from("daily"), principal: Arc::from(principal), unit: Unit::Tokens };
        let schedule = Schedule { window: Window::Day, zone: TimeZone::UTC };
        Line { counter, schedule, limit: 100, amount: 60 }
    }

    fn spend(store: &MemoryStore, principal: &str) -> bool {
        let id = ReservationId::random();
        let held = store.reserve_now(id, vec![line(principal)]).is_ok();
        store.settle(Settlement { id, charge: Charge::AsHeld, entry: None });
        held
    }

    #[test]
    fn counts_of_windows_that_have_ended_are_dropped() {
        let (clock, store) = store();
        let held = ReservationId::random();
        store.reserve_now(held, vec![line("runs on")]).unwrap();
        for number in 0..100 {
            assert!(spend(&store, &format!("principal {number}")));
        }
        clock.set(20_002 * DAY);
        for _ in 0..RESERVATIONS_PER_SWEEP {
            spend(&store, "principal 0");
        }
        let state = store.lock();
        let mut kept: Vec<_> = state.counts.iter().map(|(id, counts)| (id.principal.as_ref(), counts.len())).collect();
        kept.sort_unstable();
        assert_eq!((kept, state.held.len()), (vec![("principal 0", 1), ("runs on", 1)], 1));
    }

    #[test]
    fn a_clock_set_back_over_midnight_finds_what_was_spent() {
        let (clock, store) = store();
        clock.set(20_001 * DAY - 10);
        assert!(spend(&store, "alice"));
        clock.set(20_001 * DAY + 10);
        assert!(spend(&store, "alice"));
        clock.set(20_001 * DAY - 5);
        assert!(!spend(&store, "alice"), "yesterday has 40 left");
    }

    #[test]
    fn limits_near_the_end_of_numbers_do_not_wrap() {
        let (_, store) = store();
        let reserve = |amount, limit| {
            let line = Line { limit, amount, ..line("alice") };
            store.reserve_now(ReservationId::random(), vec![line]).is_ok()
        };
        assert!(reserve(u64::MAX, u64::MAX));
        assert!(!reserve(1, u64::MAX));
        assert!(reserve(0, 0));
    }

    #[test]
    fn a_time_beyond_the_calendar_holds_nothing() {
        let (clock, store) = store();
        clock.set(400_000_000_000);
        assert!(matches!(store.reserve_now(ReservationId::random(), vec![line("alice")]), Err(ReserveError::Store(_))));
    }
}
