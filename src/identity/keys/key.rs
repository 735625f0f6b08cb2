//! The form of a bearer key: `tg_<id>_<secret><checksum>`, 65 characters of `[A-Za-z0-9_]`, so that it passes through every
//! header, shell and environment file as it is.
//!
//! | part | characters | what for |
//! | --- | --- | --- |
//! | `tg_` | 3 | secret scanners match `\btg_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\b` |
//! | id | 12, base 62 | public: names the key in the file, in logs and to `tollgate key revoke` |
//! | `_` | 1 | |
//! | secret | 43, base 62 | 256 random bits |
//! | checksum | 6, base 62 | CRC-32 of all that stands before it |
//!
//! The checksum tells a mistyped key from an unknown one without a look-up. It proves nothing and costs no secrecy: whoever
//! can compute it holds the secret already.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::record::KeyHash;
use crate::types::Secret;

/// A new key, on its way to its owner. The only place where a whole key is held.
#[derive(Clone, Debug)]
pub struct Key {
    id: KeyId,
    text: Secret,
}

impl Key {
    /// Makes a key from the operating system's randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut drawn = Zeroizing::new([0; ID_CHARS + SECRET_CHARS]);
        fill_with_digits(drawn.as_mut_slice())?;
        let (id, secret) = drawn.split_first_chunk::<ID_CHARS>().unwrap_or((&[b'0'; ID_CHARS], &[]));
        let mut text = Zeroizing::new(String::with_capacity(KEY_CHARS));
        text.push_str(PREFIX);
        text.extend(id.iter().copied().map(char::from));
        text.push('_');
        text.extend(secret.iter().copied().map(char::from));
        let checksum = checksum(text.as_bytes());
        text.extend(checksum.into_iter().map(char::from));
        Ok(Self { id: KeyId(*id), text: Secret::new(text.as_str()) })
    }

    /// The key's public name.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The key itself, to be shown to its owner once.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// What is stored of it.
    pub fn hash(&self) -> KeyHash {
        KeyHash::new(Sha256::digest(self.expose().as_bytes()).into())
    }
}

/// A key as a request presents it: its form is right, its secret is not yet looked at.
#[derive(Clone, Copy)]
pub struct PresentedKey<'a> {
    id: KeyId,
    text: &'a [u8],
}

impl<'a> PresentedKey<'a> {
    /// Checks the form and the checksum.
    pub fn parse(text: &'a [u8]) -> Result<Self, KeyFormatError> {
        let Some(rest) = text.strip_prefix(PREFIX.as_bytes()) else {
            let of_aws = [&b"ABSK"[..], b"bedrock-api-key-"].into_iter().any(|prefix| text.starts_with(prefix));
            return Err(if of_aws { KeyFormatError::OfAws } else { KeyFormatError::Prefix });
        };
        if text.len() != KEY_CHARS {
            return Err(KeyFormatError::Length { chars: text.len() });
        }
        let parts = rest.split_first_chunk::<ID_CHARS>().and_then(|(id, rest)| Some((id, rest.strip_prefix(b"_")?)));
        let Some((id, secret)) = parts else { return Err(KeyFormatError::Checksum) };
        if !id.iter().chain(secret).all(u8::is_ascii_alphanumeric) {
            return Err(KeyFormatError::Checksum);
        }
        match text.split_last_chunk::<CHECKSUM_CHARS>() {
            Some((body, found)) if *found == checksum(body) => Ok(Self { id: KeyId(*id), text }),
            _ => Err(KeyFormatError::Checksum),
        }
    }

    /// The key's public name.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The hash by which the whole key is recognised.
    pub fn hash(&self) -> KeyHash {
        KeyHash::new(Sha256::digest(self.text).into())
    }
}

impl fmt::Debug for PresentedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresentedKey({}, …)", self.id)
    }
}

/// The public part of a key: twelve letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId([u8; ID_CHARS]);

impl KeyId {
    /// A new one.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut id = [b'0'; ID_CHARS];
        fill_with_digits(&mut id)?;
        Ok(Self(id))
    }

    pub(super) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = KeyFormatError;

    fn from_str(text: &str) -> Result<Self, KeyFormatError> {
        let id: [u8; ID_CHARS] = text.as_bytes().try_into().map_err(|_| KeyFormatError::Id)?;
        if id.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(id)) } else { Err(KeyFormatError::Id) }
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyFormatError;

    fn try_from(text: String) -> Result<Self, KeyFormatError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Why a text is no key. Never holds any of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFormatError {
    /// Some other kind of token.
    #[error("it is no key of this gateway, whose keys begin with tg_")]
    Prefix,
    /// A Bedrock API key, which should never have been sent here.
    #[error("it is an Amazon Bedrock API key; this gateway takes keys of its own, which begin with tg_")]
    OfAws,
    /// Cut off, or with something stuck to it.
    #[error("the key has {chars} characters in place of 65, so part of it was lost or added: copy it again")]
    Length {
        /// How many there are.
        chars: usize,
    },
    /// A character is wrong somewhere.
    #[error("the key is mistyped (its checksum does not match): copy it again")]
    Checksum,
    /// An access key id of some other issuer.
    #[error("it is no access key of this gateway, whose access key ids begin with TGAK")]
    AccessKeyPrefix,
    /// An access key of AWS's own, which opens AWS and nothing here.
    #[error("it is an access key of AWS; this gateway takes access keys of its own, whose ids begin with TGAK")]
    AccessKeyOfAws,
    /// A character of an access key id is wrong somewhere.
    #[error("the access key id is mistyped (its checksum does not match): copy it again")]
    AccessKeyChecksum,
    /// An access key id in the right form that no key has, or no longer.
    #[error("the access key is not known here, or no longer: ask the operator of this gateway for a new one")]
    UnknownAccessKey,
    /// Not a key's id.
    #[error("a key's id is twelve letters and digits, as `tollgate key list` shows them")]
    Id,
}

