//! What is stored of a key: enough to recognise it and to say whose it is, and nothing that opens anything.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::key::{Key, KeyId};

/// A key as it stands in the keys file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// The key's public name.
    pub id: KeyId,
    /// SHA-256 of the whole key.
    pub hash: KeyHash,
    /// The name of the principal that the key proves.
    pub principal: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is no longer taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// When it was revoked. A key with any such time is revoked, also one in the future: clocks differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
    /// What its owner uses it for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl KeyRecord {
    /// The record of a new key that does not expire.
    pub fn of(key: &Key, principal: impl Into<String>, created: Timestamp) -> Self {
        Self {
            id: key.id(),
            hash: key.hash(),
            principal: principal.into(),
            created,
            expires: None,
            revoked: None,
            note: String::new(),
        }
    }

    /// Whether its time is over. The instant of expiry itself is over already.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// The SHA-256 of a key; written as 64 hexadecimal digits. Compared in constant time, and only by [`KeyHash::is`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    pub(super) const fn new(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// A hash that no key has.
    pub(super) const NONE: Self = Self([0; 32]);

    /// Whether this is the same hash, in a time that does not depend on where they differ.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.is(other)
    }
}

impl Eq for KeyHash {}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

impl From<KeyHash> for String {
    fn from(hash: KeyHash) -> Self {
        hex::encode(hash.0)
    }
}

impl TryFrom<String> for KeyHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut hash = [0; 32];
        hex::decode_to_slice(&text, &mut hash).map_err(|_| "a key's hash is 64 hexadecimal digits")?;
        Ok(Self(hash))
    }
}
