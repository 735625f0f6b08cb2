//! A server that does not answer, comes back, or comes back empty.

use super::*;

fn impatient(place: &Place, allowance: u64) -> SharedOptions {
    let options = place.options();
    let server = SharedServer { timeout: Duration::from_millis(500), ..options.server };
    SharedOptions { server, allowance, ..options }
}

#[tokio::test]
async fn while_it_is_down_hard_budgets_refuse_and_what_is_settled_is_told_later() {
    let mut place = Place::new();
    let store = place.running(&impatient(&place, 0)).await;
    let (before, soft) = (booking("alice", 100), {
        let mut soft = booking("alice", 40);
        soft.lines = vec![line("alice", Unit::Usd, 40, Enforcement::Soft)];
        soft
    });
    reserve(&store, &before).await.unwrap();
    place.server.kill();
    let refused = reserve(&store, &booking("alice", 10)).await;
    assert!(matches!(refused, Err(ReserveError::Store(_))), "{refused:?}");
    reserve(&store, &soft).await.unwrap();
    store.settle(settlement(&before, 70));
    store.settle(settlement(&soft, 30));
    assert!(store.bill().await.is_err());
    let health = store.health();
    assert!(health.trouble.is_some());
    assert_eq!((health.running, health.unwritten), (1, 2), "the refused one waits to be given back");
    place.server.start_again();
    assert_eq!(usd(&store, "alice").await, (100, 0));
    let bill = store.bill().await.unwrap();
    assert_eq!((bill.calls(), bill.cost().nanos(), bill.at_reservation.len()), (2, 100, 0));
    eventually("it answers", async || reserve(&store, &booking("alice", 10)).await.is_ok()).await;
    assert_eq!((store.health().trouble, store.health().unwritten), (None, 0));
}

#[tokio::test]
async fn a_booking_whose_answer_is_lost_holds_nothing_after_it_was_given_up() {
    let place = Place::new();
    let store = place.running(&impatient(&place, 0)).await;
    let call = booking("alice", 600);
    let frozen = Frozen::new(&place.server);
    let refused = reserve(&store, &call).await;
    assert!(matches!(refused, Err(ReserveError::Store(_))), "{refused:?}");
    // As the ledger does.
    store.settle(released(&call));
    drop(frozen);
    assert_eq!(usd(&store, "alice").await, (0, 0));
    eventually("it answers", async || reserve(&store, &booking("alice", 900)).await.is_ok()).await;
}

#[tokio::test]
async fn a_settlement_whose_answer_is_lost_is_made_again_and_counts_once() {
    let place = Place::new();
    let store = place.running(&impatient(&place, 0)).await;
    let call = booking("alice", 600);
    reserve(&store, &call).await.unwrap();
    let frozen = Frozen::new(&place.server);
    store.settle(settlement(&call, 70));
    eventually("it is found out", async || store.0.trouble.load().is_some()).await;
    drop(frozen);
    assert_eq!(usd(&store, "alice").await, (70, 0));
    assert_eq!(store.bill().await.unwrap().calls(), 1);
}

#[tokio::test]
async fn within_the_allowance_calls_go_on_and_are_reconciled() {
    let mut place = Place::new();
    let store = place.running(&impatient(&place, 500)).await;
    place.server.kill();
    let calls: Vec<_> = (0..5).map(|_| booking("alice", 100)).collect();
    for call in &calls {
        let states = reserve(&store, call).await.unwrap();
        assert!(states[0].left(1_000) <= 400, "what is left is at most what the allowance has: {states:?}");
    }
    assert!(matches!(reserve(&store, &booking("alice", 1)).await, Err(ReserveError::Store(_))));
    store.settle(settlement(&calls[0], 20));
    reserve(&store, &booking("alice", 80)).await.unwrap();
    assert!(matches!(reserve(&store, &booking("alice", 1)).await, Err(ReserveError::Store(_))));
    let mut unpriced = booking("alice", 1);
    unpriced.held_cost = None;
    assert!(matches!(reserve(&store, &unpriced).await, Err(ReserveError::Store(_))));
    place.server.start_again();
    for call in &calls[1..] {
        store.settle(settlement(call, 50));
    }
    assert_eq!(usd(&store, "alice").await, (220, 0));
    assert_eq!(store.bill().await.unwrap().calls(), 5);
    eventually("what has been told of is free again; one call still runs", async || store.0.allowance.left() == 420)
        .await;
}

#[tokio::test]
async fn a_server_that_has_lost_its_counts_refuses_until_the_gateway_starts_again_and_keeps_what_is_settled() {
    let mut place = Place::new();
    let store = place.running(&impatient(&place, 0)).await;
    let (running, spent) = (booking("alice", 100), booking("alice", 900));
    reserve(&store, &running).await.unwrap();
    reserve(&store, &spent).await.unwrap();
    store.settle(settlement(&spent, 900));
    assert_eq!(usd(&store, "alice").await, (900, 100));
    place.server.kill();
    place.server.start_empty();
    let refused = || async { reserve(&store, &booking("alice", 10)).await };
    eventually(
        "it is found out",
        async || matches!(refused().await, Err(ReserveError::Store(error)) if error.0.contains("lost its counts")),
    )
    .await;
    store.settle(settlement(&running, 70));
    assert_eq!(usd(&store, "alice").await, (70, 0));
    let again = place.running(&impatient(&place, 0)).await;
    reserve(&again, &booking("alice", 10)).await.unwrap();
}

