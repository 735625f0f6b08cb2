//! One request over a connection of its own, and the whole of its answer, for what is asked seldom.

use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;

use super::connector::Connector;
use super::endpoint::Endpoint;

/// Sends a request; the status and the body of its answer. The caller bounds the time.
pub(super) async fn once<B>(
    connector: &Connector,
    endpoint: &Endpoint,
    request: Request<B>,
) -> Result<(u16, Bytes), String>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connection = connector.connect(endpoint).await.map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await;
    let (mut sender, driving) = handshake.map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (status, body) = (response.status().as_u16(), Limited::new(response.into_body(), LARGEST));
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(driving, answer);
    tokio::select! {
        biased;
        answered = &mut answer => answered,
        ended = &mut driving => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

/// The keys of the largest issuers are some tens of kilobytes.
const LARGEST: usize = 1 << 20;
