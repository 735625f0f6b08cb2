//! Inference profiles and foundation models through Bedrock's control plane.

use super::plane::{Plane, creation, encoded};
use super::*;

const SYSTEM: &str =
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0";

#[tokio::test]
async fn a_profile_that_is_made_is_listed_shown_called_billed_and_deleted() {
    let mock = MockBedrock::start(MockConfig::local().unwrap()).await.unwrap();
    let plane = Plane::of(&mock);
    let mut wanted = creation("alice sonnet", &[("owner", "alice")]);
    wanted["description"] = "For Alice".into();
    let made = plane.post("/inference-profiles", &wanted).await;
    assert_eq!((made.status, made.json()["status"].as_str()), (StatusCode::CREATED, Some("ACTIVE")));
    let arn = made.json()["inferenceProfileArn"].as_str().unwrap().to_owned();
    assert!(arn.starts_with("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/"), "{arn}");

    let shown = plane.profile(&arn).await.json();
    assert_eq!(shown["inferenceProfileName"], "alice sonnet");
    assert_eq!((shown["type"].as_str(), shown["description"].as_str()), (Some("APPLICATION"), Some("For Alice")));
    let models: Vec<&str> =
        shown["models"].as_array().unwrap().iter().map(|m| m["modelArn"].as_str().unwrap()).collect();
    let model =
        |region: &str| format!("arn:aws:bedrock:{region}::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0");
    assert_eq!(models, ["us-east-1", "us-east-2", "us-west-2"].map(model));
    assert!(shown.get("tags").is_none() && shown.get("modelSource").is_none(), "AWS tells neither: {shown}");
    let id = shown["inferenceProfileId"].as_str().unwrap();
    assert_eq!(plane.profile(id).await.json(), shown, "the id is as good as the ARN");
    assert_eq!(plane.listed().await, [&*arn]);
    assert_eq!(plane.tags(&arn).await, serde_json::json!([{ "key": "owner", "value": "alice" }]));

    assert_eq!(plane.converse(&arn).await.status, 200);
    assert_eq!(mock.account().by_profile.keys().collect::<Vec<_>>(), [&arn]);

    assert_eq!(plane.delete(&arn).await.status, 200);
    assert_eq!(plane.profile(&arn).await.error().split(':').next(), Some("404 ResourceNotFoundException"));
    assert_eq!(
        (plane.delete(&arn).await.status, plane.converse(&arn).await.status),
        (StatusCode::NOT_FOUND, StatusCode::FORBIDDEN)
    );
    let operations: Vec<_> = mock.received().iter().filter_map(|request| request.operation).collect();
    assert_eq!(operations.first(), Some(&"CreateInferenceProfile"));
}

#[tokio::test]
async fn a_list_without_a_type_is_of_system_defined_profiles_alone() {
    let mock = MockBedrock::start(config()).await.unwrap();
    let plane = Plane::of(&mock);
    let kinds = |list: Value| -> Vec<(String, String)> {
        let all = list["inferenceProfileSummaries"].as_array().unwrap().iter();
        all.map(|p| (p["type"].as_str().unwrap().to_owned(), p["inferenceProfileId"].as_str().unwrap().to_owned()))
            .collect()
    };
    let default = kinds(plane.get("/inference-profiles").await.json());
    assert_eq!(default, kinds(plane.get("/inference-profiles?type=SYSTEM_DEFINED").await.json()));
    assert!(default.iter().all(|(kind, _)| kind == "SYSTEM_DEFINED"));
    let of = |prefix: &str| default.iter().any(|(_, id)| id.starts_with(prefix));
    assert_eq!((of("us."), of("global."), of("eu."), of("us-gov.")), (true, true, false, false));
    assert_eq!(
        kinds(plane.get("/inference-profiles?type=APPLICATION").await.json()),
        [("APPLICATION".into(), "a1b2".into())]
    );
    // What litellm once sent: a name that AWS does not know is as good as none.
    assert_eq!(default, kinds(plane.get("/inference-profiles?typeEquals=APPLICATION").await.json()));
    assert_eq!(plane.get("/inference-profiles?type=application").await.status, 400);
}

