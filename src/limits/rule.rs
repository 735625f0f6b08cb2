//! A rate limit as an operator writes it.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::types::{Models, Owners, Per};

/// How fast and how many. Every rule that is for a principal and a model applies.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// Its name, unique among rate limits; refusals carry it.
    pub name: String,
    /// For whom it is.
    pub owners: Owners,
    /// Whose calls share it.
    pub per: Per,
    /// On which models.
    pub models: Models,
    /// The most there may be.
    pub rates: Rates,
    /// How long a call may wait for room, up to [`LONGEST_WAIT`]; zero refuses at once.
    pub max_wait: Duration,
}

/// What is limited; at least one is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Calls sent in a second.
    pub requests_per_second: Option<NonZeroU64>,
    /// Calls sent in a minute.
    pub requests_per_minute: Option<NonZeroU64>,
    /// Tokens of all kinds in a minute, cached ones included.
    pub tokens_per_minute: Option<NonZeroU64>,
    /// Calls whose answer has not ended.
    pub concurrent: Option<NonZeroU64>,
}

/// Why rate limits cannot be put in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Two with one name: a refusal would not tell which.
    #[error("two rate limits are named {0:?}")]
    DuplicateName(String),
    /// One that limits nothing.
    #[error("rate limit {0:?} limits nothing")]
    NoRate(String),
}

/// The longest that a limit may let calls wait: clients give up on an answer that does not begin.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);
