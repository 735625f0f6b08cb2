//! The ring: the keys that requests are checked with, a snapshot of the keys file that reloads without being told.
//!
//! A background task calls [`KeyRing::refresh_if_changed`] every second; a revocation therefore takes effect within a second
//! on every replica that shares the file. A file that cannot be read or understood keeps the keys of the last one that
//! could. A file that is taken away takes all keys with it.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::file::{KeyFile, KeyFileError};
use super::key::{KeyId, PresentedKey};
use super::record::{KeyHash, KeyRecord};

/// The keys there are at this moment.
#[derive(Debug)]
pub struct KeyRing {
    keys: ArcSwap<Keys>,
    watched: Option<Watched>,
}

/// What a presented key is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It proves the principal in the record.
    Live(Arc<KeyRecord>),
    /// No key has its id.
    Unknown,
    /// A key has its id, but another secret.
    WrongSecret,
    /// It was revoked.
    Revoked {
        /// When.
        at: Timestamp,
    },
    /// Its time is over.
    Expired {
        /// Since when.
        at: Timestamp,
    },
}

/// What a look at the keys file brought.
#[derive(Debug)]
#[must_use = "a keys file that is broken is for the log"]
pub enum Refresh {
    /// Nothing new.
    Unchanged,
    /// The ring holds what the file holds now.
    Reloaded {
        /// How many keys, revoked and expired ones included.
        keys: usize,
    },
    /// The file cannot be used, and the ring holds what it held. An operator must act.
    Broken(KeyFileError),
    /// As the last time, for the same reason; it was reported then.
    StillBroken,
}

impl KeyRing {
    /// Opens a keys file. At the start a broken file is an error; a missing one is not.
    pub fn open(file: KeyFile) -> Result<Self, KeyFileError> {
        let (seen, records) = look(&file)?;
        let state = Mutex::new(State { seen: Some(seen), broken: None });
        Ok(Self { keys: ArcSwap::from_pointee(by_id(records)), watched: Some(Watched { file, state }) })
    }

    /// A ring of keys that are in no file.
    pub fn holding(records: impl IntoIterator<Item = KeyRecord>) -> Self {
        Self { keys: ArcSwap::from_pointee(by_id(records)), watched: None }
    }

    /// How many keys there are, revoked and expired ones included.
    pub fn len(&self) -> usize {
        self.keys.load().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a presented key is worth. The secret is compared before anything is said about the key, and an unknown id
    /// takes the same steps as a known one: who holds an id alone learns nothing, from the answer or from its time.
    pub fn standing(&self, key: &PresentedKey<'_>, now: SystemTime) -> Standing {
        let presented = key.hash();
        let keys = self.keys.load();
        let record = keys.get(&key.id());
        let matches = record.map_or(&KeyHash::NONE, |record| &record.hash).is(&presented);
        let Some(record) = record else { return Standing::Unknown };
        if !matches {
            return Standing::WrongSecret;
        }
        if let Some(at) = record.revoked {
            return Standing::Revoked { at };
        }
        // A time outside of the calendar counts as the end of it, where every key with an expiry has expired.
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::MAX);
        match record.expires {
            Some(at) if record.is_expired(now) => Standing::Expired { at },
            _ => Standing::Live(Arc::clone(record)),
        }
    }

    /// Looks whether the file has changed, and reads it if so. Costs one `stat` where it has not; blocks for a file's
    /// reading where it has.
    pub fn refresh_if_changed(&self) -> Refresh {
        let Some(Watched { file, state }) = &self.watched else { return Refresh::Unchanged };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.broken.is_none() && state.seen.as_ref().is_some_and(|seen| seen.is_current(file)) {
            return Refresh::Unchanged;
        }
        match look(file) {
            Ok((seen, records)) => {
                let keys = by_id(records);
                let count = keys.len();
                self.keys.store(Arc::new(keys));
                *state = State { seen: Some(seen), broken: None };
                Refresh::Reloaded { keys: count }
            }
            Err(error) => {
                // It is tried again each time, because what was in the way (a permission, a full table of open files)
                // may leave no trace in the file when it goes.
                let reason = error.to_string();
                let known = state.broken.replace(reason.clone()).is_some_and(|last| last == reason);
                if known { Refresh::StillBroken } else { Refresh::Broken(error) }
            }
        }
    }
}

type Keys = HashMap<KeyId, Arc<KeyRecord>>;

fn by_id(records: impl IntoIterator<Item = KeyRecord>) -> Keys {
    records.into_iter().map(|record| (record.id, Arc::new(record))).collect()
}

#[derive(Debug)]
struct Watched {
    file: KeyFile,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seen: Option<Seen>,
    /// Why the last look failed, if it did.
    broken: Option<String>,
}

/// The file that the ring's keys are from, and how it looked.
#[derive(Debug)]
struct Seen {
    stamp: Option<Stamp>,
    /// Held open, so that its inode number cannot pass to a file that replaces it: a replacement always differs.
    _held: Option<File>,
}

impl Seen {
    fn is_current(&self, file: &KeyFile) -> bool {
        match fs::metadata(file.path()) {
            Ok(metadata) => self.stamp == Some(Stamp::of(&metadata)),
            Err(error) => error.kind() == io::ErrorKind::NotFound && self.stamp.is_none(),
        }
    }
}

/// Which file it is, and when it last changed.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Opens, notes how the opened file looks, and only then reads it: a change in between is seen at the next look.
fn look(file: &KeyFile) -> Result<(Seen, Vec<KeyRecord>), KeyFileError> {
    let Some(mut opened) = file.open()? else { return Ok((Seen { stamp: None, _held: None }, Vec::new())) };
    let stamp = Stamp::of(&opened.metadata().map_err(|error| file.read_error(error))?);
    let records = file.read_from(&mut opened)?;
    Ok((Seen { stamp: Some(stamp), _held: Some(opened) }, records))
}

#[cfg(test)]
mod tests;
