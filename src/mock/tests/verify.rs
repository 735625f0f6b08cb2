//! Signatures: what real signers make is accepted, and each part that is tampered with is refused in its own words.

use std::time::{Duration, SystemTime};

use aws_sigv4::sign::v4;
use http::request::Parts;
use http::{HeaderValue, Version};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::signed;
use crate::mock::callers::Sessions;
use crate::mock::config::{MockConfig, MockCredential};
use crate::mock::refusal::Refusal;
use crate::mock::verify::Verifier;
use crate::types::Secret;

const URL: &str = "http://127.0.0.1:4599/model/anthropic.claude-v2%3A1/invoke";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

fn verifier(session_token: Option<&str>) -> Verifier {
    let credential = MockCredential {
        access_key_id: MockConfig::ACCESS_KEY_ID.to_owned(),
        secret_access_key: Secret::new(MockConfig::SECRET_ACCESS_KEY),
        session_token: session_token.map(Secret::new),
    };
    let skew = Duration::from_mins(5);
    Verifier {
        regions: vec!["us-east-1".parse().unwrap()],
        credentials: vec![credential],
        sessions: Sessions::default(),
        skew,
    }
}

fn verdict(head: &Parts, body: &str) -> Result<(), Refusal> {
    let hash = hex::encode(Sha256::digest(body));
    verifier(None).verify("bedrock", head, &hash, now()).map(|_| ())
}

#[test]
fn what_aws_sigv4_signs_is_accepted() {
    for path in [
        "/model/anthropic.claude-v2%3A1/invoke",
        "/model/anthropic.claude-v2:1/invoke",
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fa1/converse",
        "/model/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile%2Fa1/converse-stream",
        "/guardrail/a1/version/DRAFT/apply",
        "/model/x/invoke?b=2&a=1&a=0",
    ] {
        let headers = [("x-amz-user-agent", "a  b   c"), ("x-amzn-bedrock-trace", " ENABLED ")];
        let (head, body) = signed(&format!("http://127.0.0.1:4599{path}"), &headers, "{}", now()).into_parts();
        assert_eq!(verdict(&head, &body), Ok(()), "{path}");
    }
}

#[test]
fn the_authority_stands_for_the_host_on_http2() {
    let (mut head, body) = signed(URL, &[], "{}", now()).into_parts();
    head.version = Version::HTTP_2;
    assert_eq!(verdict(&head, &body), Ok(()));
    let authorization = head.headers["authorization"].to_str().unwrap().replace("host;", "content-type;");
    head.headers.insert("authorization", authorization.parse().unwrap());
    let refusal = verdict(&head, &body).unwrap_err();
    assert!(refusal.body.contains("'Host' or ':authority' must be a 'SignedHeader'"), "{}", refusal.body);
}

#[test]
fn a_signer_that_signs_the_authority_under_its_http2_name_is_accepted() {
    // The AWS SDK for JavaScript: SignedHeaders has `:authority` where others have `host`.
    let (mut head, _) = signed(URL, &[], "{}", now()).into_parts();
    head.version = Version::HTTP_2;
    let hash = hex::encode(Sha256::digest("{}"));
    let date = head.headers["x-amz-date"].to_str().unwrap();
    let canonical = format!(
        "POST\n/model/anthropic.claude-v2%253A1/invoke\n\n:authority:127.0.0.1:4599\nx-amz-date:{date}\n\n:authority;x-amz-date\n{hash}"
    );
    let canonical = hex::encode(Sha256::digest(canonical));
    let scope = "20261118/us-east-1/bedrock/aws4_request";
    let key = v4::generate_signing_key(MockConfig::SECRET_ACCESS_KEY, now(), "us-east-1", "bedrock");
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{canonical}");
    let signature = v4::calculate_signature(key, to_sign.as_bytes());
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=:authority;x-amz-date, Signature={signature}",
        MockConfig::ACCESS_KEY_ID
    );
    head.headers.insert("authorization", authorization.parse().unwrap());
    assert_eq!(verdict(&head, "{}"), Ok(()));
    head.uri = URL.replace("127", "126").parse().unwrap();
    assert!(verdict(&head, "{}").is_err());
}

