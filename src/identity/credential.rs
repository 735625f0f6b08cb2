//! Finds the one credential that a request carries, or says why it cannot be told.
//!
//! A request with two credentials is refused, because choosing would be a guess about who is asking, and the two parts of
//! a chain of proxies may guess differently. The same key in both headers is one credential. An empty header is none.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use super::error::IdentityError;
use super::keys::PresentedKey;

/// What a request offers as proof.
#[derive(Debug)]
pub(super) enum Credential<'a> {
    /// A bearer key whose form is right.
    Key(PresentedKey<'a>),
}

/// Reads `Authorization` and `x-api-key`.
pub(super) fn read(headers: &HeaderMap) -> Result<Credential<'_>, IdentityError> {
    let bearer = match only(headers, &AUTHORIZATION)? {
        Some(value) => bearer_token(value)?,
        None => None,
    };
    let token = match (bearer, only(headers, &X_API_KEY)?) {
        (None, None) => return Err(IdentityError::Missing),
        (Some(one), Some(other)) if one != other => return Err(IdentityError::Several),
        (Some(token), _) | (None, Some(token)) => token,
    };
    PresentedKey::parse(token).map(Credential::Key).map_err(IdentityError::Malformed)
}

/// The value of a header that may stand once, without surrounding blanks; `None` where it is absent or empty.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, IdentityError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(IdentityError::Several);
    }
    if value.len() > MAX_CREDENTIAL_BYTES {
        return Err(IdentityError::TooLong);
    }
    Ok(Some(value.as_bytes().trim_ascii()).filter(|value| !value.is_empty()))
}

/// What follows `Bearer`, in whatever case the scheme is written (RFC 9110, section 11.1).
fn bearer_token(value: &[u8]) -> Result<Option<&[u8]>, IdentityError> {
    let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(value.len());
    let (scheme, rest) = value.split_at_checked(end).unwrap_or((value, &[]));
    if scheme.eq_ignore_ascii_case(b"Bearer") {
        return Ok(Some(rest.trim_ascii()).filter(|token| !token.is_empty()));
    }
    // SigV4 and SigV4a: `AWS4-HMAC-SHA256 Credential=…`, `AWS4-ECDSA-P256-SHA256 Credential=…`.
    let signed = scheme.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"AWS4-"));
    Err(if signed { IdentityError::Signed } else { IdentityError::Scheme })
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The longest header that is looked at. A key has 65 bytes; a `SigV4` header, which gets an answer of its own, has hundreds.
const MAX_CREDENTIAL_BYTES: usize = 4_096;
