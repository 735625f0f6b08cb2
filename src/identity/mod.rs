//! Floor 3: who is asking. Every way of proving it ends in a [`Principal`].
//!
//! One way so far: a bearer key that this gateway issued, in `Authorization: Bearer …` or in `x-api-key`. The stage reads
//! headers only, so that no byte of the body is taken from a caller who is not known.
//!
//! What holds: a request has exactly one credential or is refused; a key proves its owner only if its whole text hashes to
//! what is stored under its id; no secret leaves this floor, in an error or otherwise. It does not decide what the
//! principal may do, and it does not say which HTTP status a refusal gets.

mod credential;
mod error;
pub mod keys;
mod principal;

use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;

use self::credential::Credential;
use self::keys::{KeyRing, Standing};

pub use error::IdentityError;
pub use principal::{Principal, Principals, PrincipalsError};

/// The stage that tells who is asking: the principals there are, and the keys by which they prove it.
#[derive(Debug)]
pub struct Identity {
    principals: Principals,
    keys: Arc<KeyRing>,
}

impl Identity {
    /// Principals come with the configuration; the ring is shared, because it reloads by itself.
    pub const fn new(principals: Principals, keys: Arc<KeyRing>) -> Self {
        Self { principals, keys }
    }

    /// The principals there are.
    pub const fn principals(&self) -> &Principals {
        &self.principals
    }

    /// Tells who sends a request with these headers, at this time.
    pub fn authenticate(&self, headers: &HeaderMap, now: SystemTime) -> Result<Arc<Principal>, IdentityError> {
        let Credential::Key(key) = credential::read(headers)?;
        let id = key.id();
        let record = match self.keys.standing(&key, now) {
            Standing::Live(record) => record,
            Standing::Unknown => return Err(IdentityError::Unknown { id }),
            Standing::WrongSecret => return Err(IdentityError::WrongSecret { id }),
            Standing::Revoked { at } => return Err(IdentityError::Revoked { id, at }),
            Standing::Expired { at } => return Err(IdentityError::Expired { id, at }),
        };
        let owner = self.principals.named(&record.principal).map(Arc::clone);
        owner.ok_or_else(|| IdentityError::NoSuchPrincipal { id, principal: record.principal.clone() })
    }
}

#[cfg(test)]
mod tests;
