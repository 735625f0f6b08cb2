//! Tokens of OpenID Connect issuers: JWTs, verified by the keys that the issuer publishes.
//!
//! An issuer is one of the configuration's, found by the token's `iss`; its algorithms are pinned there, and none of them is
//! symmetric or `none`. Keys are fetched by discovery and kept: through an outage of the issuer for as long as it takes, and
//! a key id that is not known makes them be fetched anew, once in half a minute at most; while there are none at all, that is
//! tried again after a second, then after two, and so on. What a token says of who it is for becomes a principal by the
//! configuration's templates.
//!
//! A token that has been verified is remembered by its hash until it expires, or until its issuer's keys change.
//!
//! <https://openid.net/specs/openid-connect-core-1_0.html>, <https://www.rfc-editor.org/rfc/rfc8725>

mod claims;
mod error;
mod issuer;
mod token;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::Principal;
use super::fetch::SharedFetch;
use issuer::Issuer;
use token::Token;

pub use error::TokenFault;
pub use issuer::IssuerSettings;
pub use jsonwebtoken::Algorithm;
pub(super) use token::looks_like_one;

/// The issuers whose tokens are taken.
#[derive(Debug)]
pub(super) struct Issuers {
    issuers: Vec<Arc<Issuer>>,
    verified: RwLock<HashMap<[u8; 32], Verified>>,
}

/// A token that has been verified.
#[derive(Clone, Debug)]
struct Verified {
    principal: Arc<Principal>,
    /// Until when, in seconds, the leeway included.
    until: i64,
    issuer: Arc<Issuer>,
    /// Which keys of the issuer's it was verified by.
    generation: u64,
}

impl Issuers {
    pub(super) fn new(issuers: Vec<(IssuerSettings, SharedFetch)>) -> Self {
        let issuers = issuers.into_iter().map(|(settings, fetch)| Arc::new(Issuer::new(settings, fetch))).collect();
        Self { issuers, verified: RwLock::default() }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Whose a token is that has been verified before, and is good still.
    pub(super) fn known(&self, text: &str, now: SystemTime) -> Option<Arc<Principal>> {
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::MAX);
        self.remembered(&Sha256::digest(text.as_bytes()).into(), now)
    }

    /// Whom a token is for.
    pub(super) async fn verify(&self, text: &str, now: SystemTime) -> Result<Arc<Principal>, TokenFault> {
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::MAX);
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        if let Some(principal) = self.remembered(&hash, now) {
            return Ok(principal);
        }
        let token = Token::read(text)?;
        let named = self.issuers.iter().find(|issuer| issuer.settings.issuer == token.issuer());
        let issuer = named.ok_or_else(|| TokenFault::Issuer(excerpt(token.issuer())))?;
        let generation = issuer.check(&token).await?;
        let until = token.check_times(issuer.settings.leeway, now)?;
        let principal = Arc::new(claims::principal(&token, &issuer.settings)?);
        let verified = Verified { principal: Arc::clone(&principal), until, issuer: Arc::clone(issuer), generation };
        self.remember(hash, verified, now);
        Ok(principal)
    }

    fn remembered(&self, hash: &[u8; 32], now: Timestamp) -> Option<Arc<Principal>> {
        let verified = self.verified.read().unwrap_or_else(PoisonError::into_inner);
        let found = verified.get(hash)?;
        let holds = now.as_second() < found.until && found.generation == found.issuer.generation();
        holds.then(|| Arc::clone(&found.principal))
    }

    fn remember(&self, hash: [u8; 32], new: Verified, now: Timestamp) {
        let mut verified = self.verified.write().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MOST_REMEMBERED {
            verified.retain(|_, old| now.as_second() < old.until && old.generation == old.issuer.generation());
        }
        // Where so many are good at once, the rest are verified each time.
        if verified.len() < MOST_REMEMBERED {
            verified.insert(hash, new);
        }
    }

    /// Fetches every issuer's keys anew.
    pub(super) async fn refresh(&self) {
        for issuer in &self.issuers {
            if let Err(error) = issuer.refresh().await {
                let issuer = &issuer.settings.issuer;
                tracing::warn!(issuer, %error, "the keys of an issuer cannot be fetched; those from before stay in force");
            }
        }
    }
}

/// What a caller wrote, short enough to be repeated and fit for a log line.
fn excerpt(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(100).collect()
}

/// A token's entry is some two hundred bytes.
const MOST_REMEMBERED: usize = 20_000;

#[cfg(test)]
mod tests;
