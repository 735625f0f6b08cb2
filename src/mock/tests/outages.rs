//! The Tagging API, Service Quotas, changes that are seen late, and services that fail.

use serde_json::json;

use super::plane::Plane;
use super::*;

fn arns(reply: &Reply) -> Vec<String> {
    let json = reply.json();
    let list = json["ResourceTagMappingList"].as_array().unwrap().iter();
    list.map(|mapping| mapping["ResourceARN"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_tagging_api_finds_profiles_by_their_tags() {
    let mock = MockBedrock::start(config()).await.unwrap();
    let plane = Plane::of(&mock);
    let alice = plane.create("alice", &[("owner", "alice"), ("team", "red")]).await;
    let bob = plane.create("bob", &[("owner", "bob"), ("team", "red")]).await;
    let kind = json!(["bedrock:application-inference-profile"]);
    let everyone = plane.resources(&json!({ "ResourceTypeFilters": kind })).await;
    assert_eq!(arns(&everyone), [alice.clone(), bob.clone()], "the untagged one is not told of");
    assert_eq!(everyone.json()["PaginationToken"], "");
    assert_eq!(everyone.json()["ResourceTagMappingList"][0]["Tags"][0], json!({ "Key": "owner", "Value": "alice" }));
    for (filters, found) in [
        (json!([{ "Key": "owner", "Values": ["bob", "carol"] }]), vec![bob.clone()]),
        (json!([{ "Key": "team" }]), vec![alice.clone(), bob.clone()]),
        (json!([{ "Key": "team" }, { "Key": "owner", "Values": ["alice"] }]), vec![alice.clone()]),
        (json!([{ "Key": "Owner" }]), vec![]),
    ] {
        assert_eq!(arns(&plane.resources(&json!({ "TagFilters": filters })).await), found, "{filters}");
    }
    assert_eq!(arns(&plane.resources(&json!({ "ResourceTypeFilters": ["s3"] })).await), Vec::<String>::new());
    assert_eq!(arns(&plane.resources(&json!({ "ResourceARNList": [bob, PROFILE] })).await), [&*bob]);
    let untag = json!({ "resourceARN": bob, "tagKeys": ["owner", "team"] });
    assert_eq!(plane.post("/untagResource", &untag).await.status, 200);
    let left = plane.resources(&json!({ "ResourceARNList": [bob] })).await.json();
    assert_eq!(left["ResourceTagMappingList"][0]["Tags"], json!([]), "it had tags once");
}

#[tokio::test]
async fn pages_of_the_tagging_api_may_be_empty_and_not_the_last() {
    let mock = MockBedrock::start(MockConfig::local().unwrap()).await.unwrap();
    let plane = Plane::of(&mock);
    for at in 0..5 {
        plane.create(&format!("red {at}"), &[("team", "red")]).await;
    }
    let blue = plane.create("blue", &[("team", "blue")]).await;
    let filters = json!([{ "Key": "team", "Values": ["blue"] }]);
    let (mut token, mut sizes, mut found) = (String::new(), Vec::new(), Vec::new());
    loop {
        let page =
            plane.resources(&json!({ "TagFilters": filters, "ResourcesPerPage": 2, "PaginationToken": token })).await;
        sizes.push(arns(&page).len());
        found.extend(arns(&page));
        page.json()["PaginationToken"].as_str().unwrap().clone_into(&mut token);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((sizes, found), (vec![0, 0, 1], vec![blue]));
    for bad in [
        json!({ "ResourcesPerPage": 0 }),
        json!({ "ResourcesPerPage": 101 }),
        json!({ "PaginationToken": "nonsense" }),
        json!({ "TagFilters": [{ "Values": ["x"] }] }),
        json!({ "ResourceARNList": [PROFILE], "TagFilters": [{ "Key": "x" }] }),
    ] {
        let reply = plane.resources(&bad).await;
        assert_eq!(
            (reply.status.as_u16(), reply.json()["__type"].as_str()),
            (400, Some("InvalidParameterException")),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn the_tagging_api_may_be_forbidden_alone() {
    let actions = MockActions::AllBut(vec!["tag:*".to_owned()]);
    let mock = MockBedrock::start(MockConfig { actions, ..config() }).await.unwrap();
    let plane = Plane::of(&mock);
    let refused = plane.resources(&json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.json()["__type"].as_str()), (400, Some("AccessDeniedException")));
    let text = "User: arn:aws:sts::123456789012:assumed-role/bedrock-caller/AKIAIOSFODNN7EXAMPLE is not authorized to \
                perform: tag:GetResources because no identity-based policy allows the tag:GetResources action";
    assert_eq!(refused.json()["Message"], text);
    assert_eq!(plane.listed().await, [PROFILE]);
}

#[tokio::test]
async fn the_quota_of_profiles_is_told_under_its_name() {
    let mock = MockBedrock::start(MockConfig { profile_quota: 17, ..config() }).await.unwrap();
    let plane = Plane::of(&mock);
    let all = json!({ "ServiceCode": "bedrock" });
    let list = plane.json("servicequotas", "ServiceQuotasV20190624.ListServiceQuotas", &all).await.unwrap();
    let quota = list.json()["Quotas"][0].clone();
    let told = [&quota["QuotaName"], &quota["QuotaCode"], &quota["Value"]];
    assert_eq!(told, [&json!("Inference profiles per account"), &json!("L-40EC9882"), &json!(17)]);
    let asked = json!({ "ServiceCode": "bedrock", "QuotaCode": quota["QuotaCode"] });
    let one = plane.json("servicequotas", "ServiceQuotasV20190624.GetServiceQuota", &asked).await.unwrap().json();
    assert_eq!(one["Quota"], quota);
}

#[tokio::test]
async fn a_new_profile_is_unknown_for_as_many_calls_as_was_said() {
    let mock = MockBedrock::start(MockConfig::local().unwrap()).await.unwrap();
    let plane = Plane::of(&mock);
    mock.propagate(MockPropagation {
        runtime: MockDelay::Calls(2),
        reads: MockDelay::Calls(1),
        lists: MockDelay::UntilSettled,
        tagging: MockDelay::UntilSettled,
    });
    let arn = plane.create("late", &[("a", "b")]).await;
    for _ in 0..2 {
        let early = plane.converse(&arn).await.error();
        assert_eq!(early, "400 ValidationException: The provided model identifier is invalid.");
    }
    assert_eq!(plane.converse(&arn).await.status, 200);
    assert_eq!((plane.profile(&arn).await.status.as_u16(), plane.profile(&arn).await.status.as_u16()), (404, 200));
    assert_eq!((plane.listed().await.len(), arns(&plane.resources(&json!({})).await).len()), (0, 0));
    mock.settle();
    assert_eq!((plane.listed().await.len(), arns(&plane.resources(&json!({})).await).len()), (1, 1));
}

#[tokio::test]
async fn what_was_deleted_or_tagged_is_seen_as_before_until_it_has_settled() {
    let mock = MockBedrock::start(MockConfig::local().unwrap()).await.unwrap();
    let plane = Plane::of(&mock);
    let arn = plane.create("one", &[("owner", "alice")]).await;
    let late = MockDelay::UntilSettled;
    mock.propagate(MockPropagation { tagging: late, lists: late, ..MockPropagation::default() });
    let tag = json!({ "resourceARN": arn, "tags": [{ "key": "owner", "value": "bob" }] });
    assert_eq!(plane.post("/tagResource", &tag).await.status, 200);
    assert_eq!(plane.tags(&arn).await[0]["value"], "bob");
    let indexed = |reply: Reply| reply.json()["ResourceTagMappingList"][0]["Tags"][0]["Value"].clone();
    assert_eq!(indexed(plane.resources(&json!({})).await), "alice");
    assert_eq!(plane.delete(&arn).await.status, 200);
    assert_eq!((plane.listed().await.len(), plane.profile(&arn).await.status.as_u16()), (1, 404));
    assert_eq!(indexed(plane.resources(&json!({})).await), "alice", "it has seen neither change");
    mock.settle();
    assert_eq!((plane.listed().await.len(), arns(&plane.resources(&json!({})).await).len()), (0, 0));
}

#[tokio::test]
async fn each_service_fails_in_its_own_words_for_as_many_calls_as_was_said() {
    let mock = MockBedrock::start(config()).await.unwrap();
    let plane = Plane::of(&mock);
    for service in [MockService::Bedrock, MockService::Tagging, MockService::Sts, MockService::ServiceQuotas] {
        mock.fail(service, MockFailure::Throttled, 1);
    }
    assert_eq!(plane.converse(PROFILE).await.status, 200, "model calls are not the control plane's");
    assert_eq!(plane.get("/inference-profiles").await.error(), "429 ThrottlingException: Rate exceeded");
    let tagging = plane.resources(&json!({})).await;
    assert_eq!(
        (tagging.status.as_u16(), tagging.json()),
        (400, json!({ "__type": "ThrottlingException", "Message": "Rate exceeded" }))
    );
    let sts = plane.sts("*/*", "Action=GetCallerIdentity&Version=2011-06-15").await;
    let text = String::from_utf8(sts.body.to_vec()).unwrap();
    assert!(sts.status == 400 && text.contains("<Code>Throttling</Code>"), "{text}");
    assert_eq!(plane.listed().await, [PROFILE]);
    assert_eq!(plane.resources(&json!({})).await.status, 200);

    mock.fail(MockService::Bedrock, MockFailure::Outage, u32::MAX);
    mock.fail(MockService::Sts, MockFailure::Outage, u32::MAX);
    assert!(plane.profile(PROFILE).await.error().starts_with("500 InternalServerException"));
    let sts = plane.assume("arn:aws:iam::210987654321:role/x", "alice", "").await;
    assert_eq!((sts.status.as_u16(), sts.json()["Error"]["Type"].as_str()), (500, Some("Receiver")));
    mock.recover();
    assert_eq!(plane.profile(PROFILE).await.status, 200);
}

#[tokio::test]
async fn a_connection_that_is_cut_has_no_answer_and_is_recorded() {
    let mock = MockBedrock::start(config()).await.unwrap();
    mock.fail(MockService::Tagging, MockFailure::Cut, 1);
    let (plane, body) = (Plane::of(&mock), json!({}));
    assert!(plane.try_resources(&body).await.is_none());
    let request = mock.received().pop().unwrap();
    assert_eq!((request.operation, request.status, request.ended), (Some("GetResources"), 0, Ended::Fault));
    assert!(plane.try_resources(&body).await.is_some());
}