#[tokio::test]
async fn pages_follow_one_another_though_profiles_come_and_go() {
    let mock = MockBedrock::start(MockConfig::local().unwrap()).await.unwrap();
    let plane = Plane::of(&mock);
    let mut arns = Vec::new();
    for at in 0..7 {
        arns.push(plane.create(&format!("profile {at}"), &[]).await);
    }
    let (mut seen, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let next = if token.is_empty() { token.clone() } else { format!("&nextToken={}", encoded(&token)) };
        let page = plane.get(&format!("/inference-profiles?type=APPLICATION&maxResults=3{next}")).await.json();
        seen.extend(
            page["inferenceProfileSummaries"].as_array().unwrap().iter().map(|p| p["inferenceProfileArn"].clone()),
        );
        pages += 1;
        if pages == 1 {
            // The entry that the token was made at goes away: the next page begins where it would have.
            assert_eq!(plane.delete(&arns[2]).await.status, 200);
        }
        match page.get("nextToken") {
            Some(next) => next.as_str().unwrap().clone_into(&mut token),
            None => break,
        }
    }
    assert_eq!((pages, seen), (3, arns.iter().map(|arn| Value::from(arn.as_str())).collect()));
    for bad in ["maxResults=0", "maxResults=1001", "maxResults=x", "nextToken=nonsense"] {
        let path = format!("/inference-profiles?type=APPLICATION&{bad}");
        assert_eq!(plane.get(&path).await.status, 400, "{bad}");
    }
    let other_question = plane.get(&format!("/inference-profiles?nextToken={}", encoded(&token))).await;
    assert_eq!(other_question.status, 400, "a token is good for the list that gave it");
}

#[tokio::test]
async fn what_a_profile_cannot_be_made_of_is_refused() {
    let mock = MockBedrock::start(MockConfig { profile_quota: 2, ..MockConfig::local().unwrap() }).await.unwrap();
    let plane = Plane::of(&mock);
    let with = |change: fn(&mut Value)| {
        let mut wanted = creation("a name", &[]);
        change(&mut wanted);
        wanted
    };
    for (body, words) in [
        (with(|c| c["inferenceProfileName"] = "a--b".into()), "'inferenceProfileName'"),
        (with(|c| c["inferenceProfileName"] = Value::Null), "Value null at 'inferenceProfileName'"),
        (with(|c| c["description"] = "no, commas".into()), "'description'"),
        (with(|c| c["clientRequestToken"] = "-x".into()), "'clientRequestToken'"),
        (with(|c| c["modelSource"] = Value::Null), "'modelSource'"),
        (with(|c| c["modelSource"]["copyFrom"] = PROFILE.into()), "regular expression pattern"),
        (with(|c| c["modelSource"]["copyFrom"] = "us.anthropic.claude".into()), "regular expression pattern"),
        (
            with(|c| c["modelSource"]["copyFrom"] = SYSTEM.replace("us-east-1", "us-west-2").into()),
            "copyFrom must be a valid inference profile model source ARN.",
        ),
        (
            with(|c| {
                c["modelSource"]["copyFrom"] = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.none-v1:0".into();
            }),
            "copyFrom must be",
        ),
        (with(|c| c["tags"] = serde_json::json!([{ "key": "aws:x", "value": "y" }])), "reserved"),
    ] {
        let reply = plane.post("/inference-profiles", &body).await;
        assert!(reply.error().starts_with("400 ValidationException: "), "{body}: {}", reply.error());
        assert!(reply.error().contains(words), "{words}: {}", reply.error());
    }
    let wrong_type = plane.post("/inference-profiles", &with(|c| c["tags"] = 7.into())).await;
    assert!(wrong_type.error().starts_with("400 SerializationException"), "{}", wrong_type.error());

    plane.create("one", &[]).await;
    let mut foundation = creation("two", &[]);
    foundation["modelSource"]["copyFrom"] = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0".into();
    let second = plane.post("/inference-profiles", &foundation).await;
    assert_eq!(second.status, 201);
    let models = plane.profile(second.json()["inferenceProfileArn"].as_str().unwrap()).await.json()["models"].clone();
    assert_eq!(models.as_array().unwrap().len(), 1, "one Region");
    let taken = plane.post("/inference-profiles", &creation("one", &[])).await;
    assert!(taken.error().starts_with("400 ConflictException"), "{}", taken.error());
    let many = plane.post("/inference-profiles", &creation("three", &[])).await;
    assert!(many.error().starts_with("400 ServiceQuotaExceededException"), "{}", many.error());
}

