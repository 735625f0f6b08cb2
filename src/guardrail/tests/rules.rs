//! Which guardrail is whose, and what configuration may say.

use super::*;

fn only(principals: &[&str], groups: &[&str]) -> Owners {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Owners::Only { principals: owned(principals), groups: owned(groups) }
}

fn for_owners(owners: Owners, identifier: &str) -> GuardrailRule {
    GuardrailRule { owners, identifier: identifier.to_owned(), ..rule() }
}

fn guardrails() -> Guardrails {
    Guardrails::new(vec![
        for_owners(only(&[], &["eng"]), "forengineers"),
        for_owners(only(&[], &["ops"]), "foroperators"),
        for_owners(only(&["alice"], &[]), "foralice"),
    ])
    .unwrap()
}

#[test]
fn the_most_specific_guardrail_is_owed() {
    let guardrails = guardrails();
    let owed = |name, groups: &[&str]| {
        guardrails.rule_for(&principal(name, groups)).map(|owed| owed.rule().identifier.clone())
    };
    assert_eq!(owed("alice", &["eng"]).as_deref(), Some("foralice"));
    assert_eq!(owed("bob", &["eng"]).as_deref(), Some("forengineers"));
    assert_eq!(owed("bob", &["ops"]).as_deref(), Some("foroperators"));
    assert_eq!(owed("bob", &["sales"]), None);
    let mut rules = vec![rule()];
    rules.extend(guardrails.rules.iter().map(|owed| owed.rule().clone()));
    let guardrails = Guardrails::new(rules).unwrap();
    let owed = |name, groups: &[&str]| guardrails.rule_for(&principal(name, groups)).unwrap().rule().identifier.clone();
    assert_eq!((owed("bob", &[]), owed("alice", &[])), ("abc123".to_owned(), "foralice".to_owned()));
}

#[test]
fn only_the_guardrail_owed_may_be_applied() {
    let guardrails = guardrails();
    let (alice, bob) = (principal("alice", &["eng"]), principal("bob", &[]));
    let foreign = "arn:aws:bedrock:us-east-1:012345678901:guardrail/forengineers";
    let own = "arn:aws:bedrock:us-east-1:012345678901:guardrail/foralice";
    for (who, identifier, version, allowed) in [
        (&alice, "foralice", "3", true),
        (&alice, own, "3", true),
        (&alice, "foralice", "DRAFT", false),
        (&alice, "forengineers", "3", false),
        (&alice, foreign, "3", false),
        (&alice, "", "", false),
        (&bob, "foralice", "3", false),
        (&bob, "forengineers", "3", false),
    ] {
        let verdict = code(guardrails.may_apply(who, identifier, version));
        assert_eq!(verdict, if allowed { Ok(()) } else { Err("guardrail_not_yours") }, "{identifier} {version}");
    }
}

#[test]
fn an_identifier_is_an_id_or_an_arn_and_a_version_a_number_or_draft() {
    let with = |identifier: &str, version: &str| {
        OwedGuardrail::new(GuardrailRule { identifier: identifier.to_owned(), version: version.to_owned(), ..rule() })
            .map(drop)
    };
    for identifier in ["abc123", OWED_ARN, "arn:aws-us-gov:bedrock:us-gov-west-1:012345678901:guardrail/x"] {
        assert_eq!(with(identifier, "1"), Ok(()), "{identifier}");
    }
    for identifier in [
        "",
        "ABC",
        "a b",
        "a\"b",
        "a\r\nb",
        "a-b",
        "ü",
        "arn:aws:bedrock:us-east-1:012345678901:guardrail/",
        "arn:aws:bedrock:us-east-1:012345678901:guardrail/a/b",
        "arn:aws:bedrock:us-east-1:012345678901:guardrail-profile/us.guardrail.v1:0",
        "arn:aws:bedrock:us-east-1:123:guardrail/abc",
        "arn:aws:bedrock::012345678901:guardrail/abc",
        "arn:aws:s3:us-east-1:012345678901:guardrail/abc",
        "arn:a\"b:bedrock:us-east-1:012345678901:guardrail/abc",
    ] {
        assert_eq!(with(identifier, "1"), Err(RuleError::Identifier(identifier.to_owned())));
    }
    for version in ["DRAFT", "1", "12345678"] {
        assert_eq!(with("abc", version), Ok(()), "{version}");
    }
    for version in ["", "0", "01", "draft", "-1", "1.0", "123456789", "1\""] {
        assert_eq!(with("abc", version), Err(RuleError::Version(version.to_owned())));
    }
}

