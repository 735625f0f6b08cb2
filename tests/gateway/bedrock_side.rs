//! The connections to Bedrock: trusted, kept, bounded, and signed for the Region of the profile.

use std::time::SystemTime;

use http::StatusCode;
use http_body_util::BodyExt;
use tempfile::TempDir;
use tollgate::server::local_ca::{LocalCa, Names};

use crate::client::{Wire, open};
use crate::harness::{Plan, Scene, arn, converse};

/// A look-alike over TLS, and the authority that vouches for it.
fn secure(folder: &TempDir) -> (Plan, String) {
    let ca = LocalCa::open_or_create(folder.path(), &Names::Kept, SystemTime::now()).unwrap();
    let config = std::sync::Arc::new(ca.server_config().unwrap());
    let bundle = format!("ca_bundle = \"{}\"", ca.ca_certificate().display());
    (Plan::default().mock(|mock| mock.tls = Some(config)), bundle)
}

#[tokio::test]
async fn bedrock_is_reached_over_tls_and_only_where_its_certificate_is_trusted() {
    let folder = TempDir::new().unwrap();
    let (plan, bundle) = secure(&folder);
    let scene = plan.upstream(&bundle).open().await;
    for verb in ["converse", "converse-stream"] {
        let answer = scene.send(scene.post("alice", &format!("/model/sonnet/{verb}"), converse("hello"))).await;
        assert_eq!((answer.status, answer.broke), (StatusCode::OK, None));
    }
    assert_eq!(scene.bill_of(2).await.at_reservation(), [""; 0]);

    let (plan, _) = secure(&folder);
    let stranger = plan.open().await;
    let answer = stranger.converse("alice", "sonnet", "hello").await;
    assert_eq!(answer.refusal(), (503, "ServiceUnavailableException", "upstream_connect"));
    assert_eq!((stranger.bill().await.calls(), stranger.mock.received().len()), (0, 0));
}

#[tokio::test]
async fn a_connection_serves_one_call_after_the_other() {
    let scene = Scene::new().await;
    for verb in ["converse", "converse-stream", "converse", "converse-stream"] {
        let answer = scene.send(scene.post("alice", &format!("/model/sonnet/{verb}"), converse("hello"))).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    let counts = scene.gateway.pool.counts();
    assert_eq!((counts.opened, counts.reused), (1, 3));
}

#[tokio::test]
async fn one_call_too_many_is_refused_after_a_wait_and_owes_nothing() {
    let scene = Plan::default().upstream("max_connections = 1\nconnect_timeout = \"200ms\"").open().await;
    let body = converse("hello [[mock:stall after=2]]");
    let mut response = open(scene.data, Wire::Http1, scene.post("alice", "/model/sonnet/converse-stream", body)).await;
    response.body_mut().frame().await.unwrap().unwrap();
    let answer = scene.converse("alice", "sonnet", "hello").await;
    assert_eq!(answer.refusal(), (503, "ServiceUnavailableException", "overloaded"));
    assert_eq!(scene.bill().await.calls(), 0);
    assert_eq!(scene.received(1).await.len(), 1);
}

#[tokio::test]
async fn a_call_is_signed_for_the_region_of_its_profile() {
    let elsewhere = arn("carol-nova").replace("us-east-1", "eu-west-1");
    let table = format!(
        "[[profiles]]\nname = \"carol-nova\"\narn = \"{elsewhere}\"\nsource = \"eu.amazon.nova-lite-v1:0\"\nprincipals = [\"carol\"]"
    );
    let scene = Plan::default().profile(&table).mock(|mock| {
        let mut added = mock.profiles[2].clone();
        added.arn = elsewhere.parse().unwrap();
        mock.profiles.push(added);
        mock.other_regions.push("eu-west-1".parse().unwrap());
    });
    let scene = scene.open().await;
    for (model, region) in [("carol-nova", "eu-west-1"), ("llama", "us-east-1")] {
        let answer = scene.converse("carol", model, "hello").await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        let received = scene.mock.received().pop().unwrap();
        let (_, signed) = received.headers.iter().find(|(name, _)| name == "authorization").unwrap();
        assert!(signed.contains(&format!("/{region}/bedrock/aws4_request")), "{signed}");
    }
}

#[tokio::test]
async fn a_signature_that_bedrock_does_not_take_is_told_as_bedrock_tells_it_and_costs_nothing() {
    let scene =
        Plan::default().aws(|aws| aws.secret_access_key = tollgate::types::Secret::new("another-secret")).open().await;
    let answer = scene.converse("alice", "sonnet", "hello").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.header("x-amzn-errortype").unwrap().starts_with("InvalidSignatureException"));
    let (outcome, .., cost) = scene.bill_of(1).await.only();
    assert_eq!((outcome.as_str(), cost.nanos()), ("fault", 0));
}
