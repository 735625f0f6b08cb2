//! Through which profile a call goes, by whatever name it is asked for.

use http::StatusCode;

use crate::harness::{PROFILES, Plan, Scene, arn, claude, converse};

/// A name as a path segment.
fn segment(name: &str) -> String {
    name.replace(':', "%3A").replace('/', "%2F")
}

#[tokio::test]
async fn every_kind_of_name_leads_to_the_callers_own_profile() {
    let scene = Scene::new().await;
    let own = arn("alice-sonnet");
    let model = "anthropic.claude-sonnet-4-5-20250929-v1:0";
    let names = [
        "sonnet".to_owned(),
        "alice-sonnet".to_owned(),
        model.to_owned(),
        format!("us.{model}"),
        format!("eu.{model}"),
        format!("global.{model}"),
        format!("arn:aws:bedrock:us-east-1::foundation-model/{model}"),
        format!("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{model}"),
        format!("arn:aws:bedrock:us-west-2:999999999999:inference-profile/us.{model}"),
        own.clone(),
    ];
    for name in &names {
        let answer = scene.converse("alice", &segment(name), "hello").await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {:?}", answer.body);
    }
    let received = scene.received(names.len()).await;
    assert!(received.iter().all(|received| received.subject.as_deref() == Some(own.as_str())));
    let bill = scene.bill_of(names.len() as u64).await;
    assert_eq!(bill.rows().len(), 1);
    assert_eq!(bill.rows()[0]["profile"], "alice-sonnet");
}

#[tokio::test]
async fn what_is_not_the_callers_own_is_refused_in_words_that_clients_show() {
    let scene = Scene::new().await;
    let denied = |reason| (403, "AccessDeniedException", reason);
    let account = "arn:aws:bedrock:us-east-1:123456789012";
    for (name, refusal) in [
        (arn("bob-haiku"), denied("profile_not_yours")),
        (arn("nobody"), denied("profile_not_yours")),
        (format!("{account}:application-inference-profile/xyz"), denied("profile_not_yours")),
        ("anthropic.claude-haiku-4-5-20251001-v1:0".to_owned(), denied("model_unmapped")),
        ("us.anthropic.claude-3-5-haiku-20241022-v1:0".to_owned(), denied("model_unmapped")),
        (format!("{account}:inference-profile/us.amazon.nova-pro-v1:0"), denied("model_unmapped")),
        (format!("{account}:provisioned-model/abcdef123456"), denied("model_refused_kind")),
        (format!("{account}:custom-model/amazon.nova-lite-v1:0/abcdef123456"), denied("model_refused_kind")),
        (format!("{account}:custom-model-deployment/abcdef123456"), denied("model_refused_kind")),
        (format!("{account}:imported-model/abcdef123456"), denied("model_refused_kind")),
        (format!("{account}:prompt/ABCDEF1234:1"), denied("model_refused_kind")),
        (format!("{account}:prompt-router/abcdef"), denied("model_refused_kind")),
        (format!("{account}:default-prompt-router/anthropic.claude:1"), denied("model_refused_kind")),
        ("arn:aws:sagemaker:us-east-1:123456789012:endpoint/mine".to_owned(), denied("model_refused_kind")),
        ("haiku".to_owned(), (404, "ResourceNotFoundException", "no_such_model")),
        ("bob-haiku".to_owned(), (404, "ResourceNotFoundException", "no_such_model")),
        ("gpt-4".to_owned(), (404, "ResourceNotFoundException", "no_such_model")),
    ] {
        for verb in ["converse", "invoke", "invoke-with-response-stream", "converse-stream", "count-tokens"] {
            let path = format!("/model/{}/{verb}", segment(&name));
            let answer = scene.send(scene.post("alice", &path, converse("hello"))).await;
            assert_eq!(answer.refusal(), refusal, "{name}: {}", answer.message());
            assert_eq!(answer.header("x-should-retry"), Some("false"));
            let message = answer.message();
            assert!(message.contains("sonnet"), "it names no profile to ask for: {message}");
            if refusal.0 == 403 {
                assert!(
                    message.starts_with("You don't have access to the model with the specified model ID."),
                    "{message}"
                );
            }
        }
    }
    assert!(scene.mock.received().is_empty());
}

