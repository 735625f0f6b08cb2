//! A budget as an operator writes it.

use std::num::NonZeroU32;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::identity::Principal;
use crate::types::{ModelId, Money, Owners};

use super::store::{Enforcement, Subject, Unit, nanodollars};
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

/// Whose spending is added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Per {
    /// Each principal has a count of their own.
    #[default]
    Principal,
    /// Members of a group share one. Who is in several of the rule's groups counts in each.
    Group,
    /// All whom the rule is for share one.
    Everyone,
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

/// Models by patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Models {
    /// Every model, and calls without one.
    #[default]
    All,
    /// Those whose foundation-model id one of the patterns fits; `*` stands for anything.
    Like(Vec<String>),
}

impl Models {
    /// Whether a call of this model, or of none, counts.
    pub fn contain(&self, model: Option<&ModelId>) -> bool {
        match (self, model) {
            (Self::All, _) => true,
            (Self::Like(_), None) => false,
            (Self::Like(patterns), Some(model)) => {
                let base = model.base();
                patterns.iter().any(|pattern| fits(pattern, base.as_str()))
            }
        }
    }
}

/// Whether a pattern with `*` fits a text, in time proportional to both.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    while let Some((part, more)) = rest.split_once('*') {
        let Some((_, after)) = text.split_once(part) else { return false };
        (text, rest) = (after, more);
    }
    text.ends_with(rest)
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
    pub fn subjects(&self, name: &str, groups: &[String]) -> Vec<Subject> {
        let principal = || Subject::Principal(Arc::from(name));
        match self.per {
            Per::Principal => vec![principal()],
            Per::Everyone => vec![Subject::Everyone],
            Per::Group => {
                let counts = |group: &&String| match &self.owners {
                    Owners::Everyone => true,
                    Owners::Only { groups, .. } => groups.contains(group),
                };
                let mut shared: Vec<_> = groups.iter().filter(counts).map(|group| Arc::from(group.as_str())).collect();
                shared.sort_unstable();
                shared.dedup();
                // Who is in none of the groups must not go uncounted.
                if shared.is_empty() { vec![principal()] } else { shared.into_iter().map(Subject::Group).collect() }
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, whether) in [
            ("a.b", "a.b", true),
            ("a.b", "a.bc", false),
            ("*", "", true),
            ("a.*", "a.b", true),
            ("a.*", "b.a.b", false),
            ("*opus*", "anthropic.claude-opus-4-5", true),
            ("*opus*", "anthropic.claude-sonnet-4-5", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(fits(pattern, text), whether, "{pattern} {text}");
        }
    }
}
