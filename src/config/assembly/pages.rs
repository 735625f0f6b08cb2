//! What operators read of the ledger, as JSON: amounts of money in nano-dollars, times as RFC 3339.

use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::ChangeError;
use crate::budget::{BillRow, Ledger, Settled};
use crate::config::changes::{Asked, Asking, Doing, Made};
use crate::identity::Principal;
use crate::identity::keys::{Amended, Amendment, KeyFileError, KeyId, KeyRing, KeyStoreError, Proof, Refresh};
use crate::types::Money;

/// The bill as JSON: a row a heading, amounts in nano-dollars, and the calls settled at their reservation one by one.
pub(super) async fn bill(ledger: &Ledger) -> Result<Value, String> {
    let bill = ledger.bill().await.map_err(|error| error.to_string())?;
    let rows: Vec<Value> = bill.rows.iter().map(row).collect();
    let reserved: Vec<Value> = bill
        .at_reservation
        .iter()
        .map(|call| {
            json!({
                "request_id": call.request_id,
                "principal": call.principal,
                "reason": call.reason.as_str(),
                "cost_nanodollars": call.cost.map(Money::nanos),
            })
        })
        .collect();
    Ok(json!({
        "calls": bill.calls(),
        "cost_nanodollars": bill.cost().nanos(),
        "rows": rows,
        "settled_at_reservation": reserved,
        "settled_at_reservation_unlisted": bill.unlisted,
    }))
}

fn row(row: &BillRow) -> Value {
    json!({
        "principal": row.heading.principal,
        "model": row.heading.model.as_ref().map(ToString::to_string),
        "profile": row.heading.profile,
        "operation": row.heading.operation.name(),
        "settled": match row.heading.settled {
            Settled::Counted(_) => "counted",
            Settled::AtReservation(_) => "at_reservation",
        },
        "outcome": row.heading.settled.as_str(),
        "calls": row.calls,
        "unpriced_calls": row.unpriced,
        "tokens": {
            "input": row.usage.input,
            "output": row.usage.output,
            "cache_read": row.usage.cache_read,
            "cache_write_5m": row.usage.cache_write_5m,
            "cache_write_1h": row.usage.cache_write_1h,
        },
        "cost_nanodollars": row.cost.nanos(),
    })
}

/// Every count of the principals' budgets beside its limit.
pub(super) async fn budgets(ledger: &Ledger, principals: &[Arc<Principal>]) -> Result<Value, String> {
    let standings = ledger.standings(principals.iter().map(AsRef::as_ref)).await.map_err(|error| error.to_string())?;
    let rows = standings.iter().map(|standing| {
        let counter = &standing.state.counter;
        json!({
            "budget": counter.budget.as_ref(),
            "subject_kind": counter.subject.kind(),
            "subject": counter.subject.name(),
            "model": counter.model.as_deref(),
            "unit": counter.unit.as_str(),
            "limit": standing.limit,
            "spent": standing.state.spent,
            "reserved": standing.state.reserved,
            "left": standing.left(),
            "window_start": time(standing.state.span.start),
            "window_end": time(standing.state.span.end),
        })
    });
    Ok(Value::Array(rows.collect()))
}

/// What operators have changed, oldest first.
pub(super) async fn history(ledger: &Ledger) -> Result<Value, String> {
    let history = ledger.history().await.map_err(|error| error.to_string())?;
    Ok(Value::Array(history.iter().map(|made| json!(Made::of(&made.change, Some(made.made)))).collect()))
}

/// Changes a budget as a body asks.
pub(super) async fn change(
    ledger: &Ledger,
    (principals, open): (&[Arc<Principal>], bool),
    action: &str,
    body: &[u8],
    now: SystemTime,
) -> Result<Value, ChangeError> {
    let doing = match action {
        "budgets/set" => Doing::Set,
        "budgets/raise" => Doing::Raise,
        _ => Doing::Reset,
    };
    let mut asked: Asked = serde_json::from_slice(body).map_err(|error| ChangeError::Asked(error.to_string()))?;
    asked.by.get_or_insert_with(|| "admin listener".to_owned());
    let rules = ledger.rules();
    let asking = Asking { rules: &rules, principals, open, prefix: "" };
    let changes = asking.changes(doing, &asked, now).map_err(ChangeError::Asked)?;
    let shown = json!(changes.iter().map(|change| Made::of(change, None)).collect::<Vec<_>>());
    ledger.change(changes).await.map_err(|error| ChangeError::Store(error.to_string()))?;
    tracing::warn!(budget = asked.budget, action, by = asked.by, reason = asked.reason, "a budget was changed");
    Ok(json!({ "changes": shown }))
}

/// Every key, without anything that opens something.
pub(super) async fn keys(ring: &KeyRing) -> Result<Value, String> {
    let Some(store) = ring.store() else { return Ok(json!([])) };
    let records = store.read().await.map_err(|error| error.to_string())?;
    let rows = records.iter().map(|record| {
        let kind = match record.proof {
            Proof::Bearer(_) => "bearer",
            Proof::SigV4(_) => "sigv4",
        };
        json!({
            "id": record.id,
            "kind": kind,
            "principal": record.principal,
            "created": record.created,
            "expires": record.expires,
            "revoked": record.revoked,
            "last_used": record.used,
            "replaces": record.replaces,
            "note": record.note,
        })
    });
    Ok(Value::Array(rows.collect()))
}

/// Revokes a key; this gateway refuses it from now on, others that share its store within a second.
pub(super) async fn revoke(ring: &Arc<KeyRing>, body: &[u8], now: SystemTime) -> Result<Value, ChangeError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        id: KeyId,
    }
    let Asked { id } = serde_json::from_slice(body).map_err(|error| ChangeError::Asked(error.to_string()))?;
    let store = ring.store().ok_or_else(|| ChangeError::Store("this gateway has no key store".to_owned()))?;
    let now = Timestamp::try_from(now).map_err(|error| ChangeError::Store(error.to_string()))?;
    let amended = store.amend(id, Amendment::Revoke(now)).await.map_err(|error| match error {
        KeyStoreError::NoSuchKey { .. } | KeyStoreError::File(KeyFileError::NoSuchKey { .. }) => {
            ChangeError::Asked(error.to_string())
        }
        KeyStoreError::File(_) | KeyStoreError::Twice { .. } | KeyStoreError::Store { .. } => {
            ChangeError::Store(error.to_string())
        }
    })?;
    if let Refresh::Broken(error) = ring.refresh().await {
        return Err(ChangeError::Store(error.to_string()));
    }
    let (Amended::Done(record) | Amended::AsBefore(record)) = amended;
    tracing::warn!(key = %id, principal = record.principal, "a key was revoked");
    Ok(json!({ "id": id, "principal": record.principal, "revoked": record.revoked }))
}

/// What has been settled since an instant: a row for an hour, a group and a heading of the bill.
pub(super) async fn usage(ledger: &Ledger, since: SystemTime) -> Result<Value, String> {
    let usage = ledger.usage(since).await.map_err(|error| error.to_string())?;
    let rows = usage.iter().map(|usage| {
        let mut told = row(&usage.row);
        if let Some(told) = told.as_object_mut() {
            told.insert("hour".to_owned(), json!(time(usage.hour)));
            told.insert("group".to_owned(), json!(usage.group));
        }
        told
    });
    Ok(Value::Array(rows.collect()))
}

fn time(instant: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(instant).ok()
}
