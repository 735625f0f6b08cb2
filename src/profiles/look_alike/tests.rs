//! The answers that clients read at their start, in shape, in pages, and in what they leave out.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::*;
use crate::bedrock::Operation;
use crate::profiles::{Grant, Profile};
use crate::types::{Owners, Tags};

fn grant(name: &str, source: &str, owner: &str) -> Grant {
    let arn = format!("arn:aws:bedrock:eu-central-1:012345678901:application-inference-profile/id0{name}");
    Grant {
        profile: Profile::new(name, arn.parse().unwrap(), source.parse().unwrap()),
        owners: Owners::Only { principals: vec![owner.to_owned()], groups: vec![] },
        reach: crate::profiles::Reach::AnyName,
        aliases: vec![format!("alias-of-{name}")],
    }
}

fn directory() -> Directory {
    Directory::new(vec![
        grant("sonnet", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "alice"),
        grant("nova", "amazon.nova-lite-v1:0", "alice"),
        grant("secret", "eu.anthropic.claude-opus-4-1-20250805-v1:0", "bob"),
        grant("sonnet2", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "alice"),
        grant("haiku", "global.anthropic.claude-haiku-4-5-20251001-v1:0", "alice"),
    ])
    .unwrap()
    .dated(SystemTime::UNIX_EPOCH + Duration::from_hours(498_684))
}

fn alice() -> Principal {
    Principal::new("alice", vec![], Tags::default())
}

fn listed(query: &str) -> Value {
    serde_json::from_slice(&list(&directory(), &alice(), query).unwrap()).unwrap()
}

fn ids(answer: &Value) -> Vec<&str> {
    let summaries = answer["inferenceProfileSummaries"].as_array().unwrap();
    summaries.iter().map(|summary| summary["inferenceProfileId"].as_str().unwrap()).collect()
}

fn described(text: &str) -> Result<Value, ResolveError> {
    describe(&directory(), &alice(), &ModelName::classify(text), text)
        .map(|answer| serde_json::from_slice(&answer).unwrap())
}

#[test]
fn a_profile_has_the_shape_that_aws_gives_it() {
    let own = json!({
        "inferenceProfileName": "sonnet",
        "description": "Your own profile of eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "inferenceProfileArn": "arn:aws:bedrock:eu-central-1:012345678901:application-inference-profile/id0sonnet",
        "inferenceProfileId": "id0sonnet",
        "models": [
            {"modelArn": "arn:aws:bedrock:eu-central-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0"}
        ],
        "status": "ACTIVE",
        "type": "APPLICATION",
        "createdAt": "2026-11-21T12:00:00Z",
        "updatedAt": "2026-11-21T12:00:00Z",
    });
    for text in [
        "arn:aws:bedrock:eu-central-1:012345678901:application-inference-profile/id0sonnet",
        "id0sonnet",
        "sonnet",
        "alias-of-sonnet",
    ] {
        assert_eq!(described(text).unwrap(), own, "{text}");
    }
    assert_eq!(listed("type=APPLICATION")["inferenceProfileSummaries"][0], own);

    let system = json!({
        "inferenceProfileName": "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "description": "Calls go through your own profile sonnet",
        "inferenceProfileArn":
            "arn:aws:bedrock:eu-central-1:012345678901:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "inferenceProfileId": "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "models": own["models"],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
        "createdAt": "2026-11-21T12:00:00Z",
        "updatedAt": "2026-11-21T12:00:00Z",
    });
    for text in [system["inferenceProfileId"].as_str().unwrap(), system["inferenceProfileArn"].as_str().unwrap()] {
        assert_eq!(described(text).unwrap(), system, "{text}");
    }
    assert_eq!(listed("type=SYSTEM_DEFINED")["inferenceProfileSummaries"][0], system);
}

#[test]
fn times_that_are_not_known_are_left_out() {
    let directory = Directory::new(vec![grant("sonnet", "amazon.nova-lite-v1:0", "alice")]).unwrap();
    let answer: Value = serde_json::from_slice(&list(&directory, &alice(), "").unwrap()).unwrap();
    let summary = answer["inferenceProfileSummaries"][0].as_object().unwrap();
    assert!(!summary.contains_key("createdAt") && !summary.contains_key("updatedAt"));
}

