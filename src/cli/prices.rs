//! `tollgate prices show|diff|update`: which prices are in force, what another list would change, and a file with it.
//!
//! Prices are dollars per million tokens. Nothing is fetched: lists are files, and a gateway reads its price table when it
//! starts. Exit codes: 0 done, 1 it could not be done, 2 the command line makes no sense.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::stored::{printable, table, told};
use super::{ExitCode, Output, Streams, price_known};
use crate::config::Settings;
use crate::profiles::price::{Difference, Imported, PriceList, PriceRow, RatesRow};
use crate::types::Money;

/// The command line.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Arguments {
    /// The configuration whose prices are in force; without one, the prices that are built in
    #[arg(short = 'c', long = "config", value_name = "FILE", env = "TOLLGATE_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value_t, value_name = "FORM", global = true)]
    pub output: Output,
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with prices.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Action {
    /// Show the rows of the price table, in dollars per million tokens
    Show {
        /// Only ids that contain this
        #[arg(long, value_name = "TEXT")]
        model: Option<String>,
        /// Only rows of this Region
        #[arg(long, value_name = "REGION")]
        region: Option<String>,
    },
    /// Show what another list would change
    Diff {
        /// LiteLLM's model_prices_and_context_window.json, a price list of AWS's (JSON), or a file that `update` has written
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// Write a price table with what another list says, for `[price_table] file`
    Update {
        /// As for `diff`
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// The price table to write; one that is there is replaced
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

/// Runs the command.
pub fn run(arguments: &Arguments, now: SystemTime, streams: &mut Streams<'_>) -> anyhow::Result<ExitCode> {
    let Some(in_force) = InForce::of(arguments.config.as_deref(), streams)? else { return Ok(ExitCode::Faulty) };
    let done = match &arguments.action {
        Action::Show { model, region } => {
            show(&in_force, model.as_deref(), region.as_deref(), arguments.output, streams)?;
            Ok(())
        }
        Action::Diff { from } => match read(from, &in_force.list, now) {
            Ok(imported) => {
                let differences = in_force.list.differences(&in_force.list.updated(&imported));
                compare(&differences, &imported, arguments.output, streams)?;
                Ok(())
            }
            Err(reason) => Err(reason),
        },
        Action::Update { from, to } => match read(from, &in_force.list, now) {
            Ok(imported) => update(&in_force.list, &imported, to, arguments.output, streams)?,
            Err(reason) => Err(reason),
        },
    };
    told(done, streams)
}

/// The list in force, and the prices of the configuration that come before it.
struct InForce {
    list: PriceList,
    overrides: Vec<(String, PriceRow)>,
}

impl InForce {
    /// `None` means that the reason has been printed.
    fn of(config: Option<&Path>, streams: &mut Streams<'_>) -> anyhow::Result<Option<Self>> {
        let Some(config) = config else {
            return Ok(Some(Self { list: PriceList::shipped()?, overrides: Vec::new() }));
        };
        let settings = match Settings::load(config, &price_known) {
            Ok((settings, _)) => settings,
            Err(diagnostics) => {
                write!(streams.err, "{diagnostics}")?;
                return Ok(None);
            }
        };
        let list = match &settings.price_table {
            None => PriceList::shipped()?,
            Some(file) => match fs::read_to_string(&file.path) {
                Ok(text) => PriceList::read(&text)?,
                Err(error) => {
                    writeln!(streams.err, "error: [price_table] file: {}: {error}", file.path.display())?;
                    return Ok(None);
                }
            },
        };
        let dollars = |price: Money| (price > Money::ZERO).then(|| price.plain().to_string());
        let overrides = settings.prices.iter().map(|own| {
            let row = PriceRow {
                input: own.input.to_string(),
                output: own.output.to_string(),
                cache_read: own.cache_read.map(|price| price.to_string()),
                cache_write_5m: own.cache_write_5m.map(|price| price.to_string()),
                cache_write_1h: own.cache_write_1h.map(|price| price.to_string()),
                latency_optimized: own.latency_optimized.map(|(input, output)| RatesRow {
                    input: input.to_string(),
                    output: output.to_string(),
                    ..RatesRow::default()
                }),
                max_input: own.max_input,
                max_output: own.max_output,
                per_image: dollars(own.pieces.image_made),
                per_input_image: dollars(own.pieces.image_read),
                per_query: dollars(own.pieces.query),
                ..PriceRow::default()
            };
            (own.model.to_string(), row)
        });
        Ok(Some(Self { list, overrides: overrides.collect() }))
    }
}

fn read(from: &Path, known: &PriceList, now: SystemTime) -> Result<Imported, String> {
    let shown = from.display();
    let mut text = String::new();
    let read = File::open(from).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
    let size = read.map_err(|error| format!("{shown}: {error}"))? as u64;
    if size > LARGEST {
        return Err(format!("{shown} has more than {LARGEST} bytes: no price list has"));
    }
    let today = Timestamp::try_from(now).unwrap_or_default().strftime("%Y-%m-%d").to_string();
    let imported = Imported::read(&text, known, &today).map_err(|error| format!("{shown}: {error}"))?;
    if imported.list.rows().next().is_none() {
        return Err(format!("{shown} has no price of a Bedrock model"));
    }
    Ok(imported)
}

fn show(
    in_force: &InForce,
    model: Option<&str>,
    region: Option<&str>,
    output: Output,
    streams: &mut Streams<'_>,
) -> anyhow::Result<()> {
    let wanted = |place: Option<&str>, id: &str| {
        model.is_none_or(|text| id.contains(text)) && region.is_none_or(|region| place == Some(region))
    };
    let overrides = in_force.overrides.iter().map(|(id, row)| (None, id.as_str(), row, "configuration"));
    let hidden = |id: &str| in_force.overrides.iter().any(|(own, _)| own == id);
    let listed =
        in_force.list.rows().filter(|(_, id, _)| !hidden(id)).map(|(place, id, row)| (place, id, row, "table"));
    let rows: Vec<_> = overrides.chain(listed).filter(|(place, id, ..)| wanted(*place, id)).collect();
    match output {
        Output::Json => {
            let rows: Vec<Value> = rows
                .iter()
                .map(|(region, model, row, from)| json!({ "model": model, "region": region, "from": from, "prices": row }))
                .collect();
            let PriceList { source, taken, guardrail, .. } = &in_force.list;
            streams.json(&json!({ "source": source, "taken": taken, "guardrail": guardrail, "rows": rows }))?;
        }
        Output::Table => {
            let head = [
                "MODEL",
                "REGION",
                "INPUT",
                "OUTPUT",
                "CACHE READ",
                "WRITE 5M",
                "WRITE 1H",
                "ALSO",
                "MOST IN",
                "MOST OUT",
                "FROM",
            ];
            let cells = rows.iter().map(|(region, model, row, from)| {
                let price = |price: &Option<String>| price.as_deref().map_or_else(|| "-".to_owned(), printable);
                let tokens = |tokens: Option<u64>| tokens.map_or_else(|| "-".to_owned(), |tokens| tokens.to_string());
                [
                    printable(model),
                    region.map_or_else(|| "-".to_owned(), printable),
                    printable(&row.input),
                    printable(&row.output),
                    price(&row.cache_read),
                    price(&row.cache_write_5m),
                    price(&row.cache_write_1h),
                    also(row),
                    tokens(row.max_input),
                    tokens(row.max_output),
                    (*from).to_owned(),
                ]
            });
            writeln!(streams.out, "{}", table(head, cells))?;
            let PriceList { source, taken, .. } = &in_force.list;
            writeln!(streams.err, "Dollars per million tokens. {}, taken on {}.", printable(source), printable(taken))?;
        }
    }
    Ok(())
}

/// The prices of a row that are for a piece.
fn pieces(row: &PriceRow) -> impl Iterator<Item = String> {
    let pieces = [("image", &row.per_image), ("input image", &row.per_input_image), ("query", &row.per_query)];
    pieces.into_iter().filter_map(|(what, price)| Some(format!("{} per {what}", printable(price.as_ref()?))))
}

/// Which other prices a row has.
fn also(row: &PriceRow) -> String {
    let above = row.above.as_ref().map(|above| format!("above {}", above.tokens));
    let tiers = [
        row.flex.as_ref().map(|_| "flex"),
        row.priority.as_ref().map(|_| "priority"),
        row.latency_optimized.as_ref().map(|_| "latency-optimised"),
    ];
    let also: Vec<_> = tiers.into_iter().flatten().map(str::to_owned).chain(above).chain(pieces(row)).collect();
    if also.is_empty() { "-".to_owned() } else { also.join(", ") }
}

fn update(
    before: &PriceList,
    imported: &Imported,
    to: &Path,
    output: Output,
    streams: &mut Streams<'_>,
) -> anyhow::Result<Result<(), String>> {
    let after = before.updated(imported);
    let text = after.text()?;
    // What is written must be what a gateway can read.
    PriceList::read(&text)?;
    if let Err(error) = replace(to, &text) {
        return Ok(Err(format!("{}: {error}", to.display())));
    }
    compare(&before.differences(&after), imported, output, streams)?;
    if output == Output::Table {
        writeln!(
            streams.err,
            "{} has {} rows. With [price_table] file = \"{}\" in the configuration a gateway takes them at its next start.",
            to.display(),
            after.rows().count(),
            to.display()
        )?;
    }
    Ok(Ok(()))
}

/// Puts a text in place of a file, or leaves the file as it is. A link goes on leading to what is replaced.
fn replace(to: &Path, text: &str) -> io::Result<()> {
    let to = if to.exists() { to.canonicalize()? } else { to.to_owned() };
    let name = to.file_name().ok_or_else(|| io::Error::other("no name of a file"))?.to_string_lossy();
    let beside = to.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = File::create_new(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &to)
    });
    if written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists) {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn compare(
    differences: &[Difference],
    imported: &Imported,
    output: Output,
    streams: &mut Streams<'_>,
) -> anyhow::Result<()> {
    match output {
        Output::Json => {
            let rows: Vec<_> = differences
                .iter()
                .map(|found| {
                    json!({ "model": found.model, "region": found.region, "before": found.before, "after": found.after })
                })
                .collect();
            let left: Vec<_> = imported.left.iter().map(|left| json!({ "what": left.what, "why": left.why })).collect();
            streams.json(&json!({ "differences": rows, "left_out": left }))?;
        }
        Output::Table => {
            let rows: Vec<_> = differences.iter().flat_map(changes).collect();
            writeln!(streams.out, "{}", table(["MODEL", "REGION", "WHAT", "NOW", "THEN"], rows.into_iter()))?;
            for left in &imported.left {
                writeln!(streams.err, "left out: {}: {}", printable(&left.what), printable(&left.why))?;
            }
            let count = |which: fn(&Difference) -> bool| differences.iter().filter(|found| which(found)).count();
            writeln!(
                streams.err,
                "{} new, {} gone, {} changed.",
                count(|found| found.before.is_none()),
                count(|found| found.after.is_none()),
                count(|found| found.before.is_some() && found.after.is_some()),
            )?;
        }
    }
    Ok(())
}

/// A line for each price that is different; one for a row that is new or gone.
fn changes(found: &Difference) -> Vec<[String; 5]> {
    let place = || [printable(&found.model), found.region.as_deref().map_or_else(|| "-".to_owned(), printable)];
    let line = |what: &str, now: &str, then: &str| {
        let [model, region] = place();
        [model, region, what.to_owned(), printable(now), printable(then)]
    };
    let both = |row: &PriceRow| {
        let tokens = format!("{} / {}", row.input, row.output);
        std::iter::once(tokens).chain(pieces(row)).collect::<Vec<_>>().join(", ")
    };
    match (&found.before, &found.after) {
        (Some(before), Some(after)) => {
            let (before, after) = (flat(before), flat(after));
            let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
            let of = |row: &std::collections::BTreeMap<String, String>, key: &str| {
                row.get(key).cloned().unwrap_or_else(|| "-".to_owned())
            };
            let lines = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
            lines.map(|key| line(key, &of(&before, key), &of(&after, key))).collect()
        }
        (None, Some(after)) => vec![line("input / output", "-", &both(after))],
        (Some(before), None) => vec![line("input / output", &both(before), "-")],
        (None, None) => Vec::new(),
    }
}

/// A row as names and values, those of a tier with its name before them.
fn flat(row: &impl Serialize) -> std::collections::BTreeMap<String, String> {
    let mut values = std::collections::BTreeMap::new();
    let Ok(Value::Object(row)) = serde_json::to_value(row) else { return values };
    for (name, value) in row {
        match value {
            Value::Object(below) => {
                for (kind, price) in flat(&below) {
                    values.insert(format!("{name} {kind}"), price);
                }
            }
            Value::String(text) => _ = values.insert(name, text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                _ = values.insert(name, value.to_string());
            }
        }
    }
    values
}

/// LiteLLM's whole list has two megabytes; AWS's of one Region a few.
const LARGEST: u64 = 256 << 20;

#[cfg(test)]
mod tests;
