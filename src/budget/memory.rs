//! Counts in this process's memory: exact for one gateway, forgotten when it ends.
//!
//! One lock holds everything: a reservation must see all its counts at one instant, and the work under the lock is a few
//! map look-ups.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::types::Clock;

use super::adjustment::{Adjustment, Change};
use super::bill::{Bill, Book, UsageRow};
use super::counts::Counts;
use super::store::{Answer, Booking, CounterState, Health, ReserveError, Settlement, Store, StoreError};
use super::threshold::{Mark, Pending};

/// Counts in memory.
pub struct MemoryStore(Guarded<Mutex<State>>);

impl MemoryStore {
    /// An empty store that dates windows by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Guarded::new(clock))
    }
}

/// All that is known, and what guards it.
pub(super) struct Guarded<L> {
    clock: Arc<dyn Clock>,
    state: L,
}

#[derive(Default)]
pub(super) struct State {
    counts: Counts,
    book: Book,
    /// Thresholds that were told of, and since when a webhook has still to be told.
    told: HashMap<Mark, Option<SystemTime>>,
}

/// The one lock, of which tests have one that tries every order in which threads can take it.
pub(super) trait Lock: Send + Sync {
    fn around(state: State) -> Self;
    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R;
}

impl Lock for Mutex<State> {
    fn around(state: State) -> Self {
        Self::new(state)
    }

    // A panic under the lock is a bug of this file, and counts that refuse every call for ever would be a worse one.
    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<L: Lock> Guarded<L> {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: L::around(State::default()) }
    }

    pub(super) fn reserve(&self, booking: Booking) -> Result<Vec<CounterState>, ReserveError> {
        let now = self.clock.now();
        self.state.with(|state| state.counts.reserve(booking, now))
    }

    pub(super) fn settle(&self, settlement: Settlement) {
        let now = self.clock.now();
        self.state.with(|state| {
            if state.counts.settle(settlement.id, settlement.charge).is_some()
                && let Some(entry) = settlement.entry
            {
                state.book.add(&entry, now);
            }
        });
    }

    pub(super) fn counters(&self) -> Vec<CounterState> {
        let now = self.clock.now();
        self.state.with(|state| state.counts.states(now))
    }

    pub(super) fn bill(&self) -> Bill {
        self.state.with(|state| state.book.bill())
    }
}

impl Store for MemoryStore {
    fn reserve(&self, booking: Booking) -> Answer<'_, Result<Vec<CounterState>, ReserveError>> {
        Box::pin(std::future::ready(self.0.reserve(booking)))
    }

    fn settle(&self, settlement: Settlement) {
        self.0.settle(settlement);
    }

    fn counters(&self) -> Answer<'_, Result<Vec<CounterState>, StoreError>> {
        Box::pin(std::future::ready(Ok(self.0.counters())))
    }

    fn bill(&self) -> Answer<'_, Result<Bill, StoreError>> {
        Box::pin(std::future::ready(Ok(self.0.bill())))
    }

    fn claim(&self, mark: Mark, for_webhook: bool) -> Answer<'_, Result<bool, StoreError>> {
        // The windows of a year ago are told of no more.
        let old = mark.window.checked_sub(KEPT);
        let since = for_webhook.then(|| self.0.clock.now());
        let new = self.0.state.with(|state| {
            state.told.retain(|told, _| old.is_none_or(|old| told.window >= old));
            let new = !state.told.contains_key(&mark);
            if new {
                state.told.insert(mark, since);
            }
            new
        });
        Box::pin(std::future::ready(Ok(new)))
    }

    fn pending(&self) -> Answer<'_, Result<Vec<Pending>, StoreError>> {
        let pending = self.0.state.with(|state| {
            let open =
                |(mark, since): (&Mark, &Option<SystemTime>)| Some(Pending { mark: mark.clone(), since: (*since)? });
            state.told.iter().filter_map(open).collect()
        });
        Box::pin(std::future::ready(Ok(pending)))
    }

    fn delivered(&self, mark: Mark) -> Answer<'_, Result<(), StoreError>> {
        self.0.state.with(|state| state.told.insert(mark, None));
        Box::pin(std::future::ready(Ok(())))
    }

    fn change(&self, _: Change, _: SystemTime) -> Answer<'_, Result<(), StoreError>> {
        let error = StoreError("counts in memory cannot be changed: [store] kind = \"memory\"".to_owned());
        Box::pin(std::future::ready(Err(error)))
    }

    fn history(&self) -> Answer<'_, Result<Vec<Adjustment>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn health(&self) -> Health {
        Health { running: self.0.state.with(|state| state.counts.running()), ..Health::default() }
    }

    fn usage(&self, since: SystemTime) -> Answer<'_, Result<Vec<UsageRow>, StoreError>> {
        Box::pin(std::future::ready(Ok(self.0.state.with(|state| state.book.usage(since)))))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

const KEPT: Duration = Duration::from_hours(400 * 24);

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::budget::counts::RESERVATIONS_PER_SWEEP;
    use crate::budget::tests::calls::booking;
    use crate::budget::{Charge, CounterId, Enforcement, Line, ReservationId, Schedule, Subject, Unit, Window};

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
        let subject = Subject::Principal(Arc::from(principal));
        let counter = CounterId { budget: Arc::from("daily"), subject, model: None, unit: Unit::Tokens };
        let schedule = Schedule { window: Window::Day, zone: TimeZone::UTC };
        Line { counter, schedule, limit: 100, amount: 60, enforcement: Enforcement::Hard }
    }

    fn reserve(store: &MemoryStore, id: ReservationId, line: Line) -> Result<Vec<CounterState>, ReserveError> {
        let booking = Booking { id, held_cost: None, lines: vec![line], ..booking("alice", 0) };
        store.0.reserve(booking)
    }

    fn spend(store: &MemoryStore, principal: &str) -> bool {
        let id = ReservationId::random();
        let held = reserve(store, id, line(principal)).is_ok();
        store.settle(Settlement { id, charge: Charge::AsHeld, entry: None });
        held
    }

    #[test]
    fn counts_of_windows_that_have_ended_are_dropped() {
        let (clock, store) = store();
        let held = ReservationId::random();
        reserve(&store, held, line("runs on")).unwrap();
        for number in 0..100 {
            assert!(spend(&store, &format!("principal {number}")));
        }
        clock.set(20_002 * DAY);
        for _ in 0..RESERVATIONS_PER_SWEEP {
            spend(&store, "principal 0");
        }
        store.0.state.with(|state| {
            let (sizes, held) = state.counts.sizes();
            let mut kept: Vec<_> =
                sizes.into_iter().map(|(counter, slices)| (counter.subject.name(), slices)).collect();
            kept.sort_unstable();
            assert_eq!((kept, held), (vec![("principal 0", 1), ("runs on", 1)], 1));
        });
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
        let fits = |amount, limit| {
            let line = Line { limit, amount, ..line("alice") };
            reserve(&store, ReservationId::random(), line).is_ok()
        };
        assert!(fits(u64::MAX, u64::MAX));
        assert!(!fits(1, u64::MAX));
        assert!(fits(0, 0));
    }

    #[test]
    fn a_time_beyond_the_calendar_holds_nothing() {
        let (clock, store) = store();
        clock.set(400_000_000_000);
        assert!(matches!(reserve(&store, ReservationId::random(), line("alice")), Err(ReserveError::Store(_))));
    }
}
