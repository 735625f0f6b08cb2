//! Sessions of roles in other accounts, or of principals: fetched by `AssumeRole`, kept while they are good, bounded in number.
//!
//! - A call whose session is there waits for nothing. One whose session is not waits for STS, which is asked once however many wait.
//! - A session that is in use is renewed when three quarters of its life have passed; one that has expired signs nothing. While STS is
//!   away, those that are good serve on.
//! - STS is asked by few at a time, not at all for a while where it cannot be asked, and for what it has refused later and later.
//! - There are [`MOST`] sessions of principals in one account at most; those that were used longest ago make room. Ten thousand
//!   principals in one account ask STS about four times a second, because a session lives for an hour.

mod entry;
mod role;
mod sts;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use dashmap::DashMap;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::UpstreamError;
use crate::identity::Principal;
use crate::profiles::control::jittered;
use crate::sigv4::{AwsCredentials, Signer};
use crate::types::{AccountId, Clock};
use entry::{Entry, Session, make_room};

pub use role::{AssumedRole, SessionRequest, Untaggable, session_name};
pub use sts::{AssumeError, AssumeRole, Assumed, Sts};

/// The sessions there are.
#[derive(Debug)]
pub struct Sessions {
    accounts: HashMap<AccountId, Account>,
    sts: Box<dyn AssumeRole>,
    clock: Arc<dyn Clock>,
    /// For calls that wait.
    turns: Semaphore,
    /// For renewals, which can wait.
    few_turns: Semaphore,
    away: Mutex<Away>,
}

/// The sessions of one role.
#[derive(Debug)]
struct Account {
    role: AssumedRole,
    /// The gateway's own, and everybody's where theirs do not differ.
    own: Arc<Entry>,
    personal: Option<DashMap<String, Arc<Entry>>>,
    asked: [AtomicU64; 5],
    /// When an operator was last told.
    told: Mutex<Option<Instant>>,
}

/// Until when STS is not asked.
#[derive(Debug, Default)]
struct Away {
    until: Option<Instant>,
    times: u32,
    why: String,
}

/// What a call is signed with.
#[derive(Clone, Debug)]
pub struct Signing(Option<(Arc<Entry>, Arc<Session>)>);

impl Signing {
    /// The gateway's own credentials.
    pub(super) const OWN: Self = Self(None);

    /// A session's credentials, and who signs with them.
    pub(super) fn session(&self) -> Option<(&AwsCredentials, &Signer)> {
        self.0.as_ref().map(|(_, session)| (session.credentials(), &session.signer))
    }

    /// The same as it is now: the call may have waited for longer than the session was good.
    pub(super) fn newest(self, now: SystemTime) -> Result<Self, UpstreamError> {
        match self.0 {
            Some((entry, session)) if !session.is_good(now) => {
                let newest = entry.good(now).ok_or_else(|| {
                    UpstreamError::Credentials("the session expired while the call waited".to_owned())
                })?;
                Ok(Self(Some((entry, newest))))
            }
            own => Ok(Self(own)),
        }
    }
}

