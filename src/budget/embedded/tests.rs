//! Crashes, files that cannot be written, second gateways, older and later layouts.

mod journals;
mod model;

use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::budget::adjustment::Effect;
use crate::budget::bill::ReservedReason;
use crate::budget::store::{Enforcement, Unit};
use crate::budget::tests::calls::{booking, dollars_of, eventually, line, released, settlement};
use crate::types::{ManualClock, Money, Subject};

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
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let (name, path) = entry.map(|entry| (entry.file_name(), entry.path())).unwrap();
            // The `-shm` is rebuilt from the `-wal`, as after a kill.
            if !name.to_str().unwrap().ends_with("-shm") {
                std::fs::copy(path, folder.path().join(name)).unwrap();
            }
        }
        Self { folder, clock: Arc::clone(&self.clock) }
    }
}

async fn reserve(store: &EmbeddedStore, booking: &Booking) -> Result<Vec<CounterState>, ReserveError> {
    store.reserve(booking.clone()).await
}

async fn usd(store: &EmbeddedStore, who: &str) -> (u64, u64) {
    dollars_of(&store.counters().await.unwrap(), Some(who))
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
    assert_eq!((usage[0].group.as_ref(), usage[0].row.usage.output), ("eng", 2));
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
        let listed: Vec<_> = bill.at_reservation.iter().map(|call| (call.request_id.as_ref(), call.reason)).collect();
        assert_eq!(listed, [("alice-300", ReservedReason::Crashed)]);
        drop(store);
    }
}

