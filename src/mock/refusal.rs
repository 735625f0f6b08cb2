//! Errors as Bedrock sends them: the type in `x-amzn-ErrorType`, the text in the body, nothing else.

use http::StatusCode;

/// An answer that is no model's. `x-amzn-ErrorType` is `kind`, a colon and `namespace`; clients cut at the colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) namespace: &'static str,
    pub(super) body: String,
}

const BEDROCK: &str = "http://internal.amazon.com/coral/com.amazon.bedrock/";
const CORAL: &str = "http://internal.amazon.com/coral/com.amazon.coral.service/";

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, message: &str) -> Self {
        let body = serde_json::json!({ "message": message }).to_string();
        Self { status, kind, namespace: BEDROCK, body }
    }

    /// Any of Bedrock's own errors.
    pub(super) fn fault(status: StatusCode, kind: &'static str, message: &str) -> Self {
        Self::new(status, kind, message)
    }

    /// 400 `ValidationException`.
    pub(super) fn validation(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", message)
    }

    /// What Bedrock says to a model id that is none.
    pub(super) fn invalid_model() -> Self {
        Self::validation("The provided model identifier is invalid.")
    }

    /// 403 `AccessDeniedException` of IAM.
    pub(super) fn access_denied(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
    }

    /// 403 `AccessDeniedException` of the layer before Bedrock, which writes `Message` with a capital.
    pub(super) fn unauthenticated(message: &str) -> Self {
        let body = serde_json::json!({ "Message": message }).to_string();
        Self { status: StatusCode::FORBIDDEN, kind: "AccessDeniedException", namespace: CORAL, body }
    }

    /// 403 of the signature check.
    pub(super) fn signature(kind: &'static str, message: &str) -> Self {
        Self { namespace: CORAL, ..Self::new(StatusCode::FORBIDDEN, kind, message) }
    }

    /// 404 for a method and path that are no operation's.
    pub(super) fn unknown_operation() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            kind: "UnknownOperationException",
            namespace: CORAL,
            body: r#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#
                .to_owned(),
        }
    }

    /// 413 for a body beyond Bedrock's limit.
    pub(super) fn too_large() -> Self {
        let message = "Request size limit exceeded";
        Self { namespace: CORAL, ..Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", message) }
    }

    /// 404 `ResourceNotFoundException`.
    pub(super) fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    /// 429 `ThrottlingException` of the control plane; services whose protocol knows no such status answer 400.
    pub(super) fn throttled() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "ThrottlingException", "Rate exceeded")
    }

    /// 500 `InternalServerException`.
    pub(super) fn internal() -> Self {
        let message = "The server encountered an internal error while processing the request.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException", message)
    }

    /// 400 for a JSON body that is none, or has a member of the wrong type.
    pub(super) fn serialization() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SerializationException", "Unexpected token in the request body")
    }

    /// What the checks that AWS generates from its models say; `value` is `None` where a required member is absent.
    pub(super) fn constraint(value: Option<&str>, at: &str, rule: &str) -> Self {
        let value = value.map_or_else(|| "null".to_owned(), |value| format!("'{value}'"));
        Self::validation(&format!(
            "1 validation error detected: Value {value} at '{at}' failed to satisfy constraint: Member must {rule}"
        ))
    }

    /// Whether it says that there are no credentials at all, or none that are known here.
    pub(super) fn is_unauthenticated(&self) -> bool {
        self.kind == "AccessDeniedException" && self.namespace == CORAL
    }

    /// The text.
    pub(super) fn message(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        let text = body.get("message").or_else(|| body.get("Message")).and_then(serde_json::Value::as_str);
        text.unwrap_or_default().to_owned()
    }

    /// The value of `x-amzn-ErrorType`.
    pub(super) fn error_type(&self) -> String {
        format!("{}:{}", self.kind, self.namespace)
    }
}