/// How the sessions of one account stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCounts {
    /// Whose role.
    pub account: AccountId,
    /// Sessions that are kept.
    pub sessions: usize,
    /// How often STS was asked, by what came of it.
    pub asked: [(&'static str, u64); 5],
}

impl Sessions {
    /// Assumes these roles, one for an account.
    pub fn new(roles: Vec<AssumedRole>, sts: Box<dyn AssumeRole>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let accounts = roles.into_iter().map(|role| {
            let account = Account {
                own: Entry::new(role.own_request()),
                personal: role.is_personal().then(DashMap::new),
                asked: Default::default(),
                told: Mutex::default(),
                role,
            };
            (account.role.account.clone(), account)
        });
        Arc::new(Self {
            accounts: accounts.collect(),
            sts,
            clock,
            turns: Semaphore::new(TURNS),
            few_turns: Semaphore::new(FEW_TURNS),
            away: Mutex::default(),
        })
    }

    /// What a principal's call in an account is signed with.
    pub(super) async fn of(
        self: &Arc<Self>,
        account: &AccountId,
        principal: &Principal,
    ) -> Result<Signing, UpstreamError> {
        let Some(account) = self.accounts.get(account) else { return Ok(Signing::OWN) };
        let entry = self.entry(account, principal)?;
        self.held(entry).await
    }

    /// What the gateway's own questions in an account are signed with.
    pub(super) async fn own(self: &Arc<Self>, account: &AccountId) -> Result<Signing, UpstreamError> {
        let Some(account) = self.accounts.get(account) else { return Ok(Signing::OWN) };
        self.held(Arc::clone(&account.own)).await
    }

    async fn held(self: &Arc<Self>, entry: Arc<Entry>) -> Result<Signing, UpstreamError> {
        let session = match entry.current(self.clock.now()) {
            Some(session) => session,
            None => Box::pin(self.fetched(&entry)).await?,
        };
        Ok(Signing(Some((entry, session))))
    }

    fn entry(&self, account: &Account, principal: &Principal) -> Result<Arc<Entry>, Untaggable> {
        let Some(personal) = &account.personal else { return Ok(Arc::clone(&account.own)) };
        let key = account.role.key(principal)?;
        if let Some(entry) = personal.get(&key) {
            return Ok(Arc::clone(&entry));
        }
        let asked = account.role.request(principal)?;
        if personal.len() >= MOST {
            make_room(personal);
        }
        let entry = personal.entry(key).or_insert_with(|| Entry::new(asked));
        // Used from its first moment: whoever makes room must not take it.
        entry.current(self.clock.now());
        Ok(Arc::clone(&entry))
    }

    /// Waits for a session, which is fetched to its end even if the caller leaves.
    async fn fetched(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<Arc<Session>, UpstreamError> {
        let failed = |error: &dyn std::fmt::Display| {
            let SessionRequest { role_arn, name, .. } = &entry.asked;
            UpstreamError::Credentials(format!("the session {name} of {role_arn}: {error}"))
        };
        let (own, wanted) = (Arc::clone(self), Arc::clone(entry));
        let fetching = tokio::spawn(async move { own.alone(&wanted).await });
        match tokio::time::timeout(PATIENCE, fetching).await {
            Ok(Ok(fetched)) => fetched.map_err(|error| failed(&error)),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(failed(&"STS takes too long")),
        }
    }

    /// One at a time for one session; whoever comes second finds it fetched, or refused.
    async fn alone(&self, entry: &Entry) -> Result<Arc<Session>, AssumeError> {
        let _turn = entry.turn.lock().await;
        if let Some(session) = entry.good(self.clock.now()) {
            return Ok(session);
        }
        if let Some(error) = entry.refused_lately() {
            return Err(error);
        }
        self.is_there()?;
        let Ok(_turn) = self.turns.acquire().await else { return Err(AssumeError::Unavailable("closed".to_owned())) };
        self.ask(entry).await
    }

    /// Asks STS, a few times where too many ask or a connection broke. Whoever asks has a turn.
    async fn ask(&self, entry: &Entry) -> Result<Arc<Session>, AssumeError> {
        let mut pause = FIRST_PAUSE;
        for tries_left in (0..TRIES).rev() {
            // It may have been found away while we waited.
            self.is_there()?;
            let begun = self.clock.now();
            let answered = self.sts.assume(&entry.asked).await;
            self.count(entry, answered.as_ref().map(|_| ()));
            match answered {
                Ok(loaded) => {
                    *self.away() = Away::default();
                    let SessionRequest { account, name, .. } = &entry.asked;
                    tracing::debug!(%account, name, "a session was fetched");
                    return Ok(entry.put(loaded, begun));
                }
                Err(error) if error.is_passing() && tries_left > 0 => {
                    // The turn is held meanwhile: who is asked too often is asked less.
                    tokio::time::sleep(jittered(pause)).await;
                    pause *= 2;
                }
                Err(error) => {
                    self.note(entry, &error);
                    return Err(error);
                }
            }
        }
        self.is_there()?;
        Err(AssumeError::Unavailable("it was given up".to_owned()))
    }

    /// Remembers why there is no session, and tells whoever can mend it.
    fn note(&self, entry: &Entry, error: &AssumeError) {
        let SessionRequest { account, role_arn, name, .. } = &entry.asked;
        if error.is_passing() {
            let (mut away, now) = (self.away(), Instant::now());
            // Those that were asking at the same time have met one outage, not many.
            if away.until.is_none_or(|until| until <= now) {
                let span = (AWAY_FOR * (1 << away.times.min(5))).min(AWAY_AT_MOST);
                *away = Away { until: Some(now + span), times: away.times + 1, why: error.to_string() };
            }
            tracing::warn!(%account, role_arn, name, %error, "no session could be fetched; those that are good serve on");
            return;
        }
        entry.refuse(error);
        let Some(account) = self.accounts.get(account) else { return };
        let mut told = account.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            *told = Some(Instant::now());
            let account = &account.role.account;
            tracing::error!(
                %account, role_arn, name, %error,
                "the role cannot be assumed: look at its trust policy (sts:AssumeRole, sts:TagSession, the external id), at the \
                 gateway's own policy, and at [[accounts]]",
            );
        }
    }

    fn is_there(&self) -> Result<(), AssumeError> {
        let away = self.away();
        match away.until {
            Some(until) if Instant::now() < until => {
                Err(AssumeError::Unavailable(format!("it could not be a moment ago: {}", away.why)))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn away(&self) -> std::sync::MutexGuard<'_, Away> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bedrock does not know a session: another is fetched. False where it was the gateway's own credentials.
    pub(super) fn refused(self: &Arc<Self>, signing: &Signing) -> bool {
        let Some((entry, session)) = &signing.0 else { return false };
        if entry.drop_session(session, self.clock.now()) {
            let SessionRequest { role_arn, name, .. } = &entry.asked;
            tracing::warn!(role_arn, name, "AWS does not take a session any more; fetching another");
            let (own, entry) = (Arc::clone(self), Arc::clone(entry));
            tokio::spawn(async move { own.alone(&entry).await });
        }
        true
    }

    /// Renews what is in use ahead of its expiry and forgets what is over, until `stop` is cancelled.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        if self.accounts.is_empty() {
            return;
        }
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => self.look(),
            }
        }
    }

    fn look(self: &Arc<Self>) {
        let now = self.clock.now();
        let away = self.is_there().is_err();
        let mut due = Vec::new();
        for account in self.accounts.values() {
            let mut see = |entry: &Arc<Entry>| {
                if !away
                    && entry.is_due(now)
                    && entry.is_in_use(now)
                    && entry.refused_lately().is_none()
                    && entry.queue()
                {
                    due.push(Arc::clone(entry));
                }
            };
            see(&account.own);
            if let Some(personal) = &account.personal {
                personal.retain(|_, entry| !entry.is_over(now));
                personal.iter().for_each(|entry| see(&entry));
            }
        }
        for entry in due {
            let own = Arc::clone(self);
            tokio::spawn(async move {
                // First a turn, then the session: a caller whose session runs out meanwhile must not wait for us.
                let few = own.few_turns.acquire().await;
                entry.unqueue();
                // Whoever asks already does it for us.
                let (Ok(_few), Ok(_turn)) = (few, entry.turn.try_lock()) else { return };
                if entry.is_due(own.clock.now()) {
                    // Why not has been noted.
                    let _ = own.ask(&entry).await;
                }
            });
        }
    }

    fn count(&self, entry: &Entry, answered: Result<(), &AssumeError>) {
        let at = match answered {
            Ok(()) => 0,
            Err(AssumeError::Denied(_)) => 1,
            Err(AssumeError::Refused(_)) => 2,
            Err(AssumeError::Throttled(_)) => 3,
            Err(AssumeError::Unavailable(_)) => 4,
        };
        if let Some(count) = self.accounts.get(&entry.asked.account).and_then(|account| account.asked.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How the sessions stand, in the order of the accounts' ids.
    pub fn counts(&self) -> Vec<SessionCounts> {
        let now = self.clock.now();
        let count = |account: &Account| {
            let own = usize::from(account.own.good(now).is_some());
            let [ok, denied, refused, throttled, unavailable] = &account.asked;
            let times = |name, count: &AtomicU64| (name, count.load(Ordering::Relaxed));
            SessionCounts {
                account: account.role.account.clone(),
                sessions: own + account.personal.as_ref().map_or(0, DashMap::len),
                asked: [
                    times("ok", ok),
                    times("denied", denied),
                    times("refused", refused),
                    times("throttled", throttled),
                    times("unavailable", unavailable),
                ],
            }
        };
        let mut counts: Vec<_> = self.accounts.values().map(count).collect();
        counts.sort_by(|one, other| one.account.cmp(&other.account));
        counts
    }
}

/// How many sessions of principals are kept for one account. Each has about three kilobytes.
const MOST: usize = 16_384;
/// How many calls ask STS at once; the others wait.
const TURNS: usize = 16;
const FEW_TURNS: usize = 4;
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How long a call waits for its session.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long STS is not asked where it cannot be; longer each time.
const AWAY_FOR: Duration = Duration::from_secs(1);
const AWAY_AT_MOST: Duration = Duration::from_secs(30);
const TOLD_EVERY: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
