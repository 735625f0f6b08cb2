//! `tollgate check`: validates a file offline.
//!
//! Every error at once, with file, line, key and a remedy; or, where there is none, a summary of what the file means: who
//! reaches which model through which profile, with which guardrail and under which budgets. Nothing is contacted and no
//! credential is looked at: whether AWS agrees is for `tollgate doctor`.
//!
//! Exit codes: 0 the file can be served (warnings may be printed), 1 it cannot, 2 the command line makes no sense.

mod summary;

use std::io;
use std::path::PathBuf;

use serde::Serialize;

use super::{ExitCode, Output, Streams};
use crate::config::{Diagnostics, PriceKnown, Settings};
use summary::Summary;

/// Check a configuration file without starting anything
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Arguments {
    /// The configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE", env = "TOLLGATE_CONFIG", default_value = "tollgate.toml")]
    pub config: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Output,
}

/// Runs the command. `price_known` tells whether a model's price is shipped.
pub fn run(arguments: &Arguments, price_known: PriceKnown<'_>, streams: &mut Streams<'_>) -> io::Result<ExitCode> {
    let (settings, diagnostics) = match Settings::load(&arguments.config, price_known) {
        Ok((settings, diagnostics)) => (Some(settings), diagnostics),
        Err(diagnostics) => (None, diagnostics),
    };
    let summary = settings.as_ref().map(Summary::of);
    match arguments.output {
        Output::Json => {
            let valid = summary.is_some();
            streams.json(&Verdict { valid, diagnostics: &diagnostics, summary: summary.as_ref() })?;
        }
        Output::Table => table(&diagnostics, summary.as_ref(), streams)?,
    }
    Ok(if summary.is_some() { ExitCode::Fine } else { ExitCode::Faulty })
}

/// The JSON form.
#[derive(Serialize)]
struct Verdict<'a> {
    valid: bool,
    #[serde(flatten)]
    diagnostics: &'a Diagnostics,
    summary: Option<&'a Summary>,
}

fn table(diagnostics: &Diagnostics, summary: Option<&Summary>, streams: &mut Streams<'_>) -> io::Result<()> {
    let counts = [(diagnostics.errors.len(), "error"), (diagnostics.warnings.len(), "warning")];
    let counts: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, noun)| format!("{count} {noun}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    if !counts.is_empty() {
        writeln!(streams.err, "{diagnostics}\n")?;
    }
    let counts = counts.join(", ");
    let file = diagnostics.file.display();
    match summary {
        None => writeln!(streams.err, "{file} cannot be used: {counts}"),
        Some(summary) => {
            write!(streams.out, "{summary}")?;
            let counts = if counts.is_empty() { String::new() } else { format!(", {counts}") };
            writeln!(streams.out, "{file} is valid{counts}")
        }
    }
}

#[cfg(test)]
mod tests;
