//! Calls in several accounts and Regions: under which role, in whose name, and what becomes of them when STS gives no session.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tollgate::mock::{MockConfig, MockFailure, MockProfile, MockRole, MockService, Received};
use tollgate::types::ManualClock;

use crate::harness::{Plan, SONNET, Scene, eventually};

const ROLE: &str = "arn:aws:iam::210987654321:role/tollgate";
const OTHER_ROLE: &str = "arn:aws:iam::345678901234:role/team/tollgate";

/// Two accounts with roles beside the gateway's own: in one everybody has a session with their tag, in the other with their name.
const ACCOUNTS: &str = r#"
[[accounts]]
account = "210987654321"
regions = ["us-east-1", "eu-central-1"]
role_arn = "arn:aws:iam::210987654321:role/tollgate"
external_id = "tollgate-1"
session_name = "{principal}"
session_tags = { UserEmail = "{UserEmail}", Via = "tollgate" }
transitive_tags = ["UserEmail"]
[[accounts]]
account = "345678901234"
regions = ["us-east-1"]
role_arn = "arn:aws:iam::345678901234:role/team/tollgate"
session_name = "for-{principal}"
duration = "15m"
"#;

/// Name, account, Region, the tag that says whose it is.
const THEIRS: [(&str, &str, &str, &str); 4] = [
    ("there", "210987654321", "us-east-1", "alice@example.com"),
    ("europe", "210987654321", "eu-central-1", "alice@example.com"),
    ("bobs", "210987654321", "us-east-1", "bob@example.com"),
    ("third", "345678901234", "us-east-1", ""),
];

fn there(name: &str) -> String {
    let (_, account, region, _) = THEIRS.into_iter().find(|(own, ..)| *own == name).unwrap();
    format!("arn:aws:bedrock:{region}:{account}:application-inference-profile/{name}")
}

fn roles() -> Vec<MockRole> {
    let tied = MockRole {
        external_id: Some("tollgate-1".to_owned()),
        matching_tag: Some("UserEmail".to_owned()),
        ..MockRole::new(ROLE, MockConfig::ACCESS_KEY_ID)
    };
    vec![tied, MockRole::new(OTHER_ROLE, MockConfig::ACCESS_KEY_ID)]
}

fn fleet() -> Vec<MockProfile> {
    let fleet = THEIRS.map(|(name, _, _, email)| MockProfile {
        arn: there(name).parse().unwrap(),
        source: SONNET.parse().unwrap(),
        tags: [("UserEmail".to_owned(), email.to_owned())].into_iter().collect(),
    });
    fleet.to_vec()
}

fn plan() -> Plan {
    let plan = THEIRS.iter().fold(Plan::default(), |plan, (name, ..)| {
        let arn = there(name);
        plan.profile(&format!(
            "[[profiles]]\nname = \"{name}\"\narn = \"{arn}\"\nsource = \"{SONNET}\"\neveryone = true\naliases = [\"{name}-model\"]"
        ))
    });
    plan.upstream("sts_endpoint = \"MOCK_URL\"").with(ACCOUNTS).mock(|mock| {
        mock.profiles.extend(fleet());
        mock.other_regions = vec!["eu-central-1".parse().unwrap()];
        mock.roles = roles();
    })
}

/// The requests for sessions, and all others.
fn received(scene: &Scene) -> (Vec<Received>, Vec<Received>) {
    scene.mock.received().into_iter().partition(|received| received.operation == Some("AssumeRole"))
}

async fn asked(scene: &Scene, account: &str, result: &str) -> Option<f64> {
    let name = format!("tollgate_assume_role_total{{account=\"{account}\",result=\"{result}\"}}");
    scene.sample(&name).await
}

