//! Gateways on a real server: races, kills, lost answers, lost data, and a store that does not answer.

mod counting;
mod key_stores;
mod model;
mod outage;
mod server;
mod topologies;

use std::time::Duration;

use super::*;
use crate::budget::adjustment::{Change, Effect};
use crate::budget::bill::ReservedReason;
use crate::budget::store::{Enforcement, Line, Unit};
use crate::budget::tests::calls::{booking, dollars_of, eventually, line, released, settlement};
use crate::budget::window::Window;
use crate::types::{ManualClock, Secret, Subject};
use holding::{Placed, Sent};
use server::Server;

const NOON: u64 = 1_795_262_400;
const LEASE: Duration = Duration::from_secs(30);

/// A server, and the clock by which its scripts go.
struct Place {
    server: Server,
    clock: Arc<ManualClock>,
}

/// Waits longer than a busy machine needs.
fn patient(url: String) -> SharedOptions {
    let mut options = SharedOptions { namespace: "test".to_owned(), lease: LEASE, ..SharedOptions::at(url) };
    options.server.timeout = Duration::from_secs(5);
    options
}

impl Place {
    fn new() -> Self {
        Self { server: Server::start(), clock: Arc::new(ManualClock::at_unix_seconds(NOON)) }
    }

    fn options(&self) -> SharedOptions {
        patient(self.server.url())
    }

    /// A gateway that keeps in touch when it is told to.
    async fn gateway(&self) -> SharedStore {
        self.gateway_with(&self.options()).await
    }

    async fn gateway_with(&self, options: &SharedOptions) -> SharedStore {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let store = SharedStore::new(options, ServerTime::of_test(clock)).unwrap();
        assert_eq!(store.0.begin().await, Vec::<String>::new());
        store
    }

    /// A gateway of its own clockwork, by the server's time.
    async fn running(&self, options: &SharedOptions) -> SharedStore {
        SharedStore::open(options, Arc::new(crate::types::SystemClock)).await.unwrap().0
    }
}

async fn reserve(store: &SharedStore, booking: &Booking) -> Result<Vec<CounterState>, ReserveError> {
    store.reserve(booking.clone()).await
}

/// One look at the store, with what it brings about.
async fn look(store: &SharedStore) {
    for gateway in store.0.beat().await.unwrap() {
        store.0.collect(&gateway).await.unwrap();
    }
}

/// Dollars spent and reserved by one, as the server has it once it has been told of everything.
async fn usd(store: &SharedStore, who: &str) -> (u64, u64) {
    assert!(store.0.told(Duration::from_mins(1)).await);
    store.0.look_in().await.unwrap();
    dollars_of(&store.counters().await.unwrap(), Some(who))
}

#[tokio::test]
async fn gateways_share_counts_and_the_bill() {
    let place = Place::new();
    let (one, other) = (place.gateway().await, place.gateway().await);
    let call = booking("alice", 600);
    let states = reserve(&one, &call).await.unwrap();
    assert_eq!((states[0].reserved, states[1].reserved), (600, 300));
    let Err(ReserveError::Exhausted(shortfalls)) = reserve(&other, &booking("alice", 401)).await else {
        panic!("401 of 400")
    };
    let told: Vec<_> = shortfalls.iter().map(|shortfall| (shortfall.line, shortfall.state.reserved)).collect();
    assert_eq!(told, [(0, 600)], "only dollars are short");
    reserve(&other, &booking("alice", 400)).await.unwrap();
    one.settle(settlement(&call, 70));
    assert_eq!(usd(&one, "alice").await, (70, 400));
    assert_eq!(usd(&other, "alice").await, (70, 400));
    let bill = other.bill().await.unwrap();
    assert_eq!((bill.calls(), bill.cost().nanos(), bill.rows[0].usage.output), (1, 70, 2));
    let usage = other.usage(place.clock.now()).await.unwrap();
    assert_eq!((usage.len(), usage[0].group.as_ref()), (1, "eng"));
    let apart = place.gateway_with(&SharedOptions { namespace: "other".to_owned(), ..place.options() }).await;
    assert_eq!(usd(&apart, "alice").await, (0, 0));
}

