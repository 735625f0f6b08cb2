//! The look-alike over the wire: requests signed by `aws-sigv4`, streams decoded by `aws-smithy-eventstream`.

mod account;
mod faults;
mod outages;
mod plane;
mod profiles;
mod refusals;
mod sessions;
mod shapes;
mod verify;

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::*;
use crate::types::Tags;

pub(super) const PROFILE: &str = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2";
pub(super) const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

pub(super) fn profile(arn: &str, source: &str) -> MockProfile {
    MockProfile { arn: arn.parse().unwrap(), source: source.parse().unwrap(), tags: Tags::default() }
}

pub(super) fn config() -> MockConfig {
    MockConfig { profiles: vec![profile(PROFILE, CLAUDE)], ..MockConfig::local().unwrap() }
}

/// A request with a valid signature of the documented test pair.
pub(super) fn signed(url: &str, headers: &[(&str, &str)], body: &str, at: SystemTime) -> Request<String> {
    let mut request = Request::post(url).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(body.to_owned()).unwrap();
    let identity =
        Credentials::new(MockConfig::ACCESS_KEY_ID, MockConfig::SECRET_ACCESS_KEY, None, None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("bedrock")
        .time(at)
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let named = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let signable = SignableRequest::new("POST", url, named, SignableBody::Bytes(body.as_bytes())).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    instructions.apply_to_request_http1x(&mut request);
    request
}

/// What came back; `whole` is false where the connection was cut before the body's end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) whole: bool,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn error(&self) -> String {
        let kind = self.headers.get("x-amzn-errortype").map_or("", |value| value.to_str().unwrap());
        let json = self.json();
        let message = json.get("message").or_else(|| json.get("Message")).and_then(Value::as_str);
        format!("{} {}: {}", self.status.as_u16(), kind.split(':').next().unwrap(), message.unwrap_or("-"))
    }

    pub(super) fn messages(&self) -> Vec<(String, Value)> {
        decoded(&self.body).unwrap()
    }
}

/// Every message's event or exception type, and its payload with the inner JSON of a chunk unwrapped.
pub(super) fn decoded(body: &[u8]) -> Result<Vec<(String, Value)>, String> {
    let mut rest = body;
    let mut messages = Vec::new();
    while rest.has_remaining() {
        let frame = MessageFrameDecoder::new().decode_frame(&mut rest).map_err(|error| error.to_string())?;
        let DecodedFrame::Complete(message) = frame else { return Err("truncated".to_owned()) };
        let header = |name: &str| {
            let found = message.headers().iter().find(|header| header.name().as_str() == name)?;
            Some(found.value().as_string().unwrap().as_str().to_owned())
        };
        let kind = header(":event-type").or_else(|| header(":exception-type")).unwrap();
        let mut payload: Value = serde_json::from_slice(message.payload()).unwrap();
        if let Some(bytes) = payload.get("bytes").and_then(Value::as_str) {
            use base64::Engine as _;
            payload =
                serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(bytes).unwrap()).unwrap();
        }
        messages.push((kind, payload));
    }
    Ok(messages)
}

pub(super) async fn send(address: SocketAddr, request: Request<String>) -> Reply {
    try_send(address, request).await.unwrap()
}

/// `None` where the connection was cut without an answer.
pub(super) async fn try_send(address: SocketAddr, request: Request<String>) -> Option<Reply> {
    let (mut parts, body) = request.into_parts();
    parts.headers.insert("host", parts.uri.authority().unwrap().as_str().parse().unwrap());
    parts.uri = parts.uri.path_and_query().unwrap().as_str().parse().unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let response = sender.send_request(Request::from_parts(parts, Full::<Bytes>::from(body))).await.ok()?;
    let (parts, mut body) = response.into_parts();
    let (mut collected, mut whole) = (BytesMut::new(), true);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            whole = false;
            break;
        };
        collected.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..]));
    }
    driver.abort();
    Some(Reply { status: parts.status, headers: parts.headers, body: collected.freeze(), whole })
}

/// Signs and sends a call.
pub(super) async fn call(running: &Running, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let request = signed(&format!("{}{path}", running.url()), headers, body, SystemTime::now());
    send(running.addr(), request).await
}

pub(super) fn model_path(model: &str, action: &str) -> String {
    format!("/model/{}/{action}", model.replace(':', "%3A").replace('/', "%2F"))
}

/// A Messages API body with a prompt.
pub(super) fn claude_body(prompt: &str) -> String {
    serde_json::json!({
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": prompt}]
    })
    .to_string()
}

pub(super) fn converse_body(prompt: &str) -> String {
    serde_json::json!({"messages": [{"role": "user", "content": [{"text": prompt}]}]}).to_string()
}
