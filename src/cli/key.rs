//! `tollgate key create|list|revoke`: the bearer keys that callers hold.
//!
//! A key is shown when it is made and never again, because nothing is kept that it could be shown from. A server that runs
//! reads the same file and takes a change up within a second. Standard output carries results alone: the key, the table or
//! the JSON; what else there is to say goes to standard error, so that `KEY=$(tollgate key create …)` holds the key.
//!
//! Exit codes: 0 done (a key that was revoked before stays revoked, and that is done too), 1 it could not be done, 2 the
//! command line makes no sense.

mod expiry;

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::stored::{self, printable};
use super::{ExitCode, Output, Streams};
use crate::config::Settings;
use crate::identity::keys::{Key, KeyFile, KeyFormatError, KeyId, KeyRecord, PresentedKey, Revocation};

/// The command line.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Arguments {
    /// The configuration file, which says where keys are kept and which principals there are
    #[arg(
        short = 'c',
        long = "config",
        value_name = "FILE",
        env = "TOLLGATE_CONFIG",
        default_value = "tollgate.toml",
        global = true
    )]
    pub config: PathBuf,
    /// The keys file, in place of the one that the configuration names; no configuration is read then
    #[arg(long, value_name = "FILE", global = true)]
    pub keys_file: Option<PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value_t, value_name = "FORM", global = true)]
    pub output: Output,
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with keys.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Action {
    /// Make a key and show it, this once
    Create(Create),
    /// List keys: whose they are and whether they are good, never the keys themselves
    List,
    /// Revoke a key; servers that run refuse it within a second
    Revoke {
        /// The key's id, as `key list` shows it (a whole key is understood too)
        id: String,
    },
}

/// What a new key is for.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Create {
    /// The principal that the key is to prove
    #[arg(long, value_name = "NAME")]
    pub principal: String,
    /// How long it is good: 12h, 30d, 6mo, 1y (without this it does not expire)
    #[arg(long, value_name = "DURATION", conflicts_with = "expires_at")]
    pub expires_in: Option<String>,
    /// Until when it is good, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub expires_at: Option<String>,
    /// What it is used for, shown by `key list`
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub note: String,
}

/// Runs the command on the keys file that is named, or that the configuration names.
pub fn run_configured(arguments: &Arguments, now: SystemTime, streams: &mut Streams<'_>) -> anyhow::Result<ExitCode> {
    if let Some(keys_file) = &arguments.keys_file {
        return Ok(run(arguments, keys_file, None, now, streams)?);
    }
    match Settings::load(&arguments.config, &super::price_known) {
        Ok((settings, _)) => {
            let names: Vec<String> = settings.principals.iter().map(|principal| principal.name().to_owned()).collect();
            Ok(run(arguments, &settings.identity.keys_file, Some(&names), now, streams)?)
        }
        Err(diagnostics) => {
            write!(streams.err, "{diagnostics}")?;
            Ok(ExitCode::Faulty)
        }
    }
}

/// Runs the command on a keys file. `principals` are the names that the configuration knows; `None` where none was read.
pub fn run(
    arguments: &Arguments,
    keys_file: &Path,
    principals: Option<&[String]>,
    now: SystemTime,
    streams: &mut Streams<'_>,
) -> io::Result<ExitCode> {
    let file = KeyFile::new(keys_file);
    // Whole seconds: a key's times are read by people.
    let now =
        Timestamp::try_from(now).and_then(|now| Timestamp::from_second(now.as_second())).map_err(io::Error::other)?;
    let done = match &arguments.action {
        Action::Create(create) => made(create, &file, principals, now).map(Done::Made),
        Action::List => file.read().map_err(|error| error.to_string()).map(Done::Listed),
        Action::Revoke { id } => revoked(id, &file, now).map(Done::Revoked),
    };
    match done {
        Ok(done) => done.show(arguments.output, principals, now, streams).map(|()| ExitCode::Fine),
        Err(reason) => writeln!(streams.err, "error: {reason}").map(|()| ExitCode::Faulty),
    }
}

/// What was done, to be shown in either form.
enum Done {
    Made(Made),
    Listed(Vec<KeyRecord>),
    Revoked(Revocation),
}

struct Made {
    key: Key,
    record: KeyRecord,
}

fn made(create: &Create, file: &KeyFile, principals: Option<&[String]>, now: Timestamp) -> Result<Made, String> {
    let Create { principal, note, .. } = create;
    if principal.is_empty() || principal.chars().any(char::is_control) {
        return Err("--principal is empty or has control characters: give the name of a principal".to_owned());
    }
    if let Some(known) = principals
        && !known.contains(principal)
    {
        let known = if known.is_empty() { "none yet".to_owned() } else { shortened(known) };
        return Err(format!(
            "the configuration has no principal `{principal}`: a key proves one of [[principals]] (there are: {known})"
        ));
    }
    if note.chars().count() > MAX_NOTE_CHARS || note.chars().any(char::is_control) {
        return Err(format!("--note takes one line of at most {MAX_NOTE_CHARS} characters"));
    }
    let expires = expiry::of(create, now)?;
    let key = Key::generate().map_err(|error| format!("the system gives no randomness to make a key from: {error}"))?;
    let record = KeyRecord { expires, note: note.clone(), ..KeyRecord::of(&key, principal.as_str(), now) };
    file.add(record.clone()).map_err(|error| error.to_string())?;
    Ok(Made { key, record })
}

