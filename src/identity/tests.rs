//! Authentication by headers, as tables and properties.

mod failing;
mod proofs;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use proptest::prelude::*;

use super::keys::{Key, KeyFormatError, KeyRecord};
use super::sigv4::SignatureFault;
use super::*;
use crate::types::Tags;

const NOON: u64 = 1_795_262_400; // 2026-11-21T12:00:00Z

fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOON)
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.iter().map(line) {
        headers.append(name, value);
    }
    headers
}

/// An identity stage with alice, and the records of the keys.
fn identity(records: impl IntoIterator<Item = KeyRecord>) -> Identity {
    let alice = Principal::new("alice", vec!["eng".to_owned()], Tags::default());
    Identity::new(Principals::new([alice]).unwrap(), Arc::new(KeyRing::holding(records)), Verification::default())
}

/// Who sends a request with these headers.
fn authenticate(identity: &Identity, headers: HeaderMap) -> Result<Arc<Principal>, IdentityError> {
    let mut request = http::Request::post("/model/a.b/invoke").body(()).unwrap();
    *request.headers_mut() = headers;
    let (head, ()) = request.into_parts();
    let origin = Origin::from(Source::Local);
    let told = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(identity.authenticate(&Shown::of(&head, &origin), noon()));
    match told? {
        Authentication::Known(principal) => Ok(principal),
        Authentication::Claimed(_) => panic!("nothing is signed here"),
    }
}

fn record(key: &Key) -> KeyRecord {
    KeyRecord::of(key, "alice", Timestamp::try_from(noon()).unwrap())
}

fn name_of(result: &Result<Arc<Principal>, IdentityError>) -> Option<&str> {
    result.as_ref().ok().map(|principal| principal.name())
}

#[test]
fn a_key_is_taken_in_either_header_and_in_every_spelling_of_bearer() {
    let key = Key::generate().unwrap();
    let identity = identity([record(&key)]);
    let key = key.expose();
    for lines in [
        vec![("authorization", format!("Bearer {key}"))],
        vec![("authorization", format!("bearer {key}"))],
        vec![("authorization", format!("BEARER   {key}  "))],
        vec![("authorization", format!("Bearer\t{key}"))],
        vec![("x-api-key", key.to_owned())],
        vec![("x-api-key", format!(" {key} "))],
        vec![("authorization", format!("Bearer {key}")), ("x-api-key", key.to_owned())],
        vec![("authorization", String::new()), ("x-api-key", key.to_owned())],
        vec![("authorization", format!("Bearer {key}")), ("x-api-key", String::new())],
    ] {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(name_of(&authenticate(&identity, headers(&lines))), Some("alice"), "{lines:?}");
    }
}

#[test]
fn what_is_not_exactly_one_key_is_refused() {
    let (key, other) = (Key::generate().unwrap(), Key::generate().unwrap());
    let identity = identity([record(&key), record(&other)]);
    let (key, other) = (key.expose(), other.expose());
    let long = format!("Bearer {}", "a".repeat(20_000));
    let signed =
        "AWS4-HMAC-SHA256 Credential=AKID/20261121/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0";
    let bearer = format!("Bearer {key}");
    let both = format!("Bearer {key}, Bearer {other}");
    let quoted = format!("Bearer \"{key}\"");
    for (lines, error) in [
        (vec![], IdentityError::Missing),
        (vec![("authorization", "")], IdentityError::Missing),
        (vec![("authorization", "Bearer")], IdentityError::Missing),
        (vec![("authorization", "Bearer ")], IdentityError::Missing),
        (vec![("x-api-key", "  ")], IdentityError::Missing),
        (vec![("authorization", bearer.as_str()), ("x-api-key", other)], IdentityError::Several),
        (vec![("authorization", &bearer), ("authorization", &bearer)], IdentityError::Several),
        (vec![("authorization", ""), ("authorization", &bearer)], IdentityError::Several),
        (vec![("x-api-key", key), ("x-api-key", key)], IdentityError::Several),
        (vec![("authorization", &bearer), ("x-api-key", "sk-ant-1")], IdentityError::Several),
        (vec![("authorization", signed)], SignatureFault::Incomplete("X-Amz-Date").into()),
        (vec![("authorization", "aws4-hmac-sha256 x")], SignatureFault::Algorithm.into()),
        (vec![("authorization", "AWS4-ECDSA-P256-SHA256 Credential=x")], SignatureFault::Algorithm.into()),
        (vec![("authorization", signed), ("x-api-key", key)], IdentityError::Several),
        (vec![("authorization", "Basic YTpi")], IdentityError::Scheme),
        (vec![("authorization", key)], IdentityError::Scheme),
        (vec![("authorization", long.as_str())], IdentityError::TooLong),
        (vec![("x-api-key", &long)], IdentityError::TooLong),
        (vec![("authorization", "Bearer sk-ant-1")], IdentityError::Malformed(KeyFormatError::Prefix)),
        (vec![("x-api-key", "ABSKQmVkcm9ja0FQSUtleS1")], IdentityError::Malformed(KeyFormatError::OfAws)),
        (vec![("x-api-key", "eyJ.a.b")], IdentityError::NotTaken("a JSON Web Token")),
        (vec![("x-api-key", "eyJ.a")], IdentityError::Malformed(KeyFormatError::Prefix)),
        (vec![("x-api-key", "a.b.c")], IdentityError::Malformed(KeyFormatError::Prefix)),
        (vec![("x-api-key", "tollgate-aws-v1.a")], IdentityError::NotTaken("a token of an AWS login")),
        (vec![("authorization", &quoted)], IdentityError::Malformed(KeyFormatError::Prefix)),
        (vec![("authorization", &both)], IdentityError::Malformed(KeyFormatError::Length { chars: both.len() - 7 })),
        (vec![("x-api-key", "tg_\u{e9}")], IdentityError::Malformed(KeyFormatError::Length { chars: 5 })),
    ] {
        assert_eq!(authenticate(&identity, headers(&lines)).unwrap_err(), error, "{lines:?}");
    }
}

