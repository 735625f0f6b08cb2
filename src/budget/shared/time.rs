//! The server's clock, as far as it is known here: windows are chosen by it, and a script checks the choice.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use crate::budget::words::millis;
use crate::types::Clock;

/// This machine's clock, and how far the server's is ahead of it.
pub(super) struct ServerTime {
    clock: Arc<dyn Clock>,
    ahead_ms: AtomicI64,
    /// Tests tell the scripts the time.
    told: bool,
}

impl ServerTime {
    pub(super) const fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, ahead_ms: AtomicI64::new(0), told: false }
    }

    /// The scripts go by this clock.
    #[cfg(test)]
    pub(super) const fn of_test(clock: Arc<dyn Clock>) -> Self {
        Self { clock, ahead_ms: AtomicI64::new(0), told: true }
    }

    pub(super) fn now(&self) -> SystemTime {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        let (now, by) = (self.clock.now(), Duration::from_millis(ahead.unsigned_abs()));
        let moved = if ahead < 0 { now.checked_sub(by) } else { now.checked_add(by) };
        moved.unwrap_or(now)
    }

    /// This machine's clock.
    pub(super) fn local(&self) -> SystemTime {
        self.clock.now()
    }

    /// Takes up what the server's clock says.
    pub(super) fn learn(&self, server_ms: i64) {
        if !self.told {
            self.ahead_ms.store(server_ms.saturating_sub(millis(self.clock.now())), Ordering::Relaxed);
        }
    }

    /// What a script is told of the time: nothing, so that it asks the server.
    pub(super) fn argument(&self) -> String {
        if self.told { millis(self.clock.now()).to_string() } else { String::new() }
    }
}

impl fmt::Debug for ServerTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTime").field("ahead_ms", &self.ahead_ms).finish_non_exhaustive()
    }
}
