//! From a request's path to an operation and the name in it. Only the canonical form is understood.
//!
//! A segment that the API defines as a label (`modelId`, `guardrailIdentifier`, …) may hold `:` and `/`, raw or as `%3A` and
//! `%2F`: SDKs send either. Nothing else may be percent-encoded, so there is one decoding and no second meaning; dot
//! segments, empty segments and every byte outside the label's grammar are refused. What goes upstream is written anew by
//! [`model_path`] and its siblings; no byte of the caller's path is passed on.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html>

use std::borrow::Cow;

use http::Method;

use super::operation::Operation;

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No operation lives there.
    #[error("no Bedrock operation has this method and path")]
    UnknownOperation,
    /// The path could be read in two ways.
    #[error("the path is not in canonical form: {0}")]
    NotCanonical(&'static str),
    /// The name in the path is outside its grammar.
    #[error("the identifier in the path is not valid: {0}")]
    Label(&'static str),
}

/// An operation and the labels that stood in its path, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route<'a> {
    pub(super) operation: Operation,
    pub(super) label: Option<Cow<'a, str>>,
    pub(super) version: Option<Cow<'a, str>>,
}

/// Finds the operation. `path` is the raw path below the base path, starting with `/`.
pub(super) fn route<'a>(method: &Method, path: &'a str) -> Result<Route<'a>, PathError> {
    let rest = path.strip_prefix('/').ok_or(PathError::UnknownOperation)?;
    if rest.contains("//") || rest.starts_with('/') {
        return Err(PathError::NotCanonical("empty segment"));
    }
    if rest.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(PathError::NotCanonical("dot segment"));
    }
    let (head, tail) = rest.split_once('/').map_or((rest, None), |(head, tail)| (head, Some(tail)));
    match (method.as_str(), head, tail) {
        ("POST", "model", Some(tail)) => model(tail),
        ("POST", "guardrail", Some(tail)) => guardrail(tail),
        ("POST", "guardrail-checks", Some("invoke")) => Ok(plain(Operation::InvokeGuardrailChecks)),
        ("GET", "inference-profiles", None) => Ok(plain(Operation::ListInferenceProfiles)),
        ("GET", "inference-profiles", Some(id)) => labelled(Operation::GetInferenceProfile, id),
        ("GET", "foundation-models", None) => Ok(plain(Operation::ListFoundationModels)),
        ("GET", "foundation-models", Some(id)) => labelled(Operation::GetFoundationModel, id),
        ("POST", "async-invoke", None) => Ok(plain(Operation::StartAsyncInvoke)),
        ("GET", "async-invoke", None) => Ok(plain(Operation::ListAsyncInvokes)),
        ("GET", "async-invoke", Some(arn)) => labelled(Operation::GetAsyncInvoke, arn),
        ("GET" | "POST" | "DELETE", "openai", Some(tail)) if tail.starts_with("v1/") => Ok(plain(Operation::OpenAiApi)),
        _ => Err(PathError::UnknownOperation),
    }
}

/// The path of an operation on a model, with the name as every AWS SDK encodes it.
pub fn model_path(name: &str, operation: Operation) -> Option<String> {
    let verb = MODEL_VERBS.iter().find(|(_, known)| *known == operation)?.0;
    let mut path = String::with_capacity(name.len() + 48);
    path.push_str("/model/");
    push_label(&mut path, name);
    path.push('/');
    path.push_str(verb);
    Some(path)
}

/// The path of `ApplyGuardrail`.
pub fn guardrail_path(identifier: &str, version: &str) -> String {
    let mut path = String::from("/guardrail/");
    push_label(&mut path, identifier);
    path.push_str("/version/");
    push_label(&mut path, version);
    path.push_str("/apply");
    path
}

const MODEL_VERBS: [(&str, Operation); 6] = [
    ("invoke", Operation::InvokeModel),
    ("invoke-with-response-stream", Operation::InvokeModelWithResponseStream),
    ("converse", Operation::Converse),
    ("converse-stream", Operation::ConverseStream),
    ("count-tokens", Operation::CountTokens),
    ("invoke-with-bidirectional-stream", Operation::InvokeModelWithBidirectionalStream),
];

