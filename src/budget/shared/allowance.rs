//! What a gateway lets through while the store does not answer.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// An amount in nano-dollars, and how much of it is in use: held for calls that run, or spent and not yet told.
#[derive(Debug)]
pub(super) struct Allowance {
    limit: u64,
    used: Mutex<u64>,
}

impl Allowance {
    pub(super) const fn new(limit: u64) -> Self {
        Self { limit, used: Mutex::new(0) }
    }

    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn left(&self) -> u64 {
        self.limit.saturating_sub(*self.used())
    }

    /// Takes an amount if it is there. Where nothing is allowed, not even a call that costs nothing is.
    pub(super) fn take(&self, amount: u64) -> bool {
        let mut used = self.used();
        let after = used.checked_add(amount).filter(|after| self.limit > 0 && *after <= self.limit);
        if let Some(after) = after {
            *used = after;
        }
        after.is_some()
    }

    /// What was held is known to be another amount; nothing, once the store has been told.
    pub(super) fn becomes(&self, held: u64, spent: u64) {
        let mut used = self.used();
        *used = used.saturating_sub(held).saturating_add(spent);
    }

    fn used(&self) -> MutexGuard<'_, u64> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back_when_the_store_has_been_told() {
        let allowance = Allowance::new(100);
        assert!(allowance.take(60) && !allowance.take(41) && allowance.take(40));
        allowance.becomes(60, 10);
        assert_eq!(allowance.left(), 50);
        allowance.becomes(10, 0);
        allowance.becomes(40, 70);
        assert_eq!((allowance.left(), allowance.take(31)), (30, false));
        assert!(!Allowance::new(0).take(0));
        assert!(!Allowance::new(u64::MAX).take(u64::MAX) || !allowance.take(u64::MAX));
    }
}