#[tokio::test]
async fn a_group_lends_its_profile_to_its_members_only() {
    let scene = Scene::new().await;
    for (who, status) in [("alice", 200), ("bob", 404), ("carol", 404)] {
        assert_eq!(scene.converse(who, "nova", "hello").await.status.as_u16(), status, "{who}");
    }
    for who in ["alice", "bob", "carol"] {
        assert_eq!(scene.converse(who, "llama", "hello").await.status, StatusCode::OK, "{who}");
    }
    assert_eq!(scene.received(4).await.len(), 4);
}

#[tokio::test]
async fn tokens_are_counted_by_the_base_model_and_cost_nothing() {
    let scene = Scene::new().await;
    let body = r#"{"input":{"invokeModel":{"body":"eyJtYXhfdG9rZW5zIjo1LCJtZXNzYWdlcyI6W3sicm9sZSI6InVzZXIiLCJjb250ZW50IjoiaGVsbG8ifV19"}}}"#;
    let answer = scene.send(scene.post("alice", "/model/sonnet/count-tokens", body)).await;
    assert_eq!(answer.json()["inputTokens"], 2);
    let received = &scene.received(1).await[0];
    assert_eq!(received.subject.as_deref(), Some("anthropic.claude-sonnet-4-5-20250929-v1:0"));
    assert_eq!(scene.mock.body(received.id).unwrap(), body);
    let (outcome, input, output, cost) = scene.bill_of(1).await.only();
    assert_eq!((outcome.as_str(), input, output, cost.nanos()), ("complete", 0, 0, 0));
}

#[tokio::test]
async fn an_alias_may_stand_for_the_small_model_that_an_agent_calls_by_itself() {
    let table = format!(
        "[[profiles]]\nname = \"carol-sonnet\"\narn = \"{}\"\nsource = \"us.anthropic.claude-sonnet-4-5-20250929-v1:0\"\n\
         principals = [\"carol\"]\naliases = [\"us.anthropic.claude-3-5-haiku-20241022-v1:0\"]",
        arn("carol-sonnet")
    );
    let scene = Plan::default().profile(&table).mock(|mock| {
        let mut added = mock.profiles[0].clone();
        added.arn = arn("carol-sonnet").parse().unwrap();
        mock.profiles.push(added);
    });
    let scene = scene.open().await;
    let path = "/model/us.anthropic.claude-3-5-haiku-20241022-v1:0/invoke";
    assert_eq!(scene.send(scene.post("carol", path, claude("hello"))).await.status, StatusCode::OK);
    assert_eq!(scene.received(1).await[0].subject, Some(arn("carol-sonnet")));
}

#[tokio::test]
async fn an_operation_that_is_not_allowed_is_denied_before_the_body_is_read() {
    let scene = Plan::default().with("[policy]\noperations = [\"Converse\"]").open().await;
    assert_eq!(scene.converse("alice", "sonnet", "hello").await.status, StatusCode::OK);
    let answer = scene.send(scene.post("alice", "/model/sonnet/converse-stream", converse("hello"))).await;
    assert_eq!(answer.refusal(), (403, "AccessDeniedException", "policy_denied"));
    assert_eq!(scene.received(1).await.len(), 1);
}

/// Every operation on `name`, and a body that it takes.
fn calls(name: &str) -> [(String, String); 5] {
    let counted = r#"{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"hello"}]}]}}}"#;
    let titan = r#"{"inputText":"hello"}"#;
    [
        ("converse", converse("hello")),
        ("converse-stream", converse("hello")),
        ("invoke", titan.to_owned()),
        ("invoke-with-response-stream", titan.to_owned()),
        ("count-tokens", counted.to_owned()),
    ]
    .map(|(verb, body)| (format!("/model/{}/{verb}", segment(name)), body))
}

