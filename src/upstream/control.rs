//! AWS's control plane: questions signed with the credentials for their account, over kept connections of their own.
//!
//! Hosts are made from the service and the Region, or are the one that the configuration names. An answer is read whole, up to
//! a bound; nothing follows a redirect. Credentials that AWS does not take are renewed at once; whoever asked asks again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HeaderName};
use http_body_util::{BodyExt, Limited};

use super::credentials::Credentials;
use super::endpoint::{Endpoint, Variant};
use super::error::UpstreamError;
use super::plain::Plain;
use super::pool::Pool;
use super::sessions::{Sessions, Signing};
use crate::profiles::control::{Asked, ControlPlane, Question, Reply, Service};
use crate::sigv4::Signer;
use crate::types::{Clock, Segments};

/// Where questions go.
#[derive(Clone, Debug)]
pub enum ControlEndpoints {
    /// All of them there.
    Fixed(Arc<Endpoint>),
    /// To each service's own endpoint of the Region.
    Own(Variant),
}

impl ControlEndpoints {
    fn of(&self, question: &Question) -> Arc<Endpoint> {
        match self {
            Self::Fixed(endpoint) => Arc::clone(endpoint),
            Self::Own(variant) => {
                Arc::new(Endpoint::of_service(question.service.name(), &question.place.region, *variant))
            }
        }
    }
}

/// Signs and sends questions to the control plane.
#[derive(Clone, Debug)]
pub struct ControlClient(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    credentials: Arc<Credentials>,
    sessions: Arc<Sessions>,
    pool: Arc<Pool>,
    endpoints: ControlEndpoints,
    bedrock: Signer,
    tagging: Signer,
    quotas: Signer,
    clock: Arc<dyn Clock>,
}

impl ControlClient {
    /// Signs with `sessions` where an account has them and with `credentials` otherwise, and sends over `pool`.
    pub fn new(
        credentials: Arc<Credentials>,
        sessions: Arc<Sessions>,
        pool: Arc<Pool>,
        endpoints: ControlEndpoints,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Parts {
            credentials,
            sessions,
            pool,
            endpoints,
            bedrock: Signer::for_service(Service::Bedrock.name()),
            tagging: Signer::for_service(Service::Tagging.name()),
            quotas: Signer::for_service(Service::Quotas.name()),
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

    /// The SDKs make a FIPS and a dual-stack host for every service in every Region; of the tagging API AWS lists neither.
    fn may_lack(&self, service: Service) -> bool {
        match self.0.endpoints {
            ControlEndpoints::Fixed(_) => false,
            ControlEndpoints::Own(variant) => service == Service::Tagging && variant != Variant::default(),
        }
    }
}

impl Parts {
    async fn ask(&self, question: Question) -> Result<Reply, String> {
        let endpoint = self.endpoints.of(&question);
        let signing = self.sessions.own(&question.place.account).await.map_err(|error| error.to_string())?;
        let request = self.signed(question, &endpoint, &signing)?;
        let response =
            self.pool.send(&endpoint, request.map(Segments::from)).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let error = response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(|error| error.to_string())?;
        let reply = Reply { status, error, body: body.to_bytes() };
        if reply.is_of_credentials() && !self.sessions.refused(&signing) {
            tracing::error!("AWS refuses the gateway's own credentials; fetching new ones");
            self.credentials.renew();
        }
        Ok(reply)
    }

    fn signed(&self, question: Question, endpoint: &Endpoint, signing: &Signing) -> Result<Request<Bytes>, String> {
        let now = self.clock.now();
        let mut headers = Vec::with_capacity(2);
        if let Some(target) = question.target {
            headers.push((TARGET, target));
        }
        if !question.body.is_empty() {
            let json = if question.target.is_some() { "application/x-amz-json-1.1" } else { "application/json" };
            headers.push((CONTENT_TYPE, json));
        }
        let plain = Plain {
            method: question.method,
            path: &question.path,
            query: &question.query,
            headers: &headers,
            body: question.body,
        };
        let signer = match question.service {
            Service::Bedrock => &self.bedrock,
            Service::Tagging => &self.tagging,
            Service::Quotas => &self.quotas,
        };
        let told = |error: UpstreamError| error.to_string();
        let region = &question.place.region;
        if let Some((session, _)) = signing.session() {
            return plain.signed(endpoint, signer, session, region, now);
        }
        let own = self.credentials.current().map_err(told)?;
        plain.signed(endpoint, signer, &own.credentials, region, now)
    }
}

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const PATIENCE: Duration = Duration::from_secs(30);
/// A page of a thousand profiles, each with a model in every Region of a geography, is a megabyte.
const LARGEST: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicU32, Ordering};

