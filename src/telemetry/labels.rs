//! Label values as types, so that callers cannot make series: their number is bounded by configuration, by enums, and by what AWS has.
//!
//! There is no way from a caller's text to a label: principals are those who have proved who they are; profiles are named by
//! configuration or, where they were found, in AWS, and there are as many as the accounts have; models by the profile that leads to
//! them, and everything else is a word of an enum (an unknown word is `other`).

use std::fmt::{self, Write as _};
use std::sync::{Arc, LazyLock};

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

use crate::bedrock::Operation;
use crate::budget::ReservedReason;
use crate::identity::Principal;
use crate::types::ModelId;

/// Declares an enum whose variants are words in metrics, logs and headers; the words are public API.
macro_rules! words {
    ($(#[$about:meta])* pub enum $name:ident { $($(#[$variant_about:meta])* $variant:ident => $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_about])* $variant,)+ }

        impl $name {
            /// Every variant, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word for it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl prometheus_client::encoding::EncodeLabelValue for $name {
            fn encode(
                &self,
                encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
            ) -> Result<(), std::fmt::Error> {
                std::fmt::Write::write_str(encoder, self.as_str())
            }
        }
    };
}
pub(super) use words;

/// Declares a label that holds a name from configuration, or of a profile that was found.
macro_rules! configured_name {
    ($(#[$about:meta])* pub struct $name:ident;) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name, or the placeholder that stands for none.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
                encoder.write_str(&self.0)
            }
        }
    };
}

configured_name! {
    /// Who asked. Until somebody is known it reads `(unknown)`.
    pub struct PrincipalLabel;
}

impl PrincipalLabel {
    /// Nobody has been authenticated.
    pub fn unknown() -> Self {
        static UNKNOWN: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("(unknown)"));
        Self(Arc::clone(&UNKNOWN))
    }
}

impl From<&Principal> for PrincipalLabel {
    fn from(principal: &Principal) -> Self {
        Self(Arc::clone(principal.shared_name()))
    }
}

configured_name! {
    /// The application inference profile that was used, by its name. Found profiles of two accounts or Regions may have equal names;
    /// they share a series.
    pub struct ProfileLabel;
}

impl ProfileLabel {
    /// No profile was chosen, or the operation takes none.
    pub fn none() -> Self {
        static NONE: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("(none)"));
        Self(Arc::clone(&NONE))
    }

    /// A profile's name. It must come from the directory of profiles, which configuration bounds, and what AWS has where profiles
    /// are discovered.
    pub fn configured(name: &Arc<str>) -> Self {
        Self(Arc::clone(name))
    }
}

configured_name! {
    /// The model behind the profile that was used.
    pub struct ModelLabel;
}

impl ModelLabel {
    /// A name that leads to no profile. Callers choose those names, so all of them share one series.
    pub fn other() -> Self {
        static OTHER: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("other"));
        Self(Arc::clone(&OTHER))
    }

    /// The source model of a profile. It must come from the directory of profiles, which names no more models than it has profiles.
    pub fn of_profile(source: &ModelId) -> Self {
        Self(Arc::clone(source.text()))
    }
}

/// What was asked for: AWS's name of the operation, or `other` for what is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OperationLabel(pub(super) Option<Operation>);

impl OperationLabel {
    pub(super) const fn as_str(self) -> &'static str {
        match self.0 {
            Some(operation) => operation.name(),
            None => "other",
        }
    }
}

impl EncodeLabelValue for OperationLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.as_str())
    }
}

words! {
    /// How a request ended, in one word.
    pub enum Outcome {
        /// The caller has the whole answer.
        Ok => "ok",
        /// Tollgate refused the request.
        Refused => "refused",
        /// Bedrock answered with an exception, at once or within the stream.
        Fault => "fault",
        /// The caller hung up first.
        ClientGone => "client_gone",
        /// Bedrock could not be reached, or its answer broke off.
        UpstreamFailed => "upstream_failed",
    }
}

words! {
    /// What kind of token a number counts.
    pub enum TokenKind {
        /// Input tokens that came from no cache.
        Input => "input",
        /// Output tokens.
        Output => "output",
        /// Input tokens read from the prompt cache.
        CacheRead => "cache_read",
        /// Input tokens written to the prompt cache for five minutes.
        CacheWrite5m => "cache_write_5m",
        /// Input tokens written to the prompt cache for an hour.
        CacheWrite1h => "cache_write_1h",
    }
}

