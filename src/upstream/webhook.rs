//! A webhook: one URL that is told of things, signed as <https://www.standardwebhooks.com> has it.
//!
//! A message has an id that stays the same however often it is sent, so that a receiver that has seen it can leave it. The
//! signature is HMAC-SHA256 over `id.timestamp.body`, under the secret that the receiver knows too.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Uri, header};
use http_body_util::Full;
use sha2::Sha256;

use super::connector::Connector;
use super::endpoint::Endpoint;
use super::once::once;
use crate::types::Secret;

/// Where to tell, and how to sign.
pub struct Webhook {
    connector: Connector,
    endpoint: Endpoint,
    path: String,
    key: Vec<u8>,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The URL is none.
    #[error("{0:?} is no URL of a webhook")]
    Url(String),
    /// The secret is none.
    #[error("the secret is empty, or what stands behind whsec_ is no base64")]
    Secret,
    /// It could not be sent, or nothing was answered in time.
    #[error("{0}")]
    Unreachable(String),
    /// Another answer than one of success.
    #[error("it was answered with {0}")]
    Refused(u16),
}

impl Webhook {
    /// A webhook at an `https` URL; `http` is for receivers on this machine. A secret is `whsec_` and base64, or any other text.
    pub fn new(connector: Connector, url: &str, secret: &Secret) -> Result<Self, WebhookError> {
        let wrong = || WebhookError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(wrong()) };
        let endpoint = Endpoint::parse(&format!("{scheme}://{authority}")).map_err(|_| wrong())?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let key = match secret.expose().strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| WebhookError::Secret)?,
            None => secret.expose().as_bytes().to_vec(),
        };
        if key.is_empty() {
            return Err(WebhookError::Secret);
        }
        Ok(Self { connector, endpoint, path, key })
    }

    /// Sends a message; it is taken once it is answered with success.
    pub async fn post(&self, id: &str, body: String, now: SystemTime) -> Result<(), WebhookError> {
        let sent = tokio::time::timeout(PATIENCE, self.send(id, body, now)).await;
        let status = sent.map_err(|_| WebhookError::Unreachable("no answer in time".to_owned()))??;
        if (200..300).contains(&status) { Ok(()) } else { Err(WebhookError::Refused(status)) }
    }

    async fn send(&self, id: &str, body: String, now: SystemTime) -> Result<u16, WebhookError> {
        let unreachable = |error: &dyn fmt::Display| WebhookError::Unreachable(error.to_string());
        let timestamp = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()).to_string();
        let request = Request::post(&self.path)
            .header(header::HOST, self.endpoint.authority())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("tollgate/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-signature", self.signature(id, &timestamp, &body))
            .header("webhook-timestamp", timestamp)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| unreachable(&error))?;
        // What else it says is of no interest.
        let answered = once(&self.connector, &self.endpoint, request).await;
        answered.map(|(status, _)| status).map_err(WebhookError::Unreachable)
    }

    fn signature(&self, id: &str, timestamp: &str, body: &str) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return String::new() };
        for part in [id, ".", timestamp, ".", body] {
            mac.update(part.as_bytes());
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("at", &self.endpoint.authority()).finish_non_exhaustive()
    }
}

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(url: &str, secret: &str) -> Result<Webhook, WebhookError> {
        Webhook::new(Connector::new(None).unwrap(), url, &Secret::new(secret.to_owned()))
    }

    #[test]
    fn a_message_is_signed_as_the_specification_shows() {
        // The example of the specification's reference implementations.
        let webhook = webhook("https://example.com/hook?team=1", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = webhook.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!((webhook.endpoint.authority(), webhook.path.as_str()), ("example.com", "/hook?team=1"));
    }

    #[test]
    fn a_query_needs_no_path() {
        assert_eq!(webhook("https://example.com?team=1", "secret").unwrap().path, "/?team=1");
    }

    #[test]
    fn what_is_no_url_and_no_secret_is_refused() {
        for url in ["", "example.com/hook", "ftp://example.com", "/hook", "https://"] {
            assert!(matches!(webhook(url, "secret"), Err(WebhookError::Url(_))), "{url}");
        }
        for secret in ["", "whsec_", "whsec_not base64"] {
            assert!(matches!(webhook("https://example.com", secret), Err(WebhookError::Secret)), "{secret}");
        }
    }
}