fn revoked(text: &str, file: &KeyFile, now: Timestamp) -> Result<Revocation, String> {
    let id = key_id(text).map_err(|error| error.to_string())?;
    file.revoke(id, now).map_err(|error| error.to_string())
}

/// Reads an id, also from `tg_<id>` and from a whole key: who finds a leaked key pastes it as it is.
fn key_id(text: &str) -> Result<KeyId, KeyFormatError> {
    let text = text.trim();
    if let Ok(key) = PresentedKey::parse(text.as_bytes()) {
        return Ok(key.id());
    }
    text.strip_prefix("tg_").unwrap_or(text).parse()
}

impl Done {
    fn show(
        &self,
        output: Output,
        principals: Option<&[String]>,
        now: Timestamp,
        streams: &mut Streams<'_>,
    ) -> io::Result<()> {
        let row = |record| Row::of(record, principals, now);
        match (self, output) {
            (Self::Made(made), Output::Json) => {
                streams.json(&MadeRow { key: made.key.expose(), row: row(&made.record) })
            }
            (Self::Made(made), Output::Table) => {
                writeln!(streams.out, "{}", made.key.expose())?;
                let until = made.record.expires.map_or("until it is revoked".to_owned(), |at| format!("until {at}"));
                writeln!(
                    streams.err,
                    "Key {} for {}, good {until}. It is shown this once: only its hash is kept.\n\
                     AWS SDKs and the AWS CLI take it from AWS_BEARER_TOKEN_BEDROCK, Claude Code too.",
                    made.record.id, made.record.principal
                )
            }
            (Self::Listed(records), Output::Json) => streams.json(&records.iter().map(row).collect::<Vec<_>>()),
            (Self::Listed(records), Output::Table) if records.is_empty() => {
                writeln!(streams.err, "There are no keys yet: `tollgate key create --principal NAME` makes one.")
            }
            (Self::Listed(records), Output::Table) => {
                writeln!(streams.out, "{}", table(records.iter().map(row)))
            }
            (Self::Revoked(Revocation::Done(record) | Revocation::Earlier(record)), Output::Json) => {
                streams.json(&row(record))
            }
            (Self::Revoked(Revocation::Done(record)), Output::Table) => {
                let principal = printable(&record.principal);
                writeln!(
                    streams.out,
                    "Key {} of {principal} is revoked; running servers refuse it within a second.",
                    record.id
                )
            }
            (Self::Revoked(Revocation::Earlier(record)), Output::Table) => {
                let since = record.revoked.map(|at| format!(" since {at}")).unwrap_or_default();
                writeln!(
                    streams.out,
                    "Key {} of {} was revoked{since} already.",
                    record.id,
                    printable(&record.principal)
                )
            }
        }
    }
}

/// A key as it is listed.
#[derive(Serialize)]
struct Row<'a> {
    id: KeyId,
    principal: &'a str,
    state: State,
    created: Timestamp,
    expires: Option<Timestamp>,
    revoked: Option<Timestamp>,
    note: &'a str,
}

#[derive(Serialize)]
struct MadeRow<'a> {
    key: &'a str,
    #[serde(flatten)]
    row: Row<'a>,
}

/// Whether a key would be taken.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Live,
    Expired,
    Revoked,
    /// Its principal is not in the configuration.
    NoSuchPrincipal,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::NoSuchPrincipal => "no such principal",
        }
    }
}

impl<'a> Row<'a> {
    fn of(record: &'a KeyRecord, principals: Option<&[String]>, now: Timestamp) -> Self {
        let state = if record.revoked.is_some() {
            State::Revoked
        } else if record.is_expired(now) {
            State::Expired
        } else if principals.is_some_and(|known| !known.contains(&record.principal)) {
            State::NoSuchPrincipal
        } else {
            State::Live
        };
        let KeyRecord { id, created, expires, revoked, .. } = *record;
        Self { id, principal: &record.principal, state, created, expires, revoked, note: &record.note }
    }
}

fn table<'a>(rows: impl Iterator<Item = Row<'a>>) -> String {
    let cells = rows.map(|row| {
        [
            row.id.to_string(),
            printable(row.principal),
            row.state.word().to_owned(),
            row.created.to_string(),
            row.expires.map_or("never".to_owned(), |at| at.to_string()),
            printable(row.note),
        ]
    });
    stored::table(["ID", "PRINCIPAL", "STATE", "CREATED", "EXPIRES", "NOTE"], cells)
}

/// The first few of many names.
fn shortened(names: &[String]) -> String {
    let first: Vec<_> = names.iter().take(10).map(String::as_str).collect();
    let more = names.len() - first.len();
    if more == 0 { first.join(", ") } else { format!("{} and {more} more", first.join(", ")) }
}

const MAX_NOTE_CHARS: usize = 200;

#[cfg(test)]
mod tests;
