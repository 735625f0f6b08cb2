//! Floor 3: who is asking. Every way of proving it ends in a [`Principal`].
//!
//! | proof | where | checked by |
//! | --- | --- | --- |
//! | a bearer key that this gateway issued | `Authorization: Bearer`, `x-api-key` | [`keys`] |
//! | a SigV4 signature with an access key that this gateway issued | `Authorization`, the query | [`sigv4`] |
//! | a short-term Bedrock API key made of such an access key | `Authorization: Bearer`, `x-api-key` | [`sigv4`] |
//! | a JSON Web Token of an issuer that the configuration names | `Authorization: Bearer`, `x-api-key` | [`oidc`] |
//! | a presigned request of STS: the caller's AWS role | `Authorization: Bearer`, `x-api-key` | [`aws_login`] |
//! | a client certificate that a rule fits | the TLS connection | [`certificates`] |
//! | a connection to a listener that trusts whoever can reach it | the listener | the configuration |
//!
//! What holds: a request has exactly one credential or is refused; nothing is altered before a signature over it has been
//! verified; a secret proves its owner only as a whole, and is compared in constant time; no secret leaves this floor, in an
//! error or otherwise. A source that fails too often is not listened to for a while. The stage does not decide what the
//! principal may do, and it does not say which HTTP status a refusal gets.

pub mod aws_login;
pub mod certificates;
mod credential;
mod error;
mod failures;
mod fetch;
pub mod keys;
pub mod oidc;
mod pattern;
mod pending;
mod principal;
mod roster;
mod shown;
pub mod sigv4;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use self::aws_login::{AwsLoginSettings, AwsLogins};
use self::certificates::CertificateRule;
use self::credential::Credential;
use self::failures::{Failures, ShutOut, Tried};
use self::keys::{HeldKey, KeyRing, RootKeys, Standing};
use self::oidc::{IssuerSettings, Issuers};
use self::roster::Roster;
use self::sigv4::{Claim, Verifier};

pub use error::IdentityError;
pub use fetch::{Fetch, Fetched, SharedFetch};
pub use pattern::{Pattern, PatternError, Person, Template};
pub use principal::{Principal, Principals, PrincipalsError};
pub use shown::{Origin, PassedOn, Shown, Source, TrustedProxies};

/// The stage that tells who is asking: the principals there are, and the ways in which they prove it.
#[derive(Debug)]
pub struct Identity {
    principals: Principals,
    keys: Arc<KeyRing>,
    verifier: Verifier,
    issuers: Issuers,
    aws_logins: Option<AwsLogins>,
    certificates: Vec<CertificateRule>,
    failures: Failures,
    proxies: TrustedProxies,
    /// Whom tokens have told of.
    roster: Roster,
}

/// How requests are to be verified.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// The root keys that are live, the newest first.
    pub roots: RootKeys,
    /// The Regions that a SigV4 scope may name; none means any.
    pub regions: Vec<String>,
    /// The issuers whose tokens are taken, and how each is asked for its keys.
    pub issuers: Vec<(IssuerSettings, SharedFetch)>,
    /// How AWS roles are proved, if they are, and how STS is asked.
    pub aws_login: Option<(AwsLoginSettings, SharedFetch)>,
    /// Who the owners of client certificates are.
    pub certificates: Vec<CertificateRule>,
    /// How many times a minute one source may fail; nothing means without limit.
    pub failures_per_minute: Option<NonZeroU32>,
    /// The proxies that tell from where a request comes.
    pub proxies: TrustedProxies,
}

/// How far a request has been authenticated.
#[derive(Debug)]
pub enum Authentication<'a> {
    /// It is this principal's.
    Known(Arc<Principal>),
    /// It is signed, and the signature is over the body too: [`Identity::prove`] it.
    Claimed(Box<Claim<'a>>),
}

