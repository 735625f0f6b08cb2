//! Every metric family, in one file. Names and labels are public API: dashboards and alerts are built on them.
//!
//! Counters of a request are added once, at its end, by [`Record`](super::Record); nothing here is touched per chunk of a
//! stream. What another floor counts (budgets, connections) is asked for at scrape time, see [`Sources`].

mod series;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{
    FaultKind, ModelLabel, OperationLabel, Outcome, PrincipalLabel, ProfileLabel, Reloaded, Success, TokenKind,
};
use super::reason::{RefusalReason, Unmetered};
use super::sources::Sources;
use crate::budget::ReservedReason;
use crate::types::{Money, TokenUsage};
use series::AllSeries;
pub(super) use series::Series;

/// Every family, and the registry that writes them out.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    cost: Family<SpendLabels, Counter<f64, AtomicU64>>,
    duration: Family<DurationLabels, Histogram, fn() -> Histogram>,
    first_byte: Family<OperationLabels, Histogram, fn() -> Histogram>,
    rate_limit_wait: Histogram,
    open_streams: Gauge,
    open_connections: Gauge,
    failed_handshakes: Counter,
    draining_streams: Gauge,
    upstream_faults: Family<FaultLabels, Counter>,
    settled_at_reservation: Family<SettledLabels, Counter>,
    unmetered: Family<UnmeteredLabels, Counter>,
    interventions: Family<InterventionLabels, Counter>,
    thresholds: Family<Vec<(&'static str, String)>, Counter>,
    webhook: Family<[(&'static str, &'static str); 1], Counter>,
    reloads: Family<ReloadLabels, Counter>,
    series: AllSeries,
}

