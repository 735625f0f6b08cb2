//! Converse*: `guardrailConfig` in the body.

use super::*;
use proptest::prelude::*;

fn converse(owed: &OwedGuardrail, body: &str) -> Result<String, GuardrailError> {
    let edits =
        guard(Operation::ConverseStream, Some(owed), &HeaderMap::new(), &Bytes::copy_from_slice(body.as_bytes()))?;
    assert!(edits.headers.is_empty());
    Ok(String::from_utf8(edits.body.together().to_vec()).unwrap())
}

fn with_config(config: &str) -> String {
    format!("{{\"messages\": [],\n \"guardrailConfig\" : {config} }}")
}

#[test]
fn a_body_without_a_config_gets_one_as_its_first_member_or_is_refused() {
    let config = r#""guardrailConfig":{"guardrailIdentifier":"abc123","guardrailVersion":"3"}"#;
    for (body, spliced) in [
        ("{}", format!("{{{config}}}")),
        (" { \n} ", format!(" {{{config} \n}} ")),
        (r#"{"messages":[]}"#, format!(r#"{{{config},"messages":[]}}"#)),
        ("\t{ \"a\":1e2 }\n", format!("\t{{{config}, \"a\":1e2 }}\n")),
    ] {
        assert_eq!(converse(&owed(|_| {}), body).as_ref(), Ok(&spliced));
        assert_eq!(code(converse(&owed(|rule| rule.mode = Mode::Require), body)), Err("guardrail_missing"));
    }
}

#[test]
fn what_a_config_says_is_held_to_what_is_owed() {
    let inject = owed(|_| {});
    let require = owed(|rule| rule.mode = Mode::Require);
    let whole = r#"{"guardrailIdentifier":"abc123","guardrailVersion":"3"}"#;
    let missing = Err("guardrail_missing");
    let different = Err("guardrail_different");
    for (config, injected, required) in [
        (whole, Ok(whole), Ok(whole)),
        (
            r#"{"guardrailVersion":"\u0033", "trace":"enabled", "guardrailIdentifier":"abc123"}"#,
            Ok(r#"{"guardrailVersion":"\u0033", "trace":"enabled", "guardrailIdentifier":"abc123"}"#),
            Ok(r#"{"guardrailVersion":"\u0033", "trace":"enabled", "guardrailIdentifier":"abc123"}"#),
        ),
        (
            r#"{"guardrailIdentifier":"arn:aws:bedrock:us-east-1:012345678901:guardrail/abc123","guardrailVersion":"3"}"#,
            Ok(whole),
            Ok(whole),
        ),
        ("null", Ok(whole), missing),
        ("{ }", Ok(r#"{"guardrailIdentifier":"abc123","guardrailVersion":"3" }"#), missing),
        (
            r#"{"trace":"enabled"}"#,
            Ok(r#"{"guardrailIdentifier":"abc123","guardrailVersion":"3","trace":"enabled"}"#),
            missing,
        ),
        (r#"{"guardrailIdentifier":"","guardrailVersion":""}"#, Ok(whole), missing),
        (r#"{"guardrailIdentifier":null,"guardrailVersion":"3"}"#, Ok(whole), missing),
        (
            r#"{"guardrailIdentifier":"abc123"}"#,
            Ok(r#"{"guardrailVersion":"3","guardrailIdentifier":"abc123"}"#),
            missing,
        ),
        (r#"{"guardrailIdentifier":"other","guardrailVersion":"3"}"#, different, different),
        (r#"{"guardrailIdentifier":"abc123","guardrailVersion":"DRAFT"}"#, different, different),
        (r#"{"guardrailIdentifier":"","guardrailVersion":"4"}"#, different, missing),
        (
            r#"{"guardrailIdentifier":"abc123","guardrailVersion":3}"#,
            Err("guardrail_malformed"),
            Err("guardrail_malformed"),
        ),
        ("[]", Err("guardrail_malformed"), Err("guardrail_malformed")),
        (
            r#"{"guardrailIdentifier":"abc123","guardrail\u0049dentifier":"other","guardrailVersion":"3"}"#,
            Err("body_duplicate_member"),
            Err("body_duplicate_member"),
        ),
        (
            r#"{"guardrailIdentifier":"abc123","guardrailVersion":"3","guardrailidentifier":"other"}"#,
            Err("guardrail_misspelt"),
            Err("guardrail_misspelt"),
        ),
    ] {
        for (owed, expected) in [(&inject, injected), (&require, required)] {
            let answer = code(converse(owed, &with_config(config)));
            assert_eq!(answer, expected.map(with_config), "{config} {:?}", owed.rule().mode);
        }
    }
}

#[test]
fn evaluation_comes_before_the_stream() {
    let strict = owed(|_| {});
    let forced = owed(|rule| rule.asynchronous = Asynchronous::ForceSync);
    let config = |mode: &str| {
        with_config(&format!(
            r#"{{"guardrailIdentifier":"abc123","streamProcessingMode": {mode} ,"guardrailVersion":"3"}}"#
        ))
    };
    for mode in ["\"sync\"", "null", r#""s\u0079nc""#] {
        assert_eq!(converse(&strict, &config(mode)), Ok(config(mode)));
        assert_eq!(converse(&forced, &config(mode)), Ok(config(mode)));
    }
    for mode in ["\"async\"", "\"\\u0061sync\"", "\"SYNC\"", "\"\"", "\"ASYNCHRONOUS\"", "1", "{}"] {
        assert_eq!(code(converse(&strict, &config(mode))), Err("guardrail_asynchronous"), "{mode}");
        assert_eq!(converse(&forced, &config(mode)), Ok(config("\"sync\"")), "{mode}");
    }
}

#[test]
fn several_edits_of_one_config_leave_the_rest_of_it() {
    let forced = owed(|rule| rule.asynchronous = Asynchronous::ForceSync);
    let body = with_config(r#"{ "trace":"enabled", "streamProcessingMode":"async", "guardrailVersion":"" }"#);
    let spliced = with_config(
        r#"{"guardrailIdentifier":"abc123", "trace":"enabled", "streamProcessingMode":"sync", "guardrailVersion":"3" }"#,
    );
    assert_eq!(converse(&forced, &body), Ok(spliced));
}

#[test]
fn a_selective_prompt_is_refused_unless_the_rule_allows_it() {
    let lenient = owed(|rule| rule.selective = Selective::Allow);
    for body in [
        r#"{"messages":[{"content":[{"guardContent":{"text":{"text":"x"}}}]}]}"#,
        r#"{"system":[{"guardContent":{"text":{"text":"x"}}}]}"#,
        r#"{"messages":[{"content":[{"toolResult":{"content":[{"\u0067uardContent":{}}]}}]}]}"#,
    ] {
        assert_eq!(code(converse(&owed(|_| {}), body)), Err("guardrail_selective"), "{body}");
        assert!(converse(&lenient, body).unwrap().contains("abc123"));
    }
}

#[test]
fn what_only_resembles_a_config_or_stands_elsewhere_is_refused() {
    for (body, refusal) in [
        (r#"{"GuardrailConfig":{"guardrailIdentifier":"other"}}"#, "guardrail_misspelt"),
        (r#"{"guardrailconfig":{}}"#, "guardrail_misspelt"),
        (r#"{"guardrailConfi\u0047":{}}"#, "guardrail_misspelt"),
        (r#"{"amazon-bedrock-guardrailConfig":{"tagSuffix":"x"}}"#, "guardrail_misplaced"),
        (
            r#"{"additionalModelRequestFields":{"amazon-bedrock-guardrailConfig":{"tagSuffix":"x"}}}"#,
            "guardrail_misplaced",
        ),
        (r#"{"additionalModelRequestFields":{"guardrailConfig":{}}}"#, "guardrail_misplaced"),
        (r#"{"additionalModelRequestFields":{"system":"a prompt that nobody looks at"}}"#, "guardrail_misplaced"),
        (r#"{"additionalModelRequestFields":{"Messages":[]}}"#, "guardrail_misplaced"),
    ] {
        assert_eq!(code(converse(&owed(|_| {}), body)), Err(refusal), "{body}");
    }
}

#[test]
fn where_none_is_owed_nothing_of_the_body_is_changed_or_judged() {
    for body in [
        "",
        "[]",
        "{\"guardrailConfig\":{},\"guardrailConfig\":{}}",
        "{\"guardrailConfig\":{\"streamProcessingMode\":\"async\"}}",
    ] {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let edits = guard(Operation::Converse, None, &HeaderMap::new(), &body).unwrap();
        assert_eq!((edits.body.together().as_ptr(), edits.body.len()), (body.as_ptr(), body.len()));
    }
}

#[test]
fn headers_mean_nothing_to_converse_and_are_dropped() {
    let mut headers = HeaderMap::new();
    headers.append(crate::guardrail::header_form::IDENTIFIER, HeaderValue::from_static("other"));
    headers.append(crate::guardrail::header_form::IDENTIFIER, HeaderValue::from_static("another"));
    for owed in [Some(&owed(|_| {})), None] {
        let edits = guard(Operation::Converse, owed, &headers, &Bytes::from_static(b"{}")).unwrap();
        assert!(edits.headers.is_empty());
    }
}

fn any_member() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![any::<i32>().prop_map(Value::from), any::<String>().prop_map(Value::from), Just(Value::Null)];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{0,6}", inner, 0..5)
                .prop_map(|members| Value::from(members.into_iter().collect::<serde_json::Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn splicing_adds_one_member_and_leaves_every_other_byte(
        members in prop::collection::btree_map(
            prop_oneof!["[a-zA-Z\u{e4}\"]{0,8}", Just("messages".to_owned()), Just("system".to_owned())], any_member(), 0..6),
        pretty: bool,
        space in "[ \n\t]{0,3}",
    ) {
        let value = Value::from(members.into_iter().collect::<serde_json::Map<_, _>>());
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let body = format!("{space}{text}{space}");
        let spliced = converse(&owed(|_| {}), &body).unwrap();

        let mut expected = value.clone();
        expected["guardrailConfig"] = serde_json::json!({"guardrailIdentifier": "abc123", "guardrailVersion": "3"});
        prop_assert_eq!(json(spliced.as_bytes()), expected);

        let at = space.len() + 1;
        let added = spliced.len() - body.len();
        prop_assert_eq!(&spliced[..at], &body[..at]);
        prop_assert_eq!(&spliced[at + added..], &body[at..]);
    }

    #[test]
    fn no_bytes_leave_here_without_the_guardrail(
        parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", ",", ":", "[", "]", "null", "\"\"", "\"guardrailConfig\"", "\"guardrailConfi\\u0067\"",
            "\"guardrailIdentifier\"", "\"guardrailVersion\"", "\"streamProcessingMode\"", "\"abc123\"", "\"3\"",
            "\"async\"", "\"other\"", "\"messages\"", " ",
        ]), 0..16)
    ) {
        let forced = owed(|rule| rule.asynchronous = Asynchronous::ForceSync);
        if let Ok(sent) = converse(&forced, &parts.concat()) {
            let config = json(sent.as_bytes())["guardrailConfig"].clone();
            prop_assert_eq!(&config["guardrailIdentifier"], "abc123");
            prop_assert_eq!(&config["guardrailVersion"], "3");
            prop_assert!(config["streamProcessingMode"].is_null() || config["streamProcessingMode"] == "sync");
        }
    }

    #[test]
    fn a_config_of_any_values_leaves_with_the_guardrail_or_not_at_all(
        members in prop::collection::vec((
            prop::sample::select(vec!["guardrailIdentifier", "guardrailVersion", "streamProcessingMode", "trace", "x"]),
            prop::sample::select(vec!["null", "\"\"", "\"abc123\"", "\"3\"", "\"async\"", "\"sync\"", "\"other\"", "3", "{}"]),
        ), 0..5),
        require: bool,
    ) {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        let rule = owed(|rule| {
            rule.asynchronous = Asynchronous::ForceSync;
            rule.mode = if require { Mode::Require } else { Mode::Inject };
        });
        if let Ok(sent) = converse(&rule, &with_config(&format!("{{{}}}", members.join(",")))) {
            let config = json(sent.as_bytes())["guardrailConfig"].clone();
            prop_assert_eq!(&config["guardrailIdentifier"], "abc123");
            prop_assert_eq!(&config["guardrailVersion"], "3");
            prop_assert!(config["streamProcessingMode"].is_null() || config["streamProcessingMode"] == "sync");
        }
    }
}

/// A prompt may have 25 MB: what stands there already is not held twice.
#[test]
fn what_is_spliced_in_copies_nothing_of_the_body() {
    let body = Bytes::copy_from_slice(with_config(r#"{"guardrailIdentifier":null,"trace":"enabled"}"#).as_bytes());
    let edits = guard(Operation::Converse, Some(&owed(|_| {})), &HeaderMap::new(), &body).unwrap();
    let within = |segment: &&Bytes| body.as_ptr_range().contains(&segment.as_ptr());
    let kept: usize = edits.body.iter().filter(within).map(Bytes::len).sum();
    assert_eq!((kept, edits.body.as_one()), (body.len() - "null".len(), None));
    assert_eq!(json(&edits.body.together())["guardrailConfig"]["guardrailIdentifier"], "abc123");
}
