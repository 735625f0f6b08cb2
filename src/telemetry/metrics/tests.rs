//! What a scrape reads.

use super::*;
use crate::budget::{Health, Subject, Unit};
use crate::identity::Principal;
use crate::telemetry::{BudgetReading, DirectoryReading, FaultName, SessionReading, UpstreamReading};
use crate::types::Tags;

fn spend(principal: &str) -> SpendLabels {
    SpendLabels {
        principal: (&Principal::new(principal, Vec::new(), Tags::default())).into(),
        model: ModelLabel::of_profile(&"us.amazon.nova-lite-v1:0".parse().unwrap()),
        profile: ProfileLabel::configured(&"alice-nova".into()),
    }
}

#[test]
fn a_quiet_gateway_shows_its_build_and_zeroes_to_alert_on() {
    let text = Metrics::new(Sources::default()).encode();
    assert!(text.ends_with("# EOF\n"));
    for line in [
        concat!("tollgate_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "tollgate_open_streams 0",
        "tollgate_open_connections 0",
        "tollgate_tls_handshakes_failed_total 0",
        "tollgate_draining_streams 0",
        "tollgate_upstream_connections 0",
        "tollgate_upstream_connections_opened_total 0",
        "tollgate_upstream_connections_reused_total 0",
        "tollgate_upstream_faults_total{kind=\"connect\"} 0",
        "tollgate_settled_at_reservation_total{reason=\"truncated\"} 0",
        "tollgate_unmetered_total{kind=\"malformed_message\"} 0",
        "tollgate_reloads_total{what=\"config\",result=\"failed\"} 0",
    ] {
        assert!(text.lines().any(|own| own == line), "{line} is not in\n{text}");
    }
}

#[test]
fn tokens_and_money_stand_under_principal_model_and_profile() {
    let metrics = Metrics::new(Sources::default());
    let usage = TokenUsage { input: 10, output: 20, cache_write_1h: 5, ..TokenUsage::default() };
    for _ in 0..2 {
        let series = metrics.series(&spend("alice"));
        metrics.used(&series, &usage);
        metrics.spent(&series, "0.25".parse().unwrap());
    }
    metrics.spent(&metrics.series(&spend("alice")), Money::from_nanos(-1));
    let text = metrics.encode();
    let labels = "principal=\"alice\",model=\"us.amazon.nova-lite-v1:0\",profile=\"alice-nova\"";
    for line in [
        format!("tollgate_tokens_total{{{labels},kind=\"input\"}} 20"),
        format!("tollgate_tokens_total{{{labels},kind=\"output\"}} 40"),
        format!("tollgate_tokens_total{{{labels},kind=\"cache_write_1h\"}} 10"),
        format!("tollgate_cost_usd_total{{{labels}}} 0.5"),
    ] {
        assert!(text.lines().any(|own| own == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("cache_read"), "a kind that never occurred makes no series");
}

#[test]
fn a_name_from_configuration_cannot_break_out_of_its_label() {
    let metrics = Metrics::new(Sources::default());
    metrics.spent(&metrics.series(&spend("a\"} 1\ntollgate_fake 2")), Money::ZERO);
    assert!(metrics.encode().contains(r#"principal="a\"} 1\ntollgate_fake 2""#));
}

#[test]
fn a_gauge_is_held_for_as_long_as_its_guard_lives() {
    let metrics = Metrics::new(Sources::default());
    let (first, second) = (metrics.stream_opened(), metrics.stream_opened());
    let (_connection, _drain) = (metrics.connection_opened(), metrics.drain_started());
    drop(first);
    let text = metrics.encode();
    for line in ["tollgate_open_streams 1", "tollgate_open_connections 1", "tollgate_draining_streams 1"] {
        assert!(text.lines().any(|own| own == line), "{line} is not in\n{text}");
    }
    drop(second);
    assert!(metrics.encode().contains("tollgate_open_streams 0"));
}

#[test]
fn budgets_and_connections_are_asked_for_at_every_scrape() {
    let asked = Arc::new(AtomicU64::new(0));
    let upstream = Arc::clone(&asked);
    let metrics = Metrics::new(Sources {
        directory: Box::new(|| {
            vec![DirectoryReading {
                account: "111122223333".to_owned(),
                region: "eu-west-1".to_owned(),
                profiles: 3.0,
                undetermined: 1.0,
                age_seconds: 2.5,
                quota: Some(1_000.0),
            }]
        }),
        unsourced: Box::new(|| 2),
        sessions: Box::new(|| {
            let asked = vec![("ok", 2), ("denied", 1)];
            vec![SessionReading { account: "111122223333".to_owned(), sessions: 4, asked }]
        }),
        budgets: Box::new(|| {
            let alice = BudgetReading {
                budget: "daily".to_owned(),
                subject: Subject::Principal("alice".into()),
                model: None,
                unit: Unit::Usd,
                limit: 5_000_000_000,
                spent: 3_000_000_000,
                reserved: 500_000_000,
            };
            let tokens = BudgetReading {
                unit: Unit::Tokens,
                limit: 100,
                spent: 60,
                reserved: 0,
                model: Some("m".to_owned()),
                ..alice.clone()
            };
            let shared = BudgetReading { subject: Subject::Everyone, unit: Unit::Requests, limit: 7, ..tokens.clone() };
            vec![alice, tokens, BudgetReading { model: None, ..shared }]
        }),
        store: Box::new(|| Health { trouble: Some("its disk is full".to_owned()), running: 4, unwritten: 9 }),
        upstream: Box::new(move || {
            let opened = upstream.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            UpstreamReading { open: 3, opened, reused: 7 }
        }),
    });
    metrics.encode();
    let text = metrics.encode();
    for line in [
        "tollgate_budget_limit_usd{budget=\"daily\",principal=\"alice\"} 5.0",
        "tollgate_budget_remaining_usd{budget=\"daily\",principal=\"alice\"} 1.5",
        "tollgate_budget_spent_usd{budget=\"daily\",principal=\"alice\"} 3.0",
        "tollgate_budget_reserved_usd{budget=\"daily\",principal=\"alice\"} 0.5",
        "tollgate_budget_limit_tokens{budget=\"daily\",principal=\"alice\",model=\"m\"} 100.0",
        "tollgate_budget_remaining_tokens{budget=\"daily\",principal=\"alice\",model=\"m\"} 40.0",
        "tollgate_budget_limit_requests{budget=\"daily\"} 7.0",
        "tollgate_budget_counts_hidden 0",
        "tollgate_store_up 0",
        "tollgate_unsettled_reservations 4",
        "tollgate_unwritten_settlements 9",
        "tollgate_upstream_connections 3",
        "tollgate_directory_profiles{account=\"111122223333\",region=\"eu-west-1\"} 3.0",
        "tollgate_directory_undetermined_profiles{account=\"111122223333\",region=\"eu-west-1\"} 1.0",
        "tollgate_directory_age_seconds{account=\"111122223333\",region=\"eu-west-1\"} 2.5",
        "tollgate_unsourced_profiles 2",
        "tollgate_profile_quota{account=\"111122223333\",region=\"eu-west-1\"} 1000.0",
        "tollgate_sessions{account=\"111122223333\"} 4",
        "tollgate_assume_role_total{account=\"111122223333\",result=\"denied\"} 1",
        "tollgate_upstream_connections_opened_total 2",
        "tollgate_upstream_connections_reused_total 7",
    ] {
        assert!(text.lines().any(|own| own == line), "{line} is not in\n{text}");
    }
}

#[test]
fn of_very_many_counts_those_closest_to_their_limits_are_shown() {
    let reading = |number: u64| BudgetReading {
        budget: "daily".to_owned(),
        subject: Subject::Principal(format!("p{number}").into()),
        model: None,
        unit: Unit::Requests,
        limit: 10_000,
        spent: number,
        reserved: 0,
    };
    let metrics =
        Metrics::new(Sources { budgets: Box::new(move || (1..=3_000).map(reading).collect()), ..Sources::default() });
    let text = metrics.encode();
    let shown = text.lines().filter(|line| line.starts_with("tollgate_budget_spent_requests{")).count();
    assert_eq!(shown, 2_500);
    assert!(text.contains("\ntollgate_budget_counts_hidden 500\n") && text.contains("principal=\"p3000\""));
    assert!(!text.contains("principal=\"p100\""));
}

#[test]
fn faults_of_retried_attempts_can_be_counted_by_themselves() {
    let metrics = Metrics::new(Sources::default());
    metrics.upstream_fault(FaultKind::Connect);
    metrics.upstream_fault(FaultKind::Exception(FaultName::ModelStreamError));
    metrics.reloaded(Reloaded::Keys, Success::Ok);
    let text = metrics.encode();
    for line in [
        "tollgate_upstream_faults_total{kind=\"connect\"} 1",
        "tollgate_upstream_faults_total{kind=\"exception:ModelStreamErrorException\"} 1",
        "tollgate_reloads_total{what=\"keys\",result=\"ok\"} 1",
    ] {
        assert!(text.lines().any(|own| own == line), "{line} is not in\n{text}");
    }
}