#[tokio::test]
async fn what_no_transaction_has_taken_up_at_a_kill_is_in_the_journal() {
    let place = Place::new();
    let (store, _) = place.open();
    store.bill().await.unwrap();
    // Somebody else's transaction keeps the owner from writing.
    let other = Connection::open(place.options().path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let running = booking("alice", 300);
    reserve(&store, &running).await.unwrap();
    let killed = place.killed();
    drop(other);
    let rows = StoreFile::open(&killed.options().path).unwrap().counters().unwrap();
    assert_eq!(dollars_of(&rows, None), (0, 0), "it is not in the file");
    for expected in [Recovered { calls: 1, cost: Money::from_nanos(300) }, Recovered::default()] {
        let (store, recovered) = killed.open();
        assert_eq!(recovered, expected);
        assert_eq!(usd(&store, "alice").await, (300, 0));
        drop(store);
    }
}

#[tokio::test]
async fn a_settlement_on_which_a_grant_rests_is_written_before_it() {
    let place = Place::new();
    let (store, _) = place.open();
    store.bill().await.unwrap();
    let other = Connection::open(place.options().path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (first, second) = (booking("alice", 800), booking("alice", 700));
    reserve(&store, &first).await.unwrap();
    assert!(matches!(reserve(&store, &second).await, Err(ReserveError::Exhausted(_))));
    store.settle(settlement(&first, 100));
    reserve(&store, &second).await.unwrap();
    let killed = place.killed();
    let (store, recovered) = killed.open();
    assert_eq!(recovered, Recovered { calls: 1, cost: Money::from_nanos(700) });
    assert_eq!(usd(&store, "alice").await, (800, 0));
    let bill = store.bill().await.unwrap();
    assert_eq!((bill.calls(), bill.cost().nanos()), (2, 800));
    drop(other);
}

#[tokio::test]
async fn what_a_transaction_has_taken_up_is_not_settled_again_from_a_journal_that_was_left() {
    let place = Place::new();
    let (store, _) = place.open();
    let (settled, running) = (booking("alice", 100), booking("alice", 300));
    reserve(&store, &settled).await.unwrap();
    reserve(&store, &running).await.unwrap();
    let before = place.killed();
    store.settle(settlement(&settled, 70));
    store.bill().await.unwrap();
    let killed = place.killed();
    // A kill between the transaction and the deletion of its journals leaves these.
    for entry in std::fs::read_dir(before.folder.path()).unwrap() {
        let (name, path) = entry.map(|entry| (entry.file_name(), entry.path())).unwrap();
        if name.to_str().unwrap().contains("-journal-") {
            std::fs::copy(path, killed.folder.path().join(name)).unwrap();
        }
    }
    let (store, recovered) = killed.open();
    assert_eq!(recovered, Recovered { calls: 1, cost: Money::from_nanos(300) });
    assert_eq!(usd(&store, "alice").await, (370, 0));
}

#[tokio::test]
async fn without_a_journal_a_grant_waits_for_its_transaction() {
    let place = Place::new();
    let options = EmbeddedOptions { durability: Durability::Power, ..place.options() };
    let (store, _) = EmbeddedStore::open(&options, Arc::clone(&place.clock) as Arc<dyn Clock>).unwrap();
    reserve(&store, &booking("alice", 300)).await.unwrap();
    let rows = StoreFile::open(&options.path).unwrap().counters().unwrap();
    assert_eq!(dollars_of(&rows, None), (0, 300));
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
    store.bill().await.unwrap_err();
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
    let health = store.health();
    assert!(health.trouble.is_some_and(|trouble| trouble.contains("cannot be written")));
    assert_eq!((health.running, health.unwritten), (0, 2));
    other.execute_batch("ROLLBACK").unwrap();
    let bill = store.bill().await.unwrap();
    assert_eq!((bill.calls(), bill.cost().nanos()), (2, 100));
    assert_eq!(store.health(), Health::default());
    reserve(&store, &booking("alice", 10)).await.unwrap();
    store.bill().await.unwrap();
    let file = StoreFile::open(&place.options().path).unwrap();
    let (spent, reserved) = dollars_of(&file.counters().unwrap(), None);
    assert_eq!((spent, reserved), (100, 10));
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
    assert_eq!(dollars_of(&file.counters().unwrap(), None), (0, 10));
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

fn asked(effect: Effect) -> Change {
    let (budget, subject) = ("daily".into(), Subject::Principal("alice".into()));
    Change { budget, subject, effect, by: "root".to_owned(), reason: "a deadline".to_owned() }
}

#[tokio::test]
async fn changes_written_by_another_process_are_taken_up_while_the_store_runs_and_once() {
    let place = Place::new();
    let (store, _) = place.open();
    let path = place.options().path;
    let (spent, running) = (booking("alice", 600), booking("alice", 100));
    reserve(&store, &spent).await.unwrap();
    store.settle(settlement(&spent, 600));
    reserve(&store, &running).await.unwrap();
    changes::add(&path, &asked(Effect::Raise(Unit::Usd, 50, SystemTime::now())), place.clock.now()).unwrap();
    assert!(in_use(&path));
    changes::add(&path, &asked(Effect::Limit(Unit::Usd, 2_000)), place.clock.now()).unwrap();
    assert!(in_use(&path));
    changes::add(&path, &asked(Effect::Reset), place.clock.now()).unwrap();
    assert!(in_use(&path));
    eventually("the reset", async || usd(&store, "alice").await == (0, 100)).await;
    let counter = line("alice", Unit::Usd, 0, Enforcement::Hard).counter;
    assert_eq!(store.adjustments().unwrap().limit(&counter, 1_000, SystemTime::now()), 2_000);
    let later = booking("alice", 300);
    reserve(&store, &later).await.unwrap();
    store.settle(settlement(&later, 300));
    let bill = store.bill().await.unwrap();
    assert_eq!(bill.cost().nanos(), 900, "a reset changes counts, not the bill");
    drop(store);
    changes::add(&path, &asked(Effect::Configured), place.clock.now()).unwrap();
    assert!(!in_use(&path));
    let (store, recovered) = place.open();
    assert_eq!(recovered.calls, 1);
    assert_eq!(usd(&store, "alice").await, (400, 0));
    assert_eq!(store.adjustments().unwrap().limit(&counter, 1_000, SystemTime::now()), 1_000);
    let history = StoreFile::open(&path).unwrap().history().unwrap();
    let effects: Vec<_> = history.iter().map(|made| made.change.effect.word()).collect();
    assert_eq!(effects, ["raise", "limit", "reset", "configured"]);
    assert_eq!(history[2].change, asked(Effect::Reset));
}

#[tokio::test]
async fn a_file_of_the_first_layout_is_brought_up_to_date_with_what_it_holds() {
    let place = Place::new();
    let old = Connection::open(place.options().path).unwrap();
    old.execute_batch(schema::STEPS[0]).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    let day = i64::try_from(NOON / 86_400 * 86_400_000).unwrap();
    old.execute(
        "INSERT INTO counts VALUES ('daily', 'principal', 'alice', '', 'usd', ?1, ?2, ?2, 700)",
        [day, day + 86_400_000],
    )
    .unwrap();
    drop(old);
    let (store, _) = place.open();
    assert_eq!(usd(&store, "alice").await, (700, 0));
    assert!(matches!(reserve(&store, &booking("alice", 301)).await, Err(ReserveError::Exhausted(_))));
    assert!(reserve(&store, &booking("alice", 300)).await.is_ok());
}

#[tokio::test]
async fn a_threshold_that_was_told_of_is_known_after_a_kill() {
    let place = Place::new();
    let (store, _) = place.open();
    let counter = line("alice", Unit::Usd, 0, Enforcement::Hard).counter;
    let mark = |percent| Mark { counter: counter.clone(), window: place.clock.now(), percent };
    assert!(store.claim(mark(50), false).await.unwrap());
    assert!(!store.claim(mark(50), false).await.unwrap());
    let killed = place.killed();
    let (store, _) = killed.open();
    assert!(!store.claim(mark(50), false).await.unwrap());
    assert!(store.claim(mark(80), false).await.unwrap());
}