/// The Runtime API's limit for `modelId` and `guardrailIdentifier`.
const MAX_LABEL: usize = 2_048;

const fn plain(operation: Operation) -> Route<'static> {
    Route { operation, label: None, version: None }
}

fn labelled(operation: Operation, raw: &str) -> Result<Route<'_>, PathError> {
    Ok(Route { operation, label: Some(decode(raw)?), version: None })
}

fn model(tail: &str) -> Result<Route<'_>, PathError> {
    let (id, verb) = tail.rsplit_once('/').ok_or(PathError::UnknownOperation)?;
    let (_, operation) = MODEL_VERBS.iter().find(|(known, _)| *known == verb).ok_or(PathError::UnknownOperation)?;
    labelled(*operation, id)
}

fn guardrail(tail: &str) -> Result<Route<'_>, PathError> {
    let rest = tail.strip_suffix("/apply").ok_or(PathError::UnknownOperation)?;
    let (id, version) = rest.rsplit_once("/version/").ok_or(PathError::UnknownOperation)?;
    let version = decode(version)?;
    if version != "DRAFT" && !version.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PathError::Label("a guardrail's version is a number or DRAFT"));
    }
    Ok(Route { operation: Operation::ApplyGuardrail, label: Some(decode(id)?), version: Some(version) })
}

/// Decodes `%3A` and `%2F`, and checks the grammar of a label.
fn decode(raw: &str) -> Result<Cow<'_, str>, PathError> {
    if raw.len() > MAX_LABEL * 3 {
        return Err(PathError::Label("longer than 2048 characters"));
    }
    let label = if raw.contains('%') { Cow::Owned(decode_escapes(raw)?) } else { Cow::Borrowed(raw) };
    if label.is_empty() || label.len() > MAX_LABEL {
        return Err(PathError::Label("empty, or longer than 2048 characters"));
    }
    if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-/:".contains(&byte)) {
        return Err(PathError::Label("only letters, digits and _ . - / : may occur"));
    }
    if label.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(PathError::NotCanonical("dot or empty segment in an identifier"));
    }
    Ok(label)
}

fn decode_escapes(raw: &str) -> Result<String, PathError> {
    let mut pieces = raw.split('%');
    let mut decoded = String::with_capacity(raw.len());
    decoded.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (escape, rest) = piece.split_at_checked(2).ok_or(PathError::NotCanonical("broken percent-encoding"))?;
        decoded.push(match escape {
            "3A" | "3a" => ':',
            "2F" | "2f" => '/',
            "25" => return Err(PathError::NotCanonical("double percent-encoding")),
            _ => return Err(PathError::NotCanonical("only : and / may be percent-encoded")),
        });
        decoded.push_str(rest);
    }
    Ok(decoded)
}

