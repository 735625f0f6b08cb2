//! Signatures: AWS's own suite, the `aws-sigv4` crate as signer, and every check by itself.

mod checks;
mod edges;
mod short_term;
mod suite;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::{SigningParams, generate_signing_key};
use http::{HeaderValue, Request, Uri};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::identity::keys::{AccessKey, KeyFormatError, KeyRecord, Proof, Standing};
use crate::identity::shown::{Origin, Source};
use signing_keys::SigningKey;

const NOON: u64 = 1_795_262_400; // 2026-11-21T12:00:00Z

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn root(word: &str) -> RootKey {
    RootKey::read(&word.repeat(8)).unwrap()
}

/// A gateway that has issued one access key.
struct Gate {
    verifier: Verifier,
    keys: KeyRing,
    key: AccessKey,
}

impl Gate {
    fn new() -> Self {
        Self::with(|record| record)
    }

    fn with(change: impl FnOnce(KeyRecord) -> KeyRecord) -> Self {
        let id: KeyId = "AbCdEf012345".parse().unwrap();
        let made = Timestamp::try_from(at(NOON)).unwrap();
        let record = change(KeyRecord::new(id, Proof::SigV4(root("abcd").id()), "alice", made));
        let verifier = Verifier::new(RootKeys::new(vec![root("efgh"), root("abcd")]), vec![]);
        Self { verifier, keys: KeyRing::holding([record]), key: root("abcd").access_key(id) }
    }

    /// What becomes of a request and its body at a time.
    fn verify(&self, request: &Request<Vec<u8>>, now: u64) -> Result<Standing, SignatureFault> {
        let (head, body) = request.clone().into_parts();
        let origin = Origin::from(Source::Local);
        let shown = Shown::of(&head, &origin);
        let query = head.uri.query().unwrap_or_default();
        let presented = if is_presigned(query) {
            Presented::in_query(&Query::read(query))?
        } else {
            Presented::in_header(head.headers["authorization"].to_str().unwrap(), &head.headers)?
        };
        let claim = self.verifier.claim(presented, &shown, &self.keys, at(now))?;
        let key = self.verifier.prove(&claim, &shown, &hex::encode(Sha256::digest(&body)))?;
        Ok(key.worth(at(now)))
    }
}

/// A request that is signed as an AWS SDK does it.
struct Asked<'a> {
    key: &'a AccessKey,
    path: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: &'a [u8],
    region: &'a str,
    service: &'a str,
    location: SignatureLocation,
}

impl<'a> Asked<'a> {
    fn of(key: &'a AccessKey) -> Self {
        Self {
            key,
            path: "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
            headers: vec![("host", "gateway.example.com:8443"), ("content-type", "application/json")],
            body: br#"{"messages":[]}"#,
            region: "us-east-1",
            service: "bedrock",
            location: SignatureLocation::Headers,
        }
    }

    fn signed(&self, when: u64) -> Request<Vec<u8>> {
        let secret = self.key.secret_access_key.expose();
        let identity = Credentials::new(&self.key.access_key_id, secret, None, None, "test").into();
        let mut settings = SigningSettings::default();
        settings.signature_location = self.location;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.excluded_headers = None;
        settings.expires_in = (self.location == SignatureLocation::QueryParams).then(|| Duration::from_mins(10));
        let params = SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(at(when))
            .settings(settings)
            .build()
            .unwrap();
        let url = format!("https://gateway.example.com:8443{}", self.path);
        let request =
            SignableRequest::new("POST", &url, self.headers.iter().copied(), SignableBody::Bytes(self.body)).unwrap();
        let (instructions, _) = sign(request, &params.into()).unwrap().into_parts();
        let (headers, parameters) = instructions.into_parts();
        let mut uri = self.path.to_owned();
        for (name, value) in parameters {
            uri.push(if uri.contains('?') { '&' } else { '?' });
            let value = value.replace('/', "%2F").replace(';', "%3B");
            uri.extend([name, "=", &value]);
        }
        let mut request = Request::post(uri);
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        for header in headers {
            request = request.header(header.name(), header.value());
        }
        request.body(self.body.to_vec()).unwrap()
    }
}

