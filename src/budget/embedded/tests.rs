//! Crashes, files that cannot be written, second gateways, older and later layouts.

use std::sync::Arc;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::budget::bill::{Entry, Outcome, ReservedReason, Settled};
use crate::budget::store::{Charge, CounterId, Enforcement, Line, ReservationId, Spend, Unit};
use crate::budget::tests::item;
use crate::budget::window::{Schedule, Window};
use crate::types::{ManualClock, Money, Subject, TokenUsage};

const NOON: u64 = 1_795_262_400;

/// A file, and the gateway that has it open.
struct Place {
    folder: TempDir,
    clock: Arc<ManualClock>,
}

impl Place {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), clock: Arc::new(ManualClock::at_unix_seconds(NOON)) }
    }

    fn options(&self) -> EmbeddedOptions {
        EmbeddedOptions {
            path: self.folder.path().join("tollgate.db"),
            durability: Durability::Process,
            retention: Duration::from_hours(400 * 24),
        }
    }

    fn open(&self) -> (EmbeddedStore, Recovered) {
        EmbeddedStore::open(&self.options(), Arc::clone(&self.clock) as Arc<dyn Clock>).unwrap()
    }

    /// What a kill leaves: the file as it stands at this moment, in a place of its own.
    fn killed(&self) -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["tollgate.db", "tollgate.db-wal"] {
            // The `-shm` beside them is rebuilt from the `-wal`, as after a kill.
            std::fs::copy(self.folder.path().join(name), folder.path().join(name)).unwrap();
        }
        Self { folder, clock: Arc::clone(&self.clock) }
    }
}

fn line(who: &str, unit: Unit, amount: u64, enforcement: Enforcement) -> Line {
    let counter = CounterId { budget: "daily".into(), subject: Subject::Principal(who.into()), model: None, unit };
    Line { counter, schedule: Schedule { window: Window::Day, zone: TimeZone::UTC }, limit: 1_000, amount, enforcement }
}

fn booking(who: &str, amount: u64) -> Booking {
    let lines =
        vec![line(who, Unit::Usd, amount, Enforcement::Hard), line(who, Unit::Tokens, amount / 2, Enforcement::Hard)];
    let held_cost = Some(Money::from_nanos(i64::try_from(amount).unwrap()));
    let (id, request_id) = (ReservationId::random(), format!("{who}-{amount}"));
    Booking { id, principal: who.to_owned(), group: "eng".to_owned(), item: item(&request_id), held_cost, lines }
}

fn settlement(booking: &Booking, nanos: u64) -> Settlement {
    let spend = Spend { input_tokens: 1, output_tokens: 2, nanodollars: Some(nanos) };
    let entry = Entry {
        principal: booking.principal.clone(),
        group: booking.group.clone(),
        item: booking.item.clone(),
        settled: Settled::Counted(Outcome::Complete),
        usage: TokenUsage { input: 1, output: 2, ..TokenUsage::default() },
        cost: Some(Money::from_nanos(i64::try_from(nanos).unwrap())),
    };
    Settlement { id: booking.id, charge: Charge::Spent(spend), entry: Some(entry) }
}

async fn reserve(store: &EmbeddedStore, booking: &Booking) -> Result<Vec<CounterState>, ReserveError> {
    store.reserve(booking.clone()).await
}

async fn usd(store: &EmbeddedStore, who: &str) -> (u64, u64) {
    let states = store.counters().await.unwrap();
    let own = |state: &&CounterState| state.counter.unit == Unit::Usd && state.counter.subject.name() == who;
    states.iter().find(own).map_or((0, 0), |state| (state.spent, state.reserved))
}

#[tokio::test]
async fn what_was_settled_is_there_again_after_an_orderly_end() {
    let place = Place::new();
    let (store, recovered) = place.open();
    assert_eq!(recovered, Recovered::default());
    let call = booking("alice", 100);
    let states = reserve(&store, &call).await.unwrap();
    assert_eq!((states[0].reserved, states[1].reserved), (100, 50));
    store.settle(settlement(&call, 70));
    let bill = store.bill().await.unwrap();
    let usage = store.usage(place.clock.now()).await.unwrap();
    assert_eq!((bill.calls(), bill.cost().nanos(), usage.len()), (1, 70, 1));
    assert_eq!((usage[0].group.as_str(), usage[0].row.usage.output), ("eng", 2));
    store.close().await;
    drop(store);
    let (store, recovered) = place.open();
    assert_eq!(recovered, Recovered::default());
    assert_eq!(usd(&store, "alice").await, (70, 0));
    assert_eq!(store.bill().await.unwrap(), bill);
    assert_eq!(store.usage(place.clock.now()).await.unwrap(), usage);
}

