//! How often a source may fail to prove who it is.
//!
//! Every failure takes from the source's rate. Once that is used up, whatever is dear to check (a signature over a body, a token of an
//! issuer) is not checked for a while, and the answer to it is to try later; a key of this gateway is still looked up, which
//! costs next to nothing, so that one host behind a shared address does not shut out the others there. A request without any
//! credential is no failure: nothing was guessed.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::shown::Source;

/// The failures of every source.
#[derive(Debug)]
pub(super) struct Failures {
    /// Nothing where failures are not limited.
    limiter: Option<RateLimiter<Counted, HashMapStateStore<Counted>, DefaultClock>>,
    /// Until when a source is not listened to.
    shut: Mutex<HashMap<Counted, Instant>>,
}

/// Whose failures are counted together. Beyond [`MOST`] sources all others are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    One(Source),
    Others,
}

impl Failures {
    pub(super) fn new(per_minute: Option<NonZeroU32>) -> Self {
        let limiter = per_minute.map(|rate| RateLimiter::hashmap(Quota::per_minute(rate)));
        Self { limiter, shut: Mutex::default() }
    }

    /// How long a source is not listened to; nothing where it is.
    pub(super) fn shut_out(&self, source: Source) -> Option<Duration> {
        let mut shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        if shut.is_empty() {
            return None;
        }
        let now = Instant::now();
        shut.retain(|_, until| *until > now);
        let until = shut.get(&Counted::One(source)).or_else(|| shut.get(&Counted::Others))?;
        Some(until.duration_since(now))
    }

    /// Counts a failure; how long the source is not listened to from now on, where that was one too many.
    pub(super) fn count(&self, source: Source) -> Option<Duration> {
        let limiter = self.limiter.as_ref()?;
        if limiter.len() >= MOST {
            limiter.retain_recent();
        }
        let counted = if limiter.len() < MOST { Counted::One(source) } else { Counted::Others };
        let wait = limiter.check_key(&counted).err()?.wait_time_from(DefaultClock::default().now()).max(SHORTEST);
        self.shut.lock().unwrap_or_else(PoisonError::into_inner).insert(counted, Instant::now() + wait);
        Some(wait)
    }
}

/// A source has some tens of bytes here; an attacker with many addresses costs a few megabytes.
const MOST: usize = 32_768;
const SHORTEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn source(number: u32) -> Source {
        Source::from(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    #[test]
    fn a_source_that_fails_too_often_is_shut_out_and_others_are_not() {
        let failures = Failures::new(NonZeroU32::new(5));
        for _ in 0..5 {
            assert_eq!((failures.count(source(1)), failures.shut_out(source(1))), (None, None));
        }
        let wait = failures.count(source(1)).unwrap();
        assert!(wait >= SHORTEST && wait <= Duration::from_secs(12), "{wait:?}");
        assert!(failures.shut_out(source(1)).is_some());
        assert_eq!((failures.shut_out(source(2)), failures.count(source(2))), (None, None));
    }

    #[test]
    fn without_a_limit_nobody_is_shut_out() {
        let failures = Failures::new(None);
        assert!((0..1_000).all(|_| failures.count(source(1)).is_none()));
    }

    #[test]
    fn memory_is_bounded_however_many_sources_there_are() {
        let failures = Failures::new(NonZeroU32::new(5));
        for number in 0..100_000 {
            let _ = failures.count(source(number));
        }
        assert!(failures.limiter.as_ref().unwrap().len() <= MOST + 1);
        assert!(failures.shut.lock().unwrap().len() <= MOST + 1);
        assert!(failures.shut_out(source(99_999)).is_some(), "those beyond are counted together");
    }
}
