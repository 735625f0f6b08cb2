//! The record of one request: filled by value along its way, counted and logged exactly once, at its end.
//!
//! Whoever ends a request hands the record its [`Conclusion`]. A record that is dropped without one (the client hung up
//! before there was an answer, or a task was cancelled) concludes itself as abandoned, so no request goes uncounted and
//! no reservation unseen. The log line holds no prompt, no completion and no credential: there is no field for the first
//! two, and every text from outside passes [`excerpt`] first.

use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, Version};
use tokio::time::Instant;

use super::conclusion::{Conclusion, Guardrail, Settlement};
use super::labels::{ModelLabel, OperationLabel, PrincipalLabel, ProfileLabel};
use super::metrics::{Metrics, SpendLabels};
use super::reason::RefusalReason;
use super::redact::excerpt;
use crate::bedrock::Operation;
use crate::budget::ReservedReason;
use crate::identity::Principal;
use crate::types::{Money, ServiceTier};

/// What is known of the client before its request is understood.
#[derive(Clone, Debug)]
pub struct Client {
    /// The HTTP version it spoke.
    pub http_version: Version,
    /// What it calls itself.
    pub user_agent: Option<String>,
}

/// A request that has not ended yet.
#[derive(Debug)]
pub struct Record {
    metrics: Arc<Metrics>,
    request_id: Arc<str>,
    client: Client,
    operation: OperationLabel,
    requested_model: Option<String>,
    spend: SpendLabels,
    traffic: Traffic,
    reserved: Option<Money>,
    why: Option<String>,
    waited: Duration,
    concluded: bool,
}

#[derive(Debug)]
struct Traffic {
    started: Instant,
    first_byte: Option<Duration>,
    bytes_in: u64,
    bytes_out: u64,
}

impl Record {
    /// Opens the record of a request whose head has just arrived.
    pub fn begin(metrics: Arc<Metrics>, request_id: impl Into<Arc<str>>, client: Client) -> Self {
        let user_agent = client.user_agent.map(|text| excerpt(&text, USER_AGENT_BYTES));
        Self {
            metrics,
            request_id: request_id.into(),
            client: Client { user_agent, ..client },
            operation: OperationLabel(None),
            requested_model: None,
            spend: SpendLabels {
                principal: PrincipalLabel::unknown(),
                model: ModelLabel::other(),
                profile: ProfileLabel::none(),
            },
            traffic: Traffic { started: Instant::now(), first_byte: None, bytes_in: 0, bytes_out: 0 },
            reserved: None,
            why: None,
            waited: Duration::ZERO,
            concluded: false,
        }
    }

    /// The id that the answer carries as well.
    pub const fn request_id(&self) -> &Arc<str> {
        &self.request_id
    }

    /// The request was parsed: which operation it is, and the model as the caller named it.
    pub fn asks(&mut self, operation: Operation, model: Option<&str>) {
        self.operation = OperationLabel(Some(operation));
        self.requested_model = model.map(|text| excerpt(text, MODEL_BYTES));
    }

    /// Why the request is refused, in more words than the reason has. It holds no secret and nothing of a body.
    pub fn refused(&mut self, why: &str) {
        self.why = Some(excerpt(why, WHY_BYTES));
    }

    /// The caller is known.
    pub fn is_from(&mut self, principal: &Principal) {
        self.spend.principal = principal.into();
    }

    /// The profile is chosen.
    pub fn goes_through(&mut self, profile: ProfileLabel, model: ModelLabel) {
        self.spend.profile = profile;
        self.spend.model = model;
    }

    /// An amount is reserved: should the record be dropped from here on, it counts as spent. A refusal after this (no
    /// connection, say) gives the reservation back and needs no word here.
    pub fn reserved(&mut self, amount: Money) {
        self.reserved = Some(amount);
    }

    /// The call waited so long for room under rate limits.
    pub const fn waited(&mut self, waited: Duration) {
        self.waited = waited;
    }

    /// Bytes of the request's body arrived.
    pub const fn received(&mut self, bytes: u64) {
        self.traffic.bytes_in = self.traffic.bytes_in.saturating_add(bytes);
    }

    /// Bytes of the answer's body were handed to the connection. The first of them end the time to first byte.
    pub fn sent(&mut self, bytes: u64) {
        let started = self.traffic.started;
        self.traffic.first_byte.get_or_insert_with(|| started.elapsed());
        self.traffic.bytes_out = self.traffic.bytes_out.saturating_add(bytes);
    }

    /// Ends the record: every counter of the request and its one log line.
    pub fn finish(mut self, conclusion: &Conclusion) {
        self.conclude(conclusion);
    }

    fn conclude(&mut self, conclusion: &Conclusion) {
        self.concluded = true;
        let elapsed = self.traffic.started.elapsed();
        self.count(conclusion, elapsed);
        self.log(conclusion, elapsed);
    }

