//! `tollgate profile explain|list|sync|create|delete|orphans`: which application inference profiles there are, whose they are
//! and why; and making and deleting them in AWS.
//!
//! What a gateway knows of AWS stands in the file that `[discovery] file` names; `--live` asks AWS itself. A gateway that runs
//! reads AWS by itself every `[discovery] every`, and not the file.
//!
//! Exit codes: 0 done, 1 it could not be done, 2 the command line makes no sense.

mod create;
mod delete;
mod desk;
mod explain;
mod list;
mod orphans;
mod plan;
mod remove;
mod sync;

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Subcommand;

use super::{ExitCode, Output, Streams, stored};
use desk::{Desk, Person};

/// The command line.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Arguments {
    /// The configuration file, which says which profiles there are, where more are found and whose they are
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

/// What to do with profiles.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Action {
    /// Explain step by step which profile a name leads somebody to, or why to none, and what to do then
    Explain {
        /// Who asks
        #[command(flatten)]
        person: Person,
        /// What they ask for: a model's id, a name, an alias, an ARN
        #[arg(long, value_name = "MODEL")]
        model: String,
        /// Read AWS now, in place of what was found before
        #[arg(long)]
        live: bool,
    },
    /// List the profiles of the configuration and those that were found: whose, by which rule, of which model
    List {
        /// Only those of this principal, the closest first
        #[arg(long, value_name = "NAME")]
        principal: Option<String>,
        /// Read AWS now, in place of what was found before
        #[arg(long)]
        live: bool,
    },
    /// Read AWS now, write down what was found, and say what has changed since
    Sync,
    /// Make profiles in AWS that `[[vending]]` would make, or others
    Create(create::Create),
    /// Delete profiles in AWS that Tollgate has made
    Delete(delete::Delete),
    /// Find profiles that nobody can use any more, or that are there twice
    Orphans(orphans::Orphans),
}

/// Runs the command.
pub async fn run(arguments: &Arguments, now: SystemTime, streams: &mut Streams<'_>) -> anyhow::Result<ExitCode> {
    let Some(desk) = Desk::open(&arguments.config, now, streams).await? else { return Ok(ExitCode::Faulty) };
    let output = arguments.output;
    let done = match &arguments.action {
        Action::Explain { person, model, live } => explain::run(&desk, person, model, *live, output, streams).await?,
        Action::List { principal, live } => list::run(&desk, principal.as_deref(), *live, output, streams).await?,
        Action::Sync => sync::run(&desk, output, streams).await?,
        Action::Create(create) => create::run(&desk, create, output, streams).await?,
        Action::Delete(delete) => delete::run(&desk, delete, output, streams).await?,
        Action::Orphans(orphans) => orphans::run(&desk, orphans, output, streams).await?,
    };
    stored::told(done, streams)
}

#[cfg(test)]
mod tests;
