//! Profiles of the configuration that do not say what they were made from: AWS is asked, once however many call, and nobody calls
//! through them before it is known.

use http::StatusCode;
use tokio::task::JoinSet;
use tollgate::mock::{MockActions, MockConfig, MockFailure, MockProfile, MockRole, MockService};
use tollgate::types::Money;

use crate::client::{Wire, send};
use crate::discovery::{BY_EMAIL, discovered};
use crate::harness::{Plan, SONNET, Scene, arn, converse, eventually};

const MICRO: &str = "us.amazon.nova-micro-v1:0";

fn unsourced(name: &str, owner: &str) -> String {
    format!("[[profiles]]\nname = \"{name}\"\narn = \"{}\"\n{owner}\n", arn(name))
}

fn made(name: &str, source: &str, tag: Option<&str>) -> MockProfile {
    let tags = tag.map(|tag| ("tollgate:source".to_owned(), tag.to_owned()));
    MockProfile { arn: arn(name).parse().unwrap(), source: source.parse().unwrap(), tags: tags.into_iter().collect() }
}

/// Alice's profile, of which only AWS knows what it was made from, and one of everyone's over the same model.
fn plan(tag: Option<&'static str>) -> Plan {
    let shared = format!(
        "[[profiles]]\nname = \"shared\"\narn = \"{}\"\nsource = \"{SONNET}\"\neveryone = true\n",
        arn("shared")
    );
    Plan::default()
        .profiles(&unsourced("hers", "principals = [\"alice\"]\naliases = [\"mine\"]"))
        .profile(&shared)
        .upstream("control_endpoint = \"MOCK_URL\"")
        .mock(move |mock| mock.profiles = vec![made("hers", SONNET, tag), made("shared", SONNET, None)])
}

fn asked(scene: &Scene, operation: &str) -> usize {
    scene.mock.received().iter().filter(|received| received.operation == Some(operation)).count()
}

async fn unsourced_profiles(scene: &Scene) -> Option<f64> {
    scene.sample("tollgate_unsourced_profiles").await
}

#[tokio::test]
async fn a_hundred_first_calls_ask_aws_once_and_are_charged_at_the_price_of_what_it_tells() {
    let scene = plan(None).open().await;
    let mut calls = JoinSet::new();
    for model in ["mine", "hers", SONNET, "anthropic.claude-sonnet-4-5-20250929-v1:0"].iter().cycle().take(100) {
        let request = scene.post("alice", &format!("/model/{model}/converse"), converse("hello"));
        calls.spawn(send(scene.data, Wire::Http1, request));
    }
    for answer in calls.join_all().await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.message());
    }
    assert_eq!((asked(&scene, "GetInferenceProfile"), asked(&scene, "ListTagsForResource")), (1, 1));
    let billed: Vec<_> = scene.mock.account().by_profile.into_keys().collect();
    assert_eq!(billed, [arn("hers")], "never through everyone's");
    let metrics = scene.metrics().await;
    let cost =
        metrics.lines().find(|line| line.starts_with("tollgate_cost_usd_total{") && line.contains("profile=\"hers\""));
    let cost = cost.expect("it is counted under its name");
    assert!(cost.contains(&format!("model=\"{SONNET}\"")), "{cost}");
    assert!(!cost.ends_with(" 0") && !cost.ends_with(" 0.0"), "{cost}");
    assert_eq!(unsourced_profiles(&scene).await, Some(0.0));
    eventually("ready", async || (scene.page("/readyz").await.status == StatusCode::OK).then_some(())).await;
}