#[tokio::test]
async fn what_ran_at_a_kill_is_settled_at_the_reservation_once_and_listed() {
    let place = Place::new();
    let (store, _) = place.open();
    let (settled, running) = (booking("alice", 100), booking("alice", 300));
    reserve(&store, &settled).await.unwrap();
    reserve(&store, &running).await.unwrap();
    store.settle(settlement(&settled, 70));
    store.bill().await.unwrap();
    let killed = place.killed();
    for expected in [Recovered { calls: 1, cost: Money::from_nanos(300) }, Recovered::default()] {
        let (store, recovered) = killed.open();
        assert_eq!(recovered, expected);
        assert_eq!(usd(&store, "alice").await, (370, 0));
        let bill = store.bill().await.unwrap();
        assert_eq!((bill.calls(), bill.cost().nanos()), (2, 370));
        let listed: Vec<_> = bill.at_reservation.iter().map(|call| (call.request_id.as_str(), call.reason)).collect();
        assert_eq!(listed, [("alice-300", ReservedReason::Crashed)]);
        drop(store);
    }
}

#[tokio::test]
async fn a_second_gateway_is_refused() {
    let place = Place::new();
    let (store, _) = place.open();
    let second = EmbeddedStore::open(&place.options(), Arc::clone(&place.clock) as Arc<dyn Clock>);
    assert!(matches!(second, Err(OpenError::InUse(_))));
    drop(store);
    place.open();
}

