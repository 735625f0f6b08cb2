//! A budget as an operator writes it.

use std::num::NonZeroU32;

use jiff::tz::TimeZone;

use crate::types::{Money, Owners};

use super::window::{Schedule, Window};

/// A limit per principal and calendar window. Every rule that is for a principal applies to them, and each principal
/// has a count of their own under each.
#[derive(Clone, Debug)]
pub struct BudgetRule {
    /// Its name, unique among budgets: refusals, metrics and counts carry it.
    pub name: String,
    /// For whom it is.
    pub owners: Owners,
    /// How long the limit lasts.
    pub window: Window,
    /// By whose calendar.
    pub zone: TimeZone,
    /// The most that each principal may spend in a window.
    pub limit_usd: Option<Money>,
    /// The most tokens, of all kinds together, that each principal may use in a window.
    pub limit_tokens: Option<u64>,
    /// How much is held for a call while it runs.
    pub reserve: Reserve,
}

impl BudgetRule {
    /// The windows of the budget.
    pub fn schedule(&self) -> Schedule {
        Schedule { window: self.window, zone: self.zone.clone() }
    }
}

/// How much a budget holds for a call while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reserve {
    /// The most that the call can use: a token for every byte of text. The budget cannot be exceeded by calls that
    /// stay within their bounds, but a long prompt needs several times its cost to be left in the budget.
    #[default]
    WorstCase,
    /// What such a call usually uses. Each call in flight can exceed what was held for it by its input at one token per
    /// byte less its input at one token per `bytes_per_token`, at the dearest input price.
    Expected {
        /// How many bytes of the request make a token: see [`Reserve::EXPECTED`].
        bytes_per_token: NonZeroU32,
    },
}

impl Reserve {
    /// Three bytes a token: English prose has about four, code and JSON about three.
    pub const EXPECTED: Self = Self::Expected { bytes_per_token: NonZeroU32::MIN.saturating_add(2) };
}
