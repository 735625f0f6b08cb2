//! Which path answers what.
//!
//! - `GET /livez`: 200 for as long as the process can answer at all; a restart would help if it does not.
//! - `GET /readyz`: 200 when every check passes, else 503; the body names each check and what it waits for.
//! - `GET /metrics`: OpenMetrics text.
//! - `GET /budgets`: every count of a budget beside its limit, as JSON, dollars in nano-dollars; 503 while the store cannot tell.
//! - `GET /usage?since=2026-11-01T00:00:00Z`: what was settled, by the hour, as JSON; without `since` the last 30 days.
//! - `GET /bill`: who spent what on which model, as JSON; 503 while the store cannot tell.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;
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
    /// Tells how budgets stand.
    pub budgets: Arc<dyn Fn() -> Answer + Send + Sync>,
    /// Tells what has been settled since an instant.
    pub usage: Arc<dyn Fn(SystemTime) -> Answer + Send + Sync>,
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

pub(super) async fn answer(
    sources: &AdminSources,
    method: &Method,
    path: &str,
    query: Option<&str>,
) -> Response<Full<Bytes>> {
    if !matches!(path, "/livez" | "/readyz" | "/metrics" | "/bill" | "/budgets" | "/usage") {
        return page(StatusCode::NOT_FOUND, TEXT, "known: /livez /readyz /metrics /bill /budgets /usage\n");
    }
    if method != Method::GET && method != Method::HEAD {
        let mut refusal = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match path {
        "/livez" => page(StatusCode::OK, TEXT, "ok\n"),
        "/metrics" => page(StatusCode::OK, Metrics::CONTENT_TYPE, sources.metrics.encode()),
        "/bill" => told((sources.bill)().await),
        "/budgets" => told((sources.budgets)().await),
        "/usage" => match since(query, SystemTime::now()) {
            Ok(since) => told((sources.usage)(since).await),
            Err(error) => page(StatusCode::BAD_REQUEST, JSON, json!({ "error": error }).to_string()),
        },
        _ => readiness(&(sources.readiness)()),
    }
}

fn told(answer: Result<Value, String>) -> Response<Full<Bytes>> {
    match answer {
        Ok(value) => page(StatusCode::OK, JSON, value.to_string()),
        Err(error) => page(StatusCode::SERVICE_UNAVAILABLE, JSON, json!({ "error": error }).to_string()),
    }
}

/// From when on usage is asked for.
fn since(query: Option<&str>, now: SystemTime) -> Result<SystemTime, String> {
    let mut since = now.checked_sub(USAGE_BY_DEFAULT).unwrap_or(SystemTime::UNIX_EPOCH);
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let time = match pair.split_once('=') {
            Some(("since", value)) => value.parse::<Timestamp>().ok(),
            _ => None,
        };
        let wrong = || "the one parameter is since, such as since=2026-11-01T00:00:00Z".to_owned();
        since = time.ok_or_else(wrong)?.into();
    }
    Ok(since)
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
const USAGE_BY_DEFAULT: Duration = Duration::from_hours(30 * 24);
const DETAIL_BYTES: usize = 500;