#[tokio::test]
async fn while_aws_does_not_answer_calls_are_refused_and_go_nowhere_else() {
    let first = plan(None).open().await;
    first.mock.fail(MockService::Bedrock, MockFailure::Outage, u32::MAX);
    let scene = plan(None).endpoint(first.mock.addr()).open().await;
    for name in ["mine", SONNET] {
        let pending = scene.converse("alice", name, "hello").await;
        assert_eq!(pending.refusal(), (503, "ServiceUnavailableException", "profile_pending"), "{name}");
        assert!(pending.message().contains("hers"), "{}", pending.message());
    }
    // Whose it is not is not held up.
    assert_eq!(scene.converse("bob", SONNET, "hello").await.status, StatusCode::OK);
    assert_eq!(unsourced_profiles(&scene).await, Some(1.0));
    assert_eq!(scene.converse("alice", "shared", "hello").await.status, StatusCode::OK, "by its own name");

    first.mock.recover();
    let later = std::time::SystemTime::now() + std::time::Duration::from_mins(1);
    scene.gateway.directory.refresh_sources(later).await;
    assert_eq!(scene.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
    assert!(first.mock.account().by_profile.contains_key(&arn("hers")));
}

#[tokio::test]
async fn what_aws_denies_is_refused_and_asked_about_again() {
    let scene = plan(None)
        .mock(|mock| mock.actions = MockActions::AllBut(vec!["bedrock:GetInferenceProfile".to_owned()]))
        .open();
    let scene = scene.await;
    let pending = scene.converse("alice", "mine", "hello").await;
    assert_eq!(pending.refusal(), (503, "ServiceUnavailableException", "profile_pending"));
    // A moment later AWS is not asked again.
    let before = asked(&scene, "GetInferenceProfile");
    assert_eq!(scene.converse("alice", "mine", "hello").await.refusal().2, "profile_pending");
    assert_eq!((before, asked(&scene, "GetInferenceProfile")), (1, 1));
    scene.mock.set_actions(MockActions::All);
    let later = std::time::SystemTime::now() + std::time::Duration::from_mins(1);
    scene.gateway.directory.refresh_sources(later).await;
    assert_eq!(scene.converse("alice", "mine", "hello").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_contradicts_itself_or_is_not_there_is_nobodys() {
    for absent in [false, true] {
        let plan = plan(Some(MICRO)).mock(|mock| {
            if absent {
                mock.profiles.remove(0);
            }
        });
        let scene = plan.open().await;
        for name in [arn("hers").replace(':', "%3A").replace('/', "%2F"), "mine".to_owned(), MICRO.to_owned()] {
            let refused = scene.converse("alice", &name, "hello").await;
            let reason = refused.refusal().2;
            assert!(["profile_not_yours", "no_such_model", "model_unmapped"].contains(&reason), "{name}: {reason}");
        }
        assert!(scene.mock.account().by_profile.is_empty());
        assert_eq!(unsourced_profiles(&scene).await, Some(1.0));
        // AWS leaves no doubt that it is none of hers: her calls by the model's name go where others' go.
        assert_eq!(scene.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
        assert_eq!(scene.mock.account().by_profile.into_keys().collect::<Vec<_>>(), [arn("shared")]);
    }
}

#[tokio::test]
async fn in_another_account_its_role_asks_in_the_region_of_the_profile() {
    const THERE: &str = "arn:aws:bedrock:eu-central-1:210987654321:application-inference-profile/there";
    let role = "arn:aws:iam::210987654321:role/tollgate";
    let accounts =
        format!("[[accounts]]\naccount = \"210987654321\"\nregions = [\"eu-central-1\"]\nrole_arn = \"{role}\"\n");
    let source = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
    let scene = plan(None)
        .profile(&format!("[[profiles]]\nname = \"there\"\narn = \"{THERE}\"\neveryone = true\n"))
        .upstream("sts_endpoint = \"MOCK_URL\"")
        .with(&accounts)
        .mock(|mock| {
            mock.other_regions = vec!["eu-central-1".parse().unwrap()];
            mock.roles = vec![MockRole::new(role, MockConfig::ACCESS_KEY_ID)];
            mock.profiles.push(MockProfile { arn: THERE.parse().unwrap(), ..made("hers", source, Some(source)) });
        })
        .open()
        .await;
    assert_eq!(scene.converse("bob", "there", "hello").await.status, StatusCode::OK);
    let received = scene.mock.received();
    let mut asked = received.iter().filter(|received| received.operation == Some("GetInferenceProfile"));
    let there = asked.find(|received| received.subject.as_deref() == Some(THERE)).expect("it is asked for");
    assert_eq!((there.account.as_deref(), there.region.as_deref()), (Some("210987654321"), Some("eu-central-1")));
    assert!(there.session.is_some(), "in a session of the role");
    assert_ne!(scene.bill().await.cost(), Money::ZERO);
}

const VENDING: &str = "[[vending]]\neveryone = true\nmodels = [\"anthropic.*\"]\ngeographies = [\"us\"]\n\
                       tags = { UserEmail = \"{UserEmail}\" }\n";

#[tokio::test]
async fn what_discovery_has_found_counts_where_aws_is_not_to_be_asked() {
    let plan = Plan::default().profiles(&unsourced("hers", "principals = [\"alice\"]")).with(BY_EMAIL).with(VENDING);
    let scene = plan.mock(|mock| {
        mock.profiles = vec![made("hers", SONNET, Some(SONNET))];
        mock.actions = MockActions::AllBut(vec!["bedrock:GetInferenceProfile".to_owned()]);
    });
    let scene = scene.open().await;
    discovered(&scene, 1).await;
    assert_eq!(scene.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
    assert_eq!(scene.mock.account().by_profile.into_keys().collect::<Vec<_>>(), [arn("hers")]);
    assert_eq!(scene.mock.profiles().len(), 1);
}

#[tokio::test]
async fn nothing_is_made_for_whoever_may_have_it_already() {
    const ABROAD: &str = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abroad";
    let abroad = format!("[[profiles]]\nname = \"abroad\"\narn = \"{ABROAD}\"\nprincipals = [\"alice\"]\n");
    let plan = Plan::default().profiles(&abroad).with(BY_EMAIL).with(VENDING);
    let scene = plan.mock(|mock| {
        mock.other_regions = vec!["eu-central-1".parse().unwrap()];
        mock.actions = MockActions::AllBut(vec!["bedrock:GetInferenceProfile".to_owned()]);
        let source = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
        mock.profiles = vec![MockProfile { arn: ABROAD.parse().unwrap(), ..made("abroad", source, Some(source)) }];
    });
    let scene = scene.open().await;
    discovered(&scene, 0).await;
    assert_eq!(scene.converse("alice", SONNET, "hello").await.refusal().2, "profile_pending");
    assert_eq!(asked(&scene, "CreateInferenceProfile"), 0);
    scene.mock.set_actions(MockActions::All);
    let later = std::time::SystemTime::now() + std::time::Duration::from_mins(1);
    scene.gateway.directory.refresh_sources(later).await;
    assert_eq!(scene.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
    assert_eq!(scene.mock.account().by_profile.into_keys().collect::<Vec<_>>(), [ABROAD]);
    assert_eq!(asked(&scene, "CreateInferenceProfile"), 0);
}