impl Identity {
    /// Principals come with the configuration; the ring is shared, because it reloads by itself.
    pub fn new(principals: Principals, keys: Arc<KeyRing>, verification: Verification) -> Self {
        let Verification { roots, regions, issuers, aws_login, certificates, failures_per_minute, proxies } =
            verification;
        Self {
            principals,
            keys,
            verifier: Verifier::new(roots, regions),
            issuers: Issuers::new(issuers),
            aws_logins: aws_login.map(|(settings, fetch)| AwsLogins::new(settings, fetch)),
            certificates,
            failures: Failures::new(failures_per_minute),
            proxies,
            roster: Roster::default(),
        }
    }

    /// The principals of the configuration.
    pub const fn principals(&self) -> &Principals {
        &self.principals
    }

    /// The keys that this gateway has issued.
    pub const fn keys(&self) -> &Arc<KeyRing> {
        &self.keys
    }

    /// Fetches the keys of every issuer anew.
    pub async fn refresh_issuers(&self) {
        self.issuers.refresh().await;
    }

    /// Everybody of whom it is known that they may call: the principals of the configuration, those that keys describe, and those
    /// that tokens have told of.
    pub fn people(&self, now: SystemTime) -> Vec<Arc<Principal>> {
        let mut people: Vec<_> = self.principals.iter().map(Arc::clone).collect();
        let others = self.keys.described(now).into_iter().chain(self.roster.seen());
        people.extend(others.filter(|own| self.principals.named(own.name()).is_none()));
        people.sort_by(|one, other| one.name().cmp(other.name()));
        people.dedup_by(|one, other| one.name() == other.name());
        people
    }

