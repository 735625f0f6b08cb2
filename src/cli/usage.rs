//! `tollgate usage`: what was spent, by whom, on what, when.
//!
//! Rows are added up from the hours that the store keeps; a day is one of UTC. Exit codes: 0 done, 1 it could not be done,
//! 2 the command line makes no sense.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::ValueEnum;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Map, Value, json};

use super::stored::{self, printable};
use super::{ExitCode, Streams};
use crate::budget::{Settled, UsageRow};
use crate::config::parse_duration;
use crate::types::{Money, TokenUsage};

/// Show what was spent, by principal, group, model, profile or day
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Arguments {
    /// The configuration file, which says where usage is kept
    #[arg(short = 'c', long = "config", value_name = "FILE", env = "TOLLGATE_CONFIG", default_value = "tollgate.toml")]
    pub config: PathBuf,
    /// What makes a row, in this order
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [By::Principal, By::Model], value_name = "WHAT")]
    pub by: Vec<By>,
    /// From when on: a date (2026-11-01), a time (2026-11-01T08:00:00Z), or so long ago (12h, 30d); its hour is whole
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    pub since: String,
    /// Up to when, in the same forms; the hour that it lies in is left out
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
    /// What to print
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Form,
}

/// What makes a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Who called
    Principal,
    /// The first of their groups
    Group,
    /// The source of the profile
    Model,
    /// The profile
    Profile,
    /// The operation
    Operation,
    /// How calls were settled
    Outcome,
    /// The day, by UTC
    Day,
    /// The hour, by UTC
    Hour,
}

/// What is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people
    #[default]
    Table,
    /// For spreadsheets: RFC 4180, with a header
    Csv,
    /// For scripts: one JSON value
    Json,
}

/// Runs the command.
pub async fn run(arguments: &Arguments, now: SystemTime, streams: &mut Streams<'_>) -> anyhow::Result<ExitCode> {
    let bounds = instant("--since", &arguments.since, now).and_then(|since| {
        let until = arguments.until.as_deref().map(|until| instant("--until", until, now)).transpose()?;
        Ok((since, until))
    });
    let (since, until) = match bounds {
        Ok(bounds) => bounds,
        Err(reason) => return stored::told(Err(reason), streams),
    };
    let Some(stored) = stored::open(&arguments.config, streams).await? else { return Ok(ExitCode::Faulty) };
    let hour = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 3_600);
    let rows = stored.store.usage(since).await?;
    let rows = rows.iter().filter(|row| until.is_none_or(|until| hour(row.hour) < hour(until)));
    let mut sums: BTreeMap<Vec<String>, Sum> = BTreeMap::new();
    for row in rows {
        sums.entry(arguments.by.iter().map(|by| by.of(row)).collect()).or_default().add(row);
    }
    print(&arguments.by, &sums, arguments.output, streams)?;
    Ok(ExitCode::Fine)
}

impl By {
    fn of(self, row: &UsageRow) -> String {
        let heading = &row.row.heading;
        let time = |form: &str| {
            let hour = Timestamp::try_from(row.hour).unwrap_or_default();
            hour.to_zoned(TimeZone::UTC).strftime(form).to_string()
        };
        match self {
            Self::Principal => heading.principal.to_string(),
            Self::Group => row.group.to_string(),
            Self::Model => heading.model.as_ref().map(ToString::to_string).unwrap_or_default(),
            Self::Profile => heading.profile.as_deref().unwrap_or_default().to_owned(),
            Self::Operation => heading.operation.name().to_owned(),
            Self::Outcome => heading.settled.as_str().to_owned(),
            Self::Day => time("%Y-%m-%d"),
            Self::Hour => time("%Y-%m-%dT%H:00:00Z"),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Group => "group",
            Self::Model => "model",
            Self::Profile => "profile",
            Self::Operation => "operation",
            Self::Outcome => "outcome",
            Self::Day => "day",
            Self::Hour => "hour",
        }
    }
}

#[derive(Default)]
struct Sum {
    calls: u64,
    at_reservation: u64,
    unpriced: u64,
    tokens: TokenUsage,
    cost: Money,
}

