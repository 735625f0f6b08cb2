//! Reading on after the caller hung up, because AWS bills the whole answer and the counts stand at its end.
//!
//! Bounded in number and in time: an answer beyond either is given up and settled at its reservation. A caller who takes
//! nothing of an answer for as long as Bedrock may fall silent counts as one who hung up: they would hold a connection to
//! Bedrock and a reservation for as long as they like.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::flow::Flow;

/// The bounds, and the drains under way.
#[derive(Clone, Debug)]
pub struct Drains {
    policy: OnDisconnect,
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    timeout: Duration,
    patience: Duration,
    flows: Arc<Flows>,
    over: CancellationToken,
}

/// What is done with the rest of an answer whose caller has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnDisconnect {
    /// It is read to its end, so that the call is settled at its usage.
    #[default]
    Drain,
    /// The connection to Bedrock is closed and the call settled at its reservation.
    Cancel,
}

/// The answers on their way to callers.
#[derive(Debug, Default)]
struct Flows {
    last: AtomicU64,
    open: DashMap<u64, Weak<Flow>>,
}

/// Keeps an answer under the watch of [`Drains::watch`].
#[derive(Debug)]
pub(super) struct Watched {
    flows: Arc<Flows>,
    number: u64,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.flows.open.remove(&self.number);
    }
}

impl Drains {
    /// At most `streams` at once, each for at most `timeout`. A caller has `patience` to take the next piece of an answer.
    pub fn new(policy: OnDisconnect, streams: usize, timeout: Duration, patience: Duration) -> Self {
        let (permits, tasks) = (Arc::new(Semaphore::new(streams)), TaskTracker::new());
        Self { policy, permits, tasks, timeout, patience, flows: Arc::default(), over: CancellationToken::new() }
    }

    /// Takes an answer under watch.
    pub(super) fn watched(&self, flow: &Arc<Flow>) -> Watched {
        let number = self.flows.last.fetch_add(1, Ordering::Relaxed);
        self.flows.open.insert(number, Arc::downgrade(flow));
        Watched { flows: Arc::clone(&self.flows), number }
    }

    /// Looks after callers who have stopped reading, until `stop` is cancelled. One task for all, because a timer for each
    /// answer would have to be set anew for each piece.
    pub async fn watch(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval((self.patience / LOOKS).max(Duration::from_millis(1)));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // Collected first: what follows takes an answer's own lock, and may open a drain.
            let open: Vec<_> = self.flows.open.iter().filter_map(|flow| flow.upgrade()).collect();
            for flow in open {
                if flow.is_stuck(LOOKS) {
                    tracing::info!("a caller has stopped reading; what is left of the answer is read without them");
                    flow.leave(&self);
                }
            }
        }
    }

    /// What is done with the rest of an answer whose caller has left.
    pub(super) const fn policy(&self) -> OnDisconnect {
        self.policy
    }

    /// How long one may take.
    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A place for one more, if there is one.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// Runs a drain in the background. Without a runtime the drain is dropped, and its reservation settles itself.
    pub(super) fn run(&self, drain: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = Handle::try_current() {
            self.tasks.spawn_on(drain, &runtime);
        }
    }

    /// What goes on in the background, for which [`Drains::finished`] waits.
    pub(super) const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Resolves when the gateway will wait for drains no longer.
    pub(super) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Waits until none is left: the last step of a shutdown. Those that are left after `within` are settled at their
    /// reservation; says whether there were none.
    pub async fn finished(&self, within: Duration) -> bool {
        self.tasks.close();
        if tokio::time::timeout(within, self.tasks.wait()).await.is_ok() {
            return true;
        }
        self.over.cancel();
        // They only have to write down their end. A call that Bedrock has not answered yet is settled by its drop.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await;
        false
    }
}

/// How often an answer is looked at within the patience. The more, the closer to it a caller is given up.
const LOOKS: u32 = 8;
