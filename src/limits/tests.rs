//! Calls at the door, on paused time: what has to wait for the clock waits no time at all.

mod waiting;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::advance;

use super::*;
use crate::identity::Principal;
use crate::types::{ModelId, Models, Owners, Per, Tags};

fn principal(name: &str, groups: &[&str]) -> Principal {
    Principal::new(name, groups.iter().map(|&group| group.to_owned()).collect(), Tags::default())
}

fn some(amount: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(amount)
}

fn limit(name: &str, per: Per, rates: Rates, max_wait_s: u64) -> RateLimit {
    RateLimit {
        name: name.to_owned(),
        owners: Owners::Everyone,
        per,
        models: Models::All,
        rates,
        max_wait: Duration::from_secs(max_wait_s),
    }
}

fn per_second(amount: u64) -> Rates {
    Rates { requests_per_second: some(amount), ..Rates::default() }
}

fn per_minute(amount: u64) -> Rates {
    Rates { requests_per_minute: some(amount), ..Rates::default() }
}

fn tokens(amount: u64) -> Rates {
    Rates { tokens_per_minute: some(amount), ..Rates::default() }
}

fn concurrent(amount: u64) -> Rates {
    Rates { concurrent: some(amount), ..Rates::default() }
}

fn limits(rules: Vec<RateLimit>) -> Arc<Limits> {
    Arc::new(Limits::new(rules).unwrap())
}

async fn admit(limits: &Limits, who: &str, tokens: u64) -> Result<Admitted, Box<Limited>> {
    limits.admit(&principal(who, &["eng"]), None, tokens).await
}

/// A call that goes to Bedrock.
async fn call(limits: &Limits, who: &str, tokens: u64) -> Admitted {
    let mut admitted = admit(limits, who, tokens).await.unwrap();
    admitted.sent();
    admitted
}

