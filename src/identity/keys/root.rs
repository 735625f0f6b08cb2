//! Access keys for SigV4: an id that is stored and a secret that is not.
//!
//! The secret is made of a root key and the key's id, whenever it is needed: HMAC-SHA256 of the id under the root key, drawn out as
//! digits of base 62. Whoever steals the store has no secret, and whoever steals the root key needs the store to know who
//! is who. Two root keys can be live, so that one can be replaced: a record names the one that its secret is made of.
//!
//! | text | form | secret scanners match |
//! | --- | --- | --- |
//! | access key id | `TGAK`, the key's id of 12, a checksum of 6, all base 62 | `\bTGAK[0-9A-Za-z]{18}\b` |
//! | secret access key | `tgs_`, 43 digits of base 62 (256 bits), a checksum of 6 | `\btgs_[0-9A-Za-z]{49}\b` |
//!
//! Both are plain letters and digits, so that they pass through every configuration file, shell and header as they are.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::key::{BASE_62, CHECKSUM_CHARS, KeyFormatError, KeyId, checksum};
use crate::types::Secret;

/// A root key.
#[derive(Clone)]
pub struct RootKey {
    id: RootId,
    key: Zeroizing<[u8; 32]>,
}

/// Which root key, told by eight hexadecimal digits that give nothing of it away.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RootId([u8; 4]);

/// The root keys that are live, the one that new keys are made of first.
#[derive(Clone, Debug, Default)]
pub struct RootKeys(Vec<RootKey>);

/// An access key: what its owner configures in an AWS SDK.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
}

/// A text that cannot be a root key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a root key is a line of 32 characters at least, as `tollgate key root` and `openssl rand -hex 32` print one")]
pub struct RootKeyError;

impl RootKey {
    /// Reads a root key: any line of 32 characters or more, of which every one counts.
    pub fn read(text: &str) -> Result<Self, RootKeyError> {
        let line = text.trim();
        if line.chars().count() < SHORTEST || line.chars().any(char::is_control) {
            return Err(RootKeyError);
        }
        let key = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(line.as_bytes())));
        let id = mac(&key, &[b"tollgate root key id v1"]);
        let id = id.first_chunk().copied().unwrap_or_default();
        Ok(Self { id: RootId(id), key })
    }

    /// Which one it is.
    pub const fn id(&self) -> RootId {
        self.id
    }

    /// The access key of an id.
    pub fn access_key(&self, id: KeyId) -> AccessKey {
        let mut text = Zeroizing::new(String::with_capacity(SECRET_PREFIX.len() + SECRET_CHARS + CHECKSUM_CHARS));
        text.push_str(SECRET_PREFIX);
        let mut drawn = 0_u8;
        'digits: loop {
            let block = Zeroizing::new(mac(&self.key, &[b"tollgate secret access key v1", id.as_bytes(), &[drawn]]));
            drawn = drawn.wrapping_add(1);
            // Bytes from 248 up would favour the first eight digits.
            for byte in block.iter().filter(|byte| **byte < 248) {
                if text.len() == SECRET_PREFIX.len() + SECRET_CHARS {
                    break 'digits;
                }
                text.push(BASE_62.get(usize::from(*byte % 62)).copied().map_or('0', char::from));
            }
        }
        let check = checksum(text.as_bytes());
        text.extend(check.into_iter().map(char::from));
        AccessKey { access_key_id: access_key_id(id), secret_access_key: Secret::new(text.as_str()) }
    }
}

impl RootKeys {
    /// The live ones, the newest first.
    pub const fn new(keys: Vec<RootKey>) -> Self {
        Self(keys)
    }

    /// The one of which new keys are made.
    pub fn newest(&self) -> Option<&RootKey> {
        self.0.first()
    }

    /// The one of an id.
    pub fn of(&self, id: RootId) -> Option<&RootKey> {
        self.0.iter().find(|root| root.id == id)
    }
}

/// The access key id of a key.
pub fn access_key_id(id: KeyId) -> String {
    let mut text = format!("{ID_PREFIX}{id}");
    let check = checksum(text.as_bytes());
    text.extend(check.into_iter().map(char::from));
    text
}

