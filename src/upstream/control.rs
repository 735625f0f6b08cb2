//! AWS's control plane: questions signed with the gateway's credentials, over kept connections of their own.
//!
//! Hosts are made here from the service and the Region, or are the one that the configuration names. An answer is read whole, up to
//! a bound; nothing follows a redirect.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full, Limited};

use super::credentials::Credentials;
use super::endpoint::{Endpoint, suffixes};
use super::pool::Pool;
use crate::profiles::control::{Asked, ControlPlane, Question, Reply, Service};
use crate::sigv4::{CanonicalRequest, Payload, Signer};
use crate::types::Clock;

/// Signs and sends questions to the control plane.
#[derive(Clone, Debug)]
pub struct ControlClient(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    credentials: Arc<Credentials>,
    pool: Arc<Pool>,
    endpoint: Option<Arc<Endpoint>>,
    bedrock: Signer,
    tagging: Signer,
    clock: Arc<dyn Clock>,
}

impl ControlClient {
    /// Signs with `credentials`, sends over `pool`: to `endpoint` where there is one, and otherwise to each service's own of the
    /// Region.
    pub fn new(
        credentials: Arc<Credentials>,
        pool: Arc<Pool>,
        endpoint: Option<Endpoint>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Parts {
            credentials,
            pool,
            endpoint: endpoint.map(Arc::new),
            bedrock: Signer::for_service(Service::Bedrock.name()),
            tagging: Signer::for_service(Service::Tagging.name()),
            clock,
        }))
    }
}

impl ControlPlane for ControlClient {
    fn ask(&self, question: Question) -> Asked {
        let parts = Arc::clone(&self.0);
        Box::pin(async move {
            match tokio::time::timeout(PATIENCE, parts.ask(question)).await {
                Ok(answered) => answered,
                Err(_) => Err("no answer in time".to_owned()),
            }
        })
    }
}

impl Parts {
    async fn ask(&self, question: Question) -> Result<Reply, String> {
        let endpoint = if let Some(fixed) = &self.endpoint {
            Arc::clone(fixed)
        } else {
            let host = format!(
                "https://{}.{}.{}",
                question.service.name(),
                question.place.region,
                suffixes(&question.place.region).0
            );
            Arc::new(Endpoint::parse(&host).map_err(|error| error.to_string())?)
        };
        let request = self.signed(question, &endpoint)?;
        let response = self.pool.send(&endpoint, request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let error = response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(|error| error.to_string())?;
        Ok(Reply { status, error, body: body.to_bytes() })
    }

    fn signed(&self, question: Question, endpoint: &Endpoint) -> Result<Request<Full<Bytes>>, String> {
        let credentials = self.credentials.current().map_err(|error| error.to_string())?;
        let credentials = &credentials.credentials;
        let now = self.clock.now();
        let amz_date = Signer::amz_date(now);
        let payload = Payload::of(question.body.clone());
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
        if let Some(target) = question.target {
            put(TARGET, target)?;
        }
        if !question.body.is_empty() {
            let json = if question.target.is_some() { "application/x-amz-json-1.1" } else { "application/json" };
            put(CONTENT_TYPE, json)?;
        }
        let covered: Result<Vec<_>, _> =
            headers.iter().map(|(name, value)| value.to_str().map(|value| (name.as_str(), value))).collect();
        let mut covered = covered.map_err(|error| error.to_string())?;
        covered.sort_unstable();
        let canonical = CanonicalRequest {
            method: question.method.as_str(),
            path: &question.path,
            query: &question.query,
            headers: &covered,
            payload_sha256: payload.sha256(),
        };
        let signer = match question.service {
            Service::Bedrock => &self.bedrock,
            Service::Tagging => &self.tagging,
        };
        let signature = signer.sign(&canonical, &amz_date, now, credentials, &question.place.region);
        let mut value = HeaderValue::from_str(&signature.authorization).map_err(|error| error.to_string())?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))));

        let separator = if question.query.is_empty() { "" } else { "?" };
        let target = format!("{}{separator}{}", question.path, question.query);
        let mut request = Request::new(Full::new(question.body));
        *request.method_mut() = question.method;
        *request.uri_mut() = target.parse().map_err(|_| "the question has no path".to_owned())?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const PATIENCE: Duration = Duration::from_secs(30);
/// A page of a thousand profiles, each with a model in every Region of a geography, is a megabyte.
const LARGEST: usize = 8 << 20;
