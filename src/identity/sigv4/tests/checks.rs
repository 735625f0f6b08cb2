//! Every check of a signature by itself.

use http::{HeaderValue, Method};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::identity::keys::{AccessKey, KeyFormatError};

/// Every check by itself: what is changed about a good request, and what it is called then.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_check_refuses_what_it_is_there_for() {
    let gate = Gate::new();
    let good = || Asked::of(&gate.key).signed(NOON);
    assert!(gate.verify(&good(), NOON).is_ok());
    let header = |name: &'static str, value: &str| {
        let mut request = good();
        request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        request
    };
    let authorization = |from: &str, to: &str| {
        let before = good().headers()["authorization"].to_str().unwrap().to_owned();
        let after = before.replacen(from, to, 1);
        assert_ne!(before, after, "{from}");
        header("authorization", &after)
    };
    let scoped = |region: &str, service: &str| Asked { region, service, ..Asked::of(&gate.key) }.signed(NOON);
    let body = |body: &[u8]| {
        let mut request = good();
        *request.body_mut() = body.to_vec();
        request
    };
    let method = |method| {
        let mut request = good();
        *request.method_mut() = method;
        request
    };
    let uri = |from: &str, to: &str| {
        let mut request = good();
        let before = request.uri().to_string();
        let after = before.replacen(from, to, 1);
        assert_ne!(before, after);
        *request.uri_mut() = after.parse().unwrap();
        request
    };
    let id = gate.key.access_key_id.as_str();
    let mut twice = good();
    twice.headers_mut().append("x-amz-date", HeaderValue::from_static("20261121T120000Z"));
    let mut dateless = good();
    dateless.headers_mut().remove("x-amz-date");
    let mut bare = good();
    bare.headers_mut().remove("content-type");
    let hashed = |value: &str| {
        let headers = vec![("host", "gateway.example.com:8443"), ("x-amz-content-sha256", value)];
        Asked { headers, ..Asked::of(&gate.key) }.signed(NOON)
    };
    let of_body = hex::encode(Sha256::digest(br#"{"messages":[]}"#));
    assert!(gate.verify(&hashed(&of_body), NOON).is_ok());
    for (request, expected, why) in [
        (authorization("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), SignatureFault::Algorithm, "another algorithm"),
        (authorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), SignatureFault::Algorithm, "SigV4a"),
        (authorization("Credential=", "Creds="), SignatureFault::Malformed("Authorization"), "an unknown part"),
        (
            authorization("Signature=", "Signature=a, Signature="),
            SignatureFault::Malformed("Authorization"),
            "a part there twice",
        ),
        (
            authorization(", SignedHeaders=content-type;host;x-amz-date", ""),
            SignatureFault::Incomplete("SignedHeaders"),
            "absent",
        ),
        (
            authorization(id, "AKIAIOSFODNN7EXAMPLE"),
            SignatureFault::AccessKeyId(KeyFormatError::AccessKeyOfAws),
            "AWS's",
        ),
        (authorization(id, "nobody"), SignatureFault::AccessKeyId(KeyFormatError::AccessKeyPrefix), "nobody's"),
        (authorization("AbCdEf", "AbCdEg"), SignatureFault::AccessKeyId(KeyFormatError::AccessKeyChecksum), "mistyped"),
        (
            authorization(id, &root("abcd").access_key("AAAAAAAAAAAA".parse().unwrap()).access_key_id),
            SignatureFault::AccessKeyId(KeyFormatError::UnknownAccessKey),
            "a key that there is not",
        ),
        (authorization("/bedrock/", "/"), SignatureFault::Malformed("Credential"), "a scope too short"),
        (authorization("aws4_request", "aws4_requests"), SignatureFault::Terminator, "another terminator"),
        (scoped("us-east-1", "s3"), SignatureFault::Service("s3".to_owned()), "another service"),
        (scoped("US", "bedrock"), SignatureFault::Region("US".to_owned()), "no Region"),
        (
            authorization("/20261121/", "/20261122/"),
            SignatureFault::Day { scope: "20261122".to_owned(), date: "20261121T120000Z".to_owned() },
            "a scope of another day",
        ),
        (
            authorization("SignedHeaders=content-type;host;", "SignedHeaders=content-type;"),
            SignatureFault::NotSigned("Host"),
            "host unsigned",
        ),
        (authorization(";x-amz-date", ""), SignatureFault::NotSigned("X-Amz-Date"), "date unsigned"),
        (
            authorization("content-type;host", "host;content-type"),
            SignatureFault::Malformed("SignedHeaders"),
            "out of order",
        ),
        (
            authorization("content-type;host", "Host;content-type"),
            SignatureFault::Malformed("SignedHeaders"),
            "not lower case",
        ),
        (authorization("Signature=", "Signature=0"), SignatureFault::Malformed("Signature"), "65 digits"),
        (dateless, SignatureFault::Incomplete("X-Amz-Date"), "no date"),
        (twice, SignatureFault::Malformed("X-Amz-Date"), "two dates"),
        (header("x-amz-date", "2026-11-21"), SignatureFault::Malformed("X-Amz-Date"), "no date of the form"),
        (header("x-amz-security-token", "t"), SignatureFault::SessionToken, "a session token"),
        (hashed("UNSIGNED-PAYLOAD"), SignatureFault::Payload, "an unsigned body"),
        (hashed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), SignatureFault::Payload, "a body signed in pieces"),
        (hashed(&"0".repeat(64)), SignatureFault::ContentHash, "the hash of another body"),
        (body(br#"{"messages":[1]}"#), SignatureFault::Mismatch, "another body"),
        (body(b""), SignatureFault::Mismatch, "no body"),
        (method(Method::PUT), SignatureFault::Mismatch, "another method"),
        (uri("sonnet", "opus"), SignatureFault::Mismatch, "another path"),
        (uri("%3A", ":"), SignatureFault::Mismatch, "the same path, otherwise encoded"),
        (uri("/converse", "/converse?x=1"), SignatureFault::Mismatch, "another query"),
        (header("content-type", "text/plain"), SignatureFault::Mismatch, "another value of a signed header"),
        (bare, SignatureFault::Mismatch, "a signed header that is not there"),
        (header("host", "gateway.example.com"), SignatureFault::Mismatch, "another host"),
        (header("x-amz-date", "20261121T120001Z"), SignatureFault::Mismatch, "another second"),
        (authorization("us-east-1", "us-west-2"), SignatureFault::Mismatch, "another Region than was signed for"),
    ] {
        assert_eq!(fault(gate.verify(&request, NOON)), expected, "{why}");
    }
    let stolen = AccessKey {
        secret_access_key: root("ijkl").access_key("AbCdEf012345".parse().unwrap()).secret_access_key,
        ..gate.key.clone()
    };
    assert_eq!(fault(gate.verify(&Asked::of(&stolen).signed(NOON), NOON)), SignatureFault::Mismatch, "a wrong secret");
    // What is not signed may change on the way.
    assert!(gate.verify(&header("x-forwarded-for", "192.0.2.1"), NOON).is_ok());
}
