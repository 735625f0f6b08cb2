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

    /// The value of `x-amzn-ErrorType`.
    pub(super) fn error_type(&self) -> String {
        format!("{}:{}", self.kind, self.namespace)
    }
}
