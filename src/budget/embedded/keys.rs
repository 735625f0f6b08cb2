//! The callers' keys, in the file that budgets are in: written and read over a connection of their own, beside the owner's.
//!
//! Whatever changes a key counts up `keys_changed` in the same transaction, and that number is all that is looked at every second.
//! A revocation waits for the disk, however the counts are kept.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, TransactionBehavior, params};

use super::{Durability, schema};
use crate::identity::keys::{Amended, Amendment, Answer, KeyId, KeyRecord, KeyStore, KeyStoreError};

/// The keys in a store's file.
#[derive(Clone, Debug)]
pub struct EmbeddedKeys(Arc<File>);

#[derive(Debug)]
struct File {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<Connection>,
    /// How often keys had been changed when they were last told of.
    seen: Option<i64>,
}

impl EmbeddedKeys {
    /// The keys of a file, which is made when it is first used.
    pub fn new(path: &Path) -> Self {
        Self(Arc::new(File { path: path.to_owned(), state: Mutex::default() }))
    }

    /// Does something with the file beside the runtime.
    fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Connection, &mut Option<i64>) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'_, T> {
        let file = Arc::clone(&self.0);
        Box::pin(async move {
            let place = file.path.display().to_string();
            let done = tokio::task::spawn_blocking(move || file.with(act)).await;
            done.map_err(|error| Fault::Unusable(error.to_string())).and_then(|done| done).map_err(
                |fault| match fault {
                    Fault::Twice(id) => KeyStoreError::Twice { place, id },
                    Fault::NoSuchKey(id) => KeyStoreError::NoSuchKey { place, id },
                    Fault::Unusable(why) => KeyStoreError::Store { place, why },
                },
            )
        })
    }
}

impl File {
    fn with<T>(&self, act: impl FnOnce(&mut Connection, &mut Option<i64>) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { connection, seen } = &mut *state;
        let done = if let Some(connection) = connection {
            act(connection, seen)
        } else {
            let opened = schema::open(&self.path, Durability::Power);
            let opened = opened.map_err(|error| Fault::Unusable(error.to_string()))?;
            opened.busy_timeout(schema::PATIENCE)?;
            act(connection.insert(opened), seen)
        };
        if matches!(done, Err(Fault::Unusable(_))) {
            // The file may have been replaced: it is opened anew.
            *state = State::default();
        }
        done
    }
}

impl KeyStore for EmbeddedKeys {
    fn read(&self) -> Answer<'_, Vec<KeyRecord>> {
        self.with(|connection, _| read(connection))
    }

    fn changed(&self) -> Answer<'_, Option<Vec<KeyRecord>>> {
        self.with(|connection, seen| {
            // One transaction, so that the number and the keys are of one instant.
            let transaction = connection.transaction()?;
            let times = transaction.query_row("SELECT times FROM keys_changed", [], |row| row.get(0))?;
            if *seen == Some(times) {
                return Ok(None);
            }
            let records = read(&transaction)?;
            *seen = Some(times);
            Ok(Some(records))
        })
    }

    fn add(&self, records: Vec<KeyRecord>) -> Answer<'_, ()> {
        self.with(move |connection, _| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for record in &records {
                let added = transaction.execute(
                    "INSERT INTO keys (id, record) VALUES (?1, ?2)",
                    params![record.id.to_string(), written(record)?],
                );
                added.map_err(|error| match error.sqlite_error_code() {
                    Some(ErrorCode::ConstraintViolation) => Fault::Twice(record.id),
                    _ => error.into(),
                })?;
            }
            count_up(&transaction)?;
            Ok(transaction.commit()?)
        })
    }

    fn amend(&self, id: KeyId, amendment: Amendment) -> Answer<'_, Amended> {
        self.with(move |connection, _| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let found = transaction
                .query_row("SELECT record, used_s FROM keys WHERE id = ?1", [id.to_string()], row)
                .optional()?
                .ok_or(Fault::NoSuchKey(id))?;
            let mut record = record(found)?;
            if !record.amend(amendment) {
                return Ok(Amended::AsBefore(record));
            }
            transaction
                .execute("UPDATE keys SET record = ?2 WHERE id = ?1", params![id.to_string(), written(&record)?])?;
            count_up(&transaction)?;
            transaction.commit()?;
            Ok(Amended::Done(record))
        })
    }

    fn used(&self, used: Vec<(KeyId, Timestamp)>) -> Answer<'_, ()> {
        self.with(move |connection, _| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            {
                let later = "UPDATE keys SET used_s = ?2 WHERE id = ?1 AND (used_s IS NULL OR used_s < ?2)";
                let mut statement = transaction.prepare_cached(later)?;
                for (id, at) in &used {
                    statement.execute(params![id.to_string(), at.as_second()])?;
                }
            }
            Ok(transaction.commit()?)
        })
    }

    fn place(&self) -> String {
        self.0.path.display().to_string()
    }
}

/// Why nothing could be done.
enum Fault {
    Twice(KeyId),
    NoSuchKey(KeyId),
    Unusable(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unusable(error.to_string())
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Unusable(format!("the row of a key makes no sense: {error}"))
    }
}

fn read(connection: &Connection) -> Result<Vec<KeyRecord>, Fault> {
    let mut statement = connection.prepare_cached("SELECT record, used_s FROM keys ORDER BY sequence")?;
    let rows = statement.query_map([], row)?;
    rows.map(|found| record(found?)).collect()
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, Option<i64>)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn record((text, used): (String, Option<i64>)) -> Result<KeyRecord, Fault> {
    let record: KeyRecord = serde_json::from_str(&text)?;
    Ok(KeyRecord { used: used.and_then(|used| Timestamp::from_second(used).ok()), ..record })
}

fn written(record: &KeyRecord) -> Result<String, Fault> {
    Ok(serde_json::to_string(record)?)
}

fn count_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE keys_changed SET times = times + 1", [])?;
    Ok(())
}