words! {
    /// Something that is read again while the gateway runs.
    pub enum Reloaded {
        /// The configuration file.
        Config => "config",
        /// The file of caller keys.
        Keys => "keys",
        /// The server's certificate and key.
        Certificate => "certificate",
        /// The inference profiles of an account in a Region.
        Profiles => "profiles",
    }
}

words! {
    /// Whether something worked.
    pub enum Success {
        /// It did.
        Ok => "ok",
        /// It did not.
        Failed => "failed",
    }
}

words! {
    /// The exceptions that Bedrock's APIs and AWS's front door answer with.
    pub enum FaultName {
        /// The gateway's role may not do this.
        AccessDenied => "AccessDeniedException",
        /// Two changes at once.
        Conflict => "ConflictException",
        /// The gateway's session token has expired.
        ExpiredToken => "ExpiredTokenException",
        /// The signature has expired or lies in the future.
        InvalidSignature => "InvalidSignatureException",
        /// A fault of AWS's own.
        InternalServer => "InternalServerException",
        /// Nothing was signed.
        MissingAuthenticationToken => "MissingAuthenticationTokenException",
        /// The model failed.
        ModelError => "ModelErrorException",
        /// The model is not ready yet.
        ModelNotReady => "ModelNotReadyException",
        /// The model failed while it streamed.
        ModelStreamError => "ModelStreamErrorException",
        /// The model took too long.
        ModelTimeout => "ModelTimeoutException",
        /// No such model, profile or guardrail.
        ResourceNotFound => "ResourceNotFoundException",
        /// The account's quota is used up.
        ServiceQuotaExceeded => "ServiceQuotaExceededException",
        /// AWS is not available.
        ServiceUnavailable => "ServiceUnavailableException",
        /// The account calls too fast.
        Throttling => "ThrottlingException",
        /// The access key is unknown to AWS.
        UnrecognizedClient => "UnrecognizedClientException",
        /// The request is malformed.
        Validation => "ValidationException",
        /// Any other name, or none.
        Other => "other",
    }
}

impl FaultName {
    /// Reads a name as it is on the wire: the header `x-amzn-ErrorType` (`Name:http://…`), a body's `__type`
    /// (`namespace#Name`), or a stream's `:exception-type` (`throttlingException`).
    pub fn from_wire(text: &str) -> Self {
        let name = text.split(':').next().unwrap_or_default();
        let name = name.rsplit('#').next().unwrap_or_default().trim();
        Self::ALL.iter().copied().find(|known| known.as_str().eq_ignore_ascii_case(name)).unwrap_or(Self::Other)
    }
}

/// What went wrong on Bedrock's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Bedrock answered with an exception in place of an answer.
    Answered(FaultName),
    /// An exception message came within an opened stream.
    Exception(FaultName),
    /// No connection could be made.
    Connect,
    /// Nothing came in time.
    Timeout,
    /// The connection broke.
    Reset,
    /// The answer ended before its end.
    Truncated,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(name) => f.write_str(name.as_str()),
            Self::Exception(name) => write!(f, "exception:{name}"),
            Self::Connect => f.write_str("connect"),
            Self::Timeout => f.write_str("timeout"),
            Self::Reset => f.write_str("reset"),
            Self::Truncated => f.write_str("truncated"),
        }
    }
}

impl EncodeLabelValue for ReservedReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.as_str())
    }
}

impl EncodeLabelValue for FaultKind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        write!(encoder, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_known_by_each_of_its_spellings() {
        for (text, name) in [
            ("ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/", FaultName::Throttling),
            ("com.amazon.coral.service#AccessDeniedException", FaultName::AccessDenied),
            ("modelStreamErrorException", FaultName::ModelStreamError),
            ("ValidationException", FaultName::Validation),
            ("SomethingNewException", FaultName::Other),
            ("", FaultName::Other),
        ] {
            assert_eq!(FaultName::from_wire(text), name, "{text}");
        }
    }

    #[test]
    fn a_fault_kind_tells_a_stream_exception_from_an_answer() {
        assert_eq!(FaultKind::Answered(FaultName::Throttling).to_string(), "ThrottlingException");
        assert_eq!(FaultKind::Exception(FaultName::Throttling).to_string(), "exception:ThrottlingException");
    }
}
