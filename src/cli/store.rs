//! `tollgate store backup`: a copy of the embedded store, also while a gateway writes to it.
//!
//! Exit codes: 0 done, 1 it could not be done, 2 the command line makes no sense.

use std::path::PathBuf;

use clap::Subcommand;

use super::stored;
use super::{ExitCode, Streams};
use crate::budget::StoreFile;

/// The command line.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Arguments {
    /// The configuration file, which says where the store is
    #[arg(
        short = 'c',
        long = "config",
        value_name = "FILE",
        env = "TOLLGATE_CONFIG",
        default_value = "tollgate.toml",
        global = true
    )]
    pub config: PathBuf,
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the store.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Action {
    /// Copy the embedded store into a new file; a gateway may go on meanwhile
    Backup {
        /// The new file
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

/// Runs the command.
pub async fn run(arguments: &Arguments, streams: &mut Streams<'_>) -> anyhow::Result<ExitCode> {
    let Some(stored) = stored::open(&arguments.config, streams).await? else { return Ok(ExitCode::Faulty) };
    let Action::Backup { to } = &arguments.action;
    let Some(path) = &stored.file else {
        let reason =
            "a shared store is backed up where it is: by the append-only file or the snapshots of Valkey or Redis";
        return stored::told(Err(reason.to_owned()), streams);
    };
    if to.exists() {
        return stored::told(Err(format!("{} is there already: name a new file", to.display())), streams);
    }
    StoreFile::open(path)?.back_up(to)?;
    writeln!(streams.err, "{} is a copy of {}.", to.display(), path.display())?;
    Ok(ExitCode::Fine)
}
