//! Inbound SigV4: whether a request was signed with an access key that this gateway issued, over exactly what was received.
//!
//! The canonical path is the path of the request line, encoded once more and never decoded; `host` and `:authority` stand for one
//! another, because proxies turn one into the other; every other signed header counts as it was received. The
//! payload's hash is that of the body: a request is proved only once its body is there, and until then a [`Claim`] is all
//! there is. Secrets are made when they are needed and not kept; a signing key is kept for the days on which it is used.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

mod error;
mod presented;
mod short_term;
mod signing_keys;

use std::sync::Arc;
use std::time::SystemTime;

use aws_sigv4::sign::v4::calculate_signature;
use http::header::HOST;
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use subtle::ConstantTimeEq;

use super::keys::{HeldKey, KeyId, KeyRing, RootKey, RootKeys, key_of};
use super::shown::Shown;
use crate::sigv4::CanonicalRequest;
use error::SKEW_S;
use presented::{ALGORITHM, Form};
use signing_keys::SigningKeys;

pub use error::SignatureFault;
pub(super) use presented::{Presented, Query, is_presigned, parse_amz_date};
pub(super) use short_term::{PREFIX as SHORT_TERM_PREFIX, ShortTermKey};

/// Verifies signatures.
#[derive(Debug, Default)]
pub(super) struct Verifier {
    roots: RootKeys,
    /// The Regions that a scope may name; none means any.
    regions: Vec<String>,
    signing_keys: SigningKeys,
}

/// A signature that may hold: its key is known, its scope and its date are right.
#[derive(Debug)]
pub struct Claim<'a> {
    presented: Presented<'a>,
    id: KeyId,
    key: Arc<HeldKey>,
    root: RootKey,
    query: String,
}

/// What was signed besides headers.
struct Signed<'a> {
    method: &'a str,
    path: &'a str,
    payload_sha256: &'a str,
}

impl Claim<'_> {
    /// The key it names. Nothing is proved by that.
    pub const fn key_id(&self) -> KeyId {
        self.id
    }
}

impl Verifier {
    pub(super) fn new(roots: RootKeys, regions: Vec<String>) -> Self {
        Self { roots, regions, signing_keys: SigningKeys::default() }
    }

    /// Checks all of a signature that can be checked without the body.
    pub(super) fn claim<'a>(
        &self,
        presented: Presented<'a>,
        shown: &Shown<'a>,
        keys: &KeyRing,
        now: SystemTime,
    ) -> Result<Claim<'a>, SignatureFault> {
        let query = Query::read(shown.uri.query().unwrap_or_default());
        if shown.headers.contains_key(SECURITY_TOKEN) || query.has("X-Amz-Security-Token") {
            return Err(SignatureFault::SessionToken);
        }
        if let Some(declared) = shown.headers.get(CONTENT_SHA256)
            && [&b"UNSIGNED-PAYLOAD"[..], b"STREAMING-"].iter().any(|start| declared.as_bytes().starts_with(start))
        {
            return Err(SignatureFault::Payload);
        }
        let signs = |names: &[&str]| names.iter().any(|name| presented.signed_headers.contains(name));
        if !signs(&["host", ":authority"]) {
            return Err(SignatureFault::NotSigned("Host"));
        }
        if presented.form == Form::Header && !signs(&["x-amz-date", "date"]) {
            return Err(SignatureFault::NotSigned("X-Amz-Date"));
        }
        let query = query.without(&["X-Amz-Signature"]).canonical();
        self.known(presented, query, keys, now)
    }

    /// The key of a signature whose scope and date are right.
    fn known<'a>(
        &self,
        presented: Presented<'a>,
        query: String,
        keys: &KeyRing,
        now: SystemTime,
    ) -> Result<Claim<'a>, SignatureFault> {
        self.check_scope(&presented)?;
        check_date(&presented, now)?;
        let id = key_of(presented.access_key_id).map_err(SignatureFault::AccessKeyId)?;
        // A key whose root key is gone is as good as unknown: its secret cannot be made any more.
        let known = keys.access_key(id).and_then(|(key, root)| Some((key, self.roots.of(root)?.clone())));
        let (key, root) = known.ok_or(SignatureFault::AccessKeyId(super::keys::KeyFormatError::UnknownAccessKey))?;
        Ok(Claim { presented, id, key, root, query })
    }

    fn check_scope(&self, presented: &Presented<'_>) -> Result<(), SignatureFault> {
        let scope = &presented.scope;
        if scope.terminator != "aws4_request" {
            return Err(SignatureFault::Terminator);
        }
        if scope.service != SERVICE {
            return Err(SignatureFault::Service(excerpt(scope.service)));
        }
        let named = !scope.region.is_empty()
            && scope.region.len() <= LONGEST_REGION
            && scope.region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let taken = self.regions.is_empty() || self.regions.iter().any(|region| region == scope.region);
        if !named || !taken {
            return Err(SignatureFault::Region(excerpt(scope.region)));
        }
        if presented.amz_date.get(..8) != Some(scope.day) {
            let (scope, date) = (excerpt(scope.day), presented.amz_date.clone());
            return Err(SignatureFault::Day { scope, date });
        }
        Ok(())
    }

    /// Whether a claim holds over a request and its body, whose SHA-256 is given in hexadecimal. What the key is worth is another
    /// question, and may be asked only now.
    pub(super) fn prove(
        &self,
        claim: &Claim<'_>,
        shown: &Shown<'_>,
        body_sha256: &str,
    ) -> Result<Arc<HeldKey>, SignatureFault> {
        for declared in shown.headers.get_all(CONTENT_SHA256) {
            if !bool::from(declared.as_bytes().ct_eq(body_sha256.as_bytes())) {
                return Err(SignatureFault::ContentHash);
            }
        }
        let path = if shown.uri.path().is_empty() { "/" } else { shown.uri.path() };
        let signed = Signed { method: shown.method.as_str(), path, payload_sha256: body_sha256 };
        let headers = signed_values(&claim.presented.signed_headers, shown).ok_or(SignatureFault::Mismatch)?;
        self.compare(claim, &signed, &headers)
    }

    fn compare(
        &self,
        claim: &Claim<'_>,
        signed: &Signed<'_>,
        headers: &[(&str, String)],
    ) -> Result<Arc<HeldKey>, SignatureFault> {
        let Claim { presented, id, key, root, query } = claim;
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = CanonicalRequest {
            method: signed.method,
            path: signed.path,
            query,
            headers: &headers,
            payload_sha256: signed.payload_sha256,
        };
        let hash = request.sha256(&request.signed_headers());
        let scope = &presented.scope;
        let to_sign = format!(
            "{ALGORITHM}\n{}\n{}/{}/{}/{}\n{hash}",
            presented.amz_date, scope.day, scope.region, scope.service, scope.terminator
        );
        let signing_key = self.signing_keys.of(*id, root, presented);
        let signature = calculate_signature(signing_key.as_ref(), to_sign.as_bytes());
        if bool::from(signature.as_bytes().ct_eq(presented.signature.as_bytes())) {
            self.signing_keys.keep(*id, root, presented, signing_key);
            Ok(Arc::clone(key))
        } else {
            Err(SignatureFault::Mismatch)
        }
    }
}

