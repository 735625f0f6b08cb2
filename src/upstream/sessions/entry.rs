//! One session and its successors: read without waiting, asked for by one at a time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use tokio::time::Instant;

use super::role::SessionRequest;
use super::sts::AssumeError;
use crate::profiles::control::jittered;
use crate::sigv4::{AwsCredentials, Signer};
use crate::upstream::credentials::Loaded;

/// Credentials of a session, with the keys that are derived from them.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) loaded: Loaded,
    /// For Bedrock. With one signer for all, ten thousand sessions would push each other's keys out.
    pub(super) signer: Signer,
    begun: SystemTime,
    /// When another is fetched in its place.
    due: SystemTime,
}

impl Session {
    fn new(loaded: Loaded, begun: SystemTime) -> Self {
        let life = loaded.expires.and_then(|expires| expires.duration_since(begun).ok()).unwrap_or(LONGEST);
        // Those that were made in one moment must not all be made anew in one.
        let due = begun + life * 7 / 10 + jittered(life / 10);
        Self { loaded, signer: Signer::default(), begun, due }
    }

    pub(super) fn is_good(&self, now: SystemTime) -> bool {
        self.loaded.expires.is_none_or(|expires| now + MARGIN < expires)
    }

    pub(super) const fn credentials(&self) -> &AwsCredentials {
        &self.loaded.credentials
    }
}

/// A session that there is or was, and what STS is asked for in order to have it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) asked: SessionRequest,
    live: ArcSwapOption<Session>,
    /// In seconds since 1970.
    used: AtomicU64,
    /// Held by whoever asks STS.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Whether a renewal waits for its turn.
    queued: AtomicBool,
    refused: Mutex<Option<Refused>>,
}

/// What STS has refused, and how long it is not asked for it again.
#[derive(Clone, Debug)]
struct Refused {
    until: Instant,
    times: u32,
    error: AssumeError,
}

impl Entry {
    pub(super) fn new(asked: SessionRequest) -> Arc<Self> {
        Arc::new(Self {
            asked,
            live: ArcSwapOption::empty(),
            used: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
            queued: AtomicBool::default(),
            refused: Mutex::default(),
        })
    }

    /// The session, where it is good now. Whoever asks uses it.
    pub(super) fn current(&self, now: SystemTime) -> Option<Arc<Session>> {
        self.used.store(seconds(now), Ordering::Relaxed);
        self.good(now)
    }

    /// The same without using it.
    pub(super) fn good(&self, now: SystemTime) -> Option<Arc<Session>> {
        self.live.load_full().filter(|session| session.is_good(now))
    }

    /// When it was last used, in seconds since 1970.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether it was used within the last while.
    pub(super) fn is_in_use(&self, now: SystemTime) -> bool {
        seconds(now).saturating_sub(self.used()) < IN_USE_S
    }

    /// Whether another is to be fetched although it is still good, or because it has just run out.
    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        self.live.load().as_ref().is_some_and(|session| session.due <= now)
    }

    /// Notes that a renewal waits for its turn. False where one does already.
    pub(super) fn queue(&self) -> bool {
        !self.queued.swap(true, Ordering::Relaxed)
    }

    /// It has its turn.
    pub(super) fn unqueue(&self) {
        self.queued.store(false, Ordering::Relaxed);
    }

    /// Whether there is nothing left to keep.
    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        !self.is_in_use(now) && self.live.load().as_ref().is_none_or(|session| !session.is_good(now))
    }

    pub(super) fn put(&self, loaded: Loaded, begun: SystemTime) -> Arc<Session> {
        let session = Arc::new(Session::new(loaded, begun));
        self.live.store(Some(Arc::clone(&session)));
        *self.refusal() = None;
        session
    }

    /// Gives a session up that Bedrock does not take. One that is quite new stays: STS must not be asked by every call that is
    /// refused.
    pub(super) fn drop_session(&self, session: &Arc<Session>, now: SystemTime) -> bool {
        if now.duration_since(session.begun).unwrap_or_default() < AT_MOST_EVERY {
            return false;
        }
        let before = self.live.compare_and_swap(session, None);
        before.as_ref().is_some_and(|before| Arc::ptr_eq(before, session))
    }

    /// Notes that STS will not have it, for the next while; longer each time.
    pub(super) fn refuse(&self, error: &AssumeError) {
        let mut refused = self.refusal();
        let times = refused.as_ref().map_or(0, |refused| refused.times + 1);
        let span = (REMEMBERED * (1 << times.min(6))).min(REMEMBERED_AT_MOST);
        *refused = Some(Refused { until: Instant::now() + span, times, error: error.clone() });
    }

    /// What STS said to it a moment ago.
    pub(super) fn refused_lately(&self) -> Option<AssumeError> {
        self.refusal().as_ref().filter(|refused| Instant::now() < refused.until).map(|refused| refused.error.clone())
    }

    fn refusal(&self) -> MutexGuard<'_, Option<Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the tenth that was used longest ago: searching for it is paid for by as many newcomers.
pub(super) fn make_room(personal: &DashMap<String, Arc<Entry>>) {
    let mut used: Vec<u64> = personal.iter().map(|entry| entry.used()).collect();
    let tenth = used.len() / 10;
    if tenth >= used.len() {
        return;
    }
    let (_, oldest, _) = used.select_nth_unstable(tenth);
    let oldest = *oldest;
    let mut leaving = tenth + 1;
    personal.retain(|_, entry| {
        let leaves = leaving > 0 && entry.used() <= oldest;
        leaving -= usize::from(leaves);
        !leaves
    });
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A session that is on its way to AWS must not run out before it is there.
const MARGIN: Duration = Duration::from_secs(10);
/// What AWS gives at most.
const LONGEST: Duration = Duration::from_hours(12);
/// Sessions that nobody has used for longer are not renewed.
const IN_USE_S: u64 = 15 * 60;
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
const REMEMBERED: Duration = Duration::from_secs(5);
const REMEMBERED_AT_MOST: Duration = Duration::from_mins(1);
