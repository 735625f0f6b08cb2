//! Callers who prove the AWS role that they have: `tollgate-aws-v1.` and a presigned request for `GetCallerIdentity` of STS, as
//! Amazon EKS and HashiCorp Vault take it.
//!
//! The request is presigned over a header that names this gateway ([`AUDIENCE_HEADER`]), so that a token for one gateway is of no use
//! at another. Nothing of the token's URL is used but the parameters of its query: host and path are made here, from the
//! Region in the scope. STS says whose request it is; patterns of the configuration make a principal of the ARN. The answer
//! is remembered until the token's time is over, and so is a refusal, for a while. What is refused without asking STS is not.
//!
//! STS itself takes a presigned request for a quarter of an hour. A token for longer, where the configuration allows it, is good
//! for longer only at a gateway that has asked about it before.
//!
//! Strangers choose the Region, so that one which has not answered yet has few turns and counts as a failure of its caller
//! where it cannot be reached; a host that cannot be reached is not asked again for some seconds.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

mod desk;
mod error;
mod memory;
mod presign;
mod region;
mod sts;
mod token;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::Principal;
use super::fetch::SharedFetch;
use super::pattern::{Pattern, Person};
use super::pending::Pending;
use desk::Desk;
use memory::{Hash, Memory};
use sts::Sts;
use token::LoginToken;

pub use error::{LoginFault, Outage};
pub use presign::presign;
pub use region::host_of;
pub use token::{AUDIENCE_HEADER, PREFIX};

/// What is taken of callers who prove an AWS role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsLoginSettings {
    /// The name of this gateway that tokens are bound to.
    pub audience: String,
    /// Where STS is, in place of its Regions' own endpoints.
    pub endpoint: Option<String>,
    /// The Regions whose STS is asked; none means any.
    pub regions: Vec<String>,
    /// The longest that a token may be good. Beyond a quarter of an hour this is how long STS's answer is remembered: STS itself
    /// takes no token that is older.
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
pub(super) struct AwsLogins(Arc<Logins>);

#[derive(Debug)]
struct Logins {
    settings: AwsLoginSettings,
    sts: Sts,
    desk: Desk,
    good: Mutex<Memory<Arc<Principal>>>,
    /// What STS did not take, or whom nobody knows here.
    refused: Mutex<Memory<LoginFault>>,
    /// What STS is being asked about.
    asking: Mutex<HashMap<Hash, Pending<Told>>>,
}

/// Whose a token is.
type Told = Result<Arc<Principal>, LoginFault>;

impl AwsLogins {
    pub(super) fn new(settings: AwsLoginSettings, fetch: SharedFetch) -> Self {
        Self(Arc::new(Logins {
            sts: Sts::new(&settings, fetch),
            desk: Desk::new(&settings),
            settings,
            good: Mutex::new(Memory::new(MOST_GOOD)),
            refused: Mutex::new(Memory::new(MOST_REFUSED)),
            asking: Mutex::default(),
        }))
    }

    /// Whose a token is that STS has vouched for, and that is good still.
    pub(super) fn known(&self, text: &str, now: SystemTime) -> Option<Arc<Principal>> {
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::MAX).as_second();
        self.0.remembered(&Sha256::digest(text.as_bytes()).into(), now)?.ok()
    }

    /// Whom a token is of.
    pub(super) async fn verify(&self, text: &str, now: SystemTime) -> Told {
        let logins = &self.0;
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::MAX).as_second();
        let hash: Hash = Sha256::digest(text.as_bytes()).into();
        if let Some(told) = logins.remembered(&hash, now) {
            return told;
        }
        let token = LoginToken::read(text)?;
        let regions = &logins.settings.regions;
        if !regions.is_empty() && !regions.contains(&token.region) {
            return Err(LoginFault::Region(token.region));
        }
        let until = token.check_times(logins.settings.longest, now)?;
        // Who comes with the same token meanwhile waits for the one answer.
        if let Some(pending) = logins.under_way(&hash) {
            return answer(pending).await;
        }
        let turn = logins.desk.turn(&token.region).await?;
        let pending = {
            let mut asking = logins.asking.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(told) = logins.remembered(&hash, now) {
                return told;
            }
            let running = asking.get(&hash).filter(|pending| pending.is_under_way()).cloned();
            running.unwrap_or_else(|| {
                let own = Arc::clone(logins);
                // It ends though its caller hangs up: what it costs was paid, and the next who comes has the answer.
                let pending = Pending::start(async move {
                    let told = own.ask(&token).await;
                    own.remember(hash, &told, until, now);
                    own.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash);
                    drop(turn);
                    told
                });
                asking.insert(hash, pending.clone());
                pending
            })
        };
        answer(pending).await
    }
}

impl Logins {
    fn remembered(&self, hash: &Hash, now: i64) -> Option<Told> {
        if let Some(principal) = self.good.lock().unwrap_or_else(PoisonError::into_inner).get(hash, now) {
            return Some(Ok(principal));
        }
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).get(hash, now).map(Err)
    }

    fn remember(&self, hash: Hash, told: &Told, until: i64, now: i64) {
        match told {
            Ok(principal) => {
                let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
                good.insert(hash, Arc::clone(principal), until);
            }
            // STS may answer a moment later.
            Err(LoginFault::Unavailable(_)) => {}
            Err(fault) => {
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                refused.insert(hash, fault.clone(), now.saturating_add(REFUSED_FOR_S));
            }
        }
    }

    fn under_way(&self, hash: &Hash) -> Option<Pending<Told>> {
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        asking.get(hash).filter(|pending| pending.is_under_way()).cloned()
    }

    /// Asks STS whose a token is.
    async fn ask(&self, token: &LoginToken) -> Told {
        let answered = self.sts.ask(token).await;
        self.desk.note(&token.region, answered.as_ref().err().map(String::as_str));
        let (status, body) = answered.map_err(|why| self.desk.outage(&token.region, why))?;
        let arn = sts::arn(status, &body)?;
        Ok(Arc::new(sts::principal(&self.settings.roles, &arn)?))
    }
}

async fn answer(pending: Pending<Told>) -> Told {
    let given_up = || Err(LoginFault::Unavailable(Outage::Sts("the question was given up".to_owned())));
    pending.answer().await.unwrap_or_else(given_up)
}

/// What others wrote, short enough to be repeated and fit for a log line.
fn excerpt(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}

/// How long a refusal is remembered.
const REFUSED_FOR_S: i64 = 60;
/// An entry is some hundred bytes, and a refusal's up to a kilobyte.
const MOST_GOOD: usize = 20_000;
const MOST_REFUSED: usize = 4_000;

#[cfg(test)]
use token::encode;

#[cfg(test)]
mod tests;
