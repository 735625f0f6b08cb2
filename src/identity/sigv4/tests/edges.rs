//! Checks that only a request which was made by hand meets: signed properly, of a form that no SDK sends.

use http::HeaderName;

use super::*;

/// A request with these headers, of which those that are named are signed with the values that are given there.
fn by_hand(gate: &Gate, region: &str, names: &[(&str, &str)], headers: &[(&str, &str)]) -> Request<Vec<u8>> {
    let canonical = CanonicalRequest {
        method: "POST",
        path: "/model/a.b/invoke",
        query: "",
        headers: names,
        payload_sha256: &hex::encode(Sha256::digest(b"{}")),
    };
    let scope = format!("20261121/{region}/bedrock/aws4_request");
    let key = generate_signing_key(gate.key.secret_access_key.expose(), at(NOON), region, "bedrock");
    let hash = canonical.sha256(&canonical.signed_headers());
    let signature = calculate_signature(key, format!("AWS4-HMAC-SHA256\n20261121T120000Z\n{scope}\n{hash}").as_bytes());
    let signed: Vec<_> = names.iter().map(|(name, _)| *name).collect();
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
        gate.key.access_key_id,
        signed.join(";")
    );
    let mut request = Request::post("/model/a.b/invoke").header("authorization", value).body(b"{}".to_vec()).unwrap();
    for (name, value) in headers {
        request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    request
}

const HOST: (&str, &str) = ("host", "gateway.example.com");
const DATE: (&str, &str) = ("x-amz-date", "20261121T120000Z");

#[test]
fn the_date_may_stand_in_the_header_of_http() {
    let gate = Gate::new();
    for date in ["20261121T120000Z", "Sat, 21 Nov 2026 12:00:00 GMT"] {
        let sent = [("date", date), HOST];
        assert!(gate.verify(&by_hand(&gate, "us-east-1", &sent, &sent), NOON).is_ok(), "{date}");
    }
    let two = [("date", "20261121T120000Z"), ("date", "20261121T120000Z"), HOST];
    let request = by_hand(&gate, "us-east-1", &[("date", "20261121T120000Z,20261121T120000Z"), HOST], &two);
    assert_eq!(fault(gate.verify(&request, NOON)), SignatureFault::Malformed("Date"));
    let none = [("date", "the day before"), HOST];
    assert_eq!(fault(gate.verify(&by_hand(&gate, "us-east-1", &none, &none), NOON)), SignatureFault::Malformed("Date"));
}

#[test]
fn a_region_has_a_name_of_ordinary_length() {
    let gate = Gate::new();
    let of = |region: &str| gate.verify(&by_hand(&gate, region, &[HOST, DATE], &[HOST, DATE]), NOON);
    assert!(of(&"a".repeat(40)).is_ok());
    for region in ["", &"a".repeat(41), "us_east"] {
        assert!(matches!(fault(of(region)), SignatureFault::Region(_)), "{region}");
    }
}

#[test]
fn a_signed_header_that_is_not_there_is_no_empty_one() {
    let gate = Gate::new();
    let absent = [("accept", ""), HOST, DATE];
    let request = by_hand(&gate, "us-east-1", &absent, &[HOST, DATE]);
    assert_eq!(fault(gate.verify(&request, NOON)), SignatureFault::Mismatch);
    assert!(gate.verify(&by_hand(&gate, "us-east-1", &absent, &absent), NOON).is_ok(), "an empty one is one");
    let nowhere = by_hand(&gate, "us-east-1", &[("host", ""), DATE], &[DATE]);
    assert_eq!(fault(gate.verify(&nowhere, NOON)), SignatureFault::Mismatch);
}

#[test]
fn every_hash_that_a_request_declares_has_to_be_that_of_its_body() {
    let gate = Gate::new();
    let hash = hex::encode(Sha256::digest(b"{}"));
    let once = [HOST, ("x-amz-content-sha256", hash.as_str()), DATE];
    assert!(gate.verify(&by_hand(&gate, "us-east-1", &once, &once), NOON).is_ok());
    let mut twice = by_hand(&gate, "us-east-1", &[HOST, DATE], &once);
    twice.headers_mut().append("x-amz-content-sha256", HeaderValue::from_str(&"0".repeat(64)).unwrap());
    assert_eq!(fault(gate.verify(&twice, NOON)), SignatureFault::ContentHash);
}

