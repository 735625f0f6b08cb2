//! From the signed request to Bedrock's answer under the meter.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue};
use http::{Response, StatusCode, Version};

use super::body::Body;
use super::exchange::{Answer, Exchange, fault};
use super::flow::MeteredBody;
use super::rejection::Rejection;
use super::{Begun, Gateway, rejected, request_id};
use crate::bedrock::headers::{ERROR_TYPE, REQUEST_ID, TOLLGATE_BUDGET_REMAINING, remove_hop_by_hop};
use crate::bedrock::usage::UsageReader;
use crate::budget::{Reservation, ReservedReason};
use crate::limits::Admitted;
use crate::profiles::Profile;
use crate::telemetry::{Conclusion, Downstream, Ended, FaultKind, FaultName, Forwarded, Guardrail, Record, Settlement};
use crate::types::Money;
use crate::upstream::{Reached, Signed, Signing, UpstreamBody, UpstreamError};

impl Gateway {
    /// Sends a call and answers with what comes back. Runs to its end even if the caller is gone.
    pub(super) async fn forward(self: Arc<Self>, begun: Box<Begun>, record: Record) -> Response<Body> {
        let Begun { operation, signed, fresh, mut admitted, reservation, tariff } = *begun;
        admitted.sent();
        let signing = signed.signing().clone();
        // Whoever else is ready goes as far as this first: what is written then is written together, and whoever reads it wakes up once.
        tokio::task::yield_now().await;
        let sent = match fresh {
            Some(profile) => self.send_through_fresh(signed, &profile).await,
            None => signed.send(&self.pool).await,
        };
        let response = match sent {
            Ok(response) => response,
            Err(error) => return failed(error, admitted, reservation, record),
        };
        let (mut head, body) = response.into_parts();
        let named = fault_name(head.status, &head.headers);
        self.renew_if_refused(named, &signing);
        let remaining = reservation.remaining();
        let exchange = Exchange {
            meter: UsageReader::new(operation, head.status, &head.headers),
            admitted,
            reservation,
            tariff,
            answer: Answer {
                status: head.status,
                fault: named.unwrap_or(FaultName::Other),
                upstream_request_id: text(&head.headers, &REQUEST_ID),
                downstream: Downstream::Stayed,
            },
            open: operation.streams().then(|| self.metrics.stream_opened()),
            metrics: Arc::clone(&self.metrics),
            record,
        };
        remove_hop_by_hop(&mut head.headers);
        // What upstream speaks is between it and us: an answer in HTTP/1.0 would end the caller's connection.
        head.version = Version::default();
        if !head.headers.contains_key(&REQUEST_ID) {
            head.headers.insert(REQUEST_ID, request_id(&exchange.record));
        }
        if let Some(value) = remaining.and_then(|amount| HeaderValue::from_str(&amount.plain().to_string()).ok()) {
            head.headers.insert(TOLLGATE_BUDGET_REMAINING, value);
        }
        let metered = MeteredBody::new(body, exchange, self.drains.clone());
        Response::from_parts(head, Body::Metered(metered))
    }

    /// Whether a profile was made so lately that Bedrock's runtime may not know it.
    pub(super) fn is_fresh(&self, profile: &Profile) -> bool {
        !self.vending.is_idle() && self.vending.is_fresh(profile, self.signer.now())
    }

    /// Sends a call through a profile that has just been made: while Bedrock does not know it, or IAM does not know its tags, the call
    /// is refused before anything is done or billed, and is sent again, for some seconds. What may as well be the request's own fault
    /// is tried less often. After one answer the profile is no new one any more.
    async fn send_through_fresh(
        &self,
        signed: Signed,
        profile: &Profile,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        for (tried, pause) in UNKNOWN_YET.into_iter().enumerate() {
            let response = signed.clone().send(&self.pool).await?;
            let again = match fault_name(response.status(), response.headers()) {
                None => {
                    self.directory.answers(profile.arn());
                    false
                }
                Some(FaultName::ResourceNotFound | FaultName::AccessDenied) => true,
                Some(FaultName::Validation) => tried < VALIDATED,
                Some(_) => false,
            };
            if !again {
                return Ok(response);
            }
            tracing::debug!("Bedrock does not know a new profile yet");
            tokio::time::sleep(pause).await;
        }
        signed.send(&self.pool).await
    }

    /// Bedrock does not know our signature any more.
    fn renew_if_refused(&self, fault: Option<FaultName>, signing: &Signing) {
        if matches!(fault, Some(FaultName::ExpiredToken | FaultName::UnrecognizedClient)) {
            self.signer.refused(signing);
        }
    }
}

/// Bedrock did not answer. Whether it acted decides who pays: what was not sent is given back, what may have been is
/// settled at the reservation.
fn failed(error: UpstreamError, admitted: Admitted, reservation: Reservation, record: Record) -> Response<Body> {
    let (reached, kind) = (error.reached(), fault(&error));
    let rejection = Rejection::from(error);
    tracing::warn!(request_id = &**record.request_id(), why = %rejection, "Bedrock did not answer");
    if reached == Reached::No {
        admitted.release();
        reservation.release();
        return rejected(&rejection, record);
    }
    let held = reservation.held_cost().unwrap_or(Money::ZERO);
    reservation.settle_at_reservation(ReservedReason::UpstreamLost);
    let response = rejection.answer(&request_id(&record)).map(Body::from);
    record.finish(&Conclusion::Forwarded(Forwarded {
        status: response.status(),
        upstream_request_id: None,
        ending: if kind == FaultKind::Timeout { Ended::IdleTimeout } else { Ended::Reset },
        downstream: Downstream::Stayed,
        usage: None,
        tier: None,
        settlement: Settlement::AtReservation(held, ReservedReason::UpstreamLost),
        guardrail: Guardrail::None,
    }));
    response
}

/// How long is waited between attempts through a profile that is not known yet: seven seconds in all.
const UNKNOWN_YET: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_millis(3_250),
];

/// How often a call is tried that Bedrock calls invalid: in what way is not looked at.
const VALIDATED: usize = 3;

fn fault_name(status: StatusCode, headers: &HeaderMap) -> Option<FaultName> {
    if status.is_success() {
        return None;
    }
    Some(text(headers, &ERROR_TYPE).map_or(FaultName::Other, |name| FaultName::from_wire(&name)))
}

fn text(headers: &HeaderMap, name: &http::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
