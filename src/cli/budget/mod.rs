//! `tollgate budget show|set|raise|reset|history`: how budgets stand, and what an operator changes about them.
//!
//! The commands read and write the store, whether a gateway uses it or not. Gateways that do take a change up within two
//! seconds; otherwise it is in force from the next start. Who changed what, when and why is kept.
//!
//! Exit codes: 0 done, 1 it could not be done, 2 the command line makes no sense.

mod change;
mod show;

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Subcommand;

use super::stored::{self, Stored};
use super::{ExitCode, Output, Streams};
use crate::config::changes::{Asked, Doing};
use change::{Amount, History, Until, Whose};

/// The command line.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Arguments {
    /// The configuration file, which says which budgets there are and where their counts are kept
    #[arg(
        short = 'c',
        long = "config",
        value_name = "FILE",
        env = "TOLLGATE_CONFIG",
        default_value = "tollgate.toml",
        global = true
    )]
    pub config: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value_t, value_name = "FORM", global = true)]
    pub output: Output,
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with budgets.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Action {
    /// Show limit, spent, reserved and what is left, for everybody or for some
    Show {
        /// Only what this principal falls under
        #[arg(long, value_name = "NAME")]
        principal: Option<String>,
        /// Only this budget
        #[arg(long, value_name = "NAME")]
        budget: Option<String>,
    },
    /// Give one subject of a budget another limit than the configured one, or that one again
    Set {
        /// Whose count
        #[command(flatten)]
        whose: Whose,
        /// How much
        #[command(flatten)]
        amount: Amount,
        /// The configured limits again; raises end
        #[arg(long)]
        configured: bool,
    },
    /// Raise a limit for a while
    Raise {
        /// Whose count
        #[command(flatten)]
        whose: Whose,
        /// How much
        #[command(flatten)]
        amount: Amount,
        /// How long
        #[command(flatten)]
        until: Until,
    },
    /// Count what is spent in the open window no more; the bill keeps it
    Reset {
        /// Whose count
        #[command(flatten)]
        whose: Whose,
    },
    /// Show who changed what, when and why
    History {
        /// Only this budget
        #[arg(long, value_name = "NAME")]
        budget: Option<String>,
    },
}

/// Runs the command.
pub async fn run(arguments: &Arguments, now: SystemTime, streams: &mut Streams<'_>) -> anyhow::Result<ExitCode> {
    let Some(stored) = stored::open(&arguments.config, streams).await? else { return Ok(ExitCode::Faulty) };
    let done = match &arguments.action {
        Action::Show { principal, budget } => {
            show::run(stored, principal.as_deref(), budget.as_deref(), now, arguments.output, streams).await?
        }
        Action::Set { whose, amount, configured } => {
            let asked = change::asked(whose, amount, &Until::default(), *configured);
            make(&stored, Doing::Set, &asked, now, arguments.output, streams).await?
        }
        Action::Raise { whose, amount, until } => {
            let asked = change::asked(whose, amount, until, false);
            make(&stored, Doing::Raise, &asked, now, arguments.output, streams).await?
        }
        Action::Reset { whose } => {
            let asked = change::asked(whose, &Amount::default(), &Until::default(), false);
            make(&stored, Doing::Reset, &asked, now, arguments.output, streams).await?
        }
        Action::History { budget } => {
            let made = stored.store.history().await?;
            History::of(&made, budget.as_deref()).show(arguments.output, streams)?;
            Ok(())
        }
    };
    stored::told(done, streams)
}

/// Writes changes down and says when they take effect.
async fn make(
    stored: &Stored,
    doing: Doing,
    asked: &Asked,
    now: SystemTime,
    output: Output,
    streams: &mut Streams<'_>,
) -> anyhow::Result<Result<(), String>> {
    let changes = match stored.asking().changes(doing, asked, now) {
        Ok(changes) => changes,
        Err(reason) => return Ok(Err(reason)),
    };
    for change in &changes {
        stored.store.change(change.clone(), now).await?;
    }
    let history = stored.store.history().await?;
    let latest = history.len().saturating_sub(changes.len());
    let made = History::of(history.get(latest..).unwrap_or_default(), None);
    let running = stored.in_use();
    match output {
        Output::Json => streams.json(&serde_json::json!({ "changes": made.rows(), "gateway_running": running }))?,
        Output::Table => {
            made.show(output, streams)?;
            let when = match running {
                Some(false) => "in force when the gateway starts",
                Some(true) | None => "gateways that run have it in force within two seconds",
            };
            writeln!(streams.err, "Noted; {when}.")?;
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests;
