//! Keys that this gateway issues: their forms, what is stored of them, where it is stored, and the ring that requests are
//! checked with.
//!
//! A key is shown once, when it is made. Of a bearer key its SHA-256 alone is stored: a random key of 256 bits needs no slow
//! hash. Of an access key for SigV4 not even that: its secret is made of a root key that is kept elsewhere ([`RootKey`]). So
//! a stolen store opens nothing.

mod file;
mod key;
mod record;
mod ring;
mod root;
mod store;
mod watched;

pub use file::{KeyFile, KeyFileError};
pub use key::{Key, KeyFormatError, KeyId, PresentedKey};
pub use record::{Amendment, Description, KeyHash, KeyRecord, Proof};
pub use ring::{HeldKey, KeyRing, Refresh, Standing};
pub use root::{AccessKey, RootId, RootKey, RootKeyError, RootKeys, access_key_id, key_of};
pub use store::{Amended, Answer, KeyStore, KeyStoreError, SharedKeyStore};
pub use watched::WatchedFile;
