//! Why a call may not be made now.

use std::fmt;
use std::time::Duration;

use super::gate::Measure;
use crate::types::Subject;

/// A rate limit that has no room for a call. The text is for the caller: it names the limit and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Limited {
    /// The limit.
    pub limit: String,
    /// Whose calls share it.
    pub subject: Subject,
    /// What it measures.
    pub measure: Measure,
    /// The most of it.
    pub most: u64,
    /// Whether the call would have had to wait, but too many do.
    pub crowded: bool,
    /// How long the call waited.
    pub waited: Duration,
    /// In how many seconds there may be room: 1 to 60.
    pub retry_after_s: u64,
}

impl Limited {
    /// Whole seconds, rounded up, within what a client can be expected to sleep. What depends on other calls is worth a try
    /// in a second.
    pub(super) fn whole_seconds(wait: Option<Duration>) -> u64 {
        const LONGEST_S: u64 = 60;
        let wait = wait.unwrap_or_default();
        wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).clamp(1, LONGEST_S)
    }
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rate limit {:?} allows ", self.limit)?;
        match &self.subject {
            Subject::Principal(name) => write!(f, "{name} ")?,
            Subject::Group(name) => write!(f, "group {name} together ")?,
            Subject::Everyone => f.write_str("all callers together ")?,
        }
        let (what, short) = match self.measure {
            Measure::RequestsPerSecond => ("request|s per second", "used up"),
            Measure::RequestsPerMinute => ("request|s per minute", "used up"),
            Measure::TokensPerMinute => ("token|s per minute", "used up"),
            Measure::Concurrent => ("call|s at a time", "running"),
        };
        let (plural, they) = if self.most == 1 { ("", "it is") } else { ("s", "they are") };
        write!(f, "{} {}, and {they} {short}", self.most, what.replace("|s", plural))?;
        if self.crowded {
            f.write_str(" and too many calls wait for room already")?;
        } else if !self.waited.is_zero() {
            write!(f, "; the call waited {:.1} s for room", self.waited.as_secs_f64())?;
        }
        write!(
            f,
            ": try again in {} s, make fewer calls at once, or ask whoever runs Tollgate to raise it",
            self.retry_after_s
        )
    }
}
