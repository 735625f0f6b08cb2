//! What is counted and logged of a request, whichever way it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use super::*;
use crate::telemetry::tracing_setup::tests::logged;
use crate::telemetry::{Downstream, Ended, FaultName, Forwarded, LogFormat, Outcome, Sources};
use crate::types::{Tags, TokenUsage};

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(Sources::default()))
}

fn begin(metrics: &Arc<Metrics>) -> Record {
    let client = Client { http_version: Version::HTTP_2, user_agent: Some("aws-sdk-js/3.1163".to_owned()) };
    Record::begin(Arc::clone(metrics), "request-1", client)
}

/// A record of a caller who is known and of a call whose profile is chosen.
fn resolved(metrics: &Arc<Metrics>) -> Record {
    let mut record = begin(metrics);
    record.asks(Operation::ConverseStream, Some("nova"));
    record.is_from(&Principal::new("alice", vec!["eng".to_owned()], Tags::default()));
    record.goes_through(
        ProfileLabel::configured(&"alice-nova".into()),
        ModelLabel::of_profile(&"us.amazon.nova-lite-v1:0".parse().unwrap()),
    );
    record
}

fn forwarded(ending: Ended) -> Forwarded {
    Forwarded {
        status: StatusCode::OK,
        upstream_request_id: Some("upstream-1".to_owned()),
        ending,
        downstream: Downstream::Stayed,
        usage: Some(TokenUsage { input: 12, output: 34, cache_read: 5, ..TokenUsage::default() }),
        tier: Some(ServiceTier::Flex),
        settlement: Settlement::Metered("0.000123".parse().unwrap()),
        guardrail: Guardrail::None,
    }
}