fn fault(result: Result<Standing, SignatureFault>) -> SignatureFault {
    result.map(|standing| format!("{standing:?}")).unwrap_err()
}

#[test]
fn what_an_sdk_signs_is_verified_in_either_place() {
    let gate = Gate::new();
    for location in [SignatureLocation::Headers, SignatureLocation::QueryParams] {
        for path in
            ["/model/a.b/converse", "/model/arn%3Aaws%3Abedrock%2Fx/invoke", "/p/model/a:b/invoke", "/x?b=2&a=1&a=0&c"]
        {
            let request = Asked { path, location, ..Asked::of(&gate.key) }.signed(NOON);
            for _ in 0..2 {
                let verified = gate.verify(&request, NOON);
                assert!(
                    matches!(&verified, Ok(Standing::Live(key)) if key.record.principal == "alice"),
                    "{path} {location:?}: {verified:?}"
                );
            }
        }
    }
}

#[test]
fn host_and_authority_stand_for_one_another() {
    let gate = Gate::new();
    let signed = Asked::of(&gate.key).signed(NOON);
    // HTTP/2: there is no Host header, and the authority is in the URI.
    let mut over_h2 = signed.clone();
    over_h2.headers_mut().remove("host");
    assert_eq!(fault(gate.verify(&over_h2, NOON)), SignatureFault::Mismatch);
    let mut parts = over_h2.uri().clone().into_parts();
    parts.authority = Some("gateway.example.com:8443".parse().unwrap());
    parts.scheme = Some("https".parse().unwrap());
    *over_h2.uri_mut() = Uri::from_parts(parts).unwrap();
    assert!(gate.verify(&over_h2, NOON).is_ok());
    // As the AWS SDK for JavaScript signs HTTP/2, received after a proxy has made HTTP/1.1 of it.
    let headers = vec![(":authority", "gateway.example.com"), ("x-amz-date", "20261121T120000Z")];
    let canonical = CanonicalRequest {
        method: "POST",
        path: "/model/a.b/invoke",
        query: "",
        headers: &headers,
        payload_sha256: &hex::encode(Sha256::digest(b"{}")),
    };
    let scope = "20261121/eu-west-1/bedrock/aws4_request";
    let hash = canonical.sha256(&canonical.signed_headers());
    let secret = gate.key.secret_access_key.expose();
    let key = generate_signing_key(secret, at(NOON), "eu-west-1", "bedrock");
    let to_sign = format!("AWS4-HMAC-SHA256\n20261121T120000Z\n{scope}\n{hash}");
    let signature = calculate_signature(key, to_sign.as_bytes());
    let id = &gate.key.access_key_id;
    let request = Request::post("/model/a.b/invoke")
        .header("host", "gateway.example.com")
        .header("x-amz-date", "20261121T120000Z")
        .header(
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders=:authority;x-amz-date, Signature={signature}"
            ),
        )
        .body(b"{}".to_vec())
        .unwrap();
    assert!(gate.verify(&request, NOON).is_ok());
}

#[test]
fn clocks_may_be_five_minutes_apart_and_the_text_is_awss() {
    let gate = Gate::new();
    let request = Asked::of(&gate.key).signed(NOON);
    for now in [NOON - 300, NOON, NOON + 300] {
        assert!(gate.verify(&request, now).is_ok(), "{now}");
    }
    let late = fault(gate.verify(&request, NOON + 301));
    assert_eq!(
        late.caller_text(),
        "Signature expired: 20261121T120000Z is now earlier than 20261121T120001Z (20261121T120501Z - 5 min.)"
    );
    let early = fault(gate.verify(&request, NOON - 301));
    assert_eq!(
        early.caller_text(),
        "Signature not yet current: 20261121T120000Z is still later than 20261121T115959Z (20261121T115459Z + 5 min.)"
    );
}

