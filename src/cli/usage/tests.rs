//! `tollgate usage` as a shell sees it.

use std::time::Duration;

use super::*;
use crate::bedrock::Operation;
use crate::budget::{BillRow, Heading, Outcome, ReservedReason};

fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(498_684) // 2026-11-21T12:00:00Z
}

fn row(principal: &str, hours_later: u64, settled: Settled, cost: i64) -> UsageRow {
    let heading = Heading {
        principal: principal.to_owned().into(),
        model: Some("us.example.model-v1:0".parse().unwrap()),
        profile: Some("p".into()),
        operation: Operation::Converse,
        settled,
    };
    let usage = TokenUsage { input: 1, output: 2, ..TokenUsage::default() };
    let row = BillRow { heading, calls: 1, unpriced: 0, usage, cost: Money::from_nanos(cost) };
    UsageRow { hour: noon() + Duration::from_hours(hours_later), group: "eng".into(), row }
}

fn printed(by: &[By], form: Form) -> String {
    let counted = Settled::Counted(Outcome::Complete);
    let rows = [
        row("=alice", 0, counted, 1_500_000_000),
        row("=alice", 13, Settled::AtReservation(ReservedReason::Crashed), 1),
        row("b,o\"b", 1, counted, 0),
    ];
    let mut sums: BTreeMap<Vec<String>, Sum> = BTreeMap::new();
    for row in &rows {
        sums.entry(by.iter().map(|by| by.of(row)).collect()).or_default().add(row);
    }
    let (mut out, mut err) = (vec![], vec![]);
    print(by, &sums, form, &mut Streams { out: &mut out, err: &mut err }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn rows_are_added_up_by_what_is_asked_for() {
    assert_eq!(
        printed(&[By::Principal], Form::Csv),
        "principal,calls,at_reservation,unpriced,input,output,cache_read,cache_write_5m,cache_write_1h,cost_usd\r\n\
         '=alice,2,1,0,2,4,0,0,0,1.500000001\r\n\"b,o\"\"b\",1,0,0,1,2,0,0,0,0.00\r\n"
    );
    let days: Value = serde_json::from_str(&printed(&[By::Day, By::Group], Form::Json)).unwrap();
    let told: Vec<_> = days.as_array().unwrap().iter().map(|row| (&row["day"], &row["group"], &row["calls"])).collect();
    assert_eq!(
        told,
        [(&json!("2026-11-21"), &json!("eng"), &json!(2)), (&json!("2026-11-22"), &json!("eng"), &json!(1))]
    );
    assert_eq!(days[0]["cost_nanodollars"], 1_500_000_000);
    let table = printed(&[By::Principal, By::Outcome], Form::Table);
    assert!(table.contains("crashed") && table.contains("$1.50"), "{table}");
}

#[test]
fn times_are_told_as_dates_times_and_spans() {
    for (text, wanted) in [
        ("12h", "2026-11-21T00:00:00Z"),
        ("2026-11-01", "2026-11-01T00:00:00Z"),
        ("2026-11-01T08:00:00+01:00", "2026-11-01T07:00:00Z"),
    ] {
        let read = Timestamp::try_from(instant("--since", text, noon()).unwrap()).unwrap();
        assert_eq!(read, wanted.parse().unwrap(), "{text}");
    }
    let refused = instant("--since", "yesterday", noon()).unwrap_err();
    assert_eq!(
        refused,
        "--since yesterday is neither a date (2026-11-14), nor a time (2026-11-14T00:00:00Z), nor a span (12h, 30d)"
    );
}
