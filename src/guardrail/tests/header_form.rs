//! InvokeModel*: headers and the options in the body.

use super::*;
use http::header::CONTENT_TYPE;

const BODY: &str = r#"{"messages":[],"max_tokens":1}"#;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn invoke(owed: Option<&OwedGuardrail>, sent: &[(&'static str, &str)], body: &str) -> Result<Edits, GuardrailError> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    guard(Operation::InvokeModelWithResponseStream, owed, &headers(sent), &body)
}

fn set(edits: &Edits) -> Vec<(&str, &str)> {
    edits.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

const ID: &str = "x-amzn-bedrock-guardrailidentifier";
const VERSION: &str = "x-amzn-bedrock-guardrailversion";
const TRACE: &str = "x-amzn-bedrock-trace";
const AS_OWED: [(&str, &str); 3] = [(ID, "abc123"), (VERSION, "3"), ("content-type", "application/json")];

#[test]
fn whatever_names_the_owed_guardrail_leaves_with_exactly_it() {
    let (inject, require) = (owed(|_| {}), owed(|rule| rule.mode = Mode::Require));
    for (sent, injected, required) in [
        (&[][..], Ok(()), Err("guardrail_missing")),
        (&[(ID, "abc123")], Ok(()), Err("guardrail_missing")),
        (&[(VERSION, "3")], Ok(()), Err("guardrail_missing")),
        (&[(ID, ""), (VERSION, "")], Ok(()), Err("guardrail_missing")),
        (&[(ID, "abc123"), (VERSION, "3")], Ok(()), Ok(())),
        (&[(ID, OWED_ARN), (VERSION, "3")], Ok(()), Ok(())),
        (&[(ID, "other"), (VERSION, "3")], Err("guardrail_different"), Err("guardrail_different")),
        (&[(ID, "abc123"), (VERSION, "2")], Err("guardrail_different"), Err("guardrail_different")),
        (&[(ID, "abc123"), (VERSION, "DRAFT")], Err("guardrail_different"), Err("guardrail_different")),
        (&[(VERSION, "4")], Err("guardrail_different"), Err("guardrail_missing")),
        (&[(ID, "abc123"), (ID, "abc123"), (VERSION, "3")], Err("guardrail_header"), Err("guardrail_header")),
        (&[(ID, "abc123,other"), (VERSION, "3")], Err("guardrail_different"), Err("guardrail_different")),
        (&[(ID, "abc123"), (VERSION, "3"), (VERSION, "4")], Err("guardrail_header"), Err("guardrail_header")),
        (&[(ID, "\u{e4}"), (VERSION, "3")], Err("guardrail_header"), Err("guardrail_header")),
    ] {
        for (owed, expected) in [(&inject, injected), (&require, required)] {
            let edits = code(invoke(Some(owed), sent, BODY));
            assert_eq!(edits.as_ref().map(|_| ()).map_err(|code| *code), expected, "{sent:?} {:?}", owed.rule().mode);
            if let Ok(edits) = edits {
                assert_eq!((set(&edits), &edits.body.together()[..]), (AS_OWED.to_vec(), BODY.as_bytes()), "{sent:?}");
            }
        }
    }
}

#[test]
fn the_content_type_is_forced_because_bedrock_refuses_any_other_with_a_guardrail() {
    for sent in ["application/octet-stream", "application/json; charset=utf-16", "text/plain"] {
        let edits = invoke(Some(&owed(|_| {})), &[("content-type", sent)], BODY).unwrap();
        assert!(edits.headers.contains(&(CONTENT_TYPE, HeaderValue::from_static("application/json"))));
    }
    let edits = invoke(None, &[("content-type", "text/plain"), (ID, "abc")], BODY).unwrap();
    assert!(edits.headers.iter().all(|(name, _)| name != CONTENT_TYPE), "not where none is owed");
}

#[test]
fn a_trace_is_passed_on_where_it_is_one() {
    let owed = owed(|_| {});
    for (value, accepted) in
        [("ENABLED", true), ("DISABLED", true), ("ENABLED_FULL", true), ("enabled", false), ("ON", false)]
    {
        for owed in [Some(&owed), None] {
            let edits = code(invoke(owed, &[(TRACE, value)], BODY));
            assert_eq!(edits.is_ok(), accepted, "{value}");
            match edits {
                Ok(edits) => assert!(set(&edits).contains(&(TRACE, value))),
                Err(code) => assert_eq!(code, "guardrail_header"),
            }
        }
    }
    assert_eq!(code(invoke(None, &[(TRACE, "ENABLED"), (TRACE, "ENABLED")], BODY)).err(), Some("guardrail_header"));
}

#[test]
fn options_that_would_let_a_prompt_past_are_refused_or_taken_back() {
    let strict = owed(|_| {});
    let lenient = owed(|rule| {
        rule.asynchronous = Asynchronous::ForceSync;
        rule.selective = Selective::Allow;
    });
    let key = "amazon-bedrock-guardrailConfig";
    for (config, refused, forced) in [
        ("null", None, Ok("null")),
        ("{}", None, Ok("{}")),
        (r#"{"streamProcessingMode":"SYNCHRONOUS"}"#, None, Ok(r#"{"streamProcessingMode":"SYNCHRONOUS"}"#)),
        (r#"{"streamProcessingMode":null}"#, None, Ok(r#"{"streamProcessingMode":null}"#)),
        (
            r#"{"streamProcessingMode" : "ASYNCHRONOUS" }"#,
            Some("guardrail_asynchronous"),
            Ok(r#"{"streamProcessingMode" : "SYNCHRONOUS" }"#),
        ),
        (
            r#"{"stream\u0050rocessingMode":"\u0041SYNCHRONOUS"}"#,
            Some("guardrail_asynchronous"),
            Ok(r#"{"stream\u0050rocessingMode":"SYNCHRONOUS"}"#),
        ),
        (
            r#"{"streamProcessingMode":"synchronous"}"#,
            Some("guardrail_asynchronous"),
            Ok(r#"{"streamProcessingMode":"SYNCHRONOUS"}"#),
        ),
        (
            r#"{"streamProcessingMode":["ASYNCHRONOUS"]}"#,
            Some("guardrail_asynchronous"),
            Ok(r#"{"streamProcessingMode":"SYNCHRONOUS"}"#),
        ),
        (r#"{"tagSuffix":"x"}"#, Some("guardrail_selective"), Ok(r#"{"tagSuffix":"x"}"#)),
        (r#"{"tag\u0053uffix":""}"#, Some("guardrail_selective"), Ok(r#"{"tag\u0053uffix":""}"#)),
        (r#"{"tagSuffix":null}"#, Some("guardrail_selective"), Ok(r#"{"tagSuffix":null}"#)),
        (r#"{"TagSuffix":"x"}"#, Some("guardrail_misspelt"), Err("guardrail_misspelt")),
        (r#"{"streamprocessingmode":"ASYNCHRONOUS"}"#, Some("guardrail_misspelt"), Err("guardrail_misspelt")),
        (r#"{"tagSuffix":"x","tag\u0053uffix":"y"}"#, Some("body_duplicate_member"), Err("body_duplicate_member")),
        ("[]", Some("guardrail_malformed"), Err("guardrail_malformed")),
        ("\"x\"", Some("guardrail_malformed"), Err("guardrail_malformed")),
    ] {
        let body = |config: &str| format!("{{ \"max_tokens\":1, \"{key}\" : {config}\n}}");
        let edits = code(invoke(Some(&strict), &[], &body(config)));
        assert_eq!(edits.as_ref().err().copied(), refused, "{config}");
        if let Ok(edits) = edits {
            assert_eq!(edits.body.together(), body(config), "{config}");
        }
        let edits = code(invoke(Some(&lenient), &[], &body(config)));
        assert_eq!(
            edits.map(|edits| edits.body.together()),
            forced.map(|config| Bytes::from(body(config))),
            "{config}"
        );
    }
}

#[test]
fn a_body_that_is_no_plain_json_object_is_refused_where_a_guardrail_is_owed_and_passed_where_none_is() {
    for (body, refusal) in [
        ("", "body_not_json"),
        ("[]", "body_not_json"),
        ("\"text\"", "body_not_json"),
        ("{\"a\":1} x", "body_not_json"),
        ("\u{feff}{}", "body_not_json"),
        ("{\"a\":1,\"\\u0061\":2}", "body_duplicate_member"),
        (r#"{"Amazon-Bedrock-GuardrailConfig":{"tagSuffix":"x"}}"#, "guardrail_misspelt"),
        ("{\"amazon-bedrock-guardra\u{131}lConfig\":{}}", "guardrail_misspelt"),
    ] {
        let error = invoke(Some(&owed(|_| {})), &[], body).unwrap_err();
        assert_eq!(word(&error), refusal, "{body}");
        assert_eq!(invoke(None, &[], body).unwrap().body.together(), body);
    }
}

#[test]
fn where_none_is_owed_the_clients_own_is_passed_on_but_not_twice() {
    let own = [(ID, "theirs"), (VERSION, "DRAFT")];
    let tagged = r#"{"amazon-bedrock-guardrailConfig":{"tagSuffix":"x"}}"#;
    let edits = invoke(None, &own, tagged).unwrap();
    assert_eq!((set(&edits), &edits.body.together()[..]), (own.to_vec(), tagged.as_bytes()));
    assert_eq!(code(invoke(None, &[(ID, "a"), (ID, "b")], BODY)).err(), Some("guardrail_header"));
    assert_eq!(set(&invoke(None, &[], BODY).unwrap()), []);
}