#[test]
fn a_presigned_request_is_good_for_its_time_and_is_checked_as_strictly() {
    let gate = Gate::new();
    let asked = Asked {
        location: SignatureLocation::QueryParams,
        headers: vec![("host", "gateway.example.com:8443")],
        ..Asked::of(&gate.key)
    };
    let good = asked.signed(NOON);
    assert!(gate.verify(&good, NOON + 599).is_ok());
    assert!(matches!(fault(gate.verify(&good, NOON + 600)), SignatureFault::Expired { .. }));
    assert!(matches!(fault(gate.verify(&good, NOON - 301)), SignatureFault::TooNew { .. }));
    let changed = |from: &str, to: &str| {
        let mut request = good.clone();
        let before = request.uri().to_string();
        let after = before.replacen(from, to, 1);
        assert_ne!(before, after, "{from}");
        *request.uri_mut() = after.parse().unwrap();
        request
    };
    for (request, expected) in [
        (changed("X-Amz-Expires=600", "X-Amz-Expires=601"), SignatureFault::Mismatch),
        (changed("X-Amz-Expires=600", "X-Amz-Expires=604801"), SignatureFault::Malformed("X-Amz-Expires")),
        (changed("X-Amz-Expires=600", "X-Amz-Expires=0"), SignatureFault::Malformed("X-Amz-Expires")),
        (changed("&X-Amz-Expires=600", ""), SignatureFault::Incomplete("X-Amz-Expires")),
        (changed("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=none"), SignatureFault::Algorithm),
        (changed("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=accept"), SignatureFault::NotSigned("Host")),
        (changed("X-Amz-Signature=", "X-Amz-Security-Token=t&X-Amz-Signature="), SignatureFault::SessionToken),
        (changed("X-Amz-Signature=", "x=1&X-Amz-Signature="), SignatureFault::Mismatch),
        (
            changed("X-Amz-Signature=", "X-Amz-Date=20261121T120000Z&X-Amz-Signature="),
            SignatureFault::Malformed("X-Amz-Date"),
        ),
    ] {
        assert_eq!(fault(gate.verify(&request, NOON)), expected, "{}", request.uri());
    }
}

#[test]
fn what_a_key_is_worth_is_told_only_to_who_has_its_secret() {
    let now = Timestamp::try_from(at(NOON)).unwrap();
    let gate = Gate::with(|record| KeyRecord { revoked: Some(now), ..record });
    assert!(matches!(gate.verify(&Asked::of(&gate.key).signed(NOON), NOON), Ok(Standing::Revoked { .. })));
    let forged = AccessKey { secret_access_key: crate::types::Secret::new("x"), ..gate.key.clone() };
    assert_eq!(fault(gate.verify(&Asked::of(&forged).signed(NOON), NOON)), SignatureFault::Mismatch);
    let gate = Gate::with(|record| KeyRecord { expires: Some(now), ..record });
    assert!(matches!(gate.verify(&Asked::of(&gate.key).signed(NOON), NOON), Ok(Standing::Expired { .. })));
    // The root key is gone, or the key is a bearer key.
    let gate = Gate::with(|record| KeyRecord { proof: Proof::SigV4(root("ijkl").id()), ..record });
    let unknown = SignatureFault::AccessKeyId(KeyFormatError::UnknownAccessKey);
    assert_eq!(fault(gate.verify(&Asked::of(&gate.key).signed(NOON), NOON)), unknown);
    let bearer = super::super::keys::Key::generate().unwrap();
    let gate = Gate::with(|record| KeyRecord { proof: Proof::Bearer(bearer.hash()), ..record });
    assert_eq!(fault(gate.verify(&Asked::of(&gate.key).signed(NOON), NOON)), unknown);
}

#[test]
fn a_scope_may_be_held_to_some_regions() {
    let mut gate = Gate::new();
    gate.verifier.regions = vec!["eu-west-1".to_owned()];
    let of = |region| Asked { region, ..Asked::of(&gate.key) }.signed(NOON);
    assert!(gate.verify(&of("eu-west-1"), NOON).is_ok());
    assert_eq!(fault(gate.verify(&of("us-east-1"), NOON)), SignatureFault::Region("us-east-1".to_owned()));
}

