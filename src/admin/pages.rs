//! Which path answers what.
//!
//! - `GET /livez`: 200 for as long as the process can answer at all; a restart would help if it does not.
//! - `GET /readyz`: 200 when every check passes, else 503; the body names each check and what it waits for.
//! - `GET /metrics`: OpenMetrics text.
//! - `GET /budgets`: every count of a budget beside its limit, as JSON, dollars in nano-dollars; 503 while the store cannot tell.
//! - `GET /budgets/history`: who changed which budget, when and why, as JSON.
//! - `POST /budgets/set`, `/budgets/raise`, `/budgets/reset`: change a budget, with `Authorization: Bearer` and the token of
//!   `[admin] token_file`; the body is JSON. Without such a token nothing can be changed here.
//! - `GET /keys`: every key's id, kind, owner, times and note, as JSON; never a key.
//! - `POST /keys/revoke`: revokes a key at this gateway at once, with the same token; the body is `{"id": "…"}`.
//! - `GET /usage?since=2026-11-01T00:00:00Z`: what was settled, by the hour, as JSON; without `since` the last 30 days.
//! - `GET /bill`: who spent what on which model, as JSON; 503 while the store cannot tell.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::telemetry::{Metrics, excerpt};
use crate::types::Secret;

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
    /// Tells what operators have changed.
    pub history: Arc<dyn Fn() -> Answer + Send + Sync>,
    /// Changes budgets and keys; nothing where nobody may.
    pub changing: Option<Changing>,
    /// Tells which keys there are.
    pub keys: Arc<dyn Fn() -> Answer + Send + Sync>,
    /// Tells what has been settled since an instant.
    pub usage: Arc<dyn Fn(SystemTime) -> Answer + Send + Sync>,
    /// Makes the bill, or tells why the store cannot.
    pub bill: Arc<dyn Fn() -> Answer + Send + Sync>,
}

/// How budgets and keys are changed, and by whom.
#[derive(Clone)]
pub struct Changing {
    /// What whoever asks has to know.
    pub token: Secret,
    /// Takes what the path changes, without its slash, and the body. The error is whoever asks's, or the store's.
    pub change: Arc<dyn Fn(String, Bytes) -> Changed + Send + Sync>,
}

/// What became of a change, later.
pub type Changed = Pin<Box<dyn Future<Output = Result<Value, ChangeError>> + Send>>;

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// What is asked makes no sense.
    Asked(String),
    /// The store cannot be written.
    Store(String),
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
    let known = ["/livez", "/readyz", "/metrics", "/bill", "/budgets", "/budgets/history", "/keys", "/usage"];
    if !known.contains(&path) {
        let changing = "POST /budgets/set /budgets/raise /budgets/reset /keys/revoke";
        let known = format!("known: {}; {changing}\n", known.join(" "));
        return page(StatusCode::NOT_FOUND, TEXT, known);
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
        "/budgets/history" => told((sources.history)().await),
        "/keys" => told((sources.keys)().await),
        "/usage" => match since(query, SystemTime::now()) {
            Ok(since) => told((sources.usage)(since).await),
            Err(error) => page(StatusCode::BAD_REQUEST, JSON, json!({ "error": error }).to_string()),
        },
        _ => readiness(&(sources.readiness)()),
    }
}

/// What a path changes.
pub(super) fn action<'p>(method: &Method, path: &'p str) -> Option<&'p str> {
    let action = path.strip_prefix('/')?;
    let known = matches!(action, "budgets/set" | "budgets/raise" | "budgets/reset" | "keys/revoke");
    (method == Method::POST && known).then_some(action)
}

/// Changes a budget or a key. The body is read only for who may.
pub(super) async fn change(
    sources: &AdminSources,
    action: &str,
    headers: &HeaderMap,
    body: Incoming,
) -> Response<Full<Bytes>> {
    let error = |status, error: String| page(status, JSON, json!({ "error": error }).to_string());
    let Some(Changing { token, change }) = &sources.changing else {
        let how = "nothing can be changed here: [admin] token_file names no token; `tollgate budget` and `tollgate key` change things";
        return error(StatusCode::FORBIDDEN, how.to_owned());
    };
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let known = sent.is_some_and(|sent| bool::from(sent.as_bytes().ct_eq(token.expose().as_bytes())));
    if !known {
        let how = "Authorization: Bearer and the token of [admin] token_file are needed";
        let mut refusal = error(StatusCode::UNAUTHORIZED, how.to_owned());
        refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return refusal;
    }
    let body = match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, LARGEST_BODY).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return error(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {LARGEST_BODY} bytes")),
        Err(_) => return error(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".to_owned()),
    };
    match change(action.to_owned(), body).await {
        Ok(value) => page(StatusCode::OK, JSON, value.to_string()),
        Err(ChangeError::Asked(why)) => error(StatusCode::BAD_REQUEST, why),
        Err(ChangeError::Store(why)) => error(StatusCode::SERVICE_UNAVAILABLE, why),
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
const LARGEST_BODY: usize = 64 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const DETAIL_BYTES: usize = 500;
