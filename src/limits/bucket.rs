//! A bucket that holds one period's worth of units, refills evenly, and may be in debt.
//!
//! The invariant: what is taken and not given back by any moment is at most one period's worth, plus what has been refilled
//! since the start, plus the debt of that moment.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

/// See the module. Levels are counted in units times nanoseconds of the period, so that no refill is rounded.
#[derive(Debug)]
pub(super) struct Bucket {
    units: i128,
    period: i128,
    level: i128,
    at: Instant,
}

impl Bucket {
    /// A full bucket of so many units a period.
    pub(super) fn full(units: NonZeroU64, period: Duration, now: Instant) -> Self {
        let (units, period) = (i128::from(units.get()), nanoseconds(period));
        Self { units, period, level: units.saturating_mul(period), at: now }
    }

    /// How long until there is a unit; `None` where there is one.
    pub(super) fn shortage(&mut self, now: Instant) -> Option<Duration> {
        self.refill(now);
        let missing = self.period - self.level;
        (missing > 0).then(|| {
            let nanoseconds = missing.saturating_add(self.units - 1) / self.units;
            Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
        })
    }

    /// Takes units, whether they are there or not. Refills first: what did not fit must not pay for what is taken now.
    pub(super) fn take(&mut self, units: u64, now: Instant) {
        self.refill(now);
        self.level = self.level.saturating_sub(i128::from(units).saturating_mul(self.period));
    }

    /// Gives units back; what the bucket does not hold is lost.
    pub(super) fn give(&mut self, units: u64) {
        let given = self.level.saturating_add(i128::from(units).saturating_mul(self.period));
        self.level = given.min(self.capacity());
    }

    /// A period's worth.
    pub(super) fn most(&self) -> u64 {
        u64::try_from(self.units).unwrap_or(u64::MAX)
    }

    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.level >= self.capacity()
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = nanoseconds(now.saturating_duration_since(self.at));
        self.level = self.level.saturating_add(elapsed.saturating_mul(self.units)).min(self.capacity());
        self.at = self.at.max(now);
    }

    const fn capacity(&self) -> i128 {
        self.units.saturating_mul(self.period)
    }
}

fn nanoseconds(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Wait(u64),
        /// Admitted if there is a unit: what is taken, and what turns out to be used.
        Call(u64, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..30_000_000_000_u64).prop_map(Step::Wait),
            (0..500_u64, 0..2_000_u64).prop_map(|(taken, used)| Step::Call(taken, used)),
        ]
    }

    proptest! {
        #[test]
        fn never_more_than_a_period_the_refill_and_the_debt(
            units in 1..1_000_u64,
            steps in proptest::collection::vec(step(), 1..60),
        ) {
            let period = Duration::from_mins(1);
            let start = Instant::now();
            let mut bucket = Bucket::full(NonZeroU64::new(units).unwrap(), period, start);
            let (mut now, mut used_in_all) = (start, 0_i128);
            for step in steps {
                match step {
                    Step::Wait(nanoseconds) => now += Duration::from_nanos(nanoseconds),
                    Step::Call(taken, used) => {
                        if let Some(wait) = bucket.shortage(now) {
                            // The wait is exact: then there is room, and not a nanosecond before.
                            let mut later = Bucket { ..bucket };
                            prop_assert_eq!(later.shortage(now + wait), None);
                            let mut just_before = Bucket { ..bucket };
                            let before = now + wait.saturating_sub(Duration::from_nanos(1));
                            prop_assert!(just_before.shortage(before).is_some());
                            continue;
                        }
                        bucket.take(taken, now);
                        if used < taken { bucket.give(taken - used) } else { bucket.take(used - taken, now) }
                        used_in_all += i128::from(used);
                    }
                }
                bucket.refill(now);
                let refilled = nanoseconds(now - start) * i128::from(units);
                let bound = bucket.capacity() + refilled + (-bucket.level).max(0);
                prop_assert!(used_in_all * nanoseconds(period) <= bound);
                prop_assert!(bucket.level <= bucket.capacity());
            }
        }
    }

    #[test]
    fn debt_is_paid_by_the_refill() {
        let start = Instant::now();
        let mut bucket = Bucket::full(NonZeroU64::new(60).unwrap(), Duration::from_mins(1), start);
        bucket.take(90, start);
        assert_eq!(bucket.shortage(start), Some(Duration::from_secs(31)));
        assert_eq!(bucket.shortage(start + Duration::from_secs(31)), None);
        bucket.give(1_000);
        assert!(bucket.is_full(start), "it holds no more than a minute's worth");
    }

    #[test]
    fn absurd_amounts_do_not_overflow() {
        let start = Instant::now();
        let mut bucket = Bucket::full(NonZeroU64::MAX, Duration::from_mins(1), start);
        for _ in 0..3 {
            bucket.take(u64::MAX, start);
        }
        assert!(bucket.shortage(start).is_some());
        bucket.give(u64::MAX);
        let mut slow = Bucket::full(NonZeroU64::MIN, Duration::from_mins(1), start);
        slow.take(u64::MAX, start);
        assert_eq!(slow.shortage(start), Some(Duration::from_nanos(u64::MAX)));
    }
}
