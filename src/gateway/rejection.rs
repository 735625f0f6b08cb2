//! A rejection: Tollgate answers in Bedrock's place. The one file that knows HTTP statuses.
//!
//! The answer is AWS-shaped: the error's type in `x-amzn-ErrorType`, `{"message": …}` as the body, so that an SDK raises its
//! own exception. `x-tollgate-reason` tells it from Bedrock's own. Statuses are chosen by what clients were measured to do,
//! so that the person at the keyboard sees the text at once and nobody tries again in vain:
//!
//! - 402 for an exhausted budget is tried once everywhere, where 429 would be tried up to eight times.
//! - 429 for a rate limit is tried again everywhere, after `Retry-After` where the client reads it.
//! - 401, with `x-should-retry: false`, for a credential: Claude Code shows it at once, and is silent for minutes on a 403.
//! - 403 only with AWS's own sentence of a model without access at its head, which Claude Code shows at once too.
//! - 400 for a guardrail's refusal, whose text cannot begin with that sentence.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde_json::json;

use crate::bedrock::headers::{ERROR_TYPE, REQUEST_ID, SHOULD_RETRY, TOLLGATE_REASON};
use crate::telemetry::RefusalReason;

/// Why a request goes no further: one text for the caller, one for the log.
#[derive(Debug, thiserror::Error)]
#[error("{log}")]
pub struct Rejection {
    pub(super) reason: RefusalReason,
    pub(super) caller: String,
    pub(super) log: String,
    /// When to try again, where that makes sense.
    retry_after_s: u64,
}

impl Rejection {
    pub(super) fn new(reason: RefusalReason, caller: impl Into<String>, log: impl Into<String>) -> Self {
        Self { reason, caller: caller.into(), log: log.into(), retry_after_s: SHORTLY_S }
    }

    /// A rejection whose log line has nothing to add to what the caller is told.
    pub(super) fn plain(reason: RefusalReason, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { reason, caller: text.clone(), log: text, retry_after_s: SHORTLY_S }
    }

    /// The same, to be tried again after so many seconds.
    pub(super) fn after(mut self, retry_after_s: u64) -> Self {
        self.retry_after_s = retry_after_s;
        self
    }

    /// The machine-readable reason.
    pub const fn reason(&self) -> RefusalReason {
        self.reason
    }

    /// The status and AWS's name of the error.
    pub const fn status(&self) -> (StatusCode, &'static str) {
        use RefusalReason as R;
        match self.reason {
            R::UnknownOperation | R::OperationRefused => (StatusCode::NOT_FOUND, "UnknownOperationException"),
            R::InvalidPath
            | R::InvalidQuery
            | R::InvalidHeader
            | R::BodyNotJson
            | R::DuplicateKey
            | R::BodyIncomplete => (StatusCode::BAD_REQUEST, "ValidationException"),
            R::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "ValidationException"),
            R::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "ValidationException"),
            R::MissingCredentials => (StatusCode::UNAUTHORIZED, "MissingAuthenticationTokenException"),
            R::UnknownKey | R::InvalidToken | R::AmbiguousCredentials => {
                (StatusCode::UNAUTHORIZED, "UnrecognizedClientException")
            }
            R::ExpiredKey | R::ExpiredToken => (StatusCode::UNAUTHORIZED, "ExpiredTokenException"),
            R::InvalidSignature => (StatusCode::UNAUTHORIZED, "InvalidSignatureException"),
            R::IncompleteSignature => (StatusCode::UNAUTHORIZED, "IncompleteSignatureException"),
            R::NoSuchModel => (StatusCode::NOT_FOUND, "ResourceNotFoundException"),
            R::PassedOn
            | R::ModelUnmapped
            | R::ModelRefusedKind
            | R::ProfileNotYours
            | R::PolicyDenied
            | R::SessionUntaggable
            | R::RegionDenied => (StatusCode::FORBIDDEN, "AccessDeniedException"),
            R::GuardrailMissing
            | R::GuardrailDifferent
            | R::GuardrailSelective
            | R::GuardrailAsync
            | R::PriceUnknown => (StatusCode::BAD_REQUEST, "AccessDeniedException"),
            R::RateLimited | R::TooManyFailures => (StatusCode::TOO_MANY_REQUESTS, "ThrottlingException"),
            R::BudgetExhausted => (StatusCode::PAYMENT_REQUIRED, "ServiceQuotaExceededException"),
            R::IssuerUnavailable
            | R::ProfilePending
            | R::StoreUnavailable
            | R::CredentialsUnavailable
            | R::UpstreamConnect
            | R::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException"),
            R::UpstreamTimeout => (StatusCode::GATEWAY_TIMEOUT, "ServiceUnavailableException"),
            R::UpstreamReset => (StatusCode::BAD_GATEWAY, "ServiceUnavailableException"),
            R::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException"),
        }
    }

    /// Whether the same request can succeed a moment later.
    const fn passes(&self) -> bool {
        use RefusalReason as R;
        matches!(
            self.reason,
            R::BodyTimeout
                | R::BodyIncomplete
                | R::RateLimited
                | R::TooManyFailures
                | R::IssuerUnavailable
                | R::ProfilePending
                | R::StoreUnavailable
                | R::CredentialsUnavailable
                | R::UpstreamConnect
                | R::UpstreamTimeout
                | R::UpstreamReset
                | R::Overloaded
                | R::Internal
        )
    }

    /// The answer.
    pub(super) fn answer(&self, request_id: &HeaderValue) -> Response<Bytes> {
        let (status, error_type) = self.status();
        let body = Bytes::from(json!({ "message": self.caller }).to_string());
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let length = HeaderValue::from(response.body().len());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(ERROR_TYPE, HeaderValue::from_static(error_type));
        headers.insert(TOLLGATE_REASON, HeaderValue::from_static(self.reason.as_str()));
        headers.insert(REQUEST_ID, request_id.clone());
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.passes() {
            headers.insert(RETRY_AFTER, HeaderValue::from(self.retry_after_s));
        } else {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        response
    }
}

/// Short: the anthropic SDKs sleep for as long as they are told.
const SHORTLY_S: u64 = 1;
