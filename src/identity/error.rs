//! Why a caller is not known, in two texts: one for the caller, one for the log.
//!
//! The caller's text tells no one whether a key id exists: an unknown key, a wrong secret, a revoked key and a key whose
//! owner is gone read the same. The log's text says which it was. Neither holds a secret: a key's id is public, and only an
//! id of the right form is repeated.

use std::time::Duration;

use jiff::Timestamp;

use super::aws_login::LoginFault;
use super::certificates::CertificateFault;
use super::keys::{KeyFormatError, KeyId};
use super::oidc::TokenFault;
use super::shown::PassedOn;
use super::sigv4::SignatureFault;

/// Why a caller is not known. All of these are the caller's side's to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// No credential at all.
    Missing,
    /// Two credentials, or one header twice.
    Several,
    /// A header longer than any credential.
    TooLong,
    /// A signature that does not hold.
    Signature(SignatureFault),
    /// A token of an issuer that proves nobody.
    Token(TokenFault),
    /// An AWS role that is not proved.
    AwsLogin(LoginFault),
    /// A client certificate that proves nobody any more, or not yet.
    Certificate(CertificateFault),
    /// A kind of credential that is not taken here, because nothing is configured to verify it.
    NotTaken(&'static str),
    /// A listener that trusts whoever connects was reached by something that speaks for others.
    PassedOn(PassedOn),
    /// Too many failures from one source.
    TooManyFailures {
        /// When to try again.
        retry_after: Duration,
    },
    /// An `Authorization` scheme that is not known.
    Scheme,
    /// A bearer token that is no key of this gateway, or a mistyped one.
    Malformed(KeyFormatError),
    /// No key has this id.
    Unknown {
        /// The id that was asked for.
        id: KeyId,
    },
    /// A key has this id, but another secret.
    WrongSecret {
        /// The key's id.
        id: KeyId,
    },
    /// The key was revoked.
    Revoked {
        /// The key's id.
        id: KeyId,
        /// Since when.
        at: Timestamp,
    },
    /// The key's time is over.
    Expired {
        /// The key's id.
        id: KeyId,
        /// Since when.
        at: Timestamp,
    },
    /// The key is good, but its owner is no principal of the configuration.
    NoSuchPrincipal {
        /// The key's id.
        id: KeyId,
        /// The owner that the key names.
        principal: String,
    },
}

impl IdentityError {
    /// Whether it may have been tried to be somebody else; not where nothing was sent, nothing could be verified, or what was sent did prove
    /// its owner, only too late.
    pub const fn is_a_guess(&self) -> bool {
        if let Self::AwsLogin(fault) = self {
            return fault.is_a_guess();
        }
        !matches!(
            self,
            Self::Missing
                | Self::TooManyFailures { .. }
                | Self::PassedOn(_)
                | Self::Revoked { .. }
                | Self::Expired { .. }
                | Self::NoSuchPrincipal { .. }
                | Self::Certificate(_)
                | Self::Token(TokenFault::Unavailable(_) | TokenFault::Expired { .. })
        )
    }

    /// What the person at the keyboard reads. The name of the header `x-api-key` must not stand in it: Claude Code shows words of its own
    /// in place of a text that has it.
    pub fn caller_text(&self) -> String {
        match self {
            Self::Missing => "Missing Authentication Token: send the key you were given for this gateway as \
                 `Authorization: Bearer tg_…` (AWS SDKs and the AWS CLI send it from AWS_BEARER_TOKEN_BEDROCK), or \
                 sign with the access key you were given for it."
                .to_owned(),
            Self::Signature(fault) => fault.caller_text(),
            Self::Token(fault) => fault.caller_text(),
            Self::AwsLogin(fault) => fault.caller_text(),
            Self::Certificate(fault) => fault.caller_text(),
            Self::NotTaken(kind) => format!(
                "The security token included in the request is invalid: it is {kind}, and this gateway takes none. Ask its operator \
                 which credentials it takes."
            ),
            Self::PassedOn(by) => by.caller_text().to_owned(),
            Self::TooManyFailures { retry_after } => format!(
                "Too many requests from your address did not prove who sent them. Check the credential that your client sends; \
                 it is looked at again in {} s.",
                retry_after.as_secs().max(1)
            ),
            Self::Several => "The request carries more than one credential: send one key, in one header.".to_owned(),
            Self::TooLong => "The credential is too long to be a key of this gateway: send `Authorization: Bearer tg_…`.".to_owned(),
            Self::Scheme => "This gateway takes `Authorization: Bearer …` and `Authorization: AWS4-HMAC-SHA256 …`, and no other scheme.".to_owned(),
            Self::Malformed(error) => format!("The security token included in the request is invalid: {error}."),
            Self::Expired { id, at } => format!(
                "The security token included in the request is expired: key {id} was good until {at}. Ask the operator of this \
                 gateway for a new one."
            ),
            Self::Unknown { id } | Self::WrongSecret { id } | Self::Revoked { id, .. } | Self::NoSuchPrincipal { id, .. } => {
                format!(
                    "The security token included in the request is invalid: key {id} is not known here, or no longer. Ask the \
                     operator of this gateway for a new one."
                )
            }
        }
    }

    /// What the operator reads.
    pub fn log_text(&self) -> String {
        match self {
            Self::Missing => "no credential".to_owned(),
            Self::Several => "more than one credential, or a credential header twice".to_owned(),
            Self::TooLong => "a credential header that is too long".to_owned(),
            Self::Signature(fault) => fault.log_text(),
            Self::Token(fault) => fault.log_text(),
            Self::AwsLogin(fault) => fault.log_text(),
            Self::Certificate(fault) => format!("certificate: {fault:?}"),
            Self::NotTaken(kind) => format!("{kind}, which is not configured"),
            Self::PassedOn(by) => format!("on a listener that trusts whoever connects: {by:?}"),
            Self::TooManyFailures { .. } => "too many failures from this source".to_owned(),
            Self::Scheme => "an Authorization scheme that is not known".to_owned(),
            Self::Malformed(error) => format!("malformed key: {error}"),
            Self::Unknown { id } => format!("no key has the id {id}"),
            Self::WrongSecret { id } => format!("key {id} was presented with a wrong secret"),
            Self::Revoked { id, at } => format!("key {id} was revoked at {at}"),
            Self::Expired { id, at } => format!("key {id} expired at {at}"),
            Self::NoSuchPrincipal { id, principal } => {
                format!("key {id} belongs to {principal:?}, which is no principal of the configuration")
            }
        }
    }
}

impl From<TokenFault> for IdentityError {
    fn from(fault: TokenFault) -> Self {
        Self::Token(fault)
    }
}

impl From<LoginFault> for IdentityError {
    fn from(fault: LoginFault) -> Self {
        Self::AwsLogin(fault)
    }
}

impl From<SignatureFault> for IdentityError {
    fn from(fault: SignatureFault) -> Self {
        Self::Signature(fault)
    }
}

impl std::fmt::Display for IdentityError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.log_text())
    }
}

impl std::error::Error for IdentityError {}
