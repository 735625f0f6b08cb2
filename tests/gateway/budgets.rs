//! What is paid for, and what is not let through.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tollgate::types::{Clock, ManualClock, Money};

use crate::client::{Wire, send};
use crate::harness::{Plan, SONNET, Scene, claude, converse};

fn daily(limit: &str) -> String {
    format!("[[budgets]]\nname = \"daily\"\neveryone = true\nwindow = \"day\"\n{limit}")
}

async fn with_budget(limit: &str) -> Scene {
    Plan::default().with(&daily(limit)).open().await
}

#[tokio::test]
async fn what_is_left_is_told_and_falls_by_what_a_call_cost() {
    let scene = with_budget("usd = \"5\"").await;
    let left = |answer: &crate::client::Answer| -> Money {
        answer.header("x-tollgate-budget-remaining").unwrap().parse().unwrap()
    };
    let first = scene.converse("alice", "sonnet", "hello").await;
    let (_, _, _, cost) = scene.bill_of(1).await.only();
    let second = scene.converse("alice", "sonnet", "hello").await;
    // Both calls hold the same while they run, so what the first one cost is all that lies between them.
    assert_eq!(left(&second) + cost, left(&first));
    assert!(left(&first) < "5".parse().unwrap());
    let other = scene.converse("bob", "llama", "hello").await;
    assert!(left(&other) > left(&second), "bob has a counter of his own");
    let none = Scene::new().await.converse("alice", "sonnet", "hello").await;
    assert_eq!(none.header("x-tollgate-budget-remaining"), None);
}

#[tokio::test]
async fn an_exhausted_budget_is_refused_once_with_what_to_do_about_it() {
    for (limit, unit) in [("usd = \"0.0001\"", "$"), ("tokens = 50", "tokens")] {
        let scene = with_budget(limit).await;
        for (verb, body) in [
            ("converse", converse("hello")),
            ("converse-stream", converse("hello")),
            ("invoke", claude("hello")),
            ("invoke-with-response-stream", claude("hello")),
        ] {
            for wire in [Wire::Http1, Wire::Http2] {
                let request = scene.post("alice", &format!("/model/sonnet/{verb}"), body.clone());
                let answer = send(scene.data, wire, request).await;
                assert_eq!(answer.refusal(), (402, "ServiceQuotaExceededException", "budget_exhausted"), "{verb}");
                assert_eq!(answer.header("x-should-retry"), Some("false"));
                assert_eq!(answer.header("retry-after"), None);
                let message = answer.message();
                for part in ["daily", "resets at", "raise it", unit] {
                    assert!(message.contains(part), "{part:?} is not in {message:?}");
                }
            }
        }
        assert!(scene.mock.received().is_empty());
        assert_eq!(scene.bill().await.calls(), 0);
        let counted = r#"{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"hello"}]}]}}}"#;
        let free = scene.send(scene.post("alice", "/model/sonnet/count-tokens", counted)).await;
        assert_eq!(free.status, StatusCode::OK, "counting is free");
    }
}

#[tokio::test]
async fn however_many_race_the_budget_is_never_exceeded() {
    // A call of this prompt holds a little over 1000 tokens and uses 34.
    let limit = 20_000;
    let scene = with_budget(&format!("tokens = {limit}")).await;
    let (mut let_through, mut refused) = (0, 0);
    for round in 0..3 {
        let calls: Vec<_> = (0..60)
            .map(|_| {
                let request = scene.post("alice", "/model/sonnet/converse", converse("hello [[mock:delay=20]]"));
                tokio::spawn(send(scene.data, Wire::Http1, request))
            })
            .collect();
        for call in calls {
            let answer = call.await.unwrap();
            match answer.status.as_u16() {
                200 => let_through += 1,
                402 => refused += 1,
                other => panic!("{other}: {:?}", answer.body),
            }
        }
        assert!(let_through > round && refused > 0, "{let_through} let through, {refused} refused");
    }
    let bill = scene.bill_of(let_through).await;
    let used: u64 = ["input", "output"].iter().map(|kind| bill.rows()[0]["tokens"][kind].as_u64().unwrap()).sum();
    assert!(used <= limit, "{used}");
    assert_eq!(scene.mock.received().len() as u64, let_through);
    // All of it is accounted for: what is left is the limit without what was used, and nothing is held any more.
    let sample = "tollgate_budget_remaining_tokens{budget=\"daily\",principal=\"alice\"}";
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let wanted = (limit - used) as f64;
    assert_eq!(scene.sample(sample).await, Some(wanted));
}

