//! What an operator changes about a budget, and the history of that.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::Serialize;

use super::super::stored::{Stored, printable, table};
use super::super::{Output, Streams};
use super::{principal, rule};
use crate::budget::{Adjustment, BudgetRule, Change, Effect, Subject, Unit};
use crate::config::parse_duration;
use crate::types::Money;

/// Whose count of which budget, and why it is changed.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Whose {
    /// The budget's name
    #[arg(long, value_name = "NAME")]
    pub budget: String,
    /// The principal whose count it is
    #[arg(long, value_name = "NAME", group = "subject")]
    pub principal: Option<String>,
    /// The group whose count it is
    #[arg(long, value_name = "NAME", group = "subject")]
    pub group: Option<String>,
    /// The count that all whom the budget is for share
    #[arg(long, group = "subject")]
    pub everyone: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// How much, in one unit or several.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Amount {
    /// Dollars, such as 5 or 0.25
    #[arg(long, value_name = "DOLLARS")]
    pub usd: Option<String>,
    /// Tokens of all kinds
    #[arg(long, value_name = "NUMBER")]
    pub tokens: Option<u64>,
    /// Input tokens
    #[arg(long, value_name = "NUMBER")]
    pub input_tokens: Option<u64>,
    /// Output tokens
    #[arg(long, value_name = "NUMBER")]
    pub output_tokens: Option<u64>,
    /// Calls
    #[arg(long, value_name = "NUMBER")]
    pub requests: Option<u64>,
}

/// How long a raise lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Until {
    /// For how long, such as 8h or 2d
    #[arg(long = "for", value_name = "DURATION", required_unless_present = "until", conflicts_with = "until")]
    pub span: Option<String>,
    /// Until when, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

pub(super) fn limit(stored: &Stored, whose: &Whose, amount: &Amount, configured: bool) -> Result<Vec<Change>, String> {
    if configured {
        if *amount != Amount::default() {
            return Err("--configured takes no amount: it is the limit of the configuration".to_owned());
        }
        return changes(stored, whose, [Effect::Configured]);
    }
    let rule = rule(stored, &whose.budget)?;
    changes(stored, whose, amounts(rule, amount)?.into_iter().map(|(unit, amount)| Effect::Limit(unit, amount)))
}

pub(super) fn raise(
    stored: &Stored,
    whose: &Whose,
    amount: &Amount,
    until: &Until,
    now: SystemTime,
) -> Result<Vec<Change>, String> {
    let rule = rule(stored, &whose.budget)?;
    let until = end(until, now)?;
    let raises = amounts(rule, amount)?.into_iter().map(|(unit, amount)| Effect::Raise(unit, amount, until));
    changes(stored, whose, raises)
}

pub(super) fn reset(stored: &Stored, whose: &Whose) -> Result<Vec<Change>, String> {
    changes(stored, whose, [Effect::Reset])
}

fn changes(stored: &Stored, whose: &Whose, effects: impl IntoIterator<Item = Effect>) -> Result<Vec<Change>, String> {
    let subject = subject(stored, whose)?;
    let by = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".to_owned());
    if whose.reason.trim().is_empty() {
        return Err("--reason is empty: say why, so that the history does".to_owned());
    }
    let change = |effect| Change {
        budget: whose.budget.as_str().into(),
        subject: subject.clone(),
        effect,
        by: by.clone(),
        reason: whose.reason.clone(),
    };
    Ok(effects.into_iter().map(change).collect())
}

/// The subject that the command line names, if the budget counts for it.
fn subject(stored: &Stored, whose: &Whose) -> Result<Subject, String> {
    let rule = rule(stored, &whose.budget)?;
    let asked = match (&whose.principal, &whose.group, whose.everyone) {
        (Some(name), ..) => Subject::Principal(principal(stored, name)?.name().into()),
        (None, Some(name), _) => Subject::Group(name.as_str().into()),
        (None, None, true) => Subject::Everyone,
        (None, None, false) => {
            return Err("whose count? Give --principal NAME, --group NAME or --everyone".to_owned());
        }
    };
    let own = stored.settings.principals.iter().filter(|principal| rule.is_for(principal));
    let mut counted: Vec<_> = own.flat_map(|principal| rule.subjects(principal.name(), principal.groups())).collect();
    counted.sort();
    counted.dedup();
    if counted.contains(&asked) {
        return Ok(asked);
    }
    let shown: Vec<_> = counted.iter().take(SHOWN).map(option).collect();
    let more = if counted.len() > SHOWN { ", …" } else { "" };
    Err(format!(
        "budget {} has no count of its own for {}: it has {}{more}",
        rule.name,
        option(&asked),
        shown.join(", ")
    ))
}