/// Whether the date is within five minutes, or a presigned request within its time.
fn check_date(presented: &Presented<'_>, now: SystemTime) -> Result<(), SignatureFault> {
    let now = Timestamp::try_from(now).unwrap_or(Timestamp::MAX);
    let (at, now_s) = (presented.at, now.as_second());
    if at.as_second() > now_s.saturating_add(SKEW_S) {
        return Err(SignatureFault::TooNew { at, now });
    }
    match presented.form {
        Form::Header if at.as_second() < now_s.saturating_sub(SKEW_S) => Err(SignatureFault::TooOld { at, now }),
        Form::Header => Ok(()),
        Form::Query { expires_s } => {
            let until = at.as_second().saturating_add(i64::try_from(expires_s).unwrap_or(i64::MAX));
            if now_s < until {
                return Ok(());
            }
            Err(SignatureFault::Expired { since: Timestamp::from_second(until).unwrap_or(at) })
        }
    }
}

/// The signed headers with their values; `None` where one of them is not there, or holds what is no text.
fn signed_values<'a>(names: &[&'a str], shown: &Shown<'_>) -> Option<Vec<(&'a str, String)>> {
    names
        .iter()
        .map(|name| {
            let value = match *name {
                "host" => host(shown)?,
                ":authority" => authority(shown)?,
                name => joined(shown.headers, name)?,
            };
            Some((*name, value))
        })
        .collect()
}

fn host(shown: &Shown<'_>) -> Option<String> {
    match joined(shown.headers, HOST.as_str()) {
        Some(host) => Some(host),
        None => shown.uri.authority().map(|authority| authority.as_str().to_owned()),
    }
}

fn authority(shown: &Shown<'_>) -> Option<String> {
    match shown.uri.authority() {
        Some(authority) => Some(authority.as_str().to_owned()),
        None => joined(shown.headers, HOST.as_str()),
    }
}

/// All values of a header, in the order in which they came.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name).iter().map(|value| std::str::from_utf8(value.as_bytes()));
    let mut all = values.next()?.ok()?.trim().to_owned();
    for value in values {
        all.push(',');
        all.push_str(value.ok()?.trim());
    }
    Some(all)
}

/// What a caller wrote, short enough to be repeated to them and fit for a log line.
fn excerpt(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(40).collect()
}

const SERVICE: &str = "bedrock";
/// The longest name of a Region is far shorter.
const LONGEST_REGION: usize = 40;
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

#[cfg(test)]
mod tests;
