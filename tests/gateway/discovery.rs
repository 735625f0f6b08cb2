//! Profiles that are found in AWS, against the control plane that the look-alike plays: whose they are, and what is known of them
//! when it does not answer.

use http::StatusCode;
use tempfile::TempDir;
use tollgate::mock::{MockActions, MockFailure, MockProfile, MockService};
use tollgate::types::Tags;

use crate::harness::{Plan, SONNET, Scene, arn, eventually};

/// One account, and the rule of the ABAC design; nothing is read again by itself.
pub(crate) const BY_EMAIL: &str = r#"
[[accounts]]
account = "123456789012"
regions = ["us-east-1"]
[discovery]
every = "1d"
endpoint = "MOCK_URL"
[[discovery.rules]]
profile_tag = "UserEmail"
principal_tag = "UserEmail"
[[discovery.rules]]
profile_tag = "CostCenter"
name_of = "group"
"#;

fn tagged(name: &str, source: &str, tags: &[(&str, &str)]) -> MockProfile {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    MockProfile { arn: arn(name).parse().unwrap(), source: source.parse().unwrap(), tags: tags.collect() }
}

fn fleet() -> Vec<MockProfile> {
    vec![
        tagged("alices", SONNET, &[("UserEmail", "alice@example.com")]),
        tagged("engs", "us.anthropic.claude-haiku-4-5-20251001-v1:0", &[("CostCenter", "eng")]),
        tagged("forgotten", SONNET, &[]),
        tagged("empty", SONNET, &[("UserEmail", "")]),
        tagged("recased", SONNET, &[("useremail", "bob@example.com")]),
        tagged("star", SONNET, &[("UserEmail", "*"), ("CostCenter", "*")]),
        tagged("nobodys", SONNET, &[("UserEmail", "nobody@example.com")]),
    ]
}

fn plan() -> Plan {
    Plan::default().profiles("").with(BY_EMAIL).mock(|mock| mock.profiles = fleet())
}

/// The ARN that a call of this model goes through, or why it does not.
async fn through(scene: &Scene, who: &str, model: &str) -> Result<String, String> {
    let before = billed(scene);
    let answer = scene.converse(who, model, "hello").await;
    if answer.status != StatusCode::OK {
        return Err(answer.refusal().2.to_owned());
    }
    let found = billed(scene).into_iter().find(|arn| !before.contains(arn)).or(before.first().cloned());
    Ok(found.unwrap())
}

fn billed(scene: &Scene) -> Vec<String> {
    scene.mock.account().by_profile.into_keys().collect()
}