#[tokio::test]
async fn a_call_in_another_account_is_made_under_its_role_in_the_name_of_whoever_calls() {
    let scene = plan().open().await;
    for model in ["there", "europe", "there", "third", "sonnet"] {
        let answer = scene.converse("alice", model, "hello").await;
        assert_eq!(answer.status, StatusCode::OK, "{model}: {}", answer.message());
    }
    assert_eq!(scene.converse("bob", "third", "hello").await.status, StatusCode::OK);
    let (sessions, calls) = received(&scene);
    assert_eq!(sessions.len(), 3, "one for alice in each account, one for bob in one");
    assert!(sessions.iter().all(|asked| asked.region.as_deref() == Some("us-east-1") && asked.session.is_none()));

    let seen: Vec<_> = calls
        .iter()
        .map(|call| {
            let session = call.session.as_ref();
            let tags = session.map(|session| session.tags.clone().into_iter().collect::<Vec<_>>()).unwrap_or_default();
            let tags: Vec<_> = tags.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
            let name = session.map(|session| session.name.clone()).unwrap_or_default();
            (call.account.clone().unwrap(), call.region.clone().unwrap(), name, tags.join(" "))
        })
        .collect();
    let tags = "UserEmail=alice@example.com Via=tollgate";
    let wanted = [
        ("210987654321", "us-east-1", "alice", tags),
        ("210987654321", "eu-central-1", "alice", tags),
        ("210987654321", "us-east-1", "alice", tags),
        ("345678901234", "us-east-1", "for-alice", ""),
        ("123456789012", "us-east-1", "", ""),
        ("345678901234", "us-east-1", "for-bob", ""),
    ];
    let wanted = wanted
        .map(|(account, region, name, tags)| (account.to_owned(), region.to_owned(), name.to_owned(), tags.to_owned()));
    assert_eq!(seen, wanted);
    assert_eq!(scene.sample("tollgate_sessions{account=\"345678901234\"}").await, Some(2.0));
    assert_eq!(
        (asked(&scene, "210987654321", "ok").await, asked(&scene, "345678901234", "ok").await),
        (Some(1.0), Some(2.0))
    );
    assert_eq!(scene.bill_of(6).await.at_reservation(), [""; 0]);
}

#[tokio::test]
async fn whoever_lacks_a_tag_of_the_session_is_refused_before_anything_is_asked_or_owed() {
    let scene = plan().open().await;
    let answer = scene.converse("bob", "there", "hello").await;
    assert_eq!(answer.refusal(), (403, "AccessDeniedException", "session_untaggable"));
    let message = answer.message();
    assert!(
        message.starts_with("You don't have access to the model") && message.contains("tag UserEmail"),
        "{message}"
    );
    assert!(scene.mock.received().is_empty());
    assert_eq!(scene.bill().await.calls(), 0);
}

#[tokio::test]
async fn a_policy_that_ties_profiles_to_sessions_by_a_tag_is_a_second_lock() {
    let scene = plan().open().await;
    // The configuration gives it to everyone; AWS does not.
    let answer = scene.converse("alice", "bobs", "hello").await;
    let (status, kind, reason) = answer.refusal();
    assert_eq!((status, reason), (403, ""), "Bedrock's own refusal");
    assert!(kind.starts_with("AccessDeniedException"), "{kind}");
    assert!(answer.message().contains("assumed-role/tollgate/alice"), "{}", answer.message());
    assert_eq!(scene.converse("alice", "there", "hello").await.status, StatusCode::OK);
}

#[tokio::test]
async fn many_first_calls_ask_for_one_session() {
    let scene = Arc::new(plan().open().await);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let scene = Arc::clone(&scene);
        calls.spawn(async move { scene.converse("alice", "there", "hello").await.status });
    }
    assert!(calls.join_all().await.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(received(&scene).0.len(), 1);
}

#[tokio::test]
async fn a_session_ends_with_its_time_or_when_bedrock_does_not_take_it_any_more() {
    let clock = Arc::new(ManualClock::at_unix_seconds(1_790_000_000));
    let (gateways, mocks) = (Arc::clone(&clock), Arc::clone(&clock));
    let scene = plan().clock(gateways).mock(|mock| mock.clock = mocks).open().await;
    let call = async || scene.converse("alice", "third", "hello").await;
    assert_eq!(call().await.status, StatusCode::OK);
    clock.advance(Duration::from_mins(15) - Duration::from_secs(5));
    assert_eq!(call().await.status, StatusCode::OK);
    assert_eq!(received(&scene).0.len(), 2, "one that is about to expire signs nothing any more");

    // Somebody has revoked the role's sessions: the next call is Bedrock's to refuse, and those after it have another.
    clock.advance(Duration::from_secs(5));
    scene.mock.expire_sessions();
    let refused = call().await;
    assert_eq!((refused.status, refused.header("x-tollgate-reason")), (StatusCode::FORBIDDEN, None));
    eventually("another session", async || (received(&scene).0.len() == 3).then_some(())).await;
    assert_eq!(call().await.status, StatusCode::OK);
    assert_eq!(received(&scene).0.len(), 3);
}

