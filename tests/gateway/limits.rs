//! How fast callers may go: what is refused, what waits, and what is given back when a call ends.

use http::StatusCode;
use http_body_util::BodyExt;
use tokio::task::JoinHandle;

use crate::client::{Answer, Wire, in_time, open, send};
use crate::harness::{Plan, Scene, converse, eventually};

/// A scene with one rate limit for everyone.
async fn limited(lines: &str) -> Scene {
    let table = format!("[[rate_limits]]\nname = \"pace\"\neveryone = true\n{lines}");
    Plan::default().with(&table).open().await
}

/// Sends in the background.
fn begin(scene: &Scene, wire: Wire, who: &str, model: &str, prompt: &str) -> JoinHandle<Answer> {
    let request = scene.post(who, &format!("/model/{model}/converse"), converse(prompt));
    tokio::spawn(send(scene.data, wire, request))
}

async fn waiting(scene: &Scene, calls: usize) {
    eventually(&format!("{calls} calls in the queue"), async || {
        (scene.gateway.limits.waiting() == calls).then_some(())
    })
    .await;
}

#[tokio::test]
async fn too_many_requests_are_refused_with_the_time_to_try_again() {
    let scene = limited("requests_per_minute = 2").await;
    for wire in [Wire::Http1, Wire::Http2] {
        let answer = begin(&scene, wire, "alice", "sonnet", "hello").await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
    }
    for wire in [Wire::Http1, Wire::Http2] {
        let answer = begin(&scene, wire, "alice", "sonnet", "hello").await.unwrap();
        assert_eq!(answer.refusal(), (429, "ThrottlingException", "rate_limited"));
        assert_eq!(answer.header("x-should-retry"), None);
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=30).contains(&after), "{after}");
        let message = answer.message();
        for part in ["Rate limit \"pace\" allows alice 2 requests per minute", "try again in", "raise it"] {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
    assert_eq!(scene.converse("bob", "haiku", "hello").await.status, StatusCode::OK, "bob has a limit of his own");
    assert_eq!(scene.received(3).await.len(), 3);
    let refused = "tollgate_refusals_total{reason=\"rate_limited\",operation=\"Converse\"}";
    assert_eq!(scene.sample(refused).await, Some(2.0));
    assert_eq!(scene.sample("tollgate_rate_limit_wait_seconds_count").await, Some(0.0), "nobody waited");
}

#[tokio::test]
async fn models_have_limits_of_their_own_and_groups_and_everyone_share_theirs() {
    let nova = limited("models = [\"amazon.nova-*\"]\nrequests_per_minute = 1").await;
    assert_eq!(nova.converse("alice", "nova", "hello").await.status, StatusCode::OK);
    assert_eq!(nova.converse("alice", "nova", "hello").await.refusal().2, "rate_limited");
    assert_eq!(nova.converse("alice", "sonnet", "hello").await.status, StatusCode::OK);

    let shared = limited("per = \"everyone\"\nrequests_per_minute = 1").await;
    assert_eq!(shared.converse("alice", "sonnet", "hello").await.status, StatusCode::OK);
    let answer = shared.converse("bob", "haiku", "hello").await;
    assert_eq!(answer.refusal().2, "rate_limited");
    assert!(answer.message().contains("all callers together"), "{}", answer.message());
}