/// CRC-32 (IEEE) as six digits of base 62, most significant first.
pub(super) fn checksum(body: &[u8]) -> [u8; CHECKSUM_CHARS] {
    let mut rest = crc32fast::hash(body);
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = base62(rest % 62);
        rest /= 62;
    }
    digits
}

/// Fills a buffer with base-62 digits, each equally likely: bytes from 248 up would favour the first eight digits, so they
/// are drawn again.
fn fill_with_digits(digits: &mut [u8]) -> Result<(), getrandom::Error> {
    let mut pool = Zeroizing::new([0_u8; 64]);
    let mut slots = digits.iter_mut();
    loop {
        getrandom::fill(pool.as_mut_slice())?;
        for byte in pool.iter().filter(|byte| **byte < 248) {
            let Some(slot) = slots.next() else { return Ok(()) };
            *slot = base62(u32::from(*byte) % 62);
        }
    }
}

fn base62(value: u32) -> u8 {
    let at = usize::try_from(value).unwrap_or(usize::MAX);
    BASE_62.get(at).copied().unwrap_or(b'0')
}

pub(super) const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX: &str = "tg_";
const ID_CHARS: usize = 12;
/// 62^43 is just above 2^256.
const SECRET_CHARS: usize = 43;
/// 62^6 is above 2^32.
pub(super) const CHECKSUM_CHARS: usize = 6;
const KEY_CHARS: usize = PREFIX.len() + ID_CHARS + 1 + SECRET_CHARS + CHECKSUM_CHARS;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_key_has_the_documented_form_and_is_read_back() {
        let mut seen = HashSet::new();
        for _ in 0..200 {
            let key = Key::generate().unwrap();
            let text = key.expose();
            assert_eq!(text.len(), 65);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{text}");
            let presented = PresentedKey::parse(text.as_bytes()).unwrap();
            assert_eq!((presented.id(), presented.hash()), (key.id(), key.hash()));
            assert_eq!(text.split('_').nth(1), Some(key.id().to_string().as_str()));
            assert!(seen.insert(text.to_owned()));
        }
    }

    #[test]
    fn digits_are_drawn_evenly() {
        let mut digits = vec![0; 62_000];
        fill_with_digits(&mut digits).unwrap();
        for digit in BASE_62 {
            let times = memchr::memchr_iter(*digit, &digits).count();
            // 1,000 expected; seven standard deviations either way.
            assert!((780..1_220).contains(&times), "{} came {times} times", char::from(*digit));
        }
    }

    #[test]
    fn what_is_no_key_is_told_apart_without_repeating_it() {
        let good = Key::generate().unwrap();
        let good = good.expose();
        for (text, error) in [
            (String::new(), KeyFormatError::Prefix),
            ("sk-ant-abc".to_owned(), KeyFormatError::Prefix),
            ("TG_aaaaaaaaaaaa".to_owned(), KeyFormatError::Prefix),
            ("ABSKQmVkcm9ja0FQSUtleS1".to_owned(), KeyFormatError::OfAws),
            ("bedrock-api-key-YmVkcm9jay5".to_owned(), KeyFormatError::OfAws),
            ("tg_".to_owned(), KeyFormatError::Length { chars: 3 }),
            (good[..64].to_owned(), KeyFormatError::Length { chars: 64 }),
            (format!("{good}="), KeyFormatError::Length { chars: 66 }),
            (good.replace('_', "-").replacen("tg-", "tg_", 1), KeyFormatError::Checksum),
        ] {
            assert_eq!(PresentedKey::parse(text.as_bytes()).unwrap_err(), error, "{text}");
        }
        // Whoever can calculate a checksum does not get an id into a log that is none.
        for at in [3, 15, 16, 58] {
            let mut text = good.as_bytes()[..59].to_vec();
            text[at] = b'-';
            let check = checksum(&text);
            text.extend(check);
            assert_eq!(PresentedKey::parse(&text).unwrap_err(), KeyFormatError::Checksum, "{at}");
        }
        for id in ["", "abc-def_0123", "abcdefghijk", "abcdefghijklm", "abcdefghij\n1"] {
            assert_eq!(id.parse::<KeyId>().unwrap_err(), KeyFormatError::Id, "{id}");
        }
    }

    #[test]
    fn a_key_does_not_print_its_secret() {
        let key = Key::generate().unwrap();
        let presented = PresentedKey::parse(key.expose().as_bytes()).unwrap();
        let secret = &key.expose()[16..];
        assert!(!format!("{key:?} {presented:?}").contains(secret));
    }

    proptest! {
        #[test]
        fn every_change_of_one_character_is_seen(at in 0_usize..65, to in any::<u8>()) {
            let mut text = Key::generate().unwrap().expose().as_bytes().to_vec();
            prop_assume!(text[at] != to);
            text[at] = to;
            prop_assert!(PresentedKey::parse(&text).is_err());
        }

        #[test]
        fn two_neighbours_that_swap_places_are_seen(at in 0_usize..64) {
            let mut text = Key::generate().unwrap().expose().as_bytes().to_vec();
            prop_assume!(text[at] != text[at + 1]);
            text.swap(at, at + 1);
            prop_assert!(PresentedKey::parse(&text).is_err());
        }

        #[test]
        fn no_bytes_whatever_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut prefixed = b"tg_".to_vec();
            prefixed.extend(&text);
            prop_assert!(PresentedKey::parse(&text).is_err() && PresentedKey::parse(&prefixed).is_err());
        }
    }
}
