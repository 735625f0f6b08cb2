//! A JSON Web Token as it is presented: its parts, read and not believed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::TokenFault;

/// A token's parts.
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    pub(super) claims: Map<String, Value>,
    /// What is signed.
    message: &'a str,
    signature: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

/// Whether a bearer token has the outer form of one: every such header begins with `{"`.
pub(in crate::identity) fn looks_like_one(token: &str) -> bool {
    token.starts_with("eyJ") && token.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl<'a> Token<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, TokenFault> {
        let (message, signature) = text.rsplit_once('.').ok_or(TokenFault::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(TokenFault::Malformed)?;
        let header: Header = part(header)?;
        if header.crit.is_some() {
            return Err(TokenFault::Critical);
        }
        // `none` and whatever else is no algorithm of a signature does not even parse.
        let algorithm = header.alg.parse().map_err(|_| TokenFault::Algorithm)?;
        Ok(Self { algorithm, key_id: header.kid, claims: part(claims)?, message, signature })
    }

    /// Who it says has issued it; empty where it says nothing.
    pub(super) fn issuer(&self) -> &str {
        self.claims.get("iss").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it is signed by a key.
    pub(super) fn is_signed_by(&self, key: &DecodingKey) -> bool {
        jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), key, self.algorithm).unwrap_or(false)
    }

    /// Whether one of some audiences is among those it names.
    pub(super) fn is_for(&self, claim: &str, audiences: &[String]) -> bool {
        let is_one = |value: &Value| value.as_str().is_some_and(|value| audiences.iter().any(|own| own == value));
        match self.claims.get(claim) {
            Some(Value::Array(named)) => named.iter().any(is_one),
            Some(named) => is_one(named),
            None => false,
        }
    }

    /// Until when it is good, in seconds with the leeway, if it is good now. One that never expires is none.
    pub(super) fn check_times(&self, leeway: Duration, now: Timestamp) -> Result<i64, TokenFault> {
        let leeway = i64::try_from(leeway.as_secs()).unwrap_or(0);
        let seconds = |claim: &str| match self.claims.get(claim) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => numeric_date(value).map(Some).ok_or_else(|| TokenFault::Claim(claim.to_owned())),
        };
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        let expires = seconds("exp")?.ok_or_else(|| TokenFault::Claim("exp".to_owned()))?;
        let until = expires.saturating_add(leeway);
        if now.as_second() >= until {
            return Err(TokenFault::Expired { at: at(expires) });
        }
        if let Some(begins) = seconds("nbf")?
            && now.as_second().saturating_add(leeway) < begins
        {
            return Err(TokenFault::NotYet { at: at(begins) });
        }
        Ok(until)
    }
}

/// Whoever has what is signed and its signature has the token.
impl std::fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { algorithm, key_id, claims: _, message: _, signature: _ } = self;
        f.debug_struct("Token").field("algorithm", algorithm).field("key_id", key_id).finish_non_exhaustive()
    }
}

/// Seconds since 1970; a fraction is cut off.
fn numeric_date(value: &Value) -> Option<i64> {
    if let Some(whole) = value.as_i64() {
        return Some(whole);
    }
    let number = value.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "it lies within the calendar")]
    (0.0..1e12).contains(&number).then_some(number as i64)
}

fn part<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, TokenFault> {
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenFault::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| TokenFault::Malformed)
}