fn push_label(path: &mut String, label: &str) {
    let mut rest = label;
    while let Some((plain, special)) =
        rest.bytes().position(|byte| matches!(byte, b':' | b'/')).map(|at| rest.split_at(at))
    {
        path.push_str(plain);
        path.push_str(if special.starts_with(':') { "%3A" } else { "%2F" });
        rest = special.get(1..).unwrap_or_default();
    }
    path.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(path: &str) -> Result<(Operation, Option<String>), PathError> {
        route(&Method::POST, path).map(|route| (route.operation, route.label.map(Cow::into_owned)))
    }

    #[test]
    fn raw_and_encoded_names_are_the_same_name() {
        let arn = "arn:aws:bedrock:us-east-1:012345678901:application-inference-profile/abc";
        for path in [
            format!("/model/{arn}/invoke"),
            model_path(arn, Operation::InvokeModel).unwrap(),
            format!("/model/{}/invoke", arn.replace(':', "%3a").replace('/', "%2f")),
            format!("/model/{}/invoke", arn.replace('/', "%2F")),
        ] {
            assert_eq!(post(&path), Ok((Operation::InvokeModel, Some(arn.to_owned()))), "{path}");
        }
    }

    #[test]
    fn every_operation_has_its_path() {
        for (method, path, operation) in [
            ("POST", "/model/a.b/invoke-with-response-stream", Operation::InvokeModelWithResponseStream),
            ("POST", "/model/a.b/converse", Operation::Converse),
            ("POST", "/model/a.b/converse-stream", Operation::ConverseStream),
            ("POST", "/model/a.b/count-tokens", Operation::CountTokens),
            ("POST", "/model/a.b/invoke-with-bidirectional-stream", Operation::InvokeModelWithBidirectionalStream),
            ("POST", "/guardrail/abc/version/DRAFT/apply", Operation::ApplyGuardrail),
            ("POST", "/guardrail-checks/invoke", Operation::InvokeGuardrailChecks),
            ("POST", "/async-invoke", Operation::StartAsyncInvoke),
            ("GET", "/async-invoke", Operation::ListAsyncInvokes),
            ("GET", "/async-invoke/arn%3Aaws%3Abedrock", Operation::GetAsyncInvoke),
            ("GET", "/inference-profiles", Operation::ListInferenceProfiles),
            ("GET", "/inference-profiles/us.a.b", Operation::GetInferenceProfile),
            ("GET", "/foundation-models", Operation::ListFoundationModels),
            ("GET", "/foundation-models/a.b", Operation::GetFoundationModel),
            ("POST", "/openai/v1/chat/completions", Operation::OpenAiApi),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(route(&method, path).map(|route| route.operation), Ok(operation), "{path}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        use PathError::{Label, NotCanonical, UnknownOperation};
        let long = format!("/model/{}/invoke", "a".repeat(2_049));
        for (path, error) in [
            ("/model/a/../b/invoke", NotCanonical("dot segment")),
            ("/model/./invoke", NotCanonical("dot segment")),
            ("/model//invoke", NotCanonical("empty segment")),
            ("//model/a/invoke", NotCanonical("empty segment")),
            ("/model/a%2F%2Fb/invoke", NotCanonical("dot or empty segment in an identifier")),
            ("/model/a%2F..%2Fb/invoke", NotCanonical("dot or empty segment in an identifier")),
            ("/model/%2E%2E/invoke", NotCanonical("only : and / may be percent-encoded")),
            ("/model/a%253Ab/invoke", NotCanonical("double percent-encoding")),
            ("/model/a%00b/invoke", NotCanonical("only : and / may be percent-encoded")),
            ("/model/a%3/invoke", NotCanonical("broken percent-encoding")),
            ("/model/a%/invoke", NotCanonical("broken percent-encoding")),
            ("/model/a%3é/invoke", NotCanonical("broken percent-encoding")),
            ("/model/a b/invoke", Label("only letters, digits and _ . - / : may occur")),
            ("/model/a;b/invoke", Label("only letters, digits and _ . - / : may occur")),
            ("/model/a@b/invoke", Label("only letters, digits and _ . - / : may occur")),
            (long.as_str(), Label("empty, or longer than 2048 characters")),
            ("/model/invoke", UnknownOperation),
            ("/model/a/invoke/", UnknownOperation),
            ("/model/a/Invoke", UnknownOperation),
            ("/v1/messages/count_tokens", UnknownOperation),
            ("/", UnknownOperation),
            ("", UnknownOperation),
        ] {
            assert_eq!(post(path), Err(error), "{path}");
        }
        assert_eq!(route(&Method::GET, "/model/a/invoke"), Err(UnknownOperation));
    }

    proptest::proptest! {
        #[test]
        fn no_path_makes_it_panic_and_what_is_routed_is_in_the_grammar(path in "[/a-z.%:0-9A-F]{0,80}") {
            if let Ok(Route { label: Some(label), .. }) = route(&Method::POST, &path) {
                proptest::prop_assert!(label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-/:".contains(&byte)));
                proptest::prop_assert!(!label.split('/').any(|segment| matches!(segment, "" | "." | "..")));
            }
        }
    }
}
