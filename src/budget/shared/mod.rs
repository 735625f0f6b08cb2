//! Counts in Valkey or Redis: exact for every gateway on it.
//!
//! A reservation is one script, a settlement is another; the server runs one at a time, so that all lines of a call are
//! seen and held at one instant, by the server's clock. What runs is written down there under the gateway that runs it. A
//! gateway renews its lease every second; when it has been silent for a whole lease, another one settles its calls
//! at the reservation.
//!
//! | what happens | what becomes of it |
//! | --- | --- |
//! | a gateway is killed | its calls are settled at the reservation when its lease has ended, and listed as `crashed` |
//! | a gateway is cut off for longer than its lease | the same; what it settles afterwards finds the call settled, and changes nothing |
//! | the store was away for longer than a lease | every gateway has a lease again before anybody is taken to be dead: a gateway collects only after a lease in which it was answered throughout |
//! | the store does not answer | new calls under a hard budget: [`SharedOptions::allowance`]. Streams go on; settlements are kept and sent later |
//! | an answer is lost on its way | the request is made again: an id is reserved once and settled once |
//! | the store has gone back a little (a failover, a crash without `appendfsync always`) | what was settled meanwhile and is held again is settled at the reservation, and listed; what had been spent in that time and written nowhere else is lost |
//! | the store has lost its data | calls under a hard budget are refused until the data is back or the gateway is started again |
//!
//! A call waits for the store once, for its reservation, before anything is sent to Bedrock. A settlement is never waited for.

