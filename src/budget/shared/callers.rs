//! The callers' keys, on the server that gateways share: a hash of records, written by a script that compares first.
//!
//! Whatever changes a key writes a new mark beside the hash, made up at random, and that mark is all that is looked at every second. A number
//! that is counted up would not do: after a failover it can come to one that was seen before.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use redis::Script;
use uuid::Uuid;

use super::SharedOptions;
use super::keys::Keys;
use super::link::Link;
use crate::budget::store::StoreError;
use crate::identity::keys::{Amended, Amendment, Answer, KeyId, KeyRecord, KeyStore, KeyStoreError};

/// The keys on a shared server.
#[derive(Debug)]
pub struct SharedKeys {
    link: Link,
    keys: Keys,
    script: Script,
    /// The mark when they were last told of.
    seen: Mutex<Seen>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Seen {
    #[default]
    Never,
    /// Nothing where there was no key yet.
    At(Option<String>),
}

/// A record that stands otherwise than expected.
type Conflict = Vec<String>;

impl SharedKeys {
    /// The keys of a namespace. Nothing is connected yet.
    pub fn new(options: &SharedOptions) -> Result<Self, StoreError> {
        Ok(Self {
            link: Link::new(&options.server)?,
            keys: Keys::new(&options.namespace),
            script: Script::new(include_str!("scripts/keys.lua")),
            seen: Mutex::default(),
        })
    }

    fn failed(&self, why: &impl ToString) -> KeyStoreError {
        KeyStoreError::Store { place: self.place(), why: why.to_string() }
    }

    fn record(&self, text: &str) -> Result<KeyRecord, KeyStoreError> {
        serde_json::from_str(text).map_err(|error| self.failed(&format!("a key makes no sense: {error}")))
    }

    fn text(&self, record: &KeyRecord) -> Result<String, KeyStoreError> {
        serde_json::to_string(record).map_err(|error| self.failed(&error))
    }

    /// Every record, and the mark then.
    async fn all(&self) -> Result<(Vec<KeyRecord>, Option<String>), KeyStoreError> {
        let mut asked = redis::pipe();
        asked.atomic().hgetall(&self.keys.callers).hgetall(&self.keys.callers_used).get(&self.keys.callers_changed);
        let answer = self.link.ask_again(&asked).await;
        let (records, used, mark): (HashMap<String, String>, HashMap<String, i64>, Option<String>) =
            answer.map_err(|error| self.failed(&error.0))?;
        let mut read = Vec::with_capacity(records.len());
        for (id, text) in &records {
            let used = used.get(id).and_then(|used| Timestamp::from_second(*used).ok());
            read.push(KeyRecord { used, ..self.record(text)? });
        }
        read.sort_by_key(|record| (record.created, record.id));
        Ok((read, mark))
    }

    /// Writes records where they stand as they were read; the first that does not, if there is one.
    async fn write(&self, changes: &[(KeyId, String, String)]) -> Result<Option<(KeyId, String)>, KeyStoreError> {
        let mut script = self.script.prepare_invoke();
        script.key(&self.keys.callers).key(&self.keys.callers_changed).arg(Uuid::new_v4().to_string());
        for (id, before, after) in changes {
            script.arg(id.to_string()).arg(before).arg(after);
        }
        // Not asked again by itself: a second time, what the first has written would be in the way.
        let conflict: Conflict = self.link.ask(&script).await.map_err(|error| self.failed(&error.0))?;
        let [id, found] = conflict.as_slice() else { return Ok(None) };
        let id = id.parse().map_err(|error| self.failed(&error))?;
        Ok(Some((id, found.clone())))
    }

    async fn amended(&self, id: KeyId, amendment: Amendment) -> Result<Amended, KeyStoreError> {
        let mut asked = redis::cmd("HGET");
        asked.arg(&self.keys.callers).arg(id.to_string());
        let found: Option<String> = self.link.ask_again(&asked).await.map_err(|error| self.failed(&error.0))?;
        let mut before = found.unwrap_or_default();
        loop {
            if before.is_empty() {
                return Err(KeyStoreError::NoSuchKey { place: self.place(), id });
            }
            let mut record = self.record(&before)?;
            if !record.amend(amendment) {
                return Ok(Amended::AsBefore(record));
            }
            // Where another was faster, it is amended as that one left it.
            match self.write(&[(id, before, self.text(&record)?)]).await? {
                None => return Ok(Amended::Done(record)),
                Some((_, found)) => before = found,
            }
        }
    }
}

impl KeyStore for SharedKeys {
    fn read(&self) -> Answer<'_, Vec<KeyRecord>> {
        Box::pin(async { Ok(self.all().await?.0) })
    }

    fn changed(&self) -> Answer<'_, Option<Vec<KeyRecord>>> {
        Box::pin(async {
            let mut asked = redis::cmd("GET");
            asked.arg(&self.keys.callers_changed);
            let mark: Option<String> = self.link.ask_again(&asked).await.map_err(|error| self.failed(&error.0))?;
            if *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == Seen::At(mark) {
                return Ok(None);
            }
            let (records, mark) = self.all().await?;
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::At(mark);
            Ok(Some(records))
        })
    }

    fn add(&self, records: Vec<KeyRecord>) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut ids = HashSet::new();
            if let Some(twice) = records.iter().find(|record| !ids.insert(record.id)) {
                return Err(KeyStoreError::Twice { place: self.place(), id: twice.id });
            }
            let changes: Result<Vec<_>, KeyStoreError> =
                records.iter().map(|record| Ok((record.id, String::new(), self.text(record)?))).collect();
            match self.write(&changes?).await? {
                None => Ok(()),
                Some((id, _)) => Err(KeyStoreError::Twice { place: self.place(), id }),
            }
        })
    }

    fn amend(&self, id: KeyId, amendment: Amendment) -> Answer<'_, Amended> {
        Box::pin(self.amended(id, amendment))
    }

    fn used(&self, used: Vec<(KeyId, Timestamp)>) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut command = redis::cmd("HSET");
            command.arg(&self.keys.callers_used);
            for (id, at) in &used {
                command.arg(id.to_string()).arg(at.as_second());
            }
            self.link.ask_again(&command).await.map_err(|error| self.failed(&error.0))
        })
    }

    fn place(&self) -> String {
        self.link.shown().to_owned()
    }
}
