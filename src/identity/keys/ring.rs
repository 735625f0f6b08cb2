//! The ring: the keys that requests are checked with, a snapshot of the key store that is taken anew without being told.
//!
//! A background task calls [`KeyRing::refresh`] every second; a revocation therefore takes effect within a second on every
//! gateway on the same store. A store that does not answer, or a file that cannot be understood, keeps the keys of the last
//! look that could be had. A file that is taken away takes all keys with it. A revocation that was seen once stays, even where a store
//! forgets it: a server that failed over may have lost what it had acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::types::QuickMap;

use super::key::{KeyId, PresentedKey};
use super::record::{KeyHash, KeyRecord, Proof};
use super::root::RootId;
use super::store::{KeyStoreError, SharedKeyStore};
use crate::identity::Principal;

/// The keys there are at this moment.
#[derive(Debug)]
pub struct KeyRing {
    keys: ArcSwap<Keys>,
    store: Option<SharedKeyStore>,
    /// Why the last look failed, if it did. Held from a look to the end of what it brought, so that looks are taken up in their order.
    broken: Mutex<Option<String>>,
}

/// A key as it is held.
#[derive(Debug)]
pub struct HeldKey {
    /// What is stored of it.
    pub record: KeyRecord,
    /// The principal that its record describes.
    pub principal: Option<Arc<Principal>>,
    /// The minute in which it was last taken, in seconds since 1970.
    used: AtomicI64,
    /// The same as the store knows it.
    noted: AtomicI64,
}

/// What a presented key is worth.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It proves the principal in the record.
    Live(Arc<HeldKey>),
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

/// What a look at the store brought.
#[derive(Debug)]
#[must_use = "a key store that cannot be used is for the log"]
pub enum Refresh {
    /// Nothing new.
    Unchanged,
    /// The ring holds what the store holds now.
    Reloaded {
        /// How many keys, revoked and expired ones included.
        keys: usize,
    },
    /// The store cannot be used, and the ring holds what it held. An operator must act.
    Broken(KeyStoreError),
    /// As the last time, for the same reason; it was reported then.
    StillBroken,
}

impl KeyRing {
    /// The keys of a store. One that cannot be used is an error.
    pub async fn open(store: SharedKeyStore) -> Result<Self, KeyStoreError> {
        let records = store.changed().await?.unwrap_or_default();
        Ok(Self { store: Some(store), ..Self::holding(records) })
    }

    /// The keys of a store that may not answer yet: until it does there are none.
    pub fn waiting_for(store: SharedKeyStore) -> Self {
        Self { store: Some(store), ..Self::holding([]) }
    }

    /// A ring of keys that are in no store.
    pub fn holding(records: impl IntoIterator<Item = KeyRecord>) -> Self {
        Self { keys: ArcSwap::from_pointee(by_id(records, &Keys::default())), store: None, broken: Mutex::new(None) }
    }

    /// Where its keys are kept.
    pub const fn store(&self) -> Option<&SharedKeyStore> {
        self.store.as_ref()
    }