/// What one act logs: exactly one line.
fn line(act: impl FnOnce()) -> Value {
    let text = logged(LogFormat::Json, "info", act);
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[track_caller]
fn assert_scraped(metrics: &Metrics, lines: &[&str]) {
    let text = metrics.encode();
    for line in lines {
        assert!(text.lines().any(|own| own == *line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_streamed_call_is_counted_and_logged_once_with_all_its_facts() {
    let metrics = metrics();
    let mut record = resolved(&metrics);
    record.received(100);
    record.sent(1_000);
    record.sent(500);
    let mut line = line(|| record.finish(&Conclusion::Forwarded(forwarded(Ended::Complete))));
    let mut take = |field| line.as_object_mut().unwrap().remove(field).unwrap();
    assert!(take("timestamp").is_string());
    let (first_byte, duration) = (take("first_byte_ms").as_f64().unwrap(), take("duration_ms").as_f64().unwrap());
    assert!(0.0 <= first_byte && first_byte <= duration);
    assert_eq!(
        line,
        json!({
            "level": "INFO", "target": "tollgate::access", "message": "request", "request_id": "request-1",
            "principal": "alice", "operation": "ConverseStream", "requested_model": "nova", "profile": "alice-nova",
            "model": "us.amazon.nova-lite-v1:0", "status": 200, "outcome": "ok", "ending": "complete",
            "guardrail": "none", "tier": "flex", "tokens_input": 12, "tokens_output": 34, "tokens_cache_read": 5,
            "tokens_cache_write_5m": 0, "tokens_cache_write_1h": 0, "cost_usd": "0.000123", "settled": "metered",
            "bytes_in": 100, "bytes_out": 1500,
            "http_version": "HTTP/2.0", "upstream_request_id": "upstream-1", "user_agent": "aws-sdk-js/3.1163",
        })
    );
    let spend = "principal=\"alice\",model=\"us.amazon.nova-lite-v1:0\",profile=\"alice-nova\"";
    assert_scraped(
        &metrics,
        &[
            "tollgate_requests_total{principal=\"alice\",operation=\"ConverseStream\",\
             model=\"us.amazon.nova-lite-v1:0\",outcome=\"ok\"} 1",
            &format!("tollgate_tokens_total{{{spend},kind=\"output\"}} 34"),
            &format!("tollgate_cost_usd_total{{{spend}}} 0.000123"),
            "tollgate_request_duration_seconds_count{operation=\"ConverseStream\",outcome=\"ok\"} 1",
            "tollgate_time_to_first_byte_seconds_count{operation=\"ConverseStream\"} 1",
        ],
    );
}

#[test]
fn a_refusal_shows_its_reason_and_a_callers_words_become_no_label() {
    let metrics = metrics();
    let mut record = begin(&metrics);
    record.asks(Operation::InvokeModel, Some("my-own-model\nlevel=ERROR tg_4f9a8b7c6d5e4f3a2b1c"));
    record.sent(80);
    let refused = Conclusion::Refused { status: StatusCode::FORBIDDEN, reason: RefusalReason::UnknownKey };
    let line = line(|| record.finish(&refused));
    assert_eq!((&line["reason"], &line["outcome"]), (&json!("unknown_key"), &json!("refused")));
    assert_eq!(line["requested_model"], "my-own-model level=ERROR tg_[redacted]");
    assert_eq!((line.get("cost_usd"), line.get("tokens_input")), (None, None));
    assert_scraped(
        &metrics,
        &[
            "tollgate_requests_total{principal=\"(unknown)\",operation=\"InvokeModel\",model=\"other\",\
             outcome=\"refused\"} 1",
            "tollgate_refusals_total{reason=\"unknown_key\",operation=\"InvokeModel\"} 1",
        ],
    );
    let text = metrics.encode();
    assert!(!text.contains("my-own-model"));
    assert!(!text.contains("time_to_first_byte_seconds_count{"), "a refusal's first byte says nothing of Bedrock");
}

#[test]
fn a_request_that_is_dropped_is_counted_and_its_reservation_with_it() {
    let metrics = metrics();
    let mut record = resolved(&metrics);
    record.reserved("0.5".parse().unwrap());
    let line = line(|| drop(record));
    assert_eq!((&line["outcome"], &line["settled"]), (&json!("client_gone"), &json!("dropped")));
    assert_eq!((&line["cost_usd"], line.get("status")), (&json!("0.50"), None));
    assert_scraped(
        &metrics,
        &[
            "tollgate_settled_at_reservation_total{reason=\"dropped\"} 1",
            "tollgate_cost_usd_total{principal=\"alice\",model=\"us.amazon.nova-lite-v1:0\",profile=\"alice-nova\"} 0.5",
        ],
    );
}

#[test]
fn a_refusal_after_the_reservation_costs_nothing() {
    let metrics = metrics();
    let mut record = resolved(&metrics);
    record.reserved("0.5".parse().unwrap());
    record.finish(&Conclusion::Refused {
        status: StatusCode::SERVICE_UNAVAILABLE,
        reason: RefusalReason::UpstreamConnect,
    });
    assert!(!metrics.encode().contains("tollgate_cost_usd_total{"));
    assert_scraped(
        &metrics,
        &[
            "tollgate_upstream_faults_total{kind=\"connect\"} 1",
            "tollgate_refusals_total{reason=\"upstream_connect\",operation=\"ConverseStream\"} 1",
            "tollgate_requests_total{principal=\"alice\",operation=\"ConverseStream\",\
             model=\"us.amazon.nova-lite-v1:0\",outcome=\"upstream_failed\"} 1",
        ],
    );
}

#[test]
fn a_panic_is_an_internal_refusal_and_not_a_clients_doing() {
    let metrics = metrics();
    let record = resolved(&metrics);
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _record = record;
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(unwound.is_err());
    assert_scraped(&metrics, &["tollgate_refusals_total{reason=\"internal\",operation=\"ConverseStream\"} 1"]);
}

#[test]
fn every_ending_has_its_outcome_its_fault_and_its_gap_in_the_meter() {
    use Outcome::{Fault, Ok, UpstreamFailed};
    for (ending, outcome, fault, unmetered) in [
        (Ended::Complete, Ok, None, None),
        (Ended::Fault(FaultName::Throttling), Fault, Some("ThrottlingException"), None),
        (Ended::Exception(FaultName::ModelStreamError), Fault, Some("exception:ModelStreamErrorException"), None),
        (Ended::Truncated, UpstreamFailed, Some("truncated"), Some("truncated")),
        (Ended::Malformed, UpstreamFailed, None, Some("malformed_message")),
        (Ended::NoCounts, Ok, None, Some("no_counts")),
        (Ended::GuardrailBlockedInput, Ok, None, None),
        (Ended::Reset, UpstreamFailed, Some("reset"), Some("truncated")),
        (Ended::IdleTimeout, UpstreamFailed, Some("timeout"), Some("truncated")),
    ] {
        let metrics = metrics();
        let line = line(|| resolved(&metrics).finish(&Conclusion::Forwarded(forwarded(ending))));
        assert_eq!(line["outcome"], outcome.as_str(), "{ending:?}");
        assert_eq!(line.get("fault").and_then(Value::as_str), fault, "{ending:?}");
        if let Some(kind) = fault {
            assert_scraped(&metrics, &[&format!("tollgate_upstream_faults_total{{kind=\"{kind}\"}} 1")]);
        }
        if let Some(kind) = unmetered {
            assert_scraped(&metrics, &[&format!("tollgate_unmetered_total{{kind=\"{kind}\"}} 1")]);
        } else {
            let text = metrics.encode();
            assert!(
                text.lines().filter(|own| own.starts_with("tollgate_unmetered_total")).all(|own| own.ends_with(" 0"))
            );
        }
    }
}

#[test]
fn a_client_that_left_is_the_outcome_unless_bedrock_failed_the_call_itself() {
    for (ending, outcome) in [
        (Ended::Complete, Outcome::ClientGone),
        (Ended::Truncated, Outcome::ClientGone),
        (Ended::Exception(FaultName::Throttling), Outcome::Fault),
    ] {
        let call = Forwarded { downstream: Downstream::Gone, ..forwarded(ending) };
        assert_eq!(Conclusion::Forwarded(call).outcome(), outcome, "{ending:?}");
    }
}

#[test]
fn an_unknown_price_and_an_intervention_are_counted() {
    let metrics = metrics();
    resolved(&metrics).finish(&Conclusion::Forwarded(Forwarded {
        settlement: Settlement::AtReservation("1".parse().unwrap(), ReservedReason::PriceUnknown),
        guardrail: Guardrail::Intervened,
        ..forwarded(Ended::Complete)
    }));
    assert_scraped(
        &metrics,
        &[
            "tollgate_unmetered_total{kind=\"price_unknown\"} 1",
            "tollgate_settled_at_reservation_total{reason=\"price_unknown\"} 1",
            "tollgate_guardrail_interventions_total{principal=\"alice\",operation=\"ConverseStream\"} 1",
        ],
    );
}