    /// Tells who sends a request, at this time, or what of it has to be there before that can be told.
    pub async fn authenticate<'a>(
        &self,
        shown: &Shown<'a>,
        now: SystemTime,
    ) -> Result<Authentication<'a>, IdentityError> {
        if let Some(principal) = &shown.origin.trusted_as {
            return match shown.passed_on() {
                None => Ok(Authentication::Known(Arc::clone(principal))),
                Some(by) => Err(IdentityError::PassedOn(by)),
            };
        }
        let told = match (self.by_certificate(shown, now), credential::read(shown)) {
            (Some(owner), Err(IdentityError::Missing)) => owner.map(Authentication::Known),
            (Some(_), _) => Err(IdentityError::Several),
            (None, Ok(credential)) => self.check(credential, shown, now).await,
            (None, Err(error)) => Err(error),
        };
        told.map_err(|error| {
            let token = matches!(error, IdentityError::Token(_) | IdentityError::AwsLogin(_));
            self.failed(shown, if token { Tried::Token } else { Tried::Cheap }, error)
        })
    }

    /// Whose the certificate of the connection is, where there is one that a rule fits.
    fn by_certificate(&self, shown: &Shown<'_>, now: SystemTime) -> Option<Result<Arc<Principal>, IdentityError>> {
        let now = jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::MAX);
        let owner = shown.origin.certificate.as_ref()?.owner(&self.certificates, now)?;
        Some(owner.map(|principal| self.known_as(principal)).map_err(IdentityError::Certificate))
    }

    async fn check<'a>(
        &self,
        credential: Credential<'a>,
        shown: &Shown<'a>,
        now: SystemTime,
    ) -> Result<Authentication<'a>, IdentityError> {
        if let Credential::Key(key) = &credential {
            let standing = self.keys.standing(key, now);
            return self.owner(key.id(), standing).map(Authentication::Known);
        }
        match credential {
            Credential::Key(_) => Err(IdentityError::Missing),
            Credential::Signature(presented) => {
                let claim = self.verifier.claim(presented, shown, &self.keys, now)?;
                self.listen_to(shown, Tried::Signature(claim.key_id()))?;
                Ok(Authentication::Claimed(Box::new(claim)))
            }
            Credential::ShortTerm(key) => {
                self.owner_of(&key.verify(&self.verifier, &self.keys, now)?, now).map(Authentication::Known)
            }
            Credential::Token(_) if self.issuers.is_empty() => Err(IdentityError::NotTaken("a JSON Web Token")),
            Credential::Token(token) => {
                let principal = if let Some(known) = self.issuers.known(token, now) {
                    known
                } else {
                    self.listen_to(shown, Tried::Token)?;
                    self.issuers.verify(token, now).await?
                };
                Ok(Authentication::Known(self.known_as(principal)))
            }
            Credential::AwsLogin(token) => {
                let logins = self.aws_logins.as_ref();
                let logins = logins.ok_or(IdentityError::NotTaken("a token of an AWS login"))?;
                let principal = if let Some(known) = logins.known(token, now) {
                    known
                } else {
                    self.listen_to(shown, Tried::Token)?;
                    logins.verify(token, now).await?
                };
                Ok(Authentication::Known(self.known_as(principal)))
            }
        }
    }

    /// Whoever a token tells of. What the configuration says of somebody of that name counts; others are noted down, so that
    /// their budgets are shown.
    fn known_as(&self, principal: Arc<Principal>) -> Arc<Principal> {
        if let Some(listed) = self.principals.named(principal.name()) {
            return Arc::clone(listed);
        }
        self.roster.note(principal)
    }

    /// Tells whether a claim holds over a request and its body, whose SHA-256 is given in hexadecimal, and whose it is then.
    pub fn prove(
        &self,
        claim: &Claim<'_>,
        shown: &Shown<'_>,
        body_sha256: &str,
        now: SystemTime,
    ) -> Result<Arc<Principal>, IdentityError> {
        let proved = self.verifier.prove(claim, shown, body_sha256).map_err(IdentityError::from);
        let tried = Tried::Signature(claim.key_id());
        proved.and_then(|key| self.owner_of(&key, now)).map_err(|error| self.failed(shown, tried, error))
    }

    /// Takes note that a claim came to nothing, because the body it is over did not come.
    pub fn broke_off(&self, claim: &Claim<'_>, shown: &Shown<'_>) {
        self.count(shown, Tried::Signature(claim.key_id()), &"a body that did not come");
    }

    fn owner_of(&self, key: &Arc<HeldKey>, now: SystemTime) -> Result<Arc<Principal>, IdentityError> {
        self.owner(key.record.id, key.worth(now))
    }

    /// Whose a key is. The configuration's word on a principal counts, then the key's own.
    fn owner(&self, id: keys::KeyId, standing: Standing) -> Result<Arc<Principal>, IdentityError> {
        let key = match standing {
            Standing::Live(key) => key,
            Standing::Unknown => return Err(IdentityError::Unknown { id }),
            Standing::WrongSecret => return Err(IdentityError::WrongSecret { id }),
            Standing::Revoked { at } => return Err(IdentityError::Revoked { id, at }),
            Standing::Expired { at } => return Err(IdentityError::Expired { id, at }),
        };
        let owner = self.principals.named(&key.record.principal).or(key.principal.as_ref()).map(Arc::clone);
        owner.ok_or_else(|| IdentityError::NoSuchPrincipal { id, principal: key.record.principal.clone() })
    }

    /// What is dear to check is not checked for who fails too often.
    fn listen_to(&self, shown: &Shown<'_>, tried: Tried) -> Result<(), IdentityError> {
        match self.failures.shut_out(self.source(shown), tried) {
            None => Ok(()),
            Some(retry_after) => Err(IdentityError::TooManyFailures { retry_after }),
        }
    }

    /// Where a request comes from, as far as failures are counted.
    pub fn source(&self, shown: &Shown<'_>) -> Source {
        self.proxies.source(shown.origin.source, shown.headers)
    }

    fn failed(&self, shown: &Shown<'_>, tried: Tried, error: IdentityError) -> IdentityError {
        if !error.is_a_guess() {
            return error;
        }
        self.count(shown, tried, &error).map_or(error, |retry_after| IdentityError::TooManyFailures { retry_after })
    }

    /// Counts a failure; how long it is to be waited, where it was one too many.
    fn count(&self, shown: &Shown<'_>, tried: Tried, why: &dyn std::fmt::Display) -> Option<Duration> {
        let source = self.source(shown);
        let ShutOut { wait, new } = self.failures.count(source, tried)?;
        if new {
            // One line for what would be a flood of them.
            tracing::warn!(%source, last = %why, "too many failed authentications from one source");
        }
        Some(wait)
    }
}

#[cfg(test)]
mod tests;
