//! Signs outgoing requests, with the derived key kept for the day it is good for.
//!
//! Deriving a key costs four HMACs; it depends only on secret, day and Region, so it is kept per (access key id, day, Region).

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use aws_sigv4::sign::v4::generate_signing_key;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;

use sha2::Sha256;

use super::canonical::CanonicalRequest;
use super::{HASH_DIGITS, push_hex};
use crate::types::{Region, Secret};

/// The key pair of an AWS principal.
#[derive(Clone)]
pub struct AwsCredentials {
    /// `AKIA…` or `ASIA…`.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// With temporary credentials.
    pub session_token: Option<Secret>,
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// What a signature adds to a request.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The value of `authorization`.
    pub authorization: String,
}

/// Signs for one service: `bedrock`, unless said otherwise.
#[derive(Debug)]
pub struct Signer {
    service: &'static str,
    keys: ArcSwap<Vec<Arc<SigningKey>>>,
}

impl Default for Signer {
    fn default() -> Self {
        Self::for_service("bedrock")
    }
}

impl Signer {
    /// Signs for a service by the name that signatures have.
    pub fn for_service(service: &'static str) -> Self {
        Self { service, keys: ArcSwap::default() }
    }

    /// The value of `x-amz-date` for a moment: `20261121T231900Z`.
    pub fn amz_date(now: SystemTime) -> String {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let moment = Timestamp::from_second(i64::try_from(seconds).unwrap_or(0)).unwrap_or(Timestamp::UNIX_EPOCH);
        let date = moment.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let mut text = String::with_capacity("20261121T231900Z".len());
        let [century, year] = [date.year() / 100, date.year() % 100].map(|two| i8::try_from(two).unwrap_or(0));
        for number in [century, year, date.month(), date.day()] {
            push_two(&mut text, number);
        }
        text.push('T');
        for number in [date.hour(), date.minute(), date.second()] {
            push_two(&mut text, number);
        }
        text.push('Z');
        text
    }

    /// Signs a canonical request whose headers hold `x-amz-date` with the value `amz_date`, made by [`Signer::amz_date`]
    /// from the same `now`.
    pub fn sign(
        &self,
        request: &CanonicalRequest<'_>,
        amz_date: &str,
        now: SystemTime,
        credentials: &AwsCredentials,
        region: &Region,
    ) -> Signature {
        let day = amz_date.get(..8).unwrap_or_default();
        let signed_headers = request.signed_headers();
        let scope = [day, "/", region.as_str(), "/", self.service, "/aws4_request"].concat();
        let mut mac = self.key(credentials, day, now, region).mac.clone();
        let hash = request.sha256(&signed_headers);
        for part in [ALGORITHM, "\n", amz_date, "\n", &scope, "\n", &hash] {
            mac.update(part.as_bytes());
        }
        let id = credentials.access_key_id.as_str();
        let parts = [ALGORITHM, " Credential=", id, "/", &scope, ", SignedHeaders=", &signed_headers, ", Signature="];
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let mut authorization = String::with_capacity(length + HASH_DIGITS);
        authorization.extend(parts);
        push_hex(&mut authorization, &mac.finalize().into_bytes().into());
        Signature { authorization }
    }

    fn key(&self, credentials: &AwsCredentials, day: &str, now: SystemTime, region: &Region) -> Arc<SigningKey> {
        let keys = self.keys.load();
        if let Some(key) = keys.iter().find(|key| key.is_for(credentials, day, region)) {
            return Arc::clone(key);
        }
        let secret = credentials.secret_access_key.expose();
        let key = Arc::new(SigningKey {
            access_key_id: credentials.access_key_id.clone(),
            day: day.to_owned(),
            region: region.clone(),
            mac: keyed(generate_signing_key(secret, now, region.as_str(), self.service).as_ref()),
        });
        self.keys.rcu(|keys| {
            let kept = keys.iter().filter(|kept| kept.day == key.day).take(MAX_KEYS - 1);
            std::iter::once(&key).chain(kept).map(Arc::clone).collect::<Vec<_>>()
        });
        key
    }
}