#[tokio::test]
async fn while_sts_is_away_those_who_have_a_session_go_on_and_the_others_are_told_to_come_again() {
    let scene = plan().open().await;
    assert_eq!(scene.converse("alice", "third", "hello").await.status, StatusCode::OK);
    scene.mock.fail(MockService::Sts, MockFailure::Outage, u32::MAX);
    for _ in 0..5 {
        let answer = scene.converse("bob", "third", "hello").await;
        assert_eq!(answer.refusal(), (503, "ServiceUnavailableException", "credentials_unavailable"));
        assert!(answer.header("retry-after").is_some());
        assert_eq!(scene.converse("alice", "third", "hello").await.status, StatusCode::OK);
        assert_eq!(scene.converse("bob", "llama", "hello").await.status, StatusCode::OK, "the gateway's own account");
    }
    let unavailable = asked(&scene, "345678901234", "unavailable").await.unwrap();
    assert!((3.0..=9.0).contains(&unavailable), "{unavailable}: it is left alone for a while");
    scene.mock.recover();
    eventually("bob's session", async || {
        (scene.converse("bob", "third", "hello").await.status == StatusCode::OK).then_some(())
    })
    .await;
    // Asked too often for a moment, and cut: a call waits that long.
    for failure in [MockFailure::Throttled, MockFailure::Cut] {
        let scene = plan().open().await;
        scene.mock.fail(MockService::Sts, failure, 2);
        assert_eq!(scene.converse("alice", "there", "hello").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_role_that_does_not_trust_the_gateway_costs_its_own_account_and_no_other() {
    let scene = plan().mock(|mock| mock.roles[0].external_id = Some("another".to_owned())).open().await;
    for _ in 0..3 {
        let answer = scene.converse("alice", "there", "hello").await;
        assert_eq!(answer.refusal(), (503, "ServiceUnavailableException", "credentials_unavailable"));
        assert!(!answer.message().contains("arn:aws"), "AWS's words are the operator's: {}", answer.message());
    }
    assert_eq!(asked(&scene, "210987654321", "denied").await, Some(1.0));
    assert_eq!(scene.converse("alice", "third", "hello").await.status, StatusCode::OK);
    assert_eq!(scene.page("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn profiles_are_found_and_made_under_the_roles_of_their_accounts() {
    let discovery = r#"
[discovery]
every = "1d"
endpoint = "MOCK_URL"
[[discovery.rules]]
profile_tag = "UserEmail"
principal_tag = "UserEmail"
[[vending]]
everyone = true
models = ["anthropic.claude-haiku-*"]
account = "345678901234"
geographies = ["us"]
tags = { UserEmail = "{UserEmail}" }
"#;
    let plan = Plan::default().profiles("").with(ACCOUNTS).with(discovery).upstream("sts_endpoint = \"MOCK_URL\"");
    let scene = plan
        .mock(|mock| {
            mock.profiles = fleet();
            mock.other_regions = vec!["eu-central-1".parse().unwrap()];
            mock.roles = roles();
        })
        .open()
        .await;
    eventually("every place has been read", async || {
        let readings = scene.gateway.directory.readings();
        readings.iter().all(|place| place.read_at.is_some()).then_some(())
    })
    .await;
    let readings = scene.gateway.directory.readings();
    assert_eq!(readings.iter().map(|place| place.profiles).collect::<Vec<_>>(), [2, 1, 1]);
    let answer = scene.converse("alice", SONNET, "hello").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.message());
    let answer = scene.converse("alice", "us.anthropic.claude-haiku-4-5-20251001-v1:0", "hello").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.message());

    let (_, calls) = received(&scene);
    for call in calls {
        let session = call.session.clone().unwrap();
        let by_itself = matches!(call.operation, Some("Converse"));
        match (by_itself, call.account.as_deref().unwrap()) {
            (true, "210987654321") => assert_eq!(session.name, "alice"),
            (true, _) => assert_eq!(session.name, "for-alice"),
            (false, "210987654321") => {
                assert_eq!(session.name, "tollgate-discovery");
                assert_eq!(session.tags, [("Via".to_owned(), "tollgate".to_owned())].into());
            }
            (false, _) => assert_eq!((session.name.as_str(), session.tags.len()), ("tollgate-discovery", 0)),
        }
    }
}
