//! What a request asks for, read from its body and headers: the prompt, the maximum, the guardrail, the tier. Bodies that
//! Bedrock would not take are refused here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use serde_json::Value;

use super::account::GuardrailSeen;
use super::answer::Family;
use super::refusal::Refusal;
use super::tokens::Prompt;
use crate::bedrock::Operation;
use crate::types::ServiceTier;

/// A model call as asked.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) prompt: Prompt,
    pub(super) max_tokens: Option<u64>,
    pub(super) guardrail: Option<GuardrailSeen>,
    pub(super) tier: Option<ServiceTier>,
}

const MALFORMED: &str = "Malformed input request, please reformat your input and try again.";

/// The body as JSON, or the refusal that the operation has for what is none.
pub(super) fn parse(operation: Operation, body: &[u8]) -> Result<Value, Refusal> {
    let parsed: Option<Value> = serde_json::from_slice(body).ok().filter(Value::is_object);
    parsed.ok_or_else(|| {
        if operation.is_invoke() {
            Refusal::validation(MALFORMED)
        } else {
            let status = http::StatusCode::BAD_REQUEST;
            Refusal::fault(status, "SerializationException", "Unexpected token in the request body")
        }
    })
}

impl Ask {
    /// Reads a model call. The guardrail stands in headers for InvokeModel and in the body for Converse.
    pub(super) fn read(operation: Operation, headers: &HeaderMap, request: &Value) -> Result<Self, Refusal> {
        let guardrail = guardrail_of(operation, headers, request)?;
        let tier_name = if operation.is_converse() {
            request.pointer("/serviceTier/type").and_then(Value::as_str)
        } else {
            text(headers, "x-amzn-bedrock-service-tier")
        };
        let known = |name: &str| {
            ServiceTier::from_name(name)
                .ok_or_else(|| Refusal::validation("The provided service tier is invalid for this model."))
        };
        Ok(Self {
            prompt: Prompt::measure(request),
            max_tokens: max_tokens(request),
            guardrail,
            tier: tier_name.map(known).transpose()?,
        })
    }
}

/// The guardrail that a model call carries, if any.
pub(super) fn guardrail_of(
    operation: Operation,
    headers: &HeaderMap,
    request: &Value,
) -> Result<Option<GuardrailSeen>, Refusal> {
    let (identifier, version, trace) = if operation.is_converse() {
        let member = |name: &str| request.get("guardrailConfig")?.get(name)?.as_str();
        (member("guardrailIdentifier"), member("guardrailVersion"), member("trace"))
    } else {
        let header = |name| text(headers, name);
        let trace = header("x-amzn-bedrock-trace");
        (header("x-amzn-bedrock-guardrailidentifier"), header("x-amzn-bedrock-guardrailversion"), trace)
    };
    let trace = trace.is_some_and(|trace| ["enabled", "enabled_full"].iter().any(|on| trace.eq_ignore_ascii_case(on)));
    match (identifier.filter(|id| !id.is_empty()), version.filter(|version| !version.is_empty())) {
        (Some(identifier), Some(version)) => {
            Ok(Some(GuardrailSeen { identifier: identifier.to_owned(), version: version.to_owned(), trace }))
        }
        (None, None) if request.get("amazon-bedrock-guardrailConfig").is_some() => {
            let message = "The amazon-bedrock-guardrailConfig field requires a guardrailIdentifier.";
            Err(Refusal::validation(message))
        }
        (None, None) => Ok(None),
        _ => Err(Refusal::validation("The guardrailIdentifier and guardrailVersion must be provided together.")),
    }
}

/// Whether the body is one that the operation and the family take.
pub(super) fn check(operation: Operation, family: Family, request: &Value) -> Result<(), Refusal> {
    if operation.is_converse() {
        return check_converse(family, request);
    }
    if operation.streams() && !family.generates_text() {
        return Err(Refusal::validation("The model is unsupported for streaming."));
    }
    for key in family.required() {
        if request.get(key).is_none() {
            return Err(Refusal::validation(&format!(
                "Malformed input request: #: required key [{key}] not found, please reformat your input and try again."
            )));
        }
    }
    Ok(())
}

fn check_converse(family: Family, request: &Value) -> Result<(), Refusal> {
    if !family.generates_text() {
        return Err(Refusal::validation(
            "This action doesn't support the model that you provided. Try again with a supported text or chat model.",
        ));
    }
    if request.pointer("/messages/0/role").and_then(Value::as_str) == Some("user") {
        return Ok(());
    }
    Err(Refusal::validation(
        "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
    ))
}

/// The request within a CountTokens request.
pub(super) fn counted(request: &Value) -> Result<Value, Refusal> {
    let malformed = || Refusal::validation(MALFORMED);
    let input = request.get("input").ok_or_else(malformed)?;
    if let Some(converse) = input.get("converse") {
        return Ok(converse.clone());
    }
    let body = input.pointer("/invokeModel/body").and_then(Value::as_str).ok_or_else(malformed)?;
    let body = BASE64.decode(body).map_err(|_| malformed())?;
    parse(Operation::InvokeModel, &body)
}

/// Every family's name for the largest answer that is wanted.
fn max_tokens(request: &Value) -> Option<u64> {
    const NAMES: [&str; 7] = [
        "/max_tokens",
        "/inferenceConfig/maxTokens",
        "/inferenceConfig/max_new_tokens",
        "/textGenerationConfig/maxTokenCount",
        "/max_gen_len",
        "/max_tokens_to_sample",
        "/maxTokens",
    ];
    NAMES.iter().find_map(|name| request.pointer(name).and_then(Value::as_u64))
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
