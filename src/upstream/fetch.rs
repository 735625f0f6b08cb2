//! Short questions to others than Bedrock: an issuer's keys, the caller that STS knows.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Empty;

use super::connector::Connector;
use super::endpoint::Endpoint;
use super::once::once;
use crate::identity::{Fetch, Fetched};

/// Asks over connections of their own, one for each question.
#[derive(Debug)]
pub struct Fetcher {
    connector: Connector,
}

impl Fetcher {
    /// Over connections that trust what this connector trusts.
    pub const fn new(connector: Connector) -> Self {
        Self { connector }
    }
}

impl Fetch for Fetcher {
    fn fetch(&self, request: Request<()>) -> Fetched {
        let connector = self.connector.clone();
        Box::pin(async move {
            match tokio::time::timeout(PATIENCE, ask(connector, request)).await {
                Ok(answered) => answered,
                Err(_) => Err("no answer in time".to_owned()),
            }
        })
    }
}

async fn ask(connector: Connector, request: Request<()>) -> Result<(u16, Bytes), String> {
    let uri = request.uri().clone();
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err("no absolute URL".to_owned());
    };
    let endpoint = Endpoint::parse(&format!("{scheme}://{authority}")).map_err(|error| told(&error))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut asked = request.map(|()| Empty::<Bytes>::new());
    *asked.uri_mut() = path.parse().map_err(|error| told(&error))?;
    let headers = asked.headers_mut();
    if !headers.contains_key(header::HOST) {
        headers.insert(header::HOST, HeaderValue::from_str(authority.as_str()).map_err(|error| told(&error))?);
    }
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))));
    once(&connector, &endpoint, asked).await
}

fn told(error: &dyn fmt::Display) -> String {
    error.to_string()
}

const PATIENCE: Duration = Duration::from_secs(10);