#[tokio::test]
async fn a_client_request_token_makes_one_profile_however_often_it_is_sent() {
    let mock = MockBedrock::start(MockConfig::local().unwrap()).await.unwrap();
    let plane = Plane::of(&mock);
    let mut wanted = creation("one", &[]);
    wanted["clientRequestToken"] = "token-1".into();
    let first = plane.post("/inference-profiles", &wanted).await;
    let again = plane.post("/inference-profiles", &wanted).await;
    assert_eq!((first.status, first.json()), (again.status, again.json()));
    assert_eq!(mock.profiles().len(), 1);
    wanted["clientRequestToken"] = "token-2".into();
    assert!(plane.post("/inference-profiles", &wanted).await.error().starts_with("400 ConflictException"));
}

#[tokio::test]
async fn tags_are_set_changed_and_taken_away() {
    let mock = MockBedrock::start(config()).await.unwrap();
    let plane = Plane::of(&mock);
    let tag = |tags: Value| serde_json::json!({ "resourceARN": PROFILE, "tags": tags });
    let (one, two) = (serde_json::json!({ "key": "a", "value": "1" }), serde_json::json!({ "key": "b", "value": "2" }));
    assert_eq!(plane.post("/tagResource", &tag(serde_json::json!([one, two]))).await.status, 200);
    let changed = serde_json::json!([{ "key": "a", "value": "3" }]);
    assert_eq!(plane.post("/tagResource", &tag(changed.clone())).await.status, 200);
    let untag = serde_json::json!({ "resourceARN": PROFILE, "tagKeys": ["b", "nothing"] });
    assert_eq!(plane.post("/untagResource", &untag).await.status, 200);
    assert_eq!(plane.tags(PROFILE).await, changed);
    assert_eq!(plane.tags(SYSTEM).await, serde_json::json!([]));

    let many: Vec<Value> = (0..50).map(|at| serde_json::json!({ "key": format!("k{at}"), "value": "v" })).collect();
    let many = plane.post("/tagResource", &tag(many.into())).await;
    assert!(many.error().starts_with("400 TooManyTagsException"), "{}", many.error());
    let absent = serde_json::json!({ "resourceARN": PROFILE.replace("a1b2", "zz"), "tags": [] });
    assert!(plane.post("/tagResource", &absent).await.error().starts_with("404 ResourceNotFoundException"));
    let elsewhere = serde_json::json!({ "resourceARN": PROFILE.replace("123456789012", "210987654321"), "tags": [] });
    assert!(
        plane
            .post("/tagResource", &elsewhere)
            .await
            .error()
            .ends_with("because no resource-based policy allows the bedrock:TagResource action")
    );
}

#[tokio::test]
async fn each_region_has_profiles_of_its_own() {
    let regions = vec!["eu-central-1".parse().unwrap()];
    let mock = MockBedrock::start(MockConfig { other_regions: regions, ..config() }).await.unwrap();
    let (here, there) = (Plane::of(&mock), Plane::of(&mock).in_region("eu-central-1"));
    assert_eq!((here.listed().await.len(), there.listed().await.len()), (1, 0));
    assert_eq!(
        (there.profile("a1b2").await.status, there.profile(PROFILE).await.status.as_u16()),
        (StatusCode::NOT_FOUND, 400)
    );
    assert_eq!(
        (here.converse(PROFILE).await.status.as_u16(), there.converse(PROFILE).await.status.as_u16()),
        (200, 400)
    );
    mock.add_profile(
        "made by hand",
        &profile(&PROFILE.replace("us-east-1", "eu-central-1"), "eu.amazon.nova-lite-v1:0"),
    );
    assert_eq!(there.listed().await, [PROFILE.replace("us-east-1", "eu-central-1")]);
    assert_eq!(there.profile("a1b2").await.json()["inferenceProfileName"], "made by hand");
}