#[test]
fn a_list_holds_the_callers_own_and_nothing_else() {
    let eu = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
    let global = "global.anthropic.claude-haiku-4-5-20251001-v1:0";
    for (query, expected) in [
        ("type=APPLICATION", vec!["id0sonnet", "id0nova", "id0sonnet2", "id0haiku"]),
        ("type=SYSTEM_DEFINED", vec![eu, global]),
        ("", vec!["id0sonnet", "id0nova", "id0sonnet2", "id0haiku", eu, global]),
        ("typeEquals=APPLICATION&x", vec!["id0sonnet", "id0nova", "id0sonnet2", "id0haiku", eu, global]),
    ] {
        let answer = listed(query);
        assert_eq!(ids(&answer), expected, "{query}");
        assert_eq!(answer.get("nextToken"), None);
    }
    let nobody = Principal::new("zoe", vec![], Tags::default());
    assert_eq!(list(&directory(), &nobody, "").unwrap(), r#"{"inferenceProfileSummaries":[]}"#);
}

#[test]
fn every_name_in_a_list_resolves() {
    let directory = directory();
    for summary in listed("")["inferenceProfileSummaries"].as_array().unwrap() {
        for member in ["inferenceProfileId", "inferenceProfileArn", "inferenceProfileName"] {
            let text = summary[member].as_str().unwrap();
            let target = directory.resolve(&alice(), Operation::Converse, &ModelName::classify(text), text);
            assert!(target.is_ok(), "{text}: {target:?}");
            assert_eq!(described(text).unwrap(), *summary, "{text}");
        }
    }
}

#[test]
fn pages_of_any_size_make_the_whole_list() {
    for query in ["", "type=APPLICATION", "type=SYSTEM_DEFINED"] {
        let whole = listed(query)["inferenceProfileSummaries"].as_array().unwrap().clone();
        for size in 1..=7 {
            let (mut pages, mut token) = (vec![], None);
            loop {
                let after = token.map_or(String::new(), |token| format!("&nextToken={token}"));
                let page = listed(&format!("{query}&maxResults={size}{after}"));
                let summaries = page["inferenceProfileSummaries"].as_array().unwrap().clone();
                assert!(!summaries.is_empty() && summaries.len() <= size);
                pages.extend(summaries);
                token = page["nextToken"].as_str().map(str::to_owned);
                if token.is_none() {
                    break;
                }
            }
            assert_eq!(pages, whole, "{query} by {size}");
        }
    }
}

#[test]
fn a_query_that_asks_for_nothing_sensible_is_refused_as_aws_refuses_it() {
    let other_list = listed("type=APPLICATION&maxResults=1")["nextToken"].as_str().unwrap().to_owned();
    let secret =
        URL_SAFE_NO_PAD.encode("arn:aws:bedrock:eu-central-1:012345678901:application-inference-profile/id0secret");
    let many = "9".repeat(400);
    for (query, part) in [
        ("type=application".to_owned(), "Value 'application' at 'typeEquals'"),
        ("type=".to_owned(), "Value '' at 'typeEquals'"),
        ("maxResults=0".to_owned(), "Value '0' at 'maxResults'"),
        ("maxResults=1001".to_owned(), "Value '1001' at 'maxResults'"),
        ("maxResults=-1".to_owned(), "Value '-1' at 'maxResults'"),
        ("maxResults=ten".to_owned(), "Value 'ten' at 'maxResults'"),
        (format!("maxResults={many}"), "at 'maxResults'"),
        ("nextToken=".to_owned(), "nextToken"),
        ("nextToken=%00".to_owned(), "nextToken"),
        (format!("type=SYSTEM_DEFINED&nextToken={other_list}"), "nextToken"),
        (format!("nextToken={secret}"), "nextToken"),
    ] {
        let told = list(&directory(), &alice(), &query).unwrap_err().to_string();
        assert!(told.contains(part) && told.len() < 500, "{query}: {told}");
    }
}

#[test]
fn what_is_not_the_callers_is_not_found_whether_it_exists_or_not() {
    let missing = |text: &str| {
        let error = described(text).unwrap_err();
        assert!(matches!(error, ResolveError::NoSuchName { .. }), "{text}");
        error.caller_text().replace(text, "…")
    };
    let arn = |id: &str| format!("arn:aws:bedrock:eu-central-1:012345678901:application-inference-profile/{id}");
    assert_eq!(missing(&arn("id0secret")), missing(&arn("nonesuch")));
    assert_eq!(missing("secret"), missing("nonesuch"));
    for text in [
        "eu.anthropic.claude-opus-4-1-20250805-v1:0",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "arn:aws:bedrock:us-east-1:012345678901:provisioned-model/x",
    ] {
        missing(text);
    }
}
