//! The guardrail owed, over the wire, against a look-alike that refuses every call without it.

use serde_json::{Value, json};
use tollgate::mock::MockGuardrail;

use crate::client::{Answer, Wire, send};
use crate::harness::{Plan, Scene, claude, converse};

/// A gateway whose callers owe `gr1` in version 3, by this rule, before an account that demands it.
async fn owing(rule: &str) -> Scene {
    let table = format!("[[guardrails]]\nidentifier = \"gr1\"\nversion = \"3\"\neveryone = true\n{rule}");
    let demanded = MockGuardrail { identifier: "gr1".to_owned(), version: "3".to_owned() };
    Plan::default().with(&table).mock(|mock| mock.guardrail = Some(demanded)).open().await
}

const VERBS: [&str; 4] = ["invoke", "invoke-with-response-stream", "converse", "converse-stream"];

fn plain(verb: &str) -> String {
    if verb.starts_with("invoke") { claude("hello") } else { converse("hello") }
}

/// A body with a member added to a plain one.
fn with(verb: &str, name: &str, value: &Value) -> String {
    let mut body: Value = serde_json::from_str(&plain(verb)).unwrap();
    body[name] = value.clone();
    body.to_string()
}

async fn ask(scene: &Scene, verb: &str, body: String, headers: &[(&'static str, &'static str)]) -> Answer {
    let mut request = scene.post("alice", &format!("/model/sonnet/{verb}"), body);
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    scene.send(request).await
}

const NAMED: [(&str, &str); 2] =
    [("x-amzn-bedrock-guardrailidentifier", "gr1"), ("x-amzn-bedrock-guardrailversion", "3")];

#[tokio::test]
async fn the_guardrail_is_put_into_every_call_that_can_carry_one() {
    let scene = owing("").await;
    for wire in [Wire::Http1, Wire::Http2] {
        for verb in VERBS {
            let answer =
                send(scene.data, wire, scene.post("alice", &format!("/model/sonnet/{verb}"), plain(verb))).await;
            assert_eq!((answer.status.as_u16(), answer.broke), (200, None), "{verb}: {:?}", answer.body);
        }
    }
    for received in scene.received(8).await {
        let seen = received.guardrail.unwrap();
        assert_eq!((seen.identifier.as_str(), seen.version.as_str()), ("gr1", "3"));
    }
}

#[tokio::test]
async fn without_a_rule_the_same_account_refuses_the_call_in_its_own_words() {
    let demanded = MockGuardrail { identifier: "gr1".to_owned(), version: "3".to_owned() };
    let scene = Plan::default().mock(|mock| mock.guardrail = Some(demanded)).open().await;
    let answer = scene.converse("alice", "sonnet", "hello").await;
    assert_eq!(answer.status.as_u16(), 403);
    assert!(answer.message().contains("explicit deny"), "{}", answer.message());
    assert_eq!(answer.header("x-tollgate-reason"), None);
    // Whoever owes none may still name one.
    let answer = ask(&scene, "invoke", claude("hello"), &NAMED).await;
    assert_eq!(answer.status.as_u16(), 200);
}

#[tokio::test]
async fn where_the_caller_must_name_it_a_call_without_it_is_refused() {
    let scene = owing("mode = \"require\"").await;
    let config = json!({"guardrailIdentifier": "gr1", "guardrailVersion": "3"});
    for verb in VERBS {
        let answer = ask(&scene, verb, plain(verb), &[]).await;
        assert_eq!(answer.refusal(), (400, "AccessDeniedException", "guardrail_missing"), "{verb}");
        assert!(answer.message().contains("gr1"), "{}", answer.message());
        let answer = if verb.starts_with("invoke") {
            ask(&scene, verb, plain(verb), &NAMED).await
        } else {
            ask(&scene, verb, with(verb, "guardrailConfig", &config), &[]).await
        };
        assert_eq!(answer.status.as_u16(), 200, "{verb}: {:?}", answer.body);
    }
    assert_eq!(scene.received(4).await.len(), 4);
}