impl Sum {
    fn add(&mut self, row: &UsageRow) {
        self.calls += row.row.calls;
        if matches!(row.row.heading.settled, Settled::AtReservation(_)) {
            self.at_reservation += row.row.calls;
        }
        self.unpriced += row.row.unpriced;
        self.tokens = self.tokens + row.row.usage;
        self.cost = self.cost + row.row.cost;
    }

    fn numbers(&self) -> [(&'static str, u64); 8] {
        [
            ("calls", self.calls),
            ("at_reservation", self.at_reservation),
            ("unpriced", self.unpriced),
            ("input", self.tokens.input),
            ("output", self.tokens.output),
            ("cache_read", self.tokens.cache_read),
            ("cache_write_5m", self.tokens.cache_write_5m),
            ("cache_write_1h", self.tokens.cache_write_1h),
        ]
    }

    /// Dollars without their sign, as a spreadsheet adds them up.
    fn dollars(&self) -> String {
        self.cost.plain().to_string()
    }
}

fn print(by: &[By], sums: &BTreeMap<Vec<String>, Sum>, form: Form, streams: &mut Streams<'_>) -> anyhow::Result<()> {
    let names = || by.iter().map(|by| by.word());
    let numbers = Sum::default().numbers().map(|(name, _)| name);
    match form {
        Form::Json => {
            let rows = sums.iter().map(|(keys, sum)| {
                let keys = names().zip(keys).map(|(name, key)| (name.to_owned(), json!(key)));
                let numbers = sum.numbers().into_iter().map(|(name, number)| (name.to_owned(), json!(number)));
                let cost = ("cost_nanodollars".to_owned(), json!(sum.cost.nanos()));
                Value::Object(keys.chain(numbers).chain([cost]).collect::<Map<_, _>>())
            });
            streams.json(&rows.collect::<Vec<_>>())?;
        }
        Form::Csv => {
            let head: Vec<_> = names().chain(numbers).chain(["cost_usd"]).collect();
            write!(streams.out, "{}\r\n", head.join(","))?;
            for (keys, sum) in sums {
                let keys = keys.iter().map(|key| quoted(key));
                let numbers = sum.numbers().map(|(_, number)| number.to_string());
                let cells: Vec<_> = keys.chain(numbers).chain([sum.dollars()]).collect();
                write!(streams.out, "{}\r\n", cells.join(","))?;
            }
        }
        Form::Table => {
            let mut table = comfy_table::Table::new();
            table.load_style(comfy_table::presets::NOTHING);
            table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
            let head = names().chain(numbers).chain(["cost"]).map(|name| name.replace('_', " ").to_uppercase());
            table.set_header(head);
            for (keys, sum) in sums {
                let numbers = sum.numbers().map(|(_, number)| number.to_string());
                table.add_row(keys.iter().map(|key| printable(key)).chain(numbers).chain([sum.cost.to_string()]));
            }
            writeln!(streams.out, "{}", table.trim_fmt())?;
        }
    }
    Ok(())
}

/// A field of RFC 4180. What a spreadsheet would take for a formula gets an apostrophe before it.
fn quoted(text: &str) -> String {
    let guarded = if text.starts_with(['=', '+', '-', '@', '\t']) { format!("'{text}") } else { text.to_owned() };
    if guarded.contains([',', '"', '\r', '\n']) { format!("\"{}\"", guarded.replace('"', "\"\"")) } else { guarded }
}

fn instant(option: &str, text: &str, now: SystemTime) -> Result<SystemTime, String> {
    if let Ok(span) = parse_duration(text) {
        return now.checked_sub(span).ok_or_else(|| format!("{option} {text} is too long ago"));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.into());
    }
    let midnight = |date: Date| date.to_zoned(TimeZone::UTC).map(|midnight| midnight.timestamp().into());
    text.parse::<Date>().and_then(midnight).map_err(|_| {
        let today = Timestamp::try_from(now).unwrap_or_default().to_zoned(TimeZone::UTC).date();
        let example = today.checked_sub(7.days()).unwrap_or(today);
        format!(
            "{option} {text} is neither a date ({example}), nor a time ({example}T00:00:00Z), nor a span (12h, 30d)"
        )
    })
}

#[cfg(test)]
mod tests;