impl Metrics {
    /// The content type of [`Metrics::encode`].
    pub const CONTENT_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// Makes and registers every family.
    pub fn new(sources: Sources) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("tollgate"),
            requests: Family::default(),
            refusals: Family::default(),
            tokens: Family::default(),
            cost: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            first_byte: Family::new_with_constructor(|| Histogram::new(FIRST_BYTE_BUCKETS)),
            rate_limit_wait: Histogram::new(RATE_LIMIT_WAIT_BUCKETS),
            open_streams: Gauge::default(),
            open_connections: Gauge::default(),
            failed_handshakes: Counter::default(),
            draining_streams: Gauge::default(),
            upstream_faults: Family::default(),
            settled_at_reservation: Family::default(),
            unmetered: Family::default(),
            interventions: Family::default(),
            thresholds: Family::default(),
            webhook: Family::default(),
            reloads: Family::default(),
            series: AllSeries::default(),
        };
        metrics.register_requests();
        metrics.register_state(sources);
        metrics.start_at_zero();
        metrics
    }

    /// Writes every family as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            // A string takes every write, so this is a family whose type the text format has no form for.
            tracing::error!("a metric could not be written; the scrape is cut short");
        }
        text
    }

    /// A client's connection was accepted; it counts as open until the guard is dropped.
    pub fn connection_opened(&self) -> Held {
        Held::new(&self.open_connections)
    }

    /// A client and a listener could not agree on TLS, or the client's certificate was not taken.
    pub fn handshake_failed(&self) {
        self.failed_handshakes.inc();
    }

    /// An event stream began; it counts as open until the guard is dropped.
    pub fn stream_opened(&self) -> Held {
        Held::new(&self.open_streams)
    }

    /// A client hung up and its stream is read on for the sake of its counts, until the guard is dropped.
    pub fn drain_started(&self) -> Held {
        Held::new(&self.draining_streams)
    }

    /// Bedrock failed an attempt. The end of a request counts its own fault by itself; this is for attempts that were
    /// retried.
    pub fn upstream_fault(&self, kind: FaultKind) {
        self.upstream_faults.get_or_create(&FaultLabels { kind }).inc();
    }

    /// A webhook has been sent a message, and has taken it or has not.
    pub fn webhook_told(&self, success: Success) {
        self.webhook.get_or_create(&[("outcome", success.as_str())]).inc();
    }

    /// A count of a budget has reached a threshold.
    pub fn threshold_reached(&self, budget: &str, percent: u8) {
        let labels = vec![("budget", budget.to_owned()), ("percent", percent.to_string())];
        self.thresholds.get_or_create(&labels).inc();
    }

    /// Something was read anew. Where that failed, the old one stays in force.
    pub fn reloaded(&self, what: Reloaded, result: Success) {
        self.reloads.get_or_create(&ReloadLabels { what, result }).inc();
    }

    /// What one principal, model and profile are counted in.
    pub(super) fn series(&self, spend: &SpendLabels) -> Arc<Series> {
        self.series.of(spend)
    }

    pub(super) fn request(
        &self,
        series: &Series,
        (operation, outcome): (OperationLabel, Outcome),
        duration: Duration,
        first_byte: Option<Duration>,
    ) {
        series.request(&self.requests, operation, outcome);
        self.duration.get_or_create(&DurationLabels { operation, outcome }).observe(duration.as_secs_f64());
        if let Some(first_byte) = first_byte {
            self.first_byte.get_or_create(&OperationLabels { operation }).observe(first_byte.as_secs_f64());
        }
    }

    pub(super) fn refusal(&self, operation: OperationLabel, reason: RefusalReason) {
        self.refusals.get_or_create(&RefusalLabels { reason, operation }).inc();
    }

    pub(super) fn waited(&self, wait: Duration) {
        self.rate_limit_wait.observe(wait.as_secs_f64());
    }

    pub(super) fn used(&self, series: &Series, usage: &TokenUsage) {
        series.used(&self.tokens, usage);
    }

    pub(super) fn spent(&self, series: &Series, cost: Money) {
        series.spent(&self.cost, cost);
    }

    pub(super) fn settled_at_reservation(&self, reason: ReservedReason) {
        self.settled_at_reservation.get_or_create(&SettledLabels { reason }).inc();
    }

    pub(super) fn unmetered(&self, kind: Unmetered) {
        self.unmetered.get_or_create(&UnmeteredLabels { kind }).inc();
    }

    pub(super) fn intervened(&self, principal: PrincipalLabel, operation: OperationLabel) {
        self.interventions.get_or_create(&InterventionLabels { principal, operation }).inc();
    }

    fn register_requests(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Requests that ended, by outcome", self.requests.clone());
        registry.register("refusals", "Requests that Tollgate answered in Bedrock's place", self.refusals.clone());
        registry.register("tokens", "Tokens that Bedrock reported", self.tokens.clone());
        registry.register("cost_usd", "Money settled, in dollars", self.cost.clone());
        registry.register_with_unit(
            "request_duration",
            "From a request's head to the last byte of its answer",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register_with_unit(
            "time_to_first_byte",
            "From a request's head to the first byte of its answer's body",
            Unit::Seconds,
            self.first_byte.clone(),
        );
        registry.register_with_unit(
            "rate_limit_wait",
            "How long calls waited for room under rate limits, those that did not have to apart",
            Unit::Seconds,
            self.rate_limit_wait.clone(),
        );
        registry.register("upstream_faults", "What went wrong on Bedrock's side", self.upstream_faults.clone());
        registry.register(
            "settled_at_reservation",
            "Calls settled at what was reserved for them, because their cost is unknown",
            self.settled_at_reservation.clone(),
        );
        registry.register("unmetered", "Answers that the meter could not read", self.unmetered.clone());
        registry.register(
            "guardrail_interventions",
            "Answers in which a guardrail intervened",
            self.interventions.clone(),
        );
    }

    fn register_state(&mut self, sources: Sources) {
        let registry = &mut self.registry;
        registry.register("open_connections", "Connections of clients that are open", self.open_connections.clone());
        let help =
            "TLS handshakes of clients that came to nothing, those with a certificate that is not taken among them";
        registry.register("tls_handshakes_failed", help, self.failed_handshakes.clone());
        registry.register("open_streams", "Event streams that are open", self.open_streams.clone());
        registry.register(
            "draining_streams",
            "Streams that are read to their end after the client hung up",
            self.draining_streams.clone(),
        );
        let help = "Budgets that have reached a threshold, once for each count and window";
        registry.register("budget_thresholds_reached", help, self.thresholds.clone());
        registry.register("webhook_messages", "Messages sent to the webhook, by outcome", self.webhook.clone());
        registry.register("reloads", "Files read anew while running", self.reloads.clone());
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What is running", build);
        registry.register_collector(Box::new(sources));
    }

    /// Makes the series whose labels are enums alone, so that an alert on their rate sees the very first event.
    fn start_at_zero(&self) {
        for &reason in &ReservedReason::ALL {
            self.settled_at_reservation.get_or_create(&SettledLabels { reason }).inc_by(0);
        }
        for &kind in Unmetered::ALL {
            self.unmetered.get_or_create(&UnmeteredLabels { kind }).inc_by(0);
        }
        for kind in [FaultKind::Connect, FaultKind::Timeout, FaultKind::Reset, FaultKind::Truncated] {
            self.upstream_faults.get_or_create(&FaultLabels { kind }).inc_by(0);
        }
        for &outcome in Success::ALL {
            self.webhook.get_or_create(&[("outcome", outcome.as_str())]).inc_by(0);
        }
        for &what in Reloaded::ALL {
            for &result in Success::ALL {
                self.reloads.get_or_create(&ReloadLabels { what, result }).inc_by(0);
            }
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(…)")
    }
}

/// Keeps a gauge one higher for as long as it lives.
#[derive(Debug)]
#[must_use = "the gauge falls as soon as this is dropped"]
pub struct Held(Gauge);

impl Held {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Refusals take milliseconds, agents' streams minutes: the buckets have to tell both apart.
const DURATION_BUCKETS: [f64; 17] =
    [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0];

/// From a call that was nearly in time to the longest that a limit may let calls wait.
const RATE_LIMIT_WAIT_BUCKETS: [f64; 10] = [0.01, 0.05, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// A cached prompt answers in a quarter of a second, a long one with reasoning in a minute.
const FIRST_BYTE_BUCKETS: [f64; 15] =
    [0.005, 0.025, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0, 40.0, 90.0, 300.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) principal: PrincipalLabel,
    pub(super) operation: OperationLabel,
    pub(super) model: ModelLabel,
    pub(super) outcome: Outcome,
}

/// Whose money was spent on what.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SpendLabels {
    pub(super) principal: PrincipalLabel,
    pub(super) model: ModelLabel,
    pub(super) profile: ProfileLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    #[prometheus(flatten)]
    spend: SpendLabels,
    kind: TokenKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: RefusalReason,
    operation: OperationLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    operation: OperationLabel,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: OperationLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    kind: FaultKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SettledLabels {
    reason: ReservedReason,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UnmeteredLabels {
    kind: Unmetered,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InterventionLabels {
    principal: PrincipalLabel,
    operation: OperationLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    what: Reloaded,
    result: Success,
}

#[cfg(test)]
mod tests;