#[test]
fn signing_keys_are_kept_for_signatures_that_held_and_in_bounds() {
    let gate = Gate::new();
    let mut forged = Asked::of(&gate.key).signed(NOON);
    *forged.body_mut() = b"x".to_vec();
    assert!(gate.verify(&forged, NOON).is_err());
    assert_eq!(format!("{:?}", gate.verifier.signing_keys).matches("Kept").count(), 0);
    for _ in 0..2 {
        assert!(gate.verify(&Asked::of(&gate.key).signed(NOON), NOON).is_ok());
        assert_eq!(format!("{:?}", gate.verifier.signing_keys).matches("Kept").count(), 1);
    }
    for number in 0..20 {
        let region = format!("us-east-{number}");
        assert!(gate.verify(&Asked { region: &region, ..Asked::of(&gate.key) }.signed(NOON), NOON).is_ok());
    }
    assert_eq!(format!("{:?}", gate.verifier.signing_keys).matches("Kept").count(), 8);
    assert!(!format!("{:?}", gate.verifier).contains(&gate.key.secret_access_key.expose()[4..]));
}

proptest! {
    #[test]
    fn whatever_was_signed_holds_and_nothing_else(
        path in "(/[a-zA-Z0-9._~:@!$&'()*+,;=-]{1,12}(%[0-9A-F]{2})?){1,4}",
        query in proptest::option::of("[a-z]{1,4}=[a-zA-Z0-9._~-]{0,6}(&[a-z]{1,4}=[a-zA-Z0-9._~-]{0,6}){0,3}"),
        value in "[!-~]{1,8}( [!-~]{1,8}){0,3}",
        body in proptest::collection::vec(any::<u8>(), 0..200),
        in_query in any::<bool>(),
        flip in any::<prop::sample::Index>(),
        when in 1_600_000_000_u64..2_400_000_000,
    ) {
        let gate = Gate::new();
        let path = match &query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        prop_assume!(path.parse::<Uri>().is_ok());
        let headers = vec![("host", "gateway.example.com:8443"), ("x-amzn-bedrock-trace", value.as_str())];
        let location = if in_query { SignatureLocation::QueryParams } else { SignatureLocation::Headers };
        let asked = Asked { path: &path, headers, body: &body, location, ..Asked::of(&gate.key) };
        let good = asked.signed(when);
        let verified = gate.verify(&good, when);
        prop_assert!(verified.is_ok(), "{} {:?}", good.uri(), verified);
        let mut changed = good.clone();
        if body.is_empty() {
            changed.body_mut().push(0);
        } else {
            let at = flip.index(body.len());
            changed.body_mut()[at] ^= 1;
        }
        prop_assert!(gate.verify(&changed, when).is_err());
        let mut changed = good;
        changed.headers_mut().insert("x-amzn-bedrock-trace", HeaderValue::from_str(&format!("{value}x")).unwrap());
        prop_assert!(gate.verify(&changed, when).is_err());
    }

    #[test]
    fn no_bytes_whatever_make_it_panic(value in "\\PC{0,200}", query in "\\PC{0,200}", token in any::<String>()) {
        let headers: HeaderMap = [(HeaderName::from_static("x-amz-date"), HeaderValue::from_static("20261121T120000Z"))].into_iter().collect();
        let _ = Presented::in_header(&value, &headers);
        let _ = Presented::in_header(&format!("AWS4-HMAC-SHA256 {value}"), &headers);
        let _ = Presented::in_header(
            &format!("AWS4-HMAC-SHA256 Credential={value}, SignedHeaders={query}, Signature={token}"),
            &headers,
        );
        let read = Query::read(&query);
        let _ = (Presented::in_query(&read), read.canonical());
        let _ = (ShortTermKey::read(&token), ShortTermKey::read(&format!("bedrock-api-key-{token}")));
    }
}
