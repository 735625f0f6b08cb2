//! How the services write their answers and errors: REST with JSON (Bedrock), JSON 1.1 (Tagging API, Service Quotas), and
//! the query protocol, which answers in XML, or in JSON to who accepts that (STS).

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::Answer;
use crate::mock::refusal::Refusal;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Rest,
    Json,
    QueryXml,
    QueryJson,
}

/// What is sent.
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) error_type: Option<String>,
    pub(super) body: Bytes,
}

const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

impl Form {
    /// Which of its two forms STS answers in.
    pub(super) fn query(headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if accepted.starts_with("application/json") { Self::QueryJson } else { Self::QueryXml }
    }
}

/// Writes an answer, or a refusal in the words that the protocol has for it.
pub(super) fn write(form: Form, decided: Result<Answer, Refusal>, operation: &str, request_id: &str) -> Said {
    match (form, decided) {
        (Form::Rest, Ok(answer)) => said(answer.status, "application/json", answer.body.to_string()),
        (Form::Rest, Err(refusal)) => {
            Said { error_type: Some(refusal.error_type()), ..said(refusal.status, "application/json", refusal.body) }
        }
        (Form::Json, Ok(answer)) => said(answer.status, "application/x-amz-json-1.1", answer.body.to_string()),
        (Form::Json, Err(refusal)) => {
            let body = if refusal.status.is_server_error() {
                json!({ "__type": "InternalServiceException", "Message": refusal.message() })
            } else if refusal.is_unauthenticated() {
                json!({ "__type": "MissingAuthenticationTokenException", "message": "Missing Authentication Token" })
            } else {
                json!({ "__type": refusal.kind, "Message": refusal.message() })
            };
            said(class(&refusal), "application/x-amz-json-1.1", body.to_string())
        }
        (Form::QueryXml, Ok(answer)) => {
            let mut text = format!("<{operation}Response xmlns=\"{STS}\">\n  <{operation}Result>");
            elements(&mut text, &answer.body);
            let _ = write!(
                text,
                "</{operation}Result>\n  <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>\n\
                 </{operation}Response>\n"
            );
            said(answer.status, "text/xml", text)
        }
        (Form::QueryJson, Ok(answer)) => {
            let (result, response) = (format!("{operation}Result"), format!("{operation}Response"));
            let metadata = json!({ "RequestId": request_id });
            let body = json!({ response: { result: in_epoch_seconds(answer.body), "ResponseMetadata": metadata } });
            said(answer.status, "application/json", body.to_string())
        }
        (Form::QueryXml, Err(refusal)) => {
            let (status, code, side) = of_sts(&refusal);
            let (message, id) = (escaped(&said_by_sts(&refusal)), request_id);
            let text = format!(
                "<ErrorResponse xmlns=\"{STS}\">\n  <Error>\n    <Type>{side}</Type>\n    <Code>{code}</Code>\n    \
                 <Message>{message}</Message>\n  </Error>\n  <RequestId>{id}</RequestId>\n</ErrorResponse>\n"
            );
            said(status, "text/xml", text)
        }
        (Form::QueryJson, Err(refusal)) => {
            let (status, code, side) = of_sts(&refusal);
            let error = json!({ "Code": code, "Message": said_by_sts(&refusal), "Type": side });
            said(status, "application/json", json!({ "Error": error, "RequestId": request_id }).to_string())
        }
    }
}

fn said(status: StatusCode, content_type: &'static str, body: String) -> Said {
    Said { status, content_type, error_type: None, body: body.into() }
}

/// JSON 1.1 knows two statuses of errors.
fn class(refusal: &Refusal) -> StatusCode {
    if refusal.status.is_server_error() { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::BAD_REQUEST }
}

/// The status, code and side of an error of STS, whose codes do not end in `Exception`.
fn of_sts(refusal: &Refusal) -> (StatusCode, &str, &'static str) {
    let (bad, forbidden) = (StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN);
    let (status, code) = match refusal.kind {
        "ValidationException" => (bad, "ValidationError"),
        "ThrottlingException" => (bad, "Throttling"),
        "UnrecognizedClientException" => (forbidden, "InvalidClientTokenId"),
        "InvalidSignatureException" => (forbidden, "SignatureDoesNotMatch"),
        "IncompleteSignatureException" => (bad, "IncompleteSignature"),
        "ExpiredTokenException" => (forbidden, "ExpiredToken"),
        "AccessDeniedException" if refusal.is_unauthenticated() => (forbidden, "MissingAuthenticationToken"),
        "AccessDeniedException" => (forbidden, "AccessDenied"),
        "InternalServerException" => (StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"),
        other => (refusal.status, other),
    };
    (status, code, if status.is_server_error() { "Receiver" } else { "Sender" })
}

fn said_by_sts(refusal: &Refusal) -> String {
    if refusal.is_unauthenticated() { "Request is missing Authentication Token".to_owned() } else { refusal.message() }
}

/// Members as elements.
fn elements(text: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let _ = write!(text, "<{name}>");
                elements(text, value);
                let _ = write!(text, "</{name}>");
            }
        }
        Value::String(value) => text.push_str(&escaped(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            let _ = write!(text, "{value}");
        }
    }
}

/// Times are in seconds where STS answers in JSON.
fn in_epoch_seconds(mut result: Value) -> Value {
    if let Some(expiration) = result.pointer_mut("/Credentials/Expiration")
        && let Some(Ok(at)) = expiration.as_str().map(str::parse::<jiff::Timestamp>)
    {
        *expiration = Value::from(at.as_second());
    }
    result
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
