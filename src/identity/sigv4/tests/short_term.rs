//! Short-term Bedrock API keys.

use super::*;
use crate::identity::sigv4::ShortTermKey;

/// A short-term key as AWS's generators make it.
fn short_term(key: &AccessKey, when: u64, expires_s: u64, action: &str) -> String {
    made(key, when, expires_s, &format!("Action={action}"), "host", |url| url)
}

/// The same with other parameters, other headers that it says are signed, and a URL that is changed after it was signed.
fn made(
    key: &AccessKey,
    when: u64,
    expires_s: u64,
    parameters: &str,
    names: &str,
    change: impl FnOnce(String) -> String,
) -> String {
    use base64::Engine as _;
    let date = Timestamp::try_from(at(when)).unwrap().strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = format!("{}/us-west-2/bedrock/aws4_request", &date[..8]);
    let query = format!(
        "{parameters}&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}%2F{}&X-Amz-Date={date}&X-Amz-Expires={expires_s}\
         &X-Amz-SignedHeaders={}",
        key.access_key_id,
        scope.replace('/', "%2F"),
        names
    );
    // In the order in which they are signed.
    let mut parameters: Vec<_> = query.split('&').collect();
    parameters.sort_unstable();
    let query = parameters.join("&");
    let canonical = CanonicalRequest {
        method: "POST",
        path: "/",
        query: &query,
        headers: &[("host", "bedrock.amazonaws.com")],
        payload_sha256: &hex::encode(Sha256::digest(b"")),
    };
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", canonical.sha256("host"));
    let signing = generate_signing_key(key.secret_access_key.expose(), at(when), "us-west-2", "bedrock");
    let signature = calculate_signature(signing, to_sign.as_bytes());
    let url = change(format!("bedrock.amazonaws.com/?{query}&X-Amz-Signature={signature}&Version=1"));
    format!("bedrock-api-key-{}", base64::engine::general_purpose::STANDARD.encode(url))
}

#[test]
fn short_term_keys_of_ones_own_access_key_are_verified_offline() {
    let gate = Gate::new();
    let verify = |token: &str, now| {
        let key = ShortTermKey::read(token)?;
        key.verify(&gate.verifier, &gate.keys, at(now)).map(|key| key.record.principal.clone())
    };
    let good = short_term(&gate.key, NOON, 43_200, "CallWithBearerToken");
    assert_eq!(verify(&good, NOON), Ok("alice".to_owned()));
    assert_eq!(verify(&good, NOON + 43_199), Ok("alice".to_owned()));
    assert!(matches!(verify(&good, NOON + 43_200), Err(SignatureFault::Expired { .. })));
    let forged = AccessKey { secret_access_key: crate::types::Secret::new("x"), ..gate.key.clone() };
    let aws = AccessKey { access_key_id: "ASIAIOSFODNN7EXAMPLE".to_owned(), ..gate.key.clone() };
    let swapped = good.replacen('M', "N", 3);
    let action = "Action=CallWithBearerToken";
    let changed = |change: fn(String) -> String| made(&gate.key, NOON, 43_200, action, "host", change);
    assert!(verify(&changed(|url| format!("https://{url}")), NOON).is_ok(), "some generators leave the scheme in");
    let more = |parameter: &str| made(&gate.key, NOON, 43_200, &format!("{action}&{parameter}"), "host", |url| url);
    assert!(verify(&more("X-Amz-A=1"), NOON).is_ok());
    assert!(
        matches!(verify(&more("X-Amz-Security-Token=t"), NOON), Err(SignatureFault::ShortTerm(why)) if why.contains("temporary credentials"))
    );
    for (token, why) in [
        (changed(|url| url.replace("bedrock.amazonaws.com", "example.com")), "another host"),
        (changed(|url| url.replace("&Version", "&X-Amz-Security-Token=t&Version")), "a session token"),
        (changed(|url| url.replace("&Version", "&x=1&Version")), "a parameter that is not signed"),
        (made(&gate.key, NOON, 43_200, action, "accept", |url| url), "host is not said to be signed"),
        (made(&gate.key, NOON, 43_200, action, "accept%3Bhost", |url| url), "more is said to be signed"),
        (short_term(&gate.key, NOON, 43_201, "CallWithBearerToken"), "more than twelve hours"),
        (short_term(&gate.key, NOON, 43_200, "GetCallerIdentity"), "another action"),
        (short_term(&forged, NOON, 43_200, "CallWithBearerToken"), "another secret"),
        (short_term(&aws, NOON, 43_200, "CallWithBearerToken"), "AWS's own key"),
        (swapped, "tampered with"),
        ("bedrock-api-key-".to_owned(), "empty"),
        ("bedrock-api-key-YWJj".to_owned(), "no URL"),
        ("bedrock-api-key-!".to_owned(), "no base64"),
    ] {
        assert!(verify(&token, NOON).is_err(), "{why}");
    }
}