#[test]
fn the_form_of_the_header_is_held_to() {
    let gate = Gate::new();
    let good = by_hand(&gate, "us-east-1", &[HOST, DATE], &[HOST, DATE]);
    let before = good.headers()["authorization"].to_str().unwrap().to_owned();
    let last = before.rsplit_once('=').unwrap().1.to_owned();
    let upper = before.replace(&last, &last.to_ascii_uppercase());
    let end = if last.ends_with('0') { "1" } else { "0" };
    let malformed = SignatureFault::Malformed;
    let (credential, rest) = before.split_once(", ").unwrap();
    let (unsigned, _) = before.rsplit_once(", ").unwrap();
    for (after, expected) in [
        (format!("AWS4-HMAC-SHA256 {rest}"), SignatureFault::Incomplete("Credential")),
        (format!("{credential}, SignedHeaders=host;x-amz-date"), SignatureFault::Incomplete("Signature")),
        (unsigned.to_owned(), SignatureFault::Incomplete("Signature")),
        (before.replace("SHA256 ", "SHA256"), SignatureFault::Algorithm),
        (before.replace(", SignedHeaders", ", what, SignedHeaders"), malformed("Authorization")),
        (before.replace("aws4_request,", "aws4_request/more,"), malformed("Credential")),
        (before.replace("=host;", "=host;host;"), malformed("SignedHeaders")),
        (before.replace("=host;", "=;host;"), malformed("SignedHeaders")),
        (upper, malformed("Signature")),
        (format!("{}{end}", &before[..before.len() - 1]), SignatureFault::Mismatch),
    ] {
        assert_ne!(before, after);
        let mut request = good.clone();
        request.headers_mut().insert("authorization", HeaderValue::from_str(&after).unwrap());
        assert_eq!(fault(gate.verify(&request, NOON)), expected, "{after}");
    }
    for date in [
        "20261121T120000z",
        "20261121 120000Z",
        "2026112١T12000Z",
        "20261121T120000Z0",
        "20261321T120000Z",
        "2026112T120000Z",
    ] {
        assert_eq!(parse_amz_date(date), None, "{date}");
    }
    assert!(
        is_presigned("a=1&x-amz-signature=0")
            && is_presigned("X-Amz-Signature=0")
            && !is_presigned("a=X-Amz-Signature")
    );
}

#[test]
fn a_key_that_ends_some_day_needs_its_secret_too() {
    let later = Timestamp::try_from(at(NOON + 3_600)).unwrap();
    let gate = Gate::with(|record| KeyRecord { expires: Some(later), ..record });
    let forged = AccessKey { secret_access_key: crate::types::Secret::new("x"), ..gate.key.clone() };
    assert_eq!(fault(gate.verify(&Asked::of(&forged).signed(NOON), NOON)), SignatureFault::Mismatch);
    assert!(gate.verify(&Asked::of(&gate.key).signed(NOON), NOON).is_ok());
}

#[test]
fn a_kept_signing_key_is_of_its_own_key_and_its_own_root() {
    let mut gate = Gate::new();
    let request = Asked::of(&gate.key).signed(NOON);
    assert!(gate.verify(&request, NOON).is_ok());
    // Another key of the same gateway, whose signing key is not kept yet.
    let other: KeyId = "ZyXwVu543210".parse().unwrap();
    let made = Timestamp::try_from(at(NOON)).unwrap();
    let record = |id, word| KeyRecord::new(id, Proof::SigV4(root(word).id()), "alice", made);
    let first: KeyId = "AbCdEf012345".parse().unwrap();
    gate.keys = KeyRing::holding([record(first, "abcd"), record(other, "abcd")]);
    assert!(gate.verify(&Asked::of(&root("abcd").access_key(other)).signed(NOON), NOON).is_ok());
    let stolen = AccessKey {
        access_key_id: root("abcd").access_key(other).access_key_id,
        secret_access_key: gate.key.secret_access_key.clone(),
    };
    assert_eq!(fault(gate.verify(&Asked::of(&stolen).signed(NOON), NOON)), SignatureFault::Mismatch);
    // The same id hangs on another root key now: what was signed with the old secret proves nothing.
    gate.keys = KeyRing::holding([record(first, "efgh")]);
    assert_eq!(fault(gate.verify(&request, NOON)), SignatureFault::Mismatch);
    let anew = root("efgh").access_key(first);
    for now in [NOON, NOON + 86_400] {
        assert!(gate.verify(&Asked::of(&anew).signed(now), now).is_ok(), "every day has its own");
    }
}