#[tokio::test]
async fn a_place_is_held_until_the_answer_has_ended() {
    let scene = limited("concurrent = 1").await;
    let body = converse("hello [[mock:stall after=3]]");
    let stream = open(scene.data, Wire::Http1, scene.post("alice", "/model/sonnet/converse-stream", body)).await;
    assert_eq!(stream.status(), StatusCode::OK);
    let answer = scene.converse("alice", "sonnet", "hello").await;
    assert_eq!(answer.refusal(), (429, "ThrottlingException", "rate_limited"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(answer.message().contains("allows alice 1 call at a time"), "{}", answer.message());
    let whole = scene.converse("bob", "haiku", "hello").await;
    assert_eq!(whole.status, StatusCode::OK);
    // The bill is written when the call has ended, and so is its place free.
    scene.bill_of(1).await;
    assert_eq!(scene.converse("bob", "haiku", "hello").await.status, StatusCode::OK);

    // The caller leaves; the answer is read on in the background, and still has its place.
    drop(stream);
    eventually("the stream is drained", async || {
        scene.sample("tollgate_draining_streams").await.filter(|streams| *streams > 0.0)
    })
    .await;
    assert_eq!(scene.converse("alice", "sonnet", "hello").await.refusal().2, "rate_limited");
}

#[tokio::test]
async fn an_answer_that_is_drained_to_its_end_gives_its_place_back() {
    let scene = limited("concurrent = 1").await;
    let body = converse("hello [[mock:delay=20]]");
    let mut stream = open(scene.data, Wire::Http1, scene.post("alice", "/model/sonnet/converse-stream", body)).await;
    in_time(stream.body_mut().frame()).await.unwrap().unwrap();
    drop(stream);
    scene.bill_of(1).await;
    assert_eq!(scene.converse("alice", "sonnet", "hello").await.status, StatusCode::OK);
}

#[tokio::test]
async fn tokens_beyond_the_limit_are_a_debt_that_the_next_call_meets() {
    // Each call uses 34 tokens; a minute's worth is taken while it runs.
    let scene = limited("tokens_per_minute = 40").await;
    assert_eq!(scene.converse("alice", "sonnet", "hello").await.status, StatusCode::OK);
    scene.bill_of(1).await;
    assert_eq!(scene.converse("alice", "sonnet", "hello").await.status, StatusCode::OK, "6 are left");
    scene.bill_of(2).await;
    let answer = scene.converse("alice", "sonnet", "hello").await;
    assert_eq!(answer.refusal(), (429, "ThrottlingException", "rate_limited"));
    assert!(answer.message().contains("40 tokens per minute"), "{}", answer.message());
    let counted = r#"{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"hello"}]}]}}}"#;
    let free = scene.send(scene.post("alice", "/model/sonnet/count-tokens", counted)).await;
    assert_eq!(free.status, StatusCode::OK, "what uses no tokens waits for none");
}

#[tokio::test]
async fn what_bedrock_refuses_uses_no_tokens_and_what_it_does_not_count_keeps_what_was_taken() {
    // The one token is taken for a call while it runs, and takes a minute to come again.
    let scene = limited("tokens_per_minute = 1").await;
    for calls in 1..=5 {
        scene.converse("alice", "sonnet", "[[mock:throttle]]").await;
        scene.bill_of(calls).await;
    }
    assert_eq!(scene.converse("alice", "sonnet", "[[mock:no-counts]]").await.status, StatusCode::OK);
    scene.bill_of(6).await;
    let answer = scene.converse("alice", "sonnet", "hello").await;
    assert_eq!(answer.refusal().2, "rate_limited");
}

#[tokio::test]
async fn a_call_without_money_takes_no_room() {
    let budget = "[[budgets]]\nname = \"daily\"\neveryone = true\nwindow = \"day\"\ntokens = 10\n";
    let limit = "[[rate_limits]]\nname = \"pace\"\neveryone = true\nrequests_per_minute = 1\nconcurrent = 1";
    let scene = Plan::default().with(budget).with(limit).open().await;
    for _ in 0..3 {
        assert_eq!(scene.converse("alice", "sonnet", "hello").await.refusal().2, "budget_exhausted");
    }
}

#[tokio::test]
async fn callers_take_turns_in_the_queue_and_nothing_is_reserved_while_they_wait() {
    let budget = "[[budgets]]\nname = \"daily\"\neveryone = true\nwindow = \"day\"\ntokens = 100000\n";
    let limit =
        "[[rate_limits]]\nname = \"pace\"\neveryone = true\nper = \"everyone\"\nconcurrent = 1\nmax_wait = \"60s\"";
    let scene = Plan::default().with(budget).with(limit).with("[metering]\ndrain_timeout = \"0s\"").open().await;
    let body = converse("hello [[mock:stall after=3]]");
    let stream = open(scene.data, Wire::Http1, scene.post("carol", "/model/llama/converse-stream", body)).await;
    let mut calls = Vec::new();
    for (who, model) in [("alice", "sonnet"), ("alice", "sonnet"), ("alice", "sonnet"), ("bob", "haiku")] {
        calls.push(begin(&scene, Wire::Http1, who, model, "hello"));
        waiting(&scene, calls.len()).await;
    }
    let held = "tollgate_budget_reserved_tokens{budget=\"daily\",principal=\"alice\"}";
    assert_eq!(scene.sample(held).await, Some(0.0));
    // Nothing is drained here, so carol's place is free at once, and those who wait go one after the other.
    drop(stream);
    for call in calls {
        assert_eq!(in_time(call).await.unwrap().status, StatusCode::OK);
    }
    let order: Vec<String> = scene.received(5).await.into_iter().map(|received| received.path).collect();
    let haiku = order.iter().position(|model| model.contains("bobhaiku"));
    assert_eq!(haiku, Some(2), "bob's call is second in the queue, though alice sent three before: {order:?}");
    eventually("four calls have waited", async || {
        scene.sample("tollgate_rate_limit_wait_seconds_count").await.filter(|waited| *waited >= 4.0)
    })
    .await;
}

#[tokio::test]
async fn who_waits_too_long_is_refused_and_who_hangs_up_leaves_the_queue() {
    let scene = limited("concurrent = 1\nmax_wait = \"300ms\"").await;
    let body = converse("hello [[mock:stall after=3]]");
    let stream = open(scene.data, Wire::Http1, scene.post("alice", "/model/sonnet/converse-stream", body)).await;
    let answer = scene.converse("alice", "sonnet", "hello").await;
    assert_eq!(answer.refusal(), (429, "ThrottlingException", "rate_limited"));
    assert!(answer.message().contains("the call waited "), "{}", answer.message());
    assert_eq!(scene.sample("tollgate_rate_limit_wait_seconds_count").await, Some(1.0));
    drop(stream);

    for wire in [Wire::Http1, Wire::Http2] {
        let scene = limited("concurrent = 1\nmax_wait = \"60s\"").await;
        let body = converse("hello [[mock:stall after=3]]");
        let _stream = open(scene.data, Wire::Http1, scene.post("alice", "/model/sonnet/converse-stream", body)).await;
        let call = begin(&scene, wire, "alice", "sonnet", "hello");
        waiting(&scene, 1).await;
        call.abort();
        waiting(&scene, 0).await;
        assert_eq!(scene.mock.received().len(), 1, "nothing of it was sent");
    }
}