#[tokio::test]
async fn a_budget_that_is_used_up_stays_used_up_until_its_window_ends() {
    let start: jiff::Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    let clock = Arc::new(ManualClock::at_unix_seconds(u64::try_from(start.as_second()).unwrap()));
    let ours: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let theirs = Arc::clone(&ours);
    // One call's hold fits, and after its settlement no second one.
    let plan = Plan::default().with(&daily("tokens = 1250")).clock(ours).mock(|mock| mock.clock = theirs);
    let scene = plan.open().await;
    let mut let_through = 0_u64;
    loop {
        let answer = scene.converse("alice", "sonnet", "hello").await;
        if answer.status == StatusCode::PAYMENT_REQUIRED {
            assert!(answer.message().contains("2026-03-02"), "{}", answer.message());
            break;
        }
        assert_eq!(answer.status, StatusCode::OK);
        let_through += 1;
        assert_eq!(scene.bill_of(let_through).await.calls(), let_through);
    }
    assert!(let_through > 0);
    clock.advance(Duration::from_hours(12));
    assert_eq!(scene.converse("alice", "sonnet", "hello").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_where_dollars_are_limited() {
    let arn = crate::harness::arn("carol-odd");
    let table = format!(
        "[[profiles]]\nname = \"carol-odd\"\narn = \"{arn}\"\nsource = \"mistral.model-of-tomorrow-v1:0\"\nprincipals = [\"carol\"]"
    );
    let knows = |mock: &mut tollgate::mock::MockConfig| {
        let mut added = mock.profiles[0].clone();
        (added.arn, added.source) = (arn.parse().unwrap(), "mistral.model-of-tomorrow-v1:0".parse().unwrap());
        mock.profiles.push(added);
    };
    let budget = "[[budgets]]\nname = \"dollars\"\nprincipals = [\"alice\"]\nwindow = \"day\"\nusd = \"5\"\n";
    let unlimited = Plan::default().profile(&table).with(budget).mock(knows).open().await;
    let answer = unlimited.converse("carol", "carol-odd", "hello").await;
    assert_eq!(answer.status, StatusCode::OK, "carol has no budget in dollars: {:?}", answer.body);
    let bill = unlimited.bill_of(1).await;
    assert_eq!(bill.at_reservation(), ["price_unknown"]);

    let tables = format!("{}\n[prices.\"{SONNET}\"]\ninput = \"3\"\noutput = \"15\"", daily("usd = \"5\""));
    let parsed = tollgate::config::Settings::parse(
        &format!("[[principals]]\nname = \"carol\"\n{table}\n{tables}"),
        std::path::Path::new("tollgate.toml"),
        &tollgate::config::Surroundings { folder: std::path::Path::new("."), price_known: &tollgate::cli::price_known },
    );
    let told = parsed.unwrap_err().to_string();
    assert!(told.contains("mistral.model-of-tomorrow-v1:0"), "{told}");
}

#[tokio::test]
async fn the_operators_own_price_is_the_one_on_the_bill() {
    let scene =
        Plan::default().with(&format!("[prices.\"{SONNET}\"]\ninput = \"1000\"\noutput = \"2000\"")).open().await;
    assert_eq!(scene.converse("alice", "sonnet", "hello").await.status, StatusCode::OK);
    let (outcome, input, output, cost) = scene.bill_of(1).await.only();
    assert_eq!((outcome.as_str(), input, output), ("complete", 2, 32));
    assert_eq!(cost, "0.066".parse().unwrap());
    assert_eq!(scene.bill().await.cost(), cost);
}

#[tokio::test]
async fn images_and_queries_are_charged_by_the_piece_and_count_no_tokens() {
    let many = vec!["\"short\""; 101].join(",");
    for (source, body, cost, why) in [
        (
            "amazon.nova-canvas-v1:0",
            r#"{"imageGenerationConfig":{"numberOfImages":3}}"#.to_owned(),
            "0.24",
            "three images",
        ),
        ("stability.sd3-5-large-v1:0", r#"{"prompt":"a gate"}"#.to_owned(), "0.08", "one where nothing is said"),
        ("cohere.rerank-v3-5:0", r#"{"query":"q","documents":["a","b"]}"#.to_owned(), "0.002", "one query"),
        ("amazon.rerank-v1:0", format!(r#"{{"query":"q","documents":[{many}]}}"#), "0.002", "two of a tenth of a cent"),
    ] {
        let arn = crate::harness::arn("carol-pieces");
        let table = format!(
            "[[profiles]]\nname = \"carol-pieces\"\narn = \"{arn}\"\nsource = \"{source}\"\nprincipals = [\"carol\"]"
        );
        let knows = |mock: &mut tollgate::mock::MockConfig| {
            let mut added = mock.profiles[0].clone();
            (added.arn, added.source) = (arn.parse().unwrap(), source.parse().unwrap());
            mock.profiles.push(added);
        };
        let limit = format!("usd = \"{cost}\"\ntokens = 1");
        let scene = Plan::default().profile(&table).with(&daily(&limit)).mock(knows).open().await;
        let call = || send(scene.data, Wire::Http1, scene.post("carol", "/model/carol-pieces/invoke", body.clone()));
        let answer = call().await;
        assert_eq!(answer.status, StatusCode::OK, "{why}: {:?}", answer.body);
        let bill = scene.bill_of(1).await;
        let (outcome, input, output, charged) = bill.only();
        assert_eq!((outcome.as_str(), input, output, charged), ("complete", 0, 0, cost.parse().unwrap()), "{why}");
        assert!(bill.at_reservation().is_empty(), "{why}");
        assert_eq!(call().await.refusal(), (402, "ServiceQuotaExceededException", "budget_exhausted"), "{why}");
    }
}

#[tokio::test]
async fn latency_optimised_inference_has_no_price_and_is_refused_under_a_budget_in_dollars() {
    let scene = with_budget("usd = \"5\"").await;
    let plain = converse("hello");
    let body = format!("{{\"performanceConfig\":{{\"latency\":\"optimized\"}},{}", &plain[1..]);
    let mut asked_in_header = scene.post("alice", "/model/sonnet/invoke", claude("hello"));
    let latency = http::HeaderName::from_static("x-amzn-bedrock-performanceconfig-latency");
    asked_in_header.headers_mut().insert(latency, "optimized".parse().unwrap());
    for request in [scene.post("alice", "/model/sonnet/converse", body), asked_in_header] {
        let answer = send(scene.data, Wire::Http1, request).await;
        assert_eq!(answer.refusal(), (400, "AccessDeniedException", "price_unknown"));
        assert!(answer.message().contains("latency"), "{}", answer.message());
    }
    assert!(scene.mock.received().is_empty());
    assert_eq!(scene.converse("alice", "sonnet", "hello").await.status, StatusCode::OK);
}

#[tokio::test]
async fn latency_optimised_inference_is_charged_at_its_own_price_where_there_is_one() {
    let price = format!(
        "[prices.\"{SONNET}\"]\ninput = \"1000\"\noutput = \"2000\"\nlatency_optimized_input = \"1500\"\n\
         latency_optimized_output = \"3000\""
    );
    let budget = "[[budgets]]\nname = \"own\"\neveryone = true\nwindow = \"day\"\nusd = \"5\"";
    let scene = Plan::default().with(&price).with(budget).open().await;
    let plain = converse("hello");
    let body = format!("{{\"performanceConfig\":{{\"latency\":\"optimized\"}},{}", &plain[1..]);
    let answer = send(scene.data, Wire::Http1, scene.post("alice", "/model/sonnet/converse", body)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let (outcome, input, output, cost) = scene.bill_of(1).await.only();
    assert_eq!((outcome.as_str(), input, output), ("complete", 2, 32));
    assert_eq!(cost, "0.099".parse().unwrap());
}

async fn statuses(scene: &Scene, calls: &[(&str, &str)]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for (who, model) in calls {
        statuses.push(scene.converse(who, model, "hello").await.status.as_u16());
    }
    statuses
}

#[tokio::test]
async fn a_budget_of_a_group_or_of_everyone_is_shared_and_one_of_requests_counts_calls() {
    let calls = "name = \"calls\"\neveryone = true\nwindow = \"lifetime\"\nrequests = 2";
    let everyone = Plan::default().with(&format!("[[budgets]]\nper = \"everyone\"\n{calls}")).open().await;
    let each_once = [("alice", "sonnet"), ("bob", "haiku"), ("alice", "sonnet"), ("carol", "llama")];
    assert_eq!(statuses(&everyone, &each_once).await, [200, 200, 402, 402]);
    let refused = everyone.converse("carol", "llama", "hello").await;
    assert!(refused.message().contains("2 requests"), "{}", refused.message());

    // Alice is in a group, the others in none: they have counts of their own.
    let group = Plan::default().with(&format!("[[budgets]]\nper = \"group\"\n{calls}")).open().await;
    let twice = [("alice", "sonnet"), ("alice", "nova"), ("alice", "sonnet"), ("bob", "haiku"), ("bob", "haiku")];
    assert_eq!(statuses(&group, &twice).await, [200, 200, 402, 200, 200]);
    let metrics = group.metrics().await;
    for series in [
        "tollgate_budget_spent_requests{budget=\"calls\",group=\"eng\"} 2",
        "tollgate_budget_remaining_requests{budget=\"calls\",principal=\"bob\"} 0",
        "tollgate_budget_limit_requests{budget=\"calls\",principal=\"carol\"} 2",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(series)), "{series} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_budget_counts_the_models_it_names_each_apart_if_it_says_so() {
    let budget = "[[budgets]]\nname = \"claude\"\neveryone = true\nwindow = \"rolling\"\nlength = \"1h\"\nrequests = 1\n\
                  models = [\"amazon.*\", \"anthropic.claude-*\"]\napart = \"family\"";
    let scene = Plan::default().with(budget).open().await;
    let calls = [("alice", "sonnet"), ("alice", "sonnet"), ("alice", "nova"), ("alice", "llama"), ("alice", "llama")];
    assert_eq!(statuses(&scene, &calls).await, [200, 402, 200, 200, 200]);
    let metrics = scene.metrics().await;
    let series =
        "tollgate_budget_spent_requests{budget=\"claude\",principal=\"alice\",model=\"anthropic.claude-sonnet\"} 1";
    assert!(metrics.contains(series), "{metrics}");
}

#[tokio::test]
async fn a_soft_budget_refuses_nothing_and_a_default_is_for_those_without_another() {
    let budgets = "[[budgets]]\nname = \"watched\"\nprincipals = [\"alice\"]\nwindow = \"day\"\nusd = \"0.000001\"\n\
                   enforcement = \"soft\"\n\
                   [[budgets]]\nname = \"fallback\"\neveryone = true\ndefault = true\nwindow = \"day\"\nrequests = 1";
    let scene = Plan::default().with(budgets).open().await;
    let calls = [("alice", "sonnet"), ("alice", "sonnet"), ("bob", "haiku"), ("bob", "haiku")];
    assert_eq!(statuses(&scene, &calls).await, [200, 200, 200, 402]);
    let metrics = scene.metrics().await;
    let left = "tollgate_budget_remaining_usd{budget=\"watched\",principal=\"alice\"} 0.0";
    assert!(metrics.contains(left), "{metrics}");
}

#[tokio::test]
async fn a_cap_lets_a_call_in_that_asks_for_far_more_than_it_uses() {
    let budget = "[[budgets]]\nname = \"daily\"\neveryone = true\nwindow = \"day\"\nusd = \"0.05\"\n";
    let body = serde_json::json!({"messages": [{"role": "user", "content": [{"text": "hello"}]}],
                                  "inferenceConfig": {"maxTokens": 60_000}});
    for (cap, status) in [("", 402), ("reserve_at_most_usd = \"0.01\"", 200)] {
        let scene = Plan::default().with(&format!("{budget}{cap}")).open().await;
        let answer = scene.send(scene.post("alice", "/model/sonnet/converse", body.to_string())).await;
        assert_eq!(answer.status.as_u16(), status, "{cap:?}");
    }
}