#[tokio::test]
async fn another_guardrail_or_version_is_refused_and_never_replaced() {
    let scene = owing("").await;
    let refusal = (400, "AccessDeniedException", "guardrail_different");
    for (identifier, version) in [("gr2", "3"), ("gr1", "2"), ("gr1", "DRAFT"), ("GR1", "3")] {
        for verb in VERBS {
            let answer = if verb.starts_with("invoke") {
                let mut request = scene.post("alice", &format!("/model/sonnet/{verb}"), plain(verb));
                request.headers_mut().insert(NAMED[0].0, identifier.parse().unwrap());
                request.headers_mut().insert(NAMED[1].0, version.parse().unwrap());
                scene.send(request).await
            } else {
                let config = json!({"guardrailIdentifier": identifier, "guardrailVersion": version});
                ask(&scene, verb, with(verb, "guardrailConfig", &config), &[]).await
            };
            assert_eq!(answer.refusal(), refusal, "{identifier}:{version} with {verb}");
        }
    }
    assert!(scene.mock.received().is_empty());
}

#[tokio::test]
async fn text_that_is_let_out_before_it_is_checked_is_refused_or_made_synchronous() {
    let invoke = json!({"streamProcessingMode": "ASYNCHRONOUS"});
    let converse = json!({"guardrailIdentifier": "gr1", "guardrailVersion": "3", "streamProcessingMode": "async"});
    let cases = [
        ("invoke-with-response-stream", "amazon-bedrock-guardrailConfig", &invoke, "SYNCHRONOUS"),
        ("converse-stream", "guardrailConfig", &converse, "sync"),
    ];
    let scene = owing("").await;
    for (verb, member, config, _) in cases {
        let answer = ask(&scene, verb, with(verb, member, config), &[]).await;
        assert_eq!(answer.refusal(), (400, "AccessDeniedException", "guardrail_async"), "{verb}");
    }
    assert!(scene.mock.received().is_empty());

    let scene = owing("asynchronous = \"force-sync\"").await;
    for (verb, member, config, mode) in cases {
        assert_eq!(ask(&scene, verb, with(verb, member, config), &[]).await.status.as_u16(), 200, "{verb}");
        let received = scene.mock.received();
        let body: Value = serde_json::from_slice(&scene.mock.body(received.last().unwrap().id).unwrap()).unwrap();
        assert_eq!(body[member]["streamProcessingMode"], mode);
    }
}

#[tokio::test]
async fn parts_of_a_prompt_may_not_be_picked_out_for_checking() {
    let guarded = json!([{"role": "user", "content": [{"text": "a"}, {"guardContent": {"text": {"text": "b"}}}]}]);
    let named = json!({"guardrailIdentifier": "gr1", "guardrailVersion": "3", "tagSuffix": "xyz"});
    let cases = [
        ("invoke", "amazon-bedrock-guardrailConfig", json!({"tagSuffix": "xyz"})),
        ("invoke-with-response-stream", "amazon-bedrock-guardrailConfig", json!({"tagSuffix": ""})),
        ("converse", "messages", guarded.clone()),
        ("converse-stream", "messages", guarded),
        ("converse", "system", json!([{"guardContent": {"text": {"text": "b"}}}])),
        ("converse", "guardrailConfig", named),
    ];
    let scene = owing("").await;
    for (verb, member, value) in &cases {
        let answer = ask(&scene, verb, with(verb, member, value), &[]).await;
        assert_eq!(answer.refusal(), (400, "AccessDeniedException", "guardrail_selective"), "{verb} {value}");
    }
    assert!(scene.mock.received().is_empty());
    let scene = owing("selective = \"allow\"").await;
    for (verb, member, value) in &cases {
        let answer = ask(&scene, verb, with(verb, member, value), &[]).await;
        assert_eq!(answer.status.as_u16(), 200, "{verb} {value}: {:?}", answer.body);
    }
}

