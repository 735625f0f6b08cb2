//! The seam between the ring and wherever keys are kept.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;

use super::file::KeyFileError;
use super::key::KeyId;
use super::record::{Amendment, KeyRecord};

/// What a store answers, later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, KeyStoreError>> + Send + 'a>>;

/// Where keys are kept: a file, or the store that budgets are in. Whoever has it open sees what others write.
pub trait KeyStore: Send + Sync + fmt::Debug {
    /// Every key, in the order in which they were made.
    fn read(&self) -> Answer<'_, Vec<KeyRecord>>;

    /// The same where something has changed since this was last answered; nothing where it has not.
    fn changed(&self) -> Answer<'_, Option<Vec<KeyRecord>>>;

    /// Adds keys, all or none. An id that is there already is an error.
    fn add(&self, records: Vec<KeyRecord>) -> Answer<'_, ()>;

    /// Amends a key.
    fn amend(&self, id: KeyId, amendment: Amendment) -> Answer<'_, Amended>;

    /// Notes when keys were last taken. A store that cannot keep that does nothing.
    fn used(&self, used: Vec<(KeyId, Timestamp)>) -> Answer<'_, ()> {
        drop(used);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Where it is, in words.
    fn place(&self) -> String;
}

/// What became of an amendment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amended {
    /// The key is like this now.
    Done(KeyRecord),
    /// It was like this before.
    AsBefore(KeyRecord),
}

/// Why keys cannot be read or written. Every text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// The keys file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// A key of this id is there already.
    #[error("{place} has a key {id} already: nothing was added")]
    Twice {
        /// Where.
        place: String,
        /// The id.
        id: KeyId,
    },
    /// No such key.
    #[error("there is no key {id} in {place}; `tollgate key list` shows those there are")]
    NoSuchKey {
        /// Where.
        place: String,
        /// The id that was asked for.
        id: KeyId,
    },
    /// It does not answer, or what it holds makes no sense.
    #[error("the keys in {place} cannot be used: {why}")]
    Store {
        /// Where.
        place: String,
        /// What it says.
        why: String,
    },
}

/// A store that many hold.
pub type SharedKeyStore = Arc<dyn KeyStore>;