fn option(subject: &Subject) -> String {
    match subject {
        Subject::Everyone => "--everyone".to_owned(),
        Subject::Principal(_) | Subject::Group(_) => format!("--{} {}", subject.kind(), subject.name()),
    }
}

fn amounts(rule: &BudgetRule, amount: &Amount) -> Result<Vec<(Unit, u64)>, String> {
    let usd = amount.usd.as_deref().map(|text| {
        let money: Money = text.parse().map_err(|error| format!("--usd {text}: {error}"))?;
        u64::try_from(money.nanos()).map_err(|_| format!("--usd {text} is below nothing"))
    });
    let given = [
        (Unit::Usd, usd.transpose()?),
        (Unit::Tokens, amount.tokens),
        (Unit::InputTokens, amount.input_tokens),
        (Unit::OutputTokens, amount.output_tokens),
        (Unit::Requests, amount.requests),
    ];
    let given: Vec<_> = given.into_iter().filter_map(|(unit, amount)| Some((unit, amount?))).collect();
    if given.is_empty() {
        return Err("how much? Give --usd, --tokens, --input-tokens, --output-tokens or --requests".to_owned());
    }
    match given.iter().find(|(unit, _)| rule.limits.of(*unit).is_none()) {
        Some((unit, _)) => Err(format!("budget {} does not limit {}", rule.name, unit.as_str().replace('_', " "))),
        None => Ok(given),
    }
}

fn end(until: &Until, now: SystemTime) -> Result<SystemTime, String> {
    let end = match (&until.span, &until.until) {
        (Some(text), _) => {
            let span = parse_duration(text).map_err(|error| format!("--for {text}: {error}"))?;
            now.checked_add(span).ok_or_else(|| format!("--for {text} is too long"))?
        }
        (None, Some(text)) => {
            let end: Timestamp = text.parse().map_err(|error: jiff::Error| {
                format!("--until {text} is no time with its zone, such as 2027-01-31T00:00:00Z: {error}")
            })?;
            end.into()
        }
        (None, None) => return Err("how long? Give --for DURATION or --until TIME".to_owned()),
    };
    if end <= now { Err("the raise would have ended already: give a time to come".to_owned()) } else { Ok(end) }
}

/// Changes that were made, for show.
pub(super) struct History<'a>(Vec<Row<'a>>);

#[derive(Serialize)]
pub(super) struct Row<'a> {
    made: Option<Timestamp>,
    budget: &'a str,
    subject_kind: &'static str,
    subject: &'a str,
    effect: &'static str,
    unit: Option<&'static str>,
    /// Dollars in nano-dollars.
    amount: Option<u64>,
    until: Option<Timestamp>,
    by: &'a str,
    reason: &'a str,
    #[serde(skip)]
    shown: String,
}

impl<'a> History<'a> {
    pub(super) fn of(made: &'a [Adjustment], budget: Option<&str>) -> Self {
        let named = |adjustment: &&Adjustment| budget.is_none_or(|name| adjustment.change.budget.as_ref() == name);
        let row = |adjustment: &'a Adjustment| {
            let Adjustment { made, change, .. } = adjustment;
            let amount = change.effect.amount();
            Row {
                made: Timestamp::try_from(*made).ok(),
                budget: &change.budget,
                subject_kind: change.subject.kind(),
                subject: change.subject.name(),
                effect: change.effect.word(),
                unit: amount.map(|(unit, _)| unit.as_str()),
                amount: amount.map(|(_, amount)| amount),
                until: change.effect.until().and_then(|until| Timestamp::try_from(until).ok()),
                by: &change.by,
                reason: &change.reason,
                shown: amount.map(|(unit, amount)| unit.show(amount)).unwrap_or_default(),
            }
        };
        Self(made.iter().filter(named).map(row).collect())
    }

    pub(super) fn rows(&self) -> &[Row<'a>] {
        &self.0
    }

    pub(super) fn show(&self, output: Output, streams: &mut Streams<'_>) -> std::io::Result<()> {
        if output == Output::Json {
            return streams.json(&self.0);
        }
        let time = |at: Option<Timestamp>| at.map(|at| format!("{at:.0}")).unwrap_or_default();
        let cells = self.0.iter().map(|row| {
            [
                time(row.made),
                printable(row.budget),
                printable(&format!("{} {}", row.subject_kind, row.subject)),
                row.effect.to_owned(),
                row.shown.clone(),
                time(row.until),
                printable(row.by),
                printable(row.reason),
            ]
        });
        writeln!(
            streams.out,
            "{}",
            table(["MADE", "BUDGET", "WHOSE", "EFFECT", "AMOUNT", "UNTIL", "BY", "REASON"], cells)
        )
    }
}

/// How many subjects an error names.
const SHOWN: usize = 10;
