//! What vending does not do: ask AWS without end, go beyond its limits, make what could not be used, or serve what is not there.

use http::StatusCode;
use tokio::task::JoinSet;
use tollgate::mock::{MockActions, MockDelay, MockFailure, MockPropagation, MockService};

use crate::client::{Answer, Wire, send};
use crate::discovery::{BY_EMAIL, discovered};
use crate::harness::{Plan, SONNET, Scene, converse, eventually};

const VENDING: &str = "[[vending]]\ngroups = [\"eng\"]\nmodels = [\"anthropic.*\"]\ngeographies = [\"us\", \"global\"]\n\
                       tags = { UserEmail = \"{UserEmail}\" }\n";

fn plan(more: &str) -> Plan {
    Plan::default().profiles("").with(BY_EMAIL).with(&format!("{VENDING}{more}")).mock(|mock| mock.profiles = vec![])
}

/// How often AWS was asked to make a profile.
fn asked(scene: &Scene) -> usize {
    let received = scene.mock.received();
    received.iter().filter(|received| received.operation == Some("CreateInferenceProfile")).count()
}

/// Asks for these models at once.
async fn at_once(scene: &Scene, models: impl Iterator<Item = String>) -> Vec<Answer> {
    let mut calls = JoinSet::new();
    for model in models {
        let request = scene.post("alice", &format!("/model/{model}/converse"), converse("hello"));
        calls.spawn(send(scene.data, Wire::Http1, request));
    }
    calls.join_all().await
}

fn sonnets(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("anthropic.claude-sonnet-{number}-20250929-v1:0"))
}

#[tokio::test]
async fn whoever_is_refused_again_and_again_has_aws_asked_no_more() {
    let scene = plan("per_principal = 1000").open().await;
    discovered(&scene, 0).await;
    scene.mock.set_actions(MockActions::AllBut(vec!["bedrock:CreateInferenceProfile".to_owned()]));
    for answer in at_once(&scene, (0..30).map(|_| SONNET.to_owned())).await {
        assert_eq!(answer.refusal().2, "model_unmapped", "{}", answer.message());
    }
    assert_eq!(asked(&scene), 1, "they wait for one answer");
    for model in sonnets(40) {
        assert_eq!(scene.converse("alice", &model, "hello").await.refusal().2, "model_unmapped");
    }
    assert_eq!(asked(&scene), 8);
}

#[tokio::test]
async fn the_limit_of_a_principal_holds_for_first_calls_that_come_at_once() {
    let scene = plan("per_principal = 2").open().await;
    discovered(&scene, 0).await;
    let models = || {
        ["opus-4-5-20251101-v1:0", "sonnet-4-5-20250929-v1:0", "haiku-4-5-20251001-v1:0", "3-haiku-20240307-v1:0"]
            .map(|model| format!("anthropic.claude-{model}"))
            .into_iter()
    };
    let served = |answers: &[Answer]| answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    let answers = at_once(&scene, models()).await;
    assert_eq!((served(&answers), scene.mock.profiles().len()), (2, 2));

    let full = plan("most_profiles = 1").open().await;
    discovered(&full, 0).await;
    at_once(&full, models()).await;
    assert_eq!(full.mock.profiles().len(), 1);
}

