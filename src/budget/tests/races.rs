//! Threads that race for one store, in the orders that shuttle makes up: what holds in every one of them.

use shuttle::sync::Mutex;
use shuttle::thread;

use super::*;
use crate::budget::bill::{Entry, Settled};
use crate::budget::memory::{Guarded, Lock, State};

impl Lock for Mutex<State> {
    fn around(state: State) -> Self {
        Self::new(state)
    }

    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.lock().unwrap())
    }
}

type Raced = Guarded<Mutex<State>>;

const LIMIT: u64 = 100;

fn store() -> Arc<Raced> {
    Arc::new(Guarded::new(Arc::new(ManualClock::at_unix_seconds(NOON))))
}

/// Two lines, so that half of a call could be held.
fn booking(id: ReservationId, amount: u64) -> Booking {
    let line = |budget: &str, limit| Line {
        counter: CounterId { budget: budget.into(), subject: Subject::Everyone, model: None, unit: Unit::Tokens },
        schedule: Schedule { window: Window::Day, zone: TimeZone::UTC },
        limit,
        amount,
        enforcement: Enforcement::Hard,
    };
    let lines = vec![line("wide", 10 * LIMIT), line("narrow", LIMIT)];
    let (principal, group) = ("alice".to_owned(), String::new());
    Booking { id, principal: principal.into(), group: group.into(), item: item("r"), held_cost: None, lines }
}

fn settlement(id: ReservationId, charge: Charge) -> Settlement {
    let settled = Settled::Counted(Outcome::Complete);
    let (principal, group, usage) = ("alice".to_owned(), String::new(), TokenUsage::default());
    Settlement {
        id,
        charge,
        entry: Some(Entry {
            principal: principal.into(),
            group: group.into(),
            item: item("r"),
            settled,
            usage,
            cost: None,
        }),
    }
}

/// Spent and held of a budget, both lines of a call at one instant.
fn sums(store: &Raced) -> [u64; 2] {
    let states = store.counters();
    ["wide", "narrow"].map(|budget| {
        let own = states.iter().filter(|state| state.counter.budget.as_ref() == budget);
        own.map(|state| state.spent + state.reserved).sum()
    })
}

#[test]
fn racing_reservations_never_exceed_a_limit_and_hold_all_lines_or_none() {
    let race = || {
        let store = store();
        let callers: Vec<_> = [60, 60, 30]
            .map(|amount| {
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    let id = ReservationId::random();
                    let held = store.reserve(booking(id, amount)).is_ok();
                    let [wide, narrow] = sums(&store);
                    assert!(narrow <= LIMIT && wide == narrow, "{wide} {narrow}");
                    if held && amount == 60 {
                        store.settle(settlement(id, Charge::AsHeld));
                    }
                    u64::from(held) * amount
                })
            })
            .into();
        let held: u64 = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
        assert_eq!(sums(&store), [held; 2]);
        assert_eq!(held, 90, "one of 60 and the one of 30");
    };
    shuttle::check_random(race, 1_000);
    shuttle::check_pct(race, 1_000, 3);
}

#[test]
fn of_settlements_that_race_for_one_call_one_counts() {
    let race = || {
        let (store, id) = (store(), ReservationId::random());
        store.reserve(booking(id, 60)).unwrap();
        let endings = [Charge::AsHeld, Charge::Spent(Spend { input_tokens: 7, output_tokens: 0, nanodollars: None })];
        let threads = endings.map(|charge| {
            let store = Arc::clone(&store);
            thread::spawn(move || store.settle(settlement(id, charge)))
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert!([[60, 60], [7, 7]].contains(&sums(&store)), "{:?}", sums(&store));
        assert_eq!(store.bill().calls(), 1);
    };
    shuttle::check_dfs(race, None);
}