/// The key of an access key id.
pub fn key_of(access_key_id: &str) -> Result<KeyId, KeyFormatError> {
    let Some(rest) = access_key_id.strip_prefix(ID_PREFIX) else {
        let of_aws = ["AKIA", "ASIA"].into_iter().any(|prefix| access_key_id.starts_with(prefix));
        return Err(if of_aws { KeyFormatError::AccessKeyOfAws } else { KeyFormatError::AccessKeyPrefix });
    };
    let id = rest.get(..rest.len().saturating_sub(CHECKSUM_CHARS)).and_then(|id| id.parse::<KeyId>().ok());
    match id {
        Some(id) if self::access_key_id(id) == access_key_id => Ok(id),
        _ => Err(KeyFormatError::AccessKeyChecksum),
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // An HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl fmt::Display for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootId({self})")
    }
}

impl From<RootId> for String {
    fn from(id: RootId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for RootId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut id = [0; 4];
        hex::decode_to_slice(&text, &mut id).map_err(|_| "a root key is named by eight hexadecimal digits")?;
        Ok(Self(id))
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey({}, …)", self.id)
    }
}

const ID_PREFIX: &str = "TGAK";
const SECRET_PREFIX: &str = "tgs_";
const SECRET_CHARS: usize = 43;
const SHORTEST: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::key::Key;
    use super::*;

    fn root(text: &str) -> RootKey {
        RootKey::read(&text.repeat(8)).unwrap()
    }

    #[test]
    fn a_secret_is_made_of_its_root_key_and_its_id_and_nothing_else() {
        let id: KeyId = "AbCdEf012345".parse().unwrap();
        let one = root("0123").access_key(id);
        assert_eq!(one.access_key_id.len(), 22);
        // Fixed for good: a secret that changed would lock everybody out. Calculated with Python's hmac and zlib.
        assert_eq!(one.access_key_id, "TGAKAbCdEf01234523F2gT");
        assert_eq!(one.secret_access_key.expose(), "tgs_EL9LApHFBqTspG5tFE8wVAigOHxBCAdZYYcToWOsVB83vETLL");
        let with_line_end = RootKey::read(&format!("{}\r\n", "0123".repeat(8))).unwrap();
        assert_eq!(with_line_end.access_key(id).secret_access_key.expose(), one.secret_access_key.expose());
        assert_ne!(root("0124").access_key(id).secret_access_key.expose(), one.secret_access_key.expose());
        assert!(!format!("{:?} {one:?}", root("0123")).contains(&one.secret_access_key.expose()[4..]));
    }

    #[test]
    fn a_root_key_is_found_by_its_id_and_short_ones_are_refused() {
        let keys = RootKeys::new(vec![root("abcd"), root("efgh")]);
        assert_eq!(keys.newest().unwrap().id(), root("abcd").id());
        assert_eq!(keys.of(root("efgh").id()).unwrap().id(), root("efgh").id());
        assert!(keys.of(root("ijkl").id()).is_none());
        for short in ["", "abc", &"x".repeat(31), &format!("{}\n{}", "x".repeat(31), "y".repeat(31))] {
            assert_eq!(RootKey::read(short).unwrap_err(), RootKeyError, "{short:?}");
        }
    }

    proptest! {
        #[test]
        fn an_access_key_id_leads_back_to_its_key_and_a_mistyped_one_nowhere(at in 0_usize..22, to in "[0-9A-Za-z]") {
            let id = Key::generate().unwrap().id();
            let text = access_key_id(id);
            prop_assert_eq!(key_of(&text), Ok(id));
            let mut wrong = text.clone();
            wrong.replace_range(at..=at, &to);
            prop_assume!(wrong != text);
            prop_assert!(key_of(&wrong).is_err());
        }

        #[test]
        fn no_text_whatever_makes_it_panic(text in any::<String>()) {
            let _ = (key_of(&text), key_of(&format!("TGAK{text}")), RootKey::read(&text));
        }
    }
}
