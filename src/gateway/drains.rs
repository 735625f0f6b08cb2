//! Reading on after the caller hung up, because AWS bills the whole answer and the counts stand at its end.
//!
//! Bounded in number and in time: an answer beyond either is given up and settled at its reservation.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

/// The bounds, and the drains under way.
#[derive(Clone, Debug)]
pub struct Drains {
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    timeout: Duration,
}

impl Drains {
    /// At most `streams` at once, each for at most `timeout`.
    pub fn new(streams: usize, timeout: Duration) -> Self {
        Self { permits: Arc::new(Semaphore::new(streams)), tasks: TaskTracker::new(), timeout }
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

    /// Waits until none is left: the last step of a shutdown.
    pub async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
