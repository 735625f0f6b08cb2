//! `tollgate key`: the keys that callers hold.
//!
//! A key is shown when it is made and never again, because nothing is kept that it could be shown from. A server that runs
//! looks at the same store and takes a change up within a second. Standard output carries results alone: the key, the table or
//! the JSON; what else there is to say goes to standard error, so that `KEY=$(tollgate key create …)` holds the key.
//!
//! Exit codes: 0 done (a key that was revoked before stays revoked, and that is done too), 1 it could not be done, 2 the
//! command line makes no sense.

mod create;
mod expiry;
mod place;
mod show;
mod transfer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Subcommand;
use jiff::Timestamp;

use super::{ExitCode, Output, Streams};
use crate::config::{Settings, assembly};
use crate::identity::keys::{
    Amendment, KeyFile, KeyFormatError, KeyId, KeyRecord, KeyStoreError, PresentedKey, RootKeys, SharedKeyStore,
    WatchedFile, key_of,
};
use show::Done;

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
    /// A keys file, in place of where the configuration has keys; no configuration is read then
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
    List {
        /// Of this principal only
        #[arg(long, value_name = "NAME")]
        principal: Option<String>,
    },
    /// Show all that is known of a key, never the key itself
    Show {
        /// The key's id, as `key list` shows it (a whole key, or an access key id, is understood too)
        id: String,
    },
    /// Make a key that takes the place of another, which stays good for a while
    Rotate(Rotate),
    /// Revoke a key; servers that run refuse it within a second
    Revoke {
        /// The key's id, as `key list` shows it (a whole key, or an access key id, is understood too)
        id: String,
    },
    /// Print every key's record as JSON, from which `key import` makes them again; it holds no secret
    Export,
    /// Add the keys that `key export` has printed, or that a keys file holds: all of them or none
    Import {
        /// The file; - is standard input
        file: PathBuf,
    },
    /// Make a new root key, from which the secrets of access keys are made; `root_key_files` in the configuration names its file
    Root {
        /// The file to make, readable by its owner alone; without it the key is printed
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// What a new key is for.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Create {
    /// The principal that the key is to prove
    #[arg(long, value_name = "NAME")]
    pub principal: String,
    /// Make an access key id and a secret access key, with which AWS SDKs sign, in place of a bearer key
    #[arg(long)]
    pub sigv4: bool,
    /// A group of the principal, where the configuration does not list them; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// A principal tag, such as UserEmail=alice@example.com, where the configuration does not list them; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub tags: Vec<String>,
    #[command(flatten)]
    /// Until when it is good
    pub expiry: Expiry,
    /// What it is used for, shown by `key list`
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub note: String,
}

/// Until when a new key is good.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Expiry {
    /// How long it is good: 12h, 30d, 6mo, 1y (without this as long as the key whose place it takes was good for, or for ever)
    #[arg(long, value_name = "DURATION", conflicts_with = "expires_at")]
    pub expires_in: Option<String>,
    /// Until when it is good, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub expires_at: Option<String>,
}

/// Which key to replace.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Rotate {
    /// The key's id, as `key list` shows it (a whole key, or an access key id, is understood too)
    pub id: String,
    /// How long the old key stays good beside the new one: 1h, 7d
    #[arg(long, value_name = "DURATION", default_value = "1d")]
    pub overlap: String,
    #[command(flatten)]
    /// Until when the new one is good
    pub expiry: Expiry,
}

/// What the command works on.
pub struct Desk {
    /// The keys.
    pub keys: SharedKeyStore,
    /// The names that the configuration knows; `None` where none was read.
    pub principals: Option<Vec<String>>,
    /// The root keys; `None` where no configuration was read.
    pub roots: Option<RootKeys>,
}

