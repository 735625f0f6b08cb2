//! What `tollgate key` prints.

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::Desk;
use super::create::{Credential, Made};
use super::transfer;
use crate::cli::stored::{self, printable};
use crate::cli::{Output, Streams};
use crate::identity::keys::{Amended, KeyId, KeyRecord, Proof, access_key_id};

/// What was done, to be shown in either form.
pub(super) enum Done {
    Made(Box<Made>),
    Listed(Vec<KeyRecord>),
    Shown(KeyRecord),
    Revoked(Amended),
    Exported(Vec<KeyRecord>),
    Imported(usize),
}

impl Done {
    pub(super) fn show(
        &self,
        output: Output,
        desk: &Desk,
        now: Timestamp,
        streams: &mut Streams<'_>,
    ) -> io::Result<()> {
        let row = |record| Row::of(record, desk, now);
        match (self, output) {
            (Self::Made(made), Output::Json) => {
                let mut told = json!(row(&made.record));
                let secrets = match &made.credential {
                    Credential::Bearer(key) => json!({ "key": key.expose() }),
                    Credential::Access(key) => json!({ "secret_access_key": key.secret_access_key.expose() }),
                };
                if let (Some(told), Some(secrets)) = (told.as_object_mut(), secrets.as_object()) {
                    told.extend(secrets.clone());
                }
                streams.json(&told)
            }
            (Self::Made(made), Output::Table) => show_made(made, streams),
            (Self::Listed(records), Output::Json) => streams.json(&records.iter().map(row).collect::<Vec<_>>()),
            (Self::Listed(records), Output::Table) if records.is_empty() => {
                writeln!(streams.err, "There are no keys yet: `tollgate key create --principal NAME` makes one.")
            }
            (Self::Listed(records), Output::Table) => writeln!(streams.out, "{}", table(records.iter().map(row))),
            (Self::Shown(record), Output::Table) => {
                let told = json!(row(record));
                for (name, value) in told.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    writeln!(streams.out, "{name:<14} {}", printable(&value))?;
                }
                Ok(())
            }
            (Self::Shown(record) | Self::Revoked(Amended::Done(record) | Amended::AsBefore(record)), Output::Json) => {
                streams.json(&row(record))
            }
            (Self::Revoked(Amended::Done(record)), Output::Table) => {
                let (id, principal) = (record.id, printable(&record.principal));
                writeln!(streams.out, "Key {id} of {principal} is revoked; running servers refuse it within a second.")
            }
            (Self::Revoked(Amended::AsBefore(record)), Output::Table) => {
                let since = record.revoked.map(|at| format!(" since {at}")).unwrap_or_default();
                let (id, principal) = (record.id, printable(&record.principal));
                writeln!(streams.out, "Key {id} of {principal} was revoked{since} already.")
            }
            (Self::Exported(records), _) => streams.json(&transfer::written(records)),
            (Self::Imported(keys), Output::Json) => streams.json(&json!({ "imported": keys })),
            (Self::Imported(keys), Output::Table) => {
                let added = if *keys == 1 { "1 key was" } else { &format!("{keys} keys were") };
                writeln!(streams.out, "{added} added; running servers take what is new within a second.")
            }
        }
    }
}

fn show_made(made: &Made, streams: &mut Streams<'_>) -> io::Result<()> {
    let record = &made.record;
    let how = match &made.credential {
        Credential::Bearer(key) => {
            writeln!(streams.out, "{}", key.expose())?;
            "only its hash is kept.\nAWS SDKs and the AWS CLI take it from AWS_BEARER_TOKEN_BEDROCK, Claude Code too."
        }
        Credential::Access(key) => {
            writeln!(streams.out, "AWS_ACCESS_KEY_ID={}", key.access_key_id)?;
            writeln!(streams.out, "AWS_SECRET_ACCESS_KEY={}", key.secret_access_key.expose())?;
            "its secret is kept nowhere.\nAWS SDKs, the AWS CLI and Cline sign with the pair as with any AWS access key; leave \
             AWS_SESSION_TOKEN unset."
        }
    };
    let until = record.expires.map_or("until it is revoked".to_owned(), |at| format!("until {at}"));
    let (id, principal) = (record.id, &record.principal);
    writeln!(streams.err, "Key {id} for {principal}, good {until}. It is shown this once: {how}")?;
    if let Some(replaced) = &made.replaced {
        let until = replaced.expires.map(|at| format!(" until {at}")).unwrap_or_default();
        writeln!(streams.err, "Key {}, whose place it takes, stays good{until}.", replaced.id)?;
    }
    Ok(())
}

/// A key as it is listed.
#[derive(Serialize)]
struct Row<'a> {
    id: KeyId,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<String>,
    principal: &'a str,
    state: State,
    created: Timestamp,
    expires: Option<Timestamp>,
    revoked: Option<Timestamp>,
    /// To the minute.
    last_used: Option<Timestamp>,
    replaces: Option<KeyId>,
    groups: Option<&'a [String]>,
    tags: Option<&'a BTreeMap<String, String>>,
    note: &'a str,
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
    /// The root key that its secret is made of is not in the configuration.
    NoRootKey,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::NoSuchPrincipal => "no such principal",
            Self::NoRootKey => "no root key",
        }
    }

    fn of(record: &KeyRecord, desk: &Desk, now: Timestamp) -> Self {
        let listed = desk.principals.as_ref().is_none_or(|known| known.contains(&record.principal));
        let rooted = match record.proof {
            Proof::Bearer(_) => true,
            Proof::SigV4(root) => desk.roots.as_ref().is_none_or(|roots| roots.of(root).is_some()),
        };
        if record.revoked.is_some() {
            Self::Revoked
        } else if record.is_expired(now) {
            Self::Expired
        } else if !listed && record.described.is_none() {
            Self::NoSuchPrincipal
        } else if !rooted {
            Self::NoRootKey
        } else {
            Self::Live
        }
    }
}

impl<'a> Row<'a> {
    fn of(record: &'a KeyRecord, desk: &Desk, now: Timestamp) -> Self {
        let KeyRecord { id, created, expires, revoked, replaces, .. } = *record;
        let described = record.described.as_ref();
        let (kind, access_key_id) = match record.proof {
            Proof::Bearer(_) => ("bearer", None),
            Proof::SigV4(_) => ("sigv4", Some(access_key_id(id))),
        };
        Self {
            id,
            kind,
            access_key_id,
            principal: &record.principal,
            state: State::of(record, desk, now),
            created,
            expires,
            revoked,
            last_used: record.used,
            replaces,
            groups: described.map(|described| described.groups.as_slice()),
            tags: described.map(|described| &described.tags),
            note: &record.note,
        }
    }
}

fn table<'a>(rows: impl Iterator<Item = Row<'a>>) -> String {
    let cells = rows.map(|row| {
        let time = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| at.to_string());
        [
            row.id.to_string(),
            row.kind.to_owned(),
            printable(row.principal),
            row.state.word().to_owned(),
            row.created.to_string(),
            time(row.expires, "never"),
            time(row.last_used, "-"),
            printable(row.note),
        ]
    });
    stored::table(["ID", "KIND", "PRINCIPAL", "STATE", "CREATED", "EXPIRES", "LAST USED", "NOTE"], cells)
}