mod allowance;
mod callers;
mod holding;
mod keys;
mod link;
mod read;
mod reserve;
mod settle;
mod time;
mod watch;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use redis::Script;
use tokio::sync::{Notify, Semaphore, watch as channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::adjustment::{Adjustment, Adjustments, Change};
use super::bill::{Bill, UsageRow};
use super::store::{Answer, Booking, CounterState, Health, ReservationId, ReserveError, Settlement, Store, StoreError};
use super::threshold::{Mark, Pending};
use crate::types::Clock;
use allowance::Allowance;
pub use callers::SharedKeys;
use holding::Here;
use keys::Keys;
use link::Link;
pub use link::{SharedServer, Topology};
use read::Seen;
use time::ServerTime;
use watch::Steady;

/// How a shared store is used.
#[derive(Clone, Debug)]
pub struct SharedOptions {
    /// Where it is.
    pub server: SharedServer,
    /// Which of the stores on that server: gateways of one namespace share all counts, those of different ones nothing.
    pub namespace: String,
    /// How long a gateway may be silent before its calls are settled at the reservation.
    pub lease: Duration,
    /// How long usage and thresholds are kept.
    pub retention: Duration,
    /// For how much in nano-dollars this gateway lets calls through while the store does not answer; nothing refuses them
    /// all. It is what all of them together hold, or have spent, until the store has been told.
    pub allowance: u64,
}

impl SharedOptions {
    /// One server at an address, for whoever may connect; everything else is as the configuration has it where it says nothing.
    pub fn at(url: String) -> Self {
        let (user, password, ca_bundle, timeout) = (None, None, None, Duration::from_secs(1));
        Self {
            server: SharedServer { urls: vec![url], topology: Topology::Single, user, password, ca_bundle, timeout },
            namespace: "default".to_owned(),
            lease: Duration::from_secs(30),
            retention: Duration::from_hours(400 * 24),
            allowance: 0,
        }
    }
}

/// Counts on a server that gateways share.
pub struct SharedStore(Arc<Shared>);

struct Shared {
    link: Link,
    keys: Keys,
    scripts: Scripts,
    time: ServerTime,
    /// This process, among those that run now or ran before.
    gateway: String,
    lease: Duration,
    retention: Duration,
    /// The calls that run here.
    here: Mutex<HashMap<ReservationId, Here>>,
    allowance: Allowance,
    seen: Mutex<Seen>,
    adjustments: ArcSwapOption<Adjustments>,
    epoch: ArcSwapOption<String>,
    /// Why nothing can be reserved; nothing where something can.
    trouble: ArcSwapOption<String>,
    /// The store has other counts than those that were known.
    lost: AtomicBool,
    /// What of the allowance comes back when the store answers again.
    owed: Mutex<u64>,
    /// Who seems to be dead.
    steady: Mutex<Steady>,
    collecting: AtomicBool,
    /// Asks for a look at the store at once.
    look: Notify,
    /// How many settlements the store has not been told of, and whose.
    untold: channel::Sender<usize>,
    telling_of: Mutex<HashSet<ReservationId>>,
    /// Rows under this gateway's name of which it knows nothing, as of the last check.
    strange: Mutex<HashSet<ReservationId>>,
    telling: Semaphore,
    tasks: TaskTracker,
    ended: CancellationToken,
    /// The gateway is on its way out: what the store does not take now, another gateway settles.
    closing: AtomicBool,
}

struct Scripts {
    reserve: Script,
    settle: Script,
    beat: Script,
    bury: Script,
    change: Script,
    claim: Script,
}

impl SharedStore {
    /// Connects, and keeps in touch from then on. A store that does not answer is no error: it is asked again and again,
    /// and until it answers, [`SharedOptions::allowance`] is what remains. What is returned beside it is worth a warning.
    pub async fn open(options: &SharedOptions, clock: Arc<dyn Clock>) -> Result<(Self, Vec<String>), StoreError> {
        let store = Self::new(options, ServerTime::new(clock))?;
        let warnings = store.0.begin().await;
        let shared = Arc::clone(&store.0);
        store.0.tasks.spawn(shared.watch());
        Ok((store, warnings))
    }

    /// Connects for looking and for changing limits: nothing can be reserved.
    pub async fn look(options: &SharedOptions, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let store = Self::new(options, ServerTime::new(clock))?;
        store.0.look_in().await?;
        Ok(store)
    }

    fn new(options: &SharedOptions, time: ServerTime) -> Result<Self, StoreError> {
        let (untold, _) = channel::channel(0);
        Ok(Self(Arc::new(Shared {
            link: Link::new(&options.server)?,
            keys: Keys::new(&options.namespace),
            scripts: Scripts::new(),
            time,
            gateway: Uuid::new_v4().to_string(),
            lease: options.lease,
            retention: options.retention,
            here: Mutex::default(),
            allowance: Allowance::new(options.allowance),
            seen: Mutex::default(),
            adjustments: ArcSwapOption::empty(),
            epoch: ArcSwapOption::empty(),
            trouble: ArcSwapOption::from_pointee("it has not answered yet".to_owned()),
            lost: AtomicBool::new(false),
            owed: Mutex::default(),
            steady: Mutex::default(),
            collecting: AtomicBool::new(false),
            look: Notify::new(),
            untold,
            telling_of: Mutex::default(),
            strange: Mutex::default(),
            telling: Semaphore::new(TOLD_AT_ONCE),
            tasks: TaskTracker::new(),
            ended: CancellationToken::new(),
            closing: AtomicBool::new(false),
        })))
    }
}

impl Scripts {
    fn new() -> Self {
        let timed = |script| Script::new(&[include_str!("scripts/common.lua"), script].concat());
        Self {
            reserve: timed(include_str!("scripts/reserve.lua")),
            settle: timed(include_str!("scripts/settle.lua")),
            beat: timed(include_str!("scripts/beat.lua")),
            bury: Script::new(include_str!("scripts/bury.lua")),
            change: timed(include_str!("scripts/change.lua")),
            claim: Script::new(include_str!("scripts/claim.lua")),
        }
    }
}

impl Shared {
    fn here(&self) -> MutexGuard<'_, HashMap<ReservationId, Here>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the store does not answer, or that it does again: one line in the log each time.
    fn answers(&self, trouble: Option<&StoreError>) {
        let was = self.trouble.swap(trouble.map(|error| Arc::new(error.0.clone())));
        match (trouble, was) {
            (Some(error), None) => {
                tracing::error!(
                    %error,
                    allowance = %crate::types::Money::from_nanos(super::words::signed(self.allowance.limit())),
                    "calls under hard budgets are refused, or go on within the allowance; what is settled is kept and sent later"
                );
                self.look.notify_one();
            }
            (None, Some(_)) => {
                let owed = std::mem::take(&mut *self.owed.lock().unwrap_or_else(PoisonError::into_inner));
                self.allowance.becomes(owed, 0);
                let untold = *self.untold.borrow();
                tracing::info!(untold, "the budget store answers; what was settled meanwhile is on its way to it");
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

impl Store for SharedStore {
    fn reserve(&self, booking: Booking) -> Answer<'_, Result<Vec<CounterState>, ReserveError>> {
        Box::pin(self.0.reserve(booking))
    }

    fn settle(&self, settlement: Settlement) {
        self.0.settle(settlement);
    }

    /// As they were seen last, which is a second ago unless the store does not answer.
    fn counters(&self) -> Answer<'_, Result<Vec<CounterState>, StoreError>> {
        Box::pin(std::future::ready(Ok(self.0.seen().states(self.0.time.now()))))
    }

    fn bill(&self) -> Answer<'_, Result<Bill, StoreError>> {
        Box::pin(self.0.bill())
    }

    fn usage(&self, since: SystemTime) -> Answer<'_, Result<Vec<UsageRow>, StoreError>> {
        Box::pin(self.0.usage(since))
    }

    fn claim(&self, mark: Mark, for_webhook: bool) -> Answer<'_, Result<bool, StoreError>> {
        Box::pin(self.0.claim(mark, for_webhook))
    }

    fn pending(&self) -> Answer<'_, Result<Vec<Pending>, StoreError>> {
        Box::pin(self.0.pending())
    }

    fn delivered(&self, mark: Mark) -> Answer<'_, Result<(), StoreError>> {
        Box::pin(self.0.delivered(mark))
    }

    fn change(&self, change: Change, now: SystemTime) -> Answer<'_, Result<(), StoreError>> {
        Box::pin(self.0.change(change, now))
    }

    fn history(&self) -> Answer<'_, Result<Vec<Adjustment>, StoreError>> {
        Box::pin(self.0.history())
    }

    fn health(&self) -> Health {
        let trouble = self.0.trouble.load().as_ref().map(ToString::to_string);
        let (running, unwritten) = (self.0.here().len() as u64, *self.0.untold.borrow() as u64);
        Health { trouble, running, unwritten }
    }

    fn adjustments(&self) -> Option<Arc<Adjustments>> {
        self.0.adjustments.load_full()
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(self.0.close())
    }
}

impl Drop for SharedStore {
    /// Ends as a kill would: what was not settled is settled by the others.
    fn drop(&mut self) {
        self.0.closing.store(true, Ordering::Relaxed);
        self.0.ended.cancel();
    }
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStore")
            .field("link", &self.0.link)
            .field("gateway", &self.0.gateway)
            .finish_non_exhaustive()
    }
}

/// How many settlements are on their way at once.
const TOLD_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests;