#[tokio::test]
async fn what_could_be_served_outside_of_the_allowed_regions_is_refused() {
    let denied = (403, "AccessDeniedException", "region_denied");
    let apply = r#"{"source":"INPUT","content":[{"text":{"text":"hello"}}]}"#;
    for (regions, sonnet, titan, guardrail) in [
        ("\"eu-*\"", false, false, false),
        ("\"us-east-1\"", false, true, true),
        ("\"eu-*\", \"us-*\"", true, true, true),
    ] {
        let policy = format!("[policy]\nallowed_regions = [{regions}]");
        let scene = Plan::default().with(&policy).open().await;
        for (name, allowed) in [("sonnet", sonnet), ("titan", titan)] {
            for (path, body) in calls(name) {
                let answer = scene.send(scene.post("alice", &path, body)).await;
                if allowed {
                    assert_ne!(answer.status, StatusCode::FORBIDDEN, "{regions} {path}: {:?}", answer.body);
                    continue;
                }
                assert_eq!(answer.refusal(), denied, "{regions} {path}");
                assert_eq!(answer.header("x-should-retry"), Some("false"));
                let message = answer.message();
                assert!(
                    message.starts_with(
                        "You don't have access to the model with the specified model ID. User: alice is not"
                    ) && message.contains("with an explicit deny in a policy of this gateway: ")
                        && message.contains(&regions.replace('"', "")),
                    "{message}"
                );
            }
        }
        let answer = scene.send(scene.post("alice", "/guardrail/gr1/version/1/apply", apply)).await;
        assert_eq!(answer.header("x-tollgate-reason") == Some("region_denied"), !guardrail, "{regions}");
        if !(sonnet || titan || guardrail) {
            assert!(scene.mock.received().is_empty());
        }
    }
}

#[tokio::test]
async fn a_global_profile_is_refused_where_that_is_denied_or_regions_are_listed() {
    let global = PROFILES[0].2.replace("us.", "global.");
    let table = format!(
        "[[profiles]]\nname = \"carol-global\"\narn = \"{}\"\nsource = \"{global}\"\nprincipals = [\"carol\"]",
        arn("carol-global")
    );
    for (policy, carol, alice) in [
        ("deny_global = true", false, true),
        ("allowed_regions = [\"us-*\"]", false, true),
        ("allowed_regions = [\"us-*\", \"unspecified\"]", true, true),
        ("deny_global = false", true, true),
    ] {
        let scene = Plan::default().profile(&table).with(&format!("[policy]\n{policy}")).mock(|mock| {
            let mut added = mock.profiles[0].clone();
            added.arn = arn("carol-global").parse().unwrap();
            added.source = global.parse().unwrap();
            mock.profiles.push(added);
        });
        let scene = scene.open().await;
        for (who, name, allowed) in [("carol", "carol-global", carol), ("alice", "sonnet", alice)] {
            let answer = scene.converse(who, name, "hello").await;
            let reason = if allowed { None } else { Some("region_denied") };
            assert_eq!(answer.header("x-tollgate-reason"), reason, "{policy} {who}: {:?}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_geography_that_is_told_of_is_one() {
    let model = "anthropic.claude-sonnet-4-5-20250929-v1:0";
    let table = format!(
        "[[profiles]]\nname = \"carol-mx\"\narn = \"{}\"\nsource = \"mx.{model}\"\nprincipals = [\"carol\"]",
        arn("carol-mx")
    );
    for (told, statuses) in [("geographies = [\"mx\"]", [200, 200, 200]), ("", [200, 403, 403])] {
        let scene = Plan::default().profile(&table).upstream(told).mock(|mock| {
            let mut added = mock.profiles[0].clone();
            added.arn = arn("carol-mx").parse().unwrap();
            mock.profiles.push(added);
        });
        let scene = scene.open().await;
        for (prefix, status) in ["mx.", "", "us."].iter().zip(statuses) {
            let answer = scene.converse("carol", &segment(&format!("{prefix}{model}")), "hello").await;
            assert_eq!(answer.status.as_u16(), status, "{told} {prefix}: {:?}", answer.body);
        }
    }
}

#[tokio::test]
async fn what_is_no_profile_is_called_by_those_whom_a_rule_names_and_by_nobody_else() {
    let reserved = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl";
    let rule = format!(
        "[[exact_arns]]\nname = \"reserved\"\narn = \"{reserved}\"\nprincipals = [\"alice\"]\n\
         source = \"anthropic.claude-sonnet-4-5-20250929-v1:0\""
    );
    let scene = Plan::default().with(&rule).open().await;
    let encoded = reserved.replace(':', "%3A").replace('/', "%2F");
    // The look-alike has no such model: it says so in IAM's words, of this very ARN.
    let answer = scene.converse("alice", &encoded, "hello").await;
    assert!(
        answer.message().contains(reserved) && answer.header("x-tollgate-reason").is_none(),
        "{}",
        answer.message()
    );
    let received = scene.received(1).await;
    assert_eq!(received[0].subject.as_deref(), Some(reserved));
    assert_eq!(scene.converse("bob", &encoded, "hello").await.refusal().2, "model_refused_kind");
}
