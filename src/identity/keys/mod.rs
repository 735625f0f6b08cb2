//! Bearer keys: their form, what is stored of them, the file they are stored in, and the ring that requests are checked with.
//!
//! A key is shown once, when it is made. Stored is its SHA-256 alone: a random key of 256 bits needs no slow hash, and a
//! stolen file opens nothing.

mod file;
mod key;
mod record;
mod ring;

pub use file::{KeyFile, KeyFileError, Revocation};
pub use key::{Key, KeyFormatError, KeyId, PresentedKey};
pub use record::{KeyHash, KeyRecord};
pub use ring::{KeyRing, Refresh, Standing};