pub(crate) async fn discovered(scene: &Scene, profiles: usize) {
    eventually("the profiles have been read", async || {
        let readings = scene.gateway.directory.readings();
        readings.iter().all(|place| place.read_at.is_some() && place.profiles == profiles).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_profile_in_aws_is_its_owners_by_its_tags_and_nobody_elses() {
    let scene = plan().open().await;
    discovered(&scene, 7).await;
    assert_eq!(through(&scene, "alice", SONNET).await, Ok(arn("alices")));
    assert_eq!(through(&scene, "alice", "us.anthropic.claude-haiku-4-5-20251001-v1:0").await, Ok(arn("engs")));
    for who in ["bob", "carol"] {
        assert_eq!(through(&scene, who, SONNET).await, Err("model_unmapped".to_owned()));
        for name in ["alices", "forgotten", "empty", "recased", "star", "nobodys"] {
            let encoded = arn(name).replace(':', "%3A").replace('/', "%2F");
            assert_eq!(through(&scene, who, &encoded).await, Err("profile_not_yours".to_owned()), "{name}");
        }
    }
    // A reading is counted once it has been written down too, which may be after its profiles are in force.
    let metrics = eventually("the reading is counted", async || {
        let metrics = scene.metrics().await;
        metrics.contains("tollgate_reloads_total{what=\"profiles\",result=\"ok\"} 1").then_some(metrics)
    })
    .await;
    let labels = "{account=\"123456789012\",region=\"us-east-1\"}";
    assert!(metrics.contains(&format!("tollgate_directory_profiles{labels} 7")), "{metrics}");

    // What is retagged is somebody else's as soon as it is read again, and what is gone is nobody's.
    scene.mock.retag_profile(&arn("alices").parse().unwrap(), &Tags::default());
    scene.mock.remove_profile(&arn("engs").parse().unwrap());
    scene.gateway.directory.refresh(std::time::SystemTime::now()).await;
    for model in [SONNET, "us.anthropic.claude-haiku-4-5-20251001-v1:0"] {
        assert_eq!(through(&scene, "alice", model).await, Err("model_unmapped".to_owned()));
    }
    let listed = scene.send(scene.get("alice", "/inference-profiles?type=APPLICATION")).await;
    assert_eq!(listed.json()["inferenceProfileSummaries"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn pages_throttling_and_a_tagging_api_that_is_not_allowed_are_no_matter() {
    let scene = plan()
        .mock(|mock| {
            mock.page_size = 2;
            let allowed = ["bedrock:List*", "bedrock:InvokeModel*"].map(str::to_owned);
            mock.actions = MockActions::Only(allowed.to_vec());
        })
        .open()
        .await;
    discovered(&scene, 7).await;
    assert_eq!(through(&scene, "alice", SONNET).await, Ok(arn("alices")));
    scene.mock.fail(MockService::Bedrock, MockFailure::Throttled, 2);
    let read = scene.gateway.directory.refresh(std::time::SystemTime::now()).await;
    assert_eq!(read[0].1, Ok(7));
}

#[tokio::test]
async fn what_was_found_outlives_an_outage_and_a_start() {
    let scene = plan().open().await;
    discovered(&scene, 7).await;
    let file = scene.folder.path().join("profiles.json");
    eventually("it is written down", async || file.exists().then_some(())).await;
    scene.mock.fail(MockService::Bedrock, MockFailure::Cut, u32::MAX);
    let read = scene.gateway.directory.refresh(std::time::SystemTime::now()).await;
    assert!(read[0].1.is_err());
    assert_eq!(through(&scene, "alice", SONNET).await, Ok(arn("alices")));

    // Another start, with nobody to ask.
    let folder = TempDir::new().unwrap();
    std::fs::copy(&file, folder.path().join("profiles.json")).unwrap();
    let again = plan().folder(folder).endpoint(scene.mock.addr()).open().await;
    eventually("the failure is counted", async || {
        let failed = "tollgate_reloads_total{what=\"profiles\",result=\"failed\"} 1";
        again.metrics().await.contains(failed).then_some(())
    })
    .await;
    assert_eq!(again.converse("alice", SONNET, "hello").await.status, StatusCode::OK);
    assert_eq!(again.converse("bob", SONNET, "hello").await.refusal().2, "model_unmapped");
}

#[tokio::test]
async fn a_source_that_is_not_known_makes_a_profile_nobodys_until_a_tag_says_it() {
    let scene = plan()
        .mock(|mock| {
            let mut global =
                tagged("g", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", &[("UserEmail", "alice@example.com")]);
            global.tags = [("UserEmail", "alice@example.com"), ("tollgate:source", "nonsense")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into_iter()
                .collect();
            mock.profiles = vec![global];
        })
        .open()
        .await;
    discovered(&scene, 0).await;
    assert_eq!(scene.gateway.directory.readings()[0].undetermined, 1);
    assert_eq!(
        through(&scene, "alice", "global.anthropic.claude-sonnet-4-5-20250929-v1:0").await,
        Err("model_unmapped".to_owned())
    );
    let tags =
        [("UserEmail", "alice@example.com"), ("tollgate:source", "global.anthropic.claude-sonnet-4-5-20250929-v1:0")];
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    scene.mock.retag_profile(&arn("g").parse().unwrap(), &tags.into_iter().collect());
    scene.gateway.directory.refresh(std::time::SystemTime::now()).await;
    assert_eq!(through(&scene, "alice", "global.anthropic.claude-sonnet-4-5-20250929-v1:0").await, Ok(arn("g")));
}

#[tokio::test]
async fn a_source_tag_that_awss_list_of_models_contradicts_is_not_believed() {
    let haiku = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
    let abroad = SONNET.replacen("us.", "eu.", 1);
    let alices = ("UserEmail", "alice@example.com");
    let scene = plan()
        .mock(move |mock| {
            mock.profiles = vec![
                tagged("true", haiku, &[alices, ("tollgate:source", haiku)]),
                tagged("cheaper", SONNET, &[alices, ("tollgate:source", "us.amazon.nova-micro-v1:0")]),
                tagged("abroad", SONNET, &[alices, ("tollgate:source", &abroad)]),
                tagged("regional", SONNET, &[alices, ("tollgate:source", SONNET.trim_start_matches("us."))]),
            ];
        })
        .open()
        .await;
    discovered(&scene, 1).await;
    assert_eq!(scene.gateway.directory.readings()[0].undetermined, 3);
    assert_eq!(through(&scene, "alice", haiku).await, Ok(arn("true")));
    for model in ["us.amazon.nova-micro-v1:0", SONNET] {
        assert_eq!(through(&scene, "alice", model).await, Err("model_unmapped".to_owned()), "{model}");
    }
}
