//! The request that goes to Bedrock: written anew from the target, with the caller's body and the allowed headers, and signed.
//!
//! The path is made from the target's own name, so no byte of the caller's path is in it. Of the headers, those of Bedrock's
//! own API and the content type are signed beside `host` and SigV4's; `accept` and `user-agent` go along unsigned.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response};

use super::body::UpstreamBody;
use super::credentials::Credentials;
use super::endpoint::{Endpoint, Endpoints};
use super::error::UpstreamError;
use super::pool::Pool;
use super::sessions::{Sessions, Signing};
use crate::bedrock::headers::FORWARDED;
use crate::bedrock::{guardrail_path, model_path};
use crate::budget::Reservation;
use crate::guardrail::Guarded;
use crate::profiles::Target;
use crate::sigv4::{CanonicalRequest, Payload, Signer};
use crate::types::{Clock, Region, Segments};

/// A request that may be sent: guarded, paid for and signed. Only [`RequestSigner::sign`] makes one.
#[derive(Clone, Debug)]
pub struct Signed {
    endpoint: Arc<Endpoint>,
    signing: Signing,
    request: Request<Segments>,
}

impl Signed {
    /// What it is signed with.
    pub const fn signing(&self) -> &Signing {
        &self.signing
    }

    /// Sends it.
    pub async fn send(self, pool: &Arc<Pool>) -> Result<Response<UpstreamBody>, UpstreamError> {
        pool.send(&self.endpoint, self.request).await
    }
}

/// Writes and signs requests to Bedrock.
#[derive(Debug)]
pub struct RequestSigner {
    credentials: Arc<Credentials>,
    sessions: Arc<Sessions>,
    endpoints: Endpoints,
    /// For calls whose target names no Region: `ApplyGuardrail` with a bare id.
    region: Region,
    signer: Signer,
    clock: Arc<dyn Clock>,
}

impl RequestSigner {
    /// Signs with `sessions` where a target's account has them and with `credentials` otherwise, for `endpoints`.
    pub fn new(
        credentials: Arc<Credentials>,
        sessions: Arc<Sessions>,
        endpoints: Endpoints,
        region: Region,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { credentials, sessions, endpoints, region, signer: Signer::default(), clock }
    }

    /// The sessions it signs with.
    pub const fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// With what a call is signed. It waits for STS where the call's session is not there yet.
    pub async fn signing_of(&self, guarded: &Guarded) -> Result<Signing, UpstreamError> {
        let permitted = guarded.permitted();
        match permitted.target().profile() {
            Some(profile) => self.sessions.of(profile.arn().account(), permitted.principal()).await,
            None => Ok(Signing::OWN),
        }
    }

    /// Bedrock does not know a signature any more: credentials are fetched now, not when they are due.
    pub fn refused(&self, signing: &Signing) {
        if !self.sessions.refused(signing) {
            tracing::error!("Bedrock refuses the gateway's own AWS credentials; fetching new ones");
            self.credentials.renew();
        }
    }

    /// Writes and signs the request of a guarded call with what [`RequestSigner::signing_of`] found for it. The reservation is asked for because nothing may be signed without one.
    /// `hashed` is the caller's body where it has been hashed already; it spares doing so again unless the guardrail changed it.
    pub fn sign(
        &self,
        guarded: &Guarded,
        signing: Signing,
        _paid_for: &Reservation,
        sent: &HeaderMap,
        hashed: Option<&Payload>,
    ) -> Result<Signed, UpstreamError> {
        let malformed = |what: &str| UpstreamError::Malformed(what.to_owned());
        let signing = signing.newest(self.clock.now())?;
        let target = guarded.permitted().target();
        let region = target.region().unwrap_or(&self.region).clone();
        let endpoint = self.endpoints.of(&region);
        let path = match target {
            Target::Guardrail { identifier, version } => Some(guardrail_path(identifier, version)),
            Target::Profile(_) | Target::BaseModel(_) => {
                target.model_id().and_then(|name| model_path(name, guarded.permitted().operation()))
            }
        }
        .ok_or_else(|| malformed("the target has no path"))?;

        let mut request = Request::new(guarded.body().clone());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path.parse().map_err(|_| malformed("the target's name makes no path"))?;
        let host = HeaderValue::from_str(endpoint.authority()).map_err(|_| malformed("the endpoint's name"))?;
        let headers = request.headers_mut();
        headers.reserve(16);
        headers.insert(HOST, host);
        for (name, value) in sent {
            if FORWARDED.contains(name) {
                headers.append(name, value.clone());
            }
        }
        for (name, value) in guarded.headers() {
            headers.insert(name, value.clone());
        }
        match hashed.filter(|payload| guarded.body().as_one().is_some_and(|body| payload.is(body))) {
            Some(payload) => self.sign_head(headers, &path, payload.sha256(), &region, &signing)?,
            None => self.sign_head(headers, &path, &Payload::sha256_of(guarded.body()), &region, &signing)?,
        }
        Ok(Signed { endpoint, signing, request })
    }

    fn sign_head(
        &self,
        headers: &mut HeaderMap,
        path: &str,
        payload_sha256: &str,
        region: &Region,
        signing: &Signing,
    ) -> Result<(), UpstreamError> {
        let malformed = |_| UpstreamError::Malformed("a header that has to be signed is not plain text".to_owned());
        let now = self.clock.now();
        let own;
        let (credentials, signer) = if let Some(session) = signing.session() {
            session
        } else {
            own = self.credentials.current()?;
            (&own.credentials, &self.signer)
        };
        let amz_date = Signer::amz_date(now);
        headers.insert(AMZ_DATE, HeaderValue::from_str(&amz_date).map_err(|_| clock_is_off())?);
        if let Some(token) = &credentials.session_token {
            let mut value = HeaderValue::from_str(token.expose())
                .map_err(|_| UpstreamError::Credentials("the session token is not a header value".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(SECURITY_TOKEN, value);
        }
        let authorization = {
            let mut covered: Vec<(&str, &str)> = Vec::with_capacity(12);
            for (name, value) in &*headers {
                if is_signed(name) {
                    covered.push((name.as_str(), value.to_str().map_err(malformed)?));
                }
            }
            covered.sort_unstable();
            let request = CanonicalRequest { method: "POST", path, query: "", headers: &covered, payload_sha256 };
            signer.sign(&request, &amz_date, now, credentials, region).authorization
        };
        let mut value = HeaderValue::from_str(&authorization)
            .map_err(|_| UpstreamError::Credentials("the access key id is not a header value".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// The time by which it signs.
    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }
}

fn is_signed(name: &HeaderName) -> bool {
    *name == HOST || *name == CONTENT_TYPE || name.as_str().starts_with("x-amz")
}

fn clock_is_off() -> UpstreamError {
    UpstreamError::Malformed("the clock tells no date".to_owned())
}

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