#[tokio::test(start_paused = true)]
async fn a_second_has_so_many_requests_and_then_one_at_a_time() {
    let limits = limits(vec![limit("burst", Per::Principal, per_second(3), 0)]);
    for _ in 0..3 {
        drop(call(&limits, "alice", 0).await);
    }
    let limited = admit(&limits, "alice", 0).await.unwrap_err();
    assert_eq!((limited.measure, limited.most, limited.retry_after_s), (Measure::RequestsPerSecond, 3, 1));
    assert_eq!(
        limited.to_string(),
        "rate limit \"burst\" allows alice 3 requests per second, and they are used up: try again in 1 s, make fewer calls \
         at once, or ask whoever runs Tollgate to raise it"
    );
    drop(call(&limits, "bob", 0).await);
    advance(Duration::from_millis(334)).await;
    drop(call(&limits, "alice", 0).await);
    assert!(admit(&limits, "alice", 0).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_time_to_try_again_is_when_there_is_room_and_a_minute_at_most() {
    let limits =
        limits(vec![limit("minute", Per::Principal, per_minute(2), 0), limit("tokens", Per::Everyone, tokens(100), 0)]);
    for _ in 0..2 {
        drop(call(&limits, "alice", 0).await);
    }
    assert_eq!(admit(&limits, "alice", 0).await.unwrap_err().retry_after_s, 30);
    advance(Duration::from_millis(12_100)).await;
    assert_eq!(admit(&limits, "alice", 0).await.unwrap_err().retry_after_s, 18);
    call(&limits, "bob", 1).await.settle(10_000);
    let limited = admit(&limits, "bob", 1).await.unwrap_err();
    assert_eq!((limited.measure, limited.retry_after_s), (Measure::TokensPerMinute, 60));
    assert!(limited.to_string().contains("allows all callers together 100 tokens per minute"), "{limited}");
}

#[tokio::test(start_paused = true)]
async fn tokens_are_corrected_by_what_was_used_and_debt_is_waited_for() {
    let limits = limits(vec![limit("tokens", Per::Principal, tokens(600), 0)]);
    // More is expected than a minute has: the call is let in, and the bucket is empty while it runs.
    let first = call(&limits, "alice", 5_000).await;
    assert!(admit(&limits, "alice", 1).await.is_err());
    assert!(admit(&limits, "alice", 0).await.is_ok(), "what uses no tokens waits for none");
    first.settle(100);
    // 500 are left; what turns out to be more leaves a debt of 100.
    call(&limits, "alice", 10).await.settle(600);
    assert_eq!(admit(&limits, "alice", 1).await.unwrap_err().retry_after_s, 11);
    advance(Duration::from_secs(11)).await;
    // It is not known what this one used: what was taken stays taken.
    drop(call(&limits, "alice", 10).await);
    let nothing_left = admit(&limits, "alice", 1).await.unwrap_err();
    assert_eq!(nothing_left.retry_after_s, 1);
    advance(Duration::from_secs(1)).await;
    // Nothing of these reached Bedrock.
    drop(admit(&limits, "alice", 10).await.unwrap());
    call(&limits, "alice", 10).await.release();
    drop(admit(&limits, "alice", 10).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_place_among_concurrent_calls_is_free_when_the_call_ends() {
    let limits = limits(vec![limit("open", Per::Group, concurrent(2), 0)]);
    let first = call(&limits, "alice", 0).await;
    let second = call(&limits, "bob", 0).await;
    let limited = admit(&limits, "alice", 0).await.unwrap_err();
    assert_eq!((limited.measure, limited.retry_after_s), (Measure::Concurrent, 1));
    assert!(
        limited.to_string().contains("allows group eng together 2 calls at a time, and they are running"),
        "{limited}"
    );
    first.settle(7);
    let third = call(&limits, "alice", 0).await;
    drop(second);
    drop(call(&limits, "bob", 0).await);
    drop(third);
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_all_or_nothing() {
    let limits =
        limits(vec![limit("own", Per::Principal, per_minute(2), 0), limit("shared", Per::Everyone, concurrent(1), 0)]);
    let open = call(&limits, "bob", 0).await;
    for _ in 0..5 {
        assert_eq!(admit(&limits, "alice", 0).await.unwrap_err().limit, "shared");
    }
    drop(open);
    for _ in 0..2 {
        drop(call(&limits, "alice", 0).await);
    }
    assert_eq!(admit(&limits, "alice", 0).await.unwrap_err().limit, "own");
    // A call of bob's that is not sent gives back its request.
    drop(admit(&limits, "bob", 0).await.unwrap());
    drop(call(&limits, "bob", 0).await);
    assert!(admit(&limits, "bob", 0).await.is_err(), "two were sent");
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_for_its_owners_and_its_models() {
    let nova: ModelId = "us.amazon.nova-lite-v1:0".parse().unwrap();
    let titan: ModelId = "amazon.titan-text-express-v1".parse().unwrap();
    let mut rule = limit("nova", Per::Everyone, concurrent(1), 0);
    rule.models = Models::Like(vec!["amazon.nova-*".to_owned()]);
    rule.owners = Owners::Only { principals: vec!["alice".to_owned()], groups: vec!["ops".to_owned()] };
    let limits = limits(vec![rule]);
    let (alice, bob, carol) = (principal("alice", &[]), principal("bob", &["ops"]), principal("carol", &["eng"]));
    let _open = limits.admit(&alice, Some(&nova), 0).await.unwrap();
    assert!(limits.admit(&bob, Some(&nova), 0).await.is_err());
    for (who, model) in [(&bob, Some(&titan)), (&bob, None), (&carol, Some(&nova))] {
        drop(limits.admit(who, model, 0).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn gates_of_those_who_are_quiet_are_dropped() {
    let limits = limits(vec![limit("second", Per::Principal, per_second(5), 0)]);
    for index in 0..20_000 {
        drop(call(&limits, &format!("p{index}"), 0).await);
        if index % 100 == 0 {
            advance(Duration::from_millis(100)).await;
        }
    }
    assert!(limits.gates() < 3_000, "{} gates", limits.gates());
}

#[tokio::test]
async fn however_many_race_no_more_than_so_many_run() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let limits =
        limits(vec![limit("own", Per::Principal, concurrent(3), 60), limit("all", Per::Everyone, concurrent(5), 60)]);
    let running = Arc::new(AtomicU64::new(0));
    let calls: Vec<_> = (0..400)
        .map(|index| {
            let (limits, running) = (Arc::clone(&limits), Arc::clone(&running));
            tokio::spawn(async move {
                let admitted = call(&limits, ["alice", "bob", "carol"][index % 3], 0).await;
                assert!(running.fetch_add(1, Ordering::SeqCst) < 5);
                for _ in 0..index % 7 {
                    tokio::task::yield_now().await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
                drop(admitted);
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(limits.waiting(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_forgotten_in_a_queue_and_no_place_is_lost_when_callers_leave() {
    let limits = limits(vec![
        limit("own", Per::Principal, concurrent(2), 60),
        limit("group", Per::Group, Rates { tokens_per_minute: some(1_000_000), ..concurrent(3) }, 60),
        limit("all", Per::Everyone, concurrent(4), 60),
    ]);
    let calls: Vec<_> = (0..600)
        .map(|index| {
            let limits = Arc::clone(&limits);
            let task = tokio::spawn(async move {
                let (who, group) = [("alice", "eng"), ("bob", "eng"), ("carol", "ops")][index % 3];
                let mut admitted = limits.admit(&principal(who, &[group]), None, 10).await.unwrap();
                admitted.sent();
                tokio::task::yield_now().await;
                if index % 2 == 0 { admitted.settle(5) } else { drop(admitted) }
            });
            (index, task)
        })
        .collect();
    for (index, task) in calls {
        if index % 5 == 0 {
            task.abort();
        }
        match task.await {
            Ok(()) => {}
            Err(left) => assert!(left.is_cancelled(), "{left}"),
        }
    }
    assert_eq!(limits.waiting(), 0);
    let all = |who: &'static str, group: &'static str| {
        let limits = Arc::clone(&limits);
        async move { limits.admit(&principal(who, &[group]), None, 0).await.unwrap() }
    };
    let _places =
        [all("alice", "eng").await, all("bob", "eng").await, all("bob", "eng").await, all("carol", "ops").await];
}

#[test]
fn what_limits_nothing_or_has_no_name_of_its_own_is_not_put_in_force() {
    let rule = || limit("a", Per::Principal, per_second(1), 0);
    let twice = Limits::new(vec![rule(), rule()]);
    assert_eq!(twice.unwrap_err(), RuleError::DuplicateName("a".to_owned()));
    let nothing = Limits::new(vec![limit("b", Per::Principal, Rates::default(), 0)]);
    assert_eq!(nothing.unwrap_err(), RuleError::NoRate("b".to_owned()));
}
