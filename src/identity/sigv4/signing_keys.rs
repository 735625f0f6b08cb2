//! Signing keys, kept for the day, Region and access key they were derived for.
//!
//! Only a key whose signature has held is kept, so that nobody fills the memory with keys that they cannot use; and of one access key
//! a few at most.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_sigv4::sign::v4::generate_signing_key;

use super::presented::Presented;
use crate::identity::keys::{KeyId, RootId, RootKey};

#[derive(Debug, Default)]
pub(super) struct SigningKeys(RwLock<HashMap<KeyId, Vec<Kept>>>);

/// A derived key: 32 bytes.
#[derive(Clone)]
pub(super) struct SigningKey(Arc<[u8]>);

#[derive(Debug)]
struct Kept {
    root: RootId,
    day: String,
    region: String,
    key: SigningKey,
}

impl SigningKeys {
    /// The key for a signature: the one that is kept, or a new one.
    pub(super) fn of(&self, id: KeyId, root: &RootKey, presented: &Presented<'_>) -> SigningKey {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.get(&id).and_then(|kept| kept.iter().find(|kept| kept.is_for(root, presented))) {
            return kept.key.clone();
        }
        drop(kept);
        let secret = root.access_key(id).secret_access_key;
        let scope = &presented.scope;
        let key = generate_signing_key(secret.expose(), presented.at.into(), scope.region, scope.service);
        SigningKey(Arc::from(key.as_ref()))
    }

    /// Keeps the key of a signature that has held.
    pub(super) fn keep(&self, id: KeyId, root: &RootKey, presented: &Presented<'_>, key: SigningKey) {
        let is_kept = |all: &HashMap<KeyId, Vec<Kept>>| {
            all.get(&id).is_some_and(|kept| kept.iter().any(|kept| kept.is_for(root, presented)))
        };
        if is_kept(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if is_kept(&all) {
            return;
        }
        let kept = all.entry(id).or_default();
        kept.truncate(MOST_OF_ONE - 1);
        let (day, region) = (presented.scope.day.to_owned(), presented.scope.region.to_owned());
        kept.insert(0, Kept { root: root.id(), day, region, key });
    }
}

impl Kept {
    fn is_for(&self, root: &RootKey, presented: &Presented<'_>) -> bool {
        self.root == root.id() && self.day == presented.scope.day && self.region == presented.scope.region
    }
}

#[cfg(test)]
impl SigningKey {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Arc::from(bytes))
    }
}

impl AsRef<[u8]> for SigningKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// Two days around midnight in a few Regions.
const MOST_OF_ONE: usize = 8;