    use http::Method;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::sync::CancellationToken;

    use super::super::connector::Connector;
    use super::super::credentials::{CredentialError, CredentialSource, Loaded};
    use super::super::pool::Limits;
    use super::super::sessions::Sts;
    use super::*;
    use crate::profiles::control::Place;
    use crate::sigv4::AwsCredentials;
    use crate::types::{Secret, SystemClock};

    /// `AKIA0`, and another each time.
    #[derive(Debug, Default)]
    struct Rotating(AtomicU32);

    impl CredentialSource for Rotating {
        fn load(&self) -> Pin<Box<dyn Future<Output = Result<Loaded, CredentialError>> + Send + '_>> {
            let credentials = AwsCredentials {
                access_key_id: format!("AKIA{}", self.0.fetch_add(1, Ordering::SeqCst)),
                secret_access_key: Secret::new("s"),
                session_token: None,
            };
            Box::pin(std::future::ready(Ok(Loaded { credentials, expires: None })))
        }
    }

    /// Does not take the first set.
    async fn aws(mut tcp: TcpStream) {
        let mut seen = Vec::new();
        while tcp.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {
            if seen.ends_with(b"\r\n\r\n") {
                let expired = String::from_utf8_lossy(&seen).contains("Credential=AKIA0/");
                seen.clear();
                let answer = if expired {
                    "HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: ExpiredTokenException\r\ncontent-length: 0\r\n\r\n"
                } else {
                    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
                };
                tcp.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn the_gateways_own_credentials_are_renewed_when_aws_does_not_take_them() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(aws(tcp));
            }
        });
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let credentials = Credentials::new(Box::new(Rotating::default()), Arc::clone(&clock));
        credentials.fetch().await.unwrap();
        let limit = Duration::from_mins(1);
        let limits = Limits {
            max_connections: 2,
            connect_timeout: limit,
            first_byte_timeout: limit,
            idle_timeout: limit,
            pool_idle_timeout: limit,
        };
        let pool = Pool::new(Connector::new(None).unwrap(), limits);
        let sts = Sts::new(
            Arc::clone(&credentials),
            Arc::clone(&pool),
            endpoint.clone(),
            "us-east-1".parse().unwrap(),
            Arc::clone(&clock),
        );
        let sessions = Sessions::new(Vec::new(), Box::new(sts), Arc::clone(&clock));
        let client = ControlClient::new(
            Arc::clone(&credentials),
            sessions,
            pool,
            ControlEndpoints::Fixed(Arc::new(endpoint)),
            clock,
        );
        let stop = CancellationToken::new();
        let keeping = tokio::spawn(Arc::clone(&credentials).keep_fresh(stop.clone()));
        let question = Question {
            service: Service::Bedrock,
            place: Place { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() },
            method: Method::GET,
            path: "/inference-profiles".to_owned(),
            query: String::new(),
            target: None,
            body: Bytes::new(),
        };
        assert!(client.ask(question.clone()).await.unwrap().is_of_credentials());
        let taken = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            while client.ask(question.clone()).await.unwrap().status != 200 {
                ticks.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), taken).await.unwrap();
        stop.cancel();
        keeping.await.unwrap();
    }
}
