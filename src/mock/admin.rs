//! `/_mock/`: what a test asks of the look-alike itself. No credentials are needed here.
//!
//! | call | answer |
//! | --- | --- |
//! | `GET /_mock/requests` | the requests received, oldest first |
//! | `GET /_mock/requests/{id}/body` | the body of one, as received |
//! | `DELETE /_mock/requests` | forgets requests, account, prompt cache and queued faults |
//! | `GET /_mock/account` | what AWS would bill, by profile |
//! | `POST /_mock/faults` | `{"directives": "throttle", "times": 2}`: the next calls follow these directives |
//! | `GET /_mock/faults` | the directives still queued |
//! | `DELETE /_mock/faults` | forgets them |
//! | `POST /_mock/failures` | `{"service": "sts", "failure": "throttled", "times": 2}`: the next calls of a service of the control plane fail |
//! | `DELETE /_mock/failures` | ends them |

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::calls::Calls;
use super::control::{MockFailure, MockService};
use super::stream::AnswerBody;

/// Everything below this is the look-alike's own.
pub(super) const PREFIX: &str = "/_mock/";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    directives: String,
    #[serde(default = "once")]
    times: u32,
}

const fn once() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailureOrder {
    service: MockService,
    failure: MockFailure,
    #[serde(default = "once")]
    times: u32,
}

#[derive(Serialize)]
struct Complaint {
    error: String,
}

/// Answers a call below [`PREFIX`].
pub(super) fn answer(calls: &Calls, method: &Method, path: &str, body: &Bytes) -> Response<AnswerBody> {
    let place = path.strip_prefix(PREFIX).unwrap_or_default();
    match (method, place) {
        (&Method::GET, "requests") => json(StatusCode::OK, &calls.account.received()),
        (&Method::DELETE, "requests") => {
            calls.reset();
            response(StatusCode::NO_CONTENT, None, Bytes::new())
        }
        (&Method::GET, "account") => json(StatusCode::OK, &calls.account.totals()),
        (&Method::POST, "faults") => queue(calls, body),
        (&Method::GET, "faults") => json(StatusCode::OK, &calls.queue.waiting()),
        (&Method::DELETE, "faults") => {
            calls.queue.clear();
            response(StatusCode::NO_CONTENT, None, Bytes::new())
        }
        (&Method::POST, "failures") => match serde_json::from_slice::<FailureOrder>(body) {
            Ok(order) => {
                calls.control.outages.set(order.service, order.failure, order.times);
                response(StatusCode::NO_CONTENT, None, Bytes::new())
            }
            Err(error) => complaint(StatusCode::BAD_REQUEST, error.to_string()),
        },
        (&Method::DELETE, "failures") => {
            calls.control.outages.clear();
            response(StatusCode::NO_CONTENT, None, Bytes::new())
        }
        (&Method::GET, place) => match body_of(calls, place) {
            Some(body) => response(StatusCode::OK, Some("application/octet-stream"), body),
            None => complaint(StatusCode::NOT_FOUND, "there is nothing here".to_owned()),
        },
        _ => complaint(StatusCode::NOT_FOUND, "there is nothing here".to_owned()),
    }
}

fn queue(calls: &Calls, body: &[u8]) -> Response<AnswerBody> {
    let order: Order = match serde_json::from_slice(body) {
        Ok(order) => order,
        Err(error) => return complaint(StatusCode::BAD_REQUEST, error.to_string()),
    };
    match order.directives.parse() {
        Ok(directives) => {
            calls.queue.push(&directives, order.times);
            json(StatusCode::OK, &calls.queue.waiting())
        }
        Err(error) => complaint(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

fn body_of(calls: &Calls, place: &str) -> Option<Bytes> {
    let id = place.strip_prefix("requests/")?.strip_suffix("/body")?.parse().ok()?;
    calls.account.body(id)
}

fn complaint(status: StatusCode, error: String) -> Response<AnswerBody> {
    json(status, &Complaint { error })
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<AnswerBody> {
    match serde_json::to_vec(value) {
        Ok(body) => response(status, Some("application/json"), body.into()),
        Err(_) => response(StatusCode::INTERNAL_SERVER_ERROR, None, Bytes::new()),
    }
}

fn response(status: StatusCode, content_type: Option<&'static str>, body: Bytes) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::plain(body));
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    }
    response
}
