//! Why a request was refused, and why a call was paid for at its reservation: the words for it.
//!
//! The words are public API: they are a label in metrics, a field in the log, and the value of `x-tollgate-reason`. Which
//! HTTP status and message go with a refusal is not decided here.

use super::labels::{Outcome, words};

words! {
    /// Why Tollgate answered in Bedrock's place.
    pub enum RefusalReason {
        /// Method and path are no operation of Bedrock.
        UnknownOperation => "unknown_operation",
        /// The path is not in canonical form.
        InvalidPath => "invalid_path",
        /// The query holds what the operation does not take.
        InvalidQuery => "invalid_query",
        /// A header comes twice that may come once, or has a value that it cannot have.
        InvalidHeader => "invalid_header",
        /// The operation is known and not allowed.
        OperationRefused => "operation_refused",
        /// No credential was sent.
        MissingCredentials => "missing_credentials",
        /// The key belongs to nobody, or was revoked.
        UnknownKey => "unknown_key",
        /// The key has expired.
        ExpiredKey => "expired_key",
        /// A token of an issuer, or of an AWS role, proves nobody.
        InvalidToken => "invalid_token",
        /// Such a token has expired.
        ExpiredToken => "expired_token",
        /// What would verify a token does not answer.
        IssuerUnavailable => "issuer_unavailable",
        /// A signature does not hold.
        InvalidSignature => "invalid_signature",
        /// A signature lacks a part.
        IncompleteSignature => "incomplete_signature",
        /// Too many requests from one source did not prove who sent them.
        TooManyFailures => "too_many_failures",
        /// A listener that trusts whoever connects was asked by a web page, or over a proxy.
        PassedOn => "passed_on",
        /// More than one credential was sent, and they differ.
        AmbiguousCredentials => "ambiguous_credentials",
        /// The caller has no profile for the model.
        ModelUnmapped => "model_unmapped",
        /// The caller's profile of that model is being made, or AWS cannot make it at the moment.
        ProfilePending => "profile_pending",
        /// The name is of a kind that never leads to a profile.
        ModelRefusedKind => "model_refused_kind",
        /// The profile belongs to somebody else.
        ProfileNotYours => "profile_not_yours",
        /// The name is no model at all.
        NoSuchModel => "no_such_model",
        /// A policy denies the call.
        PolicyDenied => "policy_denied",
        /// The call could be served in a Region that is not allowed.
        RegionDenied => "region_denied",
        /// The caller lacks a tag that the session of the call takes.
        SessionUntaggable => "session_untaggable",
        /// A required guardrail is absent.
        GuardrailMissing => "guardrail_missing",
        /// Another guardrail than the required one was sent.
        GuardrailDifferent => "guardrail_different",
        /// The request asks for only parts of it to be guarded.
        GuardrailSelective => "guardrail_selective",
        /// The request asks for the guardrail to run behind the stream.
        GuardrailAsync => "guardrail_async",
        /// The body is not the JSON that the operation takes.
        BodyNotJson => "body_not_json",
        /// A key that matters occurs twice.
        DuplicateKey => "duplicate_key",
        /// The body is above the limit.
        BodyTooLarge => "body_too_large",
        /// The body did not arrive in time.
        BodyTimeout => "body_timeout",
        /// The body broke off.
        BodyIncomplete => "body_incomplete",
        /// A rate limit has no room for the call at the moment.
        RateLimited => "rate_limited",
        /// A budget is used up.
        BudgetExhausted => "budget_exhausted",
        /// The model has no price, so the call cannot be reserved.
        PriceUnknown => "price_unknown",
        /// The ledger's store does not answer.
        StoreUnavailable => "store_unavailable",
        /// The gateway has no AWS credentials.
        CredentialsUnavailable => "credentials_unavailable",
        /// No connection to Bedrock could be made.
        UpstreamConnect => "upstream_connect",
        /// Bedrock did not answer in time.
        UpstreamTimeout => "upstream_timeout",
        /// The connection to Bedrock broke before an answer came.
        UpstreamReset => "upstream_reset",
        /// Too much is open already.
        Overloaded => "overloaded",
        /// A mistake of Tollgate's own.
        Internal => "internal",
    }
}

impl RefusalReason {
    /// Whether it is about who asks. What is said of that holds nothing of a body.
    pub const fn is_of_identity(self) -> bool {
        matches!(
            self,
            Self::MissingCredentials
                | Self::UnknownKey
                | Self::ExpiredKey
                | Self::InvalidToken
                | Self::ExpiredToken
                | Self::IssuerUnavailable
                | Self::InvalidSignature
                | Self::IncompleteSignature
                | Self::TooManyFailures
                | Self::PassedOn
                | Self::AmbiguousCredentials
        )
    }

    /// Whether the refusal was Tollgate's decision or Bedrock's absence.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::UpstreamConnect | Self::UpstreamTimeout | Self::UpstreamReset => Outcome::UpstreamFailed,
            Self::UnknownOperation
            | Self::InvalidPath
            | Self::InvalidQuery
            | Self::InvalidHeader
            | Self::OperationRefused
            | Self::MissingCredentials
            | Self::UnknownKey
            | Self::ExpiredKey
            | Self::InvalidToken
            | Self::ExpiredToken
            | Self::IssuerUnavailable
            | Self::InvalidSignature
            | Self::IncompleteSignature
            | Self::TooManyFailures
            | Self::PassedOn
            | Self::AmbiguousCredentials
            | Self::ModelUnmapped
            | Self::ProfilePending
            | Self::ModelRefusedKind
            | Self::ProfileNotYours
            | Self::NoSuchModel
            | Self::PolicyDenied
            | Self::RegionDenied
            | Self::SessionUntaggable
            | Self::GuardrailMissing
            | Self::GuardrailDifferent
            | Self::GuardrailSelective
            | Self::GuardrailAsync
            | Self::BodyNotJson
            | Self::DuplicateKey
            | Self::BodyTooLarge
            | Self::BodyTimeout
            | Self::BodyIncomplete
            | Self::RateLimited
            | Self::BudgetExhausted
            | Self::PriceUnknown
            | Self::StoreUnavailable
            | Self::CredentialsUnavailable
            | Self::Overloaded
            | Self::Internal => Outcome::Refused,
        }
    }
}

words! {
    /// What the meter could not read.
    pub enum Unmetered {
        /// A message that does not parse, or whose checksum is wrong.
        MalformedMessage => "malformed_message",
        /// An answer that broke off.
        Truncated => "truncated",
        /// A whole answer without token counts.
        NoCounts => "no_counts",
        /// Counts of a model whose price is unknown.
        PriceUnknown => "price_unknown",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_word_of_its_own_that_can_stand_in_a_header() {
        let words: HashSet<&str> = RefusalReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), RefusalReason::ALL.len());
        assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    }
}
