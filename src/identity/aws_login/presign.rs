//! Making a token, as `tollgate token` does.

use std::time::{Duration, SystemTime};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};

use super::region::host_of;
use super::token::{ACTION, AUDIENCE_HEADER, VERSION, encode};
use crate::sigv4::{AwsCredentials, CanonicalRequest, Signer, encoded};

/// A token that proves the role behind some credentials to the gateway of an audience. `None` where the Region is none.
pub fn presign(
    credentials: &AwsCredentials,
    region: &str,
    audience: &str,
    expires_in: Duration,
    now: SystemTime,
) -> Option<String> {
    let host = host_of(region)?;
    let date = Signer::amz_date(now);
    let scope = format!("{}/{region}/sts/aws4_request", date.get(..8)?);
    let credential = format!("{}/{scope}", credentials.access_key_id).replace('/', "%2F");
    let mut parameters = vec![
        ("Action", ACTION.to_owned()),
        ("Version", VERSION.to_owned()),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("X-Amz-Credential", credential),
        ("X-Amz-Date", date.clone()),
        ("X-Amz-Expires", expires_in.as_secs().to_string()),
        ("X-Amz-SignedHeaders", format!("host%3B{AUDIENCE_HEADER}")),
    ];
    if let Some(token) = &credentials.session_token {
        parameters.push(("X-Amz-Security-Token", encoded(token.expose())));
    }
    parameters.sort();
    let query = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let request = CanonicalRequest {
        method: "GET",
        path: "/",
        query: &query,
        headers: &[("host", &host), (AUDIENCE_HEADER, audience)],
        payload_sha256: SHA256_OF_NOTHING,
    };
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", request.sha256(&request.signed_headers()));
    let key = generate_signing_key(credentials.secret_access_key.expose(), now, region, "sts");
    let signature = calculate_signature(key, to_sign.as_bytes());
    Some(encode(&format!("https://{host}/?{query}&X-Amz-Signature={signature}")))
}

const SHA256_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
