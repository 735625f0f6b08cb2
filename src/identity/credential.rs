//! Finds the one credential that a request carries, or says why it cannot be told.
//!
//! A request with two credentials is refused, because choosing would be a guess about who is asking, and the two parts of
//! a chain of proxies may guess differently. The same key in both headers is one credential. An empty header is none.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use super::error::IdentityError;
use super::keys::{KeyFormatError, PresentedKey};
use super::shown::Shown;
use super::sigv4::{Presented, Query, SHORT_TERM_PREFIX, ShortTermKey, is_presigned};
use super::{aws_login, oidc};

/// What a request offers as proof.
pub(super) enum Credential<'a> {
    /// A bearer key whose form is right.
    Key(PresentedKey<'a>),
    /// A SigV4 signature over the request.
    Signature(Presented<'a>),
    /// A short-term Bedrock API key.
    ShortTerm(ShortTermKey),
    /// A token of an AWS role.
    AwsLogin(&'a str),
    /// A JSON Web Token.
    Token(&'a str),
}

impl std::fmt::Debug for Credential<'_> {
    /// Its kind: most of them are secrets as a whole.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key",
            Self::Signature(_) => "Signature",
            Self::ShortTerm(_) => "ShortTerm",
            Self::AwsLogin(_) => "AwsLogin",
            Self::Token(_) => "Token",
        })
    }
}

/// Reads `Authorization`, `x-api-key` and the query.
pub(super) fn read<'a>(shown: &Shown<'a>) -> Result<Credential<'a>, IdentityError> {
    let authorization = only(shown.headers, &AUTHORIZATION)?;
    let api_key = only(shown.headers, &X_API_KEY)?;
    let query = shown.uri.query().unwrap_or_default();
    if is_presigned(query) {
        if authorization.is_some() || api_key.is_some() {
            return Err(IdentityError::Several);
        }
        return Ok(Credential::Signature(Presented::in_query(&Query::read(query))?));
    }
    if let Some(value) = authorization
        && is_signature(value)
    {
        if api_key.is_some() {
            return Err(IdentityError::Several);
        }
        let value = std::str::from_utf8(value).map_err(|_| IdentityError::Scheme)?;
        return Ok(Credential::Signature(Presented::in_header(value, shown.headers)?));
    }
    let bearer = match authorization {
        Some(value) => bearer_token(value)?,
        None => None,
    };
    match (bearer, api_key) {
        (None, None) => Err(IdentityError::Missing),
        (Some(one), Some(other)) if one != other => Err(IdentityError::Several),
        (Some(token), _) | (None, Some(token)) => of_token(token),
    }
}

/// What kind of token it is, by how it begins.
fn of_token(token: &[u8]) -> Result<Credential<'_>, IdentityError> {
    let text = std::str::from_utf8(token).map_err(|_| IdentityError::Malformed(KeyFormatError::Prefix))?;
    if text.starts_with(SHORT_TERM_PREFIX) {
        return Ok(Credential::ShortTerm(ShortTermKey::read(text)?));
    }
    if text.starts_with(aws_login::PREFIX) {
        return Ok(Credential::AwsLogin(text));
    }
    if oidc::looks_like_one(text) {
        return Ok(Credential::Token(text));
    }
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

/// SigV4 and SigV4a: `AWS4-HMAC-SHA256 Credential=…`, `AWS4-ECDSA-P256-SHA256 Credential=…`.
fn is_signature(value: &[u8]) -> bool {
    value.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"AWS4-"))
}

/// What follows `Bearer`, in whatever case the scheme is written (RFC 9110, section 11.1).
fn bearer_token(value: &[u8]) -> Result<Option<&[u8]>, IdentityError> {
    let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(value.len());
    let (scheme, rest) = value.split_at_checked(end).unwrap_or((value, &[]));
    if scheme.eq_ignore_ascii_case(b"Bearer") {
        return Ok(Some(rest.trim_ascii()).filter(|token| !token.is_empty()));
    }
    Err(IdentityError::Scheme)
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The longest header that is looked at. A key has 65 bytes, a `SigV4` header hundreds, a token with a hundred groups in it
/// thousands.
const MAX_CREDENTIAL_BYTES: usize = 16_384;