type Tampering = (&'static str, fn(&mut Parts), &'static str, &'static str);

#[test]
fn each_part_that_is_tampered_with_is_refused_in_its_own_words() {
    let cases: [Tampering; 17] = [
        ("path", |head| head.uri = URL.replace("%3A1", "%3A2").parse().unwrap(), "InvalidSignature", "does not match"),
        ("encoding", |head| head.uri = URL.replace("%3A", ":").parse().unwrap(), "InvalidSignature", "does not match"),
        ("query", |head| head.uri = format!("{URL}?a=1").parse().unwrap(), "InvalidSignature", "does not match"),
        ("host", |head| head.uri = URL.replace("127", "126").parse().unwrap(), "InvalidSignature", "does not match"),
        ("method", |head| head.method = http::Method::PUT, "InvalidSignature", "does not match"),
        ("signed header", |head| set(head, "content-type", "text/plain"), "InvalidSignature", "does not match"),
        ("lost header", |head| drop(head.headers.remove("content-type")), "InvalidSignature", "does not match"),
        ("signature", |head| edit(head, "Signature=", "Signature=00"), "InvalidSignature", "does not match"),
        ("payload hash", |head| set(head, "x-amz-content-sha256", "00"), "InvalidSignature", "were not signed"),
        ("unsigned header", |head| set(head, "x-amz-target", "x"), "InvalidSignature", "not signed: x-amz-target"),
        ("region", |head| edit(head, "us-east-1", "us-west-2"), "InvalidSignature", "valid region"),
        ("service", |head| edit(head, "/bedrock/", "/s3/"), "InvalidSignature", "correct service: 'bedrock'"),
        ("terminator", |head| edit(head, "aws4_request", "aws4"), "InvalidSignature", "valid terminator"),
        ("day", |head| edit(head, "/20261118/", "/20261117/"), "InvalidSignature", "Date in Credential scope"),
        ("key id", |head| edit(head, "AKIA", "ASIA"), "UnrecognizedClient", "security token included"),
        ("token", |head| set(head, "x-amz-security-token", "x"), "UnrecognizedClient", "security token included"),
        ("no signature", |head| edit(head, "Signature=", "Sig="), "IncompleteSignature", "'Signature' parameter"),
    ];
    for (name, tamper, kind, text) in cases {
        let (mut head, body) = signed(URL, &[], "{}", now()).into_parts();
        assert_eq!(verdict(&head, &body), Ok(()), "{name}: untampered");
        tamper(&mut head);
        let refusal = verdict(&head, &body).unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.kind), (403, format!("{kind}Exception").as_str()), "{name}");
        assert!(refusal.body.contains(text), "{name}: {}", refusal.body);
    }
}

fn set(head: &mut Parts, name: &'static str, value: &'static str) {
    head.headers.insert(name, HeaderValue::from_static(value));
}

fn edit(head: &mut Parts, from: &str, to: &str) {
    let value = head.headers["authorization"].to_str().unwrap().replace(from, to);
    head.headers.insert("authorization", value.parse().unwrap());
}

#[test]
fn a_body_that_was_changed_is_refused() {
    let (head, _) = signed(URL, &[], "{}", now()).into_parts();
    assert!(verdict(&head, "{} ").unwrap_err().body.contains("does not match"));
    let hash = hex::encode(Sha256::digest("{}"));
    let (head, _) = signed(URL, &[("x-amz-content-sha256", &hash)], "{}", now()).into_parts();
    assert_eq!(verdict(&head, "{}"), Ok(()));
    let refusal = verdict(&head, "{} ").unwrap_err();
    assert!(refusal.body.contains("'x-amz-content-sha256' header does not match"), "{}", refusal.body);
}

#[test]
fn five_minutes_either_way_are_allowed_and_not_a_second_more() {
    for (offset, text) in [
        (-300, None),
        (300, None),
        (
            -301,
            Some(
                "Signature expired: 20261118T110139Z is now earlier than 20261118T110140Z (20261118T110640Z - 5 min.)",
            ),
        ),
        (
            301,
            Some(
                "Signature not yet current: 20261118T111141Z is still later than 20261118T111140Z (20261118T110640Z + 5 min.)",
            ),
        ),
    ] {
        let seconds = Duration::from_secs(i64::unsigned_abs(offset));
        let at = if offset < 0 { now() - seconds } else { now() + seconds };
        let (head, body) = signed(URL, &[], "{}", at).into_parts();
        let got = verdict(&head, &body).err().map(|refusal| refusal.body);
        let wanted = text.map(|text| serde_json::json!({ "message": text }).to_string());
        assert_eq!(got, wanted, "{offset}");
    }
}

#[test]
fn a_session_token_must_be_the_one_that_belongs_to_the_key() {
    let hash = hex::encode(Sha256::digest("{}"));
    for (token, accepted) in [(Some("the-token"), true), (Some("another"), false), (None, false)] {
        let headers: Vec<(&str, &str)> = token.map(|token| ("x-amz-security-token", token)).into_iter().collect();
        let (head, _) = signed(URL, &headers, "{}", now()).into_parts();
        assert_eq!(verifier(Some("the-token")).verify("bedrock", &head, &hash, now()).is_ok(), accepted, "{token:?}");
    }
}

#[test]
fn no_credentials_and_api_keys_are_refused_as_bedrock_does() {
    for (authorization, message) in [
        (None, "Authorization header is missing"),
        (Some("Bearer tg_123"), "Invalid API Key format: Must start with pre-defined prefix"),
        (Some("Bearer ABSKabc"), "Authentication failed: Please make sure your API Key is valid."),
    ] {
        let (mut head, body) = signed(URL, &[], "{}", now()).into_parts();
        match authorization {
            Some(value) => set(&mut head, "authorization", value),
            None => drop(head.headers.remove("authorization")),
        }
        let refusal = verdict(&head, &body).unwrap_err();
        assert_eq!(refusal.body, serde_json::json!({ "Message": message }).to_string());
        assert_eq!(refusal.error_type().split(':').next(), Some("AccessDeniedException"));
    }
}

proptest! {
    #[test]
    fn every_model_id_that_can_be_sent_verifies(id in "[a-zA-Z0-9._:~-]{1,40}(%2F|%3A|:){0,2}[a-z0-9]{1,9}") {
        let (head, body) = signed(&format!("http://h/model/{id}/invoke"), &[], "{}", now()).into_parts();
        prop_assert_eq!(verdict(&head, &body), Ok(()));
    }
}