#[tokio::test]
async fn what_a_server_that_has_gone_back_holds_again_is_settled_at_the_reservation_and_nothing_else_is() {
    let place = Place::new();
    let store = place.gateway().await;
    let (settled, running) = (booking("alice", 100), booking("alice", 30));
    reserve(&store, &settled).await.unwrap();
    reserve(&store, &running).await.unwrap();
    let (row, slice) = {
        let here = store.0.here();
        let placed = &here.get(&settled.id).unwrap().placed;
        (holding::row(&settled, placed, place.clock.now()), placed[0].slice.text())
    };
    store.settle(settlement(&settled, 70));
    assert_eq!(usd(&store, "alice").await, (70, 30));
    // As it was before the settlement.
    let key = store.0.keys.count(&settled.lines[0].counter);
    let held = store.0.keys.held(&store.0.gateway);
    let _: i64 = place.server.ask(&["HSET", &held, &settled.id.uuid().to_string(), &row]);
    let _: i64 = place.server.ask(&["HSET", &key, &format!("{slice}:s"), "0", &format!("{slice}:r"), "130"]);
    store.0.check_own().await.unwrap();
    let held_now: i64 = place.server.ask(&["HLEN", &held]);
    assert_eq!(held_now, 2, "it may just be on its way out");
    store.0.check_own().await.unwrap();
    assert_eq!(usd(&store, "alice").await, (100, 30));
    assert_eq!(store.bill().await.unwrap().at_reservation.len(), 1);
    store.0.check_own().await.unwrap();
    store.0.check_own().await.unwrap();
    assert_eq!(usd(&store, "alice").await, (100, 30));
    store.settle(settlement(&running, 20));
    assert_eq!(usd(&store, "alice").await, (120, 0));
}

#[tokio::test]
async fn a_server_that_has_lost_its_counts_is_no_reason_for_the_allowance() {
    let mut place = Place::new();
    let store = place.running(&impatient(&place, 1_000)).await;
    reserve(&store, &booking("alice", 900)).await.unwrap();
    place.server.kill();
    place.server.start_empty();
    eventually("it is found out", async || store.0.lost.load(Ordering::Relaxed)).await;
    assert!(matches!(reserve(&store, &booking("alice", 10)).await, Err(ReserveError::Store(_))));
}

#[tokio::test]
async fn after_an_outage_longer_than_a_lease_the_living_are_not_taken_for_dead() {
    let place = Place::new();
    let (one, other) = (place.gateway().await, place.gateway().await);
    let call = booking("alice", 300);
    reserve(&other, &call).await.unwrap();
    // Nobody was answered in that time; then one of them is, again and again, before the other.
    place.clock.advance(LEASE * 2);
    for _ in 0..5 {
        look(&one).await;
        place.clock.advance(Duration::from_secs(1));
    }
    look(&other).await;
    look(&one).await;
    assert_eq!(usd(&one, "alice").await, (0, 300));
    other.settle(settlement(&call, 20));
    assert_eq!(usd(&other, "alice").await, (20, 0));
    // One that was late is not collected by who had seen it late.
    let late = booking("alice", 100);
    reserve(&other, &late).await.unwrap();
    one.0.collect(&other.0.gateway).await.unwrap();
    assert_eq!(usd(&one, "alice").await, (20, 100));
}

#[tokio::test]
async fn a_call_whose_reservation_was_not_answered_is_charged_once_however_often_it_is_settled() {
    let place = Place::new();
    let store = place.gateway().await;
    let call = booking("alice", 100);
    reserve(&store, &call).await.unwrap();
    let doubtful = Here { sent: Sent::Perhaps, ..store.0.here().get(&call.id).cloned().unwrap() };
    for _ in 0..3 {
        store.0.here().insert(call.id, doubtful.clone());
        store.settle(settlement(&call, 70));
        assert_eq!(usd(&store, "alice").await, (70, 0));
    }
    assert_eq!(store.bill().await.unwrap().calls(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_at_the_start_is_found_when_it_comes() {
    let mut place = Place::new();
    place.server.kill();
    let store = place.running(&impatient(&place, 0)).await;
    assert!(matches!(reserve(&store, &booking("alice", 10)).await, Err(ReserveError::Store(_))));
    place.server.start_again();
    eventually("it is found", async || reserve(&store, &booking("alice", 10)).await.is_ok()).await;
}

/// A server that is stopped and takes what is sent to it when it goes on.
struct Frozen(u32);

impl Frozen {
    fn new(server: &Server) -> Self {
        let frozen = Self(server.process());
        frozen.signal("-STOP");
        frozen
    }

    fn signal(&self, signal: &str) {
        let sent = std::process::Command::new("kill").args([signal, &self.0.to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}
