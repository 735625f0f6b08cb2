//! What the commands share that look into the store: the configuration, the file, and tables.

use std::path::{Path, PathBuf};

use comfy_table::{ContentArrangement, Table, presets};

use super::{ExitCode, Streams, price_known};
use crate::budget::{BudgetRule, StoreFile};
use crate::config::{Settings, StoreKind, assembly};

/// The settings, and the store that they name.
pub(super) struct Stored {
    pub(super) settings: Settings,
    pub(super) rules: Vec<BudgetRule>,
    pub(super) path: PathBuf,
    pub(super) file: StoreFile,
}

/// Opens what the configuration names. `None` means that the reason has been printed.
pub(super) fn open(config: &Path, streams: &mut Streams<'_>) -> anyhow::Result<Option<Stored>> {
    let settings = match Settings::load(config, &price_known) {
        Ok((settings, _)) => settings,
        Err(diagnostics) => {
            write!(streams.err, "{diagnostics}")?;
            return Ok(None);
        }
    };
    if settings.store.kind == StoreKind::Memory {
        writeln!(
            streams.err,
            "error: [store] kind = \"memory\" keeps counts in the gateway's memory alone: ask its /bill and /metrics, or \
             use kind = \"embedded\""
        )?;
        return Ok(None);
    }
    let path = settings.store.path.clone();
    if !path.exists() {
        writeln!(streams.err, "error: {} is not there: a gateway makes it when it starts", path.display())?;
        return Ok(None);
    }
    let file = StoreFile::open(&path)?;
    let rules = assembly::budget_rules(&settings);
    Ok(Some(Stored { settings, rules, path, file }))
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
