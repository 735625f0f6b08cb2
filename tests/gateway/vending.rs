//! People who have no profile and make their first call, against the control plane that the look-alike plays.

use http::StatusCode;
use serde_json::Value;
use tollgate::mock::{MockActions, MockDelay, MockFailure, MockProfile, MockPropagation, MockService};
use tollgate::types::Tags;

use crate::client::{Answer, Wire, send};
use crate::discovery::{BY_EMAIL, discovered};
use crate::harness::{Plan, SONNET, Scene, arn, converse, eventually};

const VENDING: &str = r#"
[[vending]]
groups = ["eng"]
models = ["anthropic.claude-sonnet-*", "anthropic.claude-haiku-*"]
geographies = ["us", "global"]
tags = { UserEmail = "{UserEmail}", Team = "platform" }
per_principal = 2
"#;

fn plan() -> Plan {
    Plan::default().profiles("").with(BY_EMAIL).with(VENDING).mock(|mock| mock.profiles = vec![])
}

async fn open(plan: Plan) -> Scene {
    let scene = plan.open().await;
    discovered(&scene, 0).await;
    scene
}

fn reason(answer: &Answer) -> &str {
    answer.refusal().2
}

#[tokio::test]
async fn whoever_has_no_profile_makes_their_first_call_and_gets_one() {
    let scene = open(plan()).await;
    let answer = scene.converse("alice", "anthropic.claude-sonnet-4-5-20250929-v1:0", "hello").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.message());
    let made = scene.mock.profiles();
    let [(name, profile)] = made.as_slice() else { panic!("{made:?}") };
    assert!(name.starts_with("alice-anthropic-claude-sonnet-4-5-20250929-v1-0-") && name.len() <= 64, "{name}");
    assert_eq!(profile.source.as_str(), SONNET, "the first geography");
    let tags: Vec<_> = profile.tags.iter().collect();
    assert_eq!(
        tags,
        [
            ("Team", "platform"),
            ("UserEmail", "alice@example.com"),
            ("tollgate:owner", "alice"),
            ("tollgate:source", SONNET)
        ]
    );
    assert_eq!(scene.mock.account().by_profile.into_keys().collect::<Vec<_>>(), [profile.arn.to_string()]);

    // The geography that is asked for, where it is allowed; what is not is refused, and so are other people and models.
    let global = "global.anthropic.claude-haiku-4-5-20251001-v1:0";
    assert_eq!(scene.converse("alice", global, "hello").await.status, StatusCode::OK);
    assert_eq!(scene.mock.profiles()[1].1.source.as_str(), global);
    for (who, model) in [("alice", "amazon.nova-lite-v1:0"), ("bob", SONNET), ("carol", SONNET)] {
        assert_eq!(reason(&scene.converse(who, model, "hello").await), "model_unmapped", "{who} {model}");
    }
    let third = scene.converse("alice", "us.anthropic.claude-sonnet-4-20250514-v1:0", "hello").await;
    assert!(third.message().contains("as many inference profiles as may be made for you"), "{}", third.message());
    assert_eq!(scene.mock.profiles().len(), 2);
    // It is there after the directory is read again, and in the look-alike of the control plane.
    scene.gateway.directory.refresh(std::time::SystemTime::now()).await;
    assert_eq!(scene.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
    let listed = scene.send(scene.get("alice", "/inference-profiles?type=APPLICATION")).await;
    assert_eq!(listed.json()["inferenceProfileSummaries"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn ten_gateways_whose_first_calls_come_at_once_make_one_profile() {
    let first = open(plan()).await;
    let mut scenes = vec![];
    for _ in 1..10 {
        scenes.push(open(plan().endpoint(first.mock.addr())).await);
    }
    let mut calls = tokio::task::JoinSet::new();
    for scene in scenes.iter().chain([&first]).flat_map(|scene| [scene; 5]) {
        let request = scene.post("alice", &format!("/model/{SONNET}/converse"), converse("hello"));
        calls.spawn(send(scene.data, Wire::Http1, request));
    }
    for answer in calls.join_all().await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.message());
    }
    let made = first.mock.profiles();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(first.mock.account().by_profile.into_keys().collect::<Vec<_>>(), [made[0].1.arn.to_string()]);
}

#[tokio::test]
async fn a_new_profile_that_bedrock_does_not_know_yet_is_waited_for() {
    let scene = open(plan()).await;
    let late = MockDelay::Calls(2);
    scene.mock.propagate(MockPropagation { runtime: late, reads: late, lists: late, tagging: MockDelay::UntilSettled });
    let answer = scene.converse("alice", SONNET, "hello").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.message());
    // A list without it, and one without its tags, do not take it away from who has just got it.
    for _ in 0..3 {
        scene.gateway.directory.refresh(std::time::SystemTime::now()).await;
    }
    assert_eq!(scene.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
    assert_eq!(scene.mock.profiles().len(), 1);
}

#[tokio::test]
async fn a_name_that_is_taken_is_adopted_only_when_its_tags_prove_it_to_be_the_callers() {
    let scene = open(plan()).await;
    assert_eq!(scene.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
    let (name, made) = scene.mock.profiles().remove(0);
    // Another gateway does not know of it: it asks AWS to make it, and is told that it is there. On another day the token is another.
    let clock = || {
        let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_hours(24);
        std::sync::Arc::new(tollgate::types::ManualClock::at_unix_seconds(
            tomorrow.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(),
        ))
    };
    let other = open(plan().mock(move |mock| mock.clock = clock()).clock(clock())).await;
    let foreign =
        MockProfile { arn: arn("foreign").parse().unwrap(), source: made.source.clone(), tags: Tags::default() };
    other.mock.add_profile(&name, &foreign);
    let refused = other.converse("alice", SONNET, "hello").await;
    assert_eq!(reason(&refused), "model_unmapped");
    assert!(refused.message().contains("none could be made"), "{}", refused.message());
    // Another gateway has read it, as nobody's, before its tags are put right.
    let third = plan().endpoint(other.mock.addr()).clock(clock()).open().await;
    discovered(&third, 1).await;
    other.mock.retag_profile(&foreign.arn, &made.tags);
    // AWS is not asked again for a minute; the other asks at once.
    assert_eq!(reason(&other.converse("alice", SONNET, "hello").await), "model_unmapped");
    assert_eq!(third.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
    assert_eq!(other.mock.profiles().len(), 1);
}

#[tokio::test]
async fn whatever_aws_says_against_it_the_caller_is_told_what_to_do() {
    let scene = open(plan()).await;
    scene.mock.set_actions(MockActions::Only(vec!["bedrock:List*".to_owned(), "tag:*".to_owned()]));
    let refused = scene.converse("alice", SONNET, "hello").await;
    assert_eq!(refused.refusal(), (403, "AccessDeniedException", "model_unmapped"));
    assert!(refused.message().contains("Ask the operator of this gateway"), "{}", refused.message());

    let full = open(plan().mock(|mock| mock.profile_quota = 0)).await;
    assert_eq!(reason(&full.converse("alice", SONNET, "hello").await), "model_unmapped");

    let away = open(plan()).await;
    away.mock.fail(MockService::Bedrock, MockFailure::Outage, u32::MAX);
    let pending = away.converse("alice", SONNET, "hello").await;
    assert_eq!(pending.refusal(), (503, "ServiceUnavailableException", "profile_pending"));
    assert!(away.mock.profiles().is_empty());
}

#[tokio::test]
async fn an_exception_is_refused_before_the_rule_below_it() {
    let exception = "[[vending]]\nprincipals = [\"alice\"]\nmodels = [\"*haiku*\"]\non_missing = \"refuse\"\n";
    let plan = Plan::default().profiles("").with(BY_EMAIL).with(exception).with(VENDING);
    let scene = open(plan.mock(|mock| mock.profiles = vec![])).await;
    let haiku = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
    assert_eq!(reason(&scene.converse("alice", haiku, "hello").await), "model_unmapped");
    assert_eq!(scene.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
    assert_eq!(scene.mock.profiles().len(), 1);
}

#[tokio::test]
async fn the_rights_that_the_documentation_gives_the_role_are_enough_and_each_is_needed() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/profiles.md")).unwrap();
    let policies: Vec<Value> = page
        .split("```json\n")
        .skip(1)
        .map(|rest| serde_json::from_str(rest.split("```").next().unwrap()).unwrap())
        .collect();
    let [_prompts, role, vending, _everybody_else] = policies.as_slice() else { panic!("{} policies", policies.len()) };
    let allowed = [role, vending].into_iter().flat_map(|policy| policy["Statement"].as_array().unwrap());
    let allowed = allowed.filter(|statement| statement["Effect"] == "Allow");
    let mut actions: Vec<String> = allowed
        .flat_map(|statement| statement["Action"].as_array().unwrap())
        .map(|action| action.as_str().unwrap().to_owned())
        .collect();
    actions.sort();
    actions.dedup();

    let first_call = async |actions: Vec<String>| {
        let scene = plan().mock(|mock| mock.actions = MockActions::Only(actions)).open().await;
        eventually("it has asked", async || scene.gateway.directory.untried().is_none().then_some(())).await;
        let answer = scene.converse("alice", SONNET, "hello").await;
        let read = scene.gateway.directory.refresh(std::time::SystemTime::now()).await;
        (answer.status == StatusCode::OK, read[0].1.is_ok())
    };
    assert_eq!(first_call(actions.clone()).await, (true, true), "{actions:?}");
    for (needed, called, read) in [
        ("bedrock:InvokeModel", false, true),
        ("bedrock:ListInferenceProfiles", false, false),
        ("bedrock:CreateInferenceProfile", false, true),
    ] {
        let others: Vec<_> = actions.iter().filter(|action| *action != needed).cloned().collect();
        assert_ne!(others.len(), actions.len(), "{needed} is documented");
        assert_eq!(first_call(others).await, (called, read), "without {needed}");
    }
}