#[test]
fn a_key_that_is_not_good_any_more_is_refused_for_the_right_reason() {
    let keys: Vec<_> = (0..5).map(|_| Key::generate().unwrap()).collect();
    let then = Timestamp::try_from(noon()).unwrap();
    let [revoked, expired, orphan, stolen, unknown] = keys.as_slice() else { unreachable!() };
    let identity = identity([
        KeyRecord { revoked: Some(then), ..record(revoked) },
        KeyRecord { expires: Some(then), ..record(expired) },
        KeyRecord { principal: "mallory".to_owned(), ..record(orphan) },
        KeyRecord { id: stolen.id(), ..record(unknown) },
    ]);
    let refused = |key: &Key| authenticate(&identity, headers(&[("x-api-key", key.expose())])).unwrap_err();
    for (key, error, log) in [
        (revoked, IdentityError::Revoked { id: revoked.id(), at: then }, "was revoked at"),
        (expired, IdentityError::Expired { id: expired.id(), at: then }, "expired at"),
        (
            orphan,
            IdentityError::NoSuchPrincipal { id: orphan.id(), principal: "mallory".to_owned() },
            "\"mallory\", which is no principal of the configuration",
        ),
        (stolen, IdentityError::WrongSecret { id: stolen.id() }, "wrong secret"),
        (unknown, IdentityError::Unknown { id: unknown.id() }, "no key has the id"),
    ] {
        let found = refused(key);
        assert_eq!(found, error);
        assert!(found.log_text().contains(log), "{found}");
        let told = format!("{found:?} {found} {}", found.caller_text());
        assert!(!told.contains(&key.expose()[16..59]), "a refusal holds a secret: {told}");
    }
}

#[test]
fn a_caller_cannot_tell_an_unknown_key_from_a_wrong_secret_a_revoked_key_or_an_orphan() {
    let id = Key::generate().unwrap().id();
    let at = Timestamp::UNIX_EPOCH;
    let alike = [
        IdentityError::Unknown { id },
        IdentityError::WrongSecret { id },
        IdentityError::Revoked { id, at },
        IdentityError::NoSuchPrincipal { id, principal: "mallory".to_owned() },
    ];
    for error in &alike {
        assert_eq!(error.caller_text(), alike[0].caller_text());
    }
    let logs: std::collections::HashSet<_> = alike.iter().map(IdentityError::log_text).collect();
    assert_eq!(logs.len(), alike.len(), "the log tells them apart");
}

#[test]
fn principals_have_one_name_each_that_can_be_printed() {
    let named = |name: &str| Principal::new(name, vec![], Tags::default());
    assert_eq!(
        Principals::new([named("a"), named("b"), named("a")]).unwrap_err(),
        PrincipalsError::Twice { name: "a".to_owned() }
    );
    for bad in ["", "a\nb", &"x".repeat(129)] {
        assert!(matches!(Principals::new([named(bad)]), Err(PrincipalsError::Name { .. })), "{bad:?}");
    }
    let principals = Principals::new([named("alice@example.com"), named("Alice@example.com")]).unwrap();
    assert_eq!(principals.iter().count(), 2);
    assert!(principals.named("ALICE@example.com").is_none());
}

proptest! {
    #[test]
    fn no_headers_whatever_pass_without_the_whole_key(
        bearer in proptest::option::of("[ -~]{0,80}"),
        api_key in proptest::option::of("tg_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}"),
    ) {
        let key = Key::generate().unwrap();
        let identity = identity([record(&key)]);
        let mut lines = vec![];
        lines.extend(bearer.as_deref().map(|value| ("authorization", value)));
        lines.extend(api_key.as_deref().map(|value| ("x-api-key", value)));
        prop_assert!(authenticate(&identity, headers(&lines)).is_err());
    }

    #[test]
    fn a_key_with_another_secret_and_a_right_checksum_does_not_pass(flip in 16_usize..59) {
        let key = Key::generate().unwrap();
        let identity = identity([record(&key)]);
        let mut forged = key.expose().as_bytes()[..59].to_vec();
        forged[flip] = if forged[flip] == b'0' { b'1' } else { b'0' };
        let mut rest = crc32fast::hash(&forged);
        let mut checksum = [0; 6];
        for digit in checksum.iter_mut().rev() {
            *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[(rest % 62) as usize];
            rest /= 62;
        }
        forged.extend(checksum);
        let forged = String::from_utf8(forged).unwrap();
        let refused = authenticate(&identity, headers(&[("x-api-key", &forged)])).unwrap_err();
        prop_assert_eq!(refused, IdentityError::WrongSecret { id: key.id() });
    }
}
