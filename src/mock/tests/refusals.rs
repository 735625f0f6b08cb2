//! IAM's refusals and Bedrock's, with their texts.

use super::*;

const REFUSED_PROFILE: &str = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/zz";

async fn guarded() -> Running {
    let guardrail = MockGuardrail { identifier: "gr1".to_owned(), version: "1".to_owned() };
    MockBedrock::start(MockConfig { guardrail: Some(guardrail), ..config() }).await.unwrap()
}

#[tokio::test]
async fn names_other_than_the_configured_profiles_are_refused() {
    let mock = MockBedrock::start(config()).await.unwrap();
    let user = "User: arn:aws:sts::123456789012:assumed-role/bedrock-caller/AKIAIOSFODNN7EXAMPLE is not authorized to perform: ";
    let denied = |action: &str, resource: &str| {
        format!(
            "403 AccessDeniedException: {user}{action} on resource: {resource} because no identity-based policy allows \
             the {action} action"
        )
    };
    let invalid = "400 ValidationException: The provided model identifier is invalid.".to_owned();
    let foundation = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0";
    let system =
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    for (model, action, error) in [
        (REFUSED_PROFILE, "invoke", denied("bedrock:InvokeModel", REFUSED_PROFILE)),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "converse", denied("bedrock:InvokeModel", foundation)),
        (foundation, "invoke", denied("bedrock:InvokeModel", foundation)),
        (CLAUDE, "converse-stream", denied("bedrock:InvokeModelWithResponseStream", system)),
        ("does-not-exist", "invoke", invalid.clone()),
        ("nobody.knows-it", "converse", invalid.clone()),
        ("a%3Ab", "converse", invalid.clone()),
        (PROFILE, "count-tokens", invalid.clone()),
        (CLAUDE, "count-tokens", invalid),
    ] {
        let body = if action == "invoke" { claude_body("hello") } else { converse_body("hello") };
        assert_eq!(call(&mock, &model_path(model, action), &[], &body).await.error(), error, "{model}");
    }
    assert_eq!(mock.account().by_profile.len(), 0, "nothing was billed");
}

#[tokio::test]
async fn a_model_call_without_the_configured_guardrail_meets_an_explicit_deny() {
    let mock = guarded().await;
    let headers =
        |version| [("x-amzn-bedrock-guardrailidentifier", "gr1"), ("x-amzn-bedrock-guardrailversion", version)];
    let path = model_path(PROFILE, "invoke");
    for (headers, status) in [(headers("1").to_vec(), 200), (headers("2").to_vec(), 403), (Vec::new(), 403)] {
        let reply = call(&mock, &path, &headers, &claude_body("hello")).await;
        assert_eq!(reply.status, status, "{headers:?}");
        if status == 403 {
            assert!(reply.error().ends_with("with an explicit deny in an identity-based policy"), "{}", reply.error());
        }
    }
    let with_arn = serde_json::json!({
        "messages": [{"role": "user", "content": [{"text": "hello"}]}],
        "guardrailConfig": {
            "guardrailIdentifier": "arn:aws:bedrock:us-east-1:123456789012:guardrail/gr1",
            "guardrailVersion": "1"
        }
    });
    assert_eq!(call(&mock, &model_path(PROFILE, "converse"), &[], &with_arn.to_string()).await.status, 200);
    let without = call(&mock, &model_path(PROFILE, "converse"), &headers("1"), &converse_body("hello")).await;
    assert_eq!(without.status, 403, "headers are nothing to Converse");
}

#[tokio::test]
async fn bodies_that_bedrock_would_not_take_are_refused() {
    let mock = MockBedrock::start(config()).await.unwrap();
    for (action, body, error) in [
        (
            "invoke",
            "nonsense",
            "400 ValidationException: Malformed input request, please reformat your input and try again.",
        ),
        (
            "invoke",
            r#"{"messages":[]}"#,
            "400 ValidationException: Malformed input request: #: required key [max_tokens] not found, please reformat your \
             input and try again.",
        ),
        ("converse", "[]", "400 SerializationException: Unexpected token in the request body"),
        (
            "converse",
            r#"{"messages":[{"role":"assistant","content":[]}]}"#,
            "400 ValidationException: A conversation must start with a user message. Try again with a conversation that \
             starts with a user message.",
        ),
    ] {
        assert_eq!(call(&mock, &model_path(PROFILE, action), &[], body).await.error(), error);
    }
    let nowhere = call(&mock, "/model/x/y/invoke", &[], "{}").await;
    assert_eq!(
        (nowhere.status.as_u16(), nowhere.headers["x-amzn-errortype"].to_str().unwrap().split(':').next()),
        (404, Some("UnknownOperationException"))
    );
}
