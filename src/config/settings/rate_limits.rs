//! `[[rate_limits]]`, as plain values.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::types::{Models, Owners, Per};

/// How fast and how many calls may be made; at least one of the four rates is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitSettings {
    /// Its name.
    pub name: String,
    /// Whom it is for.
    pub owners: Owners,
    /// Whose calls share it.
    pub per: Per,
    /// On which models.
    pub models: Models,
    /// Calls sent in a second.
    pub requests_per_second: Option<NonZeroU64>,
    /// Calls sent in a minute.
    pub requests_per_minute: Option<NonZeroU64>,
    /// Tokens in a minute.
    pub tokens_per_minute: Option<NonZeroU64>,
    /// Calls whose answer has not ended.
    pub concurrent: Option<NonZeroU64>,
    /// How long a call may wait for room.
    pub max_wait: Duration,
}
