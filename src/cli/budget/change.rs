//! What an operator changes about a budget, and the history of that.

use jiff::Timestamp;

use super::super::stored::{printable, table};
use super::super::{Output, Streams};
use crate::budget::Adjustment;
use crate::config::changes::{Asked, Made};

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

/// What the options ask for.
pub(super) fn asked(whose: &Whose, amount: &Amount, until: &Until, configured: bool) -> Asked {
    let Whose { budget, principal, group, everyone, reason } = whose.clone();
    let Amount { usd, tokens, input_tokens, output_tokens, requests } = amount.clone();
    let Until { span, until } = until.clone();
    let by = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok();
    Asked {
        budget,
        principal,
        group,
        everyone,
        usd,
        tokens,
        input_tokens,
        output_tokens,
        requests,
        configured,
        span,
        until,
        reason,
        by,
    }
}

/// Changes that were made, for show.
pub(super) struct History<'a>(Vec<&'a Adjustment>);

impl<'a> History<'a> {
    pub(super) fn of(made: &'a [Adjustment], budget: Option<&str>) -> Self {
        let named = |adjustment: &&Adjustment| budget.is_none_or(|name| adjustment.change.budget.as_ref() == name);
        Self(made.iter().filter(named).collect())
    }

    pub(super) fn rows(&self) -> Vec<Made<'a>> {
        self.0.iter().map(|adjustment| Made::of(&adjustment.change, Some(adjustment.made))).collect()
    }

    pub(super) fn show(&self, output: Output, streams: &mut Streams<'_>) -> std::io::Result<()> {
        if output == Output::Json {
            return streams.json(&self.rows());
        }
        let time = |at: Option<Timestamp>| at.map(|at| format!("{at:.0}")).unwrap_or_default();
        let cells = self.0.iter().zip(self.rows()).map(|(adjustment, row)| {
            let amount = adjustment.change.effect.amount();
            [
                time(row.made),
                printable(row.budget),
                printable(&format!("{} {}", row.subject_kind, row.subject)),
                row.effect.to_owned(),
                amount.map(|(unit, amount)| unit.show(amount)).unwrap_or_default(),
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
