//! Why a signature does not hold, in AWS's words for the caller and in plain ones for the log.

use jiff::Timestamp;

use crate::identity::keys::KeyFormatError;

/// Why a signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureFault {
    /// Another algorithm than `AWS4-HMAC-SHA256`.
    Algorithm,
    /// A part that has to be there is not.
    Incomplete(&'static str),
    /// A part is not in its form, or there twice.
    Malformed(&'static str),
    /// An access key id that no key of this gateway has.
    AccessKeyId(KeyFormatError),
    /// A session token, which this gateway issues to nobody.
    SessionToken,
    /// A body that is not signed, or signed piece by piece.
    Payload,
    /// The scope's service is another.
    Service(String),
    /// The scope's Region is none that is taken here.
    Region(String),
    /// The scope does not end in `aws4_request`.
    Terminator,
    /// The scope's day is not that of the date.
    Day {
        /// The scope's.
        scope: String,
        /// The date.
        date: String,
    },
    /// Neither `host` nor `:authority` is signed, or the date is not.
    NotSigned(&'static str),
    /// Signed longer ago than is allowed.
    TooOld {
        /// When it was signed.
        at: Timestamp,
        /// Now.
        now: Timestamp,
    },
    /// Signed in the future.
    TooNew {
        /// When it was signed.
        at: Timestamp,
        /// Now.
        now: Timestamp,
    },
    /// A presigned request, or a short-term key, whose time is over.
    Expired {
        /// Since when.
        since: Timestamp,
    },
    /// `x-amz-content-sha256` is not the body's.
    ContentHash,
    /// The signature is another.
    Mismatch,
    /// A short-term key that is none.
    ShortTerm(&'static str),
}

impl SignatureFault {
    /// What the person at the keyboard reads.
    pub fn caller_text(&self) -> String {
        match self {
            Self::Algorithm => "Unsupported AWS 'algorithm': this gateway verifies AWS4-HMAC-SHA256 and no other.".to_owned(),
            Self::Incomplete("X-Amz-Date") => {
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.".to_owned()
            }
            Self::Incomplete(part) => format!("Authorization header requires '{part}' parameter."),
            Self::Malformed(part) => format!("'{part}' is not in the form of a SigV4 signature, or is there twice."),
            Self::AccessKeyId(error) => format!("The security token included in the request is invalid: {error}."),
            Self::SessionToken => "The security token included in the request is invalid: this gateway issues no session tokens. Use the \
                 access key that you were given for it, without a session token (is AWS_SESSION_TOKEN still set?)."
                .to_owned(),
            Self::Payload => "The body must be signed as a whole: x-amz-content-sha256 is its SHA-256, or absent. UNSIGNED-PAYLOAD and \
                 streaming signatures are not taken here."
                .to_owned(),
            Self::Service(service) => {
                format!("Credential should be scoped to correct service: 'bedrock', not '{service}'.")
            }
            Self::Region(region) => format!("Credential should be scoped to a valid region, not '{region}'."),
            Self::Terminator => "Credential should be scoped with a valid terminator: 'aws4_request'.".to_owned(),
            Self::Day { scope, date } => format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{scope}' != '{}', \
                 from '{date}'.",
                date.get(..8).unwrap_or_default()
            ),
            Self::NotSigned(header) => format!("'{header}' must be a 'SignedHeader' in the AWS Authorization."),
            Self::TooOld { at, now } => {
                let earliest = shifted(*now, -SKEW_S);
                format!("Signature expired: {} is now earlier than {} ({} - 5 min.)", basic(*at), basic(earliest), basic(*now))
            }
            Self::TooNew { at, now } => {
                let latest = shifted(*now, SKEW_S);
                format!("Signature not yet current: {} is still later than {} ({} + 5 min.)", basic(*at), basic(latest), basic(*now))
            }
            Self::Expired { since } => {
                format!("The security token included in the request is expired: it was good until {since}.")
            }
            Self::ContentHash => "The provided 'x-amz-content-sha256' header does not match what was computed.".to_owned(),
            Self::Mismatch => "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
                 Key and signing method. Consult the service documentation for details."
                .to_owned(),
            Self::ShortTerm(why) => format!("The security token included in the request is invalid: {why}."),
        }
    }

    /// What the operator reads.
    pub fn log_text(&self) -> String {
        match self {
            Self::AccessKeyId(error) => format!("SigV4: {error}"),
            Self::SessionToken => "SigV4: a session token".to_owned(),
            Self::Payload => "SigV4: the payload is not signed as a whole".to_owned(),
            Self::ContentHash => "SigV4: x-amz-content-sha256 is not the SHA-256 of the body".to_owned(),
            Self::Mismatch => "SigV4: the signature is another than the one calculated".to_owned(),
            Self::Expired { since } => format!("SigV4: presigned, and expired since {since}"),
            Self::ShortTerm(why) => format!("short-term Bedrock API key: {why}"),
            Self::Algorithm
            | Self::Incomplete(_)
            | Self::Malformed(_)
            | Self::Service(_)
            | Self::Region(_)
            | Self::Terminator
            | Self::Day { .. }
            | Self::NotSigned(_)
            | Self::TooOld { .. }
            | Self::TooNew { .. } => format!("SigV4: {}", self.caller_text()),
        }
    }
}

/// As `x-amz-date` has it.
fn basic(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn shifted(at: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(at.as_second().saturating_add(seconds)).unwrap_or(at)
}

/// How far clocks may be apart: AWS's five minutes.
pub(super) const SKEW_S: i64 = 300;
