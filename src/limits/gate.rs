//! One rate limit of one subject: its buckets, how many of its calls run, and who waits.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

use super::bucket::Bucket;
use super::queue::Queue;
use super::rule::Rates;

/// What a limit measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Calls sent in a second.
    RequestsPerSecond,
    /// Calls sent in a minute.
    RequestsPerMinute,
    /// Tokens in a minute.
    TokensPerMinute,
    /// Calls whose answer has not ended.
    Concurrent,
}

/// What is missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shortage {
    pub(super) measure: Measure,
    /// The limit of that measure.
    pub(super) limit: u64,
    /// When there will be room; `None` where that depends on other calls.
    pub(super) wait: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Gate {
    requests_per_second: Option<Bucket>,
    requests_per_minute: Option<Bucket>,
    tokens_per_minute: Option<Bucket>,
    concurrent: Option<NonZeroU64>,
    running: u64,
    pub(super) queue: Queue,
}

impl Gate {
    pub(super) fn new(rates: Rates, now: Instant) -> Self {
        let bucket = |units: Option<NonZeroU64>, period| units.map(|units| Bucket::full(units, period, now));
        Self {
            requests_per_second: bucket(rates.requests_per_second, Duration::from_secs(1)),
            requests_per_minute: bucket(rates.requests_per_minute, Duration::from_mins(1)),
            tokens_per_minute: bucket(rates.tokens_per_minute, Duration::from_mins(1)),
            concurrent: rates.concurrent,
            running: 0,
            queue: Queue::default(),
        }
    }

    /// What is missing for a call of so many tokens: what takes longest to come, before what depends on other calls. A call
    /// that uses no tokens does not wait for any.
    pub(super) fn shortage(&mut self, tokens: u64, now: Instant) -> Option<Shortage> {
        let buckets = [
            (Measure::RequestsPerSecond, self.requests_per_second.as_mut()),
            (Measure::RequestsPerMinute, self.requests_per_minute.as_mut()),
            (Measure::TokensPerMinute, self.tokens_per_minute.as_mut().filter(|_| tokens > 0)),
        ];
        let short = buckets.into_iter().filter_map(|(measure, bucket)| {
            let bucket = bucket?;
            Some(Shortage { measure, wait: Some(bucket.shortage(now)?), limit: bucket.most() })
        });
        let full = self.concurrent.filter(|most| self.running >= most.get());
        let full = full.map(|most| Shortage { measure: Measure::Concurrent, limit: most.get(), wait: None });
        short.max_by_key(|shortage| shortage.wait).or(full)
    }

    /// What a call that waits for others to have their turn is told.
    pub(super) fn in_line(&self) -> Shortage {
        let bucket = |measure, bucket: &Option<Bucket>| Some((measure, bucket.as_ref()?.most()));
        let measured = bucket(Measure::RequestsPerSecond, &self.requests_per_second)
            .or_else(|| bucket(Measure::RequestsPerMinute, &self.requests_per_minute))
            .or_else(|| bucket(Measure::TokensPerMinute, &self.tokens_per_minute));
        let (measure, limit) = measured.unwrap_or((Measure::Concurrent, self.concurrent.map_or(0, NonZeroU64::get)));
        Shortage { measure, limit, wait: None }
    }

    /// Lets a call in, and tells how many tokens were taken for it.
    pub(super) fn enter(&mut self, tokens: u64, now: Instant) -> u64 {
        self.running = self.running.saturating_add(1);
        for bucket in [&mut self.requests_per_second, &mut self.requests_per_minute].into_iter().flatten() {
            bucket.take(1, now);
        }
        self.tokens_per_minute.as_mut().map_or(0, |bucket| {
            let taken = tokens.min(bucket.most());
            bucket.take(taken, now);
            taken
        })
    }

    /// A call has ended; whoever is next may have room now.
    pub(super) fn exit(&mut self, taken: u64, charge: Charge, now: Instant) {
        self.running = self.running.saturating_sub(1);
        if charge == Charge::Nothing {
            for bucket in [&mut self.requests_per_second, &mut self.requests_per_minute].into_iter().flatten() {
                bucket.give(1);
            }
        }
        if let Some(bucket) = &mut self.tokens_per_minute {
            match charge {
                Charge::Nothing => bucket.give(taken),
                Charge::AsTaken => {}
                Charge::Tokens(used) if used < taken => bucket.give(taken - used),
                Charge::Tokens(used) => bucket.take(used - taken, now),
            }
        }
        self.queue.wake();
    }

    /// Whether a new gate would be the same.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        let buckets = [&mut self.requests_per_second, &mut self.requests_per_minute, &mut self.tokens_per_minute];
        self.running == 0 && self.queue.len() == 0 && buckets.into_iter().flatten().all(|bucket| bucket.is_full(now))
    }
}

/// What a call that has ended is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    /// Nothing was sent.
    Nothing,
    /// It is not known what was used.
    AsTaken,
    /// What Bedrock counted.
    Tokens(u64),
}