#[tokio::test]
async fn nothing_is_made_before_it_is_known_what_there_is() {
    let first = plan("").open().await;
    discovered(&first, 0).await;
    first.mock.fail(MockService::Bedrock, MockFailure::Outage, u32::MAX);
    let second = plan("").endpoint(first.mock.addr()).open().await;
    let refused = second.converse("alice", SONNET, "hello").await;
    assert_eq!(refused.refusal(), (503, "ServiceUnavailableException", "profile_pending"));
    assert_eq!(asked(&first), 0);
    first.mock.recover();
    second.gateway.directory.refresh(std::time::SystemTime::now()).await;
    assert_eq!(second.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_gateway_is_ready_when_every_place_has_been_asked_for_once() {
    let scene = plan("").open().await;
    discovered(&scene, 0).await;
    eventually("ready", async || (scene.page("/readyz").await.status == StatusCode::OK).then_some(())).await;
}

#[tokio::test]
async fn what_could_not_be_called_is_not_made() {
    let scene = plan("\n[policy]\ndeny_global = true").open().await;
    discovered(&scene, 0).await;
    let global = format!("global.{}", SONNET.trim_start_matches("us."));
    assert_eq!(scene.converse("alice", &global, "hello").await.refusal().2, "region_denied");
    assert_eq!((asked(&scene), scene.mock.profiles().len()), (0, 0));
    assert_eq!(scene.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_made_in_another_account_than_was_asked_for_is_not_called() {
    let elsewhere = BY_EMAIL.replace("123456789012", "111122223333");
    let vending = VENDING.replace("\"us\", \"global\"", "\"regional\"");
    let plan = Plan::default().profiles("").with(&elsewhere).with(&vending).mock(|mock| mock.profiles = vec![]);
    let scene = plan.open().await;
    discovered(&scene, 0).await;
    let refused = scene.converse("alice", "anthropic.claude-sonnet-4-5-20250929-v1:0", "hello").await;
    assert_eq!(refused.refusal().2, "model_unmapped");
    assert!(scene.mock.account().by_profile.is_empty());
}

#[tokio::test]
async fn tags_that_aws_shows_late_make_no_second_profile_and_a_request_that_is_wrong_is_told_soon() {
    let scene = plan("").open().await;
    discovered(&scene, 0).await;
    let late = MockPropagation { tagging: MockDelay::UntilSettled, ..MockPropagation::default() };
    scene.mock.propagate(late);
    assert_eq!(scene.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
    for _ in 0..3 {
        scene.gateway.directory.refresh(std::time::SystemTime::now()).await;
        assert_eq!(scene.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
    }
    assert_eq!((asked(&scene), scene.mock.profiles().len()), (1, 1));
    // The profile has answered: what Bedrock calls invalid now is the request.
    let before = scene.mock.received().len();
    let wrong = scene.post("alice", &format!("/model/{SONNET}/converse"), "{\"messages\":[]}");
    assert_eq!(scene.send(wrong).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(scene.mock.received().len(), before + 1);
}

#[tokio::test]
async fn other_tags_are_another_profile_and_not_the_one_that_was_made_before() {
    let first = plan("").open().await;
    discovered(&first, 0).await;
    assert_eq!(first.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
    // Another gateway, where alice has moved; it does not know of the first profile's tags as its own.
    let moved = plan("").with("").endpoint(first.mock.addr());
    let moved = moved.tagged("alice@example.com", "alice@elsewhere.example.com").open().await;
    eventually("the profile has been read", async || {
        moved.gateway.directory.readings().iter().all(|place| place.read_at.is_some()).then_some(())
    })
    .await;
    let refused = moved.converse("alice", SONNET, "hello").await;
    assert_eq!(refused.refusal().2, "model_unmapped", "{}", refused.message());
    assert_eq!(first.mock.profiles().len(), 1);
}

#[tokio::test]
async fn awss_own_quota_is_known_beforehand_and_named_when_it_is_used_up() {
    let scene = plan("").mock(|mock| mock.profile_quota = 1).open().await;
    discovered(&scene, 0).await;
    let labels = "{account=\"123456789012\",region=\"us-east-1\"}";
    eventually("the quota is read", async || {
        scene.metrics().await.contains(&format!("tollgate_profile_quota{labels} 1")).then_some(())
    })
    .await;
    assert_eq!(scene.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
    let haiku = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
    let refused = scene.converse("alice", haiku, "hello").await;
    assert_eq!(refused.refusal(), (403, "AccessDeniedException", "model_unmapped"));
    assert!(refused.message().contains("as many as AWS lets it have"), "{}", refused.message());
    assert_eq!(asked(&scene), 1, "AWS is not asked in vain");
    // What is left is asked about again at every reading once it is nothing, and only then: nobody raises it every five minutes.
    let questions = || {
        let received = scene.mock.received();
        received.iter().filter(|received| received.operation == Some("ListServiceQuotas")).count()
    };
    let now = std::time::SystemTime::now();
    assert_eq!(questions(), 1);
    scene.gateway.vending.read_quotas(now).await;
    assert_eq!(questions(), 2);
    let [room] = &scene.gateway.vending.headrooms()[..] else { panic!("one place") };
    assert_eq!((room.used, room.quota, room.left(), &room.unread), (1, Some(1), Some(0), &None));
    let [profile] = &scene.mock.profiles()[..] else { panic!("one profile") };
    scene.gateway.directory.forget(&profile.1.arn).await.unwrap();
    scene.gateway.vending.read_quotas(now).await;
    assert_eq!(questions(), 2, "there is room again");
    scene.gateway.vending.read_quotas(now + std::time::Duration::from_hours(1)).await;
    assert_eq!(questions(), 3);
}

#[tokio::test]
async fn a_quota_that_cannot_be_read_stops_nothing_and_awss_own_word_is_as_clear() {
    let denied = MockActions::AllBut(vec!["servicequotas:*".to_owned()]);
    let first = plan("").mock(|mock| (mock.profile_quota, mock.actions) = (1, denied)).open().await;
    discovered(&first, 0).await;
    // Of a second gateway's questions Service Quotas answers none at all.
    first.mock.fail(MockService::ServiceQuotas, MockFailure::Outage, u32::MAX);
    let second = plan("").endpoint(first.mock.addr()).open().await;
    discovered(&second, 0).await;
    assert_eq!(first.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
    for scene in [&first, &second] {
        let refused = scene.converse("alice", "us.anthropic.claude-haiku-4-5-20251001-v1:0", "hello").await;
        assert_eq!(refused.refusal(), (403, "AccessDeniedException", "model_unmapped"));
        assert!(refused.message().contains("as many as AWS lets it have"), "{}", refused.message());
        assert!(!scene.metrics().await.contains("tollgate_profile_quota{"), "nothing is made up");
    }
    assert_eq!(asked(&first), 3, "the one, and in vain for either");
}

#[tokio::test]
async fn nobody_asks_for_a_quota_where_nothing_is_made() {
    let none = "[[vending]]\neveryone = true\nmodels = [\"*\"]\non_missing = \"refuse\"\n";
    let scene = Plan::default().profiles("").with(BY_EMAIL).with(none).mock(|mock| mock.profiles = vec![]).open().await;
    discovered(&scene, 0).await;
    scene.gateway.vending.read_quotas(std::time::SystemTime::now()).await;
    assert!(scene.mock.received().iter().all(|received| received.operation != Some("ListServiceQuotas")));
}
