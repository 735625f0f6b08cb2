//! What the commands share that look into the store: the configuration, the store, and tables.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use comfy_table::{ContentArrangement, Table, presets};

use super::{ExitCode, Streams, price_known};
use crate::budget::{self, Adjustment, BudgetRule, Change, SharedStore, Store, StoreError, StoreFile, UsageRow};
use crate::config::changes::Asking;
use crate::config::{Settings, StoreKind, assembly};
use crate::types::SystemClock;

/// The settings, and the store that they name.
pub(super) struct Stored {
    pub(super) settings: Settings,
    pub(super) rules: Vec<BudgetRule>,
    pub(super) store: Opened,
}

/// A store that is looked into, and in which limits are changed.
pub(super) enum Opened {
    /// The embedded store's file.
    File { path: PathBuf, file: StoreFile },
    /// The shared store.
    Shared(SharedStore),
}

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InForce {
    /// The gateways that run have it soon.
    Soon,
    /// No gateway runs.
    AtTheNextStart,
}

/// Opens what the configuration names. `None` means that the reason has been printed.
pub(super) async fn open(config: &Path, streams: &mut Streams<'_>) -> anyhow::Result<Option<Stored>> {
    let settings = match Settings::load(config, &price_known) {
        Ok((settings, _)) => settings,
        Err(diagnostics) => {
            write!(streams.err, "{diagnostics}")?;
            return Ok(None);
        }
    };
    let opened = match (settings.store.kind, &settings.store.redis) {
        (StoreKind::Memory, _) => Err("[store] kind = \"memory\" keeps counts in the gateway's memory alone: ask its \
                                       /bill and /metrics, or use kind = \"embedded\""
            .to_owned()),
        (StoreKind::Redis, Some(redis)) => match assembly::shared_store(&settings.store, redis) {
            Ok(options) => SharedStore::look(&options, Arc::new(SystemClock))
                .await
                .map(Opened::Shared)
                .map_err(|error| format!("{error}; [store.redis] says where it is")),
            Err(error) => Err(error.to_string()),
        },
        (StoreKind::Embedded | StoreKind::Redis, _) => file(&settings.store.path),
    };
    match opened {
        Ok(store) => {
            let rules = assembly::budget_rules(&settings);
            Ok(Some(Stored { settings, rules, store }))
        }
        Err(reason) => {
            writeln!(streams.err, "error: {reason}")?;
            Ok(None)
        }
    }
}

fn file(path: &Path) -> Result<Opened, String> {
    if !path.exists() {
        return Err(format!("{} is not there: a gateway makes it when it starts", path.display()));
    }
    let file = StoreFile::open(path).map_err(|error| error.to_string())?;
    Ok(Opened::File { path: path.to_owned(), file })
}

impl Stored {
    /// Against what the options ask for changes.
    pub(super) fn asking(&self) -> Asking<'_> {
        Asking { rules: &self.rules, principals: &self.settings.principals, prefix: "--" }
    }
}

impl Opened {
    pub(super) async fn usage(&self, since: SystemTime) -> Result<Vec<UsageRow>, StoreError> {
        match self {
            Self::File { file, .. } => file.usage(since),
            Self::Shared(store) => Store::usage(store, since).await,
        }
    }

    /// Every change that an operator made, oldest first.
    pub(super) async fn history(&self) -> Result<Vec<Adjustment>, StoreError> {
        match self {
            Self::File { file, .. } => file.history(),
            Self::Shared(store) => Store::history(store).await,
        }
    }

    /// Writes a change down.
    pub(super) async fn change(&self, change: &Change, now: SystemTime) -> Result<InForce, StoreError> {
        match self {
            Self::File { path, .. } => {
                let running = budget::change(path, change, now)?;
                Ok(if running { InForce::Soon } else { InForce::AtTheNextStart })
            }
            Self::Shared(store) => Store::change(store, change.clone(), now).await.map(|()| InForce::Soon),
        }
    }

    /// As a store for a ledger to read.
    pub(super) fn into_store(self) -> Arc<dyn Store> {
        match self {
            Self::File { file, .. } => Arc::new(file),
            Self::Shared(store) => Arc::new(store),
        }
    }
}

/// The exit code of what was done, or could not be.
pub(super) fn told(done: Result<(), String>, streams: &mut Streams<'_>) -> anyhow::Result<ExitCode> {
    match done {
        Ok(()) => Ok(ExitCode::Fine),
        Err(reason) => {
            writeln!(streams.err, "error: {reason}")?;
            Ok(ExitCode::Faulty)
        }
    }
}

/// A table for people.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head);
    table.add_rows(rows);
    table.trim_fmt()
}

/// A text that anyone may have written, without what a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character }).collect()
}
