//! A signed request of the gateway's own to a service of AWS's: written whole, with headers that are few and known.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request};

use super::endpoint::Endpoint;
use crate::sigv4::{AwsCredentials, CanonicalRequest, Payload, Signer};
use crate::types::Region;

/// What is sent, before it is signed.
#[derive(Debug)]
pub(super) struct Plain<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    /// Sorted and encoded; empty where there is none.
    pub(super) query: &'a str,
    /// Headers beside `host` and SigV4's; they are signed.
    pub(super) headers: &'a [(HeaderName, &'static str)],
    pub(super) body: Bytes,
}

impl Plain<'_> {
    /// The request, signed for a Region.
    pub(super) fn signed(
        self,
        endpoint: &Endpoint,
        signer: &Signer,
        credentials: &AwsCredentials,
        region: &Region,
        now: SystemTime,
    ) -> Result<Request<Bytes>, String> {
        let Self { method, path, query, headers: own, body } = self;
        let amz_date = Signer::amz_date(now);
        let payload = Payload::of(body.clone());
        let mut headers = HeaderMap::new();
        let mut put = |name: HeaderName, value: &str| {
            headers.insert(name, HeaderValue::from_str(value).map_err(|error| error.to_string())?);
            Ok::<(), String>(())
        };
        put(HOST, endpoint.authority())?;
        put(AMZ_DATE, &amz_date)?;
        if let Some(token) = &credentials.session_token {
            put(SECURITY_TOKEN, token.expose())?;
        }
        for (name, value) in own {
            put(name.clone(), value)?;
        }
        let covered: Result<Vec<_>, _> =
            headers.iter().map(|(name, value)| value.to_str().map(|value| (name.as_str(), value))).collect();
        let mut covered = covered.map_err(|error| error.to_string())?;
        covered.sort_unstable();
        let canonical = CanonicalRequest {
            method: method.as_str(),
            path,
            query,
            headers: &covered,
            payload_sha256: payload.sha256(),
        };
        let signature = signer.sign(&canonical, &amz_date, now, credentials, region);
        let mut value = HeaderValue::from_str(&signature.authorization).map_err(|error| error.to_string())?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))));

        let separator = if query.is_empty() { "" } else { "?" };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() =
            format!("{path}{separator}{query}").parse().map_err(|_| "the question has no path".to_owned())?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
