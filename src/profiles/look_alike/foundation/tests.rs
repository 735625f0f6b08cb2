//! What a caller learns of models, in shape, and what they do not learn.

use serde_json::{Value, json};

use super::*;
use crate::profiles::Grant;
use crate::types::{Owners, Tags};

const SONNET: &str = "anthropic.claude-sonnet-4-5-20250929-v1:0";

fn directory() -> Directory {
    let grants = [
        ("sonnet", format!("eu.{SONNET}"), "alice"),
        ("again", format!("global.{SONNET}"), "alice"),
        ("nova", "amazon.nova-lite-v1:0".to_owned(), "alice"),
        ("embed", "cohere.embed-v4:0".to_owned(), "alice"),
        ("draw", "stability.sd3-5-large-v1:0".to_owned(), "alice"),
        ("mistral", "mistral.mistral-large-2407-v1:0".to_owned(), "alice"),
        ("new", "newcomer.model-v1:0".to_owned(), "alice"),
        ("secret", "anthropic.claude-opus-4-1-20250805-v1:0".to_owned(), "bob"),
    ]
    .map(|(name, source, owner)| {
        let arn = format!("arn:aws:bedrock:eu-central-1:012345678901:application-inference-profile/id0{name}");
        Grant {
            profile: Profile::new(name, arn.parse().unwrap(), source.parse().unwrap()),
            owners: Owners::Only { principals: vec![owner.to_owned()], groups: vec![] },
            reach: crate::profiles::Reach::AnyName,
            aliases: vec![],
        }
    });
    Directory::new(grants.into()).unwrap()
}

fn alice() -> Principal {
    Principal::new("alice", vec![], Tags::default())
}

fn listed(query: &str) -> Value {
    serde_json::from_slice(&list_models(&directory(), &alice(), query).unwrap()).unwrap()
}

fn ids(query: &str) -> Vec<String> {
    let answer = listed(query);
    let summaries = answer["modelSummaries"].as_array().unwrap();
    summaries.iter().map(|summary| summary["modelId"].as_str().unwrap().to_owned()).collect()
}

fn described(text: &str) -> Result<Value, ResolveError> {
    describe_model(&directory(), &alice(), &ModelName::classify(text), text)
        .map(|answer| serde_json::from_slice(&answer).unwrap())
}

#[test]
fn a_model_has_the_shape_that_aws_gives_it() {
    let sonnet = json!({
        "modelArn": format!("arn:aws:bedrock:eu-central-1::foundation-model/{SONNET}"),
        "modelId": SONNET,
        "modelName": "Claude Sonnet 4.5",
        "providerName": "Anthropic",
        "inputModalities": ["TEXT", "IMAGE"],
        "outputModalities": ["TEXT"],
        "responseStreamingSupported": true,
        "customizationsSupported": [],
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE"},
    });
    assert_eq!(listed("")["modelSummaries"][0], sonnet);
    for text in [SONNET.to_owned(), format!("arn:aws:bedrock:eu-central-1::foundation-model/{SONNET}")] {
        assert_eq!(described(&text).unwrap(), json!({ "modelDetails": sonnet }), "{text}");
    }
    // What AWS alone knows of it is left out.
    let newcomer = json!({
        "modelArn": "arn:aws:bedrock:eu-central-1::foundation-model/newcomer.model-v1:0",
        "modelId": "newcomer.model-v1:0",
        "customizationsSupported": [],
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE"},
    });
    assert_eq!(described("newcomer.model-v1:0").unwrap()["modelDetails"], newcomer);
}

#[test]
fn each_model_behind_the_callers_own_profiles_is_listed_once_and_filtered_as_aws_does() {
    let nova = "amazon.nova-lite-v1:0";
    let (embed, draw) = ("cohere.embed-v4:0", "stability.sd3-5-large-v1:0");
    let (mistral, new) = ("mistral.mistral-large-2407-v1:0", "newcomer.model-v1:0");
    let all = vec![SONNET, nova, embed, draw, mistral, new];
    for (query, wanted) in [
        ("", all.clone()),
        ("unknown=1&x", all.clone()),
        ("byInferenceType=ON_DEMAND", all),
        ("byInferenceType=PROVISIONED", vec![]),
        ("byCustomizationType=FINE_TUNING", vec![]),
        ("byOutputModality=TEXT", vec![SONNET, nova, mistral]),
        ("byOutputModality=IMAGE", vec![draw]),
        ("byOutputModality=EMBEDDING", vec![embed]),
        ("byProvider=Anthropic", vec![SONNET]),
        ("byProvider=amazon", vec![nova]),
        ("byProvider=newcomer", vec![new]),
        ("byProvider=Mistral%20AI", vec![mistral]),
        ("byProvider=mistral+ai", vec![mistral]),
        ("byProvider=Meta", vec![]),
        ("byProvider=Amazon&byOutputModality=IMAGE", vec![]),
    ] {
        assert_eq!(ids(query), wanted, "{query}");
    }
    let nobody = Principal::new("zoe", vec![], Tags::default());
    assert_eq!(list_models(&directory(), &nobody, "").unwrap(), r#"{"modelSummaries":[]}"#);
}

#[test]
fn a_filter_that_is_none_is_refused_as_aws_refuses_it() {
    let long = "a".repeat(400);
    for (query, part) in [
        ("byOutputModality=text".to_owned(), "Value 'text' at 'byOutputModality'"),
        ("byOutputModality=".to_owned(), "[TEXT, IMAGE, EMBEDDING]"),
        ("byInferenceType=BATCH".to_owned(), "[ON_DEMAND, PROVISIONED]"),
        ("byCustomizationType=NONE".to_owned(), "[FINE_TUNING, CONTINUED_PRE_TRAINING, DISTILLATION]"),
        ("byProvider=".to_owned(), "Value '' at 'byProvider'"),
        ("byProvider=a%2Fb".to_owned(), "at 'byProvider'"),
        (format!("byProvider={long}"), "at 'byProvider'"),
    ] {
        let told = list_models(&directory(), &alice(), &query).unwrap_err().to_string();
        assert!(told.contains(part) && told.len() < 500, "{query}: {told}");
    }
}

#[test]
fn a_model_that_is_not_behind_a_profile_of_the_callers_is_not_found() {
    let missing = |text: &str| {
        let error = described(text).unwrap_err();
        assert!(matches!(error, ResolveError::NoSuchName { .. }), "{text}");
        error.caller_text().replacen(text, "…", 1)
    };
    let of_bob = missing("anthropic.claude-opus-4-1-20250805-v1:0");
    assert_eq!(of_bob, missing("anthropic.claude-nonesuch-v1:0"));
    for text in [
        &format!("eu.{SONNET}"),
        "sonnet",
        "id0sonnet",
        "arn:aws:bedrock:eu-central-1:012345678901:application-inference-profile/id0sonnet",
        "arn:aws:bedrock:us-east-1:012345678901:provisioned-model/x",
    ] {
        assert_eq!(of_bob, missing(text));
    }
}