struct SigningKey {
    access_key_id: String,
    day: String,
    region: Region,
    /// What the key alone decides of each signature.
    mac: Hmac<Sha256>,
}

/// Appends a number in two digits.
fn push_two(text: &mut String, number: i8) {
    for digit in [number / 10, number % 10] {
        text.push(char::from(b'0'.saturating_add_signed(digit)));
    }
}

/// HMAC under a key of 32 bytes.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // A shorter key than the hash's block is filled up with zeros (RFC 2104).
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(place, byte)| *place = *byte);
    Hmac::new(&block.into())
}

impl SigningKey {
    fn is_for(&self, credentials: &AwsCredentials, day: &str, region: &Region) -> bool {
        self.access_key_id == credentials.access_key_id && self.day == day && self.region == *region
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("day", &self.day).field("region", &self.region).finish_non_exhaustive()
    }
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A gateway signs for one or a few roles in a few Regions; beyond this, keys are derived again.
const MAX_KEYS: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4::SigningParams;
    use proptest::prelude::*;

    use super::*;

    fn oracle(path: &str, headers: &[(&str, &str)], body: &[u8], now: SystemTime) -> String {
        let identity = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", None, None, "test").into();
        let mut settings = SigningSettings::default();
        settings.excluded_headers = None;
        let params = SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("bedrock")
            .time(now)
            .settings(settings)
            .build()
            .unwrap();
        let url = format!("https://bedrock-runtime.us-east-1.amazonaws.com{path}");
        let request = SignableRequest::new("POST", url, headers.iter().copied(), SignableBody::Bytes(body)).unwrap();
        let (instructions, _) = sign(request, &params.into()).unwrap().into_parts();
        let (added, _) = instructions.into_parts();
        added.iter().find(|header| header.name() == "authorization").unwrap().value().to_owned()
    }

    fn ours(path: &str, extra: &[(&str, &str)], body: &[u8], now: SystemTime, signer: &Signer) -> String {
        let amz_date = Signer::amz_date(now);
        let mut headers = vec![("host", "bedrock-runtime.us-east-1.amazonaws.com"), ("x-amz-date", &amz_date)];
        headers.extend_from_slice(extra);
        headers.sort_unstable();
        let hash = hex::encode(<Sha256 as sha2::Digest>::digest(body));
        let request = CanonicalRequest { method: "POST", path, query: "", headers: &headers, payload_sha256: &hash };
        let credentials = AwsCredentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG"),
            session_token: None,
        };
        signer.sign(&request, &amz_date, now, &credentials, &"us-east-1".parse().unwrap()).authorization
    }

    proptest! {
        #[test]
        fn our_signature_is_the_crates_own(
            path in "/model/[a-zA-Z0-9._~-]{1,20}(%3A|:|%2F|[a-z])[0-9a-z]{1,8}/invoke",
            value in "[a-z]{1,5}( {1,3}[a-z]{1,5}){0,2}",
            body in proptest::collection::vec(any::<u8>(), 0..200),
            seconds in 1_500_000_000_u64..2_500_000_000,
        ) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let signer = Signer::default();
            let extra = [("content-type", "application/json"), ("x-amzn-bedrock-trace", value.as_str())];
            let expected = oracle(&path, &extra, &body, now);
            prop_assert_eq!(&ours(&path, &extra, &body, now, &signer), &expected);
            prop_assert_eq!(ours(&path, &extra, &body, now, &signer), expected, "with the key kept");
        }
    }

    #[test]
    fn yesterdays_key_does_not_sign_today() {
        let signer = Signer::default();
        let before_midnight = SystemTime::UNIX_EPOCH + Duration::from_secs(86_399);
        for now in [before_midnight, before_midnight + Duration::from_secs(1)] {
            assert_eq!(ours("/model/a/invoke", &[], b"", now, &signer), oracle("/model/a/invoke", &[], b"", now));
        }
    }
}