    /// How many keys there are, revoked and expired ones included.
    pub fn len(&self) -> usize {
        self.keys.load().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The principals that live keys describe.
    pub fn described(&self, now: SystemTime) -> Vec<Arc<Principal>> {
        let now = timestamp(now);
        let keys = self.keys.load();
        let live = keys.values().filter(|key| key.record.revoked.is_none() && !key.record.is_expired(now));
        live.filter_map(|key| key.principal.clone()).collect()
    }

    /// What a presented bearer key is worth. The secret is compared before anything is said about the key, and an unknown id
    /// takes the same steps as a known one: who holds an id alone learns nothing, from the answer or from its time.
    pub fn standing(&self, key: &PresentedKey<'_>, now: SystemTime) -> Standing {
        let presented = key.hash();
        let keys = self.keys.load();
        let held = keys.get(&key.id());
        let known = held.and_then(|held| match &held.record.proof {
            Proof::Bearer(hash) => Some(hash),
            Proof::SigV4(_) => None,
        });
        let matches = known.unwrap_or(&KeyHash::NONE).is(&presented);
        match held {
            None => Standing::Unknown,
            Some(_) if !matches => Standing::WrongSecret,
            Some(held) => worth(held, now),
        }
    }

    /// The access key of an id, and the root key that its secret is made of. Nothing is proved by knowing an id: what the key
    /// is worth is [`HeldKey::worth`], to be told to whoever has proved to hold the secret.
    pub fn access_key(&self, id: KeyId) -> Option<(Arc<HeldKey>, RootId)> {
        let keys = self.keys.load();
        let held = keys.get(&id)?;
        match held.record.proof {
            Proof::SigV4(root) => Some((Arc::clone(held), root)),
            Proof::Bearer(_) => None,
        }
    }

    /// Looks whether the store has changed, and takes up what it holds if so. It is done whether or not anybody waits for it: a store
    /// tells of a change once, and a look that ended half-way would lose it.
    pub async fn refresh(self: &Arc<Self>) -> Refresh {
        let Some(store) = self.store.clone() else { return Refresh::Unchanged };
        let (ring, place) = (Arc::clone(self), store.place());
        match tokio::spawn(async move { ring.look(&store).await }).await {
            Ok(refresh) => refresh,
            Err(error) => Refresh::Broken(KeyStoreError::Store { place, why: error.to_string() }),
        }
    }

    async fn look(&self, store: &SharedKeyStore) -> Refresh {
        let mut broken = self.broken.lock().await;
        match store.changed().await {
            Ok(None) => {
                *broken = None;
                Refresh::Unchanged
            }
            Ok(Some(records)) => {
                let keys = by_id(records, &self.keys.load());
                let count = keys.len();
                self.keys.store(Arc::new(keys));
                *broken = None;
                Refresh::Reloaded { keys: count }
            }
            Err(error) => {
                let reason = error.to_string();
                let known = broken.replace(reason.clone()).is_some_and(|last| last == reason);
                if known { Refresh::StillBroken } else { Refresh::Broken(error) }
            }
        }
    }

    /// Tells the store which keys were taken since it was last told.
    pub async fn note_used(&self) -> Result<(), KeyStoreError> {
        let Some(store) = &self.store else { return Ok(()) };
        let keys = self.keys.load_full();
        let fresh: Vec<_> = keys
            .values()
            .map(|key| (key, key.used.load(Ordering::Relaxed)))
            .filter(|(key, used)| *used > key.noted.load(Ordering::Relaxed))
            .collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let told = fresh.iter().filter_map(|(key, used)| Some((key.record.id, Timestamp::from_second(*used).ok()?)));
        store.used(told.collect()).await?;
        for (key, used) in fresh {
            key.noted.fetch_max(used, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl HeldKey {
    /// What the key is worth to whoever holds its secret. A live one counts as taken.
    pub fn worth(self: &Arc<Self>, now: SystemTime) -> Standing {
        worth(self, now)
    }
}

fn worth(held: &Arc<HeldKey>, now: SystemTime) -> Standing {
    if let Some(at) = held.record.revoked {
        return Standing::Revoked { at };
    }
    let now = timestamp(now);
    match held.record.expires {
        Some(at) if held.record.is_expired(now) => Standing::Expired { at },
        _ => {
            // A minute is all that people want to know, and so the line of memory is seldom written.
            let minute = now.as_second().div_euclid(60) * 60;
            if held.used.load(Ordering::Relaxed) < minute {
                held.used.fetch_max(minute, Ordering::Relaxed);
            }
            Standing::Live(Arc::clone(held))
        }
    }
}

/// A time outside of the calendar counts as the end of it, where every key with an expiry has expired.
fn timestamp(now: SystemTime) -> Timestamp {
    Timestamp::try_from(now).unwrap_or(Timestamp::MAX)
}

type Keys = QuickMap<KeyId, Arc<HeldKey>>;

/// What is known of a key's use stays known.
fn by_id(records: impl IntoIterator<Item = KeyRecord>, before: &Keys) -> Keys {
    let held = |mut record: KeyRecord| {
        let stored = record.used.map_or(i64::MIN, Timestamp::as_second);
        let known = before.get(&record.id);
        record.revoked = record.revoked.or(known.and_then(|known| known.record.revoked));
        let of =
            |field: fn(&HeldKey) -> &AtomicI64| known.map_or(i64::MIN, |known| field(known).load(Ordering::Relaxed));
        let used = AtomicI64::new(stored.max(of(|known| &known.used)));
        let noted = AtomicI64::new(stored.max(of(|known| &known.noted)));
        let principal = record.principal().map(Arc::new);
        (record.id, Arc::new(HeldKey { record, principal, used, noted }))
    };
    records.into_iter().map(held).collect()
}

#[cfg(test)]
mod tests;
