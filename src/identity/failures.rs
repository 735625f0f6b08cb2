//! How often a source may fail to prove who it is.
//!
//! Every failure takes from the rate of its source, and of what was tried there. Once that is used up, whatever of that kind is dear to
//! check (a signature over a body, a token that has not been seen) is not checked for a while, and the answer to it is to try later; a
//! key of this gateway is still looked up, which costs next to nothing, and so is a token that is remembered. Signatures are counted by
//! the key too, so that one host behind a shared address does not shut out the others there. A request without any credential is no
//! failure, and neither is one that proves its owner by what has expired or was revoked: nothing was guessed.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::keys::KeyId;
use super::shown::Source;

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Tried {
    /// What is told at once: keys, and all that lacks its form.
    Cheap,
    /// A token of an issuer or of an AWS role.
    Token,
    /// A signature with a key that there is.
    Signature(KeyId),
}

/// A failure that was one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShutOut {
    /// How long the source is not listened to from now on.
    pub(super) wait: Duration,
    /// Whether it was listened to until now.
    pub(super) new: bool,
}

/// The failures of every source.
#[derive(Debug)]
pub(super) struct Failures {
    /// Nothing where failures are not limited.
    limiter: Option<RateLimiter<Counted, HashMapStateStore<Counted>, DefaultClock>>,
    shut: Mutex<Shut>,
}

/// Who is not listened to.
#[derive(Debug, Default)]
struct Shut {
    /// Until when.
    until: HashMap<Counted, Instant>,
    /// When what is over was last thrown away, here and in the limiter: it takes a walk over all of it.
    cleared: Option<Instant>,
}

impl Shut {
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.cleared.is_none_or(|cleared| now.duration_since(cleared) >= CLEARED_EVERY);
        if due {
            self.cleared = Some(now);
            self.until.retain(|_, until| *until > now);
        }
        due
    }
}

/// Whose failures are counted together. Beyond [`MOST`] sources all others are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    One(Source, Tried),
    Others,
}

impl Failures {
    pub(super) fn new(per_minute: Option<NonZeroU32>) -> Self {
        let limiter = per_minute.map(|rate| RateLimiter::hashmap(Quota::per_minute(rate)));
        Self { limiter, shut: Mutex::default() }
    }

    /// How long a source is not listened to; nothing where it is.
    pub(super) fn shut_out(&self, source: Source, tried: Tried) -> Option<Duration> {
        let mut shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        if shut.until.is_empty() {
            return None;
        }
        let now = Instant::now();
        shut.is_due(now);
        let counted = [Counted::One(source, tried), Counted::Others];
        let until = counted.iter().filter_map(|counted| shut.until.get(counted)).max()?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Counts a failure.
    pub(super) fn count(&self, source: Source, tried: Tried) -> Option<ShutOut> {
        let limiter = self.limiter.as_ref()?;
        let now = Instant::now();
        if limiter.len() >= MOST && self.shut.lock().unwrap_or_else(PoisonError::into_inner).is_due(now) {
            limiter.retain_recent();
        }
        let counted = if limiter.len() < MOST { Counted::One(source, tried) } else { Counted::Others };
        let wait = limiter.check_key(&counted).err()?.wait_time_from(DefaultClock::default().now()).max(SHORTEST);
        let before = self.shut.lock().unwrap_or_else(PoisonError::into_inner).until.insert(counted, now + wait);
        Some(ShutOut { wait, new: before.is_none_or(|until| until <= now) })
    }
}

/// A source has some tens of bytes here; an attacker with many addresses costs a few megabytes.
const MOST: usize = 32_768;
const SHORTEST: Duration = Duration::from_secs(1);
const CLEARED_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::identity::keys::Key;

    const TOKEN: Tried = Tried::Token;

    fn source(number: u32) -> Source {
        Source::from(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    #[test]
    fn a_source_that_fails_too_often_is_shut_out_and_others_are_not() {
        let failures = Failures::new(NonZeroU32::new(5));
        for _ in 0..5 {
            assert_eq!((failures.count(source(1), TOKEN), failures.shut_out(source(1), TOKEN)), (None, None));
        }
        let ShutOut { wait, new } = failures.count(source(1), TOKEN).unwrap();
        assert!(new && wait >= SHORTEST && wait <= Duration::from_secs(12), "{wait:?}");
        assert!(failures.shut_out(source(1), TOKEN).is_some());
        assert!(!failures.count(source(1), TOKEN).unwrap().new, "it is told once");
        let [one, other] = [(); 2].map(|()| Tried::Signature(Key::generate().unwrap().id()));
        for (source, tried) in [(source(2), TOKEN), (source(1), Tried::Cheap), (source(1), one), (source(1), other)] {
            assert_eq!((failures.shut_out(source, tried), failures.count(source, tried)), (None, None));
        }
    }

    #[test]
    fn without_a_limit_nobody_is_shut_out() {
        let failures = Failures::new(None);
        assert!((0..1_000).all(|_| failures.count(source(1), TOKEN).is_none()));
    }

    #[test]
    fn memory_is_bounded_however_many_sources_there_are() {
        let failures = Failures::new(NonZeroU32::new(5));
        for number in 0..100_000 {
            let _ = failures.count(source(number), TOKEN);
        }
        assert!(failures.limiter.as_ref().unwrap().len() <= MOST + 1);
        assert!(failures.shut.lock().unwrap().until.len() <= MOST + 1);
        assert!(failures.shut_out(source(99_999), TOKEN).is_some(), "those beyond are counted together");
    }

    #[test]
    fn what_is_over_makes_room_for_others() {
        // So many a minute that every source has recovered by the time that others come.
        let failures = Failures::new(NonZeroU32::new(u32::MAX));
        for number in 0..40_000 {
            let _ = failures.count(source(number), TOKEN);
        }
        assert!(failures.limiter.as_ref().unwrap().len() < MOST);
        let now = Instant::now();
        let [over, still] = [now, now + SHORTEST].map(|until| (Counted::One(source(0), TOKEN), until));
        let mut shut = Shut { until: [over].into(), cleared: None };
        assert!(shut.is_due(now) && shut.until.is_empty());
        shut.until.extend([still]);
        assert!(!shut.is_due(now + Duration::from_millis(999)), "not with every request");
        assert!(shut.is_due(now + SHORTEST) && shut.until.is_empty());
        shut.until.extend([(Counted::Others, now + Duration::from_mins(1))]);
        assert!(shut.is_due(now + Duration::from_secs(3)) && shut.until.len() == 1);
    }

    #[test]
    fn whoever_is_shut_out_is_so_for_a_second_at_least() {
        let failures = Failures::new(NonZeroU32::new(600));
        let wait = (0..10_000).find_map(|_| failures.count(source(1), TOKEN)).unwrap().wait;
        assert_eq!(wait, SHORTEST);
    }
}
