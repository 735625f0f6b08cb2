//! Callers who prove the AWS role that they have: `tollgate-aws-v1.` and a presigned request for `GetCallerIdentity` of STS, as
//! Amazon EKS and HashiCorp Vault take it.
//!
//! The request is presigned over a header that names this gateway ([`AUDIENCE_HEADER`]), so that a token for one gateway is of no use
//! at another. Nothing of the token's URL is used but the parameters of its query: host and path are made here, from the
//! Region in the scope. STS says whose request it is; patterns of the configuration make a principal of the ARN. The answer
//! is remembered until the token's time is over, and so is a refusal, for a while.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

mod error;
mod presign;
mod token;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, Request, header};
use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::Principal;
use super::fetch::SharedFetch;
use super::pattern::{Pattern, Person, is_name};
use token::LoginToken;

pub use error::LoginFault;
pub use presign::presign;
pub use token::{AUDIENCE_HEADER, PREFIX, host_of};

/// What is taken of callers who prove an AWS role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsLoginSettings {
    /// The name of this gateway that tokens are bound to.
    pub audience: String,
    /// Where STS is, in place of its Regions' own endpoints.
    pub endpoint: Option<String>,
    /// The Regions whose STS is asked; none means any.
    pub regions: Vec<String>,
    /// The longest that a token may be good.
    pub longest: Duration,
    /// Who the callers of an ARN are: the first that fits.
    pub roles: Vec<Role>,
}

/// Who the callers of an ARN are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The ARN that STS names.
    pub arn: Pattern,
    /// Who that is.
    pub person: Person,
}

/// The means to verify tokens.
#[derive(Debug)]
pub(super) struct AwsLogins {
    settings: AwsLoginSettings,
    fetch: SharedFetch,
    known: Mutex<HashMap<[u8; 32], Known>>,
    /// One question at a time in each lane; a token has always the same.
    asking: Vec<tokio::sync::Mutex<()>>,
}

/// What STS has said of a token.
#[derive(Debug)]
enum Known {
    /// It is good until this second.
    Good { principal: Arc<Principal>, until: i64 },
    /// It was refused, and is not asked about again before this second.
    Bad { fault: LoginFault, until: i64 },
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "GetCallerIdentityResponse")]
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "GetCallerIdentityResult")]
    result: Identity,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "Arn")]
    arn: String,
}

impl AwsLogins {
    pub(super) fn new(settings: AwsLoginSettings, fetch: SharedFetch) -> Self {
        Self {
            settings,
            fetch,
            known: Mutex::default(),
            asking: (0..ASKED_AT_ONCE).map(|_| tokio::sync::Mutex::new(())).collect(),
        }
    }

    /// Whom a token is of.
    pub(super) async fn verify(&self, text: &str, now: SystemTime) -> Result<Arc<Principal>, LoginFault> {
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::MAX).as_second();
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        if let Some(told) = self.remembered(&hash, now) {
            return told;
        }
        // Who comes with the same token meanwhile waits for the one answer.
        let [lane, ..] = hash;
        let _turn = match self.asking.get(usize::from(lane) % ASKED_AT_ONCE) {
            Some(lane) => Some(lane.lock().await),
            None => None,
        };
        if let Some(told) = self.remembered(&hash, now) {
            return told;
        }
        let told = self.ask(text, now).await;
        self.remember(hash, &told, now);
        told.map(|(principal, _)| principal)
    }

    fn remembered(&self, hash: &[u8; 32], now: i64) -> Option<Result<Arc<Principal>, LoginFault>> {
        match self.known().get(hash)? {
            Known::Good { principal, until } => (now < *until).then(|| Ok(Arc::clone(principal))),
            Known::Bad { fault, until } => (now < *until).then(|| Err(fault.clone())),
        }
    }

    fn remember(&self, hash: [u8; 32], told: &Result<(Arc<Principal>, i64), LoginFault>, now: i64) {
        let entry = match told {
            Ok((principal, until)) => Known::Good { principal: Arc::clone(principal), until: *until },
            // STS may answer a moment later.
            Err(LoginFault::Unavailable(_)) => return,
            Err(fault) => Known::Bad { fault: fault.clone(), until: now.saturating_add(REFUSED_FOR_S) },
        };
        let mut known = self.known();
        if known.len() >= MOST_KNOWN {
            known.retain(|_, known| match known {
                Known::Good { until, .. } | Known::Bad { until, .. } => now < *until,
            });
        }
        // Where so many are good at once, STS is asked about the rest each time.
        if known.len() < MOST_KNOWN {
            known.insert(hash, entry);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks STS whose a token is; the principal, and until when.
    async fn ask(&self, text: &str, now: i64) -> Result<(Arc<Principal>, i64), LoginFault> {
        let token = LoginToken::read(text)?;
        if !self.settings.regions.is_empty() && !self.settings.regions.contains(&token.region) {
            return Err(LoginFault::Region(token.region));
        }
        let until = token.check_times(self.settings.longest, now)?;
        let host = host_of(&token.region).ok_or_else(|| LoginFault::Region(token.region.clone()))?;
        let base = self.settings.endpoint.clone().unwrap_or_else(|| format!("https://{host}"));
        let audience = HeaderValue::from_str(&self.settings.audience)
            .map_err(|_| LoginFault::Unavailable("the audience of the configuration is no header value".to_owned()))?;
        let request = Request::get(format!("{}/?{}", base.trim_end_matches('/'), token.query))
            .header(header::HOST, &host)
            .header(header::ACCEPT, "application/json")
            .header(HeaderName::from_static(AUDIENCE_HEADER), audience)
            .body(())
            .map_err(|error| LoginFault::Unavailable(error.to_string()))?;
        let (status, body) = self.fetch.fetch(request).await.map_err(LoginFault::Unavailable)?;
        match status {
            200 => {}
            400..=499 if status != 429 => return Err(LoginFault::Refused(excerpt(&String::from_utf8_lossy(&body)))),
            _ => return Err(LoginFault::Unavailable(format!("STS answered with {status}"))),
        }
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|error| LoginFault::Unavailable(format!("the answer of STS makes no sense: {error}")))?;
        Ok((Arc::new(self.principal(&answer.response.result.arn)?), until))
    }

    /// Who the caller of an ARN is.
    fn principal(&self, arn: &str) -> Result<Principal, LoginFault> {
        let nobody = || LoginFault::Nobody(excerpt(arn));
        let fitting = self.settings.roles.iter().find_map(|role| Some((role, role.arn.parts(arn)?)));
        let (role, parts) = fitting.ok_or_else(nobody)?;
        let value = |name: &str| parts.get(name).map(|part| std::borrow::Cow::Borrowed(*part));
        let principal = role.person.principal(value).map_err(|_| nobody())?;
        if is_name(principal.name()) { Ok(principal) } else { Err(nobody()) }
    }
}

/// What others wrote, short enough to be repeated and fit for a log line.
fn excerpt(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}

/// How many questions STS is asked at once at most; the others wait.
const ASKED_AT_ONCE: usize = 64;
/// How long a refusal is remembered.
const REFUSED_FOR_S: i64 = 60;
const MOST_KNOWN: usize = 20_000;

#[cfg(test)]
use token::encode;

#[cfg(test)]
mod tests;
