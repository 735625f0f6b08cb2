//! Calls in the queue: in which order they are let in, and when they are not.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance};

use super::*;

/// Calls in a queue, each of which says its name when it is let in, and ends when told to.
struct Waiting {
    limits: Arc<Limits>,
    through: mpsc::UnboundedSender<(&'static str, Admitted)>,
    order: mpsc::UnboundedReceiver<(&'static str, Admitted)>,
}

impl Waiting {
    fn at(limits: &Arc<Limits>) -> Self {
        let (through, order) = mpsc::unbounded_channel();
        Self { limits: Arc::clone(limits), through, order }
    }

    /// Lets a call of `who` queue, and returns once it does.
    async fn join(&self, who: &'static str, label: &'static str) -> JoinHandle<()> {
        let before = self.limits.waiting();
        let (limits, through) = (Arc::clone(&self.limits), self.through.clone());
        let task = tokio::spawn(async move {
            if let Ok(mut admitted) = admit(&limits, who, 0).await {
                admitted.sent();
                let _ = through.send((label, admitted));
            }
        });
        while self.limits.waiting() == before {
            tokio::task::yield_now().await;
        }
        task
    }

    async fn next(&mut self) -> &'static str {
        let (label, admitted) = self.order.recv().await.unwrap();
        drop(admitted);
        label
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_one_principal_does_not_starve_the_rest() {
    let limits = limits(vec![limit("open", Per::Everyone, concurrent(1), 60)]);
    let open = call(&limits, "alice", 0).await;
    let mut waiting = Waiting::at(&limits);
    for label in ["alice 1", "alice 2", "alice 3"] {
        waiting.join("alice", label).await;
    }
    waiting.join("bob", "bob 1").await;
    waiting.join("carol", "carol 1").await;
    waiting.join("bob", "bob 2").await;
    drop(open);
    let mut order = Vec::new();
    for _ in 0..6 {
        order.push(waiting.next().await);
    }
    assert_eq!(order, ["alice 1", "bob 1", "carol 1", "alice 2", "bob 2", "alice 3"]);
    assert_eq!(limits.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_rate_is_let_in_when_the_clock_says_so() {
    let limits = limits(vec![limit("minute", Per::Everyone, per_minute(60), 10)]);
    for _ in 0..60 {
        drop(call(&limits, "alice", 0).await);
    }
    let started = Instant::now();
    let mut waiting = Waiting::at(&limits);
    for (who, label) in [("alice", "alice 1"), ("alice", "alice 2"), ("bob", "bob 1")] {
        waiting.join(who, label).await;
    }
    for (label, seconds) in [("alice 1", 1), ("bob 1", 2), ("alice 2", 3)] {
        assert_eq!(waiting.next().await, label);
        assert_eq!(started.elapsed().as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_refused_and_told_so() {
    let limits = limits(vec![limit("open", Per::Everyone, concurrent(1), 5)]);
    let _open = call(&limits, "alice", 0).await;
    let started = Instant::now();
    let limited = admit(&limits, "bob", 0).await.unwrap_err();
    assert_eq!(started.elapsed().as_secs(), 5);
    assert!(limited.waited >= Duration::from_secs(5) && !limited.crowded);
    assert!(limited.to_string().contains("; the call waited 5.0 s for room: try again in 1 s"), "{limited}");
    assert_eq!(limits.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_queue_makes_room_in_it() {
    let limits = limits(vec![limit("open", Per::Everyone, concurrent(1), 60)]);
    let open = call(&limits, "alice", 0).await;
    let mut waiting = Waiting::at(&limits);
    let first = waiting.join("bob", "bob 1").await;
    waiting.join("carol", "carol 1").await;
    first.abort();
    first.await.unwrap_err();
    assert_eq!(limits.waiting(), 1);
    drop(open);
    assert_eq!(waiting.next().await, "carol 1");
}

#[tokio::test(start_paused = true)]
async fn a_queue_has_an_end() {
    let limits = limits(vec![limit("open", Per::Everyone, concurrent(1), 60)]);
    let open = call(&limits, "alice", 0).await;
    let mut waiting = Waiting::at(&limits);
    for _ in 0..MOST_WAITING {
        waiting.join("alice", "alice").await;
    }
    let limited = admit(&limits, "bob", 0).await.unwrap_err();
    assert!(limited.crowded && limited.waited.is_zero());
    assert!(limited.to_string().contains("too many calls wait for room already"), "{limited}");
    drop(open);
    for _ in 0..MOST_WAITING {
        waiting.next().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_lacks_something_else_does_not_hold_up_the_queue() {
    let mut own = limit("own", Per::Principal, per_minute(1), 60);
    own.owners = Owners::Only { principals: vec!["alice".to_owned()], groups: Vec::new() };
    let limits = limits(vec![own, limit("open", Per::Everyone, concurrent(1), 60)]);
    drop(call(&limits, "alice", 0).await);
    let open = call(&limits, "bob", 0).await;
    let mut waiting = Waiting::at(&limits);
    // Alice waits for her minute first, at a gate of her own.
    waiting.join("alice", "alice 1").await;
    waiting.join("bob", "bob 1").await;
    drop(open);
    assert_eq!(waiting.next().await, "bob 1");
    let started = Instant::now();
    assert_eq!(waiting.next().await, "alice 1");
    assert!(started.elapsed() >= Duration::from_secs(59));
}

#[tokio::test(start_paused = true)]
async fn who_comes_from_another_queue_rings_for_whoever_is_next_in_this_one() {
    let (nova, titan): (ModelId, ModelId) = ("amazon.nova-lite-v1:0".parse().unwrap(), "amazon.titan".parse().unwrap());
    let mut own = limit("own", Per::Principal, per_minute(2), 60);
    own.models = Models::Like(vec!["*nova*".to_owned()]);
    let limits = limits(vec![own, limit("open", Per::Everyone, concurrent(2), 60)]);
    let (alice, bob) = (principal("alice", &[]), principal("bob", &[]));
    for _ in 0..2 {
        let mut admitted = limits.admit(&alice, Some(&nova), 0).await.unwrap();
        admitted.sent();
    }
    let open = [call(&limits, "carol", 0).await, call(&limits, "carol", 0).await];
    let mut context = Context::from_waker(Waker::noop());
    let mut from_her_own = pin!(limits.admit(&alice, Some(&nova), 0));
    let mut in_line = pin!(limits.admit(&alice, Some(&titan), 0));
    let mut next = pin!(limits.admit(&bob, Some(&titan), 0));
    assert!(from_her_own.as_mut().poll(&mut context).is_pending());
    assert!(in_line.as_mut().poll(&mut context).is_pending());
    assert!(next.as_mut().poll(&mut context).is_pending());
    advance(Duration::from_secs(31)).await;
    drop(open);
    // Alice's older call takes her turn before the one for which the bell has rung.
    let _first = from_her_own.as_mut().poll(&mut context).map(Result::unwrap);
    assert!(in_line.as_mut().poll(&mut context).is_pending());
    assert!(next.as_mut().poll(&mut context).is_ready());
}