#[tokio::test]
async fn while_the_file_cannot_be_written_hard_budgets_refuse_and_nothing_is_lost() {
    let place = Place::new();
    let (store, _) = place.open();
    let before = booking("alice", 100);
    reserve(&store, &before).await.unwrap();
    // Another transaction that does not end stands for a full disk: SQLite answers with an error.
    let other = Connection::open(place.options().path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = reserve(&store, &booking("alice", 10)).await;
    assert!(
        matches!(&refused, Err(ReserveError::Store(error)) if error.0.contains("cannot be written")),
        "{refused:?}"
    );
    let mut soft = booking("alice", 40);
    soft.lines = vec![line("alice", Unit::Usd, 40, Enforcement::Soft)];
    reserve(&store, &soft).await.unwrap();
    store.settle(settlement(&before, 70));
    store.settle(settlement(&soft, 30));
    assert!(store.bill().await.is_err());
    assert_eq!(usd(&store, "alice").await, (100, 0));
    other.execute_batch("ROLLBACK").unwrap();
    let bill = store.bill().await.unwrap();
    assert_eq!((bill.calls(), bill.cost().nanos()), (2, 100));
    reserve(&store, &booking("alice", 10)).await.unwrap();
    let file = StoreFile::open(&place.options().path).unwrap();
    let (spent, reserved) = sums(&file.counters().unwrap());
    assert_eq!((spent, reserved), (100, 10));
}

fn sums(states: &[CounterState]) -> (u64, u64) {
    let usd = states.iter().filter(|state| state.counter.unit == Unit::Usd);
    usd.fold((0, 0), |(spent, reserved), state| (spent + state.spent, reserved + state.reserved))
}

#[tokio::test]
async fn a_backup_of_a_running_store_is_a_store() {
    let place = Place::new();
    let (store, _) = place.open();
    let call = booking("alice", 100);
    reserve(&store, &call).await.unwrap();
    store.settle(settlement(&call, 70));
    let bill = store.bill().await.unwrap();
    let copy = place.folder.path().join("copy.db");
    StoreFile::open(&place.options().path).unwrap().back_up(&copy).unwrap();
    assert_eq!(StoreFile::open(&copy).unwrap().bill().unwrap(), bill);
    drop(store);
    let options = EmbeddedOptions { path: copy, ..place.options() };
    let (copied, _) = EmbeddedStore::open(&options, Arc::clone(&place.clock) as Arc<dyn Clock>).unwrap();
    assert_eq!(usd(&copied, "alice").await, (70, 0));
}

#[tokio::test]
async fn what_is_older_than_the_retention_is_forgotten() {
    let place = Place::new();
    let (store, _) = place.open();
    let call = booking("alice", 100);
    reserve(&store, &call).await.unwrap();
    store.settle(settlement(&call, 70));
    assert_eq!(store.bill().await.unwrap().calls(), 1);
    place.clock.advance(Duration::from_hours(401 * 24));
    let later = booking("bob", 10);
    reserve(&store, &later).await.unwrap();
    assert_eq!(store.bill().await.unwrap().calls(), 0);
    let file = StoreFile::open(&place.options().path).unwrap();
    assert_eq!(sums(&file.counters().unwrap()), (0, 10));
}

#[test]
fn a_file_of_a_later_layout_and_one_that_is_no_store_are_refused_and_left_alone() {
    let place = Place::new();
    drop(place.open());
    let file = Connection::open(place.options().path).unwrap();
    file.pragma_update(None, "user_version", 1_000).unwrap();
    drop(file);
    let opened = EmbeddedStore::open(&place.options(), Arc::clone(&place.clock) as Arc<dyn Clock>);
    assert!(matches!(opened, Err(OpenError::TooNew { found: 1_000, .. })), "{opened:?}");

    let options = EmbeddedOptions { path: place.folder.path().join("other"), ..place.options() };
    std::fs::write(&options.path, "not a database, and long enough to be one ".repeat(200)).unwrap();
    let opened = EmbeddedStore::open(&options, Arc::clone(&place.clock) as Arc<dyn Clock>);
    assert!(matches!(opened, Err(OpenError::File { .. })), "{opened:?}");
    let options = EmbeddedOptions { path: place.folder.path().join("no/such/folder"), ..place.options() };
    let opened = EmbeddedStore::open(&options, Arc::clone(&place.clock) as Arc<dyn Clock>);
    assert!(matches!(opened, Err(OpenError::File { .. })), "{opened:?}");
}

#[derive(Clone, Debug)]
enum Step {
    Reserve { who: usize, amount: u64 },
    Settle { which: prop::sample::Index, percent: u64 },
    Release { which: prop::sample::Index },
    Kill,
    Restart,
    Wait { hours: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = any::<prop::sample::Index>;
    let step = prop_oneof![
        6 => (0..3_usize, 0_u64..400).prop_map(|(who, amount)| Step::Reserve { who, amount }),
        4 => (which(), 0_u64..=100).prop_map(|(which, percent)| Step::Settle { which, percent }),
        1 => which().prop_map(|which| Step::Release { which }),
        1 => Just(Step::Kill),
        1 => Just(Step::Restart),
        1 => (1_u64..30).prop_map(|hours| Step::Wait { hours }),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// A sequential model beside the store: what is charged to whom on which day, and what runs.
    #[test]
    fn counts_and_bill_survive_kills_and_restarts_as_a_plain_list_says(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps))?;
    }
}

async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut place = Place::new();
    let mut store = place.open().0;
    let day = |place: &Place| place.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 86_400;
    // Whose, on which day, how much.
    let mut spent: Vec<(String, u64, u64)> = Vec::new();
    let mut running: Vec<(Booking, u64, u64)> = Vec::new();
    for step in steps {
        match step {
            Step::Reserve { who, amount } => {
                let call = booking(["alice", "bob", "carol"][who], amount);
                let today = day(&place);
                let own = |name: &str, on: u64| name == call.principal && on == today;
                let used: u64 = spent.iter().filter(|(name, on, _)| own(name, *on)).map(|(.., nanos)| nanos).sum();
                let held: u64 =
                    running.iter().filter(|(other, on, _)| own(&other.principal, *on)).map(|(.., held)| held).sum();
                let fits = amount == 0 || used + held + amount <= 1_000;
                let answer = reserve(&store, &call).await;
                prop_assert_eq!(answer.is_ok(), fits, "{:?}", answer);
                if fits {
                    running.push((call, today, amount));
                }
            }
            Step::Settle { which, percent } if !running.is_empty() => {
                let (call, on, held) = running.swap_remove(which.index(running.len()));
                let nanos = held * percent / 100;
                store.settle(settlement(&call, nanos));
                spent.push((call.principal, on, nanos));
            }
            Step::Release { which } if !running.is_empty() => {
                let (call, ..) = running.swap_remove(which.index(running.len()));
                store.settle(Settlement { id: call.id, charge: Charge::Nothing, entry: None });
            }
            Step::Settle { .. } | Step::Release { .. } => {}
            Step::Kill => {
                // What a settlement has said is in the file once it has been written; before that the reservation is.
                store.bill().await.unwrap();
                place = place.killed();
                store = place.open().0;
                spent.extend(running.drain(..).map(|(call, on, held)| (call.principal, on, held)));
            }
            Step::Restart => {
                store.close().await;
                drop(store);
                store = place.open().0;
                spent.extend(running.drain(..).map(|(call, on, held)| (call.principal, on, held)));
            }
            Step::Wait { hours } => place.clock.advance(Duration::from_hours(hours)),
        }
        let billed: u64 = spent.iter().map(|(.., nanos)| nanos).sum();
        let bill = store.bill().await.unwrap();
        prop_assert_eq!(bill.cost().nanos(), i64::try_from(billed).unwrap());
        let today = day(&place);
        for who in ["alice", "bob", "carol"] {
            let used: u64 =
                spent.iter().filter(|(name, on, _)| name == who && *on == today).map(|(.., nanos)| nanos).sum();
            let held: u64 = running
                .iter()
                .filter(|(call, on, _)| call.principal == who && *on == today)
                .map(|(.., held)| held)
                .sum();
            let states = store.counters().await.unwrap();
            let own =
                states.iter().filter(|state| state.counter.unit == Unit::Usd && state.counter.subject.name() == who);
            let own = own.filter(|state| state.span.holds(place.clock.now()));
            let counted = own.fold((0, 0), |(spent, held), state| (spent + state.spent, held + state.reserved));
            prop_assert_eq!(counted, (used, held), "{}", who);
        }
    }
    Ok(())
}