    fn count(&self, conclusion: &Conclusion, elapsed: Duration) {
        let metrics = &self.metrics;
        let first_byte = self.traffic.first_byte.filter(|_| matches!(conclusion, Conclusion::Forwarded(_)));
        let series = metrics.series(&self.spend);
        metrics.request(&series, (self.operation, conclusion.outcome()), elapsed, first_byte);
        if !self.waited.is_zero() {
            metrics.waited(self.waited);
        }
        if let Some(reason) = conclusion.reason() {
            metrics.refusal(self.operation, reason);
        }
        if let Some(kind) = conclusion.fault() {
            metrics.upstream_fault(kind);
        }
        if let Conclusion::Forwarded(call) = conclusion {
            if let Some(usage) = &call.usage {
                metrics.used(&series, usage);
            }
            for kind in call.unmetered().into_iter().flatten() {
                metrics.unmetered(kind);
            }
            if call.guardrail == Guardrail::Intervened {
                metrics.intervened(self.spend.principal.clone(), self.operation);
            }
        }
        match self.settlement(conclusion) {
            Settlement::Free => {}
            Settlement::Metered(amount) => metrics.spent(&series, amount),
            Settlement::AtReservation(amount, reason) => {
                metrics.spent(&series, amount);
                metrics.settled_at_reservation(reason);
            }
        }
    }

    /// A call that was reserved and then dropped may have reached Bedrock: it counts at its reservation.
    fn settlement(&self, conclusion: &Conclusion) -> Settlement {
        match (conclusion, self.reserved) {
            (Conclusion::Forwarded(call), _) => call.settlement,
            (Conclusion::Abandoned, Some(amount)) => Settlement::AtReservation(amount, ReservedReason::Dropped),
            (Conclusion::Abandoned | Conclusion::Refused { .. } | Conclusion::Answered { .. }, _) => Settlement::Free,
        }
    }

    fn log(&self, conclusion: &Conclusion, elapsed: Duration) {
        let call = match conclusion {
            Conclusion::Forwarded(call) => Some(call),
            Conclusion::Refused { .. } | Conclusion::Answered { .. } | Conclusion::Abandoned => None,
        };
        let usage = call.and_then(|call| call.usage);
        let (cost, settled) = match self.settlement(conclusion) {
            Settlement::Free => (None, None),
            Settlement::Metered(amount) => (Some(amount), Some("metered")),
            Settlement::AtReservation(amount, reason) => (Some(amount), Some(reason.as_str())),
        };
        let upstream_request_id =
            call.and_then(|call| call.upstream_request_id.as_deref()).map(|text| excerpt(text, REQUEST_ID_BYTES));
        tracing::info!(
            target: "tollgate::access",
            request_id = &*self.request_id,
            principal = self.spend.principal.as_str(),
            operation = self.operation.as_str(),
            requested_model = self.requested_model,
            profile = self.spend.profile.as_str(),
            model = self.spend.model.as_str(),
            status = conclusion.status().map(|status| status.as_u16()),
            outcome = conclusion.outcome().as_str(),
            reason = conclusion.reason().map(RefusalReason::as_str),
            why = self.why,
            fault = conclusion.fault().map(tracing::field::display),
            ending = call.map(|call| call.ending.as_str()),
            guardrail = call.map(|call| call.guardrail.as_str()),
            tier = call.and_then(|call| call.tier).map(ServiceTier::as_str),
            tokens_input = usage.map(|usage| usage.input),
            tokens_output = usage.map(|usage| usage.output),
            tokens_cache_read = usage.map(|usage| usage.cache_read),
            tokens_cache_write_5m = usage.map(|usage| usage.cache_write_5m),
            tokens_cache_write_1h = usage.map(|usage| usage.cache_write_1h),
            cost_usd = cost.map(|amount| tracing::field::display(amount.plain())),
            settled,
            bytes_in = self.traffic.bytes_in,
            bytes_out = self.traffic.bytes_out,
            duration_ms = milliseconds(elapsed),
            first_byte_ms = self.traffic.first_byte.map(milliseconds),
            http_version = ?self.client.http_version,
            upstream_request_id,
            user_agent = self.client.user_agent,
            "request"
        );
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.concluded {
            return;
        }
        let conclusion = if std::thread::panicking() {
            Conclusion::Refused { status: StatusCode::INTERNAL_SERVER_ERROR, reason: RefusalReason::Internal }
        } else {
            Conclusion::Abandoned
        };
        self.conclude(&conclusion);
    }
}

/// Milliseconds with three decimals: refusals take microseconds.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The longest user agent seen in a real client is the AWS SDK for Rust's, at about 150 bytes.
const USER_AGENT_BYTES: usize = 200;
/// A sentence.
const WHY_BYTES: usize = 300;
/// Enough for every ARN of an inference profile.
const MODEL_BYTES: usize = 256;
/// AWS's request ids are UUIDs.
const REQUEST_ID_BYTES: usize = 64;

#[cfg(test)]
mod tests;
