//! What the commands share that look into the store: the configuration, the store, and tables.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use comfy_table::{ContentArrangement, Table, presets};

use super::{ExitCode, Streams, price_known};
use crate::budget::{self, BudgetRule, SharedStore, Store, StoreFile};
use crate::config::changes::Asking;
use crate::config::{Settings, StoreKind, assembly};
use crate::identity::Principal;
use crate::identity::keys::KeyRing;
use crate::types::SystemClock;

/// The settings, and the store that they name.
pub(super) struct Stored {
    /// Everybody of whom the configuration or a key knows.
    pub(super) people: Vec<Arc<Principal>>,
    /// Whether there may be others.
    pub(super) open: bool,
    pub(super) rules: Vec<BudgetRule>,
    pub(super) store: Arc<dyn Store>,
    /// The file of the embedded store.
    pub(super) file: Option<PathBuf>,
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
    let opened: Result<(Arc<dyn Store>, _), String> = match (settings.store.kind, &settings.store.redis) {
        (StoreKind::Memory, _) => Err("[store] kind = \"memory\" keeps counts in the gateway's memory alone: ask its \
                                       /bill and /metrics, or use kind = \"embedded\""
            .to_owned()),
        (StoreKind::Redis, Some(redis)) => match assembly::shared_store(&settings.store, redis) {
            Ok(options) => match SharedStore::look(&options, Arc::new(SystemClock)).await {
                Ok(store) => Ok((Arc::new(store), None)),
                Err(error) => Err(format!("{error}; [store.redis] says where it is")),
            },
            Err(error) => Err(error.to_string()),
        },
        (StoreKind::Embedded | StoreKind::Redis, _) => {
            let path = &settings.store.path;
            if path.exists() {
                let file = StoreFile::open(path).map_err(|error| error.to_string());
                file.map(|file| (Arc::new(file) as Arc<dyn Store>, Some(path.clone())))
            } else {
                Err(format!("{} is not there: a gateway makes it when it starts", path.display()))
            }
        }
    };
    match opened {
        Ok((store, file)) => {
            let rules = assembly::budget_rules(&settings);
            let people = people(&settings).await;
            let open = settings.identity.is_open();
            Ok(Some(Stored { people, open, rules, store, file }))
        }
        Err(reason) => {
            writeln!(streams.err, "error: {reason}")?;
            Ok(None)
        }
    }
}

/// The principals of the configuration, and those that keys describe. Keys that cannot be read describe nobody.
async fn people(settings: &Settings) -> Vec<Arc<Principal>> {
    let described = described(settings).await.unwrap_or_default();
    everybody(settings, described)
}

/// Those whom live keys describe; the error says why the keys cannot be read.
pub(super) async fn described(settings: &Settings) -> Result<Vec<Arc<Principal>>, String> {
    let path = &settings.store.path;
    if settings.store.kind == StoreKind::Embedded && settings.identity.keys_file.is_none() && !path.exists() {
        // Looking would make it.
        return Ok(Vec::new());
    }
    let keys = assembly::key_store(settings).map_err(|error| error.to_string())?;
    let ring = KeyRing::open(keys).await.map_err(|error| error.to_string())?;
    Ok(ring.described(std::time::SystemTime::now()))
}

/// The principals of the configuration and those that are described; what the configuration says of somebody counts.
pub(super) fn everybody(settings: &Settings, described: Vec<Arc<Principal>>) -> Vec<Arc<Principal>> {
    let mut people: Vec<_> = settings.principals.iter().cloned().map(Arc::new).collect();
    for described in described {
        if people.iter().all(|known| known.name() != described.name()) {
            people.push(described);
        }
    }
    people
}

impl Stored {
    /// Against what the options ask for changes.
    pub(super) fn asking(&self) -> Asking<'_> {
        Asking { rules: &self.rules, principals: &self.people, open: self.open, prefix: "--" }
    }

    /// Whether a gateway uses the store; nothing where that cannot be seen.
    pub(super) fn in_use(&self) -> Option<bool> {
        self.file.as_deref().map(budget::in_use)
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
