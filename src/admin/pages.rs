//! Which path answers what.
//!
//! - `GET /livez`: 200 for as long as the process can answer at all; a restart would help if it does not.
//! - `GET /readyz`: 200 when every check passes, else 503; the body names each check and what it waits for.
//! - `GET /metrics`: OpenMetrics text.
//! - `GET /bill`: who spent what on which model, as JSON; 503 while the store cannot tell.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::telemetry::{Metrics, excerpt};

/// A page as JSON, or why it cannot be made, later.
pub type Answer = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;

/// What the pages are made of.
#[derive(Clone)]
pub struct AdminSources {
    /// The metric families.
    pub metrics: Arc<Metrics>,
    /// Asks every check that readiness depends on.
    pub readiness: Arc<dyn Fn() -> Vec<Check> + Send + Sync>,
    /// Makes the bill, or tells why the store cannot.
    pub bill: Arc<dyn Fn() -> Answer + Send + Sync>,
}

impl fmt::Debug for AdminSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminSources(…)")
    }
}

/// One thing that must be in order before calls can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is checked: `config`, `credentials`, `serving`, …
    pub name: &'static str,
    /// How it stands.
    pub state: State,
}

/// How a check stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// In order.
    Ready,
    /// Not in order, and what it waits for. It is redacted and cut short before it is shown.
    Waiting(String),
}

pub(super) async fn answer(sources: &AdminSources, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if !matches!(path, "/livez" | "/readyz" | "/metrics" | "/bill") {
        return page(StatusCode::NOT_FOUND, TEXT, "known: /livez /readyz /metrics /bill\n");
    }
    if method != Method::GET && method != Method::HEAD {
        let mut refusal = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match path {
        "/livez" => page(StatusCode::OK, TEXT, "ok\n"),
        "/metrics" => page(StatusCode::OK, Metrics::CONTENT_TYPE, sources.metrics.encode()),
        "/bill" => match (sources.bill)().await {
            Ok(bill) => page(StatusCode::OK, JSON, bill.to_string()),
            Err(error) => page(StatusCode::SERVICE_UNAVAILABLE, JSON, json!({ "error": error }).to_string()),
        },
        _ => readiness(&(sources.readiness)()),
    }
}

fn readiness(checks: &[Check]) -> Response<Full<Bytes>> {
    let ready = checks.iter().all(|check| check.state == State::Ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let listed: Vec<Value> = checks
        .iter()
        .map(|check| match &check.state {
            State::Ready => json!({ "name": check.name, "ready": true }),
            State::Waiting(detail) => {
                json!({ "name": check.name, "ready": false, "detail": excerpt(detail, DETAIL_BYTES) })
            }
        })
        .collect();
    page(status, JSON, json!({ "ready": ready, "checks": listed }).to_string())
}

fn page(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut page = Response::new(Full::new(body.into()));
    *page.status_mut() = status;
    let headers = page.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    page
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const DETAIL_BYTES: usize = 500;
