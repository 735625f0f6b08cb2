//! `tollgate budget show`.

use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::Serialize;

use super::super::stored::{Stored, table};
use super::super::{Output, Streams};
use crate::budget::{BudgetRule, Ledger, Standing, Window};
use crate::types::{Clock, ManualClock};

pub(super) async fn run(
    stored: Stored,
    only: Option<&str>,
    budget: Option<&str>,
    now: SystemTime,
    output: Output,
    streams: &mut Streams<'_>,
) -> anyhow::Result<Result<(), String>> {
    let principals = match only.map(|name| stored.asking().principal(name)).transpose() {
        Ok(Some(one)) => vec![one],
        Ok(None) => stored.people.clone(),
        Err(reason) => return Ok(Err(reason)),
    };
    if let Some(Err(reason)) = budget.map(|name| stored.asking().rule(name).map(|_| ())) {
        return Ok(Err(reason));
    }
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at_unix_seconds(seconds));
    let ledger = Ledger::new(stored.rules.clone(), Arc::clone(&stored.store), clock)?;
    let standings = ledger.standings(principals.iter().map(AsRef::as_ref)).await?;
    let named = |standing: &&Standing| budget.is_none_or(|name| standing.state.counter.budget.as_ref() == name);
    let rows: Vec<_> = standings.iter().filter(named).filter_map(|standing| Row::of(standing, &stored.rules)).collect();
    match output {
        Output::Json => streams.json(&rows)?,
        Output::Table => {
            let head = ["BUDGET", "WHOSE", "MODEL", "LIMIT", "SPENT", "RESERVED", "LEFT", "USED", "NEXT WINDOW"];
            let cells = rows.iter().map(|row| {
                let [limit, spent, reserved, left] = row.shown.clone();
                [
                    row.budget.to_owned(),
                    row.whose(),
                    row.model.unwrap_or_default().to_owned(),
                    limit,
                    spent,
                    reserved,
                    left,
                    row.used(),
                    row.next.clone(),
                ]
            });
            writeln!(streams.out, "{}", table(head, cells))?;
        }
    }
    Ok(Ok(()))
}

/// One count, dollars in nano-dollars.
#[derive(Serialize)]
struct Row<'a> {
    budget: &'a str,
    subject_kind: &'static str,
    subject: &'a str,
    model: Option<&'a str>,
    unit: &'static str,
    limit: u64,
    spent: u64,
    reserved: u64,
    left: u64,
    window_start: Option<Timestamp>,
    window_end: Option<Timestamp>,
    /// The four amounts, for people.
    #[serde(skip)]
    shown: [String; 4],
    #[serde(skip)]
    next: String,
}

impl<'a> Row<'a> {
    fn of(standing: &'a Standing, rules: &[BudgetRule]) -> Option<Self> {
        let Standing { state, limit } = standing;
        let rule = rules.iter().find(|rule| rule.name == state.counter.budget.as_ref())?;
        let next = match rule.window {
            Window::Lifetime => "never".to_owned(),
            Window::Rolling(_) => "moves".to_owned(),
            Window::Hour | Window::Day | Window::Week(_) | Window::Month => rule.schedule().show(state.span.end),
        };
        Some(Self {
            budget: &state.counter.budget,
            subject_kind: state.counter.subject.kind(),
            subject: state.counter.subject.name(),
            model: state.counter.model.as_deref(),
            unit: state.counter.unit.as_str(),
            shown: [*limit, state.spent, state.reserved, standing.left()].map(|amount| state.counter.unit.show(amount)),
            limit: *limit,
            spent: state.spent,
            reserved: state.reserved,
            left: standing.left(),
            window_start: Timestamp::try_from(state.span.start).ok(),
            window_end: Timestamp::try_from(state.span.end).ok(),
            next,
        })
    }

    fn whose(&self) -> String {
        match self.subject_kind {
            "group" => format!("group {}", self.subject),
            "everyone" => "everyone".to_owned(),
            _ => self.subject.to_owned(),
        }
    }

    fn used(&self) -> String {
        let used = u128::from(self.spent) + u128::from(self.reserved);
        (used * 100).checked_div(u128::from(self.limit)).map_or_else(|| "-".to_owned(), |share| format!("{share} %"))
    }
}