/// Runs the command on the keys that are named, or that the configuration names.
pub async fn run_configured(
    arguments: &Arguments,
    now: SystemTime,
    streams: &mut Streams<'_>,
) -> anyhow::Result<ExitCode> {
    if let Action::Root { out } = &arguments.action {
        return create::root(out.as_deref(), streams);
    }
    if let Some(keys_file) = &arguments.keys_file {
        let keys = Arc::new(WatchedFile::new(KeyFile::new(keys_file)));
        return Ok(run(arguments, &Desk { keys, principals: None, roots: None }, now, streams).await?);
    }
    let settings = match Settings::load(&arguments.config, &super::price_known) {
        Ok((settings, _)) => settings,
        Err(diagnostics) => {
            write!(streams.err, "{diagnostics}")?;
            return Ok(ExitCode::Faulty);
        }
    };
    let keys = match place::prepare(&settings, &arguments.action) {
        Ok(Some(nothing)) => Ok(nothing),
        Ok(None) => assembly::key_store(&settings),
        Err(reason) => {
            writeln!(streams.err, "error: {reason}")?;
            return Ok(ExitCode::Faulty);
        }
    };
    let desk = keys.and_then(|keys| {
        let principals = settings.principals.iter().map(|principal| principal.name().to_owned()).collect();
        Ok(Desk { keys, principals: Some(principals), roots: Some(assembly::root_keys(&settings)?) })
    });
    match desk {
        Ok(desk) => Ok(run(arguments, &desk, now, streams).await?),
        Err(error) => {
            writeln!(streams.err, "error: {error}")?;
            Ok(ExitCode::Faulty)
        }
    }
}

/// Runs the command on a desk.
pub async fn run(
    arguments: &Arguments,
    desk: &Desk,
    now: SystemTime,
    streams: &mut Streams<'_>,
) -> io::Result<ExitCode> {
    // Whole seconds: a key's times are read by people.
    let now =
        Timestamp::try_from(now).and_then(|now| Timestamp::from_second(now.as_second())).map_err(io::Error::other)?;
    let done = match &arguments.action {
        Action::Create(create) => desk.create(create, now).await.map(Box::new).map(Done::Made),
        Action::List { principal } => desk.list(principal.as_deref()).await.map(Done::Listed),
        Action::Show { id } => desk.find(id).await.map(Done::Shown),
        Action::Rotate(rotate) => desk.rotate(rotate, now).await.map(Box::new).map(Done::Made),
        Action::Revoke { id } => desk.revoke(id, now).await,
        Action::Export => desk.list(None).await.map(Done::Exported),
        Action::Import { file } => desk.import(file).await.map(Done::Imported),
        Action::Root { .. } => Err("`key root` needs neither a configuration nor keys".to_owned()),
    };
    match done {
        Ok(done) => done.show(arguments.output, desk, now, streams).map(|()| ExitCode::Fine),
        Err(reason) => writeln!(streams.err, "error: {reason}").map(|()| ExitCode::Faulty),
    }
}

impl Desk {
    async fn list(&self, principal: Option<&str>) -> Result<Vec<KeyRecord>, String> {
        let mut records = self.keys.read().await.map_err(|error| told(&error))?;
        records.retain(|record| principal.is_none_or(|name| record.principal == name));
        Ok(records)
    }

    async fn find(&self, text: &str) -> Result<KeyRecord, String> {
        let id = key_id(text)?;
        let records = self.keys.read().await.map_err(|error| told(&error))?;
        let found = records.into_iter().find(|record| record.id == id);
        found.ok_or_else(|| told(&KeyStoreError::NoSuchKey { place: self.keys.place(), id }))
    }

    async fn revoke(&self, text: &str, now: Timestamp) -> Result<Done, String> {
        let KeyRecord { id, .. } = self.find(text).await?;
        self.keys.amend(id, Amendment::Revoke(now)).await.map(Done::Revoked).map_err(|error| told(&error))
    }
}

fn told(error: &KeyStoreError) -> String {
    error.to_string()
}

/// Reads an id, also from `tg_<id>`, from a whole key and from an access key id: who finds a leaked key pastes it as it is.
fn key_id(text: &str) -> Result<KeyId, String> {
    let text = text.trim();
    if let Ok(key) = PresentedKey::parse(text.as_bytes()) {
        return Ok(key.id());
    }
    if text.starts_with("TGAK") {
        return key_of(text).map_err(|error| error.to_string());
    }
    text.strip_prefix("tg_").unwrap_or(text).parse().map_err(|error: KeyFormatError| error.to_string())
}

#[cfg(test)]
mod tests;
