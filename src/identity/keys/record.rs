//! What is stored of a key: enough to recognise it and to say whose it is, and nothing that opens anything.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::key::{Key, KeyId};
use super::root::RootId;
use crate::identity::Principal;
use crate::types::Tags;

/// A key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct KeyRecord {
    /// The key's public name.
    pub id: KeyId,
    /// How it is recognised.
    pub proof: Proof,
    /// The name of the principal that the key proves.
    pub principal: String,
    /// Who that is, where the configuration does not list them.
    pub described: Option<Description>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is no longer taken.
    pub expires: Option<Timestamp>,
    /// When it was revoked. A key with any such time is revoked, also one in the future: clocks differ.
    pub revoked: Option<Timestamp>,
    /// The key that it takes the place of.
    pub replaces: Option<KeyId>,
    /// What its owner uses it for.
    pub note: String,
    /// When it was last taken, to a minute; nothing where that is not known, as in a file. No part of what is exported.
    pub used: Option<Timestamp>,
}

/// How a presented key is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A bearer key: its SHA-256.
    Bearer(KeyHash),
    /// An access key for SigV4: its secret comes from this root key and the key's id, and is stored nowhere.
    SigV4(RootId),
}

/// Groups and tags of a principal that the configuration does not list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The groups, in their order.
    pub groups: Vec<String>,
    /// IAM's principal tags.
    pub tags: BTreeMap<String, String>,
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amendment {
    /// It is revoked at this time.
    Revoke(Timestamp),
    /// It is good until this time at most.
    ExpireBy(Timestamp),
}

impl KeyRecord {
    /// The record of a new bearer key that does not expire.
    pub fn of(key: &Key, principal: impl Into<String>, created: Timestamp) -> Self {
        Self::new(key.id(), Proof::Bearer(key.hash()), principal, created)
    }

    /// The record of a new key that does not expire.
    pub fn new(id: KeyId, proof: Proof, principal: impl Into<String>, created: Timestamp) -> Self {
        Self {
            id,
            proof,
            principal: principal.into(),
            described: None,
            created,
            expires: None,
            revoked: None,
            replaces: None,
            note: String::new(),
            used: None,
        }
    }

    /// Whether its time is over. The instant of expiry itself is over already.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Amends it; false where it is as it was. Nothing brings a key back: a first revocation and an earlier expiry stay.
    pub fn amend(&mut self, amendment: Amendment) -> bool {
        match amendment {
            Amendment::Revoke(at) if self.revoked.is_none() => self.revoked = Some(at),
            Amendment::ExpireBy(at) if self.expires.is_none_or(|expires| expires > at) => self.expires = Some(at),
            Amendment::Revoke(_) | Amendment::ExpireBy(_) => return false,
        }
        true
    }

    /// The principal that it describes.
    pub(super) fn principal(&self) -> Option<Principal> {
        let Description { groups, tags } = self.described.clone()?;
        Some(Principal::new(self.principal.clone(), groups, tags.into_iter().collect::<Tags>()))
    }
}

/// A record as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: KeyId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<KeyHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<RootId>,
    principal: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
    created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<KeyId>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
}

impl From<KeyRecord> for Written {
    fn from(record: KeyRecord) -> Self {
        let KeyRecord { id, proof, principal, described, created, expires, revoked, replaces, note, used: _ } = record;
        let (hash, root) = match proof {
            Proof::Bearer(hash) => (Some(hash), None),
            Proof::SigV4(root) => (None, Some(root)),
        };
        let (groups, tags) = described.map(|described| (described.groups, described.tags)).unzip();
        Self { id, hash, root, principal, groups, tags, created, expires, revoked, replaces, note }
    }
}

impl TryFrom<Written> for KeyRecord {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { id, hash, root, principal, groups, tags, created, expires, revoked, replaces, note } = written;
        let proof = match (hash, root) {
            (Some(hash), None) => Proof::Bearer(hash),
            (None, Some(root)) => Proof::SigV4(root),
            _ => return Err("a key has either a hash or a root"),
        };
        let described = match (groups, tags) {
            (None, None) => None,
            (groups, tags) => Some(Description { groups: groups.unwrap_or_default(), tags: tags.unwrap_or_default() }),
        };
        Ok(Self { id, proof, principal, described, created, expires, revoked, replaces, note, used: None })
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