#[test]
fn two_rules_for_the_same_owner_are_an_error() {
    for (one, other, named) in [
        (Owners::Everyone, Owners::Everyone, "everyone"),
        (only(&["alice", "bob"], &[]), only(&["bob"], &[]), "principal \"bob\""),
        (only(&[], &["eng"]), only(&["eng"], &["eng"]), "group \"eng\""),
    ] {
        let error = Guardrails::new(vec![for_owners(one, "a"), for_owners(other, "b")]).unwrap_err();
        assert_eq!(error, RuleError::OwnedTwice(named.to_owned()));
    }
    assert!(Guardrails::new(vec![for_owners(only(&["eng"], &[]), "a"), for_owners(only(&[], &["eng"]), "b")]).is_ok());
}

#[test]
fn a_client_may_name_the_guardrail_by_its_id_or_its_arn() {
    let elsewhere = "arn:aws:bedrock:eu-west-1:999999999999:guardrail/abc123";
    for (own, said, same) in [
        ("abc123", "abc123", true),
        ("abc123", OWED_ARN, true),
        (OWED_ARN, "abc123", true),
        (OWED_ARN, OWED_ARN, true),
        (OWED_ARN, elsewhere, false),
        ("abc123", "abc1234", false),
        ("abc123", "ABC123", false),
        ("abc123", " abc123", false),
        ("abc123", "guardrail/abc123", false),
        ("abc123", "arn:aws:bedrock:us-east-1:012345678901:inference-profile/abc123", false),
        (OWED_ARN, "", false),
    ] {
        assert_eq!(owed(|rule| own.clone_into(&mut rule.identifier)).is_called(said), same, "{own} {said}");
    }
}

#[test]
fn what_carries_no_guardrail_is_let_through_or_refused_by_name() {
    let body = Bytes::from_static(b"{\"input\":{}}");
    let mut headers = HeaderMap::new();
    headers.insert(crate::guardrail::header_form::IDENTIFIER, HeaderValue::from_static("other"));
    for operation in Operation::ALL {
        let answer = guard(operation, Some(&owed(|_| {})), &headers, &body);
        if matches!(operation, Operation::CountTokens | Operation::ApplyGuardrail) {
            let edits = answer.unwrap();
            assert_eq!((edits.body.together().as_ptr(), edits.headers), (body.as_ptr(), Vec::new()), "{operation}");
        } else if !operation.is_invoke() && !operation.is_converse() {
            assert_eq!(answer.unwrap_err(), GuardrailError::CannotCarry(operation));
        }
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    let required = || "abc123 version 3".to_owned();
    for (error, part) in [
        (GuardrailError::Missing { required: required() }, "send guardrail abc123 version 3"),
        (GuardrailError::Different { required: required() }, "use guardrail abc123 version 3"),
        (GuardrailError::NotTheirs { required: Some(required()) }, "yours is abc123"),
        (GuardrailError::NotTheirs { required: None }, "none is assigned to you"),
        (GuardrailError::Asynchronous { synchronous: "sync" }, "set it to \"sync\""),
        (GuardrailError::Selective(Means::TagSuffix), "remove tagSuffix"),
        (GuardrailError::Misspelt("guardrailConfig"), "write the name exactly so"),
        (GuardrailError::RepeatedHeader("X"), "X comes more than once"),
    ] {
        let text = error.to_string();
        assert!(text.contains(part), "{text}");
    }
}