#[tokio::test]
async fn an_id_is_reserved_once_however_often_that_is_asked_for_and_not_after_its_settlement() {
    let place = Place::new();
    let store = place.gateway().await;
    let call = booking("alice", 100);
    for _ in 0..3 {
        let states = store.0.ask(&call).await;
        assert_eq!(states.unwrap()[0].reserved, 100);
    }
    let late = booking("alice", 100);
    let placed = store.0.here().get(&call.id).unwrap().placed.clone();
    store.0.here().insert(late.id, Here { placed, sent: Sent::Perhaps, allowed: None });
    store.settle(released(&late));
    assert_eq!(usd(&store, "alice").await, (0, 100));
    assert!(matches!(store.0.ask(&late).await, Err(ReserveError::Store(_))));
    assert_eq!(usd(&store, "alice").await, (0, 100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_gateways_so_many_calls_fit_as_fit_and_no_more() {
    let place = Place::new();
    let options = place.options();
    let gateways = [place.running(&options).await, place.running(&options).await, place.running(&options).await];
    let gateways = gateways.map(Arc::new);
    let racing: Vec<_> = (0..120)
        .map(|number| {
            let store = Arc::clone(&gateways[number % 3]);
            tokio::spawn(async move {
                let call = booking("alice", 90);
                let held = reserve(&store, &call).await;
                if held.is_ok() && number % 2 == 0 {
                    store.settle(settlement(&call, 90));
                }
                held.is_ok()
            })
        })
        .collect();
    let mut held = 0;
    for race in racing {
        held += u64::from(race.await.unwrap());
    }
    assert_eq!(held, 11, "11 × 90 of 1,000");
    for gateway in &gateways {
        assert!(gateway.0.told(Duration::from_mins(1)).await);
    }
    let (spent, reserved) = usd(&gateways[0], "alice").await;
    assert_eq!(spent + reserved, 990);
}

#[tokio::test]
async fn the_calls_of_a_gateway_that_is_silent_for_its_lease_are_settled_at_their_reservation_once() {
    let place = Place::new();
    let (dying, living, third) = (place.gateway().await, place.gateway().await, place.gateway().await);
    let (settled, running) = (booking("alice", 100), booking("alice", 300));
    reserve(&dying, &settled).await.unwrap();
    reserve(&dying, &running).await.unwrap();
    dying.settle(settlement(&settled, 70));
    assert_eq!(usd(&dying, "alice").await, (70, 300));
    place.clock.advance(LEASE);
    living.0.beat().await.unwrap();
    third.0.beat().await.unwrap();
    assert_eq!(usd(&living, "alice").await, (70, 300), "the lease has just not ended");
    place.clock.advance(Duration::from_millis(1));
    look(&living).await;
    look(&third).await;
    assert_eq!(usd(&living, "alice").await, (70, 300), "it may just have been late");
    place.clock.advance(Duration::from_secs(2));
    tokio::join!(look(&living), look(&third));
    assert_eq!(usd(&living, "alice").await, (370, 0));
    let bill = third.bill().await.unwrap();
    assert_eq!((bill.calls(), bill.cost().nanos()), (2, 370));
    let listed: Vec<_> = bill.at_reservation.iter().map(|call| (call.request_id.as_ref(), call.reason)).collect();
    assert_eq!(listed, [("alice-300", ReservedReason::Crashed)]);
    // It had only been cut off: what it settles now has been settled.
    dying.settle(settlement(&running, 200));
    assert_eq!(usd(&dying, "alice").await, (370, 0));
    assert_eq!(third.bill().await.unwrap(), bill);
    let leases: Vec<String> = place.server.ask(&["ZRANGE", "{tollgate:test}:leases", "0", "-1"]);
    assert_eq!(leases.len(), 2, "the dead one is forgotten: {leases:?}");
}

#[tokio::test]
async fn a_gateway_that_ends_well_leaves_nothing_to_collect() {
    let place = Place::new();
    let (ending, other) = (place.gateway().await, place.gateway().await);
    let call = booking("alice", 100);
    reserve(&ending, &call).await.unwrap();
    ending.settle(settlement(&call, 70));
    ending.close().await;
    place.clock.advance(LEASE * 2);
    other.0.beat().await.unwrap();
    let bill = other.bill().await.unwrap();
    assert_eq!((bill.calls(), bill.at_reservation.len()), (1, 0));
    let keys: Vec<String> = place.server.ask(&["KEYS", "*held*"]);
    assert_eq!(keys, Vec::<String>::new());
}

#[tokio::test]
async fn changes_are_taken_up_by_every_gateway_and_a_reset_changes_counts_and_not_the_bill() {
    let place = Place::new();
    let (store, other) = (place.gateway().await, place.gateway().await);
    let clock = Arc::clone(&place.clock) as Arc<dyn Clock>;
    let operator = SharedStore::new(&place.options(), ServerTime::of_test(clock)).unwrap();
    operator.0.look_in().await.unwrap();
    let asked = |effect| Change {
        budget: "daily".into(),
        subject: Subject::Principal("alice".into()),
        effect,
        by: "root".to_owned(),
        reason: "a deadline".to_owned(),
    };
    let (spent, running) = (booking("alice", 600), booking("alice", 100));
    reserve(&store, &spent).await.unwrap();
    store.settle(settlement(&spent, 600));
    reserve(&store, &running).await.unwrap();
    assert_eq!(usd(&store, "alice").await, (600, 100));
    for effect in [Effect::Raise(Unit::Usd, 50, place.clock.now()), Effect::Limit(Unit::Usd, 2_000), Effect::Reset] {
        operator.change(asked(effect), place.clock.now()).await.unwrap();
    }
    other.0.beat().await.unwrap();
    assert_eq!(usd(&other, "alice").await, (0, 100));
    let counter = line("alice", Unit::Usd, 0, Enforcement::Hard).counter;
    assert_eq!(other.adjustments().unwrap().limit(&counter, 1_000, place.clock.now()), 2_000);
    assert_eq!(other.bill().await.unwrap().cost().nanos(), 600);
    let history = operator.history().await.unwrap();
    let effects: Vec<_> = history.iter().map(|made| (made.sequence, made.change.effect.word())).collect();
    assert_eq!(effects, [(1, "raise"), (2, "limit"), (3, "reset")]);
    assert_eq!(history[2].change, asked(Effect::Reset));
    assert_eq!(history[2].made, place.clock.now());
    let leases: Vec<String> = place.server.ask(&["ZRANGE", "{tollgate:test}:leases", "0", "-1"]);
    assert_eq!(leases.len(), 2, "who only looks has no lease");
}

#[tokio::test]
async fn a_threshold_is_told_of_by_one_gateway() {
    let place = Place::new();
    let (one, other) = (place.gateway().await, place.gateway().await);
    let counter = line("alice", Unit::Usd, 0, Enforcement::Hard).counter;
    let mark = |percent| Mark { counter: counter.clone(), window: place.clock.now(), percent };
    assert!(one.claim(mark(50), false).await.unwrap());
    assert!(!other.claim(mark(50), false).await.unwrap() && other.claim(mark(80), false).await.unwrap());
}

#[tokio::test]
async fn counts_whose_time_is_over_are_forgotten_here_and_there() {
    let place = Place::new();
    let store = place.gateway().await;
    let call = booking("alice", 100);
    reserve(&store, &call).await.unwrap();
    store.settle(settlement(&call, 70));
    let key = store.0.keys.count(&call.lines[0].counter);
    assert_eq!(usd(&store, "alice").await, (70, 0));
    let left: i64 = place.server.ask(&["PTTL", &key]);
    assert_eq!(left / 3_600_000, 35, "until midnight, and a day");
    place.clock.advance(Duration::from_hours(14));
    assert_eq!(usd(&store, "alice").await, (0, 0));
    // The server has let the key go; the next whole look forgets its name.
    let _: i64 = place.server.ask(&["DEL", &key]);
    place.clock.advance(Duration::from_hours(2));
    store.0.look_in().await.unwrap();
    let names: Vec<String> = place.server.ask(&["ZRANGE", "{tollgate:test}:counters", "0", "-1"]);
    assert!(names.len() == 1 && !names.contains(&key), "{names:?}");
}

#[tokio::test]
async fn a_server_that_may_lose_counts_is_warned_of_and_a_user_of_its_own_is_enough() {
    let mut place = Place::new();
    place.server = Server::with(&["--maxmemory-policy", "allkeys-lru"]);
    let _: String = place.server.ask(&[
        "ACL",
        "SETUSER",
        "gate",
        "on",
        ">s3cret",
        "~{tollgate:test}:*",
        "+@all",
        "-@admin",
        "-@dangerous",
    ]);
    let (_, warnings) = SharedStore::open(&place.options(), Arc::new(crate::types::SystemClock)).await.unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    let mut options = place.options();
    options.server.user = Some("gate".to_owned());
    options.server.password = Some(Secret::new("s3cret".to_owned()));
    let (store, warnings) = SharedStore::open(&options, Arc::new(crate::types::SystemClock)).await.unwrap();
    assert_eq!(warnings, Vec::<String>::new(), "it may not ask");
    let call = booking("alice", 100);
    reserve(&store, &call).await.unwrap();
    store.settle(settlement(&call, 70));
    assert_eq!(usd(&store, "alice").await, (70, 0));
    options.server.password = Some(Secret::new("wrong".to_owned()));
    let (store, _) = SharedStore::open(&options, Arc::new(crate::types::SystemClock)).await.unwrap();
    let refused = reserve(&store, &booking("alice", 100)).await;
    assert!(
        matches!(&refused, Err(ReserveError::Store(error)) if error.0.contains("WRONGPASS") || error.0.contains("uthent")),
        "{refused:?}"
    );
}
