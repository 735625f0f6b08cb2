//! A budget as an operator writes it.

use std::num::NonZeroU32;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::identity::Principal;
use crate::types::{ModelId, Models, Money, Owners, Per, Subject};

use super::store::{Enforcement, Unit, nanodollars};
use super::window::{Schedule, Window};

/// A limit and the window it holds for. Every rule that is for a principal and a model applies.
#[derive(Clone, Debug)]
pub struct BudgetRule {
    /// Its name, unique among budgets: refusals, metrics and counts carry it.
    pub name: String,
    /// For whom it is.
    pub owners: Owners,
    /// Whether it is only for those who have no other budget that is for them in particular.
    pub applies: Applies,
    /// Whose spending is added up.
    pub per: Per,
    /// On which models.
    pub models: Models,
    /// Whether models have counts apart.
    pub apart: Apart,
    /// How long the limit lasts.
    pub window: Window,
    /// By whose calendar.
    pub zone: TimeZone,
    /// The most that may be spent and used in a window.
    pub limits: Limits,
    /// What is done with a call that does not fit.
    pub enforcement: Enforcement,
    /// How much is held for a call while it runs.
    pub reserve: Reserve,
    /// The most that is held for one call.
    pub caps: Limits,
}

/// Amounts by unit, where there are any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Dollars.
    pub usd: Option<Money>,
    /// Tokens of all kinds.
    pub tokens: Option<u64>,
    /// Input tokens, cached ones included.
    pub input_tokens: Option<u64>,
    /// Output tokens.
    pub output_tokens: Option<u64>,
    /// Calls that can cost something.
    pub requests: Option<u64>,
}

impl Limits {
    /// The amount of a unit, as counts count it.
    pub fn of(&self, unit: Unit) -> Option<u64> {
        match unit {
            Unit::Usd => self.usd.map(nanodollars),
            Unit::Tokens => self.tokens,
            Unit::InputTokens => self.input_tokens,
            Unit::OutputTokens => self.output_tokens,
            Unit::Requests => self.requests,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a rule is for all its owners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Applies {
    /// It is.
    #[default]
    Always,
    /// Only for those to whom no rule applies that is no default itself.
    WithoutOther,
}

/// Whether models have counts apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Apart {
    /// They have one together.
    #[default]
    Together,
    /// Each foundation model has its own.
    Model,
    /// Each family of models has its own ([`ModelId::family`]).
    Family,
}

impl BudgetRule {
    /// The windows of the budget.
    pub fn schedule(&self) -> Schedule {
        Schedule { window: self.window, zone: self.zone.clone() }
    }

    /// Whether it is for a principal. A default is, also where it does not apply because there is another.
    pub fn is_for(&self, principal: &Principal) -> bool {
        self.owners.rank(principal.name(), principal.groups()).is_some()
    }

    /// Whose counts of this rule a call of a principal counts in.
    pub fn subjects(&self, name: &Arc<str>, groups: &[String]) -> Vec<Subject> {
        self.per.subjects(&self.owners, name, groups)
    }

    /// Which count of the rule a model has.
    pub(super) fn part(&self, model: Option<&ModelId>) -> Option<Arc<str>> {
        let named = |name: String| Some(Arc::from(name));
        match (self.apart, model) {
            (Apart::Together, _) => None,
            (_, None) => named("(none)".to_owned()),
            (Apart::Model, Some(model)) => named(model.base().to_string()),
            (Apart::Family, Some(model)) => named(model.family()),
        }
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