#[tokio::test]
async fn foundation_models_are_listed_and_shown() {
    let mock = MockBedrock::start(config()).await.unwrap();
    let plane = Plane::of(&mock);
    let ids = |list: Value| -> Vec<String> {
        list["modelSummaries"].as_array().unwrap().iter().map(|m| m["modelId"].as_str().unwrap().to_owned()).collect()
    };
    let all = ids(plane.get("/foundation-models").await.json());
    assert!(all.len() > 10 && all.is_sorted());
    let embeddings = ids(plane.get("/foundation-models?byOutputModality=EMBEDDING").await.json());
    assert!(embeddings.iter().all(|id| id.contains("embed")) && embeddings.len() == 2, "{embeddings:?}");
    let one = plane.get("/foundation-models/anthropic.claude-sonnet-4-5-20250929-v1%3A0").await.json();
    assert_eq!(one["modelDetails"]["inferenceTypesSupported"], serde_json::json!(["INFERENCE_PROFILE"]));
    let arn = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0";
    assert_eq!(plane.get(&format!("/foundation-models/{}", encoded(arn))).await.json(), one);
    assert_eq!(plane.get("/foundation-models/anthropic.nothing-v1").await.status, 404);
    assert_eq!(plane.get(&format!("/foundation-models/{CLAUDE}")).await.status, 400);
}

#[tokio::test]
async fn an_action_that_is_not_allowed_is_refused_in_the_words_of_iam() {
    let actions = MockActions::Only(vec!["bedrock:Get*".to_owned(), "bedrock:CreateInferenceProfile".to_owned()]);
    let mock = MockBedrock::start(MockConfig { actions, ..config() }).await.unwrap();
    let plane = Plane::of(&mock);
    let user = "User: arn:aws:sts::123456789012:assumed-role/bedrock-caller/AKIAIOSFODNN7EXAMPLE is not authorized to perform: ";
    let ours = "arn:aws:bedrock:us-east-1:123456789012";
    let named = serde_json::json!({ "resourceARN": PROFILE, "tags": [], "tagKeys": [] });
    let tagged = creation("x", &[("a", "b")]);
    for (reply, action, resource) in [
        (
            plane.get("/inference-profiles").await,
            "bedrock:ListInferenceProfiles",
            format!("{ours}:inference-profile/*"),
        ),
        (plane.delete("a1b2").await, "bedrock:DeleteInferenceProfile", PROFILE.to_owned()),
        (plane.post("/tagResource", &named).await, "bedrock:TagResource", PROFILE.to_owned()),
        (plane.post("/untagResource", &named).await, "bedrock:UntagResource", PROFILE.to_owned()),
        (plane.post("/listTagsForResource", &named).await, "bedrock:ListTagsForResource", PROFILE.to_owned()),
        (
            plane.post("/inference-profiles", &tagged).await,
            "bedrock:TagResource",
            format!("{ours}:application-inference-profile/*"),
        ),
        (plane.converse(PROFILE).await, "bedrock:InvokeModel", PROFILE.to_owned()),
    ] {
        let text = format!(
            "403 AccessDeniedException: {user}{action} on resource: {resource} because no identity-based policy allows the {action} action"
        );
        assert_eq!(reply.error(), text);
    }
    let models = plane.get("/foundation-models").await.error();
    let action = "bedrock:ListFoundationModels";
    assert_eq!(
        models,
        format!(
            "403 AccessDeniedException: {user}{action} because no identity-based policy allows the {action} action"
        )
    );
    assert_eq!(
        (plane.profile("a1b2").await.status, plane.post("/inference-profiles", &creation("x", &[])).await.status),
        (StatusCode::OK, StatusCode::CREATED)
    );
    mock.set_actions(MockActions::All);
    assert_eq!(plane.get("/inference-profiles").await.status, 200);
}