#[tokio::test]
async fn a_body_that_two_readers_could_read_in_two_ways_is_refused() {
    let scene = owing("").await;
    let named = r#""guardrailConfig":{"guardrailIdentifier":"gr1","guardrailVersion":"3"}"#;
    let messages = r#""messages":[{"role":"user","content":[{"text":"hello"}]}]"#;
    let other = r#""guardrailConfig":{"guardrailIdentifier":"gr2","guardrailVersion":"1"}"#;
    for (body, reason) in [
        (format!("{{{named},{messages},{other}}}"), "duplicate_key"),
        (format!("{{{other},{messages},{named}}}"), "duplicate_key"),
        (format!("{{{named},{messages},\"guardrail\\u0043onfig\":{{}}}}"), "duplicate_key"),
        (format!("{{{messages},{messages}}}"), "duplicate_key"),
        (
            format!(
                "{{{messages},\"guardrailConfig\":{{\"guardrailIdentifier\":\"gr1\",\"guardrailIdentifier\":\"gr2\"}}}}"
            ),
            "duplicate_key",
        ),
        (format!("{{{messages},\"GuardrailConfig\":{{}}}}"), "body_not_json"),
        (format!("[{messages}]"), "body_not_json"),
        (format!("{{{messages}"), "body_not_json"),
        (format!("{{{messages}}} {{}}"), "body_not_json"),
        (format!("\u{feff}{{{messages}}}"), "body_not_json"),
        ("null".to_owned(), "body_not_json"),
        (String::new(), "body_not_json"),
    ] {
        let answer = ask(&scene, "converse", body.clone(), &[]).await;
        assert_eq!(answer.refusal(), (400, "ValidationException", reason), "{body}: {}", answer.message());
    }
    for body in [
        r#"{"amazon-bedrock-guardrailConfig":{},"amazon-bedrock-guardrailConfig":{"tagSuffix":"x"},"max_tokens":1,"messages":[]}"#,
        r#"{"amazon-bedrock-guardrailConfig":{"streamProcessingMode":"SYNCHRONOUS","streamProcessingMode":"ASYNCHRONOUS"}}"#,
    ] {
        let answer = ask(&scene, "invoke", body.to_owned(), &[]).await;
        assert_eq!(answer.refusal(), (400, "ValidationException", "duplicate_key"), "{body}");
    }
    assert!(scene.mock.received().is_empty());
}

#[tokio::test]
async fn only_the_guardrail_owed_may_be_applied_by_itself() {
    let scene = owing("").await;
    let body = r#"{"source":"INPUT","content":[{"text":{"text":"hello"}}]}"#;
    for (path, status) in [
        ("/guardrail/gr1/version/3/apply", 200),
        ("/guardrail/gr1/version/DRAFT/apply", 400),
        ("/guardrail/gr2/version/3/apply", 400),
    ] {
        let answer = scene.send(scene.post("alice", path, body)).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {:?}", answer.body);
    }
    let (outcome, .., cost) = scene.bill_of(1).await.only();
    assert_eq!(outcome, "complete");
    assert!(cost.nanos() > 0, "guardrail units are paid for");
    let none = Scene::new().await;
    let answer = none.send(none.post("alice", "/guardrail/gr1/version/3/apply", body)).await;
    assert_eq!(answer.refusal(), (400, "AccessDeniedException", "guardrail_different"));
    assert_eq!(scene.received(1).await.len() + none.received(0).await.len(), 1);
}

#[tokio::test]
async fn an_input_that_the_guardrail_blocks_is_free_but_for_the_guardrail() {
    let scene = owing("").await;
    let blocked = |verb: &str| plain(verb).replace("hello", "hello [[mock:guardrail-intervened=input]]");
    for verb in VERBS {
        let traced = [("x-amzn-bedrock-trace", "ENABLED")];
        let headers: &[_] = if verb.starts_with("invoke") { &traced } else { &[] };
        assert_eq!(ask(&scene, verb, blocked(verb), headers).await.status.as_u16(), 200, "{verb}");
    }
    let bill = scene.bill_of(4).await;
    for row in bill.rows() {
        assert_eq!((&row["outcome"], &row["tokens"]["output"]), (&json!("guardrail_blocked"), &json!(0)), "{row}");
    }
    let metrics = scene.metrics().await;
    let sample = "tollgate_guardrail_interventions_total{principal=\"alice\",operation=\"Converse\"} 1";
    assert!(metrics.contains(sample), "{metrics}");

    // Without a trace the answer of InvokeModel does not tell whether the model ran, so nothing is given back.
    assert_eq!(ask(&scene, "invoke", blocked("invoke"), &[]).await.status.as_u16(), 200);
    assert_eq!(scene.bill_of(5).await.at_reservation(), ["no_counts"]);
}
